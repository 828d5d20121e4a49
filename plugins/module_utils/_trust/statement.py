# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements about images (in-toto attestation framework, Statement v1 and v0.1) and what their predicates say."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError, InvalidInput
from .._oci.manifest import Json, canonical_json, parse_json
from .._oci.times import parse_time
from .texts import shown

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"  # the predicate type that makes a statement a signature
_TYPE = "https://in-toto.io/Statement/v1"
_TYPES = (_TYPE, "https://in-toto.io/Statement/v0.1")
_SLSA, _SLSA_0_2 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
_SPDX, _CYCLONEDX = "https://spdx.dev/Document", "https://cyclonedx.org/bom"
_VULN, _OPENVEX = "https://cosign.sigstore.dev/attestation/vuln/v1", "https://openvex.dev/ns"
ALIASES = {"spdx": _SPDX, "cyclonedx": _CYCLONEDX, "slsaprovenance1": _SLSA, "vuln": _VULN, "openvex": _OPENVEX}
# Where a predicate tells when it was made; the first that is there counts.
_TIMES = {
    _SLSA: (("runDetails", "metadata", "finishedOn"), ("runDetails", "metadata", "startedOn")),
    _SLSA_0_2: (("metadata", "buildFinishedOn"), ("metadata", "buildStartedOn")),
    _SPDX: (("creationInfo", "created"),),
    _CYCLONEDX: (("metadata", "timestamp"),),
    _VULN: (("metadata", "scanFinishedOn"), ("metadata", "scanStartedOn")),
    _OPENVEX: (("last_updated",), ("timestamp",)),
    "https://slsa.dev/verification_summary/v1": (("timeVerified",),),
    "https://cosign.sigstore.dev/attestation/v1": (("Timestamp",),),
}
_WHAT = "The statement"


@dataclass(frozen=True)
class Subject:
    digests: t.Mapping[str, str]  # by algorithm, in hex
    annotations: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Statement:
    """What is said (the predicate, of a type) about what (the subjects)."""

    predicate_type: str
    predicate: Json = field(repr=False)
    subjects: tuple[Subject, ...]

    def about(self, digest: str) -> list[Subject]:
        """Return the subjects that are the image of this digest."""
        algorithm, _colon, hexes = digest.partition(":")
        return [subject for subject in self.subjects if subject.digests.get(algorithm) == hexes]

    @property
    def time(self) -> float | None:
        """When the predicate says it was made, in seconds since 1970; None where it does not say."""
        for path in _TIMES.get(self.predicate_type, ()):
            value: t.Any = self.predicate
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                return parse_time(value)
        return None


def predicate_type_of(text: str) -> str:
    """Return the URI of a predicate's type, given as such or by its short name; InvalidInput otherwise."""
    if text in ALIASES:
        return ALIASES[text]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", text):
        raise InvalidInput(f"predicate_type must be a URI, or one of {', '.join(ALIASES)}, not {text!r}.")
    return text


def read_statement(payload_type: str, payload: bytes) -> Statement:
    """Read what an envelope holds; ContentError where it is no statement. Members that are not known are left alone."""
    if payload_type != PAYLOAD_TYPE:
        raise ContentError(f"The envelope holds {shown(payload_type)}, not an in-toto statement ({PAYLOAD_TYPE}).")
    value = parse_json(payload, _WHAT)
    if value.get("_type") not in _TYPES:
        raise ContentError(f"{_WHAT} is of the type {shown(value.get('_type'))}, not {_TYPE} or v0.1.")
    kind, subjects, predicate = value.get("predicateType"), value.get("subject"), value.get("predicate")
    if not isinstance(kind, str):
        raise ContentError(f"{_WHAT} has a predicateType that is not a text.")
    if not isinstance(subjects, list) or not subjects:
        raise ContentError(f"{_WHAT} is about nothing: it has no list of subjects.")
    if not isinstance(predicate, (dict, type(None))):  # cosign left it out for a while
        hint = "; cosign writes text for --type spdx, an object for spdxjson" if isinstance(predicate, str) else ""
        raise ContentError(f"{_WHAT} has a predicate that is not an object{hint}.")
    return Statement(kind, predicate or {}, tuple(map(_subject, subjects)))


def _subject(value: t.Any) -> Subject:
    digests = value.get("digest") if isinstance(value, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(hexes, str) for hexes in digests.values()):
        raise ContentError(f"{_WHAT} has a subject without digests.")
    annotations = value.get("annotations")
    if not isinstance(annotations, (dict, type(None))):
        raise ContentError(f"{_WHAT} has a subject whose annotations are not an object.")
    return Subject(digests, annotations or {})


def build_statement(
    digest: str, predicate_type: str, predicate: Json, annotations: t.Mapping[str, str] | None = None
) -> bytes:
    """Return a statement about the image of this digest; the same input gives the same bytes."""
    algorithm, _colon, hexes = digest.partition(":")
    subject: Json = {"digest": {algorithm: hexes}}
    if annotations:
        subject["annotations"] = dict(sorted(annotations.items()))
    return canonical_json(
        {"_type": _TYPE, "subject": [subject], "predicateType": predicate_type, "predicate": predicate}
    )
