# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that is empty or null does not turn a copy into an edit in place, or a condition into none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, add_platforms, run_module
from ansible_collections.quayside.registry.tests.unit.plugins.action.test_in_process import ROUTED, here

FILES = [{"path": "/etc/motd", "content": "hello"}]
PLACES: list[tuple[str, str, dict[str, Any]]] = [
    ("oci_mutate", "dest", {"labels": {"a": "b"}}),
    ("oci_flatten", "dest", {}),
    ("oci_rebase", "dest", {"old_base": "base:1", "new_base": "base:2"}),
    ("oci_rebase", "old_base", {"new_base": "base:2"}),
    ("oci_rebase", "new_base", {"old_base": "base:1"}),
    ("oci_append", "dest", {"files": FILES}),
    ("oci_append", "name", {"dest": f"{REPO}:2", "files": FILES}),
    ("oci_index", "dest", {"annotations": {"a": "b"}}),
    ("oci_copy", "src", {"dest": f"{REPO}:2"}),
    ("oci_copy", "dest", {"src": f"{REPO}:1"}),
]
LOOKS = ["oci_config_info", "oci_digest_info", "oci_manifest_info", "oci_file_info", "oci_image_diff_info"]


def options(registry: FakeRegistry, given: dict[str, Any]) -> dict[str, Any]:
    """A task about an image that is there, with names in the registry."""
    names = {key: given[key] for key in ("dest", "src", "old_base", "new_base") if given.get(key)}
    start = {} if "src" in given else {"name": f"{registry.host}/{REPO}:1"}
    return {**start, **given, **{key: f"{registry.host}/{name}" for key, name in names.items()}}


def ways(module: str) -> list[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    return [run_module, *([here] if module in ROUTED else [])]


@pytest.fixture
def stocked(registry: FakeRegistry) -> FakeRegistry:
    registry.add_image(REPO, "1", layers=LAYERS)
    registry.add_image("base", "1", layers=LAYERS[:1])
    registry.add_image("base", "2", layers=LAYERS[1:])
    return registry


@pytest.mark.parametrize(("module", "option", "others"), PLACES)
def test_an_empty_name_is_none(module: str, option: str, others: dict[str, Any], stocked: FakeRegistry) -> None:
    state = stocked.state()
    for way in ways(module):
        result = way(module, options(stocked, {**others, option: ""}))
        assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_REFERENCE"), result
    assert stocked.state() == state
    assert stocked.requests == []


@pytest.mark.parametrize(("module", "option", "others"), PLACES)
def test_null_is_not_left_out(module: str, option: str, others: dict[str, Any], stocked: FakeRegistry) -> None:
    state = stocked.state()
    for way in ways(module):
        result = way(module, options(stocked, {**others, option: None}))
        assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_OPTION"), result
        assert result["msg"].startswith(f"{option} is null")
        assert "default(omit)" in result["msg"]
    assert stocked.state() == state
    assert stocked.requests == []


@pytest.mark.parametrize(
    ("module", "given"),
    [
        ("oci_delete", {"name": None}),
        ("oci_pull", {"name": None, "path": "/nonexistent/image"}),
        ("oci_verify", {"name": None, "keys": ["key"]}),
        ("oci_verify", {"name": "a:1", "keys": ["key"], "attestations": None}),
        ("oci_copy", {"images": None}),
        ("oci_promote", {"images": None}),
        ("oci_promote", {"images": [{"src": "a:1", "dest": ["b:1"], "require": None}]}),
        ("oci_prune", {"name": "a", "select": {"include": ["x"]}, "keep": None}),
        ("oci_append", {"dest": f"{REPO}:2", "files": [{"path": "/etc/motd", "content": None}]}),
    ],
)
def test_null_is_not_nothing(module: str, given: dict[str, Any]) -> None:
    """No images to do something with, nothing that is asked of them, no content: none of that was said."""
    result = run_module(module, given)
    assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_OPTION"), result
    assert "is null" in result["msg"]


def test_what_is_left_out_is_as_documented(stocked: FakeRegistry) -> None:
    assert run_module("oci_mutate", options(stocked, {"labels": {"a": "b"}}))["changed"]
    assert stocked.config(REPO, "1")["config"]["Labels"] == {"a": "b"}
    assert run_module("oci_append", {"dest": f"{stocked.host}/{REPO}:2", "files": FILES})["changed"]
    assert len(stocked.manifest(REPO, "2")["layers"]) == 1
    for option in ("labels", "user", "created"):  # null of others is still as if it was left out
        assert not run_module("oci_mutate", options(stocked, {option: None}))["changed"]


@pytest.mark.parametrize("module", LOOKS)
def test_an_empty_platform_is_none(module: str, registry: FakeRegistry) -> None:
    add_platforms(registry)
    more = {"oci_file_info": {"path": "/first"}, "oci_image_diff_info": {"other": f"{registry.host}/{REPO}:1"}}
    result = run_module(module, options(registry, {**more.get(module, {}), "platform": ""}))
    assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_PLATFORM"), result


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ({"name": None, "platform": "linux/amd64"}, "a name in manifests is null"),
        ({"name": "a:1", "annotations": ""}, "are no dict"),
        ({"name": "a:1", "annotations": []}, "are no dict"),
    ],
)
def test_nothing_in_a_member_is_a_mistake(stocked: FakeRegistry, member: dict[str, Any], says: str) -> None:
    for state in ("present", "absent"):
        options = {"name": f"{stocked.host}/{REPO}:2", "manifests": [member], "state": state}
        result = run_module("oci_index", options)
        assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_OPTION"), result
        assert says in result["msg"]
    assert stocked.requests == []


def test_an_empty_platform_of_a_member_is_none(stocked: FakeRegistry) -> None:
    member = {"name": f"{stocked.host}/{REPO}:1", "platform": ""}
    result = run_module("oci_index", {"name": f"{stocked.host}/{REPO}:2", "manifests": [member]})
    assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_PLATFORM"), result


@pytest.mark.parametrize("module", ["oci_export", "oci_pull"])
def test_an_empty_platform_of_files_is_none(module: str, registry: FakeRegistry, tmp_path: Any) -> None:
    add_platforms(registry)
    result = run_module(module, options(registry, {"path": str(tmp_path / "file"), "platform": ""}))
    assert (result.get("failed"), result.get("error_code")) == (True, "INVALID_PLATFORM"), result
    assert list(tmp_path.glob("file*")) == []


@pytest.mark.parametrize(
    ("module", "given"),
    [
        ("oci_mutate", {"append": [""]}),
        ("oci_append", {"layers": [""]}),
        ("oci_append", {"files": [{"path": "/etc/motd", "src": ""}]}),
        ("oci_push", {"path": ""}),
        ("oci_validate", {"path": "", "name": None}),
    ],
)
def test_an_empty_path_is_said_to_be_empty(module: str, given: dict[str, Any], stocked: FakeRegistry) -> None:
    given = {key: value for key, value in options(stocked, given).items() if value is not None}
    result = run_module(module, given)
    assert (result.get("failed"), result.get("error_code")) == (True, "FILE_ERROR"), result
    assert "is empty" in result["msg"]
