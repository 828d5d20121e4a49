# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives: always the same bytes, and told apart from anything else."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.writer import (
    ArchiveMember,
    holds,
    small,
    write_archive,
)
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.kit import fails

DATA = bytes(range(256)) * 20_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    path = tmp_path / "files"
    path.mkdir()
    return path


def map_all(function: Callable[[Any], Any], items: Iterable[Any], /) -> list[Any]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(function, items))


def pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


def members() -> list[ArchiveMember]:
    return [
        small("manifest.json", b"[]"),
        ArchiveMember("b" * 64 + ".tar", digest_of(DATA), len(DATA), lambda: pieces(DATA)),
        ArchiveMember("a" * 120, digest_of(DATA[1:]), None, lambda: pieces(DATA[1:])),
        small("empty", b""),
    ]


def test_what_is_written_is_a_tar(folder: Path) -> None:
    path = str(folder / "a.tar")
    write_archive(path, members(), map_all)
    with tarfile.open(path) as tar:
        found = tar.getmembers()
        content = {entry.name: (tar.extractfile(entry) or os.devnull) for entry in found}
        read = {name: file.read() for name, file in content.items() if not isinstance(file, str)}
    assert [entry.name for entry in found] == ["a" * 120, "b" * 64 + ".tar", "empty", "manifest.json"]
    assert {(entry.mode, entry.mtime, entry.uid, entry.gid, entry.uname) for entry in found} == {(0o644, 0, 0, 0, "")}
    assert read == {"a" * 120: DATA[1:], "b" * 64 + ".tar": DATA, "empty": b"", "manifest.json": b"[]"}
    assert os.listdir(folder) == ["a.tar"]


def test_the_bytes_are_always_the_same(folder: Path) -> None:
    for name, order in (("a", members()), ("b", members()[::-1])):
        write_archive(str(folder / name), order, map_all)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_what_is_there_is_recognised(folder: Path) -> None:
    path = folder / "a.tar"
    assert not holds(str(path), members(), map_all)
    write_archive(str(path), members(), map_all)
    assert holds(str(path), members(), map_all)
    assert not holds(str(path), members()[1:], map_all)
    assert not holds(str(path), [*members(), small("x", b"")], map_all)
    assert not holds(str(path), [small("manifest.json", b"{}"), *members()[1:]], map_all)


@pytest.mark.parametrize("at", [600, 300_000, -3000])
def test_a_flipped_bit_is_seen(at: int, folder: Path) -> None:
    path = folder / "a.tar"
    write_archive(str(path), members()[1:3], map_all)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert not holds(str(path), members()[1:3], map_all)


def test_anything_else_is_not_it(folder: Path) -> None:
    path = folder / "a.tar"
    for content in (b"", b"text" * 1000):
        path.write_bytes(content)
        assert not holds(str(path), members(), map_all)


def test_content_that_is_unpacked_is_verified(folder: Path) -> None:
    wrong = ArchiveMember("x", digest_of(b"other"), None, lambda: [b"content"])
    with fails(ContentError, "DIGEST_MISMATCH", says=digest_of(b"content")):
        write_archive(str(folder / "a.tar"), [wrong], map_all)
    assert os.listdir(folder) == []


def test_a_failure_leaves_nothing(folder: Path) -> None:
    def fail() -> Iterator[bytes]:
        yield b"x"
        raise ContentError("It broke.")

    with fails(ContentError, "CONTENT_INVALID"):
        write_archive(str(folder / "a.tar"), [ArchiveMember("x", digest_of(b"xy"), 2, fail)], map_all)
    assert os.listdir(folder) == []
