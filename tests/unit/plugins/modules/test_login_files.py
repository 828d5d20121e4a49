# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins where podman and docker each have a file of their own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import run_module

STALE = {"auth": base64.b64encode(f"{USER}:old".encode()).decode()}
GOOD = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


@pytest.fixture
def podman(clean_environment: Path) -> Path:
    return save(clean_environment / ".config" / "containers" / "auth.json", {})


@pytest.fixture
def docker(clean_environment: Path) -> Path:
    return save(clean_environment / ".docker" / "config.json", {})


def save(path: Path, auths: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": auths}))
    return path


def auths(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["auths"]
    return found


def login(registry: FakeRegistry, **options: Any) -> dict[str, Any]:
    return run_module("oci_login", {"registry": registry.host, "username": USER, "password": PASSWORD, **options})


def test_a_login_replaces_the_one_that_would_be_used(podman: Path, docker: Path) -> None:
    """It is in docker's file alone, so a second one in podman's would leave a stale password behind."""
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as registry:
        save(docker, {registry.host: STALE})
        result = login(registry)
        assert (result["changed"], result["auth_file"]) == (True, str(docker)), result
        assert auths(docker) == {registry.host: GOOD}
        assert auths(podman) == {}
        assert not login(registry)["changed"]


def test_after_a_login_the_new_password_is_the_one_that_is_used(podman: Path, docker: Path) -> None:
    """Whichever file is written: the stale one in the other does not win."""
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as registry:
        for path in (podman, docker):
            save(path, {registry.host: STALE})
        assert login(registry)["changed"]
        registry.add_image("app", "1")
        found = run_module("oci_digest_info", {"name": f"{registry.host}/app:1"})
        assert found.get("digest"), found
        assert not login(registry)["changed"]


def test_after_a_logout_nothing_is_left(podman: Path, docker: Path) -> None:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as registry:
        save(docker, {registry.host: GOOD, "other.example": GOOD})
        save(podman, {registry.host: GOOD})
        for dummy in range(2):  # a task may take one file at a time, as long as the next one takes the other
            login(registry, username=None, password=None, state="absent")
        assert registry.host not in {**auths(docker), **auths(podman)}
        assert auths(docker) == {"other.example": GOOD}
        assert not login(registry, username=None, password=None, state="absent")["changed"]
        registry.add_image("app", "1")
        assert run_module("oci_digest_info", {"name": f"{registry.host}/app:1"})["error_code"] == "UNAUTHORIZED"


def test_a_file_that_is_named_is_the_only_one(podman: Path, docker: Path, tmp_path: Path) -> None:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as registry:
        save(docker, {registry.host: STALE})
        path = tmp_path / "own.json"
        result = login(registry, auth_file=str(path))
        assert (result["changed"], result["auth_file"]) == (True, str(path))
        assert auths(path) == {registry.host: GOOD}
        assert auths(docker) == {registry.host: STALE}
