# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on an image: is it signed as a trust demands? Nothing is fetched here, and nothing unsigned is believed."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, replace

from .._errors import ContentError, InvalidInput, Refused
from .._oci.reference import Reference
from . import simple, texts
from .bundle import read_bundle
from .candidates import MAX_CANDIDATES, MAX_SIZES, Candidate
from .dsse import Envelope, parse_envelope
from .keys import PublicKey
from .policy import Reader, Requirement
from .statement import SIGNED, Statement, read_statement
from .trust import Trust, read_file

Facts = dict[str, t.Any]
NO = (ContentError, InvalidInput, Refused)  # what makes a candidate count for nothing


@dataclass(frozen=True)
class Signature:
    """One candidate, judged. What it claims is None unless somebody trusted signed it."""

    format: str
    verified: bool
    location: str
    key_fingerprint: str | None = None
    identity: str | None = None
    issuer: str | None = None
    claimed_reference: str | None = None
    problem: str | None = None
    time: float | None = None
    """When it was made, in seconds since 1970, where a log or a time stamp says so: who signs may say anything."""

    @property
    def signer(self) -> tuple[str | None, ...]:
        """Who signed; the threshold counts different ones."""
        return self.key_fingerprint, self.identity, self.issuer

    def result(self) -> dict[str, t.Any]:
        """Return what modules show."""
        return {key: value for key, value in asdict(self).items() if key != "time"}


@dataclass(frozen=True)
class Verdict:
    """``problem`` says in a sentence or more why an image is not verified; it is empty where it is."""

    verified: bool
    signatures: tuple[Signature, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()


def judge(
    trust: Trust, image: Reference, digest: str, candidates: t.Sequence[Candidate], read: Reader = read_file
) -> Verdict:
    """Say whether the image, which has this digest, is signed as the trust demands.

    ``image`` is the name under which the user knows it; ``read`` reads the keys that a policy names by path. What other
    formats hold, and statements that are no signatures, are left out. Raises MissingLibrary.
    """
    too_many = crowd(candidates)
    if too_many:
        return Verdict(False, problem=too_many)
    if trust.policy:
        return _judge_by_policy(trust.policy.requirements(image), image, digest, candidates, read)
    formats = [candidate for candidate in candidates if candidate.format in trust.formats]
    found = [judged for candidate in formats for judged in _judged(trust, image, digest, candidate)]
    signers = {signature.signer for signature in found if signature.verified}
    verified = len(signers) >= trust.threshold
    return Verdict(verified, tuple(found), "" if verified else _why(found, trust.threshold, len(signers)))


def crowd(candidates: t.Sequence[Candidate]) -> str:
    """Say that there are more candidates than are read; empty where there are not."""
    if len(candidates) <= MAX_CANDIDATES:
        return ""
    return f"There are {len(candidates)} signatures and attestations; no more than {MAX_CANDIDATES} are read."


def _why(found: t.Sequence[Signature], threshold: int, signers: int) -> str:
    if signers:
        return f"It is signed by {signers} of those who are trusted; {threshold} different ones must have signed."
    if not found:
        return "It has no signature."
    problems = list(dict.fromkeys(signature.problem for signature in found if signature.problem))
    more = f" (and {len(problems) - 3} other problems)" if len(problems) > 3 else ""
    return f"None of its {len(found)} signatures counts: {' '.join(problems[:3])}{more}"


def _judged(trust: Trust, image: Reference, digest: str, candidate: Candidate) -> t.Iterator[Signature]:
    """Yield the verdict on one candidate; nothing where it is no signature at all."""
    facts: Facts = {}
    problem = None
    try:
        check_size(candidate)
        if candidate.format == "simple":
            _check_simple(trust, image, digest, candidate, facts)
        elif not _check_bundle(trust, digest, candidate, facts):
            return
    except NO as exc:
        problem = str(exc)
    yield Signature(candidate.format, problem is None, candidate.location, problem=problem, **facts)


def check_size(candidate: Candidate) -> None:
    """Raise Refused where a candidate was not fetched, or is larger than what is read."""
    limit = MAX_SIZES[candidate.format]
    if candidate.problem:
        raise Refused(candidate.problem)
    if len(candidate.content) > limit:
        raise Refused(f"It has {len(candidate.content)} bytes; {limit} are read at most.")


def _check_simple(trust: Trust, image: Reference, digest: str, candidate: Candidate, facts: Facts) -> None:
    """Fill in the facts about a simple signature, or raise one of NO."""
    text = candidate.annotations.get(simple.SIGNATURE)
    if not text:
        raise Refused(f"Its layer has no signature (the annotation {simple.SIGNATURE}).")
    signature = texts.from_base64(text, "The signature")
    if not trust.keys:
        raise Refused("A simple signature is verified with keys alone; keyless ones are read from bundles.")
    hint = "It is keyless; those are read from bundles alone." if simple.CERTIFICATE in candidate.annotations else ""
    key = _key_of(trust.keys, signature, candidate.content, hint)
    facts["key_fingerprint"] = key.fingerprint
    payload = simple.read_payload(candidate.content)
    facts["claimed_reference"] = payload.name
    if payload.digest != digest:
        raise Refused(f"It signs another image, {payload.digest}.")
    if not any(identity.accepts(image, payload.name) for identity in trust.identities):
        raise Refused(f"It claims the name {texts.shown(payload.name)}, which identity does not accept for this image.")
    _check_annotations(trust, [payload.optional])


def _key_of(keys: t.Sequence[PublicKey], signature: bytes, message: bytes, hint: str = "") -> PublicKey:
    for key in keys:
        if key.verify(signature, message):
            return key
    doubts = dict.fromkeys(f"{key.doubt[0].upper()}{key.doubt[1:]}." for key in keys if key.doubt)
    text = "It is not by the key that is trusted." if len(keys) == 1 else "It is by none of the keys that are trusted."
    raise Refused(" ".join([text, *([hint] if hint else doubts)]))


def _check_annotations(trust: Trust, signed: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Raise Refused unless one of the signed sets of annotations has all that are wanted."""
    if not any(all(found.get(key) == text for key, text in trust.annotations) for found in signed):
        wanted = ", ".join(f"{key}={text}" for key, text in trust.annotations)
        raise Refused(f"The annotations that are wanted ({wanted}) are not in what was signed.")


def _check_bundle(trust: Trust, digest: str, candidate: Candidate, facts: Facts) -> bool:
    """Fill in the facts about a bundle, or raise one of NO; False where it does not even claim to be a signature."""
    statement, facts["time"] = authentic(trust, candidate, facts, SIGNED)
    if statement is None:
        return False
    subjects = statement.about(digest)
    if not subjects:
        raise Refused("It signs another image.")
    if not trust.any_name:
        raise Refused("A bundle claims no name, and identity asks for one; a simple signature has it.")
    _check_annotations(trust, [subject.annotations for subject in subjects])
    return True


def authentic(
    trust: Trust, candidate: Candidate, facts: Facts, predicate_type: str
) -> tuple[Statement | None, float | None]:
    """Return a statement that somebody trusted signed, and the sure time of that, in seconds since 1970, if any.

    No statement where it is of another predicate type, which is looked at first; then nothing was verified. Raises one
    of NO. The facts get the signer.
    """
    bundle = None if candidate.format == "envelope" else read_bundle(candidate.content)
    envelope = bundle.envelope if bundle else parse_envelope(candidate.content, "The envelope")
    statement, wrong = _claimed(envelope)
    if statement and statement.predicate_type != predicate_type:
        return None, None
    time = None
    if bundle and bundle.keyless:
        if not trust.certificate:
            raise Refused("It is keyless, and the trust has no certificate to verify it with.")
        signer, time = trust.certificate.verify(candidate.content, bundle)
        facts.update(identity=signer.identity, issuer=signer.issuer)
    else:
        if not trust.keys:
            raise Refused("It is by a key, and the trust has none.")
        facts["key_fingerprint"] = _key_of(trust.keys, envelope.signature, envelope.signed).fingerprint
    if wrong:
        raise wrong
    return statement, time


def _claimed(envelope: Envelope) -> tuple[Statement | None, ContentError | None]:
    """Return the statement in an envelope that nobody verified yet, or what is wrong with it."""
    try:
        return read_statement(envelope.payload_type, envelope.payload), None
    except ContentError as exc:
        return None, exc


def _judge_by_policy(
    requirements: t.Sequence[Requirement],
    image: Reference,
    digest: str,
    candidates: t.Sequence[Candidate],
    read: Reader,
) -> Verdict:
    """All requirements must hold. Podman reads simple signatures alone, and so do its policies."""
    signed = [candidate for candidate in candidates if candidate.format == "simple"]
    best = [Signature("simple", False, candidate.location) for candidate in signed]
    problems = []
    for requirement in requirements:
        found, problem = _judge_requirement(requirement, image, digest, signed, read)
        problems += [problem] if problem else []
        best = [_better(old, new) for old, new in zip(best, found)] if found else best
    if problems:
        text = " ".join(problems)
        judged = (old if old.verified or old.problem else replace(old, problem=text) for old in best)
        return Verdict(False, tuple(judged), text)
    if all(requirement.kind == "insecureAcceptAnything" for requirement in requirements):
        text = f"The policy accepts {image} without a signature, so it says nothing about who made it."
        return Verdict(True, (), "", (text,))
    return Verdict(True, tuple(best))


def _better(old: Signature, new: Signature) -> Signature:
    if old.verified or not new.verified:
        return old if old.verified or old.problem else new
    return new


def _judge_requirement(
    requirement: Requirement, image: Reference, digest: str, signed: t.Sequence[Candidate], read: Reader
) -> tuple[list[Signature], str]:
    """Return what a requirement makes of each signature, and why it does not hold (empty where it does)."""
    if requirement.kind == "insecureAcceptAnything":
        return [], ""
    if requirement.kind == "reject":
        return [], f"The policy rejects {image}."
    if requirement.unable:
        return [], f"The policy asks for more than can be judged: {requirement.unable}."
    try:
        trust = Trust(requirement.keys(read), identities=(requirement.identity,))
    except InvalidInput as exc:
        return [], f"The policy has a key that cannot be used: {exc}"
    found = [judged for candidate in signed for judged in _judged(trust, image, digest, candidate)]
    return found, "" if any(signature.verified for signature in found) else _why(found, 1, 0)
