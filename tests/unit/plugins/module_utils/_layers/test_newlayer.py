# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from tars, folders and single files."""

from __future__ import annotations

import base64
import gzip
import io
import os
import shutil
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._layers.newfiles import layer_of_files, parse_file
from ansible_collections.quayside.registry.plugins.module_utils._layers.newlayer import (
    NewLayer,
    from_path,
    windows,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers.tree import FileTree
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.kit import fails
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, LINK, SYMLINK, Item, pack


def entries(layer: NewLayer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.plain()))) as archive:
        return {info.name: info for info in archive}


def content(layer: NewLayer, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.plain()))) as archive:
        return archive.extractfile(name).read()


def tar_file(path: Path, *items: Item) -> Path:
    path.write_bytes(pack(items))
    return path


def folder(path: Path) -> Path:
    root = path / "site"
    (root / "b" / "c").mkdir(parents=True)
    (root / "b.txt").write_bytes(b"text" * 400)
    (root / "a-\u00e4").write_bytes(b"")
    (root / "b" / "c" / "link").symlink_to("../../b.txt")
    os.link(root / "b.txt", root / "b" / "hard")
    os.mkfifo(root / "fifo")
    for place in root.rglob("*"):
        os.utime(place, (1, 1_700_000_000.9), follow_symlinks=False)
    return root


def test_a_folder_is_sorted_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path)
    monkeypatch.chdir(root)
    root.chmod(0o700)
    (root / "b.txt").chmod(0o4751)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")  # a longer path may be too long
        layer = from_path(f"{root}/")
    found = entries(layer)
    assert list(found) == ["a-\u00e4", "b", "b/c", "b/c/link", "b/hard", "b.txt", "fifo"]
    assert (layer.name, layer.compression) == ("site", None)
    assert (found["b/c/link"].linkname, found["b.txt"].linkname) == ("../../b.txt", "b/hard")
    assert (found["b.txt"].islnk(), found["fifo"].isfifo(), found["b"].isdir()) == (True, True, True)
    assert (found["b/hard"].mode, found["b/hard"].size, found["b/hard"].mtime) == (0o4751, 1600, 1_700_000_000)
    assert found["b/hard"].uid == os.getuid()
    assert content(layer, "b/hard") == b"text" * 400
    assert from_path(str(root)).diff_id == layer.diff_id


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices and capabilities")
def test_devices_owners_and_attributes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    (root / "ping").write_bytes(b"x")
    os.chown(root / "ping", 12, 34)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    try:
        os.setxattr(root / "ping", "security.capability", capability)
        os.setxattr(root / "ping", "user.x", b"y")
    except OSError:
        pytest.skip("the file system has no attributes")
    found = entries(from_path(str(root)))
    assert (found["null"].ischr(), found["null"].devmajor, found["null"].devminor) == (True, 1, 3)
    assert (found["ping"].uid, found["ping"].gid) == (12, 34)
    assert found["ping"].pax_headers["SCHILY.xattr.user.x"] == "y"
    assert (
        found["ping"].pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == capability
    )


def test_packing_gives_what_was_promised(tmp_path: Path) -> None:
    layer = from_path(str(folder(tmp_path)))
    packed = layer.pack("gzip")
    data = b"".join(packed.open())
    assert b"".join(packed.open()) == data
    assert (packed.digest, packed.size, packed.compression) == (digest_of(data), len(data), "gzip")
    assert digest_of(gzip.decompress(data)) == packed.diff_id == layer.diff_id


def test_tars_are_used_as_they_are(tmp_path: Path) -> None:
    plain = tar_file(tmp_path / "a.tar", Item("a", content=b"12345"))
    packed = tmp_path / "a.tgz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 3))
    for path, compression in ((plain, None), (packed, "gzip")):
        layer = from_path(str(path))
        assert (layer.name, layer.compression) == (path.name, compression)
        assert layer.diff_id == digest_of(plain.read_bytes())
        assert layer.pack("gzip").compression == "gzip"
        assert list(entries(layer)) == ["a"]
    assert b"".join(from_path(str(packed)).pack("zstd").open()) == packed.read_bytes()


def test_tars_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"no tar" * 1000)
    with pytest.raises(ContentError):
        from_path(str(bad))
    with pytest.raises(ContentError, match="leads out of the root"):
        from_path(str(tar_file(tmp_path / "out.tar", Item("../x"))))
    with pytest.raises(InvalidInput, match="none does not exist"):
        from_path(str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match="The path of a layer is empty"):
        from_path("")


def make(*values: dict[str, Any], mtime: int = 0) -> NewLayer:
    return layer_of_files([parse_file(value) for value in values], mtime, FileTree())


def test_files_come_with_the_folders_above_them(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.write_bytes(b"program")
    src.chmod(0o755)
    layer = make(
        {"path": "/usr/bin/run", "src": str(src)},
        {"path": "etc/app/conf", "content": "\u00e4", "mode": "0600", "uid": 5, "gid": 6},
        {"path": "/tmp/x", "content": "", "mode": 0o640},
        mtime=77,
    )
    found = entries(layer)
    assert list(found) == ["etc", "etc/app", "etc/app/conf", "tmp", "tmp/x", "usr", "usr/bin", "usr/bin/run"]
    assert [found[name].mode for name in ("etc/app", "tmp", "usr/bin/run", "tmp/x")] == [0o755, 0o1777, 0o755, 0o640]
    conf = found["etc/app/conf"]
    assert (conf.mode, conf.uid, conf.gid, conf.mtime) == (0o600, 5, 6, 77)
    assert content(layer, "etc/app/conf") == "\u00e4".encode()
    assert content(layer, "usr/bin/run") == b"program"
    assert layer.name == "/etc/app/conf, /tmp/x, /usr/bin/run"
    src.chmod(0o600)
    assert entries(make({"path": "x", "src": str(src)}))["x"].mode == 0o644


@pytest.mark.parametrize(
    "values",
    [
        [{"path": "/a", "content": ""}, {"path": "a/", "content": "x"}],
        [{"path": "/a", "content": ""}, {"path": "/a/b", "content": ""}],
        [{"path": "/", "content": ""}],
        [{"path": "../a", "content": ""}],
        [{"path": "a", "src": "/nonexistent"}],
        [{"path": "a", "content": "", "mode": "rw"}],
        [{"path": "a", "content": "", "mode": "77777"}],
        [{"path": "a", "content": "", "uid": -1}],
        [{"path": "a", "content": "", "gid": (1 << 32) - 1}],
        [{"path": "a", "content": "", "uid": 1 << 33}],
        [{"path": "/e\0", "content": ""}],
        [{"path": "a", "src": ""}],
    ],
)
def test_files_that_cannot_be(values: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput):
        make(*values)


def test_the_highest_owner_is_stored() -> None:
    highest = (1 << 32) - 2
    found = entries(make({"path": "a", "content": "", "uid": highest, "gid": highest}))["a"]
    assert (found.uid, found.gid) == (highest, highest)


def test_windows(tmp_path: Path) -> None:
    path = tar_file(
        tmp_path / "a.tar",
        Item("./", DIRECTORY),
        Item("app/x", content=b"x" * 700),
        Item("app/hard", LINK, target="app/x"),
        Item("app/soft", SYMLINK, target="x"),
    )
    layer = windows(from_path(str(path)))
    found = entries(layer)
    assert list(found) == ["Files", "Hives", "Files/app/x", "Files/app/hard", "Files/app/soft"]
    assert (found["Files/app/hard"].linkname, found["Files/app/soft"].linkname) == ("Files/app/x", "x")
    descriptor = base64.b64decode(found["Files/app/x"].pax_headers["MSWINDOWS.rawsd"])
    assert descriptor[20:36] == descriptor[36:52] == bytes.fromhex("01020000000000052000000021020000")
    assert content(layer, "Files/app/x") == b"x" * 700
    assert windows(layer) is layer
    both = tmp_path / "both.tar"
    both.write_bytes(pack([Item("Files/x"), Item("y")]))
    with pytest.raises(ContentError, match="has Files or Hives, as layers of Windows have, and other files"):
        windows(from_path(str(both)))


def test_a_folder_that_is_nested_without_an_end_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "/".join("d" * 400)).mkdir(parents=True)
    assert len(entries(from_path(str(root)))) == 400
    (root / "/".join("d" * 402)).mkdir(parents=True)
    with fails(ContentError, "FILE_ERROR", says="is more than 400 folders deep"):
        from_path(str(root))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_becomes_a_link_while_a_folder_is_packed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"the secret")
    root = tmp_path / "site"
    root.mkdir()
    if kind == "file":
        (root / "x").write_bytes(b"public")
    else:
        (root / "x").mkdir()
    real = os.lstat

    def lstat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        """Put the link in place between the look and the opening."""
        found = real(path, *args, **options)
        if path == b"x" and not (root / "x").is_symlink():
            shutil.rmtree(root / "x") if kind == "folder" else (root / "x").unlink()
            (root / "x").symlink_to(tmp_path / "secret" / ("key" if kind == "file" else ""))
        return found

    monkeypatch.setattr(os, "lstat", lstat)
    with fails(ContentError, "FILE_ERROR", says="'x' was replaced while it was packed"):
        from_path(str(root))


def test_another_file_in_its_place_while_a_folder_is_packed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "site"
    root.mkdir()
    (root / "x").write_bytes(b"public")
    (tmp_path / "other").write_bytes(b"other")
    real = os.lstat

    def lstat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        found = real(path, *args, **options)
        if path == b"x" and (tmp_path / "other").exists():
            (tmp_path / "other").replace(root / "x")
        return found

    monkeypatch.setattr(os, "lstat", lstat)
    with fails(ContentError, "FILE_ERROR", says="'x' was replaced while it was packed"):
        from_path(str(root))
