# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth another try, how long to wait before it, and when to give up."""

from __future__ import annotations

import math
import random
import re
import threading
import time
import typing as t
from email.utils import parsedate_to_datetime

from .._errors import ConnectionFailed, ContentError, InvalidInput, OCIError, RegistryError
from .progress import Progress
from .urls import address

Asked = t.TypeVar("Asked")
Outcome = t.TypeVar("Outcome")

RETRIED = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 522))  # the statuses that may pass
_CORRUPT = frozenset(
    ("DIGEST_MISMATCH", "DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "SIZE_MISMATCH")
)
_FIRST_WAIT = 0.25  # seconds; doubled at each try
_MAX_WAIT = 60.0  # seconds; a server that asks for more gets no further try
_LONGEST = 1e6  # seconds; so that it can be told
_PATIENCE = 300.0  # seconds that trouble may cost a whole task


def is_corrupt(exc: OCIError) -> bool:
    """May bits that flipped on the way be behind this?"""
    return exc.code in _CORRUPT or (exc.code, exc.status) == ("UNKNOWN", 400)


def is_transient(exc: BaseException) -> bool:
    """May the same succeed at another time?"""
    return isinstance(exc, OCIError) and (isinstance(exc, ConnectionFailed) or exc.status in RETRIED or is_corrupt(exc))


def attempt(function: t.Callable[[Asked], Outcome], asked: Asked) -> Outcome | OCIError:
    """Return what a function finds out, or what a registry answers where that is about this thing alone.

    Raises what may pass, and what would be no better with another image, such as a login that is refused: trying it
    again and again may lock it.
    """
    try:
        return function(asked)
    except (ContentError, InvalidInput, RegistryError) as exc:
        if is_transient(exc) or exc.status == 401:
            raise
        return exc


def retry_after(headers: t.Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, be it by a date; None without one (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", text):
        return min(_LONGEST, float(text))
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(_LONGEST, max(0.0, until - time.time()))


class Retries:
    """How often one call is tried again, and how many seconds of trouble a whole task bears with."""

    def __init__(self, retries: int = 3, sleep: t.Callable[[float], object] | None = None) -> None:
        self.retries = retries
        self.progress = Progress()
        self.clock: t.Callable[[], float] = time.monotonic
        self.left: t.Callable[[], float] = lambda: math.inf
        """How many seconds there still are for an answer, or for what comes after trouble; a verb may set a limit."""
        self._given_up = threading.Event()
        self._patience = _PATIENCE
        self._sleep = sleep or self._given_up.wait

    def again(self, attempt: t.Callable[[], Outcome]) -> Outcome:
        """Return an outcome; after trouble that may pass ``attempt`` is made again, unless the same damage comes twice.

        An outcome with a ``status`` that may pass is trouble, too; it is returned when the tries are used up.
        """
        tried, said = 0, ""
        while True:
            try:
                outcome = attempt()
                if getattr(outcome, "status", 0) not in RETRIED or tried == self.retries:
                    return outcome
                response = t.cast(t.Any, outcome)
                if not self.pause_after(response, tried):
                    return outcome
                response.discard()
            except OCIError as exc:
                exc.final |= not isinstance(exc, ConnectionFailed) and (not is_corrupt(exc) or str(exc) == said)
                if exc.final or tried == self.retries or not self.pause(tried, exc):
                    exc.final = True
                    raise
                said = str(exc)
            tried += 1

    def pause_after(self, response: t.Any, tried: int) -> bool:
        """Wait after an answer that may pass, for as long as it asks; False when that is too long."""
        asked, host = retry_after(response.headers), address(response.url)
        why = f"as {host} {'answered' if asked is None else 'asked with'} HTTP {response.status}"
        return self._pause(tried, asked, why)

    def pause(self, tried: int, exc: OCIError) -> bool:
        """Wait after trouble, for a growing, jittered time; False when that is too long."""
        return self._pause(tried, None, f"after trouble with {exc.registry or 'a server'}")

    def _pause(self, tried: int, asked: float | None, why: str) -> bool:
        wait = _FIRST_WAIT * 2**tried if asked is None else asked
        if wait > min(_MAX_WAIT, self._patience, self.left()):
            return False
        self._patience -= wait
        with self.progress.waiting(why, wait):
            self.rest(wait + random.random() * _FIRST_WAIT)
        return True

    def give_up(self) -> None:
        """Try nothing again from now on, and end the waits that go on."""
        self._patience = -1.0
        self._given_up.set()

    def wait(self, seconds: float) -> None:
        """Wait, and some jitter more, for something that is no trouble, such as other writers; it costs no patience."""
        with self.progress.waiting("to look again"):
            self.rest(seconds + random.random() * _FIRST_WAIT)

    def rest(self, seconds: float) -> None:
        """Wait exactly so long; it costs no patience."""
        self._sleep(seconds)
