# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign images, in the formats that cosign, podman and skopeo read, or take a key's signatures away again."""

from __future__ import annotations

import os
import typing as t

from .._archives.atomic import check_file, digest_of_file, write_file
from .._errors import InvalidInput
from .._kit.own_signatures import (
    Row,
    Signer,
    ToSign,
    claimed_name,
    new_bundle,
    new_simples,
    signature_row,
    with_members,
)
from .._kit.signing import (
    NewSimple,
    Shelf,
    Subject,
    is_repeatable,
    open_key,
    open_public_key,
    plan_additions,
    plan_removals,
)
from .._oci.digest import digest_of
from .._oci.mediatype import INDEXES
from .._oci.patches import texts
from .._oci.reference import Reference
from .._plan import Draft, Outcome, Plan, Step
from .._registry.session import Session
from .._trust import simple
from .._trust.judge import Signature
from .._trust.statement import SIGNED


def plan_sign(
    session: Session,
    *,
    name: str | None,
    names: list[str] | None,
    key: str | None,
    key_content: str | None,
    passphrase: str | None,
    formats: list[str],
    identities: list[str] | None,
    annotations: dict[str, t.Any],
    recursive: bool,
    state: str,
    payload_path: str | None,
    signature: str | None,
    public_key: str | None,
) -> Plan:
    """Plan what makes each image signed by this key, or no longer signed by it.

    Raises Refused, InvalidInput, NotFound, MissingLibrary.
    """
    references = [Reference.parse(text) for text in ([name] if name is not None else dict.fromkeys(names or []))]
    claimed = None if identities is None else tuple(claimed_name(Reference.parse(text)) for text in identities)
    annotations = texts("annotations", annotations)
    if payload_path is not None and signature is None:
        if state == "absent" or not (key is None and key_content is None and public_key is None):
            raise InvalidInput("payload_path is for a key that is elsewhere; give it without a key, and without state.")
        if "simple" not in formats:
            raise InvalidInput("payload_path is for a simple signature; formats must have simple.")
        return _plan_payload(session, references, claimed, annotations, payload_path)
    signer = _open(session, key, key_content, passphrase, formats, annotations, signature, public_key, state)
    images = _images(session, references, claimed, recursive, *(["delete"] if state == "absent" else []))
    shelves = session.map(lambda image: Shelf.read(image.subject, signer.formats, [SIGNED]), images)
    if signer.signature and len([identity for image in images for identity in image.identities]) != 1:
        raise InvalidInput("signature signs one payload; give one image, with one identity.")
    draft = Draft()
    if state == "absent":
        return _plan_absent(session, draft, references, shelves, signer)
    _warn(draft, images, recursive, signer)
    return _plan_present(session, draft, references, images, shelves, signer)


def _open(
    session: Session,
    key: str | None,
    key_content: str | None,
    passphrase: str | None,
    formats: t.Sequence[str],
    annotations: t.Mapping[str, str],
    signature: str | None,
    public_key: str | None,
    state: str,
) -> Signer:
    if not formats:
        raise InvalidInput("formats must be bundle, simple or both.")
    if public_key is None:
        if signature is not None:
            raise InvalidInput("signature needs public_key, which verifies it before it is stored.")
        private = open_key(session, key, key_content, passphrase)
        return Signer(private.public, formats, annotations, private)
    public = open_public_key(public_key, "public_key")
    if state == "absent":
        return Signer(public, formats, annotations)
    if not signature:
        raise InvalidInput("public_key goes with signature, which was made elsewhere, or with state: absent.")
    if "simple" not in formats:
        raise InvalidInput("signature is one of a simple payload; formats must have simple.")
    return Signer(public, ("simple",), annotations, None, signature)


def _claim(reference: Reference) -> str:
    """Return the name that is claimed for an image that was given so: no tag where it was given by digest."""
    return reference.tagged or reference.name


def _images(
    session: Session, references: list[Reference], claimed: tuple[str, ...] | None, recursive: bool, *rights: str
) -> list[ToSign]:
    """Resolve the names; what several names stand for is one image that claims them all."""
    found: dict[tuple[str, str], tuple[Subject, list[str]]] = {}
    subjects = session.map(lambda reference: Subject.find(session, reference, *rights), references)
    for reference, subject in zip(references, subjects):
        own = claimed if claimed is not None else (_claim(reference),)
        for each in with_members(session, subject) if recursive else [subject]:
            entry = found.setdefault((str(each.repository), each.digest), (each, []))
            entry[1].extend(identity for identity in own if identity not in entry[1])
    return [ToSign(subject, tuple(claims)) for subject, claims in found.values()]


def _warn(draft: Draft, images: list[ToSign], recursive: bool, signer: Signer) -> None:
    for image in images:
        if image.subject.descriptor.media_type in INDEXES and "simple" in signer.formats and not recursive:
            text = f"{image.subject} is an index, and podman reads the signatures of its members alone"
            draft.warn(f"{text}; set recursive: true to sign these too.")


# --- present


def _plan_present(
    session: Session,
    draft: Draft,
    references: list[Reference],
    images: list[ToSign],
    shelves: list[Shelf],
    signer: Signer,
) -> Plan:
    repeatable = signer.private is None or is_repeatable(signer.private)
    rows: list[Row] = []
    bundles, simples = [], []
    before: dict[str, list[str]] = {}
    for image, shelf in zip(images, shelves):
        there = shelf.by(signer.public, signer.annotations)
        before[str(image.subject)] = _lines(signature for _place, signature in there)
        if "bundle" in signer.formats and signer.private:
            row, new = new_bundle(image, there, signer.private, signer.annotations)
            rows.append(row)
            bundles += new
        if shelf.tag:
            made, signed = new_simples(image, there, signer)
            rows += made
            simples += [NewSimple(shelf.tag, tuple(signed))] if signed else []
    after = {name: list(lines) for name, lines in before.items()}
    for row in rows:
        if row["status"] == "created":
            lines = after[row["reference"]]
            lines[:] = sorted([*lines, _line(row["format"], row["claimed_reference"])])
    shown = rows if repeatable else [_unknown(row) for row in rows]
    plan_additions(session, draft, bundles, simples, None if repeatable else Outcome(result={"signatures": rows}))
    return draft.plan({**_single(references, images), "signatures": shown}, before, after)


def _unknown(row: Row) -> Row:
    """Return a row of a signature that is another one each time: its digest is known only when it is stored."""
    return {**row, "digest": None} if (row["format"], row["status"]) == ("bundle", "created") else row


# --- absent


def _plan_absent(
    session: Session, draft: Draft, references: list[Reference], shelves: list[Shelf], signer: Signer
) -> Plan:
    rows: list[Row] = []
    before: dict[str, list[str]] = {}
    for shelf in shelves:
        ours = shelf.by(signer.public, {})
        before[str(shelf.subject)] = _lines(signature for _place, signature in ours)
        for place, signature in ours:
            holder = place.layer if place.tag else place.manifest
            digest = holder.digest if holder else None
            rows.append(signature_row(shelf.subject, signature.format, digest, signature.claimed_reference, "removed"))
        plan_removals(session, draft, shelf, [place for place, _signature in ours])
    after: dict[str, list[str]] = {name: [] for name in before}
    return draft.plan({**_single(references, shelves), "signatures": rows}, before, after)


# --- elsewhere


def _plan_payload(
    session: Session,
    references: list[Reference],
    claimed: tuple[str, ...] | None,
    annotations: t.Mapping[str, str],
    path: str,
) -> Plan:
    """Plan the file with the payload that is to be signed elsewhere."""
    images = _images(session, references, claimed, False)
    if len(images) != 1 or len(images[0].identities) != 1:
        raise InvalidInput("payload_path takes one payload; give one image, with one identity.")
    place = check_file(os.path.expanduser(path))
    payload = simple.build_payload(images[0].subject.digest, images[0].identities[0], annotations)
    old, new = digest_of_file(place, "sha256"), digest_of(payload)
    draft = Draft()
    if old is None or old[0] != new:
        text = f"Write the payload for {images[0].subject} ({len(payload)} bytes) to {path}."
        draft.do(Step(text, lambda: write_file(place, [payload])))
    result = {**_single(references, images), "signatures": []}
    return draft.plan(result, {path: old[0] if old else None}, {path: new})


# --- results


def _single(references: list[Reference], found: t.Sequence[ToSign | Shelf]) -> dict[str, t.Any]:
    """Return the results about the only image; null where there are several."""
    one = found[0].subject if len(references) == 1 and found else None
    return {
        "reference": str(one) if one else None,
        "digest": one.digest if one else None,
        "media_type": one.descriptor.media_type if one else None,
    }


def _lines(signatures: t.Iterable[Signature]) -> list[str]:
    return sorted(_line(signature.format, signature.claimed_reference) for signature in signatures)


def _line(kind: str, claimed: str | None) -> str:
    return f"{kind} as {claimed}" if claimed is not None else kind
