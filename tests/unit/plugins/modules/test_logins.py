# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose are `username` and `password`: the registry that the task writes to, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, module_output, run_module, side
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

LOGIN = {"username": USER, "password": PASSWORD}
INJECT = {"_ansible_inject_invocation": True} if side else {}  # older cores always tell how a module was called
BASE, OLD, NEW = tar_of({"base": "1"}), tar_of({"old": "1"}), tar_of({"new": "1"})


@pytest.fixture
def source() -> Iterator[FakeRegistry]:
    """Asks for a login, but lets everybody read: whoever sends it one is found out."""
    with FakeRegistry(auth=Auth(users={}, anonymous_pull=True)) as found:
        found.add_image(REPO, "1", [BASE, OLD])
        found.add_image("base", "1", [BASE])
        found.add_image("base", "2", [NEW])
        yield found


@pytest.fixture
def dest() -> Iterator[FakeRegistry]:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as found:
        yield found


def options(module: str, source: FakeRegistry, dest: FakeRegistry, folder: Path) -> dict[str, Any]:
    """A task that reads at one registry and writes to the other."""
    names = {"name": f"{source.host}/{REPO}:1", "dest": f"{dest.host}/{REPO}:2"}
    return {
        "oci_copy": {"src": names["name"], "dest": names["dest"]},
        "oci_append": {**names, "layers": [save_tar(folder / "layer.tar", {"x": "y"})]},
        "oci_flatten": names,
        "oci_mutate": {**names, "labels": {"a": "b"}},
        "oci_rebase": {**names, "old_base": f"{source.host}/base:1", "new_base": f"{source.host}/base:2"},
    }[module]


@pytest.mark.parametrize("module", ["oci_append", "oci_copy", "oci_flatten", "oci_mutate", "oci_rebase"])
def test_the_login_is_the_destinations(module: str, source: FakeRegistry, dest: FakeRegistry, tmp_path: Path) -> None:
    result = run_module(module, {**options(module, source, dest, tmp_path), **LOGIN})
    assert result["changed"], result
    assert "2" in dest.tags(REPO)
    sent = [request.headers.get("authorization", "") for request in source.requests if request.path == "/token"]
    assert sent and set(sent) == {""}


def test_in_place_the_login_is_that_of_the_image(dest: FakeRegistry) -> None:
    dest.add_image(REPO, "1", LAYERS)
    result = run_module("oci_mutate", {"name": f"{dest.host}/{REPO}:1", "labels": {"a": "b"}, **LOGIN})
    assert result["changed"], result


def test_several_destinations_do_not_share_a_login(source: FakeRegistry, dest: FakeRegistry) -> None:
    src = f"{source.host}/{REPO}:1"
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as other:
        images = [{"src": src, "dest": f"{registry.host}/{REPO}:1"} for registry in (dest, other)]
        result = run_module("oci_copy", {"images": images, **LOGIN})
        assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
        assert dest.host in result["msg"] and other.host in result["msg"]
        assert not [*source.requests, *dest.requests, *other.requests]


def test_several_images_of_one_destination_share_its_login(source: FakeRegistry, dest: FakeRegistry) -> None:
    images = [{"src": f"{source.host}/{REPO}:1", "dest": f"{dest.host}/{REPO}:{tag}"} for tag in ("a", "b")]
    assert run_module("oci_copy", {"images": images, **LOGIN})["changed"]
    assert set(dest.tags(REPO)) == {"a", "b"}


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize("given", ["username", "password"])
def test_half_a_login_is_not_the_login_of_somebody_else(dest: FakeRegistry, given: str, nothing: str | None) -> None:
    login = {**dict.fromkeys(LOGIN, nothing), given: LOGIN[given]}
    name = f"{dest.host}/{REPO}:1"
    for options in (login, {"registries": [{"name": dest.host, **login}]}):
        result = run_module("oci_digest_info", {"name": name, **options})
        assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
        lacking = "password" if given == "username" else "username"
        whose = f"registries, entry {dest.host}: " if "registries" in options else ""
        assert result["msg"].startswith(f"{whose}{lacking} is empty, as a variable without a value is")
    assert not dest.requests


def test_a_login_that_cannot_be_sent(dest: FakeRegistry) -> None:
    options = {"registry": dest.host, "username": "a:b", "password": PASSWORD, "verify": False}
    result = run_module("oci_login", options)
    assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
    assert "username 'a:b' has a colon" in result["msg"]


def test_a_login_that_is_not_given(source: FakeRegistry) -> None:
    """As templates make it of variables that are only set where there is a login."""
    options = {"name": f"{source.host}/{REPO}:1", "username": "", "password": ""}
    assert run_module("oci_digest_info", options)["exists"]


def test_a_token_that_was_given_is_returned_when_it_is_asked_for() -> None:
    """And is shown nowhere else; as are those of other registries."""
    with FakeRegistry(auth=Auth(users={USER: PASSWORD})) as registry:
        registry.add_image(REPO, "1")
        token = registry.issue_token(USER, f"repository:{REPO}:pull")
        entries = [
            {"name": registry.host, "registry_token": token},
            {"name": "q.example", "registry_token": "of-another-registry"},
        ]
        options = {"registries": entries, "_ansible_verbosity": 3, **INJECT}
        output = module_output("oci_token_info", {"name": f"{registry.host}/{REPO}", **options})
        result = json.loads(output)
        assert (result["token"], result["expires_at"]) == (token, None), result
        assert output.count(token) == 1
        assert result["invocation"]["module_args"]["registries"][0]["name"] == registry.host
        assert "of-another-registry" not in output
        output = module_output("oci_digest_info", {"name": f"{registry.host}/{REPO}:1", **options})
        assert json.loads(output)["exists"] and token not in output


@pytest.mark.parametrize("option", ["timeout", "retries", "jobs"])
def test_numbers_that_nothing_can_be(source: FakeRegistry, option: str) -> None:
    result = run_module("oci_digest_info", {"name": f"{source.host}/{REPO}:1", option: 99999999999})
    assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
    assert f"{option} must be" in result["msg"]
