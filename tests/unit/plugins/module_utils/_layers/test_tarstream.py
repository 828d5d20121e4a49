# SPDX-License-Identifier: GPL-3.0-or-later
"""What reading and writing many headers fast rests on."""

from __future__ import annotations

import io
import random

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._layers import tarstream
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import (
    BLOCK,
    TarEntry,
    clean_path,
    entries,
    header,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("fill", [0, 1, 0x7F, 0xFF])
def test_the_sum_of_a_header_of_equal_bytes(fill: int) -> None:
    assert tarstream._sum(bytes([fill]) * BLOCK) == fill * BLOCK


def test_the_sum_of_any_header() -> None:
    source = random.Random(1)
    for dummy in range(1000):
        block = source.randbytes(BLOCK)
        assert tarstream._sum(block) == sum(block)


NAMES = st.sampled_from(["", "root", "a" * 31, "a" * 32, "wheel\u00e9", "\udcff"])
NUMBERS = st.sampled_from([0, 1000, 8**7 - 1, 8**7, (1 << 32) - 1])


FIELDS = {
    "path": st.sampled_from(["a", "b" * 101, "c" * 99 + "/" + "d" * 99, "\u00e9"]),
    "mode": st.sampled_from([0, 0o644, 0o7777]),
    "uid": NUMBERS,
    "gid": NUMBERS,
    "mtime": st.sampled_from([-5, 0, 1 << 20, 1 << 40]),
    "uname": NAMES,
    "gname": NAMES,
    "pax": st.dictionaries(st.sampled_from(["SCHILY.xattr.user.a", "VENDOR.b"]), st.binary(min_size=1, max_size=9)),
}


@given(st.fixed_dictionaries(FIELDS).map(lambda fields: TarEntry(**fields)))
@settings(max_examples=500, deadline=None)
def test_a_written_header_says_what_the_entry_was(entry: TarEntry) -> None:
    """Also where its owners, which many entries have in common, do not fit into their fields."""
    (found,) = entries(io.BytesIO(header(entry, entry.path) + bytes(2 * BLOCK)))
    assert found._replace(offset=0) == entry


def block(kind: bytes, body: bytes = b"", name: bytes = b"a") -> bytes:
    """A header, and content that is padded to whole blocks."""
    found = tarstream._ustar(name=name, owner=OWNER, size=b"%011o\0" % len(body), kind=kind)
    return found + body + bytes(-len(body) % BLOCK)


OWNER = 3 * b"0000000\0"
ALPHA, NONE, TIME = b"14 path=alpha\n", b"8 path=\n", b"11 mtime=5\n"


@pytest.mark.parametrize(
    ("before", "path"),
    [
        pytest.param([block(b"x", ALPHA)], "alpha", id="pax"),
        pytest.param([block(b"x", ALPHA + NONE)], "a", id="taken back"),
        pytest.param([block(b"x", ALPHA), block(b"x", TIME)], "a", id="the last header counts"),
        pytest.param([block(b"L", b"long\0"), block(b"x", ALPHA)], "long", id="gnu before pax"),
        pytest.param([block(b"x", ALPHA), block(b"L", b"long\0")], "long", id="gnu behind pax"),
        pytest.param([block(b"L", b"long\0"), block(b"L", b"\0")], "a", id="gnu, taken back"),
        pytest.param([block(b"L", b"long\0"), block(b"x", TIME)], "long", id="gnu and a time"),
    ],
)
def test_a_file_has_the_name_that_engines_give_it(before: list[bytes], path: str) -> None:
    """As Go's reader takes them, so that nobody is shown another file than what a runtime unpacks."""
    (found,) = entries(io.BytesIO(b"".join([*before, block(b"0"), bytes(2 * BLOCK)])))
    assert found.path == path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", ""),
        (".", ""),
        ("/", ""),
        ("a", "a"),
        ("a/", "a"),
        ("/a", "a"),
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("./a/b/.", "a/b"),
        ("a/../b", "b"),
        ("a/b/..", "a"),
        ("a/..", ""),
        ("a/b/../c/", "a/c"),
        ("..a/..b", "..a/..b"),
        ("a" * 100 + "/" + "b" * 3995, "a" * 100 + "/" + "b" * 3995),
    ],
)
def test_paths_are_clean(name: str, path: str) -> None:
    assert clean_path(name) == path
    assert clean_path(name) == path, "from what is remembered"


@pytest.mark.parametrize("name", ["..", "../a", "a/../..", "a/../../b", "/../a", "./.."])
def test_no_path_leads_out_of_the_root(name: str) -> None:
    for dummy in range(2):
        with pytest.raises(ValueError, match="leads out of the root"):
            clean_path(name)


@pytest.mark.parametrize("name", ["a" * 4097, "a/" + "b" * 4095, "a/" * 2000 + "b" * 97])
def test_no_path_is_longer_than_a_kernel_takes(name: str) -> None:
    with pytest.raises(ValueError, match="is longer than 4096 characters"):
        clean_path(name)
