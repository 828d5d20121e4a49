# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention on repositories of all shapes, and on registries that differ: what is kept is whole, and all can come back.

The shapes are random: images that share layers, indexes that share members and hold other indexes, tags that share a
digest, signatures of all of these by the API and by tags, and signatures of signatures.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._oci.tagrules import is_digest_tag
from ansible_collections.quayside.registry.plugins.module_utils._verbs.validate import validate
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, login, make_session
from ansible_collections.quayside.registry.tests.unit.pruning import (
    add_beside,
    add_list,
    needed,
    prune,
    subject_of,
    tag_of,
)
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

SEEDS = range(10)
POOL = [tar_of({f"file{number}": str(number) * 50}) for number in range(4)]
KINDS = {
    "deletes tags": (Quirks(), Auth(mode="none")),
    "deletes tags, no referrers API": (Quirks(no_referrers_api=True), Auth(mode="none")),
    **{name: PROFILES[name] for name in ("distribution_2_8", "harbor", "ecr", "gar", "quay", "artifactory")},
}


def registry_of(kind: str) -> FakeRegistry:
    quirks, auth = KINDS[kind]
    return FakeRegistry(replace(quirks, takes_sparse_indexes=True, immutable_tags=""), auth)


def grow(registry: FakeRegistry, chance: random.Random) -> None:
    """Fill the repository."""
    images = [
        registry.add_image(
            REPO,
            layers=chance.sample(POOL, chance.randint(1, 3)),
            platform=chance.choice(["linux/amd64", "linux/arm64", "linux/s390x"]),
            config={"author": str(number)},
        )
        for number in range(chance.randint(2, 6))
    ]
    indexes: list[str] = []
    for number in range(chance.randint(0, 4)):
        inside: list[Any] = chance.sample([*images, *indexes], chance.randint(1, min(3, len(images) + len(indexes))))
        if chance.random() < 0.3:
            inside.append(registry.add_attestation(REPO, chance.choice(images), str(number).encode()))
        if chance.random() < 0.1:
            lost = {"mediaType": registry.descriptor(REPO, images[0])["mediaType"], "size": 9}
            inside.append({**lost, "digest": f"sha256:{number}" + "e" * 63})
        indexes.append(registry.add_index(REPO, manifests=inside, annotations={"number": str(number)}))
    everything = [*images, *indexes]
    for number in range(chance.randint(0, 5)):
        subject = chance.choice(everything)
        if chance.random() < 0.4:
            everything.append(add_beside(registry, subject, chance.choice([".sig", ".att", ".sbom"])))
        else:
            everything.append(registry.add_referrer(REPO, subject, "application/vnd.x", str(number).encode()))
    if registry.quirks.no_referrers_api:
        for subject in [each for each in everything if any(subject_of(registry, r) == each for r in everything)]:
            add_list(registry, subject)
    tags = registry.api.repos[REPO].tags
    for number in range(chance.randint(1, 9)):
        chosen = everything if chance.random() < 0.15 else [*images, *indexes]
        tags[f"{chance.choice(['1', '2'])}.{number}"] = chance.choice(chosen)
    if chance.random() < 0.3:
        tags["latest"] = chance.choice(list(tags.values()))


def options(registry: FakeRegistry, kind: str, chance: random.Random) -> dict[str, Any]:
    """Some rules."""
    keep: dict[str, Any] = {"in_use": []}
    if chance.random() < 0.5:
        keep["newest"] = chance.randint(1, 3)
    if chance.random() < 0.3:
        keep["in_use"] = [chance.choice(list(registry.manifests(REPO)))]
    if chance.random() < 0.2:
        keep["referrers"] = ["application/vnd.x"]
    untagged = ["none", "freed", *(["all"] if kind == "gar" else [])]
    return {
        "select": {"include": chance.choice([[".*"], ["^1"], [r"\.[0-4]$"]])},
        "keep": keep,
        "delete_untagged": chance.choice(untagged),
        "delete_referrers": chance.random() < 0.8,
    }


def whole(registry: FakeRegistry, tag: str) -> bool:
    name = f"{registry.host}/{REPO}:{tag}"
    more = {"path": None, "fast": True, "platforms": [], "limits": None, "fail_on_invalid": False}
    return bool(validate(make_session(login(registry)), name=name, **more)["valid"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_is_whole(seed: int, kind: str, tmp_path: Path) -> None:
    chance = random.Random(f"{seed} {kind}")
    with registry_of(kind) as registry:
        grow(registry, chance)
        given = {**options(registry, kind, chance), "undo_path": str(tmp_path / "undo")}
        before, state = registry.tags(REPO), registry.state()
        good = {tag for tag in before if whole(registry, tag)}
        forecast = prune(registry, check=True, **given)
        assert registry.state() == state
        plain = {row["reference"].rpartition(":")[2] for row in forecast["kept"] if "@" not in row["reference"]}
        must_stay = needed(registry, [tag for tag in plain if not is_digest_tag(tag)])
        must_stay |= {each for each in given["keep"]["in_use"] if each in registry.manifests(REPO)}

        result = prune(registry, **given)
        for each in (forecast, result):
            each.pop("transfer")
        assert result == forecast

        now = registry.tags(REPO)
        assert set(now) == plain
        assert all(now[tag] == before[tag] for tag in now)
        assert must_stay <= registry.manifests(REPO).keys()
        assert all(whole(registry, tag) for tag in now if tag in good)
        gone = state[REPO]["manifests"].keys() - registry.manifests(REPO).keys()
        assert gone == {row["digest"] for row in result["deleted"]}
        assert_nothing_dangles(registry, gone, result, given)

        registry.reset_log()
        again = prune(registry, **given)
        assert not again["changed"], again["actions"]
        assert registry.count("DELETE|PUT|POST") == 0

        if result["changed"]:
            back = prune(registry, **{**given, "state": "restored"})
            assert registry.tags(REPO) == before
            assert registry.state() == state
            assert back["failures"] == []
            assert not prune(registry, **{**given, "state": "restored"})["changed"]


def assert_nothing_dangles(
    registry: FakeRegistry, gone: set[str], result: dict[str, Any], given: dict[str, Any]
) -> None:
    """No digest tag is left of what is gone, nor is anything else that refers to it, unless that was asked for."""
    left = registry.tags(REPO)
    reasons = {row["digest"]: row["rule"] for row in result["deleted"]}
    if given["delete_referrers"]:
        kept = {row["reference"].rpartition(":")[2] for row in result["kept"] if row["rule"] == "shared"}
        assert not [tag for tag in left if tag.partition(".")[0] in map(tag_of, gone) and tag not in kept]
    else:
        assert "referrers" not in reasons.values()
    if given["delete_untagged"] == "none":
        assert "freed" not in reasons.values()
