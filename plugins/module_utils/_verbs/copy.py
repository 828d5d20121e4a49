# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy images between registries and repositories, byte for byte (crane copy)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound
from .._oci.filter import filter_index
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import INDEXES
from .._oci.parts import checked, members, parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Cost, Plan, Step
from .._registry.client import Repository
from .._registry.lists import tags as list_tags
from .._registry.read import read_blob
from .._registry.referrers import (
    COSIGN_SUFFIXES,
    digest_tag,
    merged_index,
    referrers_by_api,
    referrers_by_tag,
)
from .._registry.referrers import referrers as list_referrers
from .._registry.session import Session
from .._registry.write import put
from ._content import Content, Wanted, plan_content
from ._target import Target


@dataclass(frozen=True)
class _Pair:
    """One image to copy, as the user gave it."""

    src: Reference
    dest: Reference
    platforms: tuple[Platform, ...]


@dataclass(frozen=True)
class _Copy:
    """A pair with what both sides hold: the descriptor that the destination is to have, and what it has."""

    source: Repository
    target: Target
    pair: _Pair
    wanted: Descriptor
    filtered: Manifest | None = None

    def need(self, put: bool = False) -> Wanted:
        known = {self.filtered.digest: self.filtered} if self.filtered else {}
        return Wanted(self.source, self.target.repository, self.wanted, known, put=put)


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
    copies = session.map(partial(_look, session), pairs)
    _refuse_conflicts(copies)
    settled = [copy.target.settles(copy.wanted.digest, on_existing) for copy in copies]
    moving = [copy for copy, done in zip(copies, settled) if not done]
    landed = [copy for copy, done in zip(copies, settled) if not done or copy.target.previous == copy.wanted.digest]
    below = landed if repair else moving
    extra, extra_tags = _referrers(session, landed) if referrers else ([], [])
    content = plan_content(session, [copy.need() for copy in below] + extra, repair)
    tag_steps = [
        copy.target.step(content.manifests[str(copy.target.repository), copy.wanted.digest])
        for copy in moving + extra_tags
    ]
    steps = content.steps + (_referrer_lists(session, extra, content) if referrers else []) + tag_steps
    results = [_result(copy, copy in moving) for copy in copies]
    return Plan(
        result={**_single(results, copies), "images": results},
        before={str(copy.target.reference): copy.target.previous for copy in copies},
        after={result["dest"]: result["digest"] for result in results},
        steps=tuple(steps),
        spared=content.spared,
        notes=tuple(note for copy in copies if copy not in moving for note in copy.target.notes(copy.wanted.digest)),
        warnings=tuple(content.warnings),
    )


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
    source, target = Reference.parse_repository(src), Reference.parse_repository(dest)
    found = list_tags(session.repository(source))
    if not found:
        raise NotFound("%s has no tags to copy." % source.name, code="NAME_UNKNOWN", registry=source.registry)
    chosen = tuple(Platform.parse(text) for text in platforms)
    return [_Pair(source.with_tag(tag), target.with_tag(tag), chosen) for tag in found]


def _pair(src: str, dest: str, platforms: list[str]) -> _Pair:
    source, target = Reference.parse(src), Reference.parse(dest)
    if not target.tag and not target.digest:  # as the source is named
        target = (
            target.with_digest(source.digest) if source.digest and not source.tag else target.with_tag(source.target)
        )
    return _Pair(source, target, tuple(Platform.parse(text) for text in platforms))


def _look(session: Session, pair: _Pair) -> _Copy:
    """Find out what the source has and the destination has; a source by digest that is there already is not asked."""
    source = session.repository(pair.src)
    target = Target.look(session.repository(pair.dest, "pull", "push"), pair.dest)
    filtered = None
    if target.found and not pair.platforms and pair.src.digest == target.previous:
        wanted: Descriptor | None = target.found
    elif pair.platforms:
        with source.named():
            filtered = _filtered(source, pair)
        wanted = filtered.descriptor
    else:
        wanted = source.head(pair.src.target)
    if wanted is None:
        raise NotFound(
            "The source %s does not exist." % pair.src, code="MANIFEST_UNKNOWN", registry=pair.src.registry, status=404
        )
    if pair.dest.digest and pair.dest.digest != wanted.digest:
        raise InvalidInput(
            "%s cannot be copied to %s: its digest is %s, and a digest cannot be chosen."
            % (pair.src, pair.dest, wanted.digest)
        )
    return _Copy(source, target, pair, wanted, filtered)


def _filtered(source: Repository, pair: _Pair) -> Manifest:
    """Return the source's index with the wanted platforms alone; a single image is as good if it is of one of them."""
    manifest = checked(source.get(pair.src.target), str(pair.src))
    if manifest.is_index:
        return filter_index(manifest, pair.platforms, str(pair.src))
    configs = parts(manifest, "config")
    config = parse_json(read_blob(source, configs[0]), "The config of %s" % pair.src) if configs else None
    own = Platform.from_json(config)
    for wanted in pair.platforms:
        if not wanted.matches(own):
            raise ContentError(
                "%s is a single image for %s, and %s was asked for." % (pair.src, own or "no platform", wanted),
                code="PLATFORM_NOT_FOUND",
                registry=pair.src.registry,
            )
    return manifest


def _refuse_conflicts(copies: list[_Copy]) -> None:
    """Refuse a task that wants two different digests under one tag."""
    wanted: dict[Reference, _Copy] = {}
    for copy in copies:
        other = wanted.setdefault(copy.pair.dest, copy)
        if other.wanted.digest != copy.wanted.digest:
            raise InvalidInput(
                "%s and %s have different digests, and both are to become %s."
                % (other.pair.src, copy.pair.src, copy.pair.dest)
            )


def _result(copy: _Copy, moved: bool) -> dict[str, t.Any]:
    digest = copy.wanted.digest if moved else copy.target.previous
    return {
        "src": str(copy.pair.src),
        "dest": str(copy.pair.dest),
        "digest": digest,
        "reference": str(copy.pair.dest.with_digest(str(digest))),
        "previous_digest": copy.target.previous,
        "changed": moved,
    }


def _single(results: list[dict[str, t.Any]], copies: list[_Copy]) -> dict[str, t.Any]:
    """Return the results that describe one image; they are null where there are several."""
    keys = ("reference", "digest", "previous_digest")
    if len(results) != 1:
        return dict.fromkeys(("media_type", *keys))
    moved = results[0]["changed"] or not copies[0].target.found
    media_type = copies[0].wanted.media_type if moved else t.cast(Descriptor, copies[0].target.found).media_type
    return {"media_type": media_type, **{key: results[0][key] for key in keys}}


def _referrers(session: Session, copies: list[_Copy]) -> tuple[list[Wanted], list[_Copy]]:
    """Return what refers to the images, their members and to those again, and cosign's tags for all of these."""
    wanted: dict[tuple[str, str], Wanted] = {}
    tagged: list[_Copy] = []
    tags_of = {str(copy.source): frozenset(list_tags(copy.source)) for copy in copies}
    for copy in copies:
        subjects = [copy.wanted.digest]
        manifest = copy.filtered
        if manifest is None and copy.wanted.media_type in INDEXES:
            manifest = copy.source.get(copy.wanted.digest)
        subjects += [member.digest for member in members(manifest)] if manifest else []
        seen: set[str] = set()
        while subjects:
            digest = subjects.pop(0)
            if digest in seen:
                continue
            seen.add(digest)
            for item in list_referrers(copy.source, digest):
                wanted[str(copy.target.repository), item.digest] = Wanted(
                    copy.source, copy.target.repository, item, put=True
                )
                subjects.append(item.digest)
            for tag in (digest_tag(digest) + suffix for suffix in COSIGN_SUFFIXES):
                if tag in tags_of[str(copy.source)]:
                    pair = _Pair(copy.pair.src.with_tag(tag), copy.pair.dest.with_tag(tag), ())
                    tagged.append(_look(session, pair))
    moving = [copy for copy in tagged if not copy.target.settles(copy.wanted.digest, "replace")]
    return list(wanted.values()) + [copy.need() for copy in moving], moving


def _referrer_lists(session: Session, extra: list[Wanted], content: Content) -> list[Step]:
    """Return the steps that list referrers under their subject's tag, where the destination has no referrers API."""
    by_subject: dict[tuple[str, str], list[Manifest]] = {}
    repositories = {str(want.dest): want.dest for want in extra}
    for want in extra:
        manifest = content.manifests[str(want.dest), want.root.digest]
        for subject in parts(manifest, "subject") if want.put else []:
            by_subject.setdefault((str(want.dest), subject.digest), []).append(manifest)
    steps = []
    for (name, digest), manifests in by_subject.items():
        repository = repositories[name]
        if referrers_by_api(repository, digest) is not None:
            continue
        old = referrers_by_tag(repository, digest)
        new = merged_index(old, manifests)
        if old is None or new.digest != old.digest:
            tag = digest_tag(digest)
            steps.append(
                Step(
                    "List %d referrers of %s under %s." % (len(members(new)), digest, repository.full(tag)),
                    partial(_put_list, repository, tag, manifests),
                    Cost(bytes_sent=len(new.raw), bytes_received=len(new.raw) + (len(old.raw) if old else 0)),
                )
            )
    return steps


def _put_list(repository: Repository, tag: str, manifests: list[Manifest]) -> None:
    """Write the list, and look again: another writer may have read the same old list and written after us."""
    subject = tag.replace("-", ":", 1)
    for dummy in range(5):
        old = referrers_by_tag(repository, subject)
        new = merged_index(old, manifests)
        if old is not None and new.digest == old.digest:
            return
        put(repository, tag, new)
