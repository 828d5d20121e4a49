# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.atomic import (
    FILE_MODE,
    atomic_write,
    check_file,
    check_folder,
    digest_of_file,
    write_file,
)
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._layers.spool import Spool
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.kit import fails


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_a_new_file(folder: Path) -> None:
    path = folder / "x"
    write_file(str(path), iter([b"ab", b"", b"c"]))
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(folder) == ["x"]


def written(spool: Spool, path: Path) -> int:
    """Let a spool become a file; return the inode that it had before."""
    spool.write(b"abc")
    with atomic_write(str(path), content=spool):
        assert [entry.name for entry in path.parent.iterdir()] != [path.name], "it is not seen yet"
    return os.fstat(spool.handle).st_ino


@pytest.mark.usefixtures("umask")
def test_a_spool_becomes_the_file_itself(folder: Path) -> None:
    path = folder / "x"
    assert written(Spool("to test", str(folder), FILE_MODE), path) == path.stat().st_ino, "it was copied"
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(folder) == ["x"]


@pytest.mark.usefixtures("umask")
def test_a_spool_that_cannot_get_a_name_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*dummy: object, **more: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    path = folder / "x"
    monkeypatch.setattr(os, "link", refuse)
    assert written(Spool("to test", str(folder), FILE_MODE), path) != path.stat().st_ino
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(folder) == ["x"]


def test_where_all_files_have_names_a_spool_loses_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False)
    path = folder / "x"
    assert written(Spool("to test", str(folder), FILE_MODE), path) != path.stat().st_ino
    assert path.read_bytes() == b"abc"
    assert os.listdir(folder) == ["x"]


def test_a_failure_takes_the_name_from_a_spool(folder: Path) -> None:
    spool = Spool("to test", str(folder), FILE_MODE)
    with pytest.raises(KeyboardInterrupt), atomic_write(str(folder / "x"), content=spool):
        raise KeyboardInterrupt
    assert os.listdir(folder) == []


def test_a_file_that_is_replaced_keeps_its_mode(folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"old and longer")
    path.chmod(0o600)
    write_file(str(path), [b"new"])
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o600


def test_the_file_is_prepared_before_it_is_seen(folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"old")
    path.chmod(0o640)
    seen: list[bytes] = []

    def prepare(finished: str) -> None:
        seen.append(path.read_bytes() + Path(finished).read_bytes())
        os.chmod(finished, 0o400)

    with atomic_write(str(path), prepare) as handle:
        os.write(handle, b"new")
    assert (seen, path.read_bytes(), path.stat().st_mode & 0o7777) == ([b"oldnew"], b"new", 0o400)
    with pytest.raises(ValueError, match="no"), atomic_write(str(path), lambda finished: int("no")):
        pass
    assert (path.read_bytes(), os.listdir(folder)) == (b"new", ["x"])


def broken(error: BaseException) -> Iterator[bytes]:
    yield b"some"
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_a_failure_leaves_what_was_there(error: BaseException, folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write_file(str(path), broken(error))
    assert path.read_bytes() == b"old"
    assert os.listdir(folder) == ["x"]


def test_a_full_disk_is_told_with_the_name_of_the_file(folder: Path) -> None:
    says = f"Not enough space in {folder} for {folder / 'x'}; free some."
    with fails(OCIError, "NO_SPACE", says=says), atomic_write(str(folder / "x")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(folder) == []


def test_other_files_keep_their_names_in_errors(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(str(folder / "x")):
        os.stat(folder / "other")
    assert caught.value.filename == str(folder / "other")


def test_a_folder_that_vanished(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(str(folder / "absent" / "x")):
        pass
    assert caught.value.filename == str(folder / "absent" / "x")


def test_where_a_file_may_be(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    (folder / "link").symlink_to("file")
    os.mkfifo(folder / "pipe")
    assert check_file(str(folder / "link")) == str(folder / "file")
    assert check_file(str(folder / "new")) == str(folder / "new")
    for path, says in ((folder, "is a folder"), (folder / "pipe", "no regular file")):
        with fails(InvalidInput, "FILE_ERROR", says=says):
            check_file(str(path))
    for path in (folder / "absent" / "x", folder / "file" / "x"):
        with fails(InvalidInput, "FILE_ERROR", says="does not exist; create it"):
            check_file(str(path))


def test_where_a_folder_may_be(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    assert check_folder(str(folder)) == str(folder)
    assert check_folder(str(folder / "new")) == str(folder / "new")
    with fails(InvalidInput, "FILE_ERROR", says="is a file"):
        check_folder(str(folder / "file"))
    with fails(InvalidInput, "FILE_ERROR", says="does not exist; create it"):
        check_folder(str(folder / "absent" / "x"))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest_of_file(algorithm: str, folder: Path) -> None:
    data = b"x" * 3_000_000
    (folder / "x").write_bytes(data)
    assert digest_of_file(str(folder / "x"), algorithm) == (digest_of(data, algorithm), len(data))
    assert digest_of_file(str(folder / "absent"), algorithm) is None
    assert digest_of_file(str(folder), algorithm) is None


def test_short_writes_are_made_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: real(handle, data[:2], at))
    write_file(str(folder / "x"), [b"abcde"])
    assert (folder / "x").read_bytes() == b"abcde"
