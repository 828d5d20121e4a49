# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import sys
import typing as t

from .._errors import InvalidInput
from .._layers.spool import Spool, explain_no_space, write_chunks
from .._oci.digest import hasher

Prepare = t.Callable[[str], object]
FILE_MODE = 0o644  # minus the umask


def _refusal(text: str) -> InvalidInput:
    return InvalidInput(text, "FILE_ERROR")


def check_file(path: str) -> str:
    """Return where a file is to be written, links followed, or raise InvalidInput (FILE_ERROR) where that cannot be."""
    found = _resolve(path)
    if os.path.isdir(found) or path.endswith("/"):
        raise _refusal(f"{path} is a folder; give the path of a file.")
    if os.path.exists(found) and not os.path.isfile(found):
        raise _refusal(f"{path} is no regular file; give another path.")
    _check_parent(found)
    return found


def check_folder(path: str) -> str:
    """Return where a folder is to be, links followed, or raise InvalidInput (FILE_ERROR) where that cannot be."""
    found = _resolve(path)
    if os.path.exists(found) and not os.path.isdir(found):
        raise _refusal(f"{path} is a file; give the path of a folder.")
    _check_parent(found)
    return found


def _resolve(path: str) -> str:
    """Return the real path, or raise InvalidInput (FILE_ERROR)."""
    if not path:  # as a variable without a value gives it; it would be the current folder
        raise _refusal("The path is empty; give the path of what is to be written.")
    if "\n" in path:  # not told: a key, perhaps
        raise _refusal(f"A text of {len(path)} characters was given where a path is meant.")
    found = os.path.realpath(path)
    try:
        os.stat(found)
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is to be made, or its folder is refused below
    except OSError as exc:  # a name that is too long, a loop of links
        raise _refusal(f"{path}: {exc.strerror}.") from None
    except UnicodeError:
        encoding = sys.getfilesystemencoding()
        raise _refusal(f"{path!a} cannot be a name in {encoding}, the encoding of this Python; set LC_ALL.") from None
    return found


def _check_parent(path: str) -> None:
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise _refusal(f"The folder {parent} does not exist; create it before this task.")


def check_writable(path: str) -> None:
    """Raise InvalidInput (FILE_ERROR) where a file, or what is in a folder, that is to be written cannot be."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(f"The user of the task may not write to the folder {folder}; let it, or give another path.")


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
def locked(folder: str) -> t.Iterator[int]:
    """Keep a folder to oneself among the tasks that lock it too; give its descriptor. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_write(
    path: str, prepare: Prepare = lambda temporary: None, content: Spool | None = None, mode: int | None = None
) -> t.Iterator[int]:
    """Give a descriptor of a new file, which takes the place of ``path`` when the block ends, else vanishes.

    Its mode is ``mode``, or else 0644 minus the umask. One that was there before keeps its owner, and its mode where
    none is given. ``prepare`` gets the name of the finished file before that is seen: it may set other ones. The file
    has the ``content`` of a spool in the same folder, with this mode, or none. Raises OCIError (NO_SPACE), OSError.
    """
    temporary = os.path.join(os.path.dirname(path), f".oci-{secrets.token_hex(8)}.part")
    try:
        with explain_no_space(os.path.dirname(path), f"for {path}"):
            named = content.named(temporary) if content else None
            handle = _create(temporary) if named is None else named
            try:
                try:
                    if content and named is None:
                        write_chunks(handle, content.chunks())
                    if mode is not None:
                        os.fchmod(handle, mode)
                    yield handle
                    _keep_owner_and_mode(handle, path, mode)
                finally:
                    os.close(handle)
                prepare(temporary)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
    except OSError as exc:
        if exc.filename in (None, temporary):  # so that the message names what the user knows
            raise OSError(exc.errno, exc.strerror, path) from None
        raise


def _create(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)


def _keep_owner_and_mode(handle: int, path: str, mode: int | None) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if os.geteuid() == 0:
        os.fchown(handle, old.st_uid, old.st_gid)
    if mode is None:
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def write_file(path: str, chunks: t.Iterable[bytes]) -> None:
    """Write a file from pieces of content; it appears when the last one is written. Raises as atomic_write."""
    with atomic_write(path) as handle:
        write_chunks(handle, chunks)
