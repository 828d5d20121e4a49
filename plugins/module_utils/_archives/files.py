# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular files by name, in a folder or in a tar archive; nothing outside of it is ever read, whatever links say."""

from __future__ import annotations

import os
import posixpath
import stat
import typing as t
import weakref

from .._errors import ContentError
from .._layers.compression import FILES, SNIFFED, compression_of
from .._layers.limits import DEFAULT_LIMITS, Budget
from .._layers.spool import Spool, read_at
from .._layers.streams import pieces_of, unpacked
from .._layers.tarstream import FILE, LINK, SYMLINK, SeekingTarReader, TarEntry, clean_path, printable

_MAX_LINKS = 40  # in a row, as Linux
_MAX_MEMBERS = 200_000


def _bad(path: str, problem: str, code: str = "ARCHIVE_INVALID") -> ContentError:
    return ContentError(f"{path} {problem}.", code)


class Files:
    """What folders and archives have in common; ``path`` names them in messages."""

    path: str

    def _find(self, name: str) -> tuple[int, int, int] | None:
        """Return an open descriptor, which the caller closes, and where the file begins in it, and its size."""
        raise NotImplementedError

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None where there is none of that name."""
        found = self._find(name)
        if found is None:
            return None
        os.close(found[0])
        return found[2]

    def chunks(self, name: str) -> t.Iterator[bytes]:
        """Yield the bytes of a file. ContentError where it is missing or cut off; threads may do this at once."""
        found = self._find(name)
        if found is None:
            raise _bad(self.path, f"has no {printable(name)}")
        handle, at, size = found
        try:
            done = 0
            for data in read_at(handle, at, size, self.path):
                done += len(data)
                yield data
            if done < size:
                raise _bad(self.path, f"was cut off while {printable(name)} was read")
        finally:
            os.close(handle)

    def read(self, name: str, limit: int) -> bytes:
        """Return a small file. ContentError where it is missing or larger than ``limit`` bytes (TOO_LARGE)."""
        size = self.size(name) or 0
        if size > limit:
            text = f"has a {printable(name)} of {int(size)} bytes; at most {int(limit)} are read of its kind"
            raise _bad(self.path, text, "TOO_LARGE")
        return b"".join(self.chunks(name))


class Folder(Files):
    """A folder; links in it are followed as long as they stay in it."""

    def __init__(self, path: str) -> None:
        self.path, self._root = path, os.path.realpath(path)

    def place(self, name: str) -> str:
        """Return the path of a file, be it there or not, or raise ContentError where that leads out of the folder."""
        found = os.path.realpath(os.path.join(self._root, name))
        if not found.startswith(f"{self._root.rstrip('/')}/"):
            raise _bad(self.path, f"has a {printable(name)} that leads out of it")
        return found

    def _find(self, name: str) -> tuple[int, int, int] | None:
        try:
            # Nothing blocks here, be it a pipe, and a link that was put in place by now is not followed.
            handle = os.open(self.place(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise _bad(self.path, f"has a {printable(name)} that is no regular file")
        return handle, 0, found.st_size


class Archive(Files):
    """A tar archive, also a compressed one, which is unpacked into a temporary file without a name."""

    def __init__(self, path: str) -> None:
        self.path = path
        # As with a folder's files: opening a pipe must not wait for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _bad(path, "is no regular file")
            self._spool = _unpacked(file, path)
            self._handle = os.dup(self._spool.handle if self._spool else file.fileno())
        weakref.finalize(self, os.close, self._handle)
        try:
            with open(os.dup(self._handle), "rb") as plain:
                plain.seek(0)  # both descriptors share their position
                self._entries = _entries(plain, path)
        except ContentError as exc:
            raise ContentError(str(exc), "ARCHIVE_INVALID") from None

    @property
    def names(self) -> list[str]:
        """The names of its regular files, in their order."""
        return [name for name, entry in self._entries.items() if entry.kind == FILE]

    def _find(self, name: str) -> tuple[int, int, int] | None:
        wanted = name
        for dummy in range(_MAX_LINKS):
            try:
                entry = self._entries.get(clean_path(name))
                if entry and entry.kind == SYMLINK and entry.target.startswith("/"):
                    raise ValueError
            except ValueError:
                raise _bad(self.path, f"has a {printable(wanted)} that leads out of it") from None
            if entry is None:
                return None
            if entry.kind == FILE and entry.segments is None:
                return os.dup(self._handle), entry.offset, entry.size
            if entry.kind == LINK:
                name = entry.target
            elif entry.kind == SYMLINK:
                name = posixpath.join(posixpath.dirname(entry.path), entry.target)
            else:
                raise _bad(self.path, f"has a {printable(wanted)} that is no regular file")
        raise _bad(self.path, f"has a {printable(wanted)} whose links go in a circle")


def _entries(file: t.BinaryIO, path: str) -> dict[str, TarEntry]:
    """Return the entries by name; the last one of a name counts, as it would once they are unpacked."""
    found: dict[str, TarEntry] = {}
    for entry in SeekingTarReader(file, path, os.fstat(file.fileno()).st_size):
        found[entry.path] = entry
        if len(found) > _MAX_MEMBERS:
            raise _bad(path, f"has more than {int(_MAX_MEMBERS)} members, so it holds no images")
    return found


def _unpacked(file: t.BinaryIO, path: str) -> Spool | None:
    """Return the content of a compressed archive in a temporary file, or None where it is not compressed."""
    compression = compression_of(file.read(SNIFFED))
    file.seek(0)
    if compression == "none":
        return None
    if compression not in FILES:
        raise _bad(path, f"is compressed with {compression}, which is not supported; unpack it before this task")
    spool, budget = Spool(f"to unpack {path}"), Budget(DEFAULT_LIMITS, "unpack it yourself if you trust it")
    for data in unpacked(pieces_of(file), path, known=FILES):
        spool.write(data)
        budget.spend(path, len(data))
        budget.check_ratio(path, spool.size, file.tell())
    return spool
