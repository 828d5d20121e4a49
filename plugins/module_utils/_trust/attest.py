# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestations that an image must have: of a type, by somebody trusted, saying what a query asks, and young enough."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field

from .._errors import InvalidInput, Refused
from .._oci.query import Query, compile_query
from .._oci.times import parse_duration
from .candidates import Candidate
from .judge import NO, Facts, authentic, check_size, crowd
from .statement import Statement, predicate_type_of
from .trust import Trust

_OPTIONS = ("predicate_type", "query", "max_age")
_SKEW = 300.0  # seconds that another clock may be ahead


@dataclass(frozen=True)
class Wanted:
    """One attestation that must be there; ``max_age`` is in seconds."""

    predicate_type: str
    query: str = ""
    max_age: float | None = None
    _search: Query = field(default=compile_query(None), repr=False, compare=False)


@dataclass(frozen=True)
class Attestation:
    """One candidate of the type that is wanted, judged. The predicate is None unless somebody trusted signed it."""

    predicate_type: str
    verified: bool
    location: str
    predicate: t.Mapping[str, t.Any] | None = field(default=None, repr=False)
    key_fingerprint: str | None = None
    identity: str | None = None
    issuer: str | None = None
    problem: str | None = None
    time: float | None = None
    """When it was made, in seconds since 1970, where a log or a time stamp says so: who attests may say anything."""

    @property
    def signer(self) -> tuple[str | None, ...]:
        return self.key_fingerprint, self.identity, self.issuer

    def result(self) -> dict[str, t.Any]:
        """Return what modules show."""
        return {key: value for key, value in asdict(self).items() if key != "time"}


@dataclass(frozen=True)
class AttestationVerdict:
    verified: bool
    attestations: tuple[Attestation, ...] = ()
    problem: str = ""


def parse_wanted(value: t.Any) -> tuple[Wanted, ...]:
    """Read the option ``attestations``. Raises InvalidInput, and MissingLibrary ("jmespath")."""
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInput("attestations must be a list of dicts that is not empty.")
    return tuple(map(_wanted, value))


def _wanted(value: t.Any) -> Wanted:
    if not isinstance(value, dict) or value.keys() - set(_OPTIONS):
        raise InvalidInput(f"attestations: each is a dict of {', '.join(_OPTIONS)}.")
    predicate_type, query = value.get("predicate_type"), value.get("query") or ""
    if not isinstance(predicate_type, str) or not isinstance(query, str):
        raise InvalidInput("attestations: predicate_type must be there, and it and the query must be texts.")
    age = value.get("max_age")
    seconds = None if age is None else parse_duration(age, "max_age")
    return Wanted(predicate_type_of(predicate_type), query, seconds, compile_query(query))


def judge_attestations(
    trust: Trust, wanted: t.Sequence[Wanted], digest: str, candidates: t.Sequence[Candidate], now: float
) -> AttestationVerdict:
    """Say whether the image of this digest has all attestations that are wanted, each by ``threshold`` signers.

    ``now`` is in seconds since 1970. `identity`, `annotations` and `formats` of the trust are about signatures and play
    no part here. Raises InvalidInput where the trust is a policy, which says nothing about attestations.
    """
    if trust.policy:
        raise InvalidInput("A policy says nothing about attestations; give keys or a certificate to trust for them.")
    too_many = crowd(candidates)
    if too_many:
        return AttestationVerdict(False, problem=too_many)
    statements = [candidate for candidate in candidates if candidate.format in ("bundle", "envelope")]
    found, problems = [], []
    for want in wanted:
        judged = [one for candidate in statements for one in _judged(trust, want, digest, candidate, now)]
        signers = {one.signer for one in judged if one.verified}
        found += judged
        if len(signers) < trust.threshold:
            problems.append(_why(want, judged, trust.threshold, len(signers)))
    return AttestationVerdict(not problems, tuple(found), " ".join(problems))


def _why(want: Wanted, judged: t.Sequence[Attestation], threshold: int, signers: int) -> str:
    what = f"attestation of the type {want.predicate_type}"
    if signers:
        return f"It has an {what} by {signers} of those who are trusted; {threshold} different ones must have signed."
    if not judged:
        return f"It has no {what}."
    problems = list(dict.fromkeys(one.problem for one in judged if one.problem))
    return f"It has no {what} that counts: {' '.join(problems[:3])}"


def _judged(trust: Trust, want: Wanted, digest: str, candidate: Candidate, now: float) -> t.Iterator[Attestation]:
    """Yield the verdict on one candidate; nothing where it is of another type."""
    facts: Facts = {}
    predicate = problem = None
    try:
        check_size(candidate)
        statement, facts["time"] = authentic(trust, candidate, facts, want.predicate_type)
        if statement is None:
            return
        if statement.predicate_type != want.predicate_type:
            raise Refused(f"It is of the type {statement.predicate_type}.")
        if not statement.about(digest):
            raise Refused("It is about another image.")
        predicate = statement.predicate
        _check_query(want, statement)
        _check_age(want, statement.time if facts["time"] is None else facts["time"], now)
    except NO as exc:
        problem = str(exc)
    location = candidate.location
    yield Attestation(want.predicate_type, problem is None, location, predicate, problem=problem, **facts)


def _check_query(want: Wanted, statement: Statement) -> None:
    if not want.query:
        return
    try:
        answer = want._search(statement.predicate)
    except RecursionError:
        raise Refused("Its predicate is nested too deeply to be asked.") from None
    if answer is not True:
        raise Refused(f"The query {want.query!r} is not true of it.")


def _check_age(want: Wanted, time: float | None, now: float) -> None:
    if want.max_age is None:
        return
    if time is None:
        raise Refused("Neither a log nor its predicate says when it was made, so its age is not known.")
    if time > now + _SKEW:
        raise Refused("It was made in the future, by the time that it says.")
    if now - time > want.max_age:
        raise Refused(f"It is {int(now - time)} seconds old; {int(want.max_age)} are allowed.")
