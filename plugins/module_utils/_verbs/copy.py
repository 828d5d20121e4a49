# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy images between registries and repositories, byte for byte (crane copy).

What only a copy with something to do needs is imported where it is used, but never in a thread: in Python 3.9 a module
that one thread imports from a zip looks complete to the others before it is.
"""

from __future__ import annotations

import typing as t
from functools import partial

from .._errors import InvalidInput, NotFound
from .._kit.target import Target
from .._oci.manifest import Descriptor, Manifest
from .._oci.reference import Reference
from .._plan import Plan, Step
from .._registry.client import Repository
from .._registry.session import Session

if t.TYPE_CHECKING:
    from .._kit.content import Wanted
    from .._oci.platform import Platform


_Choose = t.Callable[[Repository, Reference, "tuple[Platform, ...]"], Manifest]


class _Pair(t.NamedTuple):
    """One image to copy, as the user gave it."""

    src: Reference
    dest: Reference
    platforms: tuple[Platform, ...]


class Copy(t.NamedTuple):
    """A pair with what both sides hold: the descriptor that the destination is to have, and what it has."""

    source: Repository
    target: Target
    pair: _Pair
    wanted: Descriptor
    filtered: Manifest | None = None

    def need(self) -> Wanted:
        """Return the content that the destination needs."""
        from .._kit.content import Wanted

        known = {self.filtered.digest: self.filtered} if self.filtered else {}
        return Wanted(self.source, self.target.repository, self.wanted, known)


def plan_copy(
    session: Session,
    *,
    src: str | None,
    dest: str | None,
    images: list[dict[str, t.Any]] | None,
    platforms: list[str],
    all_tags: bool,
    repair: bool,
    referrers: bool,
    on_existing: str,
) -> Plan:
    """Plan a copy: one HEAD on each side settles what is up to date; content goes before tags."""
    pairs = _pairs(session, src, dest, images, platforms, all_tags)
    choose: _Choose | None = None
    if any(pair.platforms for pair in pairs):
        from .._kit.image import filtered

        choose = filtered
    copies = session.map(partial(_look, session, choose), pairs)
    _refuse_conflicts(copies)
    settled = [copy.target.settles(copy.wanted.digest, on_existing) for copy in copies]
    moving = [copy for copy, done in zip(copies, settled) if not done]
    landed = [copy for copy, done in zip(copies, settled) if not done or copy.target.previous == copy.wanted.digest]
    results = [_result(copy, copy in moving) for copy in copies]
    plan = Plan(
        result={**_single(results, copies), "images": results},
        before={str(copy.target.reference): copy.target.previous for copy in copies},
        after={result["dest"]: result["digest"] for result in results},
        notes=tuple(note for copy in copies if copy not in moving for note in copy.target.notes(copy.wanted.digest)),
    )
    if moving or repair or referrers:
        return _with_steps(session, plan, moving, landed, repair, referrers)
    return plan


def _with_steps(
    session: Session, plan: Plan, moving: list[Copy], landed: list[Copy], repair: bool, referrers: bool
) -> Plan:
    """Add what moves content and sets tags; ``landed`` are those that the destination has, or will have."""
    from .._kit.content import plan_content

    needs = [copy.need() for copy in (landed if repair else moving)]
    extra: list[Wanted] = []
    steps: list[Step] = []
    if referrers:
        from .._kit.referrers import find_referrers, list_steps

        extra, tagged = find_referrers(landed)
        cosign = [_Pair(copy.pair.src.with_tag(tag), copy.pair.dest.with_tag(tag), ()) for copy, tag in tagged]
        beside = [_look(session, None, pair) for pair in cosign]
        beside = [copy for copy in beside if not copy.target.settles(copy.wanted.digest, "replace")]
        needs += [*extra, *(copy.need() for copy in beside)]
        moving = moving + beside
    content = plan_content(session, needs, repair)
    if referrers:
        steps = list_steps(extra, content)
    tags = [copy.target.step(content.manifests[str(copy.target.repository), copy.wanted.digest]) for copy in moving]
    return plan._replace(steps=(*content.steps, *steps, *tags), spared=content.spared, warnings=tuple(content.warnings))


def _pairs(
    session: Session,
    src: str | None,
    dest: str | None,
    images: list[dict[str, t.Any]] | None,
    platforms: list[str],
    all_tags: bool,
) -> list[_Pair]:
    """Read the options: one pair, a list of pairs, or every tag of a repository."""
    if not all_tags:
        given = images or [{"src": src, "dest": dest, "platforms": None}]
        return [_pair(item["src"], item["dest"], item.get("platforms") or platforms) for item in given]
    if not src or not dest:
        raise InvalidInput("all_tags needs src and dest, both of them repositories.")
    from .._registry.tags import list_tags

    source, target = Reference.parse_repository(src), Reference.parse_repository(dest)
    found = list_tags(session.repository(source))
    if not found:
        raise NotFound(f"{source.name} has no tags to copy.", "NAME_UNKNOWN", source.registry)
    chosen = _platforms(platforms)
    return [_Pair(source.with_tag(tag), target.with_tag(tag), chosen) for tag in found]


def _pair(src: str, dest: str, platforms: list[str]) -> _Pair:
    source, target = Reference.parse(src), Reference.parse(dest)
    if not target.tag and not target.digest:  # as the source is named
        target = (
            target.with_digest(source.digest) if source.digest and not source.tag else target.with_tag(source.target)
        )
    return _Pair(source, target, _platforms(platforms))


def _platforms(texts: list[str]) -> tuple[Platform, ...]:
    if not texts:
        return ()
    from .._oci.platform import Platform

    return tuple(Platform.parse(text) for text in texts)


def _look(session: Session, choose: _Choose | None, pair: _Pair) -> Copy:
    """Find out what the source has and the destination has; a source by digest that is there already is not asked."""
    source = session.repository(pair.src)
    target = Target.look(session.repository(pair.dest, "pull", "push"), pair.dest)
    filtered = None
    if target.found and not pair.platforms and pair.src.digest == target.previous:
        wanted: Descriptor | None = target.found
    elif choose and pair.platforms:
        with source.named():
            filtered = choose(source, pair.src, pair.platforms)
        wanted = filtered.descriptor
    else:
        wanted = source.head(pair.src.target)
    if wanted is None:
        raise NotFound(f"The source {pair.src} does not exist.", "MANIFEST_UNKNOWN", pair.src.registry, 404)
    if pair.dest.digest and pair.dest.digest != wanted.digest:
        text = f"{pair.src} cannot be copied to {pair.dest}: its digest is {wanted.digest}"
        raise InvalidInput(f"{text}, and a digest cannot be chosen.")
    return Copy(source, target, pair, wanted, filtered)


def _refuse_conflicts(copies: list[Copy]) -> None:
    """Refuse a task that wants two different digests under one tag."""
    wanted: dict[Reference, Copy] = {}
    for copy in copies:
        other = wanted.setdefault(copy.pair.dest, copy)
        if other.wanted.digest != copy.wanted.digest:
            text = f"{other.pair.src} and {copy.pair.src} have different digests, and both are to become"
            raise InvalidInput(f"{text} {copy.pair.dest}.")


def _result(copy: Copy, moved: bool) -> dict[str, t.Any]:
    digest = copy.wanted.digest if moved else copy.target.previous
    return {
        "src": str(copy.pair.src),
        "dest": str(copy.pair.dest),
        "digest": digest,
        "reference": str(copy.pair.dest.with_digest(str(digest))),
        "previous_digest": copy.target.previous,
        "changed": moved,
    }


def _single(results: list[dict[str, t.Any]], copies: list[Copy]) -> dict[str, t.Any]:
    """Return the results that describe one image; they are null where there are several."""
    keys = ("reference", "digest", "previous_digest")
    if len(results) != 1:
        return dict.fromkeys(("media_type", *keys))
    moved = results[0]["changed"] or not copies[0].target.found
    media_type = copies[0].wanted.media_type if moved else t.cast(Descriptor, copies[0].target.found).media_type
    return {"media_type": media_type, **{key: results[0][key] for key in keys}}
