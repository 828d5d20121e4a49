# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger of when images were first seen: a file on the side of whoever asks, which registries cannot set."""

from __future__ import annotations

import os
import typing as t

from .._archives.atomic import check_file, check_writable, locked, write_file
from .._errors import ContentError, InvalidInput
from .._oci.manifest import canonical_json, parse_json
from .._oci.times import parse_time, shown_time
from .._registry.session import Session

_KEY = "first_seen"


class Ledger:
    """First-seen times by ``host/repository@digest``; several tasks may share one file at once.

    What is new is written when the task ends, also if it fails, but not in check mode.
    """

    def __init__(self, path: str) -> None:
        self._path = check_file(path)
        if not os.path.exists(self._path):
            check_writable(self._path)
        self._times = self._read()
        self._new: dict[str, float] = {}

    @classmethod
    def open(cls, session: Session, path: str) -> Ledger:
        """Read the ledger; a file that is not there yet is an empty one. Raises InvalidInput (FILE_ERROR), OSError."""
        ledger = cls(path)
        session.records.append(ledger.save)
        return ledger

    def first_seen(self, name: str, now: float) -> float:
        """Return when something was first seen, in seconds since 1970, which is now where it never was before."""
        found = self._times.get(name)
        return self._new.setdefault(name, now) if found is None else found

    def save(self) -> None:
        """Add what is new to what others have written meanwhile; the earlier time counts."""
        if not self._new:
            return
        with locked(os.path.dirname(self._path)):
            times = {**self._new, **self._read()}
            shown = {name: shown_time(time) for name, time in sorted(times.items())}
            write_file(self._path, [canonical_json({_KEY: shown})])

    def _read(self) -> dict[str, float]:
        try:
            with open(self._path, "rb") as file:
                raw = file.read()
        except FileNotFoundError:
            return {}
        try:
            found = parse_json(raw, self._path).get(_KEY) if raw else {}
        except ContentError:
            found = None
        times = {name: parse_time(text) for name, text in found.items()} if isinstance(found, dict) else {"": None}
        if None in times.values():
            raise InvalidInput(f"{self._path} is no ledger of this collection; give another state_path.", "FILE_ERROR")
        return t.cast("dict[str, float]", times)
