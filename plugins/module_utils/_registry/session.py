# SPDX-License-Identifier: GPL-3.0-or-later
"""What one task shares: settings and credentials by registry, tokens, connections, workers."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass

from .._oci.reference import Reference, parse_host
from .client import Registry, Repository
from .credentials import Credential, RunCommand, auth_files, candidates, find_credential
from .transport import Settings, Transport

Item = t.TypeVar("Item")
Outcome = t.TypeVar("Outcome")


@dataclass(frozen=True)
class Entry:
    """What the user set for a registry, or for the repositories below a path of it (``host/path``)."""

    name: str
    settings: Settings
    credential: Credential | None = None


@dataclass
class Session:
    """Hands out registries and repositories.

    Credentials come from the entry whose name is the longest prefix, then from ``shorthand`` (for the hosts that the
    task acts on), then from files and helpers.
    """

    transport: Transport
    defaults: Settings
    run: RunCommand
    entries: t.Iterable[Entry] = ()
    shorthand: Credential | None = None
    shorthand_hosts: t.Collection[str] = ()
    auth_file: str | None = None
    jobs: int = 4
    clock: t.Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._entries = {_entry_key(entry.name): entry for entry in self.entries}
        self._registries: dict[tuple[str, Settings], Registry] = {}

    def registry(self, host: str, repository: str = "") -> Registry:
        """Return the registry at ``host[:port]``, as it is set up for a repository."""
        entry = self._entry(host, repository)
        settings = entry.settings if entry else self.defaults
        made = Registry(host, settings, self.transport, lambda name: self.credential(host, name), self.clock)
        return self._registries.setdefault((host, settings), made)  # atomic, so that threads share one

    def repository(self, reference: Reference, *actions: str) -> Repository:
        """Return the repository of a reference, for these actions (``pull`` alone by default)."""
        scope = "repository:%s:%s" % (reference.repository, ",".join(actions or ("pull",)))
        registry = self.registry(reference.registry, reference.repository)
        return Repository(registry, reference.repository, (scope,))

    def credential(self, host: str, repository: str) -> Credential | None:
        """Return the credential for a repository, or for the registry itself where that is empty."""
        entry = self._entry(host, repository)
        if entry and entry.credential:
            return entry.credential
        if self.shorthand and host in self.shorthand_hosts:
            return self.shorthand
        return find_credential(host, repository, auth_files(self.auth_file, os.environ), self.run)

    def _entry(self, host: str, repository: str) -> Entry | None:
        return next((self._entries[key] for key in candidates(host, repository) if key in self._entries), None)

    def map(self, function: t.Callable[[Item], Outcome], items: t.Iterable[Item]) -> list[Outcome]:
        """Apply a function to items, ``jobs`` at a time; return the outcomes in order, or raise the first error."""
        todo = list(items)
        if len(todo) < 2 or self.jobs == 1:
            return [function(item) for item in todo]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(function, todo))

    def secrets(self) -> set[str]:
        """Return every secret that was used, so that none of them is shown."""
        return {secret for registry in self._registries.values() for secret in registry.auth.secrets}


def _entry_key(name: str) -> str:
    host, slash, path = name.strip("/").partition("/")
    return parse_host(host) + slash + path
