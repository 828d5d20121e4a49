# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookups find what the modules of the same kind find, and fail with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.quayside.registry.plugins.lookup import digest, tags
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, LOGIN, REPO


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        for number, tag in enumerate(["1.0", "1.1", "2.0", "1.10"]):
            found.add_image(REPO, tag, layers=LAYERS[: 1 + number % 2])
        found.add_index(REPO, "index", [found.add_image(REPO, layers=LAYERS, platform="linux/arm64")])
        yield found


def look(plugin: Any, registry: FakeRegistry, *names: Any, **options: Any) -> list[str]:
    login = {"name": registry.host, "username": LOGIN.username, "password": LOGIN.password}
    terms = [f"{registry.host}/{name}" if isinstance(name, str) else name for name in names]
    return plugin.LookupModule().run(terms, {}, registries=[login], **options)


def test_digest(registry: FakeRegistry) -> None:
    there = registry.tags(REPO)
    assert look(digest, registry, f"{REPO}:1.1", f"{REPO}:2.0") == [there["1.1"], there["2.0"]]
    pinned = [f"{registry.host}/{REPO}@{there['1.1']}"]
    assert look(digest, registry, f"{REPO}:1.1", with_name=True) == pinned
    assert look(digest, registry) == []


def test_digest_of_a_platform(registry: FakeRegistry) -> None:
    [found] = look(digest, registry, f"{REPO}:index", platform="linux/arm64")
    assert found.startswith("sha256:")
    assert found != registry.tags(REPO)["index"]


def test_tags(registry: FakeRegistry) -> None:
    assert look(tags, registry, REPO, include=[r"\d.*"]) == ["1.0", "1.1", "1.10", "2.0"]
    newest = look(tags, registry, REPO, REPO, semver="<2", newest=1, with_name=True)
    assert newest == [f"{registry.host}/{REPO}:1.10"] * 2
    assert look(tags, registry, "none") == []


@pytest.mark.parametrize(
    ("plugin", "name", "options", "words"),
    [
        (digest, f"{REPO}:none", {}, "none does not exist"),
        (digest, f"{REPO}:index", {"platform": "linux/s390x"}, "linux/s390x"),
        (digest, "X", {}, "must be lower case"),
        (digest, 1.1, {}, "1.1 is not a name; write it as a string"),
        (digest, f"{REPO}:1.1", {"with_names": True}, "digest has no option 'with_names'"),
        (digest, f"{REPO}:1.1", {"timeout": 0}, "timeout must be 1 to"),
        (tags, f"{REPO}:1.1", {}, "without a tag or a digest"),
        (tags, REPO, {"semver": 1.1}, "quotes"),
        (tags, REPO, {"newest": "x"}, "tags: .*newest"),
        (tags, REPO, {"include": ["("]}, "'\\('"),
    ],
)
def test_everything_else_fails(
    registry: FakeRegistry, plugin: Any, name: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(AnsibleLookupError, match=words):
        look(plugin, registry, name, **options)
