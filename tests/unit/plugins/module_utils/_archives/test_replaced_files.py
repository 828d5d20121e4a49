# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file keeps when it is replaced, and what is not read in its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.atomic import write_file
from ansible_collections.quayside.registry.plugins.module_utils._archives.files import Folder


def test_root_leaves_a_replaced_file_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may run this test, so what root would do is watched instead of done."""
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o640)
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda handle, user, group: given.append((user, group)))
    write_file(str(path), [b"new"])
    assert path.read_bytes() == b"new"
    assert given == [(path.stat().st_uid, path.stat().st_gid)]
    assert path.stat().st_mode & 0o7777 == 0o640


def test_others_replace_what_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delattr(os, "fchown")
    write_file(str(path), [b"new"])
    assert path.read_bytes() == b"new"


def test_a_link_that_is_put_in_place_meanwhile_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    inside = tmp_path / "layout"
    inside.mkdir()
    (inside / "x").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)  # what it said before the link was there
    with pytest.raises(OSError, match="symbolic links"):
        Folder(str(inside)).read("x", 100)
