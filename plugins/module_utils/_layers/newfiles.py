# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer of single files, which go where an image has their folders, as ``buildah copy`` puts them."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from collections import Counter
from dataclasses import dataclass
from functools import partial

from .._errors import InvalidInput
from .folder import Write, shorter, write_content
from .newlayer import NewLayer, spooled
from .tarstream import DIRECTORY, TarEntry, clean_path, content, header, printable
from .tree import IMPLICIT, FileTree, Slot

# Folders that every system has, with modes that it needs.
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}

_HIGHEST_ID = (1 << 32) - 2  # the one above it is none (chown(2))


@dataclass(frozen=True)
class NewFile:
    """A file for a layer: its path in the image, its content or the file that has it, permissions, and owner."""

    path: str
    content: bytes | None
    src: str | None
    mode: int
    uid: int
    gid: int


def parse_file(value: t.Mapping[str, t.Any]) -> NewFile:
    """Read an item of the option ``files``. Raises InvalidInput, OSError."""
    path, src, text = value["path"], value.get("src"), value.get("content")
    try:
        clean = clean_path(path)
    except ValueError as exc:
        raise InvalidInput(f"The path {printable(path)} in files {exc}.") from None
    if "\0" in path:
        raise InvalidInput(
            f"The path {printable(path)} in files has a NUL in it, which no file name has; leave it out."
        )
    if not clean:
        raise InvalidInput(f"The path {printable(path)} in files is the root; give the path of a file.")
    if any(part.startswith(".wh.") for part in clean.split("/")):
        text = "has a name with .wh. in front, which removes a file from an image"
        raise InvalidInput(f"The path {printable(path)} in files {text}; choose another one.")
    if src == "":
        raise InvalidInput(
            f"The src of {printable(path)} in files is empty; name a file, or give content.", "FILE_ERROR"
        )
    if src and not os.path.isfile(src):
        raise InvalidInput(f"{src} is not a file; name a file as src, or give a folder in layers.", "FILE_ERROR")
    mode = _mode(value.get("mode"), path)
    if mode is None:
        mode = 0o755 if src and os.stat(src).st_mode & stat.S_IXUSR else 0o644
    data = None if text is None else text.encode("utf-8", "surrogateescape")
    return NewFile(clean, data, src, mode, _owner("uid", value, path), _owner("gid", value, path))


def _mode(value: t.Any, path: str) -> int | None:
    """Read a mode: an octal text, or the number that YAML makes of one where it begins with 0."""
    if value is None:
        return None
    number = isinstance(value, int) and not isinstance(value, bool)
    try:
        mode = int(value) if number else int(str(value), 8)
    except ValueError:
        mode = -1
    owner, others = mode >> 6 & 7, (mode >> 3 | mode) & 7
    if number and 0 < mode <= 0o7777 and (mode > 0o777 or others & ~owner):
        text = f"The mode {mode} of {printable(path)} is {mode:04o} for YAML; write it in quotes, such as '0644'"
        raise InvalidInput(f"{text}.")
    if not 0 <= mode <= 0o7777:
        raise InvalidInput(f"The mode {value!r} of {printable(path)} is not an octal one such as '0644'.")
    return mode


def _owner(key: str, value: t.Mapping[str, t.Any], path: str) -> int:
    """Read ``uid`` or ``gid``. A tar could hold more, but no system has more, and tools take it for root."""
    number = int(value.get(key) or 0)
    if not 0 <= number <= _HIGHEST_ID:
        raise InvalidInput(f"The {key} {number} of {printable(path)} in files must be from 0 to {_HIGHEST_ID}.")
    return number


def names_of(files: t.Iterable[NewFile]) -> str:
    """Return the paths of files, as the history of an image has them."""
    return ", ".join(sorted(f"/{file.path}" for file in files))


def digest_of_files(files: t.Sequence[NewFile], mtime: int) -> str:
    """Return a digest of all that was asked for, whatever the image is that the files go into. Raises InvalidInput."""
    digest = hashlib.sha256()
    _write_files(_places(files, FileTree()), mtime, digest.update)
    return f"sha256:{digest.hexdigest()}"


def layer_of_files(files: t.Sequence[NewFile], mtime: int, tree: FileTree) -> NewLayer:
    """Make one layer of single files for an image that has the files of ``tree``.

    Links in their paths are followed, folders that are there keep owner and mode, and missing ones are made (root,
    0755). What is there under the name of a file is replaced, be it a link. Raises InvalidInput, OSError.
    """
    places = _places(files, tree)
    return spooled(names_of(files), lambda out: _write_files(places, mtime, out))


def _places(files: t.Sequence[NewFile], tree: FileTree) -> list[tuple[Slot, NewFile]]:
    """Find out where files go. Raises InvalidInput where they cannot."""
    slots = [(tree.slot(file.path), file) for file in files]
    counts = Counter(slot.path for slot, dummy in slots)
    folders = {path for slot, dummy in slots for path, dummy_entry in slot.folders}
    for path, count in counts.items():
        if count > 1 or path in folders:
            text = "Each path in files must be there once (links followed), and not below another one"
            raise InvalidInput(f"{text}; look at {printable(f'/{path}')}.")
    return slots


def _write_files(slots: t.Sequence[tuple[Slot, NewFile]], mtime: int, out: Write) -> None:
    files = {slot.path: file for slot, file in slots}
    folders = {path: entry for slot, dummy in slots for path, entry in slot.folders}
    for path in sorted({*folders, *files}, key=lambda path: path.split("/")):
        if path in files:
            _write_file(path, files[path], mtime, out)
        else:
            out(header(_folder(path, folders[path], mtime), path))


def _folder(path: str, there: TarEntry | None, mtime: int) -> TarEntry:
    if there is None or there is IMPLICIT:
        return TarEntry(kind=DIRECTORY, mode=_MODES.get(path, 0o755), mtime=mtime)
    return there


def _write_file(path: str, file: NewFile, mtime: int, out: Write) -> None:
    entry = TarEntry(mode=file.mode, uid=file.uid, gid=file.gid, mtime=mtime)
    if file.src is None:
        data = file.content or b""
        entry = entry._replace(size=len(data))
        out(header(entry, path))
        write_content(entry, [data], out)
        return
    with open(file.src, "rb") as source:
        entry = entry._replace(size=os.fstat(source.fileno()).st_size)
        out(header(entry, path))
        write_content(entry, content(entry, partial(_read, source, file.src)), out)


def _read(source: t.BinaryIO, path: str, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise shorter(path)
    return data
