# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases into repositories of every kind: a second run has nothing to do, and pre-releases hold back no release."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.releasing import Sites, statuses

MANY = ["{major}.{minor}", "{major}", "latest"]
RELEASES = ["0.9.0", "1.0.1", "1.1.0", "2.0.0"]
PRE_RELEASES = ["1.0.0-rc1", "1.1.0-rc1", "2.0.0-rc.1"]
MOVING = ["1", "1.0", "1.1", "2", "latest", "1.0-rc", "1.0-old", "latest-old"]
VERSIONS = ["1.0.0", "1.0.1", "1.1.0-rc2", "2.0.0-rc.2", "2.0.0"]


@pytest.fixture
def sites() -> Iterator[Sites]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        yield Sites(source, dest)


def some(choice: random.Random, tags: list[str]) -> list[str]:
    """A few of them: what one tag does shows best where there are not many."""
    return choice.sample(tags, choice.randint(0, 3))


def fill(sites: Sites, choice: random.Random, name: str) -> None:
    """Put releases, pre-releases and moving tags into a repository, with labels or without."""
    for tag in some(choice, [*RELEASES, *PRE_RELEASES]):
        sites.released(name, tag, version=choice.choice([None, None, tag]))
    for tag in some(choice, MOVING):
        version = choice.choice([None, None, *RELEASES, *PRE_RELEASES])
        sites.released(name, tag, version=version)


@pytest.mark.parametrize("seed", range(120))
def test_a_second_run_changes_nothing_whatever_is_there(sites: Sites, seed: int) -> None:
    choice = random.Random(seed)
    fill(sites, choice, "api")
    version = choice.choice(VERSIONS)
    sites.image("api", version, version=choice.choice([None, None, version, "22.04"]))
    moving = [*MANY, *choice.choice([[], ["{major}.{minor}-rc"], ["2"]])]
    options: dict[str, Any] = {
        "on_existing": choice.choice(["keep", "replace"]),
        "backup": choice.choice([None, "{tag}-old"]),
    }
    entry = sites.entry("api", version, moving_tags=moving)
    done = sites.release(entry, **options)
    state = sites.tags("api")
    kept = {row["tag"]: row["reason"] for row in done.result["images"] if row["status"] == "kept"}
    again = sites.plan(entry, **options)
    assert not again.changed, again.actions
    assert sites.tags("api") == state
    assert {row["tag"]: row["reason"] for row in again.result["images"] if row["status"] == "kept"} == kept
    assert set(statuses(again.result).values()) <= {"current", "kept"}


@pytest.mark.parametrize("seed", range(30))
def test_pre_releases_hold_back_no_release(sites: Sites, seed: int) -> None:
    """What becomes of a release's tags is the same with and without pre-releases beside them."""
    choice = random.Random(seed)
    releases = {tag: choice.choice([None, tag]) for tag in some(choice, RELEASES)}
    moving = {tag: choice.choice([None, *RELEASES]) for tag in some(choice, ["1", "1.0", "latest"])}
    version = choice.choice(["1.0.0", "1.0.1", "2.0.0"])
    found = []
    for name, candidates in (("api", []), ("web", PRE_RELEASES)):
        for tag, label in [*releases.items(), *moving.items(), *dict.fromkeys(candidates).items()]:
            sites.released(name, tag, version=label)
        sites.image(name, version)
        plan = sites.plan(sites.entry(name, version, moving_tags=MANY), on_existing="replace")
        found.append({row["tag"]: (row["status"], row["reason"]) for row in plan.result["images"]})
    assert found[0] == found[1]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0-rc0"])
def test_a_pre_release_that_is_there(sites: Sites, version: str) -> None:
    sites.released("api", "1.1.0-rc1")
    new = sites.image("api", version)
    sites.release(sites.entry("api", version, moving_tags=MANY))
    tags = sites.tags("api")
    del tags["1.1.0-rc1"]
    moved = ["1.0", "1", "latest"] if version == "1.0.0" else []
    assert tags == dict.fromkeys([version, *moved], new)


def test_a_release_does_not_go_below_the_pre_release_that_a_tag_says_it_is(sites: Sites) -> None:
    old = sites.released("api", "latest", version="1.1.0-rc1")
    sites.image("api", "1.0.0")
    plan = sites.plan(sites.entry("api", "1.0.0", moving_tags=["latest"]))
    row = plan.result["images"][1]
    assert (row["status"], row["digest"]) == ("kept", old)
    assert row["reason"] == "1.0.0 is below version 1.1.0-rc1, which it shows (moving: forward)."


def test_an_unknown_version_may_be_a_pre_release(sites: Sites) -> None:
    sites.released("api", "1.1.0-rc1")
    sites.image("api", "build-77")
    with pytest.raises(OCIError) as caught:
        sites.plan(sites.entry("api", "build-77", moving_tags=["latest"]))
    assert caught.value.code == "VERSION_NEEDED"


def test_a_tag_that_is_kept_from_existing_shows_nothing(sites: Sites) -> None:
    sites.released("api", "2.0.0")
    sites.image("api", "1.4.3")
    plan = sites.plan(sites.entry("api", "1.4.3", moving_tags=["latest"]))
    row = plan.result["images"][1]
    assert (row["status"], row["digest"]) == ("kept", None)
    assert row["reason"] == "1.4.3 is below version 2.0.0, which is there (moving: forward)."
    assert f"Do not create {sites.name('api', 'latest')}: {row['reason']}" in plan.actions


@pytest.mark.parametrize(
    ("moving", "backup", "there"),
    [(["{major}.{minor}-rc", "latest"], None, []), (["latest"], "{tag}-old", ["2.0.0-rc.1"])],
)
def test_what_the_release_makes_there_does_not_tell_what_a_tag_shows(
    sites: Sites, moving: list[str], backup: str | None, there: list[str]
) -> None:
    """Its narrower moving tag and the backup of its tag are called like pre-releases, and latest shows none."""
    for tag in ["latest", *there]:
        sites.released("api", tag)
    sites.image("api", "2.0.0-rc.1")
    entry = sites.entry("api", "2.0.0-rc.1", moving_tags=moving)
    options = {"on_existing": "replace", "backup": backup}
    first = sites.release(entry, **options).result["images"]
    again = sites.plan(entry, **options)
    assert not again.changed, again.actions
    for images in first, again.result["images"]:
        reason = next(row["reason"] for row in images if row["tag"] == "latest")
        assert reason == "2.0.0-rc.1 is a pre-release, and it shows none (moving: forward)."
