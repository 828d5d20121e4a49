# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that several threads want at the same time, done once."""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import Future

Outcome = t.TypeVar("Outcome")


class Flights:
    """One thread does the work of a key; those that want the same meanwhile wait for its outcome, and others do not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[t.Hashable, Future[t.Any]] = {}

    def join(self, key: t.Hashable, work: t.Callable[[], Outcome]) -> Outcome:
        """Return the outcome of ``work``, or raise what it raised. No lock is held while it runs."""
        with self._lock:
            future = self._running.get(key)
            mine = future is None
            if future is None:
                future = self._running[key] = Future()
        if mine:
            try:
                future.set_result(work())
            except BaseException as exc:  # it is raised in every thread that waits for it
                future.set_exception(exc)
            finally:
                with self._lock:
                    del self._running[key]
        return t.cast(Outcome, future.result())
