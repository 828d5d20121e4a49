# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image, by the API, by the tag that stands in for it, and under cosign's tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._verbs.referrer_info import referrer_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_INDEX
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, fails, login, make_session
from ansible_collections.quayside.registry.tests.unit.signing import BUNDLE, SIMPLE, Signer, sign

SBOM = "application/vnd.example.sbom"


@pytest.fixture(params=[Quirks(), Quirks(no_referrers_api=True)], ids=["api", "no api"])
def registry(request: Any) -> Iterator[FakeRegistry]:
    with FakeRegistry(request.param) as found:
        found.add_image(REPO, "1", layers=LAYERS)
        yield found


def info(registry: FakeRegistry, name: str = ":1", **options: Any) -> dict[str, Any]:
    session = make_session(login(registry))
    defaults: dict[str, Any] = {"artifact_type": [], "depth": 1}
    return referrer_info(session, name=f"{registry.host}/{REPO}{name}", **{**defaults, **options})


def refer(registry: FakeRegistry, digest: str, data: bytes, **entry: Any) -> str:
    """An SBOM, listed as the registry lists it; `entry` changes what a list says of it."""
    made = registry.add_referrer(REPO, digest, SBOM, data, {"a": "b"})
    if registry.quirks.no_referrers_api:
        listed = {**registry.descriptor(REPO, made), "artifactType": SBOM, "annotations": {"a": "b"}, **entry}
        listed = {key: value for key, value in listed.items() if value is not None}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]}
        registry.add_manifest(REPO, index, tag=digest.replace(":", "-"))
    return made


def kinds(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted((row["artifact_type"], kinds(row["referrers"])) for row in rows)


def test_what_is_there(registry: FakeRegistry, tmp_path: Path) -> None:
    digest = registry.tags(REPO)["1"]
    assert info(registry)["referrers"] == []
    sbom = refer(registry, digest, b"sbom")
    (row,) = info(registry)["referrers"]
    described = registry.descriptor(REPO, sbom)
    assert row == {
        "digest": sbom,
        "media_type": described["mediaType"],
        "artifact_type": SBOM,
        "size": described["size"],
        "annotations": {"a": "b"},
        "tag": None,
        "referrers": [],
    }
    sign(registry, Signer(tmp_path, "k"))
    result = info(registry)
    assert kinds(result["referrers"]) == sorted([(SBOM, []), (SIMPLE, []), (BUNDLE, [])])
    (tagged,) = [row for row in result["referrers"] if row["tag"]]
    assert tagged["tag"] == digest.replace(":", "-") + ".sig"
    assert tagged["digest"] == registry.tags(REPO)[tagged["tag"]]
    assert result["digest"] == digest
    only = info(registry, artifact_type=[SIMPLE, "x/y"])
    assert kinds(only["referrers"]) == [(SIMPLE, [])]


def test_what_hangs_on_referrers(registry: FakeRegistry, tmp_path: Path) -> None:
    sbom = refer(registry, registry.tags(REPO)["1"], b"sbom")
    sign(registry, Signer(tmp_path, "k"), f"@{sbom}", formats=["bundle"])
    assert kinds(info(registry)["referrers"]) == [(SBOM, [])]
    assert kinds(info(registry, depth=2)["referrers"]) == [(SBOM, [(BUNDLE, [])])]
    assert kinds(info(registry, depth=9, artifact_type=[BUNDLE])["referrers"]) == [(SBOM, [(BUNDLE, [])])]
    assert info(registry, artifact_type=[BUNDLE])["referrers"] == []


def test_a_list_without_types() -> None:
    """Older tools left them out; the referrer itself has its type. What is gone has none."""
    with FakeRegistry(Quirks(no_referrers_api=True)) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sbom = refer(registry, digest, b"sbom", artifactType=None)
        assert kinds(info(registry)["referrers"]) == [(SBOM, [])]
        del registry.api.repos[REPO].manifests[sbom]
        assert kinds(info(registry)["referrers"]) == [(None, [])]


def test_referrers_in_a_circle_end() -> None:
    with FakeRegistry(Quirks(no_referrers_api=True)) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        entry = {**registry.descriptor(REPO, digest), "artifactType": SBOM}
        del entry["platform"]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        registry.add_manifest(REPO, index, tag=digest.replace(":", "-"))
        registry.reset_log()
        assert len(info(registry, depth=50)["referrers"]) == 1
        assert len(registry.requests) < 10


def test_absent_and_malformed(registry: FakeRegistry) -> None:
    result = info(registry, ":2")
    assert (result["exists"], result["digest"], result["referrers"]) == (False, None, [])
    with fails(InvalidInput, "INVALID_OPTION", says="depth must be at least 1"):
        info(registry, depth=0)


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str, tmp_path: Path) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        assert info(registry)["referrers"] == []
        sign(registry, Signer(tmp_path, "k"))
        assert kinds(info(registry)["referrers"]) == [(SIMPLE, []), (BUNDLE, [])]


def test_a_chain_without_an_end() -> None:
    with FakeRegistry() as registry:
        last = registry.add_image(REPO, "1", layers=LAYERS)
        for number in range(9):
            last = registry.add_referrer(REPO, last, SBOM, b"%d" % number)
        rows = info(registry, depth=8)["referrers"]
        for dummy in range(7):
            (row,) = rows
            rows = row["referrers"]
        assert [row["referrers"] for row in rows] == [[]]
        with fails(ContentError, "TOO_MANY", registry.host, says="8 deep"):
            info(registry, depth=1000)


def test_a_digest_below_several_is_followed_once() -> None:
    """Nothing refers to two; a list that says so could make a result of any size."""
    with FakeRegistry(Quirks(no_referrers_api=True)) as registry:
        level = [registry.add_image(REPO, "1", layers=LAYERS)]
        for number in range(6):
            made = [registry.add_referrer(REPO, level[0], SBOM, b"%d %d" % (number, each)) for each in range(3)]
            listed = [{**registry.descriptor(REPO, digest), "artifactType": SBOM} for digest in made]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
            for digest in level:
                registry.add_manifest(REPO, index, tag=digest.replace(":", "-"))
            level = made
        assert str(info(registry, depth=6)).count("artifact_type") == 3 * (1 + 3 * 5)
