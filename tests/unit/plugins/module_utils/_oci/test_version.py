# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags as versions: their order, and ranges of them."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.version import Version, parse_range
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "numbers", "prerelease"),
    [
        ("1", (1, 0, 0), ()),
        ("1.2", (1, 2, 0), ()),
        ("v1.2.3", (1, 2, 3), ()),
        ("1.2.3.4", (1, 2, 3, 4), ()),
        ("1.2.3-rc.1", (1, 2, 3), ("rc", "1")),
        ("1.2-alpine3.20", (1, 2, 0), ("alpine3", "20")),
        ("1.2.3+build.5", (1, 2, 3), ()),
        ("1.2.3-a_b5", (1, 2, 3), ("a",)),
        ("007", (7, 0, 0), ()),
        ("2024", (2024, 0, 0), ()),
    ],
)
def test_parse(text, numbers, prerelease):
    assert Version.parse(text) == Version(numbers, prerelease)


@pytest.mark.parametrize(
    "text", ["", "latest", "v", "vv1", "V1", "1.", ".1", "1..2", "1.x", "1-", "a1", "1.2.3 ", "1.2.3\n", "9" * 5000]
)
def test_a_tag_that_is_no_version(text):
    assert Version.parse(text) is None


def test_order():
    pre = ["1", "2", "11", "alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    ordered = ["0.9", *("1.0.0-" + part for part in pre), "1.0.0", "1.0.0.1", "1.0.1", "1.2", "1.10", "v2", "10"]
    for low, high in itertools.combinations(ordered, 2):
        assert Version.parse(low).key < Version.parse(high).key, (low, high)
    assert Version.parse("1.2").key == Version.parse("v1.2.0+x").key


# range, versions inside, versions outside
RANGES = [
    ("1.2.3", "1.2.3 v1.2.3 1.2.3+b", "1.2.4 1.2.3.1 1.2.3-rc1 2"),
    ("=1.2", "1.2 1.2.9", "1.1.9 1.3"),
    ("1.2", "1.2.0 1.2.9", "1.3 1.1"),
    ("1", "1 1.9.9", "2 0.9"),
    ("1.x", "1 1.9.9", "2 0.9"),
    ("1.X.3", "1.0 1.9", "2"),
    ("1.2.*", "1.2 1.2.7", "1.3"),
    ("*", "0 1 99.9", "1.0.0-rc1"),
    ("x", "0 1 99.9", ""),
    (">=1.2", "1.2 1.2.1 9", "1.1.9 1.2.0-rc1"),
    (">1.2", "1.3 2", "1.2 1.2.9"),
    (">1.2.3", "1.2.4", "1.2.3 1.2"),
    ("<1.2", "1.1.9 0", "1.2 1.2.1 1.2.0-rc1"),
    ("<=1.2", "1.2 1.2.9 1", "1.3"),
    ("<=1.2.3", "1.2.3 1.2", "1.2.4"),
    (">=1.2 <2", "1.2 1.9.9", "1.1 2 2.0.0-rc1"),
    (">=1.2,<2", "1.2 1.9.9", "1.1 2"),
    (">= 1.2   <\t2", "1.2 1.9.9", "1.1 2"),
    (">=1.2<2", "1.2 1.9.9", "1.1 2"),
    ("^1.4", "1.4 1.9", "1.3 2"),
    ("^1.2.3", "1.2.3 1.9", "1.2.2 2"),
    ("^0.2.3", "0.2.3 0.2.9", "0.3 0.2.2 1"),
    ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
    ("^0.0", "0.0 0.0.9", "0.1"),
    ("^0", "0 0.9", "1"),
    ("^v1.2", "1.2 v1.3", "2"),
    ("~1.4", "1.4 1.4.9", "1.5 1.3"),
    ("~1.4.2", "1.4.2 1.4.9", "1.5 1.4.1"),
    ("~1", "1 1.9", "2 0"),
    ("~0.0.1", "0.0.1 0.0.9", "0.1 0.0.0"),
    ("!=1.2.3", "1.2.4 1.2 2", "1.2.3"),
    ("!=1.2", "1.3 1.1.9", "1.2 1.2.7"),
    (">=1 !=1.2.x", "1.1.9 1.3 2", "1.2 1.2.7 0.9"),
    ("!=*", "", "0 1 99"),
    (">*", "", "0 1 99"),
    ("<x", "", "0 1 99"),
    (">=*", "0 1 99", ""),
    ("1.2 || ^3", "1.2.9 3 3.9", "1.3 2 4"),
    ("<1||>=2", "0.9 2", "1 1.9"),
    ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9", "1.2.3-beta.1 1.2.4-beta.2 2"),
    (">=1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1 2", "1.0.0-beta 1.0.1-rc.1"),
    ("<2.0.0-rc.2", "2.0.0-rc.1 1", "2.0.0-rc.2 2 1.0.0-rc.1"),
    ("1.2.3-rc1", "1.2.3-rc1 v1.2.3-rc1+b", "1.2.3 1.2.3-rc2"),
    ("1.2.3.4", "1.2.3.4", "1.2.3 1.2.3.5"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), RANGES)
def test_ranges(text, inside, outside):
    check = parse_range(text)
    assert [tag for tag in inside.split() if not check(Version.parse(tag))] == []
    assert [tag for tag in outside.split() if check(Version.parse(tag))] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "||", ">=1 ||", "|| 1", "latest", ">=", "=>1", "==1", ">>1", ">=1 and <2", "1.2 - 1.4", "^"),
        *("1..2", "1.", "xyz", ">=1.2beta", "1.2.3rc1", ">=1 <2x", "1.2.foo", "1.2.3-*", "1.2.3-", ">1 ;", "9" * 5000),
    ],
)
def test_a_bad_range(text):
    with pytest.raises(InvalidInput) as caught:
        parse_range(text)
    assert caught.value.code == "INVALID_RANGE" and "version" in str(caught.value)


versions = st.tuples(*[st.integers(0, 3)] * 3).map(lambda numbers: ".".join(map(str, numbers)))


@settings(max_examples=200, deadline=None)
@given(versions, versions, versions)
def test_a_range_agrees_with_the_order(low, high, tag):
    mine, least, most = (Version.parse(text).key for text in (tag, low, high))
    check = parse_range(f">={low} <{high}")
    assert check(Version.parse(tag)) is (least <= mine < most)
    assert parse_range(f"<={low} || !={low}")(Version.parse(tag)) is True
    assert parse_range(f"={low}")(Version.parse(tag)) is not parse_range(f"!={low}")(Version.parse(tag))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20) | st.text(alphabet="<>=!^~|xX*v012.-+, rc", max_size=20), st.text(max_size=9))
def test_any_text_is_a_range_or_refused(text, tag):
    version = Version.parse(tag) or Version((1, 2, 3))
    try:
        assert parse_range(text)(version) in (True, False)
    except InvalidInput as exc:
        assert exc.code == "INVALID_RANGE"
