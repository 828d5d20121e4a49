# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a task is, and what it waits for: its threads write that, who wants to tell reads it. Nothing here prints."""

from __future__ import annotations

import threading
import time
import typing as t
from contextlib import contextmanager


class Amount(t.NamedTuple):
    """So much of so much."""

    done: int = 0
    total: int = 0


class Wait(t.NamedTuple):
    """What a thread waits for, in words that follow "waiting" or "waiting 2 s,", since when, and for how many seconds.

    There are no seconds where nobody knows how long it takes. The words hold names of hosts, and nothing else that a
    user or a server said.
    """

    words: str
    since: float
    seconds: float | None


class Figures(t.NamedTuple):
    """How far a task is at ``time`` (seconds of the clock, as all times here).

    ``looked`` counts what is looked at before anything is written, which ``kind`` names in the plural; the others are
    what is written, bytes without those that had to be sent again. ``fetched`` are the bytes of blobs that were read,
    of as many as the plan wants, where it does.
    """

    begun: float
    time: float
    requests: int
    kind: str
    looked: Amount
    images: int
    steps: Amount
    blobs: Amount
    bytes: Amount
    fetched: Amount
    wait: Wait | None


class Stream:
    """How much of one piece of content was sent, or fetched; a try from the beginning counts from the beginning."""

    def __init__(self) -> None:
        self.at = 0

    def watch(self, content: t.Iterable[bytes]) -> t.Iterator[bytes]:
        """Yield content as it is taken."""
        self.at = 0
        for piece in content:
            yield piece
            self.at += len(piece)


class Progress:
    """What the threads of one task have done of what they have to do. Figures are read from any thread."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._lock = threading.Lock()
        self._requests = 0
        self._kind, self._looked, self._to_look = "", 0, 0
        self._images = 0
        self._steps, self._blobs, self._bytes = Amount(), Amount(), Amount()
        self._streams: list[Stream] = []
        self._fetches: list[Stream] = []
        self._to_fetch = 0
        self._waits: dict[int, list[Wait]] = {}  # by thread; the last of each is what it waits for now
        self._pausing = 0  # threads that wait for a time that was set
        self._paused_at = self._paused = 0.0

    def look(self, kind: str, total: int) -> None:
        """Say what is looked at from now on: so many ``images``, ``manifests``, ``blobs``; nothing: empty."""
        with self._lock:
            self._kind, self._looked, self._to_look = kind, 0, total

    def looked(self) -> None:
        """Count one of them."""
        with self._lock:
            self._looked += 1

    def plan(self, images: int, steps: int, blobs: int, size: int, to_fetch: int = 0) -> None:
        """Say what is going to be done: steps, among them so many blobs, and bytes that are sent, and fetched."""
        self.look("", 0)
        with self._lock:
            self._images = images
            self._fetches.clear()
            self._to_fetch = to_fetch
            self._steps, self._blobs, self._bytes = Amount(0, steps), Amount(0, blobs), Amount(0, size)

    def step(self, blobs: int) -> None:
        """Count a step that was done, and its blobs."""
        with self._lock:
            self._steps = self._steps._replace(done=self._steps.done + 1)
            self._blobs = self._blobs._replace(done=self._blobs.done + blobs)

    def stream(self) -> Stream:
        """Return what counts one more piece of content that is sent."""
        return self._counted(self._streams)

    def fetch(self) -> Stream:
        """Return what counts one more blob that is read."""
        return self._counted(self._fetches)

    def _counted(self, streams: list[Stream]) -> Stream:
        made = Stream()
        with self._lock:
            streams.append(made)
        return made

    def asking(self, host: str) -> t.ContextManager[None]:
        """Count a request, and let it be known that this thread waits for a host's answer."""
        with self._lock:
            self._requests += 1
        return self.waiting(f"for an answer of {host}")

    @contextmanager
    def waiting(self, words: str, seconds: float | None = None) -> t.Iterator[None]:
        """Let it be known that this thread waits, for a time that was set or for as long as it takes."""
        me = threading.get_ident()
        with self._lock:
            self._waits.setdefault(me, []).append(Wait(words, self._clock(), seconds))
            self._pause(0 if seconds is None else 1)
        try:
            yield
        finally:
            with self._lock:
                self._waits[me].pop()
                if not self._waits[me]:
                    del self._waits[me]
                self._pause(0 if seconds is None else -1)

    def _pause(self, change: int) -> None:
        if not self._pausing:
            self._paused_at = self._clock()
        self._pausing += change
        if change < 0 and not self._pausing:
            self._paused += self._clock() - self._paused_at

    def paused(self) -> float:
        """Return the seconds in which at least one thread waited for a time that was set."""
        with self._lock:
            return self._paused + (self._clock() - self._paused_at if self._pausing else 0.0)

    def figures(self) -> Figures:
        """Return how far the task is now. Of several waits the longest that was set counts, then the oldest."""
        with self._lock:
            waits = [stack[-1] for stack in self._waits.values()]
            waits.sort(key=lambda wait: (-(wait.seconds or 0), wait.since))
            sent, fetched = (sum(stream.at for stream in streams) for streams in (self._streams, self._fetches))
            return Figures(
                self._begun,
                self._clock(),
                self._requests,
                self._kind,
                Amount(self._looked, self._to_look),
                self._images,
                self._steps,
                self._blobs,
                Amount(sent, max(sent, self._bytes.total)),
                Amount(fetched, max(fetched, self._to_fetch) if self._to_fetch else 0),
                waits[0] if waits else None,
            )
