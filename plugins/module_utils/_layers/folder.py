# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing a folder as the content of a layer: sorted, parents first; no link in it is ever followed."""

from __future__ import annotations

import os
import stat
import typing as t
from functools import partial

from .._errors import ContentError
from .tarstream import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    TarEntry,
    content,
    header,
    printable,
)

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_MAX_DEPTH = 400  # each folder on the way is open, and systems allow a process about a thousand

Write = t.Callable[[bytes], object]


class _Found(t.NamedTuple):
    """Something in a folder: its path there, its status, and an open descriptor of a file or folder."""

    path: bytes
    status: os.stat_result
    handle: int | None
    target: str = ""
    """Of a symbolic link."""


def write_folder(root: str, out: Write) -> None:
    """Write what is in a folder; not the folder itself, which is not in the image. Sockets are left out.

    Raises ContentError where a file changes meanwhile, so that what a link points to never gets into an image whose
    maker may not read it; OSError.
    """
    first: dict[tuple[int, int], str] = {}
    top = os.open(root, _OPEN & ~os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        for found in _walk(top, b""):
            kind, status = _KINDS.get(stat.S_IFMT(found.status.st_mode)), found.status
            if kind:
                path = found.path.decode("utf-8", "surrogateescape")
                key = (status.st_dev, status.st_ino)
                link = first.setdefault(key, path) if status.st_nlink > 1 and kind != DIRECTORY else path
                entry = _entry(found, kind)
                out(header(entry, path, None if link == path else link))
                if found.handle is not None and kind == FILE and link == path:
                    write_content(entry, content(entry, partial(_read, found.handle, path)), out)
    finally:
        os.close(top)


def _walk(folder: int, path: bytes) -> t.Iterator[_Found]:
    """Yield what is in an open folder and below it. What is opened is what was looked at, or ContentError says so."""
    if path.count(b"/") >= _MAX_DEPTH:
        deep = printable(path.decode("utf-8", "surrogateescape"))
        raise ContentError(f"{deep} is more than {_MAX_DEPTH} folders deep; pack it into a tar.", "FILE_ERROR")
    for name in sorted(map(os.fsencode, os.listdir(folder))):
        status = os.lstat(name, dir_fd=folder)
        below, kind = os.path.join(path, name), stat.S_IFMT(status.st_mode)
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            handle = _open(name, folder, status, below)
            try:
                yield _Found(below, status, handle)
                if kind == stat.S_IFDIR:
                    yield from _walk(handle, below)
            finally:
                os.close(handle)
        else:
            target = os.readlink(name, dir_fd=folder) if kind == stat.S_IFLNK else b""
            yield _Found(below, status, None, target.decode("utf-8", "surrogateescape"))


def _open(name: bytes, folder: int, status: os.stat_result, path: bytes) -> int:
    try:
        handle = os.open(name, _OPEN, dir_fd=folder)
    except OSError as exc:
        if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise _changed(path) from exc
        raise OSError(exc.errno, exc.strerror, path) from None
    if not os.path.samestat(status, os.fstat(handle)):
        os.close(handle)
        raise _changed(path)
    return handle


def _changed(path: bytes) -> ContentError:
    name = printable(path.decode("utf-8", "surrogateescape"))
    return ContentError(f"{name} was replaced while it was packed; run the task again.", "FILE_ERROR")


def _entry(found: _Found, kind: str) -> TarEntry:
    status = found.status
    device = kind in (CHARACTER, BLOCK_DEVICE)
    return TarEntry(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == FILE else 0,
        mtime=int(status.st_mtime // 1),
        target=found.target,
        major=os.major(status.st_rdev) if device else 0,
        minor=os.minor(status.st_rdev) if device else 0,
        pax={} if found.handle is None else _xattrs(found.handle),
    )


def _xattrs(handle: int) -> dict[str, bytes]:
    """Return the attributes that belong into an image: capabilities and the user's own, not this machine's labels."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(handle)
        kept = [name for name in names if name == "security.capability" or name.startswith("user.")]
        return {f"SCHILY.xattr.{name}": os.getxattr(handle, name) for name in kept}
    except OSError:  # a file system without them
        return {}


def _read(handle: int, path: str, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(handle, size - len(data))
        if not more:
            raise shorter(path)
        data += more
    return data


def shorter(path: str) -> ContentError:
    """Return the error for a file that is not as long as it was."""
    return ContentError(f"{printable(path)} became shorter while it was read; run the task again.", "FILE_ERROR")


def write_content(entry: TarEntry, data: t.Iterable[bytes], out: Write) -> None:
    """Write the content of an entry, padded to whole blocks."""
    if entry.kind == FILE:
        for piece in data:
            out(piece)
        out(bytes(-entry.size % BLOCK))
