# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting content in place: which manifests and blobs a repository lacks, and the steps that bring them there."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._errors import ContentError
from .._oci.image import blobs as blobs_of
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES, MANIFESTS
from .._oci.parts import members
from .._plan import Cost, Step
from .._registry.blobs import has_blob, stream_blob
from .._registry.client import Repository
from .._registry.manifests import put
from .._registry.session import Session
from .._registry.upload import Open, mount_blob, upload_blob

_MAX_DEPTH = 8


@dataclass(frozen=True)
class Wanted:
    """A manifest that is to be complete in ``dest``, with all below it, which comes from ``source``.

    ``known`` are manifests, and ``local`` openers of blobs, that the verb made itself; they are not asked for at the
    source. ``elsewhere`` holds the repositories of blobs that come from another one than ``source``. ``put``: the
    manifest is stored by its digest too, not only by the tags that the verb writes.
    """

    source: Repository
    dest: Repository
    root: Descriptor
    known: t.Mapping[str, Manifest] = field(default_factory=dict)
    local: t.Mapping[str, Open] = field(default_factory=dict)
    put: bool = False
    elsewhere: t.Mapping[str, Repository] = field(default_factory=dict)


@dataclass
class Content:
    """The steps that put content in place, what they need not do, and every manifest that was read on the way."""

    steps: list[Step] = field(default_factory=list)
    spared: Cost = field(default_factory=Cost)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Need:
    """One piece of content that ``dest`` may lack, and who wants it."""

    item: Descriptor
    dest: Repository
    wanted: Wanted

    @property
    def key(self) -> tuple[str, str]:
        return str(self.dest), self.item.digest

    @property
    def source(self) -> Repository:
        return self.wanted.elsewhere.get(self.item.digest, self.wanted.source)


def _unique(needs: t.Iterable[_Need], seen: t.Container[tuple[str, str]] = ()) -> list[_Need]:
    return list({need.key: need for need in needs if need.key not in seen}.values())


def plan_content(session: Session, wanted: t.Sequence[Wanted], repair: bool = False) -> Content:
    """Plan what makes every wanted manifest complete, children before indexes, each piece once.

    What a repository has by digest is taken to be complete, as registries check it when it is put; ``repair`` looks
    below it all the same.
    """
    content = Content()
    blobs: list[_Need] = []
    absent: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    # What one of them wants to be stored by its digest is, although another writes it under a tag.
    roots = {(str(want.dest), want.root.digest): want.put for want in sorted(wanted, key=lambda want: want.put)}
    below: dict[tuple[str, str], list[_Need]] = {}
    level = top = _unique(_Need(want.root, want.dest, want) for want in wanted)
    for dummy in range(_MAX_DEPTH):
        seen.update(need.key for need in level)
        present = session.map(lambda need: need.dest.head(need.item.digest, writing=True) is not None, level)
        absent.update(need.key for need, there in zip(level, present) if not there)
        read = [need for need in level if repair or need.key in absent or need.key in roots]
        for need, manifest in zip(read, session.map(_get, read)):
            content.manifests[need.key] = manifest
            if not repair and need.key not in absent:
                continue
            children = below[need.key] = []
            for item in members(manifest):
                kind = children if item.media_type in INDEXES | MANIFESTS else blobs
                kind.append(_Need(item, need.dest, need.wanted))
            blobs += [_Need(item, need.dest, need.wanted) for item in blobs_of(manifest)]
        level = _unique((child for need in read for child in below.get(need.key, ())), seen)
        if not level:
            break
    else:
        raise ContentError(f"{wanted[0].root.digest} nests its indexes too deeply.", code="MANIFEST_INVALID")
    _plan_blobs(session, _unique(blobs), content)
    inner = {child.key for children in below.values() for child in children}
    missing = [need for need in _children_first(top, below) if need.key in absent]
    for need in sorted(missing, key=lambda need: content.manifests[need.key].is_index):
        if need.key in inner or roots[need.key]:
            content.steps.append(_put_step(need, content.manifests[need.key]))
    return content


def _children_first(needs: list[_Need], below: t.Mapping[tuple[str, str], list[_Need]]) -> list[_Need]:
    """Return the manifests and all below them, each once and after its members."""
    ordered: dict[tuple[str, str], _Need] = {}

    def visit(need: _Need) -> None:
        if need.key not in ordered:
            for child in below.get(need.key, ()):
                visit(child)
            ordered[need.key] = need

    for need in needs:
        visit(need)
    return list(ordered.values())


def _get(need: _Need) -> Manifest:
    known = need.wanted.known.get(need.item.digest)
    source, digest = need.wanted.source, need.item.digest
    if known:
        return known
    return source.get(digest)


def _put_step(need: _Need, manifest: Manifest) -> Step:
    kind = "index" if manifest.is_index else "manifest"
    return Step(
        f"Put the {kind} {need.dest}@{manifest.digest}.",
        lambda: put(need.dest, manifest.digest, manifest),
        Cost(bytes_sent=len(manifest.raw)),
        stage="" if manifest.is_index else f"manifests of {need.dest}",
    )


def _plan_blobs(session: Session, needs: list[_Need], content: Content) -> None:
    """Add the steps for blobs: those that are sent first, then those that are mounted from where they are by then."""
    present = session.map(lambda need: has_blob(need.dest, need.item.digest), needs)
    content.spared += Cost(blobs_skipped=sum(present))
    at = {(need.dest.registry.host, need.item.digest): need.dest for need, there in zip(needs, present) if there}
    mounts = []
    for need in (need for need, there in zip(needs, present) if not there):
        digest, source = need.item.digest, need.source
        local = need.wanted.local.get(digest)
        place = (need.dest.registry.host, digest)
        if place in at:
            mounts.append(_mount_step(need, at[place]))
        elif not local and source.registry.host == need.dest.registry.host and source.name != need.dest.name:
            mounts.append(_mount_step(need, source))
        elif not local and is_foreign(need.item.media_type) and not has_blob(source, digest):
            content.warnings.append(
                f"The layer {digest} is not in {source} (it may not be distributed), so it is not copied."
            )
        else:
            at[place] = need.dest
            content.steps.append(_push_step(need))
    content.steps += mounts


def _opener(need: _Need) -> Open:
    return need.wanted.local.get(need.item.digest) or partial(stream_blob, need.source, need.item)


def _push_step(need: _Need) -> Step:
    local = need.item.digest in need.wanted.local
    size = need.item.size
    return Step(
        f"Send the blob {need.item.digest} ({int(size)} bytes) to {need.dest}.",
        lambda: upload_blob(need.dest, need.item, _opener(need)),
        Cost(bytes_sent=size, bytes_received=0 if local else size, blobs_pushed=1),
        stage="blobs",
    )


def _mount_step(need: _Need, source: Repository) -> Step:
    def run() -> Cost | None:
        if mount_blob(need.dest, need.item.digest, source.name):
            return None
        upload_blob(need.dest, need.item, _opener(need))
        return Cost(blobs_pushed=1)

    text = f"Mount the blob {need.item.digest} from {source.name} in {need.dest}."
    return Step(text, run, Cost(blobs_mounted=1), stage="mounts")
