# SPDX-License-Identifier: GPL-3.0-or-later
"""What one task shares: settings and credentials by registry, tokens, connections, workers."""

from __future__ import annotations

import os
import threading
import typing as t
from collections import deque
from contextlib import suppress

from .._oci.reference import Reference, parse_host
from .auth import Registry
from .client import Repository
from .credentials import Credential, RunCommand, auth_files, candidates, find_credential
from .transport import Settings, Transport, passing

Item = t.TypeVar("Item")
Outcome = t.TypeVar("Outcome")


class Entry(t.NamedTuple):
    """What the user set for a registry, or for the repositories below a path of it (``host/path``)."""

    name: str
    settings: Settings
    credential: Credential | None = None


class Session:
    """Hands out registries and repositories.

    A credential comes from the entry with the longest fitting name, ``shorthand`` (for these hosts), files and helpers.
    """

    def __init__(
        self,
        transport: Transport,
        defaults: Settings,
        run: RunCommand,
        entries: t.Iterable[Entry] = (),
        shorthand: Credential | None = None,
        shorthand_hosts: t.Iterable[str] = (),
        auth_file: str | None = None,
        jobs: int = 4,
    ) -> None:
        self.transport = transport
        self.run = run
        self.jobs = jobs
        self._defaults = Entry("", defaults)
        self._shorthand = dict.fromkeys(shorthand_hosts, shorthand)
        self._auth_file = auth_file
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            host, slash, path = entry.name.strip("/").partition("/")
            self._entries[parse_host(host) + slash + path] = entry
        self._registries: dict[tuple[str, Settings], Registry] = {}

    def _entry(self, host: str, repository: str) -> Entry:
        found = (self._entries[key] for key in candidates(host, repository) if key in self._entries)
        return next(found, self._defaults)

    def registry(self, host: str, repository: str = "") -> Registry:
        """Return the registry at ``host[:port]``, as it is set up for a repository."""
        settings = self._entry(host, repository).settings
        made = Registry(host, settings, self.transport, lambda name: self.credential(host, name))
        return self._registries.setdefault((host, settings), made)  # atomic, so that threads share one

    def repository(self, reference: Reference, *actions: str) -> Repository:
        """Return the repository of a reference, for these actions (``pull`` alone by default)."""
        scope = f"repository:{reference.repository}:{','.join(actions or ('pull',))}"
        return Repository(self.registry(reference.registry, reference.repository), reference.repository, (scope,))

    def credential(self, host: str, repository: str) -> Credential | None:
        """Return the credential for a repository, or for the registry itself where that is empty."""
        found = self._entry(host, repository).credential or self._shorthand.get(host)
        found = found or find_credential(host, repository, auth_files(self._auth_file, os.environ), self.run)
        self.transport.secrets |= found.secrets() if found else set()
        return found

    def map(self, function: t.Callable[[Item], Outcome], items: t.Iterable[Item]) -> list[Outcome]:
        """Apply a function to items, ``jobs`` at a time; return the outcomes in order, or raise the first error.

        What fails by passing trouble is tried once more after the others, while most of these succeed.
        """
        waiting = deque(enumerate(items))
        outcomes: dict[int, Outcome] = {}
        errors: list[BaseException] = []
        failed = {0} if len(waiting) == 1 else set()

        def work() -> None:
            while waiting and not errors:
                with suppress(IndexError):
                    at, item = waiting.popleft()
                    try:
                        outcomes[at] = function(item)
                    except BaseException as exc:
                        if at in failed or len(failed) > len(outcomes) or not passing(exc):
                            errors.append(exc)
                        failed.add(at)
                        waiting.append((at, item))

        # Daemons, which nobody waits for who is interrupted.
        threads = [threading.Thread(target=work, daemon=True) for dummy in range(min(self.jobs, len(waiting)))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            waiting.clear()
        if errors:
            raise errors[0]
        return [outcomes[at] for at in sorted(outcomes)]
