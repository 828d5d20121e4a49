# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving tags: templates, and forward only."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.moving import (
    breadth,
    fill_backup,
    newest,
    render,
    why_not,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.version import Version
from ansible_collections.quayside.registry.tests.unit.kit import fails


def version(text: str) -> Version:
    found = Version.parse(text)
    assert found
    return found


@pytest.mark.parametrize(
    ("template", "text", "tag"),
    [
        ("latest", "1.4.2", "latest"),
        ("latest", None, "latest"),
        ("{major}", "1.4.2", "1"),
        ("{major}.{minor}", "v1.4.2", "1.4"),
        ("v{major}.{minor}.{patch}", "1.4.2-rc.1", "v1.4.2"),
        ("{version}", "v1.4.2-rc.1", "v1.4.2-rc.1"),
        ("{major}.{minor}", "2", "2.0"),
        ("{major}-alpine", "1.4.2", "1-alpine"),
    ],
)
def test_templates(template: str, text: str | None, tag: str) -> None:
    assert render(template, text, "x") == tag


@pytest.mark.parametrize("text", [None, "stable", "build-77", "latest", "20240131"])
def test_a_template_needs_a_version(text: str | None) -> None:
    with fails(InvalidInput, "VERSION_NEEDED", says="give version"):
        render("{major}", text, "host/app")


@pytest.mark.parametrize(
    ("template", "code"), [("{tag}", "INVALID_OPTION"), ("{}", "INVALID_OPTION"), ("a/b", "INVALID_REFERENCE")]
)
def test_templates_that_are_wrong(template: str, code: str) -> None:
    with fails(InvalidInput, code):
        render(template, "1.4.2", "x")


def test_backup_tags() -> None:
    assert fill_backup("{tag}-previous", "1.4") == "1.4-previous"


def test_a_moving_tag_that_is_none_is_named_as_it_was_written() -> None:
    with fails(InvalidInput, "INVALID_REFERENCE", says="The moving tag '{version}' of api:1: '1.0.0+b1' is not a tag"):
        render("{version}", "1.0.0+b1", "api:1")


@pytest.mark.parametrize("template", ["previous", "{tag}", "{tag}-{major}", "{tag"])
def test_backup_tags_that_are_wrong(template: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says="backup"):
        fill_backup(template, "1.4")


def test_narrow_tags_come_first() -> None:
    tags = ["latest", "1", "v1.4", "1.4.2", "stable"]
    assert sorted(tags, key=breadth) == ["1.4.2", "v1.4", "1", "latest", "stable"]


@pytest.mark.parametrize(
    ("tag", "wanted", "shown", "why"),
    [
        ("latest", "1.4.2", None, ""),
        ("latest", "1.4.2", "1.4.1", ""),
        ("latest", "1.4.2", "1.4.2", ""),  # built again
        ("latest", "1.4.2", "1.5.0", "1.4.2 is below version 1.5.0"),
        ("latest", "1.10.0", "1.9.0", ""),
        ("1", "1.9.0", "1.10.0", "below"),
        ("latest", "2.0.0", "2.0.0-rc.1", ""),
        ("latest", "2.0.0-rc.1", "1.9.0", "pre-release"),
        ("latest", "2.0.0-rc.2", "2.0.0-rc.1", ""),
        ("latest", "2.0.0-rc.1", "2.0.0-rc.2", "below"),
        ("latest", "2.0.0-rc.1", "2.0.0", "below"),
        ("latest", "2.0.0-rc.1", None, "pre-release, and it shows none"),
        ("2.0.0-rc.1", "2.0.0-rc.1", None, ""),
        ("2.0-rc", "2.0.0-rc.2", None, ""),
    ],
)
def test_forward_only(tag: str, wanted: str, shown: str | None, why: str) -> None:
    found = why_not(tag, version(wanted), version(shown) if shown else None)
    assert why in found
    assert bool(found) == bool(why)


TAGS = ["1.3.9", "1.4", "1.4.0", "1.4.10", "1.4.9", "2.0.0", "2.1.0-rc.1", "latest", "stable", "1"]


@pytest.mark.parametrize(
    ("template", "tag", "found"),
    [
        ("latest", "latest", "2.0.0"),
        ("{major}", "1", "1.4.10"),
        ("{major}.{minor}", "1.4", "1.4.10"),
        ("{major}.{minor}", "1.5", None),
        ("{major}.{minor}", "2.1", "2.1.0-rc.1"),
    ],
)
def test_the_newest_of_the_tags_that_a_template_stands_for(template: str, tag: str, found: str | None) -> None:
    assert newest(TAGS, template, tag) == (version(found) if found else None)


def test_tags_of_digests_are_no_versions() -> None:
    assert newest([f"sha256-{'1' * 64}", f"sha256-{'1' * 64}.sig"], "latest", "latest") is None
