# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what runs still what the registry has?"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._errors import InvalidInput, NotFound, OCIError
from .._kit.bases import Bases, Standing, images_below
from .._kit.verifying import Verdicts, verify
from .._oci.digest import digest_problem
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._registry.session import Session
from .._trust.trust import Trust, parse_trust

_SHOWN = 3  # images of which a failure tells


@dataclass(frozen=True)
class _Running:
    """One image that runs somewhere, as it was given; ``digest`` alone is what it runs by."""

    given: t.Mapping[str, t.Any]
    reference: Reference
    digest: str


@dataclass(frozen=True)
class _Now:
    """What a name points at now: ``digest`` (None: it does not exist), and the digests below it, where they count.

    ``problem`` says why nothing is known of its base.
    """

    digest: str | None
    members: frozenset[str] = frozenset()
    verdicts: Verdicts | None = None
    standings: tuple[Standing, ...] = ()
    problem: OCIError | None = None

    def has(self, digest: str) -> bool:
        """Is this what the name points at, or an image in it?"""
        return digest == self.digest or digest in self.members


def drift_info(
    session: Session, *, images: list[dict[str, t.Any]], verify: dict[str, t.Any] | None, base: bool
) -> dict[str, t.Any]:
    """Compare what runs with what the names point at now; each name is asked for once.

    Raises InvalidInput (BASE_UNKNOWN) or NotFound with all results where nothing is known of a base.
    """
    running = [_parse(image) for image in images]
    trust = parse_trust(verify) if verify is not None else None
    digests: dict[Reference, set[str]] = {}
    for one in running:
        digests.setdefault(one.reference, set()).add(one.digest)
    look = _Look(session, Bases(session) if base else None, trust)
    found = dict(zip(digests, session.map(lambda pair: look.look(*pair), digests.items())))
    rows = [_row(one, found[one.reference]) for one in running]
    result = {"images": rows, "drifted": any(row["state"] != "current" for row in rows)}
    for now in found.values():
        for warning in now.verdicts.warnings if now.verdicts else ():
            session.transport.warn(warning)
    problems = [now.problem for now in found.values() if now.problem]
    if problems:
        more = f" The same goes for {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""
        text = " ".join(str(problem) for problem in problems[:_SHOWN]) + more
        first = problems[0]
        raise type(first)(text, first.code, first.registry, first.status, result)
    return result


def _parse(image: t.Mapping[str, t.Any]) -> _Running:
    reference = Reference.parse(image["name"])
    digest = str(image["digest"]).rpartition("@")[2]
    problem = digest_problem(digest)
    if problem:
        raise InvalidInput(f"images: the digest {image['digest']!r} of {image['name']} {problem}.")
    return _Running(image, reference, digest)


@dataclass(frozen=True)
class _Look:
    """Looks at names; by several threads."""

    session: Session
    bases: Bases | None
    trust: Trust | None

    def look(self, reference: Reference, digests: set[str]) -> _Now:
        """Say what a name points at now, and more only if one of these digests is that."""
        repository = self.session.repository(reference)
        found = repository.head(reference.target)
        if found is None:
            return _Now(None)
        members: frozenset[str] = frozenset()
        if found.media_type in INDEXES and digests != {found.digest}:
            index = repository.get(found.digest)
            below = images_below(repository, index, repository.full(found.digest))
            members = frozenset(item.digest for dummy, item in below)
        now = _Now(found.digest, members)
        if not any(now.has(digest) for digest in digests):
            return now
        if self.trust:
            verdicts = verify(self.session, reference, self.trust)  # with its tag, which the trust may be about
            if verdicts.digest != found.digest:
                return self.look(reference, digests)
            now = replace(now, verdicts=verdicts)
        if self.bases:
            try:
                standings = self.bases.standings(repository, repository.get(found.digest))
                now = replace(now, standings=tuple(standings))
            except (InvalidInput, NotFound) as exc:
                now = replace(now, problem=exc)
        return now


def _row(one: _Running, now: _Now) -> dict[str, t.Any]:
    is_current = now.has(one.digest)
    mine = [standing for standing in now.standings if one.digest in (standing.digest, now.digest)]
    behind = max(mine, key=lambda standing: standing.outdated, default=None) if is_current else None
    verdicts = now.verdicts if is_current else None
    if now.digest is None:
        state = "missing"
    elif not is_current:
        state = "outdated"
    elif verdicts and not verdicts.verified:
        state = "unsigned"
    else:
        state = "outdated_base" if behind and behind.outdated else "current"
    problem = now.problem if is_current else None
    return {
        "name": one.given["name"],
        "digest": one.given["digest"],
        "where": one.given["where"],
        "state": state,
        "latest_digest": now.digest,
        "reference": str(one.reference.with_digest(now.digest)) if now.digest else None,
        "verified": verdicts.verified if verdicts else None,
        "base": str(behind.name) if behind else None,
        "base_digest": behind.built_on if behind else None,
        "latest_base_digest": behind.latest if behind else None,
        "problem": (verdicts.problem if verdicts else "") or (str(problem) if problem else None),
    }
