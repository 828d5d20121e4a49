# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import typing as t

from .._errors import InvalidInput
from .._oci.digest import hasher


def _refusal(text: str) -> InvalidInput:
    return InvalidInput(text, "FILE_ERROR")


def check_file(path: str) -> str:
    """Return where a file is to be written, links followed, or raise InvalidInput (FILE_ERROR) where that cannot be."""
    place = os.path.realpath(path)
    if os.path.isdir(place):
        raise _refusal(f"{path} is a folder; give the path of a file.")
    if os.path.exists(place) and not os.path.isfile(place):
        raise _refusal(f"{path} is no regular file; give another path.")
    _check_parent(place)
    return place


def check_folder(path: str) -> str:
    """Return where a folder is to be, links followed, or raise InvalidInput (FILE_ERROR) where that cannot be."""
    place = os.path.realpath(path)
    if os.path.exists(place) and not os.path.isdir(place):
        raise _refusal(f"{path} is a file; give the path of a folder.")
    _check_parent(place)
    return place


def _check_parent(place: str) -> None:
    parent = os.path.dirname(place)
    if not os.path.isdir(parent):
        raise _refusal(f"The folder {parent} does not exist; create it before this task.")


def digest_of_file(path: str, algorithm: str) -> tuple[str, int] | None:
    """Return digest and size of a file, or None where there is no regular file."""
    if not os.path.isfile(path):
        return None
    digest = hasher(algorithm)
    with open(path, "rb") as file:
        size = 0
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
            size += len(chunk)
    return f"{algorithm}:{digest.hexdigest()}", size


@contextlib.contextmanager
def atomic_write(path: str, prepare: t.Callable[[str], object] = lambda temporary: None) -> t.Iterator[int]:
    """Give a descriptor of a new file, which takes the place of ``path`` when the block ends, else vanishes.

    Its mode is 0644 minus the umask; one that was there before keeps its mode and owner. ``prepare`` is given the path
    of the finished file before it gets its name, to set other attributes.
    """
    temporary = os.path.join(os.path.dirname(path), f".oci-{secrets.token_hex(8)}.part")
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            try:
                yield handle
                _keep_mode(handle, path)
                prepare(temporary)
            finally:
                os.close(handle)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        if exc.filename in (None, temporary):  # so that the message names what the user knows
            raise OSError(exc.errno, exc.strerror, path) from None
        raise


def _keep_mode(handle: int, path: str) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if os.geteuid() == 0:
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def write_file(path: str, chunks: t.Iterable[bytes]) -> None:
    """Write a file from pieces of content; it appears when the last one is written."""
    with atomic_write(path) as handle, open(handle, "wb", buffering=0, closefd=False) as file:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) or 0 :]
