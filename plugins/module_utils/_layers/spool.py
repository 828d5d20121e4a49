# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary files without a name, of which nothing is left whatever happens, and what a disk answers."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t
import weakref

from .._errors import InvalidInput, OCIError

_PIECE = 1 << 20
_NEAR = 1 << 14  # as far from each other as headers and small files that were replaced keep others


@contextlib.contextmanager
def explain_no_space(place: str, purpose: str, hint: str = "") -> t.Iterator[None]:
    """Say where a disk (or a quota) is full: OCIError (NO_SPACE), "Not enough space in PLACE PURPOSE; free someHINT."

    ``purpose`` goes on the sentence: "for the file x.tar", "to unpack app:1".
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OCIError(f"Not enough space in {place} {purpose}; free some{hint}.", "NO_SPACE") from exc


def read_at(handle: int, at: int, size: int, path: str) -> t.Iterator[bytes]:
    """Yield bytes of an open file in pieces, fewer where it ends before that; threads may share the descriptor.

    A disk that fails is InvalidInput (FILE_ERROR), which names ``path``, and so is never taken for a failure of the
    registry that the bytes go to.
    """
    end = at + size
    while at < end:
        try:
            data = os.pread(handle, min(end - at, _PIECE), at)
        except OSError as exc:
            raise InvalidInput(f"{path} cannot be read: {exc.strerror}.", "FILE_ERROR") from exc
        if not data:
            return
        yield data
        at += len(data)


def write_at(handle: int, data: bytes | bytearray | memoryview, at: int) -> None:
    """Write all of some bytes at an offset of an open file. Raises OSError."""
    view = memoryview(data)
    while view:
        done = os.pwrite(handle, view, at)
        view, at = view[done:], at + done


def write_chunks(handle: int, chunks: t.Iterable[bytes], at: int = 0) -> None:
    """Write pieces of content one after the other. Raises OSError, and what ``chunks`` raises."""
    for chunk in chunks:
        write_at(handle, chunk, at)
        at += len(chunk)


def _open_unnamed(folder: str, mode: int) -> int:
    """Open a file that never had a name, and may get one; or where the system has none such, one that lost its own."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
    except (OSError, AttributeError):  # what is really wrong with the folder shows below
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                return os.dup(file.fileno())
        except OSError as exc:  # which names a file that nobody knows
            raise OSError(exc.errno, exc.strerror, folder) from None


class Spool:
    """A temporary file without a name: it vanishes with this object, or with the process.

    ``purpose`` is for the message when the disk is full (see explain_no_space); ``folder`` is the system's temporary
    one by default. Bytes are added at the end, by one thread. As a context manager, it ends with the block. ``mode`` is
    for a file that is to get a name in the end.
    """

    def __init__(self, purpose: str, folder: str | None = None, mode: int = 0o600) -> None:
        self._place, self._purpose = folder or tempfile.gettempdir(), purpose
        self._hint = "" if folder else ", or let TMPDIR name a folder that has it"
        with explain_no_space(self._place, purpose, self._hint):
            self.handle = _open_unnamed(self._place, mode)
        self._end = weakref.finalize(self, os.close, self.handle)
        self.size = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *dummy: object) -> None:
        self._end()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Add bytes at the end. Raises OCIError (NO_SPACE), OSError."""
        with explain_no_space(self._place, self._purpose, self._hint):
            write_at(self.handle, data, self.size)
        self.size += len(data)
        return len(data)

    def chunks(self) -> t.Iterator[bytes]:
        """Yield all of it; threads may do this at once, and as often as they want."""
        return read_at(self.handle, 0, self.size, f"A temporary file in {self._place}")

    def named(self, path: str) -> int | None:
        """Give the file a name in its folder, and return a new descriptor of it; None where systems cannot do that."""
        try:
            links = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:  # with a folder of its own, this follows the link, as open(2) has it under O_TMPFILE
                os.link(str(self.handle), path, src_dir_fd=links)
            finally:
                os.close(links)
        except OSError:
            return None
        return os.dup(self.handle)

    def part(self, at: int, size: int) -> bytes:
        """Return so many bytes from an offset on, fewer at the end."""
        return b"".join(read_at(self.handle, at, size, f"A temporary file in {self._place}"))

    def reader(self) -> t.BinaryIO:
        """Return a stream to read and seek in from the beginning, one at a time; the caller closes it."""
        os.lseek(self.handle, 0, os.SEEK_SET)  # the descriptors of one file share their position
        return open(os.dup(self.handle), "rb")


class PartReader:
    """Reads parts of a spool; those that follow each other closely, as small files in a layer do, are read together."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._at, self._data = spool, 0, memoryview(b"")

    def at(self, offset: int) -> t.Callable[[int], memoryview]:
        """Return what reads on from an offset: it gets a number of bytes, and returns as many."""

        def read(size: int) -> memoryview:
            nonlocal offset
            start = offset - self._at
            if start < 0 or start + size > len(self._data):
                is_near = 0 <= start <= len(self._data) + _NEAR
                wanted = max(size, _PIECE) if is_near else size
                self._at, self._data, start = offset, memoryview(self._spool.part(offset, wanted)), 0
            offset += size
            return self._data[start : start + size]

        return read
