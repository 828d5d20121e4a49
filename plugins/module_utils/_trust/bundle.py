# SPDX-License-Identifier: GPL-3.0-or-later
"""Sigstore bundles with a DSSE envelope (sigstore/protobuf-specs, sigstore_bundle.proto; cosign's BUNDLE_SPEC.md)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import ContentError
from .._oci.manifest import Json, canonical_json, parse_json
from .dsse import Envelope, build_envelope, read_envelope
from .texts import shown

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES = (
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
CONTENT = "dev.sigstore.bundle.content"  # annotations of the manifest; hints, which nobody signed
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_MATERIALS = ("publicKey", "certificate", "x509CertificateChain")
_WHAT = "The bundle"


@dataclass(frozen=True)
class Bundle:
    """An envelope, and whether a key or a certificate is said to verify it. The hint is a hint: the key decides.

    ``log_time`` (seconds since 1970) is believed only once the log's promise was verified. ``promised`` tells that
    there may be one, however it is spelled: then it may be that, and no time stamp, which made the bundle good.
    """

    envelope: Envelope
    keyless: bool
    hint: str
    log_time: float | None = None
    promised: bool = False


def is_bundle(media_type: str) -> bool:
    """Say whether a media type is a bundle's, of whatever version."""
    return media_type.startswith("application/vnd.dev.sigstore.bundle")


def read_bundle(raw: bytes) -> Bundle:
    """Read a bundle strictly; ContentError says what is wrong with it. Nothing is verified here."""
    value = parse_json(raw, _WHAT)
    if value.get("mediaType") not in MEDIA_TYPES:
        raise ContentError(f"{_WHAT} is of the type {shown(value.get('mediaType'))}; versions 0.1 to 0.3 are read.")
    if "messageSignature" in value:
        raise ContentError(f"{_WHAT} signs a file as it is (messageSignature), not a statement about an image.")
    material = value.get("verificationMaterial")
    found = [name for name in _MATERIALS if isinstance(material, dict) and name in material]
    if not isinstance(material, dict) or len(found) != 1:
        raise ContentError(f"{_WHAT} must have exactly one of {', '.join(_MATERIALS)} to be verified with.")
    envelope = read_envelope(value.get("dsseEnvelope"), "The envelope of the bundle")
    if found[0] != "publicKey":
        promised = b"promise" in canonical_json(material).lower()  # Protocol Buffers have two spellings for it
        return Bundle(envelope, True, "", _log_time(material), promised)
    key = material["publicKey"]
    hint = key.get("hint", "") if isinstance(key, dict) else None
    if not isinstance(hint, str):
        raise ContentError(f"{_WHAT} has a hint about its key that is not a text.")
    return Bundle(envelope, False, hint)


def _log_time(material: Json) -> float | None:
    """The time at which the log took the entry, where the log signed for it (the inclusion promise)."""
    entries = material.get("tlogEntries")
    entry = entries[0] if isinstance(entries, list) and len(entries) == 1 else None
    if not isinstance(entry, dict) or not entry.get("inclusionPromise"):
        return None
    time = entry.get("integratedTime")
    return float(time) if isinstance(time, str) and time.isascii() and time.isdigit() and len(time) < 12 else None


def build_bundle(envelope: Envelope, fingerprint: str) -> bytes:
    """Return a bundle of version 0.3 that a public key verifies; the same input gives the same bytes."""
    material: dict[str, t.Any] = {"publicKey": {"hint": fingerprint}, "timestampVerificationData": {}}
    content = build_envelope(envelope)
    return canonical_json({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": content})
