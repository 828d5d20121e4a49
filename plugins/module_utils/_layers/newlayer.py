# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from what a user has: tars, folders, single files (OCI image-spec, layer.md). They are packed when needed."""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput
from .compression import compressor, decompressor
from .layerfile import LayerFile, read_layer_file
from .spool import pieces, scratch
from .tarstream import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    SYMLINK,
    Entry,
    TarReader,
    clean_path,
    content,
    header,
    printable,
)

_PIECE = 1 << 20
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
# Folders that every system has, with modes that it needs.
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}
_BLANK = Entry("", DIRECTORY, 0o755, 0, 0, 0, 0, "", "", "", 0, 0, {}, 0, None)
# Owner and group S-1-5-32-545 (Users), as a self-relative security descriptor: without it nothing can be run.
_USERS = "AQAAgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAhAgAAAQIAAAAAAAUgAAAAIQIAAA=="

Write = t.Callable[[bytes], object]


@dataclass(frozen=True)
class NewLayer:
    """A layer by the digest of its uncompressed bytes, and what it takes to send it.

    ``name`` is for the history. ``compression`` is what it has already, if any; else ``pack`` compresses as it is told.
    ``plain`` opens its uncompressed bytes.
    """

    name: str
    diff_id: str
    compression: str | None
    pack: t.Callable[[str], LayerFile]
    plain: t.Callable[[], t.BinaryIO]


def from_path(path: str) -> NewLayer:
    """Read a tar, plain or compressed, or a folder. Raises InvalidInput, ContentError, OSError."""
    name = os.path.basename(path.rstrip("/")) or path
    if not os.path.exists(path):
        raise InvalidInput(f"{path} does not exist; a layer is a tar or a folder on the target host.", "FILE_ERROR")
    if os.path.isdir(path):
        return _spooled(name, partial(_write_folder, os.fsencode(path)))
    layer = read_layer_file(path, "none")
    compression = None if layer.compression == "none" else layer.compression
    pack = partial(read_layer_file, path) if compression is None else lambda dummy: layer
    return NewLayer(name, layer.diff_id, compression, pack, lambda: decompressor(open(path, "rb"), path))


@dataclass(frozen=True)
class NewFile:
    """A file for a layer: its path in the image, its content or the file that has it, permissions, and owner."""

    path: str
    content: bytes | None
    src: str | None
    mode: int
    uid: int
    gid: int


def from_files(files: t.Sequence[NewFile], mtime: int) -> NewLayer:
    """Make one layer of single files, with the folders above them. Raises InvalidInput, OSError."""
    wanted = {file.path: file for file in files}
    folders = {"/".join(parts[:end]) for parts in (path.split("/") for path in wanted) for end in range(1, len(parts))}
    if len(wanted) < len(files) or folders & wanted.keys() or "" in wanted:
        raise InvalidInput("Each path in files must be there once, and not below another one, nor the root.")

    def write(out: Write) -> None:
        for path in sorted(folders | wanted.keys(), key=lambda path: path.split("/")):
            if path in folders:
                out(header(_BLANK._replace(mode=_MODES.get(path, 0o755), mtime=mtime), path))
            else:
                _write_file(wanted[path], mtime, out)

    return _spooled(", ".join(f"/{path}" for path in sorted(wanted)), write)


def windows(layer: NewLayer) -> NewLayer:
    """Return a layer as Windows wants it: its files below ``Files``, beside ``Hives``, with an owner that may run them.

    Raises ContentError where a name is of that form already.
    """

    def write(out: Write) -> None:
        for name in ("Files", "Hives"):
            out(header(_BLANK._replace(mode=0o555), name))
        with layer.plain() as stream:
            reader = TarReader(stream, layer.name)
            for entry in reader:
                if entry.path.split("/")[0] in ("Files", "Hives"):
                    text = (
                        f"{layer.name}: entry {printable(entry.path)} is for Windows already; "
                        "give the files without these folders above them."
                    )
                    raise ContentError(text, "INVALID_LAYER")
                target = f"Files/{entry.target}" if entry.kind == LINK else entry.target
                pax = {**entry.pax, "MSWINDOWS.rawsd": _USERS.encode("ascii")}
                if entry.path:
                    out(header(entry._replace(target=target, pax=pax), f"Files/{entry.path}"))
                    _write_content(entry, content(entry, reader.read), out)

    return _spooled(layer.name, write)


def parse_file(value: t.Mapping[str, t.Any]) -> NewFile:
    """Read an item of the option ``files``. Raises InvalidInput, OSError."""
    path, src, text = value["path"], value.get("src"), value.get("content")
    try:
        clean = clean_path(path)
    except ValueError as exc:
        raise InvalidInput(f"The path {printable(path)} in files {exc}.") from None
    if src and not os.path.isfile(src):
        raise InvalidInput(f"{src} is not a file; name a file as src, or give a folder in layers.", "FILE_ERROR")
    mode = _mode(value.get("mode"), path)
    if mode is None:
        mode = 0o755 if src and os.stat(src).st_mode & stat.S_IXUSR else 0o644
    data = None if text is None else text.encode("utf-8", "surrogateescape")
    return NewFile(clean, data, src, mode, value.get("uid") or 0, value.get("gid") or 0)


def _mode(value: t.Any, path: str) -> int | None:
    """Read a mode: an octal text, or the number that YAML makes of one."""
    try:
        mode = value if value is None or isinstance(value, int) else int(str(value), 8)
    except ValueError:
        mode = -1
    if mode is not None and not 0 <= mode <= 0o7777:
        raise InvalidInput(f"The mode {value!r} of {printable(path)} is not an octal one such as '0644'.")
    return mode


def _spooled(name: str, write: t.Callable[[Write], None]) -> NewLayer:
    """Write a tar into a temporary file, uncompressed."""
    file = scratch()
    with compressor(file, "none") as writer:
        write(writer.write)
        writer.write(bytes(2 * BLOCK))
    written = writer.close()
    file.flush()

    def pack(compression: str) -> LayerFile:
        packed = scratch()
        with compressor(packed, compression) as coder:
            for piece in pieces(file, written.size):
                coder.write(piece)
        done = coder.close()
        packed.flush()
        return LayerFile(done.digest, done.size, done.diff_id, compression, partial(pieces, packed, done.size))

    def plain() -> t.BinaryIO:
        file.seek(0)
        return open(os.dup(file.fileno()), "rb")

    return NewLayer(name, written.diff_id, None, pack, plain)


def _write_content(entry: Entry, data: t.Iterable[bytes], out: Write) -> None:
    if entry.kind == FILE:
        for piece in data:
            out(piece)
        out(bytes(-entry.size % BLOCK))


def _write_file(file: NewFile, mtime: int, out: Write) -> None:
    if file.src:
        with open(file.src, "rb") as source:
            size = os.fstat(source.fileno()).st_size
            entry = _BLANK._replace(kind=FILE, mode=file.mode, uid=file.uid, gid=file.gid, mtime=mtime, size=size)
            out(header(entry, file.path))
            _write_content(entry, content(entry, partial(_read, source, file.src)), out)
    else:
        data = file.content or b""
        entry = _BLANK._replace(kind=FILE, mode=file.mode, uid=file.uid, gid=file.gid, mtime=mtime, size=len(data))
        out(header(entry, file.path))
        _write_content(entry, [data], out)


def _write_folder(root: bytes, out: Write) -> None:
    """Write what is in a folder, sorted, parents first; not the folder itself, which is not in the image."""
    first: dict[tuple[int, int], str] = {}
    todo = [b""]
    while todo:
        name = todo.pop()
        place = os.path.join(root, name)
        status = os.lstat(place) if name else os.stat(place)
        if stat.S_ISDIR(status.st_mode):
            below = sorted(os.listdir(place), reverse=True)
            todo += [os.path.join(name, other) for other in below]
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if name and kind:  # sockets are left out
            path, key = name.decode("utf-8", "surrogateescape"), (status.st_dev, status.st_ino)
            entry = _entry_of(place, status, kind)
            link = first.setdefault(key, path) if status.st_nlink > 1 and kind != DIRECTORY else path
            out(header(entry, path, None if link == path else link))
            if kind == FILE and link == path:
                with open(place, "rb") as source:
                    _write_content(entry, content(entry, partial(_read, source, path)), out)


def _entry_of(place: bytes, status: os.stat_result, kind: str) -> Entry:
    device = kind in (CHARACTER, BLOCK_DEVICE)
    return _BLANK._replace(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == FILE else 0,
        mtime=int(status.st_mtime // 1),
        target=os.readlink(place).decode("utf-8", "surrogateescape") if kind == SYMLINK else "",
        major=os.major(status.st_rdev) if device else 0,
        minor=os.minor(status.st_rdev) if device else 0,
        pax=_xattrs(place),
    )


def _xattrs(place: bytes) -> dict[str, bytes]:
    """Return the attributes that belong into an image: capabilities and the user's own, not this machine's labels."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(place, follow_symlinks=False)
        kept = [name for name in names if name == "security.capability" or name.startswith("user.")]
        return {f"SCHILY.xattr.{name}": os.getxattr(place, name, follow_symlinks=False) for name in kept}
    except OSError:  # a file system without them
        return {}


def _read(source: t.BinaryIO, path: str, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise ContentError(f"{printable(path)} became shorter while it was read; run the task again.", "FILE_ERROR")
    return data
