# SPDX-License-Identifier: GPL-3.0-or-later
"""Images, repositories, and all below a prefix."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.places import IMAGE, PREFIX, REPOSITORY, Place
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.tests.unit.kit import fails


@pytest.mark.parametrize(
    ("text", "kind", "registry", "path"),
    [
        ("localhost:5000/team/app:1", IMAGE, "localhost:5000", "team/app"),
        ("localhost:5000/team/app@sha256:" + "0" * 64, IMAGE, "localhost:5000", "team/app"),
        ("localhost:5000/team/app", REPOSITORY, "localhost:5000", "team/app"),
        ("debian", REPOSITORY, "docker.io", "library/debian"),
        ("localhost:5000/team/*", PREFIX, "localhost:5000", "team"),
        ("localhost:5000/a/b/*", PREFIX, "localhost:5000", "a/b"),
        ("localhost:5000/*", PREFIX, "localhost:5000", ""),
        ("localhost/*", PREFIX, "localhost", ""),
        ("Registry.Example/*", PREFIX, "registry.example", ""),
        ("[::1]:5000/*", PREFIX, "[::1]:5000", ""),
        ("team/*", PREFIX, "docker.io", "team"),
        ("index.docker.io/team/*", PREFIX, "docker.io", "team"),
    ],
)
def test_shapes(text: str, kind: str, registry: str, path: str) -> None:
    found = Place.parse(text)
    assert (found.text, found.kind, found.registry, found.path) == (text, kind, registry, path)


@pytest.mark.parametrize(
    "text", ["", "/*", "*", "a.example/b*", "a.example/*/b/*", "a.example/B/*", "a.example/b:1/*", "a b/*"]
)
def test_what_is_none(text: str) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE"):
        Place.parse(text)


def test_what_is_below_a_prefix() -> None:
    team, every = Place.parse("a.example/team/*"), Place.parse("a.example/*")
    assert team.inside("team/app/x") == "app/x"
    assert team.inside("teams/app") is team.inside("team") is team.inside("x/team/app") is None
    assert every.inside("team/app") == "team/app"
    assert team.at("app/x") == Reference("a.example", "team/app/x")
    assert every.at("app") == Reference("a.example", "app")
    with fails(InvalidInput, "INVALID_REFERENCE", says="longer than 255"):
        team.at("a" * 255)
