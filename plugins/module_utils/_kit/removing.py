# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing tags and manifests without breaking what else uses them.

Whether a registry can remove a tag alone is found out when it is asked to (distribution-spec, "Content Management").
"""

from __future__ import annotations

import threading
import typing as t
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, NotFound, OCIError, Refused, RegistryError, Unsupported
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._registry.client import Repository
from .._registry.manifests import find_existing, put, remove
from .._registry.session import Session
from .._registry.tags import list_tags

_SHOWN = 5


@dataclass(frozen=True)
class Use:
    """What the tags of a repository point at, and what the indexes among that hold, at any depth, by tag."""

    digests: t.Mapping[str, str]
    holds: t.Mapping[str, frozenset[str]]
    size: int = 0
    """Bytes of the list of tags."""

    def tags(self, digest: str) -> list[str]:
        return [tag for tag, found in self.digests.items() if found == digest]

    def depth(self, digest: str) -> int:
        """Return a number that is smaller for an index than for what it holds."""
        return sum(digest in held for held in set(self.holds.values()))

    def others(self, digest: str, going: t.Collection[str]) -> list[str]:
        """Return the tags, but those that go, that point at a digest or at an index that holds it."""
        users = [*self.tags(digest), *(tag for tag, held in self.holds.items() if digest in held)]
        return [tag for tag in dict.fromkeys(users) if tag not in going]


def look_at_tags(session: Session, repository: Repository, known: Use | None = None) -> Use:
    """Look at all tags, and into the indexes among what they point at, but for those that were ``known`` before.

    Raises ContentError (LIST_INCOMPLETE) where the list may have been cut off: what it lacks would be broken.
    """
    counters = session.transport.counters
    before = counters.bytes_received
    tags = list_tags(repository, whole=True)
    size = counters.bytes_received - before
    heads = {tag: head for tag, head in zip(tags, session.map(repository.head, tags, "tags")) if head}
    return look_into(session, repository, heads, known, size)


def look_into(
    session: Session, repository: Repository, heads: t.Mapping[str, Descriptor], known: Use | None = None, size: int = 0
) -> Use:
    """Look into the indexes among some tags alone, but for those that were ``known`` before."""
    indexes = {head.digest: head for head in heads.values() if head.media_type in INDEXES}
    inside = {known.digests[tag]: held for tag, held in known.holds.items()} if known else {}
    unread = [digest for digest in indexes if digest not in inside]
    inside.update(zip(unread, session.map(partial(_inside, repository), [indexes[each] for each in unread])))
    return Use(
        {tag: head.digest for tag, head in heads.items()},
        {tag: inside[head.digest] for tag, head in heads.items() if head.digest in inside},
        size,
    )


def _inside(repository: Repository, root: Descriptor) -> frozenset[str]:
    """Return the digests of all that is below an index; of one that cannot be read, whatever it mentions."""
    if root.media_type not in INDEXES:
        return frozenset()
    found: set[str] = set()

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        inner = []
        for item in level:
            indexes: list[Descriptor] = []
            if item.media_type in INDEXES:
                try:
                    manifests, blobs = below(repository.get(item.digest))
                    found.update(part.digest for part in manifests + blobs)
                    indexes = [part for part in manifests if part.media_type in INDEXES]
                except NotFound:  # a sparse index
                    pass
            inner.append(indexes)
        return inner

    try:
        walk([root], children, lambda item: item.digest, repository.full(root.digest))
    except ContentError:
        raw = repository.get_raw(root.digest).raw.decode("utf-8", "replace")
        found.update(part for part in raw.split('"') if part.startswith(("sha256:", "sha512:")))
    return frozenset(found)


def deletes_tags_with_manifest(repository: Repository) -> bool:
    """Is it known, without a write, that this registry cannot remove a tag and leave its manifest?

    Harbor deletes the manifest with all its tags. CNCF distribution came to remove tags and to page lists of them in
    the same release, 3.0: one that takes ``n=x`` for a number is older. It answers in the plain text of its router
    where other registries have the referrers API.
    """
    if repository.registry.parameters.get("service") == "harbor-registry":
        return True
    probe = repository.request("GET", "tags/list?n=x")
    probe.discard()
    if probe.status != 200 or "Docker-Distribution-Api-Version" not in probe.headers:
        return False
    probe = repository.request("GET", f"referrers/sha256:{'0' * 64}")
    return probe.status == 404 and probe.discard().startswith(b"404 page not found")


def is_shared(repository: Repository, named: Reference, others: list[str]) -> OCIError:
    """Return the error that says which tags a deletion would break."""
    host = repository.registry.host
    if not named.digest:
        text = f"{named} cannot be removed alone: {host} does not delete tags, and deleting its manifest would also"
        return Unsupported(f"{text} break {listed(others)}.", registry=host)
    text = f"{named} is used by {listed(others)}, which deleting it would break."
    return Refused(f"{text} Delete those first, or set force: true.", "MANIFEST_SHARED", host)


def listed(tags: t.Sequence[str]) -> str:
    """Return the first of some tags, and how many more there are."""
    more = f" and {len(tags) - _SHOWN} more" if len(tags) > _SHOWN else ""
    return ", ".join(tags[:_SHOWN]) + more


def put_back(repository: Repository, manifest: Manifest, tags: t.Iterable[str]) -> None:
    """Put back a manifest and tags of it that are needed, and went with another tag, as with ECR and Harbor.

    Raises RegistryError, which names all that is lost, where that fails.
    """
    lost = [target for target in (manifest.digest, *tags) if find_existing(repository, target) is None]
    for number, target in enumerate(lost):
        try:
            put(repository, target, manifest)
        except OCIError as exc:
            text = f"{repository.full(manifest.digest)} went with one of its tags, although others need it, and"
            text += f" {listed(lost[number:])} could not be put back: {exc}"
            raise RegistryError(text, exc.code, exc.registry, exc.status, {"changed": True}) from exc


def is_still(repository: Repository, tag: str, digest: str) -> bool:
    """Look again; False where somebody has removed the tag. Raises Refused where it was moved."""
    now = find_existing(repository, tag)
    if now is not None and now.digest != digest:
        text = f"{repository.full(tag)} has become {now.digest} meanwhile, so it was not deleted"
        raise Refused(f"{text}; run this task again.", "TAG_MOVED", repository.registry.host)
    return now is not None


class Again:
    """What the tags of a repository need by the time that the first manifest goes; much may have happened before.

    ``going`` are all the tags that the task removes there: what goes together may go.
    """

    def __init__(self, session: Session, repository: Repository, going: frozenset[str], before: Use) -> None:
        self._session, self.repository, self.going, self.before = session, repository, going, before
        self._lock = threading.Lock()
        self._use: Use | None = None

    def others(self, digest: str) -> list[str]:
        """Return the tags that need a manifest by now, but those that go, and still are what they were."""
        with self._lock:
            self._use = now = self._use or look_at_tags(self._session, self.repository, self.before)
        going = {tag for tag in self.going if now.digests.get(tag) == self.before.digests.get(tag)}
        return now.others(digest, going)

    def check(self, digest: str) -> None:
        """Raise Refused where a tag has come to need a manifest since it was looked for such tags."""
        others = self.others(digest)
        if others:
            text = f"{self.repository.full(digest)} is needed by {listed(others)} meanwhile, so it was not deleted"
            raise Refused(f"{text}; run this task again.", "TAG_MOVED", self.repository.registry.host)

    def savers(self, digests: t.Iterable[str], use: Use) -> dict[str, t.Callable[[], None]]:
        """Read the manifests that tags need which stay, and return by digest what puts them back for these tags."""
        needed = [digest for digest in dict.fromkeys(digests) if use.others(digest, self.going)]
        found = zip(needed, self._session.map(self.repository.get_raw, needed))
        stay = {digest: [tag for tag in use.tags(digest) if tag not in self.going] for digest in needed}
        return {digest: partial(put_back, self.repository, manifest, stay[digest]) for digest, manifest in found}

    def keepers(self, digests: t.Iterable[str]) -> dict[str, t.Callable[[], None]]:
        """Read manifests and the list of tags, and return by digest what puts back what went with a tag of it.

        For who has not looked at all tags, which takes a request for each.
        """
        names = None
        with suppress(RegistryError):  # who may remove a tag may not be allowed to list them
            names = frozenset(list_tags(self.repository))
        different = list(dict.fromkeys(digests))
        found = zip(different, self._session.map(self.repository.get_raw, different))
        return {digest: partial(self._keep, manifest, names) for digest, manifest in found}

    def _keep(self, manifest: Manifest, names: frozenset[str] | None) -> None:
        """Put back a manifest that went with a tag, and the tags that went with it, where somebody needs it.

        What has gone of the ``names`` since they were listed has gone with it.
        """
        if self.repository.head(manifest.digest, writing=True):
            return
        if names is None:
            put_back(self.repository, manifest, [])
            text = f"{self.repository.full(manifest.digest)} went with one of its tags, and was put back; its tags"
            text += " cannot be listed, so that others of them may have gone, too."
            self._session.transport.warnings.append(text)
            return
        lost = sorted(names.difference(list_tags(self.repository), self.going))
        if lost or self.others(manifest.digest):
            put_back(self.repository, manifest, lost)

    def untag(self, tag: str, digest: str, save: t.Callable[[], None] | None, force: bool = False) -> None:
        """Remove a tag that is what it was; where the registry refuses that, its manifest, unless others need it.

        ``save`` is called after a tag was removed: with some registries, its manifest goes too. Raises Refused where
        the tag was moved, Unsupported where the manifest has to stay.
        """
        repository = self.repository
        if not is_still(repository, tag, digest):
            return
        if remove(repository, tag, may_lack=True):
            if save:
                save()
            return
        others = [] if force else self.others(digest)
        if others:
            raise is_shared(repository, Reference(repository.registry.host, repository.name, tag), others)
        remove(repository, digest)
