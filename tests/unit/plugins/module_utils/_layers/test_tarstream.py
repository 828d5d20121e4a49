# SPDX-License-Identifier: GPL-3.0-or-later
"""What reading and writing many headers fast rests on."""

from __future__ import annotations

import random

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._layers import tarstream
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import BLOCK, clean_path


@pytest.mark.parametrize("fill", [0, 1, 0x7F, 0xFF])
def test_the_sum_of_a_header_of_equal_bytes(fill: int) -> None:
    assert tarstream._sum(bytes([fill]) * BLOCK) == fill * BLOCK


def test_the_sum_of_any_header() -> None:
    source = random.Random(1)
    for dummy in range(1000):
        block = source.randbytes(BLOCK)
        assert tarstream._sum(block) == sum(block)


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
