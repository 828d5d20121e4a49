# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing credentials: what changes in the file, what stays, who may read it; and helpers."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import CredentialError
from ansible_collections.quayside.registry.plugins.module_utils._registry.credential_store import (
    check_place,
    store_entry,
    store_in_helper,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import (
    HUB_KEY,
    Credential,
    find_credential,
)

NEW = Credential("u", "s3cret")
ENTRY = {"auth": NEW.basic}
OLD = {"auth": "b2xkOm9sZA=="}

# before, key, new key, credential, after
CASES = [
    (None, "q.io", "q.io", NEW, {"auths": {"q.io": ENTRY}}),
    (None, "q.io", "q.io", None, {"auths": {}}),
    ({"auths": None}, "q.io", "q.io", NEW, {"auths": {"q.io": ENTRY}}),
    ({"auths": {"q.io": OLD}}, "q.io", "q.io", NEW, {"auths": {"q.io": ENTRY}}),
    ({"auths": {"q.io": OLD}}, "q.io", "q.io", None, {"auths": {}}),
    ({"auths": {"q.io": OLD}}, "x.io", "x.io", None, {"auths": {"q.io": OLD}}),
    ({"auths": {"q.io": OLD}}, "q.io/a", "q.io/a", NEW, {"auths": {"q.io": OLD, "q.io/a": ENTRY}}),
    ({"auths": {"https://q.io/v2/": OLD}}, "q.io", "q.io", NEW, {"auths": {"https://q.io/v2/": ENTRY}}),
    ({}, "docker.io", HUB_KEY, NEW, {"auths": {HUB_KEY: ENTRY}}),
    ({"auths": {"docker.io": OLD, HUB_KEY: OLD}}, "docker.io", HUB_KEY, NEW, {"auths": {"docker.io": ENTRY}}),
    ({"auths": {"docker.io": OLD, HUB_KEY: OLD}}, "docker.io", HUB_KEY, None, {"auths": {}}),
    (
        {"psFormat": "x", "auths": {"x.io": OLD}, "credHelpers": {"y.io": "ecr"}, "unknown": [1]},
        "q.io",
        "q.io",
        NEW,
        {"psFormat": "x", "auths": {"x.io": OLD, "q.io": ENTRY}, "credHelpers": {"y.io": "ecr"}, "unknown": [1]},
    ),
]


@pytest.mark.parametrize(("before", "key", "new_key", "credential", "after"), CASES)
def test_store_entry(tmp_path, before, key, new_key, credential, after):
    path = tmp_path / "deep" / "er" / "auth.json"
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(before))
        path.chmod(0o644)
    store_entry(str(path), key, new_key, credential)
    assert json.loads(path.read_text()) == after
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["auth.json"], "nothing temporary is left"
    if before is None:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_stored_is_found(tmp_path):
    path = str(tmp_path / "auth.json")
    store_entry(path, "q.io/a", "q.io/a", NEW)
    found = find_credential("q.io", "a/b", [path], lambda argv, stdin: pytest.fail("no helper is named"))
    assert (found.username, found.password) == (NEW.username, NEW.password)


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("{}")
    link.symlink_to(real)
    store_entry(str(link), "q.io", "q.io", NEW)
    assert link.is_symlink() and json.loads(real.read_text()) == {"auths": {"q.io": ENTRY}}


def test_a_broken_file_is_not_overwritten(tmp_path):
    path = tmp_path / "auth.json"
    path.write_text("{not json")
    with pytest.raises(CredentialError, match="JSON"):
        store_entry(str(path), "q.io", "q.io", NEW)
    assert path.read_text() == "{not json"


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "containers" / "auth.json"
    path.parent.mkdir()
    path.write_text('{"auths": {}}')

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CredentialError, match=rf"{path} cannot be written: No space left on device\."):
        store_entry(str(path), "q.io", "q.io", NEW)
    assert os.listdir(path.parent) == ["auth.json"] and path.read_text() == '{"auths": {}}'


def test_a_file_that_is_mounted_is_written_in_place(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "auth.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"auths": {"other.io": ENTRY}, "more": "x" * 1000}))
    number = path.stat().st_ino

    def busy(source, target):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    store_entry(str(path), "q.io", "q.io", NEW)
    assert json.loads(path.read_text())["auths"] == {"other.io": ENTRY, "q.io": ENTRY}
    assert os.listdir(path.parent) == ["auth.json"] and path.stat().st_ino == number


def test_what_is_no_file_is_left_alone(tmp_path):
    """As the null device is, which may be named to say that there are no logins."""
    path = tmp_path / "device"
    os.mkfifo(path)
    with pytest.raises(CredentialError, match=f"{path} is no regular file; set auth_file to another one"):
        store_entry(str(path), "q.io", "q.io", NEW)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_places_that_cannot_be_written_are_known_before(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialError, match=f"cannot be written: {tmp_path / 'file'} is no folder"):
        check_place(str(tmp_path / "file" / "more" / "auth.json"))
    check_place(str(tmp_path / "new" / "folder" / "auth.json"))
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CredentialError, match=f"may not write to the folder {tmp_path}"):
        check_place(str(tmp_path / "new" / "auth.json"))


def test_writers_at_once_lose_nothing(tmp_path):
    path = str(tmp_path / "auth.json")
    names = [f"r{number}.io" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store_entry(path, name, name, NEW), names))
    with open(path) as handle:
        assert sorted(json.load(handle)["auths"]) == sorted(names)


def test_a_helper_gets_the_secret_on_standard_input_alone():
    calls = []

    def run(argv, stdin):
        calls.append((argv, stdin))
        return 0, ""

    store_in_helper(run, "pass", "q.io", NEW)
    store_in_helper(run, "pass", "q.io", None)
    (stored, given), erased = calls
    assert stored == ["docker-credential-pass", "store"]
    assert json.loads(given) == {"ServerURL": "q.io", "Username": "u", "Secret": "s3cret"}
    assert erased == (["docker-credential-pass", "erase"], "q.io")


@pytest.mark.parametrize(("output", "word"), [("gpg: locked\nmore", "gpg: locked"), ("", "docker-credential-pass")])
@pytest.mark.parametrize("credential", [NEW, None])
def test_a_helper_that_refuses(credential, output, word):
    with pytest.raises(CredentialError, match=r"q\.io") as caught:
        store_in_helper(lambda argv, stdin: (1, output), "pass", "q.io", credential)
    assert word in str(caught.value) and "more" not in str(caught.value) and "s3cret" not in str(caught.value)
    assert caught.value.code == "CREDENTIALS_UNUSABLE"
