# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed, read from the databases of package managers, which nobody has to believe."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._layers import packages as module
from ansible_collections.quayside.registry.plugins.module_utils._layers.packages import kind_of, merged, read_packages
from hypothesis import given
from hypothesis import strategies as st

DPKG = b"""Package: base-files
Status: install ok installed
Maintainer: Somebody
Version: 12.4+deb12u1
Description: long
 Version: 9

Package: removed
Status: deinstall ok config-files
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
"""
APK = b"C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\n\nP:busybox\nV:1.36.1-r5\n"
PYTHON = b"Metadata-Version: 2.1\nName: Foo_Bar.baz\nVersion: 1.0\n\nName: other\nVersion: 2\n"


def pieces(data: bytes, size: int = 7) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("var/lib/dpkg/status", "dpkg"),
        ("var/lib/dpkg/status-old", None),
        ("var/lib/dpkg/status.d/base", "dpkg"),
        ("var/lib/dpkg/status.d/base.md5sums", None),
        ("x/var/lib/dpkg/status", None),
        ("lib/apk/db/installed", "apk"),
        ("usr/lib/apk/db/installed", "apk"),
        ("usr/lib/python3/dist-packages/foo-1.dist-info/METADATA", "python"),
        ("opt/venv/foo.egg-info/PKG-INFO", "python"),
        ("opt/foo-1.egg-info", "python"),
        ("opt/foo/METADATA", None),
        ("var/lib/rpm/rpmdb.sqlite", "rpm"),
        ("usr/lib/sysimage/rpm/Packages", "rpm"),
        ("var/lib/rpm/Packages.db", "rpm"),
        ("var/lib/rpm/Name", None),
        ("etc/os-release", None),
    ],
)
def test_which_files_tell(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("dpkg", DPKG, {("dpkg", "base-files"): {"12.4+deb12u1"}, ("dpkg", "libc6"): {"2.36-9"}}),
        ("dpkg", b"Package: a\nVersion: 1\n", {("dpkg", "a"): {"1"}}),
        ("apk", APK, {("apk", "musl"): {"1.2.4-r2"}, ("apk", "busybox"): {"1.36.1-r5"}}),
        ("python", PYTHON, {("python", "foo-bar-baz"): {"1.0"}}),
        ("python", PYTHON.replace(b"\n", b"\r\n"), {("python", "foo-bar-baz"): {"1.0"}}),
        ("python", b"", {}),
        ("dpkg", b"\xff\x00" * 1000, {}),
        ("dpkg", b"Package: " + b"x" * (1 << 17) + b"\nVersion: 1\n\nPackage: b\nVersion: 2\n", {("dpkg", "b"): {"2"}}),
    ],
)
def test_texts(kind: str, data: bytes, expected: object, size: int) -> None:
    found = read_packages(kind, "x", pieces(data, size))
    assert (found.packages, found.problem) == (expected, "")


def test_no_more_is_read_than_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_HEADERS", 1000)
    data = b"Name: a\n" + b"X: y\n" * 1000 + b"Version: 1\n"
    assert read_packages("python", "x", pieces(data)).packages == {}
    monkeypatch.setattr(module, "_MAX_PACKAGES", 3)
    many = b"".join(b"P:%d\nV:1\n\n" % number for number in range(9))
    found = read_packages("apk", "db", pieces(many))
    assert len(found.packages) == 3
    assert "more than 3 packages" in found.problem


def header(*fields: tuple[int, int, bytes]) -> bytes:
    """The header of a package: tag, type and value of each field."""
    index, store = b"", b""
    for tag, kind, value in fields:
        index += struct.pack(">IIII", tag, kind, len(store), 1)
        store += value
    return struct.pack(">II", len(fields), len(store)) + index + store


def rpmdb(folder: Path, *blobs: object) -> bytes:
    path = folder / "rpmdb.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    database.commit()
    database.close()
    return path.read_bytes()


BASH = header((1000, 6, b"bash\0"), (1001, 6, b"5.2\0"), (1002, 6, b"1.fc40\0"), (5, 7, b"x"))
VIM = header((1003, 4, struct.pack(">I", 2)), (1000, 6, b"vim\0"), (1001, 6, b"9\0"), (1002, 6, b"3\0"))


def test_the_database_of_rpm(tmp_path: Path) -> None:
    before = set(os.listdir(tmp_path.parent))
    data = rpmdb(tmp_path, BASH, VIM, "text", b"", BASH[:20], header((1000, 6, b"none\0")))
    found = read_packages("rpm", "var/lib/rpm/rpmdb.sqlite", pieces(data, 4096))
    assert found == ({("rpm", "bash"): {"5.2-1.fc40"}, ("rpm", "vim"): {"2:9-3"}}, "")
    assert set(os.listdir(tmp_path.parent)) == before


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("var/lib/rpm/Packages", b"x", "Berkeley DB"),
        ("var/lib/rpm/Packages.db", b"x", "ndb"),
        ("var/lib/rpm/rpmdb.sqlite", b"no database " * 1000, "no database that SQLite can read"),
        ("var/lib/rpm/rpmdb.sqlite", b"", "no database that SQLite can read"),
    ],
)
def test_databases_that_cannot_be_read(path: str, data: bytes, says: str) -> None:
    found = read_packages("rpm", path, [data])
    assert found.packages == {}
    assert says in found.problem


def test_a_database_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view in place of the table can make rows for ever."""
    path = tmp_path / "rpmdb.sqlite"
    database = sqlite3.connect(path)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) AS blob FROM n"
    database.execute(f"CREATE VIEW Packages AS {endless}")
    database.commit()
    database.close()
    monkeypatch.setattr(module, "_MAX_STEPS", 1_000_000)
    assert "interrupted" in read_packages("rpm", "var/lib/rpm/rpmdb.sqlite", [path.read_bytes()]).problem
    monkeypatch.setattr(module, "_MAX_DATABASE", 100)
    assert "more than the 100 bytes" in read_packages("rpm", "x/rpmdb.sqlite", [path.read_bytes()]).problem


@given(st.binary(max_size=300), st.sampled_from(["dpkg", "apk", "python"]))
def test_anything_is_read(data: bytes, kind: str) -> None:
    assert read_packages(kind, "x", [data]).packages == read_packages(kind, "x", pieces(data, 1)).packages


@given(st.binary(max_size=120))
def test_any_header_is_read(data: bytes) -> None:
    name, version = module._header(data)
    assert isinstance(name, str)
    assert isinstance(version, str)


def test_versions_of_several_files() -> None:
    found = [{("python", "a"): {"2"}}, {("python", "a"): {"1", "2"}}, {("dpkg", "a"): {"3"}}]
    assert merged(found) == {("python", "a"): "1, 2", ("dpkg", "a"): "3"}
