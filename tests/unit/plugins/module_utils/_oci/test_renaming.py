# SPDX-License-Identifier: GPL-3.0-or-later
"""Other names for tags, and back again."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.renaming import Renames
from ansible_collections.quayside.registry.tests.unit.kit import fails
from hypothesis import given
from hypothesis import strategies as st

V = (r"^v(\d.*)$", r"\1")


def renames(*rules: tuple[str, str]) -> Renames:
    return Renames.parse([{"match": match, "to": to} for match, to in rules])


@pytest.mark.parametrize(
    ("rules", "tag", "new"),
    [
        ([], "1.0", "1.0"),
        ([V], "v1.0", "1.0"),
        ([V], "vx", "vx"),
        ([("^", "mirror-")], "1.0", "mirror-1.0"),
        ([("$", "-m")], "1.0", "1.0-m"),
        ([("-alpine", "")], "1-alpine-alpine", "1-alpine"),
        ([(r"^(\d+)\.(\d+)$", r"\2.\g<1>")], "1.2", "2.1"),
        ([("a", "b"), ("b", "c")], "ab", "bb"),
        ([("a", "b"), ("b", "c")], "cb", "cc"),
    ],
)
def test_new_names(rules: list[tuple[str, str]], tag: str, new: str) -> None:
    assert renames(*rules).new(tag) == new
    assert renames(*rules).names([tag]) == {new}


@pytest.mark.parametrize(
    ("rules", "tag", "origins"),
    [
        ([], "1.0", ["1.0"]),
        ([V], "1.0", ["1.0", "v1.0"]),
        ([V], "v1.0", ["vv1.0"][:0]),
        ([("^v(.*)$", r"\1")], "own", ["own", "vown"]),
        ([("^", "m-")], "m-1", ["1"]),
        ([("^", "m-")], "1", []),
        ([(r"^app-(.*)-(.*)$", r"\2-\1")], "b-a", ["b-a", "app-a-b"]),
        ([(r"\.alpine$", "")], "1", ["1", "1.alpine"]),
        ([("^(.)$", r"\1\1")], "aa", ["aa", "a"]),
        ([("^(.)$", r"\1\1")], "ab", ["ab"]),
        ([("^[vV]", "")], "1.0", ["1.0"]),  # v or V, nobody knows
        ([("^v(.*)$", "same")], "same", ["same"]),  # it has lost what it was
        ([(r"^(?:v)(.*)$", r"\1")], "1", ["1"]),
    ],
)
def test_what_may_have_had_a_name(rules: list[tuple[str, str]], tag: str, origins: list[str]) -> None:
    assert renames(*rules).origins(tag) == origins


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["^v", "^", "$", "-x$", "^(.*)-(.*)$", "^v(.*)$", "a"]),
            st.sampled_from(["", "m-", r"\g<0>", "b", "1"]),
        ),
        max_size=3,
    ),
    st.from_regex("[a-cv0-9][a-cmvx0-9.-]{0,6}", fullmatch=True),
)
def test_every_origin_really_gets_the_name(rules: list[tuple[str, str]], tag: str) -> None:
    found = renames(*rules)
    assert all(found.names([origin]) == {tag} for origin in found.origins(tag))


@pytest.mark.parametrize(("match", "to"), [("(", ""), ("a", r"\1"), ("a", "\\"), ("a{99999999999}", "")])
def test_rules_that_are_none(match: str, to: str) -> None:
    with fails(InvalidInput, "INVALID_PATTERN"):
        renames((match, to))


@pytest.mark.parametrize(("match", "to"), [("^.*$", ""), ("^", "-"), ("$", "/x")])
def test_names_that_are_none(match: str, to: str) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE", says="rename_tags makes"):
        renames((match, to)).new("1.0")
