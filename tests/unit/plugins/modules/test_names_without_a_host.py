# SPDX-License-Identifier: GPL-3.0-or-later
"""A name without a host is one of Docker Hub; where that fails, the message says so."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._options import read_as

HUB = "registry-1.docker.io:443"


@pytest.mark.parametrize(
    ("params", "registry", "says"),
    [
        ({"name": "prod/team/app"}, HUB, "prod/team/app names no registry, so it was read as docker.io/prod/team/app"),
        (
            {"name": "alpine:3.20"},
            "docker.io",
            "alpine:3.20 names no registry, so it was read as docker.io/library/alpine",
        ),
        ({"src": "reg.example/a", "dest": "team/app"}, HUB, "team/app names no registry"),
        ({"images": [{"src": "reg.example/a", "dest": "team/b"}]}, HUB, "team/b names no registry"),
        ({"names": ["reg.example/a", "team/c"]}, HUB, "team/c names no registry"),
        ({"name": "reg.example/a", "manifests": ["sha256:1", "team/d"]}, HUB, "team/d names no registry"),
        ({"name": "reg.example/a", "manifests": [{"name": "e"}]}, HUB, "e names no registry, so it was read as"),
    ],
)
def test_what_was_read_as_docker_hub(params: dict[str, Any], registry: str, says: str) -> None:
    assert says in read_as(params, registry)


@pytest.mark.parametrize(
    ("params", "registry"),
    [
        ({"name": "docker.io/team/app"}, HUB),
        ({"name": "index.docker.io/team/app"}, HUB),
        ({"name": "reg.example/team/app"}, "reg.example"),
        ({"name": "team/app"}, "reg.example"),
        ({"name": "team/app"}, None),
        ({}, HUB),
        ({"name": "reg.example/a", "manifests": ["sha256:1", {"platform": "linux/arm64"}, 1]}, HUB),
    ],
)
def test_what_was_not(params: dict[str, Any], registry: str | None) -> None:
    assert read_as(params, registry) == ""
