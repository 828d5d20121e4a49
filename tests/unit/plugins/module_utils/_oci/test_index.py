# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of an index: what comes, what goes, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import build
from ansible_collections.quayside.registry.plugins.module_utils._oci.index import (
    Member,
    annotate,
    filter_index,
    identity,
    make_index,
    merge,
    platform_json,
    platform_of,
    slot,
    without,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import OCI_INDEX, OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import members as members_of
from ansible_collections.quayside.registry.plugins.module_utils._oci.platform import Platform
from ansible_collections.quayside.registry.tests.unit.kit import fails
from hypothesis import given
from hypothesis import strategies as st


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def item(
    number: int, platform: str | dict[str, Any] | None = None, about: int | None = None, **more: Any
) -> Descriptor:
    """A member by number; `about` makes it the attestation of another."""
    value: dict[str, Any] = {"mediaType": OCI_MANIFEST, "digest": digest(number), "size": 100 + number, **more}
    if isinstance(platform, dict):
        value["platform"] = platform
    elif platform:
        value["platform"] = platform_json(Platform.parse(platform))
    if about is not None:
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest(about)}
        value.update(platform={"os": "unknown", "architecture": "unknown"}, annotations=notes)
    return Descriptor(OCI_MANIFEST, digest(number), 100 + number, value)


def numbers(found: list[Descriptor]) -> list[int]:
    return [int(member.digest[7:], 16) for member in found]


@pytest.mark.parametrize(
    ("existing", "wanted", "result"),
    [
        ([], [item(1)], [1]),
        ([item(1, "linux/amd64")], [item(2, "linux/arm64")], [1, 2]),
        ([item(1, "linux/amd64"), item(2, "linux/arm64")], [item(3, "linux/amd64")], [3, 2]),
        ([item(1, "linux/amd64"), item(2, "linux/arm64"), item(3, about=1)], [item(4, "linux/amd64")], [4, 2]),
        ([item(1, "linux/arm64")], [item(2, "linux/arm64/v8")], [2]),
        ([item(1, "linux/arm")], [item(2, "linux/arm/v7")], [1, 2]),
        ([item(1, "windows/amd64:1")], [item(2, "windows/amd64:2")], [1, 2]),
        # Artifacts have no platform, so nothing takes their slot.
        ([item(1), item(2, "linux/amd64")], [item(3)], [1, 2, 3]),
        # What is added again stays, and so does what describes it.
        ([item(1, "linux/amd64"), item(2, about=1)], [item(1, "linux/amd64")], [1, 2]),
        # A new attestation of the same image replaces the old one; that of another stays.
        ([item(1, "linux/amd64"), item(2, about=1)], [item(1, "linux/amd64"), item(3, about=1)], [1, 3]),
        ([item(1, "linux/amd64"), item(2, about=1)], [item(4, "linux/arm64"), item(3, about=4)], [1, 2, 4, 3]),
        # Two of one platform that are wanted together both stay, the first in the slot of the old one.
        ([item(9), item(1, "linux/amd64"), item(8)], [item(2, "linux/amd64"), item(3, "linux/amd64")], [9, 2, 8, 3]),
        # Where the index had two, one takes the slot of both.
        ([item(1, "linux/amd64"), item(2, "linux/amd64"), item(8)], [item(3, "linux/amd64")], [3, 8]),
        ([item(1), item(1), item(2)], [item(2)], [1, 2]),
    ],
)
def test_merge(existing: list[Descriptor], wanted: list[Descriptor], result: list[int]) -> None:
    assert numbers(merge(existing, map(Member, wanted))) == result


members = st.lists(
    st.builds(item, st.integers(1, 9), st.sampled_from([None, "linux/amd64", "linux/arm64", "linux/arm/v7"])),
    max_size=6,
)


@given(members, members)
def test_merging_again_changes_nothing(existing: list[Descriptor], wanted: list[Descriptor]) -> None:
    once = merge(existing, map(Member, wanted))
    assert [member.json for member in merge(once, map(Member, wanted))] == [member.json for member in once]
    assert len({identity(member) for member in once}) == len(once)
    assert set(numbers(wanted)) <= set(numbers(once))


def test_members_that_differ_in_annotations_alone_stay() -> None:
    there = [item(1, "linux/amd64", annotations={"name": name}) for name in ("v1", "latest")]
    found = merge([*there, there[0]], [Member(item(2, "linux/arm64"))])
    assert [member.json for member in found[:-1]] == [member.json for member in there]


def test_members_that_become_the_same_are_one() -> None:
    there = [item(1, "linux/amd64", annotations={"a": "1"}), item(1, "linux/amd64")]
    wanted = [Member(item(1), None, {"a": "1"})]
    once = merge(there, wanted)
    assert [member.json for member in once] == [there[0].json]
    assert merge(once, wanted) == once


def test_what_is_there_keeps_its_descriptor() -> None:
    there = item(1, "linux/amd64", **{"x-odd": 1, "annotations": {"a": "1", "b": "2"}})
    (same,) = merge([there], [Member(item(1, "linux/arm64"))])
    assert same.json == there.json
    (other,) = merge([there], [Member(item(1), Platform.parse("linux/arm64"), {"a": None, "c": "3"})])
    assert other.json["platform"] == {"architecture": "arm64", "os": "linux"}
    assert other.json["annotations"] == {"b": "2", "c": "3"}
    assert (other.json["x-odd"], there.json["annotations"]) == (1, {"a": "1", "b": "2"})
    full = item(2, {"os": "windows", "architecture": "amd64", "os.features": ["x"]})
    (kept,) = merge([full], [Member(full, Platform.parse("windows/amd64"))])
    assert kept.json == full.json


V6, V7, V8 = (f"linux/arm/v{number}" for number in (6, 7, 8))


def test_one_image_for_several_platforms() -> None:
    """Members are told apart by digest and platform, so nothing disappears that was not asked for."""
    both = [item(1, V6), item(1, V7)]
    assert merge(both, []) == both
    assert merge(both, [Member(both[1], None, {"a": "1"})])[0].json.get("annotations") == {"a": "1"}
    (first, second) = merge(both, [Member(both[0], Platform.parse(V7), {"a": "1"})])
    assert "annotations" not in first.json
    assert second.json["annotations"] == {"a": "1"}
    assert merge([item(1, V6)], map(Member, both)) == both
    replaced = merge(both, [Member(item(2, V7))])
    assert [(found.digest, str(platform_of(found))) for found in replaced] == [(digest(1), V6), (digest(2), V7)]
    assert [str(platform_of(found)) for found in merge(both, [Member(both[0], Platform.parse(V8))])] == [V6, V7, V8]


def test_removing_one_of_the_platforms_of_an_image_keeps_the_other_and_its_attestation() -> None:
    found = [item(1, V6), item(1, V7), item(2, about=1)]
    kept = without(found, lambda member: str(platform_of(member)) == V6)
    assert [member.json for member in kept] == [found[1].json, found[2].json]
    assert without(kept, lambda member: str(platform_of(member)) == V7) == []


def test_choosing_one_of_the_platforms_of_an_image() -> None:
    index = build({"manifests": [item(1, V6).json, item(1, V7).json, item(2, about=1).json]}, OCI_INDEX)
    chosen = members_of(filter_index(index, [Platform.parse(V7)], "x"))
    assert [member.json for member in chosen] == [item(1, V7).json, item(2, about=1).json]


def test_removing_takes_attestations_along() -> None:
    found = [item(1, "linux/amd64"), item(2, about=1), item(3, "linux/arm64"), item(4, about=3)]
    assert numbers(without(found, lambda member: member.digest == digest(1))) == [3, 4]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (item(1, "linux/amd64"), item(2, "linux/amd64"), True),
        (item(1, "linux/arm64"), item(2, "linux/arm64/v8"), True),
        (item(1, "linux/amd64"), item(2, "linux/amd64/v3"), False),
        (item(1, about=5), item(2, about=5), True),
        (item(1, about=5), item(2, about=6), False),
        (item(1, {"os": "windows", "os.features": ["a"]}), item(2, "windows/x"), False),
    ],
)
def test_place(first: Descriptor, second: Descriptor, same: bool) -> None:
    assert (slot(first) == slot(second)) is same
    assert slot(item(3)) is None
    assert slot(item(3, "unknown/unknown")) is None


def test_platforms_are_written_in_full() -> None:
    wanted = {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1.2"}
    assert platform_json(Platform.parse("linux/arm/v7:1.2")) == wanted
    with fails(InvalidInput, "INVALID_PLATFORM", says="linux names no architecture"):
        platform_json(Platform.parse("linux"))


@pytest.mark.parametrize(
    ("there", "changes", "result"),
    [
        (None, {}, None),
        (None, {"a": None}, None),
        ({}, {}, {}),
        (None, {"a": "1"}, {"a": "1"}),
        ({"a": "1"}, {"a": None}, None),
        ({"a": "1", "b": "2"}, {"b": "3"}, {"a": "1", "b": "3"}),
    ],
)
def test_annotate(there: Any, changes: dict[str, str | None], result: Any) -> None:
    value: dict[str, Any] = {} if there is None else {"annotations": there}
    annotate(value, changes)
    assert value.get("annotations") == result


def test_an_index_that_stays_the_same_keeps_its_bytes() -> None:
    raw = b'{ "manifests" : [ ],\n"schemaVersion":2 }'
    base = make_index(None, [item(1)], OCI_INDEX, {})
    odd = base.__class__(raw, OCI_INDEX, digest(0), {"manifests": [], "schemaVersion": 2})
    assert make_index(odd, [], OCI_INDEX, {"a": None}) is odd
    assert list(make_index(odd, [item(1)], OCI_INDEX, {}).json) == ["manifests", "schemaVersion"]
    assert base.json == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [item(1).json]}


SEVERAL = ("linux/amd64", "linux/386", "linux/arm64")
entries = st.lists(st.sampled_from(SEVERAL), min_size=2, max_size=3, unique=True)
there = st.lists(st.sampled_from([None, *SEVERAL, "linux/s390x"]), max_size=4, unique=True)


def rows(found: list[Descriptor]) -> list[tuple[int, str]]:
    return sorted((number, str(platform_of(member) or "")) for number, member in zip(numbers(found), found))


@given(entries, there, st.lists(st.sampled_from(SEVERAL), max_size=2, unique=True), st.booleans())
def test_one_image_is_wanted_for_several_platforms(
    wanted: list[str], before: list[str | None], other: list[str], exclusive: bool
) -> None:
    """In any order of the entries, whatever the index has of that image, or has of another one for a platform."""
    mine = [Member(item(1), Platform.parse(platform)) for platform in wanted]
    existing = [item(1, platform) for platform in before]
    existing += [item(2, platform) for platform in other if platform not in before]
    once = merge(existing, mine, exclusive)
    asked = {(1, platform) for platform in wanted}
    left = {(number, platform) for number, platform in rows(existing) if platform not in ("", *wanted)}
    silent = {(1, "")} if None in before and asked <= set(rows(existing)) else set()
    assert set(rows(once)) == (asked if exclusive else asked | left | silent)
    assert len(rows(once)) == len(set(rows(once)))
    assert [member.json for member in merge(once, mine, exclusive)] == [member.json for member in once]


@pytest.mark.parametrize("platforms", [[None, "linux/amd64"], ["linux/amd64", None]])
def test_an_entry_without_a_platform_beside_one_that_has_it(platforms: list[str | None]) -> None:
    wanted = [Member(item(1), Platform.parse(name) if name else None) for name in platforms]
    found = merge([item(2, "linux/amd64")], wanted)
    assert rows(found) == [(1, "linux/amd64")]
    assert rows(merge(found, wanted)) == rows(found)
