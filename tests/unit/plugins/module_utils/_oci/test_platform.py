# SPDX-License-Identifier: GPL-3.0-or-later
"""Platforms: what users type, what indexes say, and which satisfies which."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.platform import Platform
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("linux", ("linux", "", "", ""), "linux"),
        ("linux/amd64", ("linux", "amd64", "", ""), "linux/amd64"),
        ("Linux/AMD64", ("linux", "amd64", "", ""), "linux/amd64"),
        ("linux/x86_64", ("linux", "amd64", "", ""), "linux/amd64"),
        ("linux/aarch64", ("linux", "arm64", "", ""), "linux/arm64"),
        ("linux/arm/v7", ("linux", "arm", "v7", ""), "linux/arm/v7"),
        ("windows/amd64:10.0.17763.1", ("windows", "amd64", "", "10.0.17763.1"), "windows/amd64:10.0.17763.1"),
        ("windows:10.0", ("windows", "", "", "10.0"), "windows:10.0"),
        ("unknown/unknown", ("unknown", "unknown", "", ""), "unknown/unknown"),
    ],
)
def test_parse(text, parts, shown):
    platform = Platform.parse(text)
    assert platform == Platform(*parts)
    assert str(platform) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "linux/",
        "/amd64",
        "linux//v7",
        "a/b/c/d",
        "linux amd64",
        "linux/amd64,linux/arm64",
        "linux/amd64:",
        "ü",
    ],
)
def test_a_bad_platform(text):
    with pytest.raises(InvalidInput, match="platform") as caught:
        Platform.parse(text)
    assert caught.value.code == "INVALID_PLATFORM" and repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        ({}, "None"),
        ([], "None"),
        ("linux/amd64", "None"),
        ({"os": "", "architecture": ""}, "None"),
        ({"architecture": "amd64"}, "None"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64/v8"),
        ({"os": "windows", "architecture": "amd64", "os.version": "10.0"}, "windows/amd64:10.0"),
        ({"os": "linux", "architecture": None}, "linux"),
        ({"os": ["linux"], "architecture": 5}, "['linux']/5"),
    ],
)
def test_from_json(value, shown):
    assert str(Platform.from_json(value)) == shown


@pytest.mark.parametrize(
    ("pattern", "other", "fits"),
    [
        ("linux", "linux/arm/v7", True),
        ("linux", "windows/amd64", False),
        ("linux", "unknown/unknown", False),
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/amd64/v3", True),
        ("linux/amd64/v3", "linux/amd64", False),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v8", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64/v9", False),
        ("linux/arm64/v9", "linux/arm64", False),
        ("linux/arm/v8", "linux/arm", False),
        ("windows/amd64", "windows/amd64:10.0.1", True),
        ("windows/amd64:10.0.1", "windows/amd64:10.0.1", True),
        ("windows/amd64:10.0.1", "windows/amd64:10.0.2", False),
        ("windows/amd64:10.0.1", "windows/amd64", False),
    ],
)
def test_matches(pattern, other, fits):
    assert Platform.parse(pattern).matches(Platform.parse(other)) is fits


def test_nothing_matches_no_platform():
    assert not Platform.parse("linux").matches(None)


part = st.sampled_from(["arm64", "x86_64", "i386"]) | st.text("aZ9_.-", min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(part, min_size=1, max_size=3), st.none() | part)
def test_a_platform_comes_back_and_matches_itself(parts, version):
    platform = Platform.parse("/".join(parts) + (":" + version if version else ""))
    assert Platform.parse(str(platform)) == platform
    assert platform.matches(platform) and Platform(platform.os).matches(platform)
