# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads of simple signing, the format that cosign 1 and 2 write and podman, skopeo and CRI-O read.

Cosign's SIGNATURE_SPEC.md has the format; containers/image is stricter than its text, and what it refuses is refused
here: of `critical` and what is in it all members must be there, once, and no other.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import ContentError, InvalidInput
from .._oci.digest import digest_problem
from .._oci.manifest import Json, canonical_json, parse_json
from .texts import shown

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"  # the annotation of the layer that holds the payload
CERTIFICATE = "dev.sigstore.cosign/certificate"  # the same, where the signature is keyless
_TYPE = "cosign container image signature"
_WHAT = "The payload"


@dataclass(frozen=True)
class Payload:
    """What was signed: a digest, the name that is claimed (which may be no name), and more."""

    digest: str
    name: str
    optional: t.Mapping[str, t.Any]


def read_payload(raw: bytes) -> Payload:
    """Read a payload strictly; ContentError says what is wrong with it."""
    value = _members(parse_json(raw, _WHAT), _WHAT, "critical", "optional")
    critical = _members(value["critical"], "critical", "identity", "image", "type")
    image = _members(critical["image"], "critical.image", "docker-manifest-digest")
    identity = _members(critical["identity"], "critical.identity", "docker-reference")
    digest, name = image["docker-manifest-digest"], identity["docker-reference"]
    if critical["type"] != _TYPE:
        raise ContentError(f"{_WHAT} calls itself {shown(critical['type'])}, not {_TYPE!r}.")
    problem = digest_problem(digest)
    if problem:
        raise ContentError(f"{_WHAT} names an image whose digest {problem}.")
    if not isinstance(name, str):
        raise ContentError(f"{_WHAT} claims a name that is not a text.")
    return Payload(digest, name, _optional(value["optional"]))


def _members(value: t.Any, what: str, *names: str) -> Json:
    if not isinstance(value, dict):
        raise ContentError(f"{what} is not a JSON object.")
    if value.keys() != set(names):
        raise ContentError(f"{what} must have just the members {', '.join(names)}.")
    return value


def _optional(value: t.Any) -> Json:
    found = {} if value is None else value
    if not isinstance(found, dict):
        raise ContentError("optional is not a JSON object.")
    creator, time = found.get("creator"), found.get("timestamp")
    if not isinstance(creator, (str, type(None))):
        raise ContentError("optional.creator is not a text.")
    if isinstance(time, bool) or not isinstance(time, (int, float, type(None))) or (time or 0) % 1:
        raise ContentError("optional.timestamp is not a whole number.")
    return found


def build_payload(digest: str, name: str, annotations: t.Mapping[str, str] | None = None) -> bytes:
    """Return the bytes to sign, as cosign writes them; the same input gives the same bytes."""
    if annotations and "timestamp" in annotations:
        raise InvalidInput("The annotation 'timestamp' would have to be a number in a simple signature; rename it.")
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": digest},
        "type": _TYPE,
    }
    optional = dict(sorted(annotations.items())) if annotations else None
    return canonical_json({"critical": critical, "optional": optional})
