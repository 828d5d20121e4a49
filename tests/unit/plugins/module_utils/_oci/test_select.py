# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of an index by platform: the one to use, and those to keep with their attestations."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._oci import mediatype as m
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import build
from ansible_collections.quayside.registry.plugins.module_utils._oci.index import (
    filter_index,
    no_platform,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Manifest
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import members
from ansible_collections.quayside.registry.plugins.module_utils._oci.platform import Platform
from ansible_collections.quayside.registry.plugins.module_utils._oci.walk import find_image


def digest(number: int) -> str:
    return "sha256:%064x" % number


def member(number: int, platform: str | None, attests: int | None = None, **more: object) -> dict[str, object]:
    value: dict[str, object] = {"mediaType": m.OCI_MANIFEST, "digest": digest(number), "size": number, **more}
    if platform:
        parsed = Platform.parse(platform)
        value["platform"] = {"os": parsed.os, "architecture": parsed.architecture, "variant": parsed.variant}
    if attests is not None:
        kind, of = "vnd.docker.reference.type", "vnd.docker.reference.digest"
        value["annotations"] = {kind: "attestation-manifest", of: digest(attests)}
    return value


MEMBERS = [
    member(1, "linux/amd64", extra={"kept": True}),
    member(2, "linux/arm/v6"),
    member(3, "linux/arm/v7"),
    member(4, "windows/amd64"),
    member(5, None),
    member(6, "unknown/unknown", attests=1),
    member(7, "unknown/unknown", attests=3),
    member(8, "linux/amd64"),
    member(9, "unknown/unknown", attests=1),
]
INDEX = build({"schemaVersion": 2, "manifests": MEMBERS, "annotations": {"a": "b"}, "x": [1]}, m.OCI_INDEX)


def platforms(*texts: str) -> list[Platform]:
    return [Platform.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("platform", "number"),
    [("linux/amd64", 1), ("linux", 1), ("linux/arm", 2), ("linux/arm/v7", 3), ("windows", 4), ("unknown", 6)],
)
def test_the_first_member_that_fits(platform, number):
    asked = []

    def get(item):
        asked.append(item.digest)
        return build({"schemaVersion": 2, "layers": []}, m.OCI_MANIFEST)

    find_image(INDEX, Platform.parse(platform), get, lambda image: None, "q.io/x")
    assert asked == [digest(number)]


@pytest.mark.parametrize("platform", ["linux/s390x", "linux/arm/v5", "windows/amd64:10.0", "darwin"])
def test_a_platform_that_is_not_there(platform):
    for attempt in (
        lambda: find_image(INDEX, Platform.parse(platform), lambda item: INDEX, lambda image: None, "q.io/x"),
        lambda: filter_index(INDEX, platforms("linux/amd64", platform), "q.io/x"),
    ):
        with pytest.raises(ContentError) as caught:
            attempt()
        assert caught.value.code == "PLATFORM_NOT_FOUND"
        for word in ("q.io/x", platform, "linux/amd64", "linux/arm/v7", "windows/amd64"):
            assert word in str(caught.value)
        assert "unknown" not in str(caught.value), "attestations are no platforms to offer"


def test_an_index_without_platforms_is_told_apart():
    empty = build({"manifests": [member(5, None)]}, m.OCI_INDEX)
    assert "none" in str(no_platform(empty, Platform.parse("linux"), "q.io/x"))


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (["linux/amd64"], [1, 6, 8, 9]),
        (["linux/arm/v7"], [3, 7]),
        (["linux"], [1, 2, 3, 6, 7, 8, 9]),
        (["windows", "linux/arm/v6"], [2, 4]),
        (["linux/arm", "linux/arm/v7"], [2, 3, 7]),
    ],
)
def test_filter(wanted, kept):
    found = filter_index(INDEX, platforms(*wanted), "q.io/x")
    assert [int(one.digest[-1]) for one in members(found)] == kept
    assert found.json["manifests"] == [MEMBERS[number - 1] for number in kept], "unknown fields stay"
    assert (found.json["annotations"], found.json["x"], found.media_type) == ({"a": "b"}, [1], m.OCI_INDEX)
    assert list(found.json) == list(INDEX.json)
    assert filter_index(found, platforms(*wanted), "q.io/x") is found, "filtering again changes no byte"
    assert len(members(INDEX)) == len(MEMBERS)


def test_nothing_left_out_is_the_same_bytes():
    raw = b'{ "manifests": [{"digest": "%s", "size": 1, "platform": {"os": "linux"}}] }' % digest(1).encode()
    index = Manifest.parse(raw, m.DOCKER_LIST, "q.io/x")
    assert filter_index(index, platforms("linux"), "q.io/x") is index
    assert index.raw == raw
