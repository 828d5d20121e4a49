# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary files without a name, of which nothing is left whatever happens."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t
import weakref

from .._errors import OCIError

_PIECE = 1 << 20


def scratch(folder: str | None = None) -> t.BinaryIO:
    """Open an empty file in a folder (the system's temporary one by default), to write and read."""
    return t.cast(t.BinaryIO, tempfile.TemporaryFile(dir=folder))  # pylint: disable=consider-using-with  # it is returned


def pieces(file: t.BinaryIO, size: int) -> t.Iterator[bytes]:
    """Yield the first ``size`` bytes of a file, wherever its position is, as often and in as many threads as wanted."""
    for at in range(0, size, _PIECE):
        yield os.pread(file.fileno(), min(_PIECE, size - at), at)


@contextlib.contextmanager
def explain_no_space(what: str, folder: str | None = None) -> t.Iterator[None]:
    """Explain a full disk: OCIError (NO_SPACE). ``what`` goes on the sentence "There is no room in FOLDER"."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "" if folder else ", or let TMPDIR name a folder that has it"
        text = f"There is no room in {folder or tempfile.gettempdir()} {what}; free some{hint}."
        raise OCIError(text, "NO_SPACE") from exc


def pieces_of(handle: int, at: int, size: int) -> t.Iterator[bytes]:
    """Yield bytes of an open file, fewer where it ends before that; threads may share the descriptor."""
    end = at + size
    while at < end:
        data = os.pread(handle, min(end - at, _PIECE), at)
        if not data:
            return
        yield data
        at += len(data)


class Spool:
    """A temporary file without a name: it vanishes with this object, or with the process."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=self._folder) as file:
            self.handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.handle)
        self.size = 0

    def write(self, data: bytes) -> int:
        """Add bytes at the end. Raises OSError, which names the folder."""
        try:
            write_at(self.handle, data, self.size)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, f"A temporary file in {self._folder}") from None
        self.size += len(data)
        return len(data)

    def chunks(self) -> t.Iterator[bytes]:
        """Yield all of it; threads may do this at once."""
        return pieces_of(self.handle, 0, self.size)


def write_at(handle: int, data: bytes, at: int) -> None:
    """Write all of some bytes at an offset of an open file."""
    view = memoryview(data)
    while view:
        done = os.pwrite(handle, view, at)
        view, at = view[done:], at + done
