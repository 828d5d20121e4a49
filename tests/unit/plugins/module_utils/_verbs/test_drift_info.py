# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what runs still what the registry has? Each state, who is asked how often, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import Denied, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._verbs.drift_info import drift_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
A = "sha256:" + "a" * 64


def look(registry: FakeRegistry, *running: tuple[str, str], **options: Any) -> dict[str, Any]:
    """What is found of these (tag, digest)."""
    registry.reset_log()
    images = [
        {"name": f"{registry.host}/{REPO}:{tag}", "digest": digest, "where": f"host {number}"}
        for number, (tag, digest) in enumerate(running)
    ]
    return drift_info(make_session(login(registry)), images=images, **{"verify": None, "base": False, **options})


def states(found: dict[str, Any]) -> list[str]:
    return [row["state"] for row in found["images"]]


def test_where_digests_agree_each_name_takes_one_head() -> None:
    with FakeRegistry() as registry:
        one, two = registry.add_image(REPO, "1", layers=LAYERS), add_platforms(registry, tag="2")
        found = look(registry, *[("1", one), ("2", two)] * 10)
        assert not found["drifted"]
        assert found["images"][0] == {
            "name": f"{registry.host}/{REPO}:1",
            "digest": one,
            "where": "host 0",
            "state": "current",
            "latest_digest": one,
            "reference": f"{registry.host}/{REPO}@{one}",
            "verified": None,
            "base": None,
            "base_digest": None,
            "latest_base_digest": None,
            "problem": None,
        }
        assert [row["where"] for row in found["images"]] == [f"host {number}" for number in range(20)]
        assert [request.method for request in registry.requests] == ["HEAD", "HEAD"]


def test_what_moved_and_what_is_gone() -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "1", layers=LAYERS[:1])
        new = registry.add_image(REPO, "1", layers=LAYERS)
        found = look(registry, ("1", old), ("1", new), ("none", old))
        assert states(found) == ["outdated", "current", "missing"]
        assert found["drifted"]
        assert [row["latest_digest"] for row in found["images"]] == [new, new, None]
        assert found["images"][2]["reference"] is None
        assert look(registry, ("1", f"docker.io/x/y@{new}"))["images"][0]["state"] == "current"
        assert look(registry) == {"images": [], "drifted": False}
        assert registry.requests == []


def test_a_member_of_an_index_is_as_current_as_the_index() -> None:
    with FakeRegistry() as registry:
        inner = add_platforms(registry, tag="inner")
        member = registry.manifest(REPO, inner)["manifests"][1]["digest"]
        outer = registry.add_index(REPO, "1", [registry.descriptor(REPO, inner)])
        found = look(registry, ("1", member), ("1", outer), ("1", A), ("inner", member))
        assert states(found) == ["current", "current", "outdated", "current"]
        assert found["images"][0]["latest_digest"] == outer


def test_signatures(tmp_path: Path) -> None:
    signer = Signer(tmp_path, "ci")
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "1", layers=LAYERS[:1])
        index = add_platforms(registry, tag="1")
        member = registry.manifest(REPO, index)["manifests"][0]["digest"]
        bare = registry.add_image(REPO, "2", layers=LAYERS)
        sign(registry, signer)
        found = look(registry, ("1", member), ("1", old), ("2", bare), verify={"keys": [signer.public]})
        assert states(found) == ["current", "outdated", "unsigned"]
        assert [row["verified"] for row in found["images"]] == [True, None, False]
        assert found["images"][2]["problem"]
        with fails(InvalidInput, "INVALID_OPTION", says="trust"):
            look(registry, ("1", member), verify={})


def test_a_name_with_its_tag_is_what_the_trust_sees(tmp_path: Path) -> None:
    signer = Signer(tmp_path, "ci")
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        sign(registry, signer, formats=["simple"])
        trust = {"keys": [signer.public], "identity": ["reference"]}
        assert states(look(registry, ("1", digest), ("2", digest), verify=trust)) == ["current", "unsigned"]


def add_based(registry: FakeRegistry) -> tuple[list[str], str, str]:
    """An index of two images, the second of which has a newer base; the members, the index, the newest base."""
    members = []
    for platform in ("linux/amd64", "linux/arm64"):
        tag = platform[-5:]
        base = registry.add_image("base/os", tag, layers=[platform.encode() * 300], platform=platform)
        notes = {NAME: f"{registry.host}/base/os:{tag}", DIGEST: base}
        members.append(
            registry.add_image(REPO, layers=[platform.encode() * 300, b"app"], platform=platform, annotations=notes)
        )
    newest = registry.add_image("base/os", "arm64", layers=[b"newer " * 300], platform="linux/arm64")
    return members, registry.add_index(REPO, "1", members), newest


def test_bases() -> None:
    with FakeRegistry() as registry:
        members, index, newest = add_based(registry)
        found = look(registry, ("1", members[0]), ("1", members[1]), ("1", index), ("1", A), base=True)
        assert states(found) == ["current", "outdated_base", "outdated_base", "outdated"]
        rows = found["images"]
        assert [row["latest_base_digest"] == newest for row in rows] == [False, True, True, False]
        assert rows[2]["base"] == f"{registry.host}/base/os:arm64"
        assert rows[3]["base"] is None
        assert registry.count("HEAD", "base/os") == 2


def test_a_base_that_many_images_share_is_asked_for_once() -> None:
    with FakeRegistry() as registry:
        base = registry.add_image("base/os", "1", layers=LAYERS[:1])
        notes = {NAME: f"{registry.host}/base/os:1", DIGEST: base}
        running = []
        for tag in "abcdefgh":
            running.append((tag, registry.add_image(REPO, tag, layers=[LAYERS[0], tag.encode()], annotations=notes)))
        assert not look(registry, *running, base=True)["drifted"]
        assert registry.count("HEAD", "base/os") == 1


def test_a_base_of_which_nothing_is_known_fails_with_all_results() -> None:
    with FakeRegistry() as registry:
        members, dummy, newest = add_based(registry)
        bare = registry.add_image(REPO, "2", layers=LAYERS)
        with fails(InvalidInput, "BASE_UNKNOWN", says="oci_rebase") as caught:
            look(registry, ("1", members[1]), ("2", bare), ("3", A), base=True)
        rows = caught.value.details["images"]
        assert [row["state"] for row in rows] == ["outdated_base", "current", "missing"]
        assert "annotations" in rows[1]["problem"]
        del registry.api.repos["base/os"].tags["arm64"]
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, says="The base"):
            look(registry, ("1", members[1]), base=True)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ({"name": "UPPER/x", "digest": A, "where": None}, "INVALID_REFERENCE"),
        ({"name": "x", "digest": "sha256:1", "where": None}, "INVALID_OPTION"),
        ({"name": "x", "digest": "", "where": None}, "INVALID_OPTION"),
    ],
)
def test_what_cannot_be_read(image: dict[str, Any], code: str) -> None:
    with fails(InvalidInput, code):
        drift_info(make_session(), images=[image], verify=None, base=False)


def test_a_refusal_is_no_missing_image() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault("*", status=403, times=99)
        with pytest.raises(Denied):
            look(registry, ("1", digest))
