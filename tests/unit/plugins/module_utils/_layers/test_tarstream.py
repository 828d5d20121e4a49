# SPDX-License-Identifier: GPL-3.0-or-later
"""What reading and writing many headers fast rests on."""

from __future__ import annotations

import io
import random

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._layers import tarstream
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import (
    BLOCK,
    DIRECTORY,
    FILE,
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
        pytest.param([block(b"x", ALPHA), block(b"L", b"\0")], "alpha", id="pax, gnu empty"),
        pytest.param([block(b"x", ALPHA), block(b"g", TIME)], "a", id="a global header ends what was pending"),
        pytest.param([block(b"L", b"long\0"), block(b"V")], "a", id="so does a label"),
    ],
)
def test_a_file_has_the_name_that_engines_give_it(before: list[bytes], path: str) -> None:
    """As Go's reader takes them, so that nobody is shown another file than what a runtime unpacks."""
    (found,) = entries(io.BytesIO(b"".join([*before, block(b"0"), bytes(2 * BLOCK)])))
    assert found.path == path


def changed(at: int, data: bytes, kind: bytes = b"0", name: bytes = b"a") -> bytes:
    """A header with other bytes in it, and the right sum."""
    found = bytearray(block(kind, name=name))
    found[at : at + len(data)] = data
    found[148:156] = b" " * 8
    found[148:156] = b"%06o\0 " % sum(found)
    return bytes(found)


@pytest.mark.parametrize(
    ("raw", "path", "kind"),
    [
        pytest.param(changed(345, b"pre"), "pre/a", FILE, id="ustar"),
        pytest.param(changed(263, b"99" + changed(345, b"pre")[265:348]), "pre/a", FILE, id="another version"),
        pytest.param(changed(257, b"ustar  \0" + changed(345, b"pre")[265:348]), "pre/a", FILE, id="go before 1.8"),
        pytest.param(
            changed(257, b"ustar  \0" + changed(345, b"00000000017\0")[265:357]), "a", FILE, id="gnu with a time"
        ),
        pytest.param(changed(257, b"\0" * 8 + changed(345, b"pre")[265:348]), "a", FILE, id="older than ustar"),
        pytest.param(changed(0, b"a", name=b"a/"), "a", FILE, id="a file whose name ends with a slash"),
        pytest.param(changed(0, b"a", kind=b"\0", name=b"a/"), "a", DIRECTORY, id="an old directory"),
    ],
)
def test_a_header_says_what_it_says_to_engines(raw: bytes, path: str, kind: str) -> None:
    (found,) = entries(io.BytesIO(raw + bytes(2 * BLOCK)))
    assert (found.path, found.kind) == (path, kind)


@pytest.mark.parametrize("size", [b"+5", b"0_5", b"0o5", b"-5", b"5\t", b"9"])
def test_a_size_is_digits_alone(size: bytes) -> None:
    with pytest.raises(ContentError, match="damaged header"):
        list(entries(io.BytesIO(block(b"0") + changed(124, size.ljust(12, b"\0")) + bytes(2 * BLOCK))))


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
