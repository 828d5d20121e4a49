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

from .._errors import RegistryError

SPENT = "TOOMANYREQUESTS"
"""The code of the error for what is not asked for any more."""
_LONGEST_WAIT = 60.0  # seconds; who has to wait longer until there is something left stops
_EPOCH = 1e8  # seconds; a reset later than this is a time and no duration


@dataclass
class _Budget:
    """What is known of one registry; times are those of the clock."""

    next: float = 0.0
    left: int | None = None
    limit: str = ""
    resets: float | None = None
    pulls_only: bool = False
    under_way: int = 0
    pulls_under_way: int = 0

    def counts(self, method: str, url: str) -> bool:
        """Is this one of the requests that are limited, as far as that is known?"""
        return not self.pulls_only or _is_pull(method, url)

    def move(self, method: str, url: str, by: int) -> None:
        """Count requests that are under way, before it is known which of them are limited."""
        self.under_way += by
        self.pulls_under_way += by if _is_pull(method, url) else 0


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

    def begin(self, method: str, url: str) -> None:
        """Wait until a request may be sent. Raises RegistryError (SPENT) where none may be for a long time.

        ``end`` has to follow.
        """
        host = urlsplit(url).netloc
        with self._lock:
            budget = self._budgets.setdefault(host, _Budget())
            now = self._clock()
            at = max(now, budget.next, self._free_at(host, budget, method, url, now))
            budget.next = at + self._interval
            budget.move(method, url, 1)
            if budget.left is not None and budget.counts(method, url):
                budget.left -= 1
        if at > now:
            self._wait(at - now)

    def _free_at(self, host: str, budget: _Budget, method: str, url: str, now: float) -> float:
        if budget.left is None or budget.left > 0 or not budget.counts(method, url):
            return now
        if budget.resets is not None and budget.resets - now <= _LONGEST_WAIT:
            budget.left = None  # the next answer tells
            return max(now, budget.resets)
        what = "manifests" if budget.pulls_only else "requests"
        text = f"{host} allows no more {what} for now ({budget.limit}), so that no more are asked for"
        self._warn(f"{text}; run this task again later.")
        raise RegistryError(f"{text}.", SPENT, host)

    def end(self, method: str, url: str, headers: t.Mapping[str, str]) -> None:
        """Take in what an answer tells; no headers where none came."""
        remaining = headers.get("RateLimit-Remaining", "")
        found = re.match(r"\s*(\d+)", remaining)
        with self._lock:
            budget = self._budgets[urlsplit(url).netloc]
            budget.move(method, url, -1)
            if not found:
                return
            window = re.search(r";\s*w=(\d+)", remaining)
            budget.pulls_only = bool(window)
            # Of those that are under way, nobody knows whether they were counted already.
            budget.left = int(found[1]) - (budget.pulls_under_way if window else budget.under_way)
            budget.limit = f"RateLimit-Remaining: {remaining.strip()}"
            resets = _reset(headers.get("RateLimit-Reset", "")) or (float(window[1]) if window else None)
            budget.resets = None if resets is None else self._clock() + resets


def _is_pull(method: str, url: str) -> bool:
    return method == "GET" and "/manifests/" in url


def _reset(text: str) -> float | None:
    """Return in how many seconds there is more; some tell the time instead."""
    if not re.fullmatch(r"\d{1,12}", text.strip()):
        return None
    seconds = float(text)
    return max(0.0, seconds - time.time()) if seconds > _EPOCH else seconds
