# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete tags and manifests, and nothing that something else uses (crane delete).

Whether a registry can remove a tag alone is found out when it is asked to (distribution-spec, "Content Management").
Where that can be known before, the plan tells; else its words name both outcomes.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._errors import (
    ContentError,
    InvalidInput,
    NotFound,
    OCIError,
    Refused,
    Unsupported,
)
from .._oci.manifest import Descriptor
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._plan import Draft, Plan, Step
from .._registry.client import Repository
from .._registry.manifests import find_existing, remove
from .._registry.referrers import digest_tag
from .._registry.session import Session
from .._registry.tags import list_tags

_SHOWN = 5


@dataclass(frozen=True)
class _Wanted:
    """A name that the user gave, and what it means now."""

    reference: Reference
    repository: Repository
    found: Descriptor | None

    @property
    def is_tag(self) -> bool:
        return self.reference.digest is None

    @property
    def digest(self) -> str:
        return self.found.digest if self.found else ""


@dataclass(frozen=True)
class _Use:
    """What the tags of a repository point at, and what the indexes among that hold, at any depth, by tag."""

    digests: t.Mapping[str, str]
    holds: t.Mapping[str, frozenset[str]]

    def tags(self, digest: str) -> list[str]:
        return [tag for tag, found in self.digests.items() if found == digest]

    def depth(self, digest: str) -> int:
        """Return a number that is smaller for an index than for what it holds."""
        return sum(digest in held for held in set(self.holds.values()))

    def others(self, digest: str, going: t.Collection[str]) -> list[str]:
        """Return the tags, but those that go, that point at a digest or at an index that holds it."""
        users = [*self.tags(digest), *(tag for tag, held in self.holds.items() if digest in held)]
        return [tag for tag in dict.fromkeys(users) if tag not in going]


@dataclass
class _Task:
    """One task's deletions in one repository. Its tags are looked at once, and only where that is needed."""

    session: Session
    repository: Repository
    wanted: list[_Wanted]
    force: bool
    deleted: list[str] = field(default_factory=list)
    untagged: list[str] = field(default_factory=list)
    tags: t.Mapping[str, str] = field(default_factory=dict)
    """The digests of tags, as far as they were looked at."""

    def plan(self, draft: Draft) -> None:
        """Add the steps: tags first, then manifests, indexes before what is below them."""
        there = [one for one in self.wanted if one.found]
        tags = {one.reference.target for one in there if one.is_tag}
        alone = bool(tags) and not _deletes_tags_with_manifest(self.repository)
        for one in there:
            if one.is_tag and alone:
                self._untag(draft, one)
        manifests = {one.digest: one for one in there if not (one.is_tag and alone)}
        if manifests:
            use = _look_at_tags(self.session, self.repository)
            self.tags = use.digests
            going = set(tags)
            for one in manifests.values():
                same = use.tags(one.digest)
                # A digest that one tag has is what the user named; a second tag is somebody else's.
                going.update(same if self.force or (not one.is_tag and len(same) == 1) else ())
            for one in sorted(manifests.values(), key=lambda one: use.depth(one.digest)):
                self._delete(draft, one, use, going)

    def _untag(self, draft: Draft, one: _Wanted) -> None:
        tag = one.reference.target
        self.untagged.append(tag)
        self.tags = {**self.tags, tag: one.digest}
        text = f"Remove the tag {one.reference}; where its registry cannot do that, delete {one.digest}"
        run = partial(_untag, self.session, self.repository, tag, one.digest, self.force)
        draft.do(Step(f"{text}, unless something else uses it.", run))

    def _delete(self, draft: Draft, one: _Wanted, use: _Use, going: t.Collection[str]) -> None:
        others = use.others(one.digest, going)
        if others and not self.force:
            raise _shared(self.repository, one.reference, others)
        same = use.tags(one.digest)
        self.deleted.append(one.digest)
        self.untagged += [tag for tag in same if tag not in self.untagged]
        also = f", and with it the tags {_listed(same)}" if same else ""
        own = digest_tag(one.digest)
        for tag in (tag for tag in use.digests if tag.partition(".")[0] == own and tag not in going):
            text = f"Keep {self.repository.full(tag)}, which holds signatures or the like of {one.digest}"
            draft.note(f"{text}; delete it too, if nobody needs it.")
        run = partial(_delete, self.repository, one.digest)
        draft.do(Step(f"Delete the manifest {self.repository.full(one.digest)}{also}.", run))


def plan_delete(session: Session, *, name: str | None, names: list[str] | None, force: bool) -> Plan:
    """Plan the removal of tags alone where the registry can do that, else of their manifests if nothing else uses them.

    Raises Refused, Unsupported, Denied, and InvalidInput for a name without a tag or digest.
    """
    references = [_parse(text) for text in dict.fromkeys([name] if name is not None else names or [])]
    wanted = session.map(partial(_look, session), references, "images")
    draft = Draft()
    tasks: dict[str, _Task] = {}
    for one in wanted:
        task = tasks.setdefault(str(one.repository), _Task(session, one.repository, [], force))
        task.wanted.append(one)
    for task in tasks.values():
        task.plan(draft)
    before: dict[str, str | None] = {str(one.reference): one.found.digest if one.found else None for one in wanted}
    for task in tasks.values():
        before.update({task.repository.full(tag): task.tags[tag] for tag in task.untagged})
        before.update({digest: digest for digest in task.deleted})
    deleted = list(dict.fromkeys(digest for task in tasks.values() for digest in task.deleted))
    untagged = list(dict.fromkeys(tag for task in tasks.values() for tag in task.untagged))
    result = {**_single(wanted), "deleted": deleted, "untagged": untagged}
    return draft.plan(result, before, dict.fromkeys(before) if deleted or untagged else before)


def _parse(text: str) -> Reference:
    reference = Reference.parse(text)
    if not reference.tag and not reference.digest:
        why = f"{reference.name} names neither a tag nor a digest, and none is implied where something is deleted"
        raise InvalidInput(f"{why}; write {text}:TAG or {text}@DIGEST.", "INVALID_REFERENCE")
    return reference


def _look(session: Session, reference: Reference) -> _Wanted:
    """Find out what a name means now."""
    repository = session.repository(reference, "pull", "push", "delete")
    return _Wanted(reference, repository, find_existing(repository, reference.target))


def _single(wanted: list[_Wanted]) -> dict[str, t.Any]:
    """Return the results that describe one name; they are null where there are several, or it does not exist."""
    found = wanted[0].found if len(wanted) == 1 else None
    return {
        "reference": str(wanted[0].reference.with_digest(found.digest)) if found else None,
        "digest": found.digest if found else None,
        "media_type": found.media_type if found else None,
        "previous_digest": found.digest if found else None,
    }


def _look_at_tags(session: Session, repository: Repository) -> _Use:
    """Look at all tags, and into the indexes among what they point at."""
    tags = list_tags(repository)
    heads = {tag: head for tag, head in zip(tags, session.map(repository.head, tags)) if head}
    indexes = {head.digest: head for head in heads.values() if head.media_type in INDEXES}
    inside = dict(zip(indexes, session.map(partial(_inside, repository), indexes.values())))
    return _Use(
        {tag: head.digest for tag, head in heads.items()},
        {tag: inside[head.digest] for tag, head in heads.items() if head.digest in inside},
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


def _deletes_tags_with_manifest(repository: Repository) -> bool:
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


def _shared(repository: Repository, named: Reference, others: list[str]) -> OCIError:
    host = repository.registry.host
    if not named.digest:
        text = f"{named} cannot be removed alone: {host} does not delete tags, and deleting its manifest would also"
        return Unsupported(f"{text} break {_listed(others)}.", registry=host)
    text = f"{named} is used by {_listed(others)}, which deleting it would break."
    return Refused(f"{text} Delete those first, or set force: true.", "MANIFEST_SHARED", host)


def _listed(tags: t.Sequence[str]) -> str:
    more = f" and {len(tags) - _SHOWN} more" if len(tags) > _SHOWN else ""
    return ", ".join(tags[:_SHOWN]) + more


def _untag(session: Session, repository: Repository, tag: str, digest: str, force: bool) -> None:
    """Remove a tag; where the registry refuses that, delete its manifest, if nothing else uses it."""
    if remove(repository, tag, may_lack=True):
        return
    others = _look_at_tags(session, repository).others(digest, {tag})
    if others and not force:
        raise _shared(repository, Reference(repository.registry.host, repository.name, tag), others)
    remove(repository, digest)


def _delete(repository: Repository, digest: str) -> None:
    remove(repository, digest)
