# SPDX-License-Identifier: GPL-3.0-or-later
"""What says that it is about another manifest is found there, also where the registry has no referrers API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, complete, run_module
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

API, NO_API = Quirks(), Quirks(no_referrers_api=True)
SBOM = "application/spdx+json"


@pytest.fixture(params=[API, NO_API], ids=["api", "tag"])
def registry(request: pytest.FixtureRequest) -> Any:
    with FakeRegistry(request.param) as found:
        yield found


def listed(registry: FakeRegistry, subject: str) -> list[str]:
    """Return the digests of what the collection itself finds."""
    found = run_module("oci_referrer_info", {"name": f"{registry.host}/{REPO}@{subject}"})
    return [item["digest"] for item in found["referrers"]]


def twice(registry: FakeRegistry, module: str, options: dict[str, Any]) -> dict[str, Any]:
    foreseen = run_module(module, options, check=True)
    done = run_module(module, options)
    again = run_module(module, options)
    assert not done.get("failed"), done
    assert (foreseen["changed"], foreseen["actions"]) == (done["changed"], done["actions"])
    assert done["changed"]
    assert not again["changed"]
    return done


@pytest.mark.parametrize("tag", [":2", ""])
def test_an_edit_that_sets_a_subject(registry: FakeRegistry, tag: str) -> None:
    subject = registry.add_image(REPO, "1", layers=LAYERS)
    image = registry.add_image(REPO, "2", layers=LAYERS[:1])
    about = {name: registry.descriptor(REPO, subject)[name] for name in ("mediaType", "digest", "size")}
    name = f"{registry.host}/{REPO}" + (tag or f"@{image}")
    done = twice(registry, "oci_mutate", {"name": name, "manifest_patch": {"subject": about}})
    assert complete(registry, REPO, done["digest"])
    assert listed(registry, subject) == [done["digest"]]


def test_an_edit_that_keeps_a_subject(registry: FakeRegistry) -> None:
    subject = registry.add_image(REPO, "1", layers=LAYERS)
    about = {name: registry.descriptor(REPO, subject)[name] for name in ("mediaType", "digest", "size")}
    raw = registry.manifest(REPO, registry.add_image(REPO, layers=LAYERS[:1]))
    registry.add_manifest(REPO, {**raw, "subject": about}, tag="2")
    before = set(listed(registry, subject))
    options = {"name": f"{registry.host}/{REPO}:2", "files": [{"path": "/motd", "content": "x"}]}
    done = twice(registry, "oci_append", options)
    assert set(listed(registry, subject)) == {*before, done["digest"]}


def test_a_tag_lists_what_no_list_has_yet(registry: FakeRegistry) -> None:
    """As after a copy from a registry that has the referrers API."""
    subject = registry.add_image(REPO, "1", layers=LAYERS)
    artifact = registry.add_referrer(REPO, subject, SBOM, b"sbom")
    twice(registry, "oci_tag", {"name": f"{registry.host}/{REPO}@{artifact}", "tags": ["sbom", "sbom-1"]})
    assert listed(registry, subject) == [artifact]
    assert registry.tags(REPO)["sbom"] == registry.tags(REPO)["sbom-1"] == artifact


def test_what_a_layout_holds(registry: FakeRegistry, tmp_path: Path) -> None:
    subject = registry.add_image(REPO, "1", layers=[tar_of({"a": b"1"})])
    artifact = registry.add_referrer(REPO, subject, SBOM, b"sbom")
    name = f"{registry.host}/{REPO}"
    layout = {"path": str(tmp_path / "layout"), "format": "oci-layout"}
    assert run_module("oci_pull", {"names": [f"{name}@{artifact}"], **layout})["changed"]
    with FakeRegistry(NO_API) as other:
        other.add_image(REPO, "1", layers=[tar_of({"a": b"1"})])
        options = {"name": f"{other.host}/{REPO}:sbom", "path": str(tmp_path / "layout")}
        assert twice(other, "oci_push", options)["digest"] == artifact
        assert listed(other, subject) == [artifact]
