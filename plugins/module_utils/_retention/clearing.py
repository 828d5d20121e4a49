# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting what a decision says, in one repository: each time it is looked first whether things are as they were."""

from __future__ import annotations

import threading
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from .._errors import NotFound, RegistryError, Unsupported
from .._kit.removing import put_back
from .._oci.manifest import Descriptor
from .._oci.tagrules import is_digest_tag
from .._plan import Draft, Outcome, Step
from .._registry.client import Repository
from .._registry.manifests import find_existing, remove
from .._registry.session import Session
from .._registry.tags import list_tags
from .fates import Fates
from .graph import Graph
from .retention import Reason

REFUSED = "refused"
"""The rule of what is left since its registry, when it was asked, would not remove it."""
_REFUSALS = (400, 409, 412)  # what is said where an index that has no tag needs it, or a tag is immutable


@dataclass
class Cleared:
    """What became of a task's deletions: full names that are gone, and those that were left, with the reasons."""

    gone: set[str] = field(default_factory=set)
    left: dict[str, Reason] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    """The full names of what steps delete, by their texts."""

    def done(self, texts: t.Iterable[str], left: t.Container[str]) -> list[str]:
        """Return those of these texts that are not about what was left."""
        return [text for text in texts if self.targets.get(text, "") not in left]


class Late(Mapping[str, t.Any]):
    """Results that are made when they are read: then all the steps that ran at once have said what they found."""

    def __init__(self, make: t.Callable[[], t.Mapping[str, t.Any]]) -> None:
        self._make = make

    def __getitem__(self, key: str) -> t.Any:
        return self._make()[key]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())


Report = t.Callable[[], Outcome]
"""Returns what a step did, where that is not what was foreseen."""


@dataclass
class Clearing:
    """The deletions in one repository; ``limits.alone`` of the decision says whether tags are removed by themselves."""

    session: Session
    graph: Graph
    fates: Fates
    alone: bool
    cleared: Cleared
    report: Report
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _needed: dict[str, str] = field(default_factory=dict)
    """Digests that turned out to be needed after all, with the tags that came to need them."""

    @property
    def repository(self) -> Repository:
        return self.graph.repository

    def plan(self, draft: Draft) -> None:
        """Add the steps: tags, then indexes before their members, then what refers to all that."""
        where = str(self.repository)
        if self.alone:
            for tag in self.fates.untagged:
                if not is_digest_tag(tag):
                    draft.do(self._step(f"tags of {where}", tag))
        first = True
        for digest in self.fates.deleted:
            tags = [tag for tag in self.graph.named(digest) if not self.alone or is_digest_tag(tag)]
            also = f", and with it the tags {', '.join(tags)}" if tags else ""
            text = f"Delete the manifest {self.repository.full(digest)}{also}."
            self.cleared.targets[text] = self.repository.full(digest)
            if first:
                draft.do(Step(text, partial(self._delete_first, digest)))
            else:
                stage = f"manifests of {where}, {self.fates.ranks[digest]}"
                draft.do(Step(text, partial(self._delete, digest), stage=stage))
            first = False
        for tag in self.fates.untagged:
            if is_digest_tag(tag) and self.graph.tags[tag] not in self.fates.deleted:
                draft.do(self._step(f"digest tags of {where}", tag))

    def _step(self, stage: str, tag: str) -> Step:
        name = self.repository.full(tag)
        text = f"Remove the tag {name}."
        self.cleared.targets[text] = name
        return Step(text, partial(self._untag, tag), stage=stage)

    def _untag(self, tag: str) -> Outcome | None:
        """Remove a tag that still is what it was; what it pointed at stays where it must."""
        digest = self.graph.tags[tag]
        if self._has_moved(tag):
            return self.report()
        subjects = [each for each in self.fates.deleted if is_digest_tag(tag) and tag in self.graph.digest_tags(each)]
        left = [each for each in subjects if self.repository.full(each) in self.cleared.left]
        if left:
            return self._leave(tag, "subject", f"It belongs to {left[0]}, which was left.")
        try:
            removed = remove(self.repository, tag, may_lack=True)
        except RegistryError as exc:
            return self._refused(tag, exc)
        if not removed:
            if digest in self.fates.deleted:
                return None  # it goes with its manifest
            text = f"{self.repository.registry.host} cannot remove a tag alone, and its manifest is needed."
            return self._leave(tag, REFUSED, text)
        self._is_gone(tag)
        if digest not in self.fates.deleted:
            self._put_back(digest)
        return None

    def _put_back(self, digest: str) -> None:
        """Put a manifest back that went with its last tag, as with ECR, or with any, although it is needed."""
        manifest = self.graph.nodes[digest].manifest
        stay = [tag for tag in self.graph.named(digest) if tag in self.fates.kept]
        if manifest:
            put_back(self.repository, manifest, stay)

    def _delete_first(self, digest: str) -> Outcome | None:
        self._look_again()
        return self._delete(digest) or (self.report() if self.cleared.left else None)

    def _delete(self, digest: str) -> Outcome | None:
        """Delete a manifest whose tags are gone, or still are what they were."""
        repository = self.repository
        needed = self._needed.get(digest)
        if needed:
            return self._leave(digest, "moved", f"{needed} needs it.")
        tags = self.graph.named(digest)
        moved = [tag for tag in tags if repository.full(tag) in self.cleared.left or self._has_moved(tag)]
        if moved:
            why = self.cleared.left[repository.full(moved[0])]
            return self._leave(digest, why.rule, f"Its tag {moved[0]} was left. {why.text}")
        try:
            for tag in filter(is_digest_tag, tags if self.alone else ()):
                remove(repository, tag, may_lack=True)
            remove(repository, digest)
        except RegistryError as exc:
            return self._refused(digest, exc)
        self._is_gone(digest, *tags)
        return None

    def _refused(self, target: str, error: RegistryError) -> Outcome:
        """Leave what the registry will not delete; raise what keeps us from deleting anything."""
        if isinstance(error, (NotFound, Unsupported)) or error.status not in _REFUSALS:
            raise error
        return self._leave(target, REFUSED, str(error))

    def _has_moved(self, tag: str) -> bool:
        """Does a tag point at something else by now, or is it there again? Then it is left, and said."""
        found = find_existing(self.repository, tag)
        if found is None or not self._is_news(tag, found):
            return False
        self._leave(tag, "moved", f"It was pointed at {found.digest} while this task ran.")
        return True

    def _is_news(self, tag: str, found: Descriptor) -> bool:
        """Has somebody written a tag since it was looked at, or since it was removed?"""
        return found.digest != self.graph.tags.get(tag) or self.repository.full(tag) in self.cleared.gone

    def _look_again(self) -> None:
        """Find what tags that are new, or were moved since, have come to need: to promote is to move tags."""
        tags = list_tags(self.repository, whole=True)
        heads = self.session.map(partial(find_existing, self.repository), tags)
        fresh = [tag for tag, head in zip(tags, heads) if head and self._is_news(tag, head)]
        now = Graph(self.repository)
        now.look(self.session, fresh)
        for tag, digest in now.tags.items():
            if tag in self.fates.untagged:
                self._leave(tag, "moved", f"It was pointed at {digest} while this task ran.")
            self._needed.update(self.graph.reached(dict.fromkeys(now.tree(digest), self.repository.full(tag))))

    def _leave(self, target: str, rule: str, text: str) -> Outcome:
        """Leave a tag, or a manifest with the tags that it still has and with what would go after it."""
        name = self.repository.full(target)
        with self._lock:
            self.cleared.left[name] = Reason(rule, text)
            if target in self.graph.nodes:
                tags = [self.repository.full(tag) for tag in self.graph.named(target)]
                still = {tag: Reason(rule, text) for tag in tags if tag not in self.cleared.gone}
                self.cleared.left.update({**still, **self.cleared.left})
                self._needed.update(self.graph.reached({target: f"{name}, which was left,"}))
        return self.report()

    def _is_gone(self, *targets: str) -> None:
        with self._lock:
            self.cleared.gone.update(map(self.repository.full, targets))
