# SPDX-License-Identifier: GPL-3.0-or-later
"""Release several images in one task: all of them, or none.

The order is that of the task, never of an image: resolve, require, plan; then content by digest, what refers to it, own
signatures and records, the journal, tags, moving tags, read-back.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._archives.atomic import check_file, locked
from .._errors import OCIError
from .._kit.ages import Clocks
from .._kit.bases import Bases
from .._kit.content import Manifests
from .._kit.copying import Copy, Pair, plan_arrivals
from .._kit.ledger import Ledger
from .._kit.referrers import Beside
from .._kit.signing import Subject
from .._kit.target import Target
from .._oci.manifest import Json
from .._plan import Cost, Draft, Plan, Step
from .._registry.session import Session
from .._release.endorsing import Arrival, Recording, Signing, open_recording, open_signing, plan_endorsements
from .._release.journal import Entry, Journal
from .._release.moves import (
    LEFT,
    PLANNED,
    Move,
    Undone,
    roll_back,
)
from .._release.release import BACKUP, Failure, Resolved, parse_items, resolve
from .._release.requirements import Candidate, Means, failures
from .._release.tags import (
    CREATED,
    CURRENT,
    KEPT,
    MOVED,
    REPAIRED,
    Row,
    Rules,
    check_names,
    decide,
    in_order,
    look_at_tags,
    refuse,
    row_result,
    untouched,
)
from .._release.undoing import plan_restored


@dataclass(frozen=True)
class _How:
    """The options of a release that are about all of its images."""

    referrers: bool
    signing: Signing | None
    recording: Recording | None
    repair: bool
    rollback: bool
    journal: str | None
    verify_after: bool


def plan_promote(
    session: Session,
    *,
    images: list[dict[str, t.Any]] | None,
    require: dict[str, t.Any] | None,
    on_existing: str,
    moving: str,
    referrers: bool,
    sign: dict[str, t.Any] | None,
    attest: dict[str, t.Any] | None,
    backup: str | None,
    expect_previous: dict[str, t.Any] | None,
    repair: bool,
    rollback: bool,
    journal_path: str | None,
    state_path: str | None,
    state: str,
    verify_after: bool,
) -> Plan:
    """Plan a release, or with ``state: restored`` what undoes the one that a journal tells of.

    All that is wrong with sources, with what is required, and with tags is raised as one error, which is the first of
    them in that order, with results that tell all and say what each tag is: NotFound, ContentError (DIGEST_MISMATCH),
    InvalidInput (CONFLICT, VERSION_NEEDED), Refused (REQUIREMENT_NOT_MET, DESTINATION_CHANGED, TAG_EXISTS). What may
    pass, and MissingLibrary, is raised at once.
    """
    if state == "restored":
        return plan_restored(session, str(journal_path))
    now = time.time()
    items = parse_items(images or [], require, now)
    rules = Rules.parse(on_existing, moving, backup, expect_previous)
    how = _How(
        referrers,
        open_signing(session, sign),
        open_recording(session, attest if attest is None else _with_key(attest, sign)),
        repair,
        rollback,
        journal_path,
        verify_after,
    )
    ledger = Ledger.open(session, state_path) if state_path else None
    if journal_path is not None:
        check_file(os.path.expanduser(journal_path))
        Journal.read(journal_path)
    check_names(rules, items)
    resolved = resolve(session, items)
    rows, failed = look_at_tags(session, resolved)
    try:
        failed += _unmet(session, resolved, Clocks(now, ledger))
        rows, failed = decide(session, rules, rows, failed)
        refuse(rows, failed)
        return _Release(session, how, rows).plan()
    except OCIError as exc:
        exc.details = {**untouched(rows), **exc.details}
        raise


def _with_key(attest: dict[str, t.Any], sign: dict[str, t.Any] | None) -> dict[str, t.Any]:
    """Return the options of the record, which is by the key that signs where it names none."""
    if attest.get("key") is not None or attest.get("key_content") is not None or sign is None:
        return attest
    return {**attest, **{name: sign.get(name) for name in ("key", "key_content", "passphrase")}}


# --- require


def _unmet(session: Session, resolved: list[Resolved], clocks: Clocks) -> list[Failure]:
    """Return all that any image fails; those whose sources are not what they should be are not looked at."""
    means = Means(session, clocks, Bases(session))

    def check(one: Resolved) -> list[Failure]:
        image = Candidate(one.source, one.item.src, one.root, one.filtered)
        return [Failure.of(one, error) for error in failures(means, image, one.item.required)]

    return [failure for found in session.map(check, [one for one in resolved if not one.error]) for failure in found]


# --- plan


@dataclass(frozen=True)
class _Landing:
    """An image in one of its destinations, with the rows that it is for."""

    copy: Copy
    rows: tuple[Row, ...]

    @property
    def resolved(self) -> Resolved:
        return self.rows[0].resolved

    @property
    def moves(self) -> bool:
        return any(row.writes for row in self.rows)


@dataclass(frozen=True)
class _Release:
    """A release whose tags are decided: plans the rest. ``theirs``: tags that another task wrote meanwhile, by name."""

    session: Session
    how: _How
    rows: list[Row]
    theirs: set[str] = field(default_factory=set)

    def plan(self) -> Plan:
        draft = Draft()
        landings = self._landings()
        manifests, repaired = self._contents(draft, landings)
        rows = [
            replace(row, status=REPAIRED) if row.status == CURRENT and row.place in repaired else row
            for row in self.rows
        ]
        for row in rows:
            if row.status == KEPT:
                keep = f"Keep {row.name} at {row.previous}" if row.previous else f"Do not create {row.name}"
                draft.note(f"{keep}: {row.reason}")
        moves = in_order(row for row in rows if row.writes)
        if moves and self.how.journal:
            draft.do(self._journal_step(self.how.journal, rows, moves))
        first = len(_steps(draft))
        draft.do(*(self._tag_step(row, manifests) for row in moves))
        if moves and self.how.verify_after:
            draft.do(_read_back_step(moves))
        before = {row.name: f"{row.previous} (incomplete)" if row.status == REPAIRED else row.previous for row in rows}
        plan = draft.plan(self._results(rows, landings), before, {row.name: row.digest for row in rows})
        return replace(plan, recover=partial(self._recover, rows, moves, first))

    def _landings(self) -> list[_Landing]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.kind != BACKUP and row.status in (CREATED, MOVED, CURRENT):
                found.setdefault(row.place, []).append(row)
        return [_Landing(_copy(rows[0]), tuple(rows)) for rows in found.values()]

    def _contents(self, draft: Draft, landings: list[_Landing]) -> tuple[Manifests, set[tuple[str, str]]]:
        """Plan content, referrers, signatures and records; return manifests, and what was in place but incomplete."""
        moving = [one for one in landings if one.moves]
        there = [one for one in landings if not one.moves] if self.how.repair else []
        repaired: set[tuple[str, str]] = set()
        beside: list[Beside] = []
        read: Manifests = {}
        if there:
            read, found = self._arrive(draft, there)
            beside += found
            if _steps(draft):
                repaired = {one.rows[0].place for one in there if self._is_incomplete(one)}
        manifests, found = self._arrive(draft, moving) if moving else ({}, [])
        beside += found
        if self.how.signing or self.how.recording:
            arrivals = [self._arrival(one) for one in (*there, *moving)]
            own = self.how.signing, self.how.recording
            lacking = plan_endorsements(self.session, draft, arrivals, *own, beside, {**read, **manifests})
            repaired |= {one.rows[0].place for one, lacks in zip(there, lacking) if lacks}
        self._warn(draft, moving)
        return manifests, repaired

    def _arrive(self, draft: Draft, landings: t.Sequence[_Landing]) -> tuple[Manifests, list[Beside]]:
        copies = [one.copy for one in landings]
        subjects = copies if self.how.referrers else []
        return plan_arrivals(self.session, draft, copies, subjects, self.how.repair, by_digest=True)[:2]

    def _is_incomplete(self, landing: _Landing) -> bool:
        """Is there something to do for this one alone? Asked only where there is for some."""
        trial = Draft()
        self._arrive(trial, [landing])
        return bool(_steps(trial))

    def _arrival(self, landing: _Landing) -> Arrival:
        one, copy = landing.resolved, landing.copy
        names = tuple(row.name for row in landing.rows)
        subject = Subject(copy.target.repository, one.wanted)
        return Arrival(subject, one.source, one.filtered, names, _record(one), self.how.referrers)

    def _warn(self, draft: Draft, moving: t.Sequence[_Landing]) -> None:
        smaller = {id(one.resolved): one.resolved for one in moving if one.resolved.is_smaller}
        for one in smaller.values() if self.how.referrers else ():
            platforms = ", ".join(map(str, one.item.platforms))
            text = f"{one.item.src} for {platforms} alone is another index than {one.root.digest}"
            draft.warn(f"{text}; signatures and the like of the whole one do not cover it, and are left out.")

    def _journal_step(self, path: str, rows: list[Row], moves: list[Row]) -> Step:
        entries = tuple(
            Entry(row.name, str(row.resolved.item.src), row.kind, row.previous, row.wanted) for row in moves
        )
        wanted = {row.name: row.wanted for row in rows}
        journal = Journal(entries, tuple(_lock(rows)))

        def run() -> None:
            with locked(os.path.dirname(check_file(os.path.expanduser(path)))):
                journal.after(Journal.read(path), wanted).write(path)

        return Step(f"Write to {path} what {len(entries)} tags were.", run)

    def _tag_step(self, row: Row, manifests: Manifests) -> Step:
        manifest = manifests.get(row.place) or row.repository.get_raw(row.wanted)
        was = f" (was {row.previous})" if row.previous else ""

        def run() -> None:
            if not row.move.write(manifest):
                self.theirs.add(row.name)

        return Step(f"Tag {row.name} as {row.wanted}{was}.", run, Cost(bytes_sent=len(manifest.raw)))

    def _results(self, rows: list[Row], landings: list[_Landing]) -> Json:
        return {
            **_single(rows, landings),
            "images": [row.result() for row in rows],
            "references": {row.name: row.repository.full(row.digest) for row in rows if row.digest},
            "previous": {row.name: row.previous for row in rows},
            "failures": [],
            "rolled_back": False,
            "left": [],
            "lock": _lock(rows),
            "journal": self.how.journal,
        }

    def _recover(
        self, rows: list[Row], moves: list[Row], first: int, error: OCIError, done: t.Sequence[Step]
    ) -> OCIError:
        """Take back the tags that were written, and the one that may have been; tell what each tag is now."""
        written = len(done) - first  # below 0: the failure came before the first tag
        reached = moves[: written + 1] if written >= 0 else []
        own = [row.move for row in reached if row.name not in self.theirs]
        undone = roll_back(self.session, own) if self.how.rollback else {move.name: _as_it_is(move) for move in own}
        undone.update((row.name, _as_theirs(row.move)) for row in reached if row.name in self.theirs)
        if 0 <= written < len(moves):  # the last one failed: where it has what it had, it was never reached
            last = reached[-1]
            if not undone[last.name].had_moved:
                undone[last.name] = Undone(PLANNED, last.previous)
        shown = [_failed_result(row, undone.get(row.name)) for row in rows]
        left = [name for name, what in undone.items() if what.status == LEFT]
        back = [name for name, what in undone.items() if what.status != PLANNED]
        steps = [*done[:first], *(step for step, row in zip(done[first:], moves) if row.name in left)]
        details = {
            "changed": bool(left) or any(step.cost != Cost() for step in steps),  # a journal is in no registry
            "actions": [step.text for step in steps],
            "images": shown,
            "failures": [],
            "rolled_back": bool(back) and not left,
            "left": left,
            "journal": self.how.journal if written >= 0 and moves else None,
        }
        ended = OCIError(f"{error} {_ending(self.how.rollback, back, left)}", error.code, error.registry, error.status)
        ended.details = {**error.details, **details}
        return ended


def _steps(draft: Draft) -> tuple[Step, ...]:
    return draft.plan({}, None, None).steps


def _copy(row: Row) -> Copy:
    one, reference = row.resolved, row.move.reference
    target = Target(row.repository, reference, None)
    return Copy(Pair(one.item.src, reference, one.item.platforms), one.source, target, one.wanted, one.filtered)


def _record(one: Resolved) -> Json:
    """Return what is attested of an image: nothing that another run would say differently, and no time."""
    required = [each.said for each in one.item.required if each.said]
    return {
        "source": {"name": one.item.src.name, "digest": one.root.digest},
        "digest": one.wanted.digest,
        "destinations": [
            {"name": dest.repository.name, "tags": list(dest.tags), "moving_tags": [tag for _t, tag in one.item.moving]}
            for dest in one.item.dests
        ],
        "version": one.item.version,
        "platforms": [str(platform) for platform in one.item.platforms],
        "requirements": required,
    }


def _lock(rows: list[Row]) -> list[Json]:
    resolved = {id(row.resolved): row.resolved for row in rows}
    return [entry for one in resolved.values() for entry in one.item.lock(one.root.digest)]


def _read_back_step(moves: list[Row]) -> Step:
    def run() -> None:
        for row in moves:
            row.move.read_back()

    return Step(f"Read back {len(moves)} tags.", run)


def _single(rows: list[Row], landings: list[_Landing]) -> Json:
    """Return the results about the only image in its only destination; null where there are several."""
    named = [row for row in rows if row.kind != BACKUP]
    alone = landings[0] if len({row.place for row in named}) == 1 and landings else None
    return {
        "reference": alone.rows[0].repository.full(alone.resolved.wanted.digest) if alone else None,
        "digest": alone.resolved.wanted.digest if alone else None,
        "media_type": alone.resolved.wanted.media_type if alone else None,
        "previous_digest": named[0].previous if alone and len(named) == 1 else None,
    }


# --- what a failure tells


def _as_it_is(move: Move) -> Undone:
    """Say what a tag is that is not to be taken back."""
    try:
        now = move.now()
    except OCIError as exc:
        return Undone(LEFT, None, f"whether it moved is not known: {exc}")
    if now == move.previous:
        return Undone(PLANNED, now, had_moved=False)
    return Undone(LEFT, now, "rollback is false.")


def _as_theirs(move: Move) -> Undone:
    """Say what a tag is that another task had set to the same before this one came to it."""
    found = _as_it_is(move)
    return replace(found, reason="another task has set it.") if found.digest and found.status == LEFT else found


def _failed_result(row: Row, undone: Undone | None) -> Json:
    if undone:
        return row_result(row, undone.status, undone.digest, undone.reason)
    if row.writes:
        return row_result(row, PLANNED, row.previous, "")
    if row.status == REPAIRED:
        return row_result(row, CURRENT, row.digest, "")
    return row.result()


def _ending(rollback: bool, back: list[str], left: list[str]) -> str:
    if not back:
        return "No tag had moved."
    if not left:
        return "All tags are what they were before."
    why = "could not go back" if rollback else "moved and are left, as rollback is false"
    return f"{len(left)} tags {why}: {', '.join(left[:5])}{' and more' if len(left) > 5 else ''}."
