# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders with files of every kind, to be packed as layers, and the comparison of two trees.

python trees.py make FOLDER     # FOLDER/lower and FOLDER/upper, the latter with whiteouts
python trees.py compare A B     # prints what differs, and fails then
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

TIME = 1704067200
LONG = "/".join(["a-folder-with-a-long-name-" + "x" * 60] * 4)


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def make(folder: Path) -> None:
    """Make the contents of two layers."""
    lower, upper = folder / "lower", folder / "upper"
    write(lower / "bin/program", b"#!/bin/sh\n", 0o4755)
    write(lower / "etc/gone", b"removed by the upper layer\n")
    write(lower / "etc/changed", b"old\n")
    write(lower / "opaque/gone", b"")
    write(lower / "dir/becomes/file", b"")
    write(lower / "file", b"becomes a folder\n")
    write(lower / LONG / "file", b"deep\n")
    write(lower / "names/\u00e4 \u65e5\u672c \n.txt", b"")
    write(lower / os.fsdecode(b"names/\xff\xfe"), b"no text\n")
    write(lower / "links/first", b"one file, three names\n")
    os.link(lower / "links/first", lower / "links/second")
    (lower / "links/soft").symlink_to("/etc/changed")
    (lower / "links/dangling").symlink_to("../../" + "n" * 150)
    with open(lower / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"after a hole")
        file.truncate(5 << 20)
    os.mkfifo(lower / "fifo", 0o600)
    (lower / "dev").mkdir()
    os.mknod(lower / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(lower / "dev/loop", 0o660 | stat.S_IFBLK, os.makedev(7, 0))
    os.chown(lower / "etc/changed", 1234, 4_000_000)
    (lower / "tmp").mkdir()
    (lower / "tmp").chmod(0o1777)
    os.setxattr(lower / "bin/program", "user.note", b"kept \x00\xff")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(lower / "links/first", "security.capability", capability)
    write(upper / "etc/changed", b"new\n", 0o600)
    write(upper / "etc/.wh.gone", b"")
    write(upper / "links/.wh.first", b"")
    write(upper / "opaque/.wh..wh..opq", b"")
    write(upper / "opaque/new", b"")
    write(upper / "dir/becomes", b"now a file\n")
    write(upper / "file/inside", b"now a folder\n")
    for place in sorted(folder.rglob("*"), reverse=True):
        os.utime(place, (TIME, TIME), follow_symlinks=False)


def describe(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything that an image knows of the files below a folder."""
    found: dict[str, tuple[Any, ...]] = {}
    names: dict[int, str] = {}
    for place in sorted(root.rglob("*"), key=os.fsencode):
        status, name = place.lstat(), str(place.relative_to(root))
        kind = stat.S_IFMT(status.st_mode)
        content: Any = status.st_rdev
        if kind == stat.S_IFREG:
            content = hashlib.sha256(place.read_bytes()).hexdigest()
        elif kind == stat.S_IFLNK:
            content = os.readlink(place)
        attributes = {
            key: os.getxattr(place, key, follow_symlinks=False) for key in os.listxattr(place, follow_symlinks=False)
        }
        same = name if kind == stat.S_IFDIR else names.setdefault(status.st_ino, name)
        found[name] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            int(status.st_mtime),
            content,
            same,
            attributes,
        )
    return found


def compare(one: Path, other: Path) -> None:
    """Print what differs."""
    first, second = describe(one), describe(other)
    lines = [
        f"{name!r}: {first.get(name)} {second.get(name)}"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]
    print(f"{len(first)} files\n", *lines, sep="\n")
    sys.exit(bool(lines) or not first)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
