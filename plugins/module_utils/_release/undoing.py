# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo a release by its journal, also one that was killed: each tag goes back if it still is what was written."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from .._archives.atomic import check_file
from .._errors import InvalidInput
from .._oci.manifest import Json
from .._plan import Cost, Draft, Outcome, Plan, Step
from .._registry.manifests import find_existing
from .._registry.session import Session
from .journal import Entry, Journal
from .moves import LEFT, REMOVED, RESTORED, Move, Undone, is_gone, take_back, why_not_removable


def plan_restored(session: Session, path: str) -> Plan:
    """Plan what takes back the tags of a journal, the last one first, each only if it still is what was written."""
    journal = Journal.read(path)
    if journal is None:
        raise InvalidInput(f"There is no journal {path}.", "FILE_ERROR")
    check_file(os.path.expanduser(path))
    entries = list(reversed(journal.entries))
    moves = [
        Move(
            session.repository(entry.reference, "pull", "push"), str(entry.reference.tag), entry.previous, entry.digest
        )
        for entry in entries
    ]
    now = session.map(Move.now, moves)
    foreseen = {move.name: _foresee(session, journal, list(zip(moves, now)), at) for at, move in enumerate(moves)}
    sizes = session.map(_size, [move for move in moves if foreseen[move.name].status == RESTORED])
    for move, size in sizes:
        if size is None:
            foreseen[move.name] = Undone(LEFT, move.digest, is_gone(str(move.previous)))
    costs = {move.name: Cost(bytes_sent=size, bytes_received=size) for move, size in sizes if size is not None}
    draft = Draft()
    undoing = _Undoing(session, journal, path, entries, moves, now, foreseen)
    for at, move in enumerate(moves):
        if foreseen[move.name].status in (RESTORED, REMOVED):
            draft.do(undoing.step(at, costs.get(move.name, Cost())))
    if journal.used:
        draft.note(f"Keep all tags as they are: the journal {path} was used already.")
    else:
        draft.do(Step(f"Mark the journal {path} as used.", lambda: replace(journal, used=True).write(path)))
        for move in moves:
            if foreseen[move.name].status == LEFT:
                draft.note(f"Keep {move.name} as it is: {foreseen[move.name].reason}")
                draft.warn(_does_not_go_back(move, foreseen[move.name]))
    before: Json = {move.name: digest for move, digest in zip(moves, now)}
    before[path] = "used" if journal.used else "not used"
    return draft.plan({**undoing.results(foreseen), "journal": path}, before, undoing.after(foreseen))


def _does_not_go_back(move: Move, undone: Undone) -> str:
    return f"{move.name} does not go back: {undone.reason}"


def _size(move: Move) -> tuple[Move, int | None]:
    """Return how large the manifest is that a tag had, in bytes; None where it does not exist any more."""
    found = find_existing(move.repository, str(move.previous))
    return move, found.size if found else None


def _foresee(session: Session, journal: Journal, found: t.Sequence[tuple[Move, str | None]], at: int) -> Undone:
    """Say what will become of the tag at this place, as far as looking tells. ``found`` are all, with what they are."""
    move, now = found[at]
    if now == move.previous:
        return Undone("current", now)
    if journal.used:
        return Undone(LEFT, now, "the journal was used already.")
    if now != move.digest:
        return Undone(LEFT, now, f"somebody else has {f'set it to {now}' if now else 'removed it'} since.")
    if move.previous:
        return Undone(RESTORED, move.previous)
    why = why_not_removable(session, move, [each for each, is_now in found if is_now == each.digest])
    return Undone(LEFT, now, why) if why else Undone(REMOVED, None)


@dataclass(frozen=True)
class _Undoing:
    """Takes back what a journal tells of; ``foreseen`` gets what turns out otherwise."""

    session: Session
    journal: Journal
    path: str
    entries: list[Entry]
    moves: list[Move]
    now: list[str | None]
    foreseen: dict[str, Undone]

    def step(self, at: int, cost: Cost) -> Step:
        move = self.moves[at]
        text = f"Tag {move.name} as {move.previous} again (is {move.digest})."
        if move.previous is None:
            text = f"Remove the tag {move.name} (is {move.digest})."

        def run() -> Outcome | None:
            found = take_back(self.session, move, self.moves[at + 1 :])
            if found == self.foreseen[move.name]:
                return None
            self.foreseen[move.name] = found
            if found.status == LEFT:
                self.session.transport.warn(_does_not_go_back(move, found))
            return Outcome(result=self.results(self.foreseen), after=self.after(self.foreseen))

        return Step(text, run, cost)

    def after(self, foreseen: t.Mapping[str, Undone]) -> Json:
        return {**{name: what.digest for name, what in foreseen.items()}, self.path: "used"}

    def results(self, foreseen: t.Mapping[str, Undone]) -> Json:
        left = [name for name, what in foreseen.items() if what.status == LEFT]
        back = [name for name, what in foreseen.items() if what.status in (RESTORED, REMOVED)]
        return {
            "reference": None,
            "digest": None,
            "media_type": None,
            "previous_digest": None,
            "images": [_undone_result(*each, foreseen[each[0].name]) for each in zip(self.entries, self.now)],
            "references": {
                move.name: move.repository.full(str(foreseen[move.name].digest))
                for move in self.moves
                if foreseen[move.name].digest
            },
            "previous": {entry.name: digest for entry, digest in zip(self.entries, self.now)},
            "failures": [],
            "rolled_back": bool(back) and not left,
            "left": left,
            "lock": list(self.journal.lock),
        }


def _undone_result(entry: Entry, previous: str | None, undone: Undone) -> Json:
    return {
        "src": entry.src,
        "dest": entry.reference.name,
        "tag": entry.reference.tag,
        "kind": entry.kind,
        "digest": undone.digest,
        "previous_digest": previous,
        "status": undone.status,
        "reason": undone.reason or None,
    }
