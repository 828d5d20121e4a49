# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent, and in which order, when content is put in place."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_INDEX, digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, add_platforms, complete, run_module

FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


def copy(source: FakeRegistry, dest: FakeRegistry, *tags: str) -> dict[str, Any]:
    images = [{"src": f"{source.host}/{REPO}:{tag}", "dest": f"{dest.host}/{REPO}:{tag}"} for tag in tags]
    return run_module("oci_copy", {"images": images, "jobs": 1})


@pytest.mark.parametrize("there", [True, False])
def test_a_foreign_layer_is_copied_where_the_source_has_it(registry: FakeRegistry, there: bool) -> None:
    data = b"foreign" * 100
    urls = ["https://elsewhere.example/layer"]
    layer = {"mediaType": FOREIGN, "digest": digest_of(data), "size": len(data), "urls": urls}
    registry.add_image(REPO, "1", layers=[LAYERS[0], layer])
    if there:
        registry.add_blob(REPO, data)
    with FakeRegistry() as dest:
        result = copy(registry, dest, "1")
        assert result["changed"], result
        assert "1" in dest.tags(REPO)
        assert (digest_of(data) in dest.blobs(REPO)) is there
        warned = digest_of(data) in str(result.get("warnings"))
        assert warned is not there


def test_manifests_go_before_every_index_and_tags_last(registry: FakeRegistry) -> None:
    """So that the manifests of all images can be sent at once."""
    for tag in ("a", "b"):
        images = [
            registry.add_image(REPO, layers=[tag.encode(), name.encode()], platform=name) for name in ("x/y", "x/z")
        ]
        registry.add_index(REPO, tag, [registry.descriptor(REPO, registry.add_index(REPO, "", images))])
    add_platforms(registry, tag="c")
    with FakeRegistry() as dest:
        assert copy(registry, dest, "a", "b", "c")["changed"]
        assert all(complete(dest, REPO, tag) for tag in ("a", "b", "c"))
        sent = [request for request in dest.requests if request.method == "PUT" and "/manifests/" in request.path]
    kinds = [
        "tag" if ":" not in request.path else "index" if request.headers["content-type"] == OCI_INDEX else "manifest"
        for request in sent
    ]
    assert kinds == sorted(kinds, key=["manifest", "index", "tag"].index)
    assert set(kinds) == {"manifest", "index", "tag"}


@pytest.mark.parametrize("verb", ["oci_copy", "oci_mutate", "oci_index"])
@pytest.mark.parametrize("there", [True, False])
def test_a_foreign_layer_goes_to_another_repository_where_the_source_has_it(
    registry: FakeRegistry, verb: str, there: bool
) -> None:
    data = f"foreign {verb} {there}".encode() * 100
    urls = ["https://elsewhere.example/layer"]
    layer = {"mediaType": FOREIGN, "digest": digest_of(data), "size": len(data), "urls": urls}
    registry.add_image(REPO, "1", layers=[LAYERS[0], layer])
    if there:
        registry.add_blob(REPO, data)
    source, dest = f"{registry.host}/{REPO}:1", f"{registry.host}/team/other:1"
    options: dict[str, dict[str, Any]] = {
        "oci_copy": {"src": source, "dest": dest},
        "oci_mutate": {"name": source, "dest": dest, "labels": {"a": "b"}},
        "oci_index": {"name": dest, "manifests": [source]},
    }
    registry.reset_log()
    result = run_module(verb, options[verb])
    assert result["changed"], result
    assert "1" in registry.tags("team/other")
    assert (digest_of(data) in registry.blobs("team/other")) is there
    assert (digest_of(data) in str(result.get("warnings"))) is not there
    assert any(f"Mount the blob {digest_of(data)}" in text for text in result["actions"]) is there
    asked = [request.path.rpartition("/")[2] for request in registry.requests if f"{REPO}/blobs/" in request.path]
    assert asked.count(digest_of(data)) == 1
    assert digest_of(gzipped(LAYERS[0])) not in asked
