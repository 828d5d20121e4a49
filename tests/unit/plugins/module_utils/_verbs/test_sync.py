# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors: what rules choose, what is brought over, what fails, and that nothing is deleted by mistake."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils import _runner
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, NotFound, OCIError, Refused
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import digest_tag
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.sync import plan_sync
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    complete,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

COPY = "mirror/app"
RULE = {
    "tags": None,
    "repositories": None,
    "rename_tags": None,
    "platforms": [],
    "referrers": False,
    "on_existing": "replace",
    "verify": None,
    "age": None,
    "delete_extra": False,
}
OPTIONS = {
    "compare": "digests",
    "max_deletions": 10,
    "max_share": 20,
    "delete_protect": None,
    "keep_going": True,
    "requests_per_second": None,
    "state_path": None,
    "lock_path": None,
    "locked": False,
    "shard": None,
}


class Mirror:
    """A source and a destination, and a task between them."""

    def __init__(self, source: FakeRegistry, dest: FakeRegistry) -> None:
        self.source, self.dest = source, dest
        self.warnings: list[str] = []

    def rule(self, src: str = REPO, dest: str = COPY, **options: Any) -> dict[str, Any]:
        return {**RULE, "src": f"{self.source.host}/{src}", "dest": f"{self.dest.host}/{dest}", **options}

    def session(self, **options: Any) -> Session:
        return make_session(login(self.source), login(self.dest), **options)

    def run(
        self, *rules: Mapping[str, Any], check: bool = False, session: Session | None = None, **options: Any
    ) -> Any:
        """The results as a playbook sees them, those of a task that fails too."""
        known = session or self.session()
        mine = {**OPTIONS, "sources": list(rules or [self.rule()]), **options}
        try:
            return _finish(known, mine, check)
        except OCIError as exc:
            if not exc.details:
                raise
            return {"failed": True, **exc.fields()}
        finally:
            self.warnings = known.transport.warnings

    def exact(self, *rules: Mapping[str, Any], **options: Any) -> Any:
        """Run in check mode, run, and run again: the first foretells the second, and the third does nothing."""
        state = self.dest.state()
        foreseen = self.run(*rules, check=True, **options)
        assert self.dest.state() == state
        found = self.run(*rules, **options)
        for result in (foreseen, found):
            result["transfer"] = {**result["transfer"], "requests": 0}
        assert foreseen == found
        state = self.dest.state()
        self.source.reset_log()
        self.dest.reset_log()
        again = self.run(*rules, **options)
        assert not again["changed"], again["actions"]
        assert self.dest.state() == state
        assert {request.method for request in self.source.requests + self.dest.requests} <= {"GET", "HEAD"}
        return found


def _finish(session: Session, options: Mapping[str, Any], check: bool) -> Any:
    from ansible_collections.quayside.registry.plugins.modules.oci_sync import DECLARATION

    return _runner.run(DECLARATION, session, options, check=check, diff=True)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        yield Mirror(source, dest)


def add(registry: FakeRegistry, *tags: str, repo: str = REPO) -> dict[str, str]:
    """An image of its own for each tag, with a layer that all share."""
    return {tag: registry.add_image(repo, tag, layers=[LAYERS[0], tar_of({"tag": f"{repo} {tag}"})]) for tag in tags}


def names(rows: list[Mapping[str, Any]]) -> list[str]:
    """The tags of rows."""
    return [row["reference"].rpartition(":")[2] for row in rows]


# --- what is brought over


def test_a_repository(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1", "latest")
    found = mirror.exact()
    assert mirror.dest.tags(COPY) == digests
    assert all(complete(mirror.dest, COPY, tag) for tag in digests)
    assert found["copied"] == [
        {"reference": f"{mirror.dest.host}/{COPY}:{tag}", "digest": digest, "reason": "it was not there"}
        for tag, digest in digests.items()
    ]
    assert found["transfer"]["blobs_pushed"] == 7


def test_what_is_up_to_date_costs_one_look_on_each_side(mirror: Mirror) -> None:
    add(mirror.source, "1.0", "1.1")
    mirror.run()
    mirror.source.reset_log()
    mirror.dest.reset_log()
    again = mirror.run()
    assert [image["status"] for image in again["images"]] == ["current", "current"]
    assert sorted(request.method for request in mirror.source.requests) == ["GET", "HEAD", "HEAD"]
    assert [request.method for request in mirror.dest.requests] == ["HEAD", "HEAD"]


def test_a_tag_that_moved(mirror: Mirror) -> None:
    old = add(mirror.source, "1.0")["1.0"]
    mirror.run()
    new = mirror.source.add_image(REPO, "1.0", layers=LAYERS)
    found = mirror.exact()
    assert found["updated"] == [
        {"reference": f"{mirror.dest.host}/{COPY}:1.0", "digest": new, "reason": f"it was {old}"}
    ]
    assert found["diff"]["before"] == {f"{mirror.dest.host}/{COPY}:1.0": old}
    assert found["diff"]["after"] == {f"{mirror.dest.host}/{COPY}:1.0": new}


def test_an_index_is_whole(mirror: Mirror) -> None:
    digest = add_platforms(mirror.source)
    mirror.exact()
    assert mirror.dest.tags(COPY) == {"1": digest}
    assert complete(mirror.dest, COPY, "1")


@pytest.mark.parametrize(
    ("src", "dest", "made"),
    [
        (f"{REPO}:1.0", COPY, "1.0"),
        (f"{REPO}:1.0", f"{COPY}:stable", "stable"),
    ],
)
def test_one_image(mirror: Mirror, src: str, dest: str, made: str) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    mirror.exact(mirror.rule(src, dest))
    assert mirror.dest.tags(COPY) == {made: digests["1.0"]}


def test_one_image_by_digest(mirror: Mirror) -> None:
    digest = add(mirror.source, "1.0")["1.0"]
    found = mirror.exact(mirror.rule(f"{REPO}@{digest}", COPY))
    assert digest in mirror.dest.manifests(COPY)
    assert found["copied"][0]["reference"] == f"{mirror.dest.host}/{COPY}@{digest}"
    mirror.exact(mirror.rule(f"{REPO}@{digest}", f"{COPY}:named"))
    assert mirror.dest.tags(COPY) == {"named": digest}


@pytest.mark.parametrize(("src", "dest"), [("team/*", "mirror/team/*"), ("*", "*"), ("*", "all/*")])
def test_every_repository_below_a_prefix(mirror: Mirror, src: str, dest: str) -> None:
    for repo in ("team/app", "team/web/front"):
        add(mirror.source, "1.0", repo=repo)
    add(mirror.source, "1.0", repo="other")
    found = mirror.exact(mirror.rule(src, dest))
    inside = [name for name in ("other", "team/app", "team/web/front") if src == "*" or name.startswith("team/")]
    expected = {dest[:-1] + name.removeprefix(src[:-1]) for name in inside}
    assert set(mirror.dest.api.repos) == expected
    assert len(found["copied"]) == len(expected)


def test_repositories_are_chosen_by_what_follows_the_prefix(mirror: Mirror) -> None:
    for repo in ("team/app", "team/app-debug", "team/scratch", "app"):
        add(mirror.source, "1.0", repo=repo)
    chosen = {"include": ["^app"], "exclude": ["debug$"]}
    mirror.exact(mirror.rule("team/*", "m/*", repositories=chosen))
    assert set(mirror.dest.api.repos) == {"m/app"}


def test_a_prefix_does_not_swallow_its_own_mirror() -> None:
    with FakeRegistry() as registry:
        add(registry, "1.0")
        both = Mirror(registry, registry)
        both.exact(both.rule("*", "mirror/*"))
        assert set(registry.api.repos) == {REPO, f"mirror/{REPO}"}


def test_a_registry_without_a_catalog(mirror: Mirror) -> None:
    mirror.source.quirks = Quirks(catalog_status=404)
    add(mirror.source, "1.0")
    found = mirror.run(mirror.rule("team/*", "m/*"), mirror.rule())
    assert found["error_code"] == "PARTIAL"
    assert "does not show its catalog" in found["failures"][0]["reason"]
    assert names(found["copied"]) == ["1.0"]


def test_tag_rules(mirror: Mirror) -> None:
    add(mirror.source, "1.0.0", "1.0.1", "1.1.0", "2.0.0", "edge")
    mirror.source.api.repos[REPO].tags[f"{digest_tag('sha256:' + '0' * 64)}.sig"] = mirror.source.tags(REPO)["edge"]
    rules = {"semver": "<2", "newest": 1, "per": r"^(\d+\.\d+)"}
    mirror.exact(mirror.rule(tags=rules))
    assert set(mirror.dest.tags(COPY)) == {"1.0.1", "1.1.0"}
    mirror.exact()
    assert set(mirror.dest.tags(COPY)) == {"1.0.0", "1.0.1", "1.1.0", "2.0.0", "edge"}


def test_rules_that_choose_nothing_are_told(mirror: Mirror) -> None:
    add(mirror.source, "1.0")
    found = mirror.exact(mirror.rule(tags={"include": ["^9"]}))
    assert found["images"] == []
    assert mirror.warnings == [f"The rules choose none of the 1 tags of {mirror.source.host}/{REPO}."]


def test_a_repository_without_tags_fails(mirror: Mirror) -> None:
    add(mirror.source, "1.0")
    found = mirror.run(mirror.rule("no/such"), mirror.rule())
    assert (found["error_code"], len(found["failures"])) == ("PARTIAL", 1)
    assert found["failures"][0]["reference"] == f"{mirror.source.host}/no/such"
    assert mirror.dest.tags(COPY)


def test_renamed_tags(mirror: Mirror) -> None:
    digests = add(mirror.source, "v1.0", "v1.1", "latest")
    renames = [{"match": r"^v(\d.*)$", "to": r"\1"}, {"match": "^", "to": "up-"}]
    found = mirror.exact(mirror.rule(rename_tags=renames))
    assert mirror.dest.tags(COPY) == {"1.0": digests["v1.0"], "1.1": digests["v1.1"], "up-latest": digests["latest"]}
    assert {image["src"].rpartition(":")[2] for image in found["images"]} == {"v1.0", "v1.1", "latest"}


def test_a_name_that_is_none_fails_alone(mirror: Mirror) -> None:
    add(mirror.source, "a", "b")
    found = mirror.run(mirror.rule(rename_tags=[{"match": "^a$", "to": "-"}]))
    assert found["error_code"] == "PARTIAL"
    assert found["failures"][0]["reference"] == f"{mirror.source.host}/{REPO}:a"
    assert set(mirror.dest.tags(COPY)) == {"b"}


def test_two_images_for_one_tag(mirror: Mirror) -> None:
    add(mirror.source, "1.0-a", "1.0-b", "2.0-a")
    found = mirror.run(mirror.rule(rename_tags=[{"match": "-.$", "to": ""}]))
    assert (found["failed"], found["error_code"]) == (True, "CONFLICT")
    assert names(found["failures"]) == ["1.0", "1.0"]
    assert set(mirror.dest.tags(COPY)) == {"2.0"}


def test_two_names_of_one_image_for_one_tag(mirror: Mirror) -> None:
    digest = add(mirror.source, "1.0-a")["1.0-a"]
    mirror.source.api.repos[REPO].tags["1.0-b"] = digest
    found = mirror.exact(
        mirror.rule(rename_tags=[{"match": "-.$", "to": ""}]), mirror.rule(f"{REPO}:1.0-a", f"{COPY}:1.0")
    )
    assert names(found["copied"]) == ["1.0"]
    assert mirror.dest.tags(COPY) == {"1.0": digest}


def test_platforms(mirror: Mirror) -> None:
    add_platforms(mirror.source)
    found = mirror.exact(mirror.rule(platforms=["linux/arm64"]))
    assert [item["platform"]["architecture"] for item in mirror.dest.manifest(COPY, "1")["manifests"]] == ["arm64"]
    assert found["lock"][0]["digest"] == mirror.dest.tags(COPY)["1"]
    assert found["lock"][0]["src"].endswith(mirror.source.tags(REPO)["1"])


def test_an_image_without_the_platform_fails_alone(mirror: Mirror) -> None:
    add_platforms(mirror.source)
    add(mirror.source, "2")
    found = mirror.run(mirror.rule(platforms=["linux/arm64"]))
    assert names(found["failures"]) == ["2"]
    assert set(mirror.dest.tags(COPY)) == {"1"}


@pytest.mark.parametrize("api", [True, False], ids=["referrers API", "tags"])
def test_referrers_go_along(mirror: Mirror, api: bool) -> None:
    mirror.dest.quirks = Quirks(no_referrers_api=not api)
    digests = add(mirror.source, "1.0", "1.1")
    sbom = mirror.source.add_referrer(REPO, digests["1.0"], "application/vnd.example.sbom", b"sbom")
    sig = mirror.source.add_image(REPO, f"{digest_tag(digests['1.1'])}.sig", layers=[b"signature"])
    mirror.exact(mirror.rule(referrers=True))
    assert sbom in mirror.dest.manifests(COPY)
    assert mirror.dest.tags(COPY)[f"{digest_tag(digests['1.1'])}.sig"] == sig
    assert (digest_tag(digests["1.0"]) in mirror.dest.tags(COPY)) == (not api)


# --- what is there already


@pytest.mark.parametrize("how", ["keep", "report", "fail"])
def test_what_is_there_and_differs(mirror: Mirror, how: str) -> None:
    add(mirror.source, "1.0", "1.1")
    there = mirror.dest.add_image(COPY, "1.0", layers=LAYERS)
    found = mirror.run(mirror.rule(on_existing=how))
    assert mirror.dest.tags(COPY)["1.0"] == there
    assert names(found["copied"]) == ["1.1"]
    lists = {"keep": "kept", "report": "drifted", "fail": "failures"}
    assert names(found[lists[how]]) == ["1.0"]
    assert found.get("error_code") == ("PARTIAL" if how == "fail" else None)
    wanted = mirror.source.tags(REPO)["1.0"]
    if how != "fail":
        row = {"digest": there, "reason": f"the source has {wanted} (on_existing: {how})"}
        assert found[lists[how]] == [{"reference": f"{mirror.dest.host}/{COPY}:1.0", **row}]
        mirror.exact(mirror.rule(on_existing=how))


def test_a_deep_look_finds_what_was_lost(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    sbom = mirror.source.add_referrer(REPO, digests["1.1"], "application/vnd.example.sbom", b"sbom")
    mirror.run(mirror.rule(referrers=True))
    del mirror.dest.api.repos[COPY].blobs[digest_of(gzipped(tar_of({"tag": f"{REPO} 1.0"})))]
    del mirror.dest.api.repos[COPY].manifests[sbom]
    assert not mirror.run(mirror.rule(referrers=True))["changed"]
    found = mirror.exact(mirror.rule(referrers=True), compare="deep")
    assert names(found["updated"]) == ["1.0", "1.1"]
    assert complete(mirror.dest, COPY, "1.0")
    assert sbom in mirror.dest.manifests(COPY)


# --- what fails


def test_one_damaged_image_of_many(mirror: Mirror) -> None:
    """The others arrive whole, it does not get its tag, and the task fails at its end with all results."""
    digests = add(mirror.source, *(f"1.{number}" for number in range(12)))
    lost = digest_of(gzipped(tar_of({"tag": f"{REPO} 1.5"})))
    mirror.source.api.repos[REPO].blobs[lost] = b"damaged"
    found = mirror.run(session=mirror.session(retries=0))
    assert (found["error_code"], found["changed"]) == ("PARTIAL", True)
    assert names(found["failures"]) == ["1.5"]
    assert lost in found["failures"][0]["reason"]
    assert found["failures"][0]["digest"] == digests["1.5"]
    assert mirror.dest.tags(COPY) == {tag: digest for tag, digest in digests.items() if tag != "1.5"}
    assert all(complete(mirror.dest, COPY, tag) for tag in mirror.dest.tags(COPY))
    assert len(found["copied"]) == len(found["lock"]) == 11
    assert not any("1.5 " in line for line in found["actions"])
    assert f"{mirror.dest.host}/{COPY}:1.5" not in [row["dest"] for row in found["lock"]]
    assert found["diff"]["after"][f"{mirror.dest.host}/{COPY}:1.5"] is None
    mirror.source.api.repos[REPO].blobs[lost] = gzipped(tar_of({"tag": f"{REPO} 1.5"}))
    assert names(mirror.exact()["copied"]) == ["1.5"]


def test_a_damaged_layer_of_a_platform(mirror: Mirror) -> None:
    """No index of an image that is not whole."""
    add_platforms(mirror.source)
    add(mirror.source, "2")
    lost = digest_of(gzipped(tar_of({"platform": "linux/arm64" * 50})))
    mirror.source.api.repos[REPO].blobs[lost] = b"damaged"
    found = mirror.run(session=mirror.session(retries=0))
    assert names(found["failures"]) == ["1"]
    assert set(mirror.dest.tags(COPY)) == {"2"}
    indexes = [item for item in mirror.dest.manifests(COPY).values() if b'"manifests"' in item.body]
    assert indexes == []


def test_a_signature_that_does_not_arrive_holds_the_tag_back(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    mirror.source.add_referrer(REPO, digests["1.0"], "application/vnd.example.sbom", b"sbom")
    mirror.source.api.repos[REPO].blobs[digest_of(b"sbom")] = b"no"
    found = mirror.run(mirror.rule(referrers=True), session=mirror.session(retries=0))
    assert names(found["failures"]) == ["1.0"]
    assert set(mirror.dest.tags(COPY)) == {"1.1"}


@pytest.mark.parametrize("suffix", [".sig", ".att"])
def test_a_tag_of_a_signature_that_is_refused_holds_the_tag_back(mirror: Mirror, suffix: str) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    mirror.source.add_image(REPO, digest_tag(digests["1.0"]) + suffix, layers=[b"signature"])
    mirror.dest.fault("PUT", rf"/manifests/sha256-.*{suffix}", status=403, times=9)
    found = mirror.run(mirror.rule(referrers=True), session=mirror.session(retries=0))
    assert names(found["failures"]) == ["1.0"]
    assert set(mirror.dest.tags(COPY)) == {"1.1"}


def test_a_source_manifest_that_is_gone(mirror: Mirror) -> None:
    """One child of one index: the plan itself cannot be made, and the others are planned all the same."""
    add_platforms(mirror.source)
    add(mirror.source, *(f"2.{number}" for number in range(9)))
    child = mirror.source.manifest(REPO, "1")["manifests"][1]["digest"]
    del mirror.source.api.repos[REPO].manifests[child]
    found = mirror.run()
    assert names(found["failures"]) == ["1"]
    assert child in found["failures"][0]["reason"]
    assert len(mirror.dest.tags(COPY)) == 9
    gets = [
        request.path for request in mirror.source.requests if request.method == "GET" and "/manifests/" in request.path
    ]
    assert len([path for path in gets if child not in path]) == len({path for path in gets if child not in path})


def test_a_listed_tag_that_is_not_there(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    del mirror.source.api.repos[REPO].manifests[digests["1.0"]]
    found = mirror.run()
    assert found["failures"] == [
        {
            "reference": f"{mirror.dest.host}/{COPY}:1.0",
            "digest": None,
            "reason": f"The source {mirror.source.host}/{REPO}:1.0 does not exist.",
        }
    ]
    assert set(mirror.dest.tags(COPY)) == {"1.1"}


def test_a_refused_tag(mirror: Mirror) -> None:
    add(mirror.source, "1.0", "1.1", "1.2")
    mirror.dest.fault("PUT", "/manifests/1.1$", status=403, times=9)
    found = mirror.run()
    assert (found["error_code"], found["status"]) == ("PARTIAL", 403)
    assert names(found["failures"]) == ["1.1"]
    assert names(found["copied"]) == ["1.0", "1.2"]


def test_trouble_that_passes_is_tried_again(mirror: Mirror) -> None:
    add(mirror.source, "1.0", "1.1", "1.2")
    mirror.source.fault("HEAD", "/manifests/1.1$", status=503, times=1)
    found = mirror.run(session=mirror.session(retries=0))
    assert "failed" not in found
    assert len(found["copied"]) == 3


def test_the_first_failure_ends_it(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1", "1.2")
    mirror.dest.fault("PUT", "/manifests/1.1$", status=403, times=9)
    found = mirror.run(keep_going=False, session=mirror.session(jobs=1))
    assert (found["error_code"], found["status"], found["changed"]) == ("DENIED", 403, True)
    assert names(found["copied"]) == ["1.0"]
    assert names(found["skipped"]) == ["1.1", "1.2"]
    assert mirror.dest.tags(COPY) == {"1.0": digests["1.0"]}


def test_the_first_failure_before_anything_is_written(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    del mirror.source.api.repos[REPO].manifests[digests["1.0"]]
    with fails(NotFound, "MANIFEST_UNKNOWN"):
        mirror.run(keep_going=False)
    assert mirror.dest.tags(COPY) == {}


def test_failures_are_foreseen(mirror: Mirror) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    del mirror.source.api.repos[REPO].manifests[digests["1.0"]]
    foreseen, found = mirror.run(check=True), mirror.run()
    assert foreseen["failures"] == found["failures"]
    assert foreseen["error_code"] == found["error_code"] == "PARTIAL"
    assert foreseen["changed"] and found["changed"]


def test_nothing_arrived_is_no_change(mirror: Mirror) -> None:
    add(mirror.source, "1.0")
    mirror.dest.quirks = Quirks(push_status=403)
    found = mirror.run()
    assert (found["failed"], found["changed"], found["actions"]) == (True, False, [])
