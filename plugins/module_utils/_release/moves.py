# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags that move, and that go back where something fails: only as long as they are what was written here.

Registries cannot compare and swap (distribution-spec, "Pushing Manifests"), so a tag is looked at before each write.
"""

from __future__ import annotations

import typing as t
from contextlib import suppress
from dataclasses import dataclass, field

from .._errors import NotFound, OCIError, Refused
from .._kit.removing import Again, Use, deletes_tags_with_manifest, listed, look_at_tags
from .._oci.manifest import Manifest
from .._oci.reference import Reference
from .._registry.client import Repository
from .._registry.manifests import find_existing, put, remove
from .._registry.session import Session

_POLLS = 4

RESTORED, REMOVED, LEFT, PLANNED = "restored", "removed", "left", "planned"


@dataclass(frozen=True)
class Move:
    """A tag of a repository that is to get ``digest``, and what it had before (None: it did not exist)."""

    repository: Repository
    tag: str
    previous: str | None
    digest: str

    @property
    def name(self) -> str:
        return self.repository.full(self.tag)

    @property
    def reference(self) -> Reference:
        return Reference(self.repository.registry.host, self.repository.name, self.tag)

    def now(self) -> str | None:
        """Return what the tag points at now. Raises what a registry answers."""
        found = find_existing(self.repository, self.tag)
        return found.digest if found else None

    def write(self, manifest: Manifest) -> bool:
        """Move the tag, unless somebody else has moved it since it was looked at: Refused (DESTINATION_CHANGED).

        False where somebody else has moved it to the same digest.
        """
        now = self.now()
        if now == self.digest:
            return False
        if now != self.previous:
            raise changed(self.name, self.previous, now, self.repository.registry.host)
        put(self.repository, self.tag, manifest)
        return True

    def read_back(self) -> None:
        """Make sure that the tag has what was written; some registries take a while to tell. Raises Refused."""
        now: str | None = None
        for tried in range(_POLLS):
            now = self.now()
            if now == self.digest:
                return
            self.repository.registry.transport.wait(0.25 * 2**tried)  # seconds
        host = self.repository.registry.host
        text = f"{self.name} was set to {self.digest}, but reads back as {now or 'absent'}."
        raise Refused(text, "TAG_MOVED", host)


def changed(name: str, expected: str | None, now: str | None, host: str) -> Refused:
    """Return the error for a tag that is not what it was when the release was planned."""
    text = f"{name} was {expected or 'absent'} when this was planned, and is {now or 'absent'} now."
    return Refused(text, "DESTINATION_CHANGED", host)


@dataclass(frozen=True)
class Undone:
    """What became of a tag that was to go back: its status, what it points at now, and why it was left.

    ``had_moved`` is false where it was found as it was before.
    """

    status: str
    digest: str | None
    reason: str = ""
    had_moved: bool = field(default=True, compare=False)


def roll_back(session: Session, moves: t.Sequence[Move]) -> dict[str, Undone]:
    """Take moves back, the last one first, each only if the tag still is what was written; return what became of them.

    The last one may never have happened. Nothing is raised: what cannot go back is left, with the reason.
    """
    found: dict[str, Undone] = {}
    for at, move in reversed(list(enumerate(moves))):
        try:
            found[move.name] = take_back(session, move, moves[:at], keep=True)
        except OCIError as exc:
            found[move.name] = Undone(LEFT, None, f"it could not be looked at, or not be set back: {exc}")
    return found


def take_back(session: Session, move: Move, others: t.Iterable[Move] = (), keep: bool = False) -> Undone:
    """Take one move back, if the tag still is what was written. ``others`` are still to be taken back after it.

    With ``keep``, what a registry takes along with a tag is put back, which takes requests that no plan foresees.
    Raises what a registry answers.
    """
    done = RESTORED if move.previous else REMOVED
    now = move.now()
    if now == move.previous:
        return Undone(done, now, had_moved=False)
    if now != move.digest:
        return Undone(LEFT, now, f"somebody else has {f'set it to {now}' if now else 'removed it'} since.")
    if move.previous:
        try:
            manifest = move.repository.get_raw(move.previous)
        except NotFound:
            return Undone(LEFT, now, is_gone(move.previous))
        put(move.repository, move.tag, manifest)
        return Undone(done, move.previous)
    why = _remove(session, move, _going(move, [each for each in others if each.previous is None]), keep)
    return Undone(LEFT, now, why) if why else Undone(done, None)


def is_gone(digest: str) -> str:
    """Say why a tag cannot go back to a digest that its repository does not have any more."""
    return f"{digest}, which it was, does not exist any more."


def _going(move: Move, others: t.Iterable[Move]) -> set[str]:
    """Return those tags, and this one, that were given the same image in the same repository."""
    same = (each for each in others if each.digest == move.digest and str(each.repository) == str(move.repository))
    return {move.tag, *(each.tag for each in same)}


def why_not_removable(session: Session, move: Move, moves: t.Sequence[Move]) -> str:
    """Say why a new tag cannot be removed when all of ``moves`` go back; empty where it may be, as far as that shows.

    Nothing is written. Raises what a registry answers.
    """
    if not deletes_tags_with_manifest(move.repository):
        return ""
    here = [each for each in moves if str(each.repository) == str(move.repository)]
    users = look_at_tags(session, move.repository).others(move.digest, _going(move, here))
    return _why_shared(move, [*(each.tag for each in here if each.previous == move.digest), *users])


def _why_shared(move: Move, users: t.Sequence[str]) -> str:
    host = move.repository.registry.host
    return f"{host} cannot remove a tag alone, and {listed(users)} would go with its image." if users else ""


def _remove(session: Session, move: Move, going: t.Collection[str], keep: bool) -> str:
    """Remove a new tag, or its manifest where the registry cannot remove a tag alone; say why where neither can be."""
    repository = session.repository(move.reference, "pull", "push", "delete")
    alone = not deletes_tags_with_manifest(repository)
    again = Again(session, repository, frozenset(going), Use(dict.fromkeys(going, move.digest), {}))
    keepers: dict[str, t.Callable[[], None]] = {}
    if alone and keep:
        with suppress(OCIError):  # the way back is to go as far as it can
            keepers = again.keepers([move.digest])
    try:
        if alone and remove(repository, move.tag, may_lack=True):
            for put_back in keepers.values():
                put_back()
            return ""
        why = _why_shared(move, look_at_tags(session, repository).others(move.digest, going))
        if not why:
            remove(repository, move.digest)
        return why
    except OCIError as exc:
        return f"it cannot be removed: {exc}"
