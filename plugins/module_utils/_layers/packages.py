# SPDX-License-Identifier: GPL-3.0-or-later
"""What the databases of package managers say is installed: names and versions, read as the bytes come.

Known are dpkg (also one file a package, as in distroless images), apk, what pip leaves, and rpm's database in SQLite.
Nothing here is trusted: what does not parse is no package, and what is above a limit is left out, with words.
"""

from __future__ import annotations

import re
import struct
import tempfile
import typing as t
from contextlib import closing

from .._errors import ContentError

Packages = dict[tuple[str, str], set[str]]
"""Versions by the kind of package and its name."""

_MAX_LINE = 1 << 16  # bytes; longer lines hold no name and no version
_MAX_PACKAGES = 200_000
_MAX_HEADERS = 1 << 18  # bytes of a Python package's metadata
_MAX_DATABASE = 1 << 30  # bytes of rpm's
_MAX_STEPS = 50_000_000  # of SQLite's virtual machine
_KINDS = {
    "dpkg": re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+(?<!\.md5sums))"),
    "apk": re.compile(r"(?:usr/)?lib/apk/db/installed"),
    "python": re.compile(r"(?:.*/)?[^/]+(?:\.dist-info/METADATA|\.egg-info/PKG-INFO|\.egg-info)"),
    "rpm": re.compile(r"(?:var/lib|usr/lib/sysimage)/rpm/(?:rpmdb\.sqlite|Packages|Packages\.db)"),
}
_FIELDS = {"dpkg": (b"Package", b"Version"), "apk": (b"P", b"V"), "python": (b"Name", b"Version")}
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003


class Found(t.NamedTuple):
    """The packages in one file; ``problem`` says why some or all of them could not be read."""

    packages: Packages
    problem: str = ""


def kind_of(path: str) -> str | None:
    """Return what kind of packages a file (a path without a slash before it) tells of, None where of none."""
    if not path.endswith(("status", "installed", "METADATA", "PKG-INFO", ".egg-info", "rpmdb.sqlite")) and not (
        "/status.d/" in path or "/rpm/Packages" in path
    ):
        return None  # most files; the patterns cost more
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(path)), None)


def read_packages(kind: str, path: str, content: t.Iterable[bytes]) -> Found:
    """Read a file that ``kind_of`` knows."""
    if kind == "rpm":
        if not path.endswith("rpmdb.sqlite"):
            form = "ndb" if path.endswith(".db") else "Berkeley DB"
            return Found({}, f"/{path} is rpm's database in {form}'s format, which cannot be read here")
        return _read_rpm(path, content)
    found: Packages = {}
    for fields in _paragraphs(content, kind):
        name, version = (fields.get(field, b"").decode("utf-8", "replace").strip() for field in _FIELDS[kind])
        state = fields.get(b"Status", b"installed").split()[-1:]
        if name and version and (kind != "dpkg" or state == [b"installed"]):
            if kind == "python":
                name = re.sub(r"[-_.]+", "-", name).lower()
            if len(found) >= _MAX_PACKAGES:
                return Found(found, f"/{path} has more than {_MAX_PACKAGES} packages; the rest was left out")
            found.setdefault((kind, name), set()).add(version)
    return Found(found)


def _paragraphs(content: t.Iterable[bytes], kind: str) -> t.Iterator[dict[bytes, bytes]]:
    """Yield the fields that count of each paragraph; of Python's metadata, which has a text below, the first alone."""
    wanted = {*_FIELDS[kind], b"Status"}
    fields: dict[bytes, bytes] = {}
    for line in _lines(content, _MAX_HEADERS if kind == "python" else None):
        if line:
            name, colon, value = line.partition(b":")
            if colon and name in wanted:
                fields.setdefault(name, value.strip())
        elif fields:
            yield fields
            fields = {}
            if kind == "python":
                return
    if fields:
        yield fields


def _lines(content: t.Iterable[bytes], limit: int | None) -> t.Iterator[bytes]:
    """Yield lines without their ends; the end of a line that is too long is left out, and what is behind a limit."""
    rest, size, is_long = b"", 0, False
    for piece in content:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not is_long:
                yield line.rstrip(b"\r")
            is_long = False
        if len(rest) > _MAX_LINE:
            rest, is_long = b"", True
        size += len(piece)
        if limit and size > limit:
            return
    if rest and not is_long:
        yield rest.rstrip(b"\r")


def _read_rpm(path: str, content: t.Iterable[bytes]) -> Found:
    """Read rpm's database, which has to be a file for that; it has no name while it is open elsewhere."""
    try:
        import sqlite3
    except ImportError:
        return Found({}, f"/{path} cannot be read, since this Python has no sqlite3")
    found: Packages = {}
    with tempfile.NamedTemporaryFile(prefix="rpmdb-", suffix=".sqlite") as file:
        size = 0
        for piece in content:
            size += len(piece)
            if size > _MAX_DATABASE:
                return Found({}, f"/{path} has more than the {_MAX_DATABASE} bytes that are read of it")
            file.write(piece)
        file.flush()
        try:
            with closing(sqlite3.connect(f"file:{file.name}?mode=ro&immutable=1", uri=True)) as database:
                steps = iter(range(_MAX_STEPS // 100_000))
                database.set_progress_handler(lambda: next(steps, None) is None, 100_000)
                database.execute("PRAGMA trusted_schema = OFF")
                for (blob,) in database.execute("SELECT blob FROM Packages LIMIT ?", (_MAX_PACKAGES,)):
                    name, version = _header(blob) if isinstance(blob, bytes) else ("", "")
                    if name and version:
                        found.setdefault(("rpm", name), set()).add(version)
        except sqlite3.Error as exc:
            return Found(found, f"/{path} is no database that SQLite can read ({str(exc)[:100]})")
    return Found(found)


def _header(blob: bytes) -> tuple[str, str]:
    """Return name and version of the header of a package in rpm's database; empty where it is none."""
    try:
        count, size = struct.unpack_from(">II", blob)
        start = 8 + 16 * count
        if start + size > len(blob):
            return "", ""
        store, fields = blob[start : start + size], {}
        for at in range(8, start, 16):
            tag, kind, offset, dummy = struct.unpack_from(">IIII", blob, at)
            if tag in (_NAME, _VERSION, _RELEASE) and kind == 6:
                fields[tag] = store[offset:].partition(b"\0")[0].decode("utf-8", "replace")
            elif tag == _EPOCH and kind == 4:
                fields[tag] = str(struct.unpack_from(">I", store, offset)[0])
    except struct.error:
        return "", ""
    version = "-".join(filter(None, (fields.get(_VERSION), fields.get(_RELEASE))))
    return fields.get(_NAME, ""), f"{fields[_EPOCH]}:{version}" if fields.get(_EPOCH) and version else version


def merged(found: t.Iterable[Packages]) -> dict[tuple[str, str], str]:
    """Return the packages of several files, the versions of each as one text."""
    all_of: Packages = {}
    for packages in found:
        for key, versions in packages.items():
            all_of.setdefault(key, set()).update(versions)
    if len(all_of) > _MAX_PACKAGES:
        raise ContentError(f"The image has more than {_MAX_PACKAGES} packages, which are not compared.", "TOO_LARGE")
    return {key: ", ".join(sorted(versions)) for key, versions in all_of.items()}
