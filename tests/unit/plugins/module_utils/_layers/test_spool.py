# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a temporary file, in the order that somebody wants them in."""

from __future__ import annotations

import os
import random

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._layers.spool import PartReader, Spool
from hypothesis import given, settings
from hypothesis import strategies as st

CONTENT = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def spool() -> Spool:
    found = Spool("to test")
    found.write(CONTENT)
    return found


PARTS = st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 1 << 20), st.integers(1, 4)), max_size=12)


@given(PARTS)
@settings(max_examples=200, deadline=None)
def test_any_parts_are_those_of_the_file(parts: list[tuple[int, int, int]]) -> None:
    spool = Spool("to test")
    spool.write(CONTENT)
    reader = PartReader(spool)
    for offset, size, times in parts:
        read = reader.at(offset)
        for at in range(offset, min(offset + size * times, len(CONTENT)), size):
            assert bytes(read(min(size, len(CONTENT) - at))) == CONTENT[at : at + size]


def test_what_lies_side_by_side_is_read_together(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what does not is read alone: nobody reads a megabyte for each small file of a layer in any order."""
    reader, sizes = PartReader(spool), []

    def pread(handle: int, size: int, at: int, real: object = os.pread) -> bytes:
        sizes.append(size)
        return real(handle, size, at)

    monkeypatch.setattr("os.pread", pread)
    for offset in range(512, 2 << 20, 2048):
        reader.at(offset)(1024)
    assert sizes == [1 << 20, 1 << 20]
    sizes.clear()
    for offset in range(45 << 16, 0, -65536):
        reader.at(offset)(1024)
    assert set(sizes) == {1024}
