# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: the disasters that others had with it, each as a test, rules that keep, guards, and the way back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    OCIError,
    Refused,
    RegistryError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan, Step
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.pruning import (
    ALL,
    add_beside,
    add_list,
    names,
    prune,
    prune_plan,
    rules,
    tag_of,
)
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

OLD = Quirks(tag_delete_400=True, tags_unpaginated=True, no_referrers_api=True)  # cannot delete a tag alone
OLDER = {"duration": "1d", "clock": ["created"]}
SBOM = "application/vnd.example.sbom"


def add(registry: FakeRegistry, tag: str | None, repo: str = REPO, **options: Any) -> str:
    """An image of its own."""
    options.setdefault("config", {"author": tag})
    return registry.add_image(repo, tag, layers=[LAYERS[0], tar_of({"own": f"{tag}{repo}" * 20})], **options)


def same(registry: FakeRegistry, tag: str, other: str) -> None:
    tags = registry.api.repos[REPO].tags
    tags[other] = tags[tag]


def members(registry: FakeRegistry, tag: str) -> list[str]:
    return [item["digest"] for item in registry.manifest(REPO, tag)["manifests"]]


def untouched(registry: FakeRegistry, state: Any) -> bool:
    return registry.state() == state and registry.count("DELETE|PUT|POST") == 0


# --- disasters


def test_images_that_claim_to_be_from_1970_are_not_old() -> None:
    """Reproducible builds, all of which were deleted as older than a month."""
    with FakeRegistry() as registry:
        for tag in ("1", "2", "3"):
            add(registry, tag, config={"created": "1970-01-01T00:00:00Z", "author": tag})
        state = registry.state()
        result = prune(registry, {**ALL, "age": OLDER})
        assert untouched(registry, state)
        assert not result["changed"]
        assert rules(result["kept"]) == {"1": "age", "2": "age", "3": "age"}
        assert "not known" in result["kept"][0]["reason"]
        assert rules(prune(registry, keep={"younger_than": OLDER})["kept"])["1"] == "younger_than"


def test_a_list_of_tags_that_is_null_deletes_nothing() -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        registry.fault("GET", "tags/list", status=200, body={"name": REPO, "tags": None}, times=9)
        result = prune(registry)
        assert (result["changed"], result["deleted"], result["kept"]) == (False, [], [])
        assert registry.tags(REPO)


@pytest.mark.parametrize(
    ("quirks", "fault"),
    [
        (Quirks(page_limit=2), {"status": 500, "skip": 1, "times": 99}),
        (Quirks(page_limit=2), {"status": 404, "skip": 1, "times": 99}),
        (Quirks(page_limit=2, link="other_host"), {}),
        (Quirks(listed_too=("../x",)), {}),
        (Quirks(), {"action": "truncate", "times": 99}),
        (Quirks(), {"status": 403, "times": 99}),
    ],
)
def test_a_list_of_tags_that_was_cut_off_deletes_nothing(quirks: Quirks, fault: dict[str, Any]) -> None:
    """What is not in the list may share the digests of what is in it."""
    with FakeRegistry(quirks) as registry:
        for tag in ("1", "2", "3", "4", "5"):
            add(registry, tag)
        if fault:
            registry.fault("GET", "tags/list", **fault)
        state = registry.state()
        with contextlib.suppress(OCIError):
            prune(registry, {"include": ["^1"]})
        assert untouched(registry, state)


@pytest.mark.parametrize("link", ["none", "loop"])
def test_pages_that_end_too_early_are_asked_on(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that gives less than was asked for, and no way on."""
    with FakeRegistry(Quirks(page_limit=2, link=link)) as registry:
        for tag in ("1", "2", "3", "4"):
            add(registry, tag)
        same(registry, "1", "5")
        result = prune(registry, {"include": ["^1$"]})
        assert names(result["kept"])[:4] == ["2", "3", "4", "5"]
        assert result["deleted"] == []


def test_two_tags_on_one_image() -> None:
    """Deleting the old tag's image deleted that of the new one."""
    with FakeRegistry() as registry:
        digest = add(registry, "old")
        same(registry, "old", "new")
        result = prune(registry, {"include": ["^old"]})
        assert registry.tags(REPO) == {"new": digest}
        assert digest in registry.manifests(REPO)
        assert (names(result["untagged"]), result["deleted"]) == (["old"], [])
        assert rules(result["kept"]) == {"new": "select", digest: "needed"}


@pytest.mark.parametrize("profile", ["distribution_2_8", "harbor"])
def test_two_tags_on_one_image_where_a_tag_cannot_go_alone(profile: str) -> None:
    with FakeRegistry(*PROFILES[profile]) as registry:
        add(registry, "old")
        same(registry, "old", "new")
        member = add(registry, "member")
        registry.add_index(REPO, "index", [member])
        state = registry.state()
        result = prune(registry, {"include": ["old", "member"]})
        assert untouched(registry, state)
        assert not result["changed"]
        shared = {
            row["reference"].rpartition(":")[2]: row["reason"] for row in result["kept"] if row["rule"] == "shared"
        }
        assert sorted(shared) == ["member", "old"]
        assert f"cannot remove a tag alone, and {registry.host}/{REPO}:new needs" in shared["old"]
        prune(registry, {"include": ["old", "new"]})
        assert set(registry.tags(REPO)) == {"index", "member"}


def test_a_registry_that_says_only_when_asked_that_a_tag_cannot_go_alone() -> None:
    with FakeRegistry(Quirks(tag_delete_405=True)) as registry:
        add(registry, "old")
        same(registry, "old", "new")
        digest = add(registry, "lone")
        result = prune(registry, {"include": ["old", "lone"]})
        assert set(registry.tags(REPO)) == {"old", "new"}
        assert (names(result["untagged"]), names(result["deleted"])) == (["lone"], [digest])
        assert rules(result["kept"])["old"] == "refused"
        assert result["diff"]["after"][f"{registry.host}/{REPO}:old"]
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, "cannot remove a tag alone"):
            prune(registry, {"include": ["old"]})


def test_what_was_refused_is_told_and_not_as_done(tmp_path: Path) -> None:
    with FakeRegistry(Quirks(tag_delete_405=True)) as registry:
        digest = add(registry, "1")
        add(registry, "3")
        same(registry, "3", "keep")
        undo = str(tmp_path / "undo")
        name = f"{registry.host}/{REPO}"
        result = prune(registry, {"include": ["1", "3"]}, undo_path=undo)
        save, *rest = result["actions"]
        assert save.startswith("Save 2 manifests")
        assert rest == [f"Remove the tag {name}:1.", f"Delete the manifest {name}@{digest}."]
        assert (names(result["untagged"]), rules(result["kept"])["3"]) == (["1"], "refused")
        (warning,) = result["warnings"]
        assert warning.startswith(f"{name}:3 was not deleted: {registry.host} cannot remove a tag alone")
        state = registry.state()
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, f"{name}:3 cannot be") as caught:
            prune(registry, {"include": ["1", "3"]})
        assert registry.state() == state
        told = caught.value.details
        assert (told["changed"], told["actions"], told["untagged"]) == (False, [], [])
        assert told["diff"]["after"] == told["diff"]["before"]


def test_what_was_refused_before_a_failure_is_not_told_as_done() -> None:
    with FakeRegistry(Quirks(tag_delete_405=True)) as registry:
        digest = add(registry, "1")
        add(registry, "3")
        same(registry, "3", "keep")
        registry.fault("DELETE", f"/{digest}", status=403, times=9)
        with pytest.raises(OCIError) as caught:
            prune(registry, {"include": ["1", "3"]})
        told = caught.value.details
        assert (told["changed"], told["actions"], told["untagged"]) == (False, [], [])


def test_signatures_are_not_old_images() -> None:
    """Tags of signatures were deleted as old, and nothing could be verified any more."""
    with FakeRegistry() as registry:
        digest = add(registry, "latest")
        for suffix in (".sig", ".att", ".sbom", ""):
            add_beside(registry, digest, suffix)
        state = registry.state()
        result = prune(registry, {**ALL, "age": OLDER})
        assert untouched(registry, state)
        assert {row["rule"] for row in result["kept"] if "sha256-" in row["reference"]} == {"subject"}


def test_signatures_go_with_what_they_sign() -> None:
    with FakeRegistry() as registry:
        digest, other = add(registry, "1"), add(registry, "2")
        signature = add_beside(registry, digest)
        add_beside(registry, signature, ".att")
        add_beside(registry, other)
        orphan = "sha256:" + "a" * 64
        add_beside(registry, orphan)
        result = prune(registry, {"include": ["^1"]})
        assert set(registry.tags(REPO)) == {"2", tag_of(other) + ".sig", tag_of(orphan) + ".sig"}
        assert digest not in registry.manifests(REPO) and signature not in registry.manifests(REPO)
        assert rules(result["untagged"])["1"] == "select"
        assert rules(result["untagged"])[tag_of(digest) + ".sig"] == "referrers"
        assert rules(result["kept"])[tag_of(orphan) + ".sig"] == "subject"


def test_members_of_indexes_are_no_images_without_a_tag() -> None:
    """Indexes were left without their images, which had no tag or an old one."""
    with FakeRegistry() as registry:
        add_platforms(registry, tag="2")
        first, *rest = members(registry, "2")
        registry.api.repos[REPO].tags["2-amd64"] = first
        result = prune(registry, {"include": ["amd64"]}, delete_untagged="freed")
        assert set(registry.tags(REPO)) == {"2"}
        assert {first, *rest} <= registry.manifests(REPO).keys()
        assert names(result["untagged"]) == ["2-amd64"]
        assert [row["rule"] for row in result["kept"] if row["digest"] == first] == ["needed"]
        assert f"{registry.host}/{REPO}:2 needs it" in str(result["kept"])


def test_members_that_two_indexes_share() -> None:
    with FakeRegistry() as registry:
        shared, one, two = (
            add(registry, None),
            add(registry, None, config={"os": "a"}),
            add(registry, None, config={"os": "b"}),
        )
        first = registry.add_index(REPO, "1", [shared, one])
        registry.add_index(REPO, "2", [shared, two])
        result = prune(registry, {"include": ["1"]}, delete_untagged="freed")
        assert names(result["deleted"]) == sorted([first, one])
        assert rules(result["deleted"]) == {first: "select", one: "freed"}
        assert {shared, two} <= registry.manifests(REPO).keys()


@pytest.mark.parametrize("untagged", ["none", "freed"])
def test_members_of_deleted_indexes(untagged: str) -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        result = prune(registry, delete_untagged=untagged)
        assert names(result["deleted"]) == sorted([index, *(inside if untagged == "freed" else [])])
        assert (result["bytes_freed"] > 0) == (untagged == "freed")


@pytest.mark.parametrize(
    "what", ["index", "member", "config", "image ID", "tag", "short", "shorter", "pinned", "latest"]
)
def test_what_clusters_run_is_kept(what: str) -> None:
    """Hosts report the digest of the index or that of the image which they run, and names of all lengths."""
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        same(registry, "1", "stable")
        member = members(registry, "1")[0]
        config = registry.manifest(REPO, member)["config"]["digest"]
        add(registry, "2")
        if what == "latest":
            same(registry, "1", "latest")
        reported = {
            "index": index,
            "member": f"docker-pullable://mirror.example/{REPO}@{member}",
            "config": config,
            "image ID": config.partition(":")[2][:12],
            "tag": f"registry.example:5000/{REPO}:1",
            "short": f"{REPO}:1",
            "shorter": "app:1",
            "pinned": f"{registry.host}/{REPO}:1@{index}",
            "latest": REPO,
        }[what]
        result = prune(registry, keep={"in_use": [reported]}, delete_untagged="freed", protect=[])
        kept = {"tag": {"1"}, "short": {"1"}, "shorter": {"1"}, "latest": {"latest"}}.get(what, {"1", "stable"})
        assert set(registry.tags(REPO)) == kept
        assert {index, *members(registry, min(kept))} <= registry.manifests(REPO).keys()
        assert {row["rule"] for row in result["kept"] if "@" not in row["reference"]} == {"in_use"}


@pytest.mark.parametrize("quirks", [Quirks(), OLD])
@pytest.mark.parametrize("name", ["", f"mirror.example/{REPO}@"])
def test_what_runs_has_lost_its_tag(quirks: Quirks, name: str) -> None:
    """A newer build took the tag of the index that runs; its members have tags of their own, and are needed."""
    with FakeRegistry(quirks) as registry:
        members = [add(registry, tag) for tag in ("build-1-amd64", "build-1-arm64")]
        index = registry.add_index(REPO, None, members)
        add(registry, "stable")
        prune(registry, {"include": ["^build"]}, {"in_use": [name + index]}, delete_untagged="freed")
        assert {index, *members} <= registry.manifests(REPO).keys()


def test_newest_that_keeps_nothing_is_said() -> None:
    with FakeRegistry() as registry:
        for tag in ("build-1", "build-2", "1.0"):
            add(registry, tag)
        result = prune(registry, {"include": ["^build"]}, {"newest": 3}, check=True)
        assert any("keep.newest keeps nothing" in warning for warning in result["warnings"])
        by_name = {"newest": 3, "sort_by": "alphabetical"}
        for select, keep in ((ALL, {"newest": 1}), ({"include": ["^build"]}, by_name), ({"include": ["^x"]}, by_name)):
            assert prune(registry, select, keep, check=True)["warnings"] == []


def test_saving_alone_is_no_change(tmp_path: Path) -> None:
    with FakeRegistry(Quirks(delete_405=True)) as registry:
        add(registry, "1")
        with pytest.raises(Unsupported) as caught:
            prune(registry, undo_path=str(tmp_path / "undo"))
        assert (caught.value.details["changed"], caught.value.details["untagged"]) == (False, [])


def test_other_names_are_not_in_use() -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        prune(registry, keep={"in_use": ["other/app:1", "my-app:1", f"{REPO}:2", "sha256:" + "0" * 64]})
        assert registry.tags(REPO) == {}


def test_nobody_said_what_runs() -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        assert "keep.in_use is an empty list" in prune(registry, keep={"in_use": []}, check=True)["warnings"][0]


def test_not_all_is_deleted_by_mistake() -> None:
    """A rule that was too wide wiped whole repositories."""
    with FakeRegistry() as registry:
        for tag in ("1", "2", "3", "4"):
            add(registry, tag)
            add(registry, tag, "team/other")
            add_beside(registry, registry.tags(REPO)[tag])
        state = registry.state()
        both = {"names": [f"{registry.host}/{REPO}", f"{registry.host}/team/other"]}
        for guards, select, says in (
            ({"min_keep": 1}, ALL, "4 of the 4 tags of"),
            ({"min_keep": 2}, {"include": ["[123]"]}, "1 would be left, and min_keep is 2"),
            ({"max_share": 50}, {"include": ["[123]"]}, "3 of the 4 tags of"),
            ({"max_deletions": 3, **both}, {"include": ["[12]"]}, "4 tags would be deleted, and max_deletions is 3"),
        ):
            with fails(Refused, "GUARD", registry.host, None, says):
                prune(registry, select, **guards)
            assert untouched(registry, state)
        prune(registry, {"include": ["[12]"]}, max_share=50, min_keep=2, max_deletions=4, **both)
        assert len(registry.tags(REPO)) == 4
        assert set(registry.tags("team/other")) == {"3", "4"}


def test_keep_wins() -> None:
    with FakeRegistry() as registry:
        for tag in ("1.0", "1.1", "1.2", "2.0", "2.1", "dev", "latest", "main"):
            add(registry, tag)
        keep = {"newest": 1, "per": r"^(\d+)\.", "include": ["^dev"], "semver": "1.0.x"}
        result = prune(registry, {"include": [r"^\d", "dev", "latest"]}, keep)
        assert rules(result["kept"]) == {
            "1.0": "semver",
            "1.2": "newest",
            "2.1": "newest",
            "dev": "include",
            "latest": "protect",
            "main": "select",
        }
        assert names(result["untagged"]) == ["1.1", "2.0"]
        assert all(row["reason"].endswith(".") and row["digest"] for row in [*result["kept"], *result["untagged"]])


def test_the_newest_by_the_alphabet() -> None:
    with FakeRegistry() as registry:
        for tag in ("build-2024", "build-2025", "build-2026"):
            add(registry, tag)
        prune(registry, keep={"newest": 1, "sort_by": "alphabetical"})
        assert set(registry.tags(REPO)) == {"build-2026"}


@pytest.mark.parametrize("wanted", [{"keep": "yes"}, {"keep": None}, {"other": "x", "keep": "yes"}, {"keep": "no"}])
@pytest.mark.parametrize("kind", ["labels", "annotations"])
def test_labels_and_annotations_of_any_member(kind: str, wanted: dict[str, Any]) -> None:
    with FakeRegistry() as registry:
        said: dict[str, Any] = {"config": {"config": {"Labels": {"keep": "yes"}}}}
        if kind == "annotations":
            said = {"annotations": {"keep": "yes"}}
        registry.add_index(REPO, "1", [add(registry, None), add(registry, None, platform="linux/arm64", **said)])
        add(registry, "2")
        result = prune(registry, keep={kind: wanted})
        assert set(registry.tags(REPO)) == (set() if wanted == {"keep": "no"} else {"1"})
        assert rules(result["kept"]) == ({} if wanted == {"keep": "no"} else {"1": kind})


def test_labels_that_cannot_be_read_keep() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1")
        del registry.api.repos[REPO].blobs[registry.manifest(REPO, digest)["config"]["digest"]]
        assert rules(prune(registry, keep={"labels": {"keep": "yes"}})["kept"]) == {"1": "labels"}


def test_signed_images_are_kept(tmp_path: Path) -> None:
    ours, theirs = Signer(tmp_path, "ours"), Signer(tmp_path, "theirs")
    trust = {"keys": [ours.public]}
    with FakeRegistry() as registry:
        for tag in ("1", "2", "3"):
            add(registry, tag)
        sign(registry, ours, ":1", formats=["bundle"])
        sign(registry, ours, ":3", formats=["simple"])
        sign(registry, theirs, ":2")
        result = prune(registry, keep={"signed_by": trust})
        assert {tag for tag in registry.tags(REPO) if len(tag) < 9} == {"1", "3"}
        assert rules(result["kept"])["1"] == rules(result["kept"])["3"] == "signed_by"


def test_what_a_trusted_member_is_in_is_kept(tmp_path: Path) -> None:
    """Podman signs and verifies members."""
    ours = Signer(tmp_path, "ours")
    with FakeRegistry() as registry:
        add_platforms(registry, tag="1")
        sign(registry, ours, f"@{members(registry, '1')[1]}", formats=["simple"])
        result = prune(registry, keep={"signed_by": {"keys": [ours.public]}})
        assert rules(result["kept"])["1"] == "signed_by"


@pytest.mark.parametrize("quirks", [Quirks(), OLD], ids=["api", "tags"])
def test_referrers_of_what_is_kept_are_kept(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        kept, gone = add(registry, "2"), add(registry, "1")
        trees = {}
        for digest in (kept, gone):
            sbom = registry.add_referrer(REPO, digest, SBOM, digest.encode())
            trees[digest] = {digest, sbom, registry.add_referrer(REPO, sbom, "x/signature", sbom.encode())}
            if quirks.no_referrers_api:
                add_list(registry, digest)
                add_list(registry, sbom)
        result = prune(registry, {"include": ["1"]})
        left = {digest for digest in registry.manifests(REPO) if digest in trees[kept] | trees[gone]}
        assert left == trees[kept]
        assert trees[gone] <= {row["digest"] for row in result["deleted"]}
        assert not [tag for tag in registry.tags(REPO) if tag.startswith(tag_of(gone))]


def test_referrers_may_stay() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1")
        sbom = registry.add_referrer(REPO, digest, SBOM, b"sbom")
        signature = add_beside(registry, digest)
        prune(registry, delete_referrers=False)
        assert set(registry.manifests(REPO)) == {sbom, signature}


def test_images_with_referrers_of_a_type_are_kept() -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        add_platforms(registry, tag="2")
        registry.add_referrer(REPO, members(registry, "2")[0], SBOM, b"sbom")
        add_beside(registry, add(registry, "3"))
        keep = {"referrers": [SBOM, "application/vnd.dev.cosign.simplesigning.v1+json"]}
        assert rules(prune(registry, keep=keep)["kept"])["2"] == "referrers"
        assert {tag for tag in registry.tags(REPO) if len(tag) < 9} == {"2", "3"}


def test_what_a_kept_tag_refers_to_is_kept() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1")
        sbom = registry.add_referrer(REPO, digest, SBOM, b"sbom")
        registry.api.repos[REPO].tags["sbom-1"] = sbom
        result = prune(registry, {"include": ["^1"]})
        assert registry.tags(REPO) == {"sbom-1": sbom}
        assert rules(result["kept"])[digest] == "needed"


def test_a_tag_that_looks_like_a_list_of_referrers() -> None:
    """Some name images by their digest."""
    with FakeRegistry() as registry:
        digest = add(registry, "1")
        other = add(registry, tag_of(digest))
        prune(registry, {"include": ["^1"]})
        assert registry.tags(REPO) == {tag_of(digest): other}


def test_what_cannot_be_understood_is_kept_with_all_that_it_mentions() -> None:
    with FakeRegistry() as registry:
        member = add(registry, "member")
        odd = {"schemaVersion": 2, "mediaType": "application/vnd.example.unknown", "x": [{"digest": member}]}
        registry.add_manifest(REPO, odd, "application/vnd.example.unknown", "odd")
        result = prune(registry)
        assert rules(result["kept"])["odd"] == "unreadable"
        assert set(registry.tags(REPO)) == {"odd"}
        assert member in registry.manifests(REPO)


def test_indexes_that_lack_members_are_told() -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry)
        lost = members(registry, "1")[1]
        del registry.api.repos[REPO].manifests[lost]
        registry.api.repos[REPO].tags["dangling"] = "sha256:" + "0" * 64
        result = prune(registry, {"include": ["x"]})
        name = f"{registry.host}/{REPO}"
        assert result["broken"] == [
            {"reference": f"{name}@{index}", "digest": index, "tags": [f"{name}:1"], "missing": [lost]}
        ]
        assert rules(result["kept"]) == {"1": "select", "dangling": "broken"}


def test_freed_bytes_are_those_that_nothing_uses() -> None:
    """A layer that another repository of the task has is not freed."""
    with FakeRegistry() as registry:
        own = [tar_of({name: name * 900}) for name in "abc"]
        first = registry.add_image(REPO, "1", layers=[LAYERS[0], own[0], own[1]])
        registry.add_image(REPO, "2", layers=[LAYERS[0]], config={"x": "y"})
        registry.add_image("team/other", "2", layers=[own[1]])
        manifest = registry.manifest(REPO, first)
        both = [f"{registry.host}/{REPO}", f"{registry.host}/team/other"]
        freed = manifest["config"]["size"] + manifest["layers"][1]["size"]
        assert prune(registry, {"include": ["1"]}, names=both, check=True)["bytes_freed"] == freed
        freed += manifest["layers"][2]["size"]
        assert prune(registry, {"include": ["1"]})["bytes_freed"] == freed


# --- ages


def test_the_ledger_tells_when_an_image_was_first_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = str(tmp_path / "seen.json")
    now = time.time()
    options = {"select": {**ALL, "age": {"duration": "7d"}}, "state_path": ledger}
    with FakeRegistry() as registry:
        add(registry, "1")
        assert "not known" in prune(registry, options["select"])["kept"][0]["reason"]
        prune(registry, check=True, **options)
        assert not Path(ledger).exists()
        assert rules(prune(registry, **options)["kept"]) == {"1": "age"}
        add(registry, "2")
        monkeypatch.setattr(time, "time", lambda: now + 8 * 86400)
        assert names(prune(registry, **options)["untagged"]) == ["1"]
        assert set(registry.tags(REPO)) == {"2"}


def test_an_index_is_as_old_as_its_youngest_member() -> None:
    with FakeRegistry() as registry:
        fresh = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for tag, created in (("1", fresh), ("2", "2024-01-01T00:00:00Z")):
            inside = [add(registry, None), add(registry, None, platform="linux/arm64", config={"created": created})]
            registry.add_index(REPO, tag, inside)
        assert rules(prune(registry, keep={"younger_than": OLDER})["kept"]) == {"1": "younger_than"}


# --- manifests without a tag


def test_untagged_manifests_that_the_registry_lists() -> None:
    with FakeRegistry(*PROFILES["gar"]) as registry:
        add_platforms(registry, tag="1")
        kept = add(registry, "2")
        sbom = registry.add_referrer(REPO, kept, SBOM, b"sbom")
        lone, used = add(registry, None, config={"x": "lone"}), add(registry, None, config={"x": "used"})
        stay = add(registry, None, annotations={"keep": "me"})
        keep = {"in_use": [used], "annotations": {"keep": "me"}}
        result = prune(registry, {"include": ["^9"]}, keep, delete_untagged="all")
        assert rules(result["deleted"]) == {lone: "untagged"}
        assert rules(result["kept"]) == {"1": "select", "2": "select", used: "in_use", stay: "annotations"}
        assert {kept, sbom, used, stay, *members(registry, "1")} <= registry.manifests(REPO).keys()
        assert not prune(registry, {"include": ["^9"]}, keep, delete_untagged="all")["changed"]


def test_no_tags_in_the_list_are_no_manifests_without_a_tag() -> None:
    """Else a list of tags that is null by mistake would be a wish to delete all."""
    with FakeRegistry(*PROFILES["gar"]) as registry:
        digest = add(registry, "1")
        state = registry.state()
        whole = {"name": REPO, "tags": ["1"], "manifest": {digest: {"tag": ["1"]}}}
        registry.fault("GET", "tags/list$", status=200, body=whole)
        registry.fault("GET", "tags/list", status=200, body={**whole, "tags": None}, times=9)
        with fails(ContentError, "LIST_INCOMPLETE", registry.host, None, "lacks 1, which its list of manifests has"):
            prune(registry, delete_untagged="all")
        assert untouched(registry, state)


def test_a_tag_that_is_locked_is_left() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1")
        add(registry, "2")
        registry.fault(
            "DELETE", "/1$", status=409, body={"errors": [{"code": "LOCKED", "message": "the tag is locked"}]}, times=9
        )
        result = prune(registry)
        assert registry.tags(REPO) == {"1": digest}
        assert rules(result["kept"]) == {"1": "refused", digest: "refused"}
        assert "the tag is locked" in result["kept"][0]["reason"]


def test_untagged_manifests_that_nobody_lists() -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        state = registry.state()
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, "does not list manifests"):
            prune(registry, delete_untagged="all")
        assert untouched(registry, state)


# --- deleting


def test_order_of_deletions() -> None:
    """Tags, then indexes, then their members, then what refers to all that."""
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        sbom = registry.add_referrer(REPO, inside[0], SBOM, b"sbom")
        signature = add_beside(registry, index)
        registry.reset_log()
        prune(registry, delete_untagged="freed")
        sent = [request.path.rpartition("/")[2] for request in registry.requests if request.method == "DELETE"]
        assert sent[:2] == ["1", index]
        assert set(sent[2:5]) == set(inside)
        assert set(sent[5:]) == {sbom, signature, tag_of(index) + ".sig"}
        assert registry.manifests(REPO) == {}


@pytest.mark.parametrize("profile", ["docker_hub", "ghcr"])
def test_a_registry_that_deletes_nothing(profile: str) -> None:
    with FakeRegistry(*PROFILES[profile]) as registry:
        add(registry, "1")
        add(registry, "2")
        tags = registry.tags(REPO)
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, 405, "does not allow deletes") as caught:
            prune(registry, {"include": ["1"]})
        assert registry.tags(REPO) == tags
        assert (caught.value.details["deleted"], caught.value.details["untagged"]) == ([], [])


@pytest.mark.parametrize("quirks", [Quirks(), OLD], ids=["alone", "with manifests"])
def test_a_tag_that_was_moved_meanwhile_is_left(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        old, gone = add(registry, "1"), add(registry, "2")
        new = add(registry, None, config={"x": "new"})
        session = make_session(login(registry))
        planned = prune_plan(registry, session=session)
        registry.api.repos[REPO].tags["1"] = new
        done = planned.apply(session.map)
        assert registry.tags(REPO) == {"1": new}
        assert {old, new} <= registry.manifests(REPO).keys() and gone not in registry.manifests(REPO)
        assert (names(done.result["untagged"]), names(done.result["deleted"])) == (["2"], [gone])
        assert rules(done.result["kept"]) == {"1": "moved", old: "moved"}
        assert done.result["bytes_freed"] < planned.result["bytes_freed"]
        assert done.after[f"{registry.host}/{REPO}:1"] == old
        assert done.after[f"{registry.host}/{REPO}:2"] is None


def test_an_index_that_is_left_keeps_its_members() -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        session = make_session(login(registry))
        planned = prune_plan(registry, session=session, delete_untagged="freed")
        registry.api.repos[REPO].tags["1"] = add(registry, None)
        apply(session, planned)
        assert {index, *inside} <= registry.manifests(REPO).keys()


def planned_digests(planned: Plan) -> list[str]:
    return [row["digest"] for row in planned.result["deleted"]]


def test_a_tag_that_is_there_again_keeps_its_image() -> None:
    """Somebody pushes the same image again, between the removal of the tag and that of the manifest."""
    with FakeRegistry() as registry:
        digest, other = add(registry, "1"), add(registry, "2")
        session = make_session(login(registry))
        planned = prune_plan(registry, session=session)
        first, second, *rest = planned.steps

        def again() -> None:
            registry.api.repos[REPO].tags["1"] = digest

        steps = (first, second, Step("Push it again.", again), *rest)
        done = replace(planned, steps=steps).apply(session.map)
        assert registry.tags(REPO) == {"1": digest}
        assert set(registry.manifests(REPO)) == {digest} and names(done.result["deleted"]) == [other]
        assert rules(done.result["kept"])["1"] == "moved"


@pytest.mark.parametrize("quirks", [Quirks(), OLD], ids=["alone", "with manifests"])
@pytest.mark.parametrize("how", ["new tag", "kept tag", "new index", "moved to an index"])
def test_what_came_to_be_needed_meanwhile_is_left(how: str, quirks: Quirks) -> None:
    """Somebody goes back to an old version while the old versions are deleted."""
    with FakeRegistry(quirks) as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        signature = add_beside(registry, inside[0])
        lone = add(registry, "2")
        add(registry, "latest")
        session = make_session(login(registry))
        planned = prune_plan(registry, session=session, delete_untagged="freed")
        tags = registry.api.repos[REPO].tags
        before = registry.tags(REPO)
        if how in ("new tag", "kept tag"):
            tags["stable" if how == "new tag" else "latest"] = index
        else:
            registry.add_index(REPO, "new" if how == "new index" else "1", [inside[0], lone])
        done = planned.apply(session.map)
        left = registry.manifests(REPO).keys()
        assert {inside[0], signature} <= left
        assert names(done.result["deleted"]) == sorted(
            digest for digest in planned_digests(planned) if digest not in left
        )
        assert names(done.result["untagged"]) == sorted(tag for tag in before if tag not in tags)
        assert (lone in left) == ("index" in how)
        if how == "new tag" and not quirks.tag_delete_400:
            assert {index, *inside} <= left
            assert registry.tags(REPO)["stable"] == index


def test_a_registry_that_deletes_the_image_with_its_last_tag() -> None:
    """As ECR does, also where an index has it as a member."""
    with FakeRegistry(Quirks(last_tag_delete_removes_manifest=True)) as registry:
        member = add(registry, "member")
        registry.add_index(REPO, "1", [member])
        prune(registry, {"include": ["member"]})
        assert set(registry.tags(REPO)) == {"1"}
        assert member in registry.manifests(REPO)


def test_a_registry_that_deletes_all_tags_of_an_image_with_one() -> None:
    with FakeRegistry(Quirks(tag_delete_removes_manifest=True)) as registry:
        digest = add(registry, "1")
        same(registry, "1", "2")
        prune(registry, {"include": ["1"]})
        assert registry.tags(REPO) == {"2": digest}


def test_an_index_without_a_tag_that_only_the_registry_knows() -> None:
    with FakeRegistry(*PROFILES["gar"]) as registry:
        member, other = add(registry, "1"), add(registry, "2")
        registry.add_index(REPO, None, [member])
        result = prune(registry)
        assert names(result["deleted"]) == [other]
        assert rules(result["kept"]) == {member: "refused"}
        assert "still referenced" in result["kept"][0]["reason"]


def test_a_failure_on_the_way_tells_what_is_gone(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        first, second = sorted((add(registry, "1"), add(registry, "2")))
        registry.fault("DELETE", f"/{second}", status=403, times=9)
        with pytest.raises(OCIError) as caught:
            prune(registry, undo_path=str(tmp_path / "undo"))
        told = caught.value.details
        assert (names(told["untagged"]), told["changed"]) == (["1", "2"], True)
        assert set(names(told["deleted"])) == {first, second} - registry.manifests(REPO).keys()
        assert told["undo_path"]
        prune(registry, undo_path=told["undo_path"], state="restored")
        assert set(registry.tags(REPO)) == {"1", "2"}


def test_several_hundred_tags() -> None:
    with FakeRegistry() as registry:
        for number in range(300):
            add(registry, f"1.{number}")
        result = prune(registry, keep={"newest": 250})
        assert len(result["untagged"]) == len(result["deleted"]) == 50
        assert set(registry.tags(REPO)) == {f"1.{number}" for number in range(50, 300)}
        registry.reset_log()
        assert not prune(registry, keep={"newest": 250})["changed"]
        assert registry.count() == 252  # the list, once more behind its last name, and each image


@pytest.mark.parametrize(
    ("select", "options", "says"),
    [
        ({}, {}, "select is empty"),
        ({"include": [], "sort_by": "version", "age": None}, {}, "select is empty"),
        ({"include": ["("]}, {}, "select: '(' is not a regular expression"),
        (ALL, {"keep": {"per": "^(.)"}}, "give keep.newest too"),
        ({"include": [".*"], "newest": 0}, {}, "select: newest must be at least 1"),
        (ALL, {"keep": {"newest": 0}}, "keep: newest must be at least 1"),
        (ALL, {"keep": {"include": ["("]}}, "keep: '('"),
        (ALL, {"keep": {"in_use": ["A B"]}}, "keep.in_use: 'A B'"),
        (ALL, {"keep": {"in_use": [""]}}, "keep.in_use: ''"),
        (ALL, {"keep": {"labels": {"a": True}}}, "keep.labels"),
        (ALL, {"keep": {"signed_by": {"keys": []}}}, "keys must be a list"),
        (ALL, {"keep": {"younger_than": {"duration": "soon"}}}, "keep.younger_than"),
        (ALL, {"min_keep": -1}, "min_keep must be at least 0"),
        (ALL, {"max_share": 101}, "max_share must be 0 to 100"),
        (ALL, {"name": "localhost/app:1"}, "a repository is wanted"),
        (ALL, {"undo_path": "/nonexistent/x/y"}, "does not exist"),
    ],
)
def test_what_cannot_be_meant(select: Any, options: dict[str, Any], says: str) -> None:
    with FakeRegistry() as registry, pytest.raises(InvalidInput, match="(?s)" + says.replace("(", r"\(")):
        prune(registry, select, **options)
    assert registry.requests == []


def test_no_repositories_are_nothing_to_do() -> None:
    with FakeRegistry() as registry:
        result = prune(registry, names=[])
        assert (result["changed"], registry.requests) == (False, [])


# --- the way back


def test_undo_brings_everything_back(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        same(registry, "1", "1.0")
        add_beside(registry, index)
        registry.add_referrer(REPO, members(registry, "1")[0], SBOM, b"sbom")
        add(registry, "1", "team/other")
        state = registry.state()
        both = {
            "names": [f"{registry.host}/{REPO}", f"{registry.host}/team/other"],
            "undo_path": str(tmp_path / "undo"),
        }
        pruned = prune(registry, delete_untagged="freed", **both)
        assert registry.tags(REPO) == registry.manifests(REPO) == registry.tags("team/other") == {}
        assert pruned["undo_path"] == both["undo_path"]
        planned = prune(registry, state="restored", check=True, **both)
        restored = prune(registry, state="restored", **both)
        assert registry.state() == state
        assert {**restored, "transfer": None} == {**planned, "transfer": None}
        assert restored["diff"]["before"] == pruned["diff"]["after"]
        assert restored["diff"]["after"] == pruned["diff"]["before"]
        registry.reset_log()
        assert not prune(registry, state="restored", **both)["changed"]
        assert untouched(registry, state)


def test_signatures_are_back_before_what_they_sign(tmp_path: Path) -> None:
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        add_beside(registry, index)
        prune(registry, delete_untagged="freed", undo_path=undo)
        registry.reset_log()
        prune(registry, state="restored", undo_path=undo)
        sent = [request.path.rpartition("/")[2] for request in registry.requests if request.method == "PUT"]
        assert sent[-2:] == [tag_of(index) + ".sig", "1"]
        assert max(map(sent.index, inside)) < sent.index(index)


def test_a_tag_that_is_another_image_by_now_is_left(tmp_path: Path) -> None:
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        old = add(registry, "1")
        prune(registry, undo_path=undo)
        new = add(registry, "1", config={"x": "new"})
        result = prune(registry, state="restored", undo_path=undo)
        assert registry.tags(REPO) == {"1": new}
        assert {old, new} == set(registry.manifests(REPO))
        assert rules(result["kept"]) == {"1": "moved"}
        assert result["actions"][-1].startswith(f"Keep {registry.host}/{REPO}:1, which is {new} by now")
        assert not prune(registry, state="restored", undo_path=undo)["changed"]


def test_a_tag_that_somebody_else_sets_while_it_is_put_back_is_left(tmp_path: Path) -> None:
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        add(registry, "1")
        prune(registry, undo_path=undo)
        session = make_session(login(registry))
        planned = prune_plan(registry, state="restored", undo_path=undo, session=session)
        new = add(registry, "1", config={"x": "new"})
        done = planned.apply(session.map)
        assert registry.tags(REPO) == {"1": new}
        assert rules(done.result["kept"]) == {"1": "moved"}
        assert done.result["failures"] == [] and planned.judge and planned.judge(done.result) is None
        assert done.after[f"{registry.host}/{REPO}:1"] == new


def test_what_the_registry_has_collected_cannot_come_back(tmp_path: Path) -> None:
    """The rest is restored, and the task fails with all results."""
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        inside = members(registry, "1")
        lost = registry.manifest(REPO, inside[1])["layers"][1]["digest"]
        other = add(registry, "2")
        prune(registry, delete_untagged="freed", undo_path=undo)
        del registry.api.repos[REPO].blobs[lost]
        for check in (True, False, False):
            with fails(
                RegistryError, "PARTIAL", says=f"cannot be restored: The registry has collected its blob {lost}"
            ) as caught:
                prune(registry, state="restored", undo_path=undo, check=check)
            assert names(caught.value.details["failures"]) == sorted(["1", index, inside[1]])
        assert caught.value.details["changed"] is False
        assert registry.tags(REPO) == {"2": other}
        assert {inside[0], other} <= registry.manifests(REPO).keys()


def test_a_manifest_that_the_registry_refuses_is_told(tmp_path: Path) -> None:
    """Such as an index that had lost a member before, which most registries take from nobody."""
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        index = add_platforms(registry, tag="1")
        del registry.api.repos[REPO].manifests[members(registry, "1")[0]]
        digest = add(registry, "2")
        prune(registry, undo_path=undo)
        with fails(RegistryError, "PARTIAL", says="blob unknown") as caught:
            prune(registry, state="restored", undo_path=undo)
        assert names(caught.value.details["failures"]) == sorted(["1", index])
        assert names(caught.value.details["restored"]) == sorted(["2", digest])
        assert registry.tags(REPO) == {"2": digest}


def test_what_was_saved_before_stays(tmp_path: Path) -> None:
    undo = tmp_path / "undo"
    with FakeRegistry() as registry:
        add(registry, "1")
        add(registry, "2")
        state = registry.state()
        prune(registry, {"include": ["1"]}, undo_path=str(undo))
        saved = (undo / "index.json").read_bytes()
        assert prune(registry, {"include": ["1"]}, undo_path=str(undo))["undo_path"] is None
        assert (undo / "index.json").read_bytes() == saved
        prune(registry, undo_path=str(undo))
        prune(registry, state="restored", undo_path=str(undo))
        assert registry.state() == state
        newer = add(registry, "1", config={"x": "newer"})
        prune(registry, undo_path=str(undo))
        prune(registry, state="restored", undo_path=str(undo))
        assert registry.tags(REPO)["1"] == newer


def test_nothing_is_deleted_that_could_not_be_saved(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        add(registry, "1")
        (tmp_path / "undo" / "blobs").mkdir(parents=True)
        (tmp_path / "undo" / "blobs" / "sha256").write_text("in the way")
        state = registry.state()
        with pytest.raises(OSError):
            prune(registry, undo_path=str(tmp_path / "undo"))
        assert untouched(registry, state)


def damage(path: Path) -> None:
    blob = next(path.glob("blobs/sha256/*"))
    blob.write_bytes(blob.read_bytes() + b" ")


def rename(path: Path) -> None:
    index = json.loads((path / "index.json").read_text())
    index["manifests"][0]["annotations"]["quayside.registry.repository"] = "../../etc"
    (path / "index.json").write_text(json.dumps(index))


def forget(path: Path) -> None:
    index = json.loads((path / "index.json").read_text())
    del index["manifests"][0]["annotations"]
    (path / "index.json").write_text(json.dumps(index))


def empty(path: Path) -> None:
    for file in path.rglob("*"):
        if file.is_file():
            file.unlink()


@pytest.mark.parametrize(
    ("spoil", "kind"), [(damage, ContentError), (rename, InvalidInput), (forget, InvalidInput), (empty, InvalidInput)]
)
def test_saved_files_are_believed_only_if_they_are_whole(
    spoil: Callable[[Path], None], kind: type[OCIError], tmp_path: Path
) -> None:
    undo = tmp_path / "undo"
    with FakeRegistry() as registry:
        add(registry, "1")
        prune(registry, undo_path=str(undo))
        spoil(undo)
        state = registry.state()
        registry.reset_log()
        with pytest.raises(kind):
            prune(registry, state="restored", undo_path=str(undo))
        assert untouched(registry, state)


def test_a_folder_with_other_things_is_no_place_to_save(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with FakeRegistry() as registry, fails(InvalidInput, "FILE_ERROR", says="give another undo_path"):
        prune(registry, undo_path=str(tmp_path))


def test_a_repository_of_which_nothing_was_saved(tmp_path: Path) -> None:
    undo = str(tmp_path / "undo")
    with FakeRegistry() as registry:
        add(registry, "1")
        prune(registry, undo_path=undo)
        result = prune(registry, state="restored", undo_path=undo, names=[f"{registry.host}/team/other"])
        assert not result["changed"]
        assert "holds nothing that was saved of" in result["warnings"][0]
