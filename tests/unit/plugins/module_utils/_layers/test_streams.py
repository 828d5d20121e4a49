# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that read ahead and digest behind: the same bytes and digests, errors where they belong, bounded memory."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._layers.streams import Digester, ahead

MEBI = 1 << 20
BEHIND = 8  # pieces, or megabytes


class Source:
    """Numbered pieces that count how many of them were taken, and whether their generator was closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.taken, self.closed = 0, False
        self._count, self._error = count, error

    def __iter__(self) -> Iterator[bytes]:
        try:
            for number in range(self._count):
                self.taken += 1
                yield b"%d" % number
            if self._error:
                raise self._error
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, BEHIND, 3 * BEHIND])
def test_what_is_read_ahead_comes_in_order(count: int) -> None:
    with ahead(iter(Source(count))) as coming:
        assert list(coming) == [b"%d" % number for number in range(count)]


def test_an_error_comes_after_what_was_read_before_it() -> None:
    found = []
    with pytest.raises(ContentError, match="damaged"), ahead(iter(Source(3, ContentError("damaged")))) as coming:
        found.extend(iter(lambda: next(coming), None))
    assert found == [b"0", b"1", b"2"]


def test_only_so_much_is_read_ahead() -> None:
    source = Source(100)
    with ahead(iter(source)) as coming:
        assert next(coming) == b"0"
        time.sleep(0.05)
        assert source.taken <= BEHIND + 1


def test_who_stops_early_closes_the_source() -> None:
    source = Source(100)
    with pytest.raises(KeyboardInterrupt), ahead(iter(source)) as coming:
        next(coming)
        raise KeyboardInterrupt
    assert source.closed
    assert source.taken < 100


@pytest.mark.parametrize("largest", [1, 1000, 3 * MEBI])
def test_a_digest_does_not_depend_on_the_pieces(largest: int) -> None:
    source, whole = random.Random(1), hashlib.sha256()
    with Digester() as digest:
        for dummy in range(50):
            data = source.randbytes(source.randint(0, largest))
            whole.update(data)
            digest.update(data)
        assert digest.hexdigest() == whole.hexdigest()


def test_other_algorithms() -> None:
    with Digester(hashlib.sha512()) as digest:
        digest.update(b"abc")
        assert digest.hexdigest() == hashlib.sha512(b"abc").hexdigest()


class SlowHash:
    """A hash that cannot keep up."""

    def __init__(self) -> None:
        self.digested = 0

    def update(self, data: bytes) -> None:
        time.sleep(0.002)
        self.digested += len(data)

    def hexdigest(self) -> str:
        return str(self.digested)


@pytest.mark.parametrize("size", [MEBI // 4, MEBI, 20 * MEBI])
def test_so_much_waits_to_be_digested_and_no_more(size: int) -> None:
    slow, given, data = SlowHash(), 0, bytes(size)
    with Digester(slow) as digest:
        for dummy in range(60 * MEBI // size):
            digest.update(data)
            given += size
            assert given - slow.digested <= (BEHIND + 1) * MEBI
        assert digest.hexdigest() == str(given)
