# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestations are added once, and with `replace` those of the same key and type go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import OCI_CONFIG, OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._trust import candidates
from ansible_collections.quayside.registry.plugins.module_utils._verbs import attest as verb
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, fails, twice
from ansible_collections.quayside.registry.tests.unit.signing import Signer, attest, sign, verified

OWN = "https://example.com/t/v1"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"


@pytest.fixture
def ours(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "ours")


@pytest.fixture(params=[Quirks(), Quirks(no_referrers_api=True)], ids=["api", "no api"])
def registry(request: Any) -> Iterator[FakeRegistry]:
    with FakeRegistry(request.param) as found:
        found.add_image(REPO, "1", layers=LAYERS)
        yield found


def predicates(registry: FakeRegistry, *publics: str, kind: str = OWN) -> list[Any]:
    result = verified(registry, *publics, signature=False, attestations=[{"predicate_type": kind}])
    return sorted(one["predicate"]["n"] for one in result["attestations"] if one["verified"])


def test_once(registry: FakeRegistry, ours: Signer) -> None:
    planned = twice(registry, lambda: attest(registry, ours, {"n": 1}, OWN))
    (row,) = planned.result["signatures"]
    assert row["status"] == "created"
    assert registry.manifest(REPO, row["digest"])["annotations"]["dev.sigstore.bundle.predicateType"] == OWN
    again = attest(registry, ours, {"n": 1}, OWN)
    assert again.result["signatures"] == [{**row, "status": "current"}]
    assert predicates(registry, ours.public) == [1]


def test_beside_others_and_instead_of_them(registry: FakeRegistry, ours: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path, "other")
    attest(registry, other, {"n": 0}, OWN)
    attest(registry, ours, {"n": 1}, OWN)
    attest(registry, ours, {"n": 2}, OWN)
    attest(registry, ours, {"n": 9})
    sign(registry, ours)
    assert predicates(registry, ours.public) == [1, 2]
    planned = twice(registry, lambda: attest(registry, ours, {"n": 3}, OWN, replace=True))
    assert [row["status"] for row in planned.result["signatures"]] == ["created", "removed", "removed"]
    assert predicates(registry, ours.public) == [3]
    assert predicates(registry, other.public) == [0]
    assert predicates(registry, ours.public, kind="spdx") == [9]
    assert verified(registry, ours.public)["verified"]


def test_instead_of_what_cosign_2_left(registry: FakeRegistry, ours: Signer, tmp_path: Path) -> None:
    """It keeps attestations under a tag of its own, each an envelope that is a layer there; others' stay."""
    other, digest = Signer(tmp_path, "other"), registry.tags(REPO)["1"]
    for signer, number in ((ours, 1), (other, 2), (ours, 3)):
        attest(registry, signer, {"n": number}, OWN)
    bundles = [raw for raw in registry.blobs(REPO).values() if b"dsseEnvelope" in raw]
    layers = []
    for raw in bundles:
        envelope = json.dumps(json.loads(raw)["dsseEnvelope"]).encode()
        blob = registry.add_blob(REPO, envelope)
        layers.append(
            {"mediaType": ENVELOPE, "digest": blob, "size": len(envelope), "annotations": {"predicateType": OWN}}
        )
    for name in [name for name in registry.manifests(REPO) if name != digest]:  # the bundles themselves go
        del registry.api.repos[REPO].manifests[name]
    registry.api.repos[REPO].tags.pop(digest.replace(":", "-"), None)
    raw = json.dumps(
        {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    config = {"mediaType": OCI_CONFIG, "digest": registry.add_blob(REPO, raw), "size": len(raw)}
    tag = f"{digest.replace(':', '-')}.att"
    registry.add_manifest(
        REPO, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}, tag=tag
    )
    assert predicates(registry, ours.public) == [1, 3]
    assert not attest(registry, ours, {"n": 4}, OWN).result["signatures"][1:]
    planned = twice(registry, lambda: attest(registry, ours, {"n": 4}, OWN, replace=True))
    assert [(row["format"], row["status"]) for row in planned.result["signatures"]] == [
        ("bundle", "current"),
        ("envelope", "removed"),
        ("envelope", "removed"),
    ]
    assert planned.actions == [f"Remove 2 attestations from {registry.host}/{REPO}:{tag}."]
    assert predicates(registry, ours.public) == [4]
    assert predicates(registry, other.public) == [2]


def test_from_a_file(registry: FakeRegistry, ours: Signer, tmp_path: Path) -> None:
    place = tmp_path / "sbom.json"
    place.write_text('{"n": 1, "files": ["ü", 1.5, null, true]}')
    twice(registry, lambda: attest(registry, ours, str(place), OWN))
    assert predicates(registry, ours.public) == [1]
    assert not attest(registry, ours, json.loads(place.read_text()), OWN).changed


@pytest.mark.parametrize(
    ("predicate", "kind", "words"),
    [
        ([1], OWN, "must be a dict"),
        ({"n": float("nan")}, OWN, "cannot be written as JSON"),
        ({1: {2, 3}}, OWN, "cannot be written as JSON"),
        ("/nonexistent", OWN, "cannot be read"),
        ("a\0b", OWN, "neither a dict nor the path"),
        ({}, "no type", "predicate_type must be"),
        ({}, "https://sigstore.dev/cosign/sign/v1", "which oci_sign makes"),
    ],
)
def test_malformed(registry: FakeRegistry, ours: Signer, predicate: Any, kind: str, words: str) -> None:
    code = "FILE_ERROR" if predicate == "/nonexistent" else "INVALID_OPTION"
    with fails(InvalidInput, code, says=words):
        attest(registry, ours, predicate, kind)
    assert registry.requests == []


def test_no_more_than_what_is_read(
    registry: FakeRegistry, ours: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(candidates.MAX_SIZES, "bundle", 1000)
    with fails(InvalidInput, "TOO_LARGE", says="1000 are read at most"):
        attest(registry, ours, {"n": "x" * 800}, OWN)
    (tmp_path / "large.json").write_text(json.dumps({"n": "x" * 2000}))
    with fails(InvalidInput, "TOO_LARGE", says="more than 1000 bytes"):
        attest(registry, ours, str(tmp_path / "large.json"), OWN)
    assert verb.MAX_SIZES is candidates.MAX_SIZES
    assert registry.count("PUT|POST") == 0


@pytest.mark.parametrize("text", ['{"secret": 1}', " {}", "secret" * 100, "secret\n"])
def test_a_predicate_that_is_a_text_is_not_shown(registry: FakeRegistry, ours: Signer, text: str) -> None:
    with pytest.raises(InvalidInput, match="the filter from_json makes a dict") as caught:
        attest(registry, ours, text)
    assert "secret" not in str(caught.value)
