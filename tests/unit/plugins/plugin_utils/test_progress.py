# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that says where a long task is, and the thread that says it: how often, and that it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._registry.progress import (
    Amount,
    Figures,
    Progress,
    Wait,
)
from ansible_collections.quayside.registry.plugins.plugin_utils._progress import FIRST, NEXT, Teller, in_words, line

NOTHING = Amount()
AT_FIRST = Figures(100, 103, 0, "", NOTHING, 0, NOTHING, NOTHING, NOTHING, NOTHING, None)
MOVING = AT_FIRST._replace(
    time=110, requests=9, images=3, steps=Amount(3, 12), blobs=Amount(3, 9), bytes=Amount(50_000_000, 1_200_000_000)
)


def told(now: Figures, before: Figures | None = None) -> str:
    return line("t", now, before).removeprefix("t: ")


def wait(words: str, since: float, seconds: float | None) -> dict[str, Any]:
    return {"wait": Wait(words, since, seconds)}


LINES = {
    "nothing was done yet": (AT_FIRST, "3 s, 0 requests"),
    "one request": (AT_FIRST._replace(requests=1), "3 s, 1 request"),
    "looking": (
        AT_FIRST._replace(kind="images", looked=Amount(2, 9), requests=4),
        "3 s, looked at 2 of 9 images, 4 requests",
    ),
    "reading what is looked at": (
        AT_FIRST._replace(kind="blobs", looked=Amount(1, 3), requests=5, fetched=Amount(90_000_000, 0)),
        "3 s, looked at 1 of 3 blobs, 90.0 MB fetched, 5 requests, 30.0 MB/s",
    ),
    "fetching": (
        AT_FIRST._replace(time=110, steps=Amount(0, 1), fetched=Amount(50_000_000, 300_000_000)),
        "10 s, 50.0 MB of 300 MB, 0 of 1 steps, 5.0 MB/s",
    ),
    "blobs": (MOVING, "10 s, 3 images, 3 of 9 blobs, 50.0 MB of 1.2 GB, 5.0 MB/s"),
    "one image": (MOVING._replace(images=1), "10 s, 1 image, 3 of 9 blobs, 50.0 MB of 1.2 GB, 5.0 MB/s"),
    "blobs are there": (
        MOVING._replace(blobs=Amount(9, 9), bytes=Amount(0, 0)),
        "10 s, 3 images, 9 of 9 blobs, 3 of 12 steps",
    ),
    "no blobs": (
        MOVING._replace(blobs=NOTHING, bytes=NOTHING, images=0),
        "10 s, 3 of 12 steps",
    ),
    "throttled": (
        AT_FIRST._replace(**wait("as r.example:443 asked with HTTP 429", 101, 30)),
        "3 s, 0 requests; waiting 30 s, as r.example:443 asked with HTTP 429, 28 s left",
    ),
    "throttled while others move": (
        MOVING._replace(**wait("as r.example:443 asked with HTTP 429", 60, 30)),
        "10 s, 3 images, 3 of 9 blobs, 50.0 MB of 1.2 GB, 5.0 MB/s;"
        " waiting 30 s, as r.example:443 asked with HTTP 429, 0 s left",
    ),
    "a host that would colour the terminal": (
        AT_FIRST._replace(**wait("for an answer of \x1b[31mr\n", 100, None)),
        "3 s, 0 requests; waiting for an answer of [31mr for 3 s",
    ),
    "a short wait": (AT_FIRST._replace(**wait("after trouble with r", 103, 0.5)), "3 s, 0 requests"),
    "an answer": (
        AT_FIRST._replace(**wait("for an answer of r", 100.5, None)),
        "3 s, 0 requests; waiting for an answer of r for 2 s",
    ),
    "an answer that was asked for just now": (
        AT_FIRST._replace(**wait("for an answer of r", 102, None)),
        "3 s, 0 requests",
    ),
    "an answer while others move": (
        MOVING._replace(**wait("for an answer of r", 101, None)),
        "10 s, 3 images, 3 of 9 blobs, 50.0 MB of 1.2 GB, 5.0 MB/s",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_the_line(case: str) -> None:
    now, text = LINES[case]
    assert told(now) == text


def test_the_speed_is_that_since_the_line_before() -> None:
    assert ", 5.0 MB/s" in told(MOVING)
    later = MOVING._replace(time=115, bytes=Amount(100_000_000, 1_200_000_000))
    assert told(later, MOVING).endswith(", 100 MB of 1.2 GB, 10.0 MB/s")
    assert told(MOVING._replace(time=115), MOVING).endswith(", 50.0 MB of 1.2 GB")
    stuck = MOVING._replace(time=115, **wait("for an answer of r", 111, None))
    assert told(stuck, MOVING).endswith(", 50.0 MB of 1.2 GB; waiting for an answer of r for 4 s")


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (123_456, "123 kB"), (5 * 10**12, "5.0 TB")],
)
def test_sizes_in_words(size: float, words: str) -> None:
    assert in_words(size) == words


class Sleeps:
    """Sleeps that end when a test says so, and are noted."""

    def __init__(self, lines: int) -> None:
        self.seconds: list[float] = []
        self._left = lines

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self._left -= 1
        return self._left < 0


def told_by(teller: Teller, progress: Progress) -> None:
    with teller:
        teller.watch(progress)
        assert teller._thread
        teller._thread.join(5)


def test_lines_come_after_three_seconds_and_every_five() -> None:
    lines: list[str] = []
    sleeps = Sleeps(3)
    told_by(Teller("oci_copy [here]", lines.append, sleeps), Progress())
    assert sleeps.seconds == [3.0, 5.0, 5.0, 5.0] == [FIRST, NEXT, NEXT, NEXT]
    assert lines == ["oci_copy [here]: 0 s, 0 requests"] * 3


def test_a_task_that_is_short_is_not_told_of() -> None:
    lines: list[str] = []
    before = threading.active_count()
    with Teller("t", lines.append) as teller:
        teller.watch(Progress())
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert lines == []


def test_a_task_that_never_begins_needs_no_thread() -> None:
    before = threading.active_count()
    with Teller("t", lambda text: None):
        assert threading.active_count() == before


def test_after_its_end_nothing_is_told() -> None:
    lines: list[str] = []
    first = threading.Event()

    def tell(text: str) -> None:
        first.set()
        lines.append(text)

    teller = Teller("t", tell)
    teller._sleep = lambda seconds: teller._ended.wait(0.001)
    with pytest.raises(KeyboardInterrupt), teller:
        teller.watch(Progress())
        assert first.wait(5)
        raise KeyboardInterrupt
    assert teller._thread
    assert not teller._thread.is_alive()


@pytest.mark.parametrize("gone", [BrokenPipeError(), ValueError("closed")])
def test_it_ends_when_nobody_listens(gone: Exception) -> None:
    def tell(text: str) -> None:
        raise gone

    sleeps = Sleeps(9)
    told_by(Teller("t", tell, sleeps), Progress())
    assert sleeps.seconds == [FIRST]
