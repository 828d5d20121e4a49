# SPDX-License-Identifier: GPL-3.0-or-later
"""What one task shares: settings and credentials by registry, tokens, connections, workers."""

from __future__ import annotations

import os
import threading
import time
import typing as t
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from .._oci.reference import Reference, check_repository, host_of
from .._threads import leave_signals
from .auth import Registry
from .client import Repository
from .credentials import Credential, Helpers, RunCommand, auth_files, candidates, find_credential
from .retry import is_transient
from .transport import Settings, Transport

_MOMENT = 2.0  # seconds

Item = t.TypeVar("Item")
Outcome = t.TypeVar("Outcome")


class Entry(t.NamedTuple):
    """What the user set for a registry, or for the repositories below a path of it (``host/path``)."""

    name: str
    settings: Settings
    credential: Credential | None = None


@dataclass
class Session:
    """Hands out registries and repositories.

    A credential comes from the entry with the longest fitting name, ``shorthand`` (by host), files and helpers.
    ``records`` write down what later tasks want to know, in files beside the registry: they are done at the end of the
    task, also of one that failed, but not in check mode.
    """

    transport: Transport
    defaults: Settings
    run: RunCommand
    entries: t.Sequence[Entry] = ()
    shorthand: t.Mapping[str, Credential | None] = field(default_factory=dict)
    auth_file: str | None = None
    jobs: int = 4
    records: list[t.Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._registries: dict[tuple[str, Settings], Registry] = {}
        self._entries: dict[str, Entry] = {}
        self._helpers = Helpers(self.run)
        for entry in self.entries:
            key = host_of(entry.name)
            dummy, slash, path = entry.name.strip("/").partition("/")
            key += slash + check_repository(path, entry.name) if path else ""
            if self._entries.get(key, entry)[1:] != entry[1:]:
                self.transport.warn(f"registries has two entries for {key} that differ; the last one counts.")
            self._entries[key] = entry

    def _entry(self, host: str, repository: str) -> Entry:
        found = (self._entries[key] for key in candidates(host, repository) if key in self._entries)
        return next(found, Entry("", self.defaults))

    def registry(self, host: str, repository: str = "") -> Registry:
        """Return the registry at ``host[:port]``, as it is set up for a repository."""
        settings = self._entry(host, repository).settings
        searched = f" in {self.auth_file}" if self.auth_file else ""
        made = Registry(host, settings, self.transport, lambda name: self.credential(host, name), searched)
        return self._registries.setdefault((host, settings), made)  # atomic, so that threads share one

    def repository(self, reference: Reference, *actions: str) -> Repository:
        """Return the repository of a reference, for these actions (``pull`` alone by default)."""
        scope = f"repository:{reference.repository}:{','.join(actions or ('pull',))}"
        return Repository(self.registry(reference.registry, reference.repository), reference.repository, (scope,))

    def credential(self, host: str, repository: str) -> Credential | None:
        """Return the credential for a repository, or for the registry itself where that is empty.

        Raises CredentialError where a file or a helper cannot be read.
        """
        found = self._entry(host, repository).credential or self.shorthand.get(host)
        found = found or find_credential(host, repository, auth_files(self.auth_file, os.environ), self._helpers.get)
        self.transport.hide(*(found.secrets() if found else ()))
        return found

    def map(self, function: t.Callable[[Item], Outcome], items: t.Iterable[Item], kind: str = "") -> list[Outcome]:
        """Apply a function to items, ``jobs`` at a time; return the outcomes in order, or raise the first error.

        What fails by trouble that may pass is tried once more after the others, as long as most of these succeed.
        ``kind`` names in the plural what is looked at, for who tells how far the task is.
        """
        waiting = deque(enumerate(items))
        progress = self.transport.progress
        if kind and waiting:
            progress.look(kind, len(waiting))
        several = len(waiting) > 1
        outcomes: dict[int, Outcome] = {}
        failed: set[int] = set()
        errors: list[BaseException] = []

        def is_worth_another_try(at: int, exc: BaseException) -> bool:
            others_succeed = several and len(failed) <= len(outcomes)
            return others_succeed and at not in failed and is_transient(exc)

        def work() -> None:
            while waiting and not errors:
                with suppress(IndexError):
                    at, item = waiting.popleft()
                    try:
                        outcomes[at] = function(item)
                        if kind:
                            progress.looked()
                    except BaseException as exc:
                        if not is_worth_another_try(at, exc):
                            errors.append(exc)
                        failed.add(at)
                        waiting.append((at, item))

        try:
            _run_threads(work, min(self.jobs, len(waiting)), waiting.clear)
        finally:
            waiting.clear()
        if errors:
            raise errors[0]
        return [outcomes[at] for at in sorted(outcomes)]


def _run_threads(work: t.Callable[[], None], count: int, stop: t.Callable[[], None]) -> None:
    """Run ``work`` in so many threads at once, until all have ended.

    They are daemons. Who is interrupted, by whatever exception, calls ``stop`` and waits for them a moment alone, in
    which they can remove what they had begun; not by join(), which before Python 3.13 takes a thread for ended once it
    was interrupted.
    """
    ended: SimpleQueue[None] = SimpleQueue()

    def run() -> None:
        leave_signals()
        try:
            work()
        finally:
            ended.put(None)

    running = 0
    try:
        for dummy in range(count):
            threading.Thread(target=run, daemon=True).start()
            running += 1
        while running:
            ended.get()
            running -= 1
    except BaseException:
        stop()
        until = time.monotonic() + _MOMENT
        with suppress(Empty):
            for dummy in range(running):
                ended.get(timeout=max(0.0, until - time.monotonic()))
        raise
