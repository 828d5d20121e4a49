# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a registry may be asked, and how much it still allows: a budget that all threads of a task share.

Registries tell what is left by ``RateLimit-Remaining`` (IETF's draft); Docker Hub tells how many manifests may still be
pulled, and in how many seconds (``76;w=21600``). Asking goes on until nothing is left, and not until they refuse.
"""

from __future__ import annotations

import re
import threading
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from .._errors import OCIError, RegistryError

SPENT = "TOOMANYREQUESTS"
"""The code of the error for what is not asked for any more."""
_LONGEST_WAIT = 60.0  # seconds; who has to wait longer until there is something left stops
_EPOCH = 1e8  # seconds; a reset later than this is a time and no duration


def is_spent(error: OCIError) -> bool:
    """Does a registry allow no more for now, be it that it said so before, or that it answers 429 to the end?"""
    return error.status == 429 or (error.code == SPENT and error.status is None)


class _Mark(t.NamedTuple):
    """How many requests of one kind to a registry were under way at a time, and how many had begun."""

    under_way: int = 0
    begun: int = 0

    def after(self, begin: int, end: int) -> _Mark:
        return _Mark(self.under_way + begin - end, self.begun + begin)


_NONE = _Mark()


class Turn(t.NamedTuple):
    """A request under way, and what there was beside it when it began."""

    host: str
    is_pull: bool
    pulls: _Mark
    all: _Mark


@dataclass
class _Budget:
    """What is known of one registry; times are those of the clock."""

    next: float = 0.0
    left: int | None = None
    limit: str = ""
    resets: float | None = None
    pulls_only: bool = False
    pulls: _Mark = _NONE
    all: _Mark = _NONE

    def counts(self, is_pull: bool) -> bool:
        """Is this one of the requests that are limited, as far as that is known?"""
        return is_pull or not self.pulls_only

    def take(self, told: int, turn: Turn) -> None:
        """Take in how many are left, as the answer to one of several requests tells it.

        Of those that were under way beside it, or began after it, nobody knows whether they are in it already: at least
        so many are left as if none were, and at most what is told. In between, what was known before counts.
        """
        now, then = (self.pulls, turn.pulls) if self.pulls_only else (self.all, turn.all)
        own = 0 if self.pulls_only and not turn.is_pull else 1
        least = told - then.under_way - (now.begun - then.begun - own)
        self.left = least if self.left is None else max(min(self.left, told), least)


class Pace:
    """``per_second`` requests at most to each registry, where that is given. ``wait`` sleeps so many seconds."""

    def __init__(
        self,
        per_second: float | None,
        wait: t.Callable[[float], object],
        warn: t.Callable[[str], None],
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._wait, self._warn, self._clock = wait, warn, clock
        self._lock = threading.Lock()  # never held over a wait
        self._budgets: dict[str, _Budget] = {}

    def begin(self, method: str, url: str) -> Turn:
        """Wait until a request may be sent; ``end`` has to follow.

        Raises RegistryError (SPENT) where none may be for a long time.
        """
        host, is_pull = urlsplit(url).netloc, method == "GET" and "/manifests/" in url
        with self._lock:
            budget = self._budgets.setdefault(host, _Budget())
            now = self._clock()
            at = max(now, budget.next, self._free_at(host, budget, is_pull, now))
            budget.next = at + self._interval
            if budget.left is not None and budget.counts(is_pull):
                budget.left -= 1
            turn = Turn(host, is_pull, budget.pulls, budget.all)
            budget.pulls, budget.all = budget.pulls.after(int(is_pull), 0), budget.all.after(1, 0)
        if at > now:
            self._wait(at - now)
        return turn

    def _free_at(self, host: str, budget: _Budget, is_pull: bool, now: float) -> float:
        if budget.left is None or budget.left > 0 or not budget.counts(is_pull):
            return now
        if budget.resets is not None and budget.resets - now <= _LONGEST_WAIT:
            budget.left = None  # the next answer tells
            return max(now, budget.resets)
        what = "manifests" if budget.pulls_only else "requests"
        text = f"{host} allows no more {what} for now ({budget.limit}), so that no more are asked for"
        self._warn(f"{text}; run this task again later.")
        raise RegistryError(f"{text}.", SPENT, host)

    def end(self, turn: Turn, headers: t.Mapping[str, str]) -> None:
        """Take in what an answer tells; no headers where none came."""
        remaining = headers.get("RateLimit-Remaining", "")
        found = re.match(r"\s*(\d+)", remaining)
        with self._lock:
            budget = self._budgets[turn.host]
            budget.pulls, budget.all = budget.pulls.after(0, int(turn.is_pull)), budget.all.after(0, 1)
            if not found:
                return
            window = re.search(r";\s*w=(\d+)", remaining)
            budget.pulls_only = bool(window)
            budget.take(int(found[1]), turn)
            budget.limit = f"RateLimit-Remaining: {remaining.strip()}"
            resets = _reset(headers.get("RateLimit-Reset", "")) or (float(window[1]) if window else None)
            budget.resets = None if resets is None else self._clock() + resets


def _reset(text: str) -> float | None:
    """Return in how many seconds there is more; some tell the time instead."""
    if not re.fullmatch(r"\d{1,12}", text.strip()):
        return None
    seconds = float(text)
    return max(0.0, seconds - time.time()) if seconds > _EPOCH else seconds
