# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading layers for a check: one pass, in pieces of any size, whatever they hold."""

from __future__ import annotations

import gzip
import random
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ConnectionFailed, ContentError
from ansible_collections.quayside.registry.plugins.module_utils._layers import limits
from ansible_collections.quayside.registry.plugins.module_utils._layers.inspect import LayerFacts, read_layer
from ansible_collections.quayside.registry.plugins.module_utils._layers.limits import Limits
from ansible_collections.quayside.registry.plugins.module_utils._oci.digest import digest_of
from ansible_collections.quayside.registry.tests.unit.tars import tar_of
from hypothesis import given
from hypothesis import strategies as st

TAR = tar_of({"file": random.Random(1).randbytes(300_000)})
PACKED = gzip.compress(TAR)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1000, 32768, 1 << 20])
@pytest.mark.parametrize(("data", "compression"), [(TAR, "none"), (PACKED, "gzip")])
def test_a_sound_layer(data: bytes, compression: str, size: int) -> None:
    assert read_layer(pieces(data, size), "It") == LayerFacts((), (), digest_of(TAR), compression)


@pytest.mark.parametrize("behind", [bytes(100), b"more"])
def test_something_behind_the_compressed_data_is_a_problem_as_engines_find(behind: bytes) -> None:
    facts = read_layer(pieces(PACKED + behind, 1000), "It")
    assert facts.problems == (
        "It has something behind its compressed data, which engines refuse; fetch or build it again.",
    )
    assert facts.diff_id is None


def test_a_large_file_of_zeros_is_no_problem() -> None:
    """Gzip makes one byte of 1028 here; that is as far as it goes, and no layer is refused for it."""
    packed = gzip.compress(tar_of({"zeros": bytes(100 << 20)}), 6, mtime=0)
    assert read_layer(pieces(packed, 1 << 20), "It").problems == ()


def test_bytes_after_the_tar_belong_to_the_diff_id() -> None:
    padded = TAR + b"\0" * 3_000_000
    assert read_layer(pieces(padded, 1 << 20), "It").diff_id == digest_of(padded)


def failing(data: bytes, error: Exception) -> Iterator[bytes]:
    yield data
    raise error


def test_wrong_bytes_are_the_only_problem() -> None:
    facts = read_layer(failing(PACKED[:5000], ContentError("It is another.")), "It")
    assert facts == LayerFacts(("It is another.",))


def test_what_is_no_fault_of_the_content_is_raised() -> None:
    before = threading.active_count()
    with pytest.raises(ConnectionFailed):
        read_layer(failing(PACKED[:5000], ConnectionFailed("It broke.")), "It")
    assert threading.active_count() == before


def test_broken_compression_does_not_hide_wrong_bytes() -> None:
    broken = PACKED[:2000] + b"\xff" * 2000 + PACKED[4000:]
    facts = read_layer(pieces(broken, 500), "It")
    assert (facts.broken, facts.diff_id, facts.compression) == ((), None, "gzip")
    assert facts.problems[0].startswith("It ")

    def wrong() -> Iterator[bytes]:
        yield from pieces(broken, 500)
        raise ContentError("It is another.")

    assert read_layer(wrong(), "It") == LayerFacts(("It is another.",))


@given(st.binary(max_size=2000), st.sampled_from([b"", b"\x1f\x8b", PACKED[:30], TAR[:600], TAR[:512]]))
def test_any_bytes_are_told_about_and_never_raise(data: bytes, start: bytes) -> None:
    facts = read_layer(pieces(start + data, 100), "It")
    assert facts.broken == ()
    assert all(text.startswith("It") for text in facts.problems)


def test_a_bomb_is_given_up_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 100 KB expand to comes in pieces of at most 34 MB, two of which are held."""
    packer = zlib.compressobj(wbits=31)
    data = b"".join(packer.compress(bytes(1 << 20)) for dummy in range(100)) + packer.flush()
    monkeypatch.setattr(limits, "RATIO_FROM", 64 << 20)
    tracemalloc.start()
    try:
        facts = read_layer(pieces(data, 1 << 16), "It", Limits(max_ratio=1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert facts.problems == (
        "It expands to more than 1000 times its size (max_ratio); raise that limit if you trust this image.",
    )
    assert facts.diff_id is None
    assert peak < 150_000_000
