# SPDX-License-Identifier: GPL-3.0-or-later
"""New signatures and attestations, as bytes that are ready to be stored."""

from __future__ import annotations

import typing as t

from .._errors import ContentError, InvalidInput
from .._oci.manifest import Json
from . import simple, texts
from .bundle import build_bundle
from .dsse import Envelope, pae
from .keys import PrivateKey, PublicKey
from .statement import PAYLOAD_TYPE, SIGNED, build_statement

Annotations = t.Optional[t.Mapping[str, str]]


class Simple(t.NamedTuple):
    """A layer of a tag .sig: its content and its annotations (`candidates.simple` has its media type)."""

    payload: bytes
    annotations: dict[str, str]


def sign_simple(key: PrivateKey, digest: str, name: str, annotations: Annotations = None) -> Simple:
    """Sign an image under one name, in the format that podman reads."""
    payload = simple.build_payload(digest, name, annotations)
    return Simple(payload, {simple.SIGNATURE: texts.base64_of(key.sign(payload))})


def signed_elsewhere(key: PublicKey, payload: bytes, signature: str) -> Simple:
    """Return the layer for a signature (base64) that was made elsewhere; InvalidInput where it is not by the key."""
    try:
        raw = texts.from_base64("".join(signature.split()), "signature")
    except ContentError as exc:
        raise InvalidInput(str(exc)) from None
    if not key.verify(raw, payload):
        raise InvalidInput("signature is not one of this payload by public_key.", "SIGNATURE_INVALID")
    return Simple(payload, {simple.SIGNATURE: texts.base64_of(raw)})


def sign_bundle(key: PrivateKey, digest: str, annotations: Annotations = None) -> bytes:
    """Return a bundle that signs an image."""
    return attest(key, digest, SIGNED, {}, annotations)


def attest(
    key: PrivateKey, digest: str, predicate_type: str, predicate: Json, annotations: Annotations = None
) -> bytes:
    """Return a bundle with a statement about an image."""
    payload = build_statement(digest, predicate_type, predicate, annotations)
    envelope = Envelope(PAYLOAD_TYPE, payload, key.sign(pae(PAYLOAD_TYPE, payload)))
    return build_bundle(envelope, key.public.fingerprint)
