# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that several threads want at the same time, done once."""

from __future__ import annotations

import threading
import typing as t

Outcome = t.TypeVar("Outcome")


class _Flight:
    """One piece of work under way."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.outcome: t.Any = None
        self.error: BaseException | None = None


class Flights:
    """One thread does the work of a key; those that want the same meanwhile wait for its outcome, and others do not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[t.Hashable, _Flight] = {}

    def join(self, key: t.Hashable, work: t.Callable[[], Outcome]) -> Outcome:
        """Return the outcome of ``work``, or raise what it raised. No lock is held while it runs."""
        with self._lock:
            mine = key not in self._running
            flight = self._running.setdefault(key, _Flight())
        if mine:
            try:
                flight.outcome = work()
            except BaseException as exc:  # raised below, in every thread that waits for it
                flight.error = exc
            with self._lock:
                del self._running[key]
            flight.landed.set()
        flight.landed.wait()
        if flight.error:
            raise flight.error
        return t.cast(Outcome, flight.outcome)
