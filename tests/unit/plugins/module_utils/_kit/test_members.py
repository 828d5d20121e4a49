# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes as they are found: one image for several platforms, members that are not there, indexes in indexes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, run_module

AMD64, ARM64 = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}
V6, V7 = ({"os": "linux", "architecture": "arm", "variant": variant} for variant in ("v6", "v7"))


def run(registry: FakeRegistry, module: str, name: str = "1", **options: Any) -> dict[str, Any]:
    return run_module(module, {"name": f"{registry.host}/{REPO}:{name}", **options})


def platforms(registry: FakeRegistry) -> list[dict[str, str]]:
    return [member["platform"] for member in registry.manifest(REPO, "1")["manifests"]]


@pytest.fixture
def for_both(registry: FakeRegistry) -> str:
    """An index that names one image for two variants of Arm."""
    digest = registry.add_image(REPO, layers=LAYERS, platform="linux/arm/v6")
    member = registry.descriptor(REPO, digest)
    registry.add_index(REPO, "1", [{**member, "platform": V6}, {**member, "platform": V7}])
    return digest


@pytest.mark.usefixtures("for_both")
def test_annotations_of_an_index_keep_both_platforms_of_an_image(registry: FakeRegistry) -> None:
    assert run(registry, "oci_index", annotations={"a": "b"})["changed"]
    assert platforms(registry) == [V6, V7]


def test_editing_one_of_the_platforms_of_an_image(registry: FakeRegistry, for_both: str) -> None:
    result = run(registry, "oci_mutate", platforms=["linux/arm/v7"], labels={"a": "b"})
    assert result["changed"]
    v6, v7 = registry.manifest(REPO, "1")["manifests"]
    assert (v6["digest"], v6["platform"], v7["platform"]) == (for_both, V6, V7)
    assert registry.config(REPO, v7["digest"])["config"]["Labels"] == {"a": "b"}
    assert not run(registry, "oci_mutate", platforms=["linux/arm/v7"], labels={"a": "b"})["changed"]


@pytest.mark.parametrize(("gone", "left"), [("linux/arm/v6", V7), ("linux/arm/v7", V6)])
@pytest.mark.usefixtures("for_both")
def test_removing_one_of_the_platforms_of_an_image(registry: FakeRegistry, gone: str, left: dict[str, str]) -> None:
    assert run(registry, "oci_index", state="absent", manifests=[{"platform": gone}])["changed"]
    assert platforms(registry) == [left]


@pytest.mark.usefixtures("for_both")
def test_copying_one_of_the_platforms_of_an_image(registry: FakeRegistry) -> None:
    names = {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/{REPO}:2"}
    assert run_module("oci_copy", {**names, "platforms": ["linux/arm/v7"]})["changed"]
    assert [member["platform"] for member in registry.manifest(REPO, "2")["manifests"]] == [V7]


@pytest.fixture
def sparse(registry: FakeRegistry) -> str:
    """An index of which the repository has only one image, as mirrors of some platforms have it."""
    digests = [registry.add_image(REPO, layers=LAYERS, platform=name) for name in ("linux/amd64", "linux/arm64")]
    registry.add_index(REPO, "1", digests)
    del registry.api.repos[REPO].manifests[digests[1]]
    return digests[1]


@pytest.mark.parametrize("chosen", [[], ["linux/amd64"]], ids=["all", "one"])
def test_editing_an_index_of_which_a_member_is_not_there(
    registry: FakeRegistry, sparse: str, chosen: list[str]
) -> None:
    registry.quirks = Quirks(takes_sparse_indexes=True)
    result = run(registry, "oci_mutate", platforms=chosen, labels={"a": "b"})
    assert result["changed"], result
    assert f"Leave {sparse} as it is: it is not in {registry.host}/{REPO}." in result["actions"]
    amd64, arm64 = registry.manifest(REPO, "1")["manifests"]
    assert arm64["digest"] == sparse
    assert registry.config(REPO, amd64["digest"])["config"]["Labels"] == {"a": "b"}


def test_a_platform_whose_image_is_not_there_is_said(registry: FakeRegistry, sparse: str) -> None:
    result = run(registry, "oci_mutate", platforms=["linux/arm64"], labels={"a": "b"})
    assert (result["failed"], result["error_code"]) == (True, "MANIFEST_UNKNOWN")
    assert f"names {sparse} for linux/arm64, which is not in" in result["msg"]


def nested(registry: FakeRegistry, outer: dict[str, Any] | None, platform: str = "linux/amd64") -> str:
    """An index with an index for each platform, as some builders make them; returns the digest of the image."""
    image = registry.add_image(REPO, layers=LAYERS, platform=platform)
    inner = registry.descriptor(REPO, registry.add_index(REPO, None, [image, registry.add_attestation(REPO, image)]))
    other = registry.add_index(REPO, None, [registry.add_image(REPO, layers=LAYERS[:1], platform="linux/s390x")])
    entry = {**inner, "platform": outer} if outer else inner
    last = {**registry.descriptor(REPO, other), "platform": {"os": "linux", "architecture": "s390x"}}
    registry.add_index(REPO, "1", [entry, last])
    return image


@pytest.mark.parametrize("outer", [None, AMD64], ids=["silent", "named"])
def test_one_answer_for_an_image_in_an_index_in_an_index(
    registry: FakeRegistry, outer: dict[str, Any] | None, tmp_path: Any
) -> None:
    image = nested(registry, outer)
    assert run(registry, "oci_digest_info", platform="linux/amd64")["digest"] == image
    assert run(registry, "oci_manifest_info", platform="linux/amd64")["digest"] == image
    assert run(registry, "oci_config_info")["digest"] == image
    for kind in ("docker-archive", "oci-layout"):
        pulled = run(registry, "oci_pull", path=str(tmp_path / kind), format=kind, platform="linux/amd64")
        assert pulled["digest"] == image, pulled
    names = {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/{REPO}:2", "platforms": ["linux/amd64"]}
    assert run_module("oci_copy", names)["changed"]
    assert len(registry.manifest(REPO, "2")["manifests"]) == 1


def test_another_platform_of_a_nested_image_is_told_by_all_that_lead_to_it(registry: FakeRegistry) -> None:
    nested(registry, AMD64)
    assert run(registry, "oci_mutate", platforms=["linux/amd64"], set_platform="linux/arm64")["changed"]
    entry = registry.manifest(REPO, "1")["manifests"][0]
    assert entry["platform"] == ARM64
    assert registry.manifest(REPO, entry["digest"])["manifests"][0]["platform"] == ARM64


def test_a_base_may_be_an_index_of_indexes(registry: FakeRegistry) -> None:
    base = registry.add_image(REPO, "base", layers=LAYERS[:1])
    registry.add_image("team/web", "1", layers=[LAYERS[0], b"own"])
    nested(registry, None)
    names = {"name": f"{registry.host}/team/web:1", "old_base": f"{registry.host}/{REPO}@{base}"}
    result = run_module("oci_rebase", {**names, "new_base": f"{registry.host}/{REPO}:1"})
    assert result.get("changed"), result.get("msg")
    assert len(registry.manifest("team/web", "1")["layers"]) == 3


def test_an_attestation_is_what_its_index_says_it_is(registry: FakeRegistry) -> None:
    """Its layers may have the types of an image's, and are none all the same."""
    image = registry.add_image(REPO, layers=LAYERS)
    looks = registry.add_image(REPO, layers=LAYERS[:1], platform="unknown/unknown")
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
    registry.add_index(REPO, "1", [image, {**registry.descriptor(REPO, looks), "annotations": notes}])
    assert run(registry, "oci_mutate", set_platform="linux/arm64")["changed"]
    edited, attested = registry.manifest(REPO, "1")["manifests"]
    assert edited["platform"] == ARM64
    assert attested["digest"] == looks
    assert attested["annotations"]["vnd.docker.reference.digest"] == edited["digest"]


@pytest.fixture
def chart(registry: FakeRegistry) -> str:
    raw = b'{"name": "chart"}'
    config = {
        "mediaType": "application/vnd.cncf.helm.config.v1+json",
        "digest": registry.add_blob(REPO, raw),
        "size": len(raw),
    }
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    return registry.add_manifest(REPO, value, tag="1")


@pytest.mark.usefixtures("chart")
def test_annotations_of_what_is_no_image(registry: FakeRegistry) -> None:
    result = run(registry, "oci_mutate", annotations={"a": "b"}, manifest_patch={"annotations": {"c": "d"}})
    assert result["changed"], result
    assert registry.manifest(REPO, "1")["annotations"] == {"a": "b", "c": "d"}
    assert not run(registry, "oci_mutate", annotations={"a": "b"})["changed"]


@pytest.mark.usefixtures("chart")
def test_what_only_images_have_is_refused_for_what_is_none(registry: FakeRegistry) -> None:
    result = run(registry, "oci_mutate", labels={"a": "b"}, annotations={"a": "b"})
    assert (result["failed"], result["error_code"]) == (True, "NOT_AN_IMAGE")
    assert "so it takes no labels" in result["msg"]
