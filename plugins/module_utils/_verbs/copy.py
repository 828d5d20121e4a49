# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy images between repositories and registries (crane copy).

What only some copies need is imported where it is used: a task that has nothing to do costs what is sent for it.
"""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput, NotFound
from .._kit.copying import Copy, Pair, look_at_pairs, plan_copies
from .._kit.target import named_like
from .._oci.manifest import Descriptor
from .._oci.reference import Reference
from .._plan import Draft, Plan
from .._registry.session import Session

if t.TYPE_CHECKING:
    from .._oci.platform import Platform


def plan_copy(
    session: Session,
    *,
    src: str | None,
    dest: str | None,
    images: list[dict[str, t.Any]] | None,
    platforms: list[str],
    all_tags: bool,
    tags: dict[str, t.Any] | None,
    repair: bool,
    referrers: bool,
    on_existing: str,
) -> Plan:
    """Plan a copy: one HEAD on each side settles what is up to date; content goes before tags."""
    if all_tags:
        pairs = _every_tag(session, src, dest, platforms, tags)
    else:
        if tags is not None:
            raise InvalidInput("tags chooses among all tags of a repository; set all_tags: true.")
        given: list[dict[str, t.Any]] = images if images is not None else [{"src": src, "dest": dest}]
        pairs = [_pair(item["src"], item["dest"], item.get("platforms") or platforms) for item in given]
    copies = look_at_pairs(session, pairs)
    copies, beside = _apart(copies) if all_tags and referrers else (copies, [])
    settled = [copy.target.is_settled(copy.wanted.digest, on_existing) for copy in copies]
    moving = [copy for copy, done in zip(copies, settled) if not done]
    landed = [copy for copy, done in zip(copies, settled) if not done or copy.target.previous == copy.wanted.digest]
    draft = Draft()
    for copy, done in zip(copies, settled):
        if done:
            draft.note(*copy.target.notes(copy.wanted.digest))
    moves = [not done for done in settled]
    new = [copy for copy in beside if copy.target.found is None]
    if moving or new or ((repair or referrers) and landed):
        owned = plan_copies(session, draft, moving, landed, repair, referrers, beside=new).owned
        others = [copy for copy in beside if str(copy.target.reference) not in owned]
        draft.note(*(_kept(copy) for copy in others if copy.target.previous not in (None, copy.wanted.digest)))
        others = [copy for copy in others if copy.target.previous in (None, copy.wanted.digest)]
        copies = [*copies, *others]
        moves += [copy.target.found is None for copy in others]
    rows = [_row(copy, moving) for copy, moving in zip(copies, moves)]
    before = {row["dest"]: row["previous_digest"] for row in rows}
    after = {row["dest"]: row["digest"] for row in rows}
    return draft.plan({**_single(rows, copies), "images": rows}, before, after)


def _apart(copies: t.Sequence[Copy]) -> tuple[list[Copy], list[Copy]]:
    """Return copies of images, and those of tags for signatures and the like, which are merged with what is there."""
    from .._oci.tagrules import is_digest_tag

    beside = [bool(is_digest_tag(copy.target.reference.tag or "")) for copy in copies]
    return (
        [copy for copy, tag in zip(copies, beside) if not tag],
        [copy for copy, tag in zip(copies, beside) if tag],
    )


def _kept(copy: Copy) -> str:
    """Say that signatures and the like of something that is not copied stay as the destination has them."""
    text = f"Keep {copy.target.reference} at {copy.target.previous}: it belongs to no image that is copied"
    return f"{text}, and is {copy.wanted.digest} at the source."


def _every_tag(
    session: Session, src: str | None, dest: str | None, platforms: list[str], rules: dict[str, t.Any] | None
) -> list[Pair]:
    """Return a pair for each tag of a repository, or those that rules choose.

    With rules or platforms, the tags of signatures and the like are left out.
    """
    from .._oci.tagrules import is_digest_tag, rule_chooser
    from .._registry.tags import list_tags

    if not src or not dest:
        raise InvalidInput("all_tags needs src and dest, both of them repositories.")
    source, target = Reference.parse_repository(src), Reference.parse_repository(dest)
    choose = rule_chooser(rules) if rules is not None else list
    found = list_tags(session.repository(source))
    if not found:
        raise NotFound(f"{source.name} has no tags to copy.", "NAME_UNKNOWN", source.registry)
    chosen = _platforms(platforms)
    wanted = [tag for tag in choose(found) if not (chosen and is_digest_tag(tag))]
    return [Pair(source.with_tag(tag), target.with_tag(tag), chosen) for tag in wanted]


def _pair(src: str, dest: str, platforms: list[str]) -> Pair:
    """Read one pair; a destination without a tag is named as the source is."""
    source = Reference.parse(src)
    return Pair(source, named_like(source, Reference.parse(dest)), _platforms(platforms))


def _platforms(texts: list[str]) -> tuple[Platform, ...]:
    if not texts:
        return ()
    from .._oci.platform import Platform

    return tuple(Platform.parse(text) for text in texts)


def _row(copy: Copy, moves: bool) -> dict[str, t.Any]:
    digest = copy.wanted.digest if moves else copy.target.previous
    return {
        "src": str(copy.pair.src),
        "dest": str(copy.target.reference),
        "digest": digest,
        "reference": str(copy.pair.dest.with_digest(str(digest))),
        "previous_digest": copy.target.previous,
        "changed": moves,
    }


def _single(rows: list[dict[str, t.Any]], copies: list[Copy]) -> dict[str, t.Any]:
    """Return the results that describe one image; they are null where there are several, or none."""
    keys = ("reference", "digest", "previous_digest")
    if len(rows) != 1:
        return dict.fromkeys(("media_type", *keys))
    moves = rows[0]["changed"] or not copies[0].target.found
    media_type = copies[0].wanted.media_type if moves else t.cast(Descriptor, copies[0].target.found).media_type
    return {"media_type": media_type, **{key: rows[0][key] for key in keys}}
