# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary files without a name, of which nothing is left whatever happens."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t

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
def room(what: str, folder: str | None = None) -> t.Iterator[None]:
    """Explain a full disk: OCIError (NO_SPACE). ``what`` goes on the sentence "There is no room in FOLDER"."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "" if folder else ", or let TMPDIR name a folder that has it"
        text = "There is no room in %s %s; free some%s."
        raise OCIError(text % (folder or tempfile.gettempdir(), what, hint), "NO_SPACE") from exc
