# SPDX-License-Identifier: GPL-3.0-or-later
"""Tars for tests, made with the standard library alone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE, LINK, SYMLINK, DIRECTORY, FIFO = b"0", b"1", b"2", b"5", b"6"

Files = Mapping[str, "bytes | str"]
Links = Iterable[tuple[str, bytes, str]]


@dataclass(frozen=True)
class Item:
    """An entry of a tar."""

    name: str
    kind: bytes = FILE
    content: bytes = b""
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    mtime: int = 0
    xattrs: tuple[tuple[str, str], ...] = ()


def pack(items: Iterable[Item], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these entries, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for item in items:
            info = tarfile.TarInfo(item.name)
            info.type, info.linkname, info.size = item.kind, item.target, len(item.content)
            info.mode, info.uid, info.mtime = item.mode, item.uid, item.mtime
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in item.xattrs}
            tar.addfile(info, io.BytesIO(item.content))
    return out.getvalue()


def tar_of(files: Files, links: Links = ()) -> bytes:
    """A tar of files by name, and of links (name, type, target), which come first."""
    first = [Item(name, kind, target=target) for name, kind, target in links]
    texts = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    return pack([*first, *(Item(name, content=data) for name, data in texts.items())])


def save_tar(path: Path, files: Files, links: Links = ()) -> str:
    """Write files and links into a tar; returns its path."""
    path.write_bytes(tar_of(files, links))
    return str(path)


def read_tar(path: Path) -> dict[str, bytes]:
    """The content of the files in a tar, by name."""
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
