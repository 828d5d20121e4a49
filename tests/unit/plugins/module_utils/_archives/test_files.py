# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in folders and archives, which may be hostile."""

from __future__ import annotations

import errno
import gzip
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives import files as files_module
from ansible_collections.quayside.registry.plugins.module_utils._archives.atomic import write_file
from ansible_collections.quayside.registry.plugins.module_utils._archives.files import Archive, Files, Folder
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._layers import limits as limits_module
from ansible_collections.quayside.registry.plugins.module_utils._layers.compression import compression_of, compressor
from ansible_collections.quayside.registry.plugins.module_utils._layers.spool import Spool
from ansible_collections.quayside.registry.plugins.module_utils._layers.streams import ChunkStream, unpacked
from ansible_collections.quayside.registry.tests.unit.image_files import save
from ansible_collections.quayside.registry.tests.unit.kit import fails
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

CONTENT = {"a": b"first", "deep/b": b"x" * 3_000_000, "empty": b""}


def opened(kind: str, tmp_path: Path) -> Files:
    """The same files in a folder, in a tar, and in a compressed tar."""
    if kind == "folder":
        return Folder(save(tmp_path / "folder", CONTENT))
    path = tmp_path / "archive"
    save_tar(path, CONTENT)
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return Archive(str(path))


@pytest.mark.parametrize("kind", ["folder", "tar", "gzip"])
def test_reads_files_by_name(kind: str, tmp_path: Path) -> None:
    files = opened(kind, tmp_path)
    for name, data in CONTENT.items():
        assert files.size(name) == len(data)
        assert b"".join(files.chunks(name)) == data
        assert files.read(name, len(data)) == data
    assert files.size("absent") is None
    assert files.size("a/b") is None
    with fails(ContentError, "ARCHIVE_INVALID", says="has no 'absent'"):
        files.read("absent", 10)
    with fails(ContentError, "TOO_LARGE", says="at most 4 are read"):
        files.read("a", 4)


def test_archive_lists_regular_files_in_order(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", CONTENT, [("link", tarfile.SYMTYPE, "a"), ("folder", tarfile.DIRTYPE, "")])
    assert Archive(path).names == list(CONTENT)


def test_content_is_not_held_in_memory(tmp_path: Path) -> None:
    files = opened("tar", tmp_path)
    assert max(len(chunk) for chunk in files.chunks("deep/b")) <= 1 << 20


LINKS = [
    ("link", tarfile.SYMTYPE, "deep/target"),
    ("deep/up", tarfile.SYMTYPE, "../link"),
    ("hard", tarfile.LNKTYPE, "deep/target"),
]


@pytest.mark.parametrize("name", ["link", "deep/up", "hard"])
def test_links_within_an_archive(name: str, tmp_path: Path) -> None:
    assert Archive(save_tar(tmp_path / "a.tar", {"deep/target": b"x"}, LINKS)).read(name, 9) == b"x"


def test_links_within_a_folder(tmp_path: Path) -> None:
    folder = Path(save(tmp_path / "folder", {"deep/target": b"x"}))
    (folder / "link").symlink_to("deep/target")
    assert Folder(str(folder)).read("link", 9) == b"x"
    (tmp_path / "alias").symlink_to(folder)
    assert Folder(str(tmp_path / "alias")).read("link", 9) == b"x"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "../outside"])
def test_links_that_lead_out(target: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = Path(save(tmp_path / "folder", {"a": b""}))
    (folder / "link").symlink_to(target)
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
        Folder(str(folder)).size("link")
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
        Archive(save_tar(tmp_path / "a.tar", {}, [("link", tarfile.SYMTYPE, target)])).size("link")


def test_a_folder_that_is_a_link_which_leads_out(tmp_path: Path) -> None:
    save(tmp_path / "outside", {"x": b"secret"})
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "blobs").symlink_to("../outside")
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
        Folder(str(folder)).size("blobs/x")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd"])
def test_names_that_lead_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = Folder(save(tmp_path / "folder", {"a": b""}))
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
        folder.read(name, 100)
    archive = Archive(save_tar(tmp_path / "a.tar", {"a": b""}))
    with fails(ContentError, "ARCHIVE_INVALID"):
        archive.read(name, 100)


@pytest.mark.parametrize("loop", [[("a", "b"), ("b", "a")], [("a", "a")]])
def test_links_in_a_circle(loop: list[tuple[str, str]], tmp_path: Path) -> None:
    archive = Archive(save_tar(tmp_path / "a.tar", {}, [(name, tarfile.SYMTYPE, target) for name, target in loop]))
    with fails(ContentError, "ARCHIVE_INVALID", says="go in a circle"):
        archive.size("a")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_regular_file(kind: bytes, tmp_path: Path) -> None:
    with fails(ContentError, "ARCHIVE_INVALID", says="no regular file"):
        Archive(save_tar(tmp_path / "a.tar", {}, [("x", kind, "")])).size("x")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with fails(ContentError, "ARCHIVE_INVALID", says="no regular file"):
        Folder(str(tmp_path)).size("pipe")
    with fails(ContentError, "ARCHIVE_INVALID", says="no regular file"):
        Archive(str(tmp_path / "pipe"))


def test_a_member_named_dot_dot(tmp_path: Path) -> None:
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of the root"):
        Archive(save_tar(tmp_path / "a.tar", {"../x": b""}))


@pytest.mark.parametrize("size", [1, 511, 700, 512 + 100])
def test_an_archive_that_is_cut_off(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({"a": b"x" * 2000})[:size])
    with fails(ContentError, "ARCHIVE_INVALID"):
        Archive(str(path))


def test_text_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_text("Hello " * 500)
    with fails(ContentError, "ARCHIVE_INVALID", says="is not a tar archive"):
        Archive(str(path))


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar_of(CONTENT))[:-20])
    with fails(ContentError, "CONTENT_INVALID"):
        Archive(str(path))


def test_an_archive_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = Path(save_tar(tmp_path / "a.tar", CONTENT))
    chunks = Archive(str(path)).chunks("deep/b")
    next(chunks)
    os.truncate(path, 2_000_000)
    with fails(ContentError, "ARCHIVE_INVALID", says="cut off"):
        list(chunks)


def test_an_archive_with_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_MAX_MEMBERS", 2)
    with fails(ContentError, "ARCHIVE_INVALID", says="more than 2 members"):
        Archive(save_tar(tmp_path / "a.tar", CONTENT))


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(files_module, "DEFAULT_LIMITS", limits_module.Limits(max_ratio=10))
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar_of({"a": bytes(40 << 20)})))
    with fails(ContentError, "LIMIT_EXCEEDED", says="more than 10 times"):
        Archive(str(path))


def test_spool() -> None:
    spool = Spool("to test")
    assert [spool.write(b"abc"), spool.write(b"de")] == [3, 2]
    assert spool.size == 5
    assert b"".join(spool.chunks()) == b"".join(spool.chunks()) == b"abcde"


def test_a_full_disk_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    spool = Spool("to test", str(folder))

    def full(*dummy: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with fails(OCIError, "NO_SPACE", says=f"Not enough space in {folder} to test; free some."):
        spool.write(b"x")
    with fails(OCIError, "NO_SPACE", says=f"Not enough space in {folder} for {folder}/new; free some."):
        write_file(f"{folder}/new", [b"x"])
    assert list(folder.iterdir()) == []


def test_spool_takes_what_a_compressor_writes() -> None:
    spool = Spool("to test")
    with compressor(spool) as writer:
        writer.write(b"abc")
    assert gzip.decompress(b"".join(spool.chunks())) == b"abc"


def test_unpacked_shows_what_went_in() -> None:
    seen: list[bytes] = []
    packed = gzip.compress(b"abc" * 1000)
    pieces = [packed[:1], b"", packed[1:7], packed[7:]]
    assert b"".join(unpacked(pieces, "It", seen.append)) == b"abc" * 1000
    assert b"".join(seen) == packed


def test_chunk_stream_ends() -> None:
    stream = ChunkStream([b"ab", b"c"])
    assert [stream.read(1), stream.read(5), stream.read(5), stream.read(5)] == [b"a", b"b", b"c", b""]


@pytest.mark.parametrize(
    ("start", "expected"),
    [(b"\x1f\x8b\x08\0", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x50\x2a\x4d\x18", "zstd"), (b"", "none")],
)
def test_compression_of(start: bytes, expected: str) -> None:
    assert compression_of(start) == expected
