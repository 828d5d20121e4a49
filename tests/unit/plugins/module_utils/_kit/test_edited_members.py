# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit of an image does to the index above it, and to the attestations beside it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._kit.target import destination
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, complete, fails, run_module

ATTESTED = "vnd.docker.reference.digest"


def label(registry: FakeRegistry, name: str = "1", **options: Any) -> dict[str, Any]:
    return run_module("oci_mutate", {"name": f"{registry.host}/{REPO}:{name}", "labels": {"a": "b"}, **options})


def said(result: dict[str, Any]) -> str:
    return " ".join([*result["actions"], *result.get("notes", [])])


def test_embedded_data_of_a_member_does_not_outlive_it(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, layers=LAYERS)
    raw = registry.manifests(REPO)[digest].body
    member = {**registry.descriptor(REPO, digest), "data": base64.b64encode(raw).decode()}
    registry.add_index(REPO, "1", [member])
    assert label(registry)["changed"]
    [found] = registry.manifest(REPO, "1")["manifests"]
    assert found["digest"] != digest
    new = registry.manifests(REPO)[found["digest"]].body
    assert base64.b64decode(found.get("data", base64.b64encode(new))) == new
    assert complete(registry, REPO, "1")


def test_an_attestation_with_a_subject_follows_its_image(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, layers=LAYERS)
    plain = registry.add_attestation(REPO, digest)
    subject = {name: registry.descriptor(REPO, digest)[name] for name in ("mediaType", "digest", "size")}
    body = json.dumps({**registry.manifest(REPO, plain["digest"]), "subject": subject}).encode()
    attestation = registry.add_manifest(REPO, body, OCI_MANIFEST)
    member = {**plain, "digest": attestation, "size": len(body), "data": base64.b64encode(body).decode()}
    registry.add_index(REPO, "1", [digest, member])
    assert label(registry)["changed"]
    image, attested = registry.manifest(REPO, "1")["manifests"]
    assert image["digest"] != digest
    assert attested["annotations"][ATTESTED] == image["digest"]
    assert "data" not in attested
    moved = registry.manifest(REPO, attested["digest"])
    assert (moved["subject"]["digest"], moved["subject"]["size"]) == (image["digest"], image["size"])
    assert complete(registry, REPO, "1")


def test_a_result_is_not_stored_under_a_digest_that_it_does_not_have(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    state = registry.state()
    result = label(registry, dest=f"{registry.host}/team/other@{digest}")
    assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
    assert digest in result["msg"]
    assert registry.state() == state
    assert registry.count("PUT|POST|PATCH") == 0


@pytest.mark.parametrize("check", [True, False])
def test_what_is_kept_is_said(registry: FakeRegistry, check: bool) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    there = registry.add_image(REPO, "2", layers=LAYERS[:1])
    options = {"dest": f"{registry.host}/{REPO}:2", "on_existing": "keep"}
    arguments = {"name": f"{registry.host}/{REPO}:1", "labels": {"a": "b"}, **options}
    result = run_module("oci_mutate", arguments, check=check)
    assert (result["changed"], result["digest"]) == (False, there)
    assert f"{REPO}:2" in said(result) and "keep" in said(result).lower()
    assert registry.tags(REPO)["2"] == there


def test_nothing_is_kept_where_it_is_the_same(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    options = {"dest": f"{registry.host}/{REPO}:2", "on_existing": "keep"}
    assert label(registry, **options)["changed"]
    result = label(registry, **options)
    assert not result["changed"]
    assert said(result) == ""


def test_an_empty_destination_is_not_the_name_itself() -> None:
    name = Reference.parse("registry.example/team/app:1")
    assert destination(name, None) is name
    with fails(InvalidInput, "INVALID_REFERENCE", says="it is empty"):
        destination(name, "")
