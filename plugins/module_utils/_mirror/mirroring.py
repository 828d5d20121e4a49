# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing many images over, of which some may fail: the others arrive, and no tag is written of one that did not.

What was read is remembered, so that a second look, after one of many failed, is no second pull.
"""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import NotFound, OCIError
from .._kit.content import Manifests, Planned
from .._kit.copying import Choose, Copy, Pair, plan_copies
from .._kit.target import Target
from .._oci.manifest import Manifest
from .._oci.parts import parts
from .._oci.reference import Reference
from .._oci.walk import below
from .._plan import ContentStep, Cost, Draft, Outcome, Plan, Step
from .._registry.client import Repository
from .._registry.retry import is_transient
from .._registry.session import Session

_PART = 64  # images that are planned, and brought over, at once

Key = tuple[str, str]
Item = t.TypeVar("Item")
Found = t.TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Reader(Repository):
    """A repository whose manifests are asked for once."""

    held: dict[str, Manifest] = field(default_factory=dict)

    @classmethod
    def of(cls, repository: Repository) -> Reader:
        return cls(repository.registry, repository.name, repository.scopes)

    def get_raw(self, target: str) -> Manifest:
        found = self.held.get(target) or super().get_raw(target)
        return self.held.setdefault(found.digest, found)


def gather(session: Session, function: t.Callable[[Item], Found], items: t.Iterable[Item]) -> list[Found | OCIError]:
    """Apply a function to items, ``jobs`` at a time; return the outcomes in order, errors among them.

    What fails by trouble that may pass is tried once more after the others, unless most of them fail.
    """

    def one(item: Item) -> Found | OCIError:
        try:
            return function(item)
        except OCIError as exc:
            return exc

    todo = list(items)
    found = session.map(one, todo)
    again = [at for at, outcome in enumerate(found) if isinstance(outcome, OCIError) and is_transient(outcome)]
    if len(again) * 2 <= len(todo):
        for at, outcome in zip(again, session.map(one, [todo[at] for at in again])):
            found[at] = outcome
    return found


def look_at(session: Session, source: Repository, pair: Pair, choose: Choose | None) -> Copy:
    """Find out what both sides hold, with one HEAD on each; what the source has is pinned by its digest.

    A digest is not asked for at the source if the destination has it. Raises NotFound, ContentError for a platform
    that is not there, InvalidInput for a digest that the source's is not.
    """
    target = Target.open(session, pair.dest)
    if pair.src.digest and target.found and target.previous == pair.src.digest and not pair.platforms:
        return Copy(pair, source, target, target.found)
    head = source.head(pair.src.target)
    if head is None:
        raise NotFound(f"The source {pair.src} does not exist.", "MANIFEST_UNKNOWN", pair.src.registry, 404)
    pinned = replace(pair, src=replace(pair.src, digest=head.digest))
    filtered, wanted = None, head
    if choose and pair.platforms:
        with source.named():
            filtered = choose(source, pinned.src, pair.platforms)
        wanted = filtered.descriptor
    target.check_digest(wanted.digest, f"The image {pair.src}")
    return Copy(pinned, source, target, wanted, filtered)


class Board:
    """What became of the steps, by repository and digest: which are done, with their texts, and why others failed.

    Without ``keep_going`` the first failure ends the task.
    """

    def __init__(self, keep_going: bool) -> None:
        self.keep_going = keep_going
        self.failed: dict[Key, OCIError] = {}
        self.done: set[Key] = set()
        self._planned = 0
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()

    def guarded(self, step: ContentStep, stage: str | None = None) -> Step:
        """Return a step that is left out where something below it failed, and that fails for itself alone."""
        self._planned += 1
        return replace(step, run=partial(self._run, self._planned, step), stage=step.stage if stage is None else stage)

    @property
    def texts(self) -> list[str]:
        """Those of the steps that are done, in the order of the plan, whichever ended first."""
        return [self._texts[number] for number in sorted(self._texts)]

    def problem(self, repository: str, digests: t.Iterable[str]) -> OCIError | None:
        """Return why one of these digests could not be completed in the repository, if so."""
        if not self.failed:
            return None
        return next((self.failed[repository, one] for one in digests if (repository, one) in self.failed), None)

    def _run(self, number: int, step: ContentStep) -> Outcome | None:
        error = self.problem(step.key[0], step.below)
        if error is None:
            try:
                outcome = step.run()
            except OCIError as exc:
                if not self.keep_going:
                    raise
                error = exc
            else:
                with self._lock:
                    self.done.add(step.key)
                    self._texts[number] = step.text
                return outcome
        with self._lock:
            self.failed.setdefault(step.key, error)
        return Outcome(Cost())


@dataclass(frozen=True)
class Part:
    """Copies that are planned together, and how."""

    copies: t.Sequence[Copy]
    moving: t.Callable[[Copy], bool]
    repair: bool
    referrers: bool
    tags: t.Mapping[str, frozenset[str]]

    def split(self) -> list[Part]:
        half = len(self.copies) // 2
        return [replace(self, copies=some) for some in (self.copies[:half], self.copies[half:])]


class Mirror:
    """Collects the steps that bring copies over, part by part, each part complete before the next begins."""

    def __init__(self, session: Session, draft: Draft, board: Board) -> None:
        self._session, self._draft, self._board = session, draft, board
        self._planned = Planned()
        self.rests_on: dict[Key, frozenset[str]] = {}
        """The digests that must be there, by repository and digest of what was planned."""
        self.touched: set[Key] = set()
        """The repositories and digests of what steps complete."""

    def plan(
        self,
        copies: t.Sequence[Copy],
        moving: t.Callable[[Copy], bool],
        fail: t.Callable[[Copy, OCIError], None],
        *,
        repair: bool,
        referrers: bool,
        tags: t.Mapping[str, frozenset[str]],
    ) -> None:
        """Plan copies; one that cannot be is handed to ``fail`` with the reason."""
        for start in range(0, len(copies), _PART):
            self._plan(Part(copies[start : start + _PART], moving, repair, referrers, tags), fail)

    def _plan(self, part: Part, fail: t.Callable[[Copy, OCIError], None]) -> None:
        """Plan a part; where that fails, its halves, until the one that fails is alone."""
        draft, planned = Draft(), self._planned.copy()
        try:
            moving = [copy for copy in part.copies if part.moving(copy)]
            how = part.repair, part.referrers
            found = plan_copies(self._session, draft, moving, list(part.copies), *how, planned, part.tags)
        except OCIError as exc:
            if len(part.copies) == 1:
                fail(part.copies[0], exc)
                return
            for half in part.split():
                self._plan(half, fail)
            return
        self._planned = planned
        plan = draft.plan({}, None, None)
        inside = _inside(found.manifests)
        for copy in part.copies:
            self.rests_on[copy.key] = _reach(inside, *copy.key) | self.rests_on.get(copy.key, frozenset())
        self._take(plan, {copy.target.reference: copy for copy in moving})

    def _take(self, plan: Plan, moving: t.Mapping[Reference, Copy]) -> None:
        contents = [step for step in plan.steps if isinstance(step, ContentStep)]
        tags = [step for step in plan.steps if not isinstance(step, ContentStep)]
        self.touched.update(step.key for step in contents)
        self._draft.do(*map(self._board.guarded, contents))
        for step, copy in zip(tags, moving.values()):
            key = str(copy.target.repository), tag_key(copy.target.reference.target)
            whole = ContentStep(step.text, step.run, step.cost, key=key, below=self.rests_on[copy.key])
            self._draft.do(self._board.guarded(whole, "tags"))
        self._draft.skip(plan.skipped.blobs_skipped)
        self._draft.note(*plan.notes)
        self._draft.warn(*plan.warnings)


def tag_key(tag: str) -> str:
    """Return what stands for a tag among the digests of a repository."""
    return f":{tag}"


def _inside(manifests: Manifests) -> dict[Key, list[str]]:
    """Return the digests that each manifest needs, and those that refer to it."""
    found: dict[Key, list[str]] = {}
    for (name, digest), manifest in manifests.items():
        inner, blobs = below(manifest)
        found.setdefault((name, digest), []).extend(item.digest for item in inner + blobs)
        for subject in parts(manifest, "subject"):
            found.setdefault((name, subject.digest), []).append(digest)
    return found


def _reach(inside: t.Mapping[Key, list[str]], name: str, root: str) -> frozenset[str]:
    seen: set[str] = set()
    todo = [root]
    while todo:
        digest = todo.pop()
        if digest not in seen:
            seen.add(digest)
            todo += inside.get((name, digest), [])
    return frozenset(seen)
