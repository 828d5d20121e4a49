# SPDX-License-Identifier: GPL-3.0-or-later
"""Says where a task is that takes long: the line for people, and the thread that says it."""

from __future__ import annotations

import threading
import typing as t
from contextlib import suppress

from ..module_utils._registry.progress import Amount, Figures, Progress, Wait
from ..module_utils._threads import leave_signals

FIRST, NEXT = 3.0, 5.0  # seconds before the first line, and between two lines
_OPEN_WAIT = 2.0  # seconds; what takes longer to answer is worth a word
_MOMENT = 2.0  # seconds


def in_words(size: float) -> str:
    """Return a number of bytes as people say it: ``12.3 MB``."""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"


def line(title: str, now: Figures, before: Figures | None = None) -> str:
    """Return the line for figures; ``before`` are those of the line that came before it, which tell the speed."""
    was = (before.bytes if now.bytes.total else before.fetched).done if before else 0
    moved = max(0, _moving(now).done - was)  # what was fetched is counted anew once there is a plan
    took = now.time - (before.time if before else now.begun)
    parts = [f"{now.time - now.begun:.0f} s", *_looked(now), *_written(now)]
    if moved and took > 0:
        parts.append(f"{in_words(moved / took)}/s")
    text = f"{title}: {', '.join(parts)}{_waits(now.wait, now.time, bool(moved))}"
    return "".join(filter(str.isprintable, text))  # a server may have named a host


def _moving(now: Figures) -> Amount:
    """Return the bytes that are sent, where some are, else those that are fetched."""
    return now.bytes if now.bytes.total else now.fetched


def _looked(now: Figures) -> list[str]:
    if now.steps.total:
        return []
    seen = [f"looked at {_of(now.looked)} {now.kind}"] if now.kind else []
    size = [f"{in_words(now.fetched.done)} fetched"] if now.fetched.done else []
    return [*seen, *size, _many(now.requests, "request")]


def _written(now: Figures) -> list[str]:
    """Tell steps only while no blob is on its way, as these are the longest part of most steps."""
    if not now.steps.total:
        return []
    images = [_many(now.images, "image")] if now.images else []
    blobs = [f"{_of(now.blobs)} blobs"] if now.blobs.total else []
    moving = _moving(now)
    size = [f"{in_words(moving.done)} of {in_words(moving.total)}"] if moving.total else []
    steps = [f"{_of(now.steps)} steps"] if now.blobs.done >= now.blobs.total else []
    return [*images, *blobs, *size, *steps]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _of(amount: Amount) -> str:
    return f"{amount.done} of {amount.total}"


def _waits(wait: Wait | None, time: float, moves: bool) -> str:
    """Tell a wait that was set, with what is left of it; one for an answer only where nothing moves meanwhile."""
    since = time - wait.since if wait else 0.0
    if wait and wait.seconds is not None:
        left = max(0.0, wait.seconds - since)
        return f"; waiting {wait.seconds:.0f} s, {wait.words}, {left:.0f} s left" if wait.seconds >= 1 else ""
    return f"; waiting {wait.words} for {since:.0f} s" if wait and since >= _OPEN_WAIT and not moves else ""


class Teller:
    """Says where a task is, every few seconds, from one thread, and only while it is open.

    ``tell`` is given each line. ``sleep`` waits so many seconds and returns whether there is an end to it.
    """

    def __init__(
        self, title: str, tell: t.Callable[[str], None], sleep: t.Callable[[float], bool] | None = None
    ) -> None:
        self._title = title
        self._tell = tell
        self._ended = threading.Event()
        self._sleep = sleep or self._ended.wait
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Teller:
        return self

    def watch(self, progress: Progress) -> None:
        """Begin to tell of this task."""
        self._thread = threading.Thread(target=self._work, args=(progress,), daemon=True)
        self._thread.start()

    def __exit__(self, *dummy: t.Any) -> None:
        """End: a line that is being told is told before this returns, and none after it."""
        self._ended.set()
        if self._thread:
            self._thread.join(_MOMENT)

    def _work(self, progress: Progress) -> None:
        leave_signals()
        before: Figures | None = None
        pause = FIRST
        with suppress(OSError, ValueError):  # nobody listens any more
            while not self._sleep(pause):
                now = progress.figures()
                self._tell(line(self._title, now, before))
                before, pause = now, NEXT
