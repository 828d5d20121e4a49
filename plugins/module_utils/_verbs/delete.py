# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete tags and manifests, and nothing that something else uses (crane delete).

Whether a registry can remove a tag alone is found out when it is asked to (distribution-spec, "Content Management").
Where that can be known before, the plan tells; else its words name both outcomes.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._errors import InvalidInput
from .._kit.removing import (
    Again,
    Use,
    deletes_tags_with_manifest,
    is_shared,
    is_still,
    listed,
    look_at_tags,
    look_into,
)
from .._oci.manifest import Descriptor
from .._oci.reference import Reference
from .._plan import Cost, Draft, Plan, Step
from .._registry.client import Repository
from .._registry.manifests import find_existing, remove
from .._registry.referrers import digest_tag
from .._registry.session import Session


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


@dataclass
class _Task:
    """One task's deletions in one repository. Its tags are looked at once, and only where that is needed."""

    session: Session
    repository: Repository
    wanted: list[_Wanted]
    force: bool
    deleted: list[str] = field(default_factory=list)
    untagged: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    """The digests of tags, as far as they were looked at."""

    def plan(self, draft: Draft) -> None:
        """Add the steps: indexes before what is below them, and tags before manifests."""
        there = [one for one in self.wanted if one.found]
        tags = {one.reference.target for one in there if one.is_tag}
        alone = bool(tags) and not deletes_tags_with_manifest(self.repository)
        untagged = [one for one in there if one.is_tag and alone]
        manifests = {one.digest: one for one in there if not (one.is_tag and alone)}
        if manifests:
            use = look_at_tags(self.session, self.repository)
        else:  # a tag alone goes without a look at all the others
            named = {one.reference.target: one.found for one in untagged if one.found}
            use = look_into(self.session, self.repository, named)
        self.tags.update(use.digests)
        going = set(tags)
        for one in manifests.values():
            same = use.tags(one.digest)
            # A digest that one tag has is what the user named; a second tag is somebody else's.
            going.update(same if self.force or (not one.is_tag and len(same) == 1) else ())
        again = Again(self.session, self.repository, frozenset(going), use)
        keepers = again.keepers(one.digest for one in untagged) if untagged and not self.force else {}
        for one in sorted([*untagged, *manifests.values()], key=lambda one: use.depth(one.digest)):
            if one.is_tag and alone:
                self._untag(draft, one, again, keepers.get(one.digest))
            else:
                self._delete(draft, one, use, again)

    def _untag(self, draft: Draft, one: _Wanted, again: Again, keep: t.Callable[[], None] | None) -> None:
        tag = one.reference.target
        self.untagged.append(tag)
        self.tags[tag] = one.digest
        text = f"Remove the tag {one.reference}; where its registry cannot do that, delete {one.digest}"
        run = partial(again.untag, tag, one.digest, keep, self.force)
        draft.do(Step(f"{text}, unless something else uses it.", run))

    def _delete(self, draft: Draft, one: _Wanted, use: Use, again: Again) -> None:
        others = use.others(one.digest, again.going)
        if others and not self.force:
            raise is_shared(self.repository, one.reference, others)
        same = use.tags(one.digest)
        self.deleted.append(one.digest)
        self.untagged += [tag for tag in same if tag not in self.untagged]
        also = f", and with it the tags {listed(same)}" if same else ""
        own = digest_tag(one.digest)
        for tag in (tag for tag in use.digests if tag.partition(".")[0] == own and tag not in again.going):
            text = f"Keep {self.repository.full(tag)}, which holds signatures or the like of {one.digest}"
            draft.note(f"{text}; delete it too, if nobody needs it.")
        run = partial(_delete, again, one.digest, same, self.force)
        looks = not self.force and len(self.deleted) == 1  # before the first deletion
        text = f"Delete the manifest {self.repository.full(one.digest)}{also}."
        draft.do(Step(text, run, Cost(bytes_received=use.size if looks else 0)))


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


def _delete(again: Again, digest: str, tags: t.Sequence[str], force: bool) -> None:
    """Delete a manifest, unless its tags have moved since they were looked at, or others have come to need it."""
    for tag in tags:
        is_still(again.repository, tag, digest)
    if not force:
        again.check(digest)
    remove(again.repository, digest)
