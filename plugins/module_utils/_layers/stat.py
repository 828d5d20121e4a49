# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes of a file in a layer, for people."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from .tarstream import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, SYMLINK, TarEntry

_TYPES = {
    FILE: "file",
    DIRECTORY: "directory",
    SYMLINK: "link",
    CHARACTER: "character",
    BLOCK_DEVICE: "block",
    FIFO: "fifo",
}


def stat_of(entry: TarEntry) -> dict[str, t.Any]:
    """Return the attributes of a file as modules show them."""
    is_device = entry.kind in (CHARACTER, BLOCK_DEVICE)
    return {
        "type": _TYPES[entry.kind],
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "user": text_of(entry.uname) or None,
        "group": text_of(entry.gname) or None,
        "size": entry.size,
        "mtime": _time(entry.mtime),
        "target": text_of(entry.target) if entry.kind == SYMLINK else None,
        "major": entry.major if is_device else None,
        "minor": entry.minor if is_device else None,
    }


def text_of(name: str) -> str:
    """Return a name from a tar, which may be no text, as one."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _time(seconds: int) -> str | None:
    try:
        found = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if found.year >= 1000 else None
