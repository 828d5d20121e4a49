# SPDX-License-Identifier: GPL-3.0-or-later
"""Attest something of an image: a signed statement, as a bundle beside it."""

from __future__ import annotations

import os
import typing as t

from .._errors import ContentError, InvalidInput
from .._kit.signing import (
    NewBundle,
    Shelf,
    Subject,
    bundle_manifest,
    is_repeatable,
    open_key,
    plan_additions,
    plan_removals,
)
from .._kit.verifying import Place
from .._oci.manifest import Json, canonical_json, parse_json
from .._oci.reference import Reference
from .._plan import Draft, Outcome, Plan
from .._registry.session import Session
from .._trust.candidates import MAX_SIZES
from .._trust.signing import attest
from .._trust.statement import SIGNED, predicate_type_of
from .._trust.trust import is_text


def plan_attest(
    session: Session,
    *,
    name: str,
    predicate: t.Any,
    predicate_type: str,
    key: str | None,
    key_content: str | None,
    passphrase: str | None,
    replace: bool,
) -> Plan:
    """Plan an attestation, unless this key has attested the same; with ``replace``, its others of the type go.

    Raises Refused, InvalidInput, NotFound, MissingLibrary.
    """
    reference, kind = Reference.parse(name), predicate_type_of(predicate_type)
    if kind == SIGNED:
        raise InvalidInput(f"{SIGNED} is the type of signatures, which oci_sign makes.")
    said = _predicate(predicate)
    private = open_key(session, key, key_content, passphrase)
    subject = Subject.find(session, reference, *(["delete"] if replace else []))
    shelf = Shelf.read(subject, ["bundle", "envelope"] if replace else ["bundle"], [kind])
    there = shelf.attested(private.public, kind)
    same = [place for place, one in there if one.verified and one.predicate == said and not place.tag]
    others = [place for place, one in there if place not in same[:1]] if replace else []

    draft, rows, known = Draft(), [], True
    if same:
        rows.append(_row(subject, same[0].manifest.digest if same[0].manifest else None, "current"))
        shown = rows
    else:
        raw = attest(private, subject.digest, kind, said)
        new = NewBundle(subject, raw, bundle_manifest(subject, raw, kind), f"attestation of the type {kind}")
        rows.append(_row(subject, new.manifest.digest, "created"))
        known = is_repeatable(private)
        shown = rows if known else [_row(subject, None, "created")]
    gone = [_removed(subject, place) for place in others]
    if not same:
        outcome = None if known else Outcome(result={"signatures": [*rows, *gone]})
        plan_additions(session, draft, [new], [], outcome)
    plan_removals(session, draft, shelf, others, "attestation")
    before = [one.predicate for _place, one in there if one.predicate is not None]
    kept = [one.predicate for place, one in there if one.predicate is not None and place not in others]
    result = {
        "reference": str(subject),
        "digest": subject.digest,
        "media_type": subject.descriptor.media_type,
        "signatures": [*shown, *gone],
    }
    after = kept if same else [*kept, said]
    return draft.plan(result, {kind: _texts(before)}, {kind: _texts(after)})


def _predicate(value: t.Any) -> Json:
    """Return what is attested: a dict, or what a JSON file holds."""
    if isinstance(value, str):
        if is_text(value) or value.lstrip().startswith("{"):
            text = "predicate is a text, and a dict or the path of a file is meant"
            raise InvalidInput(f"{text}; the filter from_json makes a dict of JSON.")
        path = os.path.expanduser(value)
        try:
            with open(path, "rb") as file:
                raw = file.read(MAX_SIZES["bundle"] + 1)
        except OSError as exc:
            raise InvalidInput(f"predicate: {value} cannot be read: {exc.strerror}.", "FILE_ERROR") from None
        except ValueError:  # a NUL
            raise InvalidInput("predicate is neither a dict nor the path of a file.") from None
        if len(raw) > MAX_SIZES["bundle"]:
            raise InvalidInput(f"predicate: {value} has more than {MAX_SIZES['bundle']} bytes.", "TOO_LARGE")
        try:
            return parse_json(raw, f"The predicate {value}")
        except ContentError as exc:
            raise InvalidInput(str(exc)) from None
    if not isinstance(value, dict):
        raise InvalidInput("predicate must be a dict, or the path of a file with a JSON object.")
    try:
        return parse_json(canonical_json(value), "The predicate")
    except (ContentError, TypeError, ValueError) as exc:
        raise InvalidInput(f"predicate cannot be written as JSON: {exc}") from None


def _row(subject: Subject, digest: str | None, status: str) -> Json:
    return {
        "format": "bundle",
        "digest": digest,
        "reference": str(subject),
        "claimed_reference": None,
        "status": status,
    }


def _removed(subject: Subject, place: Place) -> Json:
    """Return the row of an attestation that goes: a bundle, or a layer under cosign's tag."""
    if place.tag and place.layer:
        return {**_row(subject, place.layer.digest, "removed"), "format": "envelope"}
    return _row(subject, place.manifest.digest if place.manifest else None, "removed")


def _texts(predicates: t.Iterable[t.Any]) -> list[str]:
    """Return what a diff shows of predicates: their text, or how long it is."""
    texts = [canonical_json(value).decode("utf-8") for value in predicates]
    return sorted(text if len(text) < 2000 else f"{text[:2000]}... ({len(text)} characters)" for text in texts)
