# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbolic links among the folders that a layer writes into: they count from the image's root, and stay in it."""

from __future__ import annotations

import io
import tarfile
from functools import partial

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._layers.flatten import LayerSource, flatten
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, SYMLINK, Item, pack


def names(*layers: list[Item]) -> list[str]:
    """What a merge makes."""
    out = io.BytesIO()
    sources = [LayerSource(f"Layer {at}", partial(io.BytesIO, pack(items))) for at, items in enumerate(layers)]
    flatten(sources, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return tar.getnames()


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/opt", "opt/file"),
        ("//opt/.", "opt/file"),
        ("../opt", "opt/file"),
        ("../../../../opt", "opt/file"),
        ("opt", "usr/opt/file"),
        ("./opt", "usr/opt/file"),
    ],
)
def test_a_file_behind_a_link(target: str, place: str) -> None:
    folders = [Item(name, DIRECTORY) for name in ("opt", "usr", "usr/opt")]
    assert place in names([*folders, Item("usr/link", SYMLINK, target=target)], [Item("usr/link/file")])


def test_a_whiteout_behind_a_link() -> None:
    base = [Item("opt", DIRECTORY), Item("opt/file"), Item("usr", DIRECTORY), Item("usr/link", SYMLINK, target="/opt")]
    assert "opt/file" not in names(base, [Item("usr/link/.wh.file")])
