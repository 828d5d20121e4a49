# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead Simple Signing Envelopes (secure-systems-lab/dsse, protocol.md and envelope.md)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError
from .._oci.manifest import Json, parse_json
from . import texts

MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"  # a layer of cosign's tags .att


@dataclass(frozen=True)
class Envelope:
    """A payload, what it is, and one signature, which is over `signed`."""

    payload_type: str
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def signed(self) -> bytes:
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read_envelope(value: t.Any, what: str) -> Envelope:
    """Read the JSON object of an envelope; ContentError about ``what``. It must have exactly one signature."""
    if not isinstance(value, dict):
        raise ContentError(f"{what} is not a DSSE envelope.")
    payload_type, signatures = value.get("payloadType"), value.get("signatures")
    if not isinstance(payload_type, str):
        raise ContentError(f"{what} does not say of what type its payload is.")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        found = len(signatures) if isinstance(signatures, list) else "no list of"
        raise ContentError(f"{what} has {found} signatures; exactly one is read.")
    payload = texts.from_base64(value.get("payload"), f"The payload of {what}", url_safe=True)
    signature = texts.from_base64(signatures[0].get("sig"), f"The signature of {what}", url_safe=True)
    return Envelope(payload_type, payload, signature)


def parse_envelope(raw: bytes, what: str) -> Envelope:
    """Read an envelope that stands alone, as in cosign's tags .att."""
    return read_envelope(parse_json(raw, what), what)


def build_envelope(envelope: Envelope) -> Json:
    """Return the JSON object of an envelope.

    Without the signature's optional ``keyid``: cosign 3 passes over one that has another than it would give.
    """
    signature = {"sig": texts.base64_of(envelope.signature)}
    payload = texts.base64_of(envelope.payload)
    return {"payload": payload, "payloadType": envelope.payload_type, "signatures": [signature]}
