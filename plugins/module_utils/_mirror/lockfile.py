# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock: which image, by its digest, belongs under which name; a file of JSON, which YAML reads too."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass

from .._archives.atomic import check_file, check_writable, write_file
from .._errors import ContentError, InvalidInput
from .._oci.digest import digest_problem
from .._oci.manifest import parse_json
from .._oci.reference import Reference


@dataclass(frozen=True)
class Locked:
    """One image: ``src`` has a digest, and beside it the tag that it was resolved from, where there was one.

    ``digest`` is what the destination gets: another than that of ``src`` where some platforms alone are copied.
    """

    src: Reference
    dest: Reference
    digest: str

    def row(self) -> dict[str, str]:
        tag = f":{self.src.tag}" if self.src.tag else ""
        src = f"{self.src.name}{tag}@{self.src.digest}"
        return {"src": src, "dest": str(self.dest), "digest": self.digest}


def read_lock(path: str) -> list[Locked]:
    """Read a lock file. Raises InvalidInput (FILE_ERROR) where it is none or is not there, OSError."""
    if not os.path.exists(path):
        raise InvalidInput(f"There is no lock at {path}; run once without locked to write it.", "FILE_ERROR")
    with open(path, "rb") as file:
        raw = file.read()
    try:
        rows = parse_json(raw, path).get("images")
    except ContentError:
        raise _no_lock(path) from None
    if not isinstance(rows, list):
        raise _no_lock(path)
    return [_locked(row, path) for row in rows]


def _locked(row: t.Any, path: str) -> Locked:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("src", "dest", "digest")):
        raise _no_lock(path)
    found = Locked(Reference.parse(row["src"]), Reference.parse(row["dest"]), row["digest"])
    if not found.src.digest or not (found.dest.tag or found.dest.digest) or digest_problem(found.digest):
        raise _no_lock(path)
    return found


def _no_lock(path: str) -> InvalidInput:
    return InvalidInput(f"{path} is no lock of this module; give another lock_path.", "FILE_ERROR")


def lock_writer(path: str, rows: t.Callable[[], list[dict[str, str]] | None]) -> t.Callable[[], None]:
    """Return what writes a lock of the rows, if it is not the same already; without rows, an old one stays.

    Raises InvalidInput (FILE_ERROR).
    """
    place = check_file(path)
    if not os.path.exists(place):
        check_writable(place)

    def write() -> None:
        found = rows()
        if found is None:
            return
        lines = ",\n".join(f"  {json.dumps(row)}" for row in found)
        text = f'{{"images": [\n{lines}\n]}}\n'.encode()
        if not _has(place, text):
            write_file(place, [text])

    return write


def _has(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except FileNotFoundError:
        return False
