# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures and records of one's own for images that arrive somewhere, beside what comes along from their source."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput, Refused
from .._kit.content import Manifests
from .._kit.own_signatures import Signer, ToSign, claimed_name, new_bundle, new_simples, with_members
from .._kit.referrers import Beside
from .._kit.signing import NewBundle, NewSimple, Shelf, SignatureTag, Subject, bundle_manifest, open_key, plan_additions
from .._oci.manifest import Json, Manifest, canonical_json, parse_json
from .._oci.mediatype import INDEXES
from .._oci.patches import texts
from .._oci.reference import Reference
from .._plan import Draft
from .._registry.client import Repository
from .._registry.session import Session
from .._trust.keys import PrivateKey
from .._trust.signing import attest
from .._trust.statement import SIGNED, predicate_type_of

RECORD_TYPE = "https://github.com/quayside/registry/promotion/v1"

Options = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Signing:
    """How images are signed; no identities stands for the names that they get."""

    signer: Signer
    identities: tuple[str, ...] | None
    recursive: bool


@dataclass(frozen=True)
class Recording:
    """How a promotion is attested: by a key, under a predicate type, with more to tell of it."""

    key: PrivateKey
    kind: str
    metadata: Json


@dataclass(frozen=True)
class Arrival:
    """An image that ``dest`` has or will have; ``names`` are its tags there, ``record`` is what is attested of it.

    What refers to it at ``source`` comes along where ``referrers``; ``filtered`` is the index that was made of it.
    """

    subject: Subject
    source: Repository
    filtered: Manifest | None
    names: tuple[str, ...]
    record: Json
    referrers: bool

    def get(self, digest: str) -> Manifest:
        """Read an index of it, which may not be at the destination yet."""
        known = self.filtered and self.filtered.digest == digest
        return self.filtered if known and self.filtered else self.source.get(digest)


def open_signing(session: Session, options: Options | None) -> Signing | None:
    """Read the option ``sign``. Raises InvalidInput, MissingLibrary."""
    if options is None:
        return None
    annotations = texts("sign: annotations", options.get("annotations"))
    key = _key(session, options, "sign")
    if not options["formats"]:
        raise InvalidInput("sign: formats must be bundle, simple or both.")
    identities = options.get("identities")
    claimed = None if identities is None else tuple(claimed_name(Reference.parse(text)) for text in identities)
    return Signing(Signer(key.public, options["formats"], annotations, key), claimed, bool(options.get("recursive")))


def open_recording(session: Session, options: Options | None) -> Recording | None:
    """Read the option ``attest``. Raises InvalidInput, MissingLibrary."""
    if options is None:
        return None
    key = _key(session, options, "attest")
    kind = predicate_type_of(options.get("predicate_type") or RECORD_TYPE)
    if kind == SIGNED:
        raise InvalidInput(f"attest: {SIGNED} is the type of signatures; use sign.")
    try:
        metadata = parse_json(canonical_json(options.get("metadata") or {}), "attest: metadata")
    except (TypeError, ValueError) as exc:
        raise InvalidInput(f"attest: metadata cannot be written as JSON: {exc}") from None
    return Recording(key, kind, metadata)


def _key(session: Session, options: Options, what: str) -> PrivateKey:
    path, content = options.get("key"), options.get("key_content")
    if path is None and content is None:
        raise InvalidInput(f"{what} needs a private key, as key (a path) or as key_content.")
    return open_key(session, path, content, options.get("passphrase"))


def plan_endorsements(
    session: Session,
    draft: Draft,
    arrivals: t.Sequence[Arrival],
    signing: Signing | None,
    recording: Recording | None,
    beside: t.Sequence[Beside],
    manifests: Manifests,
) -> list[bool]:
    """Plan the signatures and records that images lack; say of each arrival whether it lacks some.

    ``beside`` is what cosign's tags will hold by then, ``manifests`` is what was read to be sent. What comes along from
    the source counts as being there.
    """
    coming = {one.target.reference.name + ":" + str(one.target.reference.tag): one for one in beside}
    jobs = [job for at, arrival in enumerate(arrivals) for job in _jobs(session, at, arrival, signing)]
    shelves = session.map(lambda job: _shelf(job, signing, recording, coming), jobs)
    bundles: list[NewBundle] = []
    simples: list[NewSimple] = []
    lacking = [False] * len(arrivals)
    for job, shelf in zip(jobs, shelves):
        before = len(bundles) + len(simples)
        if signing:
            _sign(draft, signing, job, shelf, bundles, simples)
        if recording and job.is_root:
            bundles += _record(recording, job, shelf)
        lacking[job.at] |= len(bundles) + len(simples) > before
    plan_additions(session, draft, bundles, simples, coming=manifests)
    return lacking


@dataclass(frozen=True)
class _Job:
    """One manifest to endorse, which belongs to the arrival of this number."""

    at: int
    arrival: Arrival
    image: ToSign
    is_root: bool


def _jobs(session: Session, at: int, arrival: Arrival, signing: Signing | None) -> list[_Job]:
    names = arrival.names
    if signing and signing.identities is not None:
        names = signing.identities
    subjects = [arrival.subject]
    if signing and signing.recursive:
        subjects = with_members(session, arrival.subject, arrival.get)
    return [_Job(at, arrival, ToSign(subject, names), subject is arrival.subject) for subject in subjects]


def _shelf(job: _Job, signing: Signing | None, recording: Recording | None, coming: t.Mapping[str, Beside]) -> Shelf:
    """Read what lies beside an image at its destination, and what will, since it comes along."""
    formats = set(signing.signer.formats if signing else ()) | ({"bundle"} if recording else set())
    types = [*([SIGNED] if signing else []), *([recording.kind] if recording else [])]
    there = Shelf.read(job.image.subject, formats, types)
    if not job.arrival.referrers:
        return there
    try:
        source = Shelf.read(Subject(job.arrival.source, job.image.subject.descriptor), formats, types)
    except Refused:  # what is odd at the source stays there
        return there
    tag = there.tag
    arriving = coming.get(tag.name) if tag else None
    if arriving and tag and source.tag:
        merged = [parse_json(raw, tag.name) for raw in arriving.local.values()]
        tag = SignatureTag(tag.subject, arriving.manifest, merged[0] if merged else source.tag.config)
    return Shelf(there.subject, (*there.found, *source.found), tag)


def _sign(
    draft: Draft, signing: Signing, job: _Job, shelf: Shelf, bundles: list[NewBundle], simples: list[NewSimple]
) -> None:
    signer, image = signing.signer, job.image
    there = shelf.by(signer.public, signer.annotations)
    if "bundle" in signer.formats and signer.private:
        bundles += new_bundle(image, there, signer.private, signer.annotations)[1]
    if shelf.tag:
        signed = new_simples(image, there, signer)[1]
        simples += [NewSimple(shelf.tag, tuple(signed))] if signed else []
        if job.is_root and image.subject.descriptor.media_type in INDEXES and not signing.recursive:
            text = f"{image.subject} is an index, and podman reads the signatures of its members alone"
            draft.warn(f"{text}; set recursive: true in sign to sign these too.")


def _record(recording: Recording, job: _Job, shelf: Shelf) -> list[NewBundle]:
    said = dict(job.arrival.record)
    if recording.metadata:
        said["metadata"] = recording.metadata
    there = shelf.attested(recording.key.public, recording.kind)
    if any(one.verified and one.predicate == said for _place, one in there):
        return []
    subject = job.arrival.subject
    raw = attest(recording.key, subject.digest, recording.kind, said)
    what = f"promotion record ({recording.kind})"
    return [NewBundle(subject, raw, bundle_manifest(subject, raw, recording.kind), what)]
