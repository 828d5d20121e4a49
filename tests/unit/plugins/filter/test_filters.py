# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters read names as the modules do."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.quayside.registry.plugins.filter import pin, reference

DIGEST = "sha256:" + "0123456789abcdef" * 4
PARTS = ("registry", "repository", "tag", "digest", "name", "familiar")
take_apart = reference.FilterModule().filters()["reference"]
put = pin.FilterModule().filters()["pin"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("debian", ("docker.io", "library/debian", "latest", None, "docker.io/library/debian", "debian:latest")),
        ("docker.io/team/app:1", ("docker.io", "team/app", "1", None, "docker.io/team/app", "team/app:1")),
        ("h:5000/app:1", ("h:5000", "app", "1", None, "h:5000/app", "h:5000/app:1")),
        (f"h:5/app@{DIGEST}", ("h:5", "app", None, DIGEST, "h:5/app", f"h:5/app@{DIGEST}")),
        (f"h:5/app:1@{DIGEST}", ("h:5", "app", "1", DIGEST, "h:5/app", f"h:5/app:1@{DIGEST}")),
    ],
)
def test_reference(name: str, parts: tuple[Any, ...]) -> None:
    assert take_apart(name) == dict(zip(PARTS, parts))


@pytest.mark.parametrize("name", ["debian", "debian:12", f"docker.io/library/debian@sha256:{'0' * 64}"])
def test_pin(name: str) -> None:
    assert put(name, DIGEST) == f"docker.io/library/debian@{DIGEST}"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: take_apart("A"), "must be lower case"),
        (lambda: take_apart(1.1), "1.1 is not an image reference: it is no string"),
        (lambda: put("A", DIGEST), "must be lower case"),
        (lambda: put("a", "sha256:1"), "'sha256:1' is not a digest"),
        (lambda: put("a", None), "None is not a digest: it is no string"),
        (lambda: put(None, DIGEST), "None is not an image reference"),
    ],
)
def test_everything_else_fails(work: Any, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        work()


@pytest.mark.parametrize(
    "work",
    [take_apart, lambda value: put(value, DIGEST), lambda value: put("debian", value)],
)
def test_what_is_not_defined_says_so(work: Any) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'nopevar' is undefined"):
        work(jinja2.StrictUndefined(name="nopevar"))
