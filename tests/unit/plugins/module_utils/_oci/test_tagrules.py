# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing tags: patterns, ranges, the newest, and the tags that belong to tools."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.patterns import pattern_filter
from ansible_collections.quayside.registry.plugins.module_utils._oci.tagrules import (
    is_digest_tag,
    rule_chooser,
    tag_chooser,
)
from ansible_collections.quayside.registry.tests.unit.kit import fails
from hypothesis import given, settings
from hypothesis import strategies as st

SIG = "sha256-" + "0a" * 32


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        (SIG, True),
        (SIG + ".sig", True),
        (SIG + ".att", True),
        (SIG + ".sbom", True),
        ("sha512-" + "0" * 64, True),
        ("sha512-" + "0" * 128, True),
        (SIG + ".", False),
        (SIG + "x", False),
        (SIG.upper(), False),
        ("sha256-" + "0" * 63, False),
        ("sha256-" + "g" * 64, False),
        ("sha256-latest", False),
        ("my-" + SIG, False),
        ("latest", False),
    ],
)
def test_is_digest_tag(tag, wanted):
    assert bool(is_digest_tag(tag)) is wanted


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        ([], [], "a1 a2 b1"),
        (["a"], [], "a1 a2"),
        (["1$"], [], "a1 b1"),
        (["^1"], [], ""),
        (["a2", "b"], [], "a2 b1"),
        ([], ["a"], "b1"),
        (["a"], ["1"], "a2"),
        ([], ["1", "2"], ""),
    ],
)
def test_patterns_are_searched_for(include, exclude, kept):
    assert [name for name in ("a1", "a2", "b1") if pattern_filter(include, exclude)(name)] == kept.split()


@pytest.mark.parametrize("text", ["[", "(", "*", "(?P<a>", "\\", "a{99999999999}", "(" * 5000 + ")" * 5000])
def test_a_bad_pattern(text):
    for rules in ({"include": [text]}, {"exclude": ["a", text]}):
        with pytest.raises(InvalidInput, match="regular expression") as caught:
            tag_chooser(**rules)
        assert caught.value.code == "INVALID_PATTERN"


@pytest.mark.parametrize(
    ("rules", "code"),
    [({"semver": "latest"}, "INVALID_RANGE"), ({"newest": 0}, "INVALID_OPTION"), ({"newest": -1}, "INVALID_OPTION")],
)
def test_bad_rules_are_told_at_once(rules, code):
    with pytest.raises(InvalidInput) as caught:
        tag_chooser(**rules)
    assert caught.value.code == code


TAGS = ["latest", "1.9", "1.10", "1.10.1-rc1", SIG + ".sig", "v2.0", "2", "nightly", "1.2.3-alpine"]


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ({}, TAGS),
        ({"include": ["^1"]}, ["1.9", "1.10", "1.10.1-rc1", "1.2.3-alpine"]),
        ({"exclude": ["[a-z]"]}, ["1.9", "1.10", "2"]),
        ({"omit_digest_tags": True}, [tag for tag in TAGS if "sha256" not in tag]),
        ({"semver": "<2"}, ["1.9", "1.10"]),
        ({"semver": "2.x || 1.9"}, ["1.9", "v2.0", "2"]),
        ({"semver": ">=1.10.1-rc1"}, ["1.10.1-rc1", "v2.0", "2"]),
        ({"semver": ""}, TAGS),
        ({"newest": 1}, ["v2.0"]),
        ({"newest": 2}, ["v2.0", "2"]),
        ({"newest": 4}, ["v2.0", "2", "1.10.1-rc1", "1.10"]),
        ({"newest": 99}, ["v2.0", "2", "1.10.1-rc1", "1.10", "1.9", "1.2.3-alpine"]),
        ({"newest": 1, "semver": "1"}, ["1.10"]),
        ({"newest": 2, "include": ["^1"], "exclude": ["rc"]}, ["1.10", "1.9"]),
        ({"include": ["nothing"]}, []),
    ],
)
def test_choose(rules, chosen):
    assert tag_chooser(**rules)(TAGS) == chosen


@settings(max_examples=100, deadline=None)
@given(st.permutations(TAGS), st.integers(1, 9))
def test_the_newest_do_not_depend_on_the_registrys_order(tags, newest):
    assert tag_chooser(newest=newest)(tags) == tag_chooser(newest=newest)(TAGS)


MANY = ["1.4.0", "1.4.1", "1.4.2", "1.5.0", "v1.5.1", "2.0.0", "edge", "nightly"]


def test_newest_of_each_group() -> None:
    choose = tag_chooser(newest=2, per=r"^v?(\d+\.\d+)")
    assert choose(MANY) == ["2.0.0", "v1.5.1", "1.5.0", "1.4.2", "1.4.1"]
    named = tag_chooser(newest=1, per=r"^v?(\d+)\.", sort_by="alphabetical")
    assert named(MANY) == ["v1.5.1", "nightly", "2.0.0"]


def test_the_alphabets_newest_is_its_last() -> None:
    assert tag_chooser(newest=2, sort_by="alphabetical")(["2024-01", "2024-03", "2024-02"]) == ["2024-03", "2024-02"]


def test_several_ranges_of_which_one_must_fit() -> None:
    assert tag_chooser(semver=["~1.4", ">=2"])(MANY) == ["1.4.0", "1.4.1", "1.4.2", "2.0.0"]


def test_a_whole_number_is_a_range() -> None:
    assert tag_chooser(semver=2)(MANY) == tag_chooser(semver=[2])(MANY) == tag_chooser(semver="2")(MANY) == ["2.0.0"]


def test_dates_and_builds_are_no_versions() -> None:
    found = ["2.0.0", "v2.0.1", "20240101", "1234567", "v20240101", "20240101-abc", "2022", "9999"]
    assert tag_chooser(newest=9)(found) == ["9999", "2022", "v2.0.1", "2.0.0"]


def test_rules_never_choose_digest_tags() -> None:
    digest = "sha256-" + "0" * 64
    assert rule_chooser({"include": ["^sha256-", "1"]})([digest, digest + ".sig", "1.0"]) == ["1.0"]
    assert rule_chooser(None)([digest + ".att", "x"]) == ["x"]
    assert rule_chooser({"omit_digest_tags": True})([digest + ".att", "x"]) == ["x"]


def test_rules_that_want_digest_tags_are_refused_and_told_what_to_do_instead() -> None:
    with fails(InvalidInput, "INVALID_OPTION", says="leave it out, and set referrers to true to take them along."):
        rule_chooser({"omit_digest_tags": False})
    with fails(InvalidInput, "INVALID_OPTION", says="never chosen by a rule; leave it out."):
        rule_chooser({"omit_digest_tags": False}, "select")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"per": "(a)"}, "give newest too"),
        ({"newest": 1, "per": "a"}, "has 0 groups"),
        ({"newest": 1, "per": "(a)(b)"}, "has 2 groups"),
        ({"newest": 1, "per": "("}, "is not a regular expression"),
        ({"newest": 1, "sort_by": "age"}, "version or alphabetical"),
        ({"semver": 1.4}, "write it in quotes"),
        ({"semver": ["^1", 2.0]}, "write it in quotes"),
        ({"semver": True}, "write it in quotes"),
    ],
)
def test_rules_that_cannot_be(rules: dict[str, Any], says: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        tag_chooser(**rules)
