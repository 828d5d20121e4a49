# SPDX-License-Identifier: GPL-3.0-or-later
"""What YAML reads as a number or a boolean, where a name was meant, is refused and not guessed at."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, run_module


@pytest.mark.parametrize("tag", [1.1, True, False])
def test_tags(registry: FakeRegistry, tag: Any) -> None:
    registry.add_image(REPO, "1")
    result = run_module("oci_tag", {"name": f"{registry.host}/{REPO}:1", "tags": ["a", tag]})
    assert result.get("failed"), result
    assert result["error_code"] == "INVALID_OPTION"
    assert "tags" in result["msg"] and "quotes" in result["msg"]
    assert registry.requests == []


def test_secrets_are_not_repeated(registry: FakeRegistry) -> None:
    result = run_module("oci_digest_info", {"name": f"{registry.host}/{REPO}", "username": "ci", "password": 123.75})
    assert result.get("failed"), result
    assert "quotes" in result["msg"]
    assert "123.75" not in str(result["msg"])


def test_whole_numbers_are_what_they_look_like(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1")
    result = run_module("oci_tag", {"name": f"{registry.host}/{REPO}:1", "tags": [12]})
    assert result.get("changed"), result
    assert "12" in registry.tags(REPO)


@pytest.mark.parametrize("value", [1.1, True, [1.1], ["a", 2], [None], [["a"]]], ids=str)
@pytest.mark.parametrize(
    ("module", "options", "option"),
    [
        ("oci_copy", {"src": "q.example/a", "dest": "q.example/b"}, "tags"),
        ("oci_copy", {}, "images"),
        ("oci_prune", {"names": ["q.example/a"]}, "keep"),
        ("oci_digest_info", {"name": "q.example/a"}, "registries"),
        ("oci_sync", {"src": "q.example/a", "dest": "q.example/b"}, "tags"),
    ],
)
def test_what_stands_where_options_are_wanted(module: str, options: dict[str, Any], option: str, value: Any) -> None:
    given = {**options, option: value}
    result = run_module(module, {"sources": [given]} if module == "oci_sync" else given)
    assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
    assert result["msg"].startswith(f"{option}: ") and "has options, such as" in result["msg"]
