# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting content in its place: blobs, manifests and indexes that a repository lacks, children before indexes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Manifest
from .._oci.walk import below, walk
from .._plan import ContentStep, Cost, Draft, Outcome, Step
from .._registry.blobs import has_blob, stream_blob
from .._registry.client import Repository
from .._registry.manifests import put
from .._registry.session import Session
from .._registry.upload import Open, mount_blob, upload_blob

Manifests = dict[tuple[str, str], Manifest]
"""Manifests by the name of the repository where they are wanted (``host/name``), and digest."""


@dataclass(frozen=True)
class Wanted:
    """A manifest that is to be complete in ``dest``, with all below it, which comes from ``source``.

    ``known`` are manifests, and ``local`` openers of blobs, that the verb made itself; they are not asked for at the
    source. ``elsewhere`` holds the repositories of blobs that come from another one than ``source``. ``by_digest``:
    the manifest is stored by its digest too, not only by the tags that the verb writes. ``absent`` are the digests of
    members that are known to be at neither side (mirrors hold such sparse indexes); they are not looked for.
    """

    source: Repository
    dest: Repository
    root: Descriptor
    known: t.Mapping[str, Manifest] = field(default_factory=dict)
    local: t.Mapping[str, Open] = field(default_factory=dict)
    by_digest: bool = False
    elsewhere: t.Mapping[str, Repository] = field(default_factory=dict)
    absent: t.Collection[str] = ()


@dataclass
class Planned:
    """What steps that were planned before will have stored when later ones run, by repository and digest.

    ``at`` names a repository for the blobs of each host, from which others may mount them.
    """

    keys: set[tuple[str, str]] = field(default_factory=set)
    at: dict[tuple[str, str], Repository] = field(default_factory=dict)

    def copy(self) -> Planned:
        return Planned(set(self.keys), dict(self.at))


@dataclass(frozen=True)
class _Need:
    """One piece of content that ``dest`` may lack, and who wants it."""

    item: Descriptor
    wanted: Wanted

    @property
    def dest(self) -> Repository:
        return self.wanted.dest

    @property
    def key(self) -> tuple[str, str]:
        return str(self.dest), self.item.digest

    @property
    def source(self) -> Repository:
        return self.wanted.elsewhere.get(self.item.digest, self.wanted.source)

    @property
    def local(self) -> Open | None:
        return self.wanted.local.get(self.item.digest)

    def get(self) -> Manifest:
        known = self.wanted.known.get(self.item.digest)
        return known or self.wanted.source.get(self.item.digest)


def plan_content(
    session: Session,
    draft: Draft,
    wanted: t.Sequence[Wanted],
    repair: bool = False,
    planned: Planned | None = None,
) -> Manifests:
    """Plan what makes every wanted manifest complete, each piece once, and return the manifests that were read.

    What a repository has by digest is taken to be complete, as registries check it when it is put; ``repair`` looks
    below it all the same. What is ``planned`` already is not planned again, and what is now is added to it. Raises
    NotFound for what the source does not have either.
    """
    planned = planned or Planned()
    manifests: Manifests = {}
    needed: list[_Need] = []
    missing: set[tuple[str, str]] = set()
    inner: set[tuple[str, str]] = set()
    # What one of them wants to be stored by its digest is, although another writes it under a tag.
    in_order = sorted(wanted, key=lambda want: want.by_digest)
    roots = {(str(want.dest), want.root.digest): want.by_digest for want in in_order}

    def children(level: list[_Need]) -> list[list[_Need]]:
        present = session.map(partial(_has_manifest, planned.keys), level, "manifests")
        missing.update(need.key for need, there in zip(level, present) if not there)
        read = [need for need in level if repair or need.key in missing or need.key in roots]
        manifests.update(zip((need.key for need in read), session.map(_Need.get, read, "manifests")))
        found = []
        for need in level:
            inside, blobs = below(manifests[need.key]) if repair or need.key in missing else ([], [])
            needed.extend(_Need(item, need.wanted) for item in blobs)
            found.append([_Need(item, need.wanted) for item in inside if item.digest not in need.wanted.absent])
            inner.update(child.key for child in found[-1])
        return found

    first = [_Need(want.root, want) for want in wanted]
    ordered = walk(first, children, lambda need: need.key, wanted[0].root.digest if wanted else "")
    _plan_blobs(session, draft, list({need.key: need for need in needed}.values()), planned)
    puts = [need for need in ordered if need.key in missing and (need.key in inner or roots[need.key])]
    puts.sort(key=lambda need: manifests[need.key].is_index)  # images side by side, then indexes, which need them
    draft.do(*(_put_step(need, manifests[need.key]) for need in puts))
    planned.keys.update(need.key for need in puts)
    return manifests


def _has_manifest(planned: t.Collection[tuple[str, str]], need: _Need) -> bool:
    return need.key in planned or need.dest.head(need.item.digest, writing=True) is not None


def _put_step(need: _Need, manifest: Manifest) -> Step:
    kind = "index" if manifest.is_index else "manifest"
    inside, blobs = below(manifest)
    return ContentStep(
        f"Put the {kind} {need.dest}@{manifest.digest}.",
        lambda: put(need.dest, manifest.digest, manifest),
        Cost(bytes_sent=len(manifest.raw)),
        stage="" if manifest.is_index else f"manifests of {need.dest}",
        key=need.key,
        below=[item.digest for item in inside + blobs],
    )


def _plan_blobs(session: Session, draft: Draft, needs: list[_Need], planned: Planned) -> None:
    """Add the steps for blobs: those that are sent first, then those that are mounted from where they are by then.

    The largest ones begin first, so that none of them goes on alone when all others have come.
    """
    needs = [need for need in needs if need.key not in planned.keys]
    present = session.map(lambda need: has_blob(need.dest, need.item.digest), needs, "blobs")
    draft.skip(sum(present))
    at = planned.at
    at.update({(need.dest.registry.host, need.item.digest): need.dest for need, there in zip(needs, present) if there})
    pushes: list[Step] = []
    mounts: list[Step] = []
    for need in (need for need, there in zip(needs, present) if not there):
        digest, source = need.item.digest, need.source
        slot = (need.dest.registry.host, digest)
        if slot in at:
            mounts.append(_mount_step(need, at[slot]))
        elif not need.local and is_foreign(need.item.media_type) and not has_blob(source, digest):
            draft.warn(f"The layer {digest} is not in {source} (it may not be distributed), so it is not copied.")
        elif not need.local and source.registry.host == need.dest.registry.host and source.name != need.dest.name:
            mounts.append(_mount_step(need, source))
        else:
            at[slot] = need.dest
            pushes.append(_push_step(need))
    draft.do(*sorted(pushes, key=lambda step: -step.cost.bytes_sent), *mounts)
    planned.keys.update(need.key for need in needs)


def _opener(need: _Need) -> Open:
    return need.local or partial(stream_blob, need.source, need.item)


def _push_step(need: _Need) -> Step:
    size = need.item.size
    return ContentStep(
        f"Send the blob {need.item.digest} ({size} bytes) to {need.dest}.",
        lambda: upload_blob(need.dest, need.item, _opener(need)),
        Cost(bytes_sent=size, bytes_received=0 if need.local else size, blobs_pushed=1),
        stage="blobs",
        key=need.key,
    )


def _mount_step(need: _Need, source: Repository) -> Step:
    def run() -> Outcome | None:
        if mount_blob(need.dest, need.item.digest, source.name):
            return None
        upload_blob(need.dest, need.item, _opener(need))
        return Outcome(Cost(blobs_pushed=1))

    text = f"Mount the blob {need.item.digest} from {source.name} in {need.dest}."
    return ContentStep(text, run, Cost(blobs_mounted=1), stage="mounts", key=need.key)
