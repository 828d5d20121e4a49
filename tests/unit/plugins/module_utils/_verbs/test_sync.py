# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors: what rules choose, what is brought over, what fails, and that nothing is deleted by mistake."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils import _runner
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, NotFound, OCIError, Refused
from ansible_collections.quayside.registry.plugins.module_utils._mirror.rules import Shard
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._options import acted_on, read_as
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import digest_tag
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs import sync
from ansible_collections.quayside.registry.plugins.module_utils._verbs.sync import plan_sync
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
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
    run_module,
    switches,
)
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign
from ansible_collections.quayside.registry.tests.unit.tars import tar_of
from hypothesis import given, settings
from hypothesis import strategies as st

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
            if exc.details.keys() == {"transfer"}:
                raise
            return {"failed": True, **exc.fields()}
        finally:
            self.warnings = known.transport.warnings

    def exact(self, *rules: Mapping[str, Any], read_back: bool = False, **options: Any) -> Any:
        """Run in check mode, run, and run again: the first foretells the second, and the third does nothing.

        How long a list is that is `read_back`, of referrers or of tags, nobody knows before.
        """
        state = self.dest.state()
        foreseen = self.run(*rules, check=True, **options)
        assert self.dest.state() == state
        found = self.run(*rules, **options)
        for result in (foreseen, found):
            result["transfer"] = {**result["transfer"], "requests": 0, **({"bytes_received": 0} if read_back else {})}
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
    source, dest = f"{mirror.source.host}/{REPO}", f"{mirror.dest.host}/{COPY}"
    assert found["failures"][0]["reason"] == (
        f"{source}:1.0-a and {source}:1.0-b have different digests, and both are to become {dest}:1.0; "
        "give them other names."
    )


@pytest.mark.parametrize(
    ("tags", "names"),
    [("abc", "{0}-a, {0}-b and {0}-c"), ("abcd", "{0}-a, {0}-b, {0}-c and 1 more")],
)
def test_several_images_for_one_tag_of_which_some_are_the_same(mirror: Mirror, tags: str, names: str) -> None:
    digests = add(mirror.source, *(f"1.0-{tag}" for tag in tags))
    mirror.source.api.repos[REPO].tags["1.0-b"] = digests["1.0-a"]
    found = mirror.run(mirror.rule(rename_tags=[{"match": "-.$", "to": ""}]))
    said = names.format(f"{mirror.source.host}/{REPO}:1.0")
    many = f"{len(tags) - 1} different digests, and all are to become {mirror.dest.host}/{COPY}:1.0"
    assert [row["reason"] for row in found["failures"]] == [f"{said} have {many}; give them other names."] * len(tags)


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
    assert names(found["left_out"]) == ["1.1", "1.2"]
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


def test_what_was_done_is_told_in_the_order_of_the_plan(mirror: Mirror) -> None:
    """Also where one fails, and others end in any order."""
    add(mirror.source, "1.0", "1.1", "1.2", "1.3")
    mirror.dest.fault("PUT", "/manifests/1.3$", status=403, times=9)
    mirror.dest.fault("PUT", "/manifests/1.0$", action="stall", seconds=0.5, times=1)
    foreseen, found = mirror.run(check=True), mirror.run(session=mirror.session(jobs=4))
    assert found["failed"]
    assert found["actions"] == [line for line in foreseen["actions"] if f"{COPY}:1.3 " not in line]


@pytest.mark.parametrize("code", ["TOOMANYREQUESTS", "DENIED", None])
@pytest.mark.parametrize("status", [429, 403])
def test_what_is_left_for_later_is_not_told_as_done(status: int, code: str | None, mirror: Mirror) -> None:
    """The status tells whether it is for later, whatever code stands in the answer."""
    add(mirror.source, "1.0", "1.1", "1.2")
    body = json.dumps({"errors": [{"code": code, "message": "no"}]}).encode() if code else b""
    mirror.dest.fault("PUT", "/manifests/1.1$", status=status, body=body, times=9)
    found = mirror.run(session=mirror.session(retries=0))
    assert [line for line in found["actions"] if f"{COPY}:1.1 " in line] == []
    assert len([line for line in found["actions"] if line.startswith("Tag ")]) == 2
    if status == 429:
        assert ("failed" in found, names(found["left_out"])) == (False, ["1.1"])
        text = "1 image is left for later, as a registry allows no more for now (HTTP 429); left_out names them."
        assert [warning for warning in mirror.warnings if text in warning]
    else:
        assert (found["failed"], names(found["failures"])) == (True, ["1.1"])


def test_nothing_arrived_is_no_change(mirror: Mirror) -> None:
    add(mirror.source, "1.0")
    mirror.dest.quirks = Quirks(push_status=403)
    found = mirror.run()
    assert (found["failed"], found["changed"], found["actions"]) == (True, False, [])


# --- what is deleted

ALL = {"max_share": 100, "max_deletions": 100}
OLD = Quirks(tag_delete_400=True, tags_unpaginated=True, no_referrers_api=True)  # distribution 2.8
KINDS = pytest.mark.parametrize("quirks", [Quirks(), OLD], ids=["deletes tags", "deletes manifests"])


def exactly(mirror: Mirror, *tags: str, **options: Any) -> dict[str, Any]:
    """A rule that deletes, after a run with these tags."""
    add(mirror.source, *tags)
    rule = mirror.rule(delete_extra=True, **options)
    mirror.run(rule)
    return rule


def drop(registry: FakeRegistry, *tags: str, repo: str = REPO) -> None:
    for tag in tags:
        del registry.api.repos[repo].tags[tag]


@KINDS
def test_what_the_source_no_longer_has_is_deleted(mirror: Mirror, quirks: Quirks) -> None:
    mirror.dest.quirks = quirks
    rule = exactly(mirror, "1.0", "1.1", "1.2")
    digest = mirror.dest.tags(COPY)["1.1"]
    drop(mirror.source, "1.1")
    found = mirror.exact(rule, read_back=True, **ALL)
    row = {"reference": f"{mirror.dest.host}/{COPY}:1.1", "digest": digest, "reason": "no source has it any more"}
    assert found["deleted"] == [row]
    assert found["diff"] == {"before": {row["reference"]: digest}, "after": {row["reference"]: None}}
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.2"}
    assert complete(mirror.dest, COPY, "1.0")


def test_nothing_is_deleted_unless_that_is_asked_for(mirror: Mirror) -> None:
    exactly(mirror, "1.0", "1.1")
    drop(mirror.source, "1.1")
    mirror.exact(**ALL)
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1"}


def test_only_what_the_rules_cover_is_deleted(mirror: Mirror) -> None:
    rule = exactly(mirror, "1.0", "1.1", tags={"include": ["^1"], "newest": 2})
    for tag in ("2.0", "1.x", "own"):
        mirror.dest.add_image(COPY, tag, layers=LAYERS)
    drop(mirror.source, "1.1")
    found = mirror.exact(rule, **ALL)
    assert names(found["deleted"]) == ["1.1"]
    assert set(mirror.dest.tags(COPY)) == {"1.0", "2.0", "1.x", "own"}


def test_what_newest_merely_no_longer_picks_is_kept(mirror: Mirror) -> None:
    rule = exactly(mirror, "1.0", "1.1", tags={"newest": 2})
    add(mirror.source, "1.2")
    found = mirror.exact(rule, **ALL)
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1", "1.2"}
    assert (found["kept"], mirror.warnings) == ([], [])


def test_what_another_source_has_is_kept(mirror: Mirror) -> None:
    add(mirror.source, "9.0", repo="other/app")
    rules = mirror.rule(delete_extra=True), mirror.rule("other/app"), mirror.rule("other/app:9.0", f"{COPY}:nine")
    add(mirror.source, "1.0", "1.1")
    mirror.run(*rules)
    drop(mirror.source, "1.1")
    found = mirror.exact(*rules, **ALL)
    assert names(found["deleted"]) == ["1.1"]
    assert set(mirror.dest.tags(COPY)) == {"1.0", "9.0", "nine"}


def test_nothing_is_deleted_while_another_source_is_unknown(mirror: Mirror) -> None:
    add(mirror.source, "9.0", repo="other/app")
    rules = mirror.rule(delete_extra=True), mirror.rule("other/app")
    add(mirror.source, "1.0", "1.1")
    mirror.run(*rules)
    drop(mirror.source, "1.1")
    mirror.source.fault("GET", "/other/app/tags/list", status=500, times=99)
    found = mirror.run(*rules, **ALL)
    assert (found["error_code"], found["deleted"]) == ("PARTIAL", [])
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1", "9.0"}
    assert any("it is not known what" in warning for warning in mirror.warnings)
    assert any("Keep all tags of" in line for line in found["actions"])


def test_nothing_is_deleted_while_a_catalog_is_unknown(mirror: Mirror) -> None:
    with FakeRegistry() as third:
        add(third, "9.0", repo="x/app")
        add(mirror.source, "1.0", "1.1")
        every = {**mirror.rule("*", "mirror/*"), "src": f"{third.host}/x/*"}
        rule = mirror.rule(delete_extra=True)
        mirror.run(rule, every)
        drop(mirror.source, "1.1")
        third.quirks = Quirks(catalog_status=404)
        found = mirror.run(rule, every, **ALL)
    assert (found["error_code"], found["deleted"]) == ("PARTIAL", [])
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1", "9.0"}


RENAMES = [{"match": r"^v(\d.*)$", "to": r"\1"}]


def test_renamed_tags_are_deleted(mirror: Mirror) -> None:
    rule = exactly(mirror, "v1.0", "v1.1", "v2.0", rename_tags=RENAMES, tags={"include": ["^v1"]})
    for tag in ("2.0", "own"):
        mirror.dest.add_image(COPY, tag, layers=LAYERS)
    drop(mirror.source, "v1.1")
    found = mirror.exact(rule, **ALL)
    assert names(found["deleted"]) == ["1.1"]
    assert set(mirror.dest.tags(COPY)) == {"1.0", "2.0", "own"}


def test_renamed_tags_stay_where_nobody_knows_what_they_were(mirror: Mirror) -> None:
    rule = exactly(mirror, "v1.0", "v1.1", rename_tags=[{"match": "^[vV]", "to": ""}], tags={"include": ["^v"]})
    drop(mirror.source, "v1.1")
    mirror.exact(rule, **ALL)
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1"}


def test_protected_tags(mirror: Mirror) -> None:
    rule = exactly(mirror, "1.0", "1.1", "release-1")
    drop(mirror.source, "1.1", "release-1")
    found = mirror.exact(rule, **ALL, delete_protect={"include": ["^release"]})
    assert (names(found["deleted"]), names(found["kept"])) == (["1.1"], ["release-1"])
    assert set(mirror.dest.tags(COPY)) == {"1.0", "release-1"}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_deletions": 2, "max_share": 100}, "3 tags in all, and max_deletions is 2"),
        ({"max_deletions": 9, "max_share": 27}, "mirror/app, and max_share is 27 percent"),
    ],
)
def test_an_overstepped_guard_deletes_nothing(mirror: Mirror, limits: dict[str, int], said: str) -> None:
    tags = [f"1.{number}" for number in range(10)]
    rule = exactly(mirror, *tags)
    drop(mirror.source, *tags[:3])
    add(mirror.source, "2.0")
    found = mirror.run(rule, **limits)
    assert found["error_code"] == "GUARD"
    assert said in found["msg"]
    assert found["deleted"] == []
    assert names(found["kept"]) == tags[:3]
    assert names(found["copied"]) == ["2.0"]
    assert set(mirror.dest.tags(COPY)) == {*tags, "2.0"}
    mirror.exact(rule, max_deletions=3, max_share=30)
    assert set(mirror.dest.tags(COPY)) == {*tags[3:], "2.0"}


@KINDS
def test_an_image_that_a_kept_tag_has_too(mirror: Mirror, quirks: Quirks) -> None:
    rule = exactly(mirror, "1.0", "1.1")
    same = mirror.source.api.repos[REPO].tags
    same["stable"] = same["1.1"]
    mirror.run(rule)
    drop(mirror.source, "1.1")
    mirror.dest.quirks = quirks
    found = mirror.exact(rule, **ALL)
    assert "stable" in mirror.dest.tags(COPY)
    assert complete(mirror.dest, COPY, "stable")
    assert (names(found["deleted"]), names(found["kept"])) == ((["1.1"], []) if quirks == Quirks() else ([], ["1.1"]))


@KINDS
def test_a_tag_that_moves_away_frees_its_image(mirror: Mirror, quirks: Quirks) -> None:
    """Latest was what is deleted now; it is moved first, and the second run has nothing left to do."""
    mirror.dest.quirks = quirks
    rule = exactly(mirror, "1.0", "1.1")
    same = mirror.source.api.repos[REPO].tags
    same["latest"] = same["1.0"]
    mirror.run(rule)
    same["latest"] = same["1.1"]
    drop(mirror.source, "1.0")
    found = mirror.exact(rule, read_back=True, **ALL)
    assert names(found["deleted"]) == ["1.0"]
    assert mirror.dest.tags(COPY) == {"1.1": same["1.1"], "latest": same["1.1"]}
    assert complete(mirror.dest, COPY, "latest")


def test_a_tag_that_could_not_move_keeps_its_image(mirror: Mirror) -> None:
    mirror.dest.quirks = OLD
    rule = exactly(mirror, "1.0", "1.1")
    same = mirror.source.api.repos[REPO].tags
    same["latest"] = same["1.0"]
    mirror.run(rule)
    same["latest"] = same["1.1"]
    drop(mirror.source, "1.0")
    mirror.dest.fault("PUT", "/manifests/latest", status=403, times=9)
    found = mirror.run(rule, **ALL)
    assert names(found["failures"]) == ["latest", "1.0"]
    assert set(mirror.dest.tags(COPY)) == {"1.0", "1.1", "latest"}
    assert complete(mirror.dest, COPY, "latest")


@KINDS
def test_members_of_kept_indexes_stay(mirror: Mirror, quirks: Quirks) -> None:
    index = add_platforms(mirror.source)
    member = mirror.source.manifest(REPO, "1")["manifests"][0]["digest"]
    mirror.source.api.repos[REPO].tags["amd64"] = member
    rule = mirror.rule(delete_extra=True)
    mirror.run(rule)
    mirror.dest.quirks = quirks
    drop(mirror.source, "amd64")
    mirror.exact(rule, **ALL)
    assert complete(mirror.dest, COPY, index)


@pytest.mark.parametrize(
    "quirks", [Quirks(last_tag_delete_removes_manifest=True), Quirks(tag_delete_removes_manifest=True)]
)
def test_what_goes_with_a_tag_is_put_back_where_it_is_needed(mirror: Mirror, quirks: Quirks) -> None:
    index = add_platforms(mirror.source, tag="2.0")
    one, two = [item["digest"] for item in mirror.source.manifest(REPO, index)["manifests"]][:2]
    mirror.source.api.repos[REPO].tags.update({"amd64": one, "arm64": two, "own": two})
    rule = exactly(mirror, "1.0")
    mirror.dest.quirks = quirks
    drop(mirror.source, "amd64", "arm64")
    assert names(mirror.run(rule, **ALL)["deleted"]) == ["amd64", "arm64"]
    assert set(mirror.dest.tags(COPY)) == {"1.0", "2.0", "own"}
    assert complete(mirror.dest, COPY, "2.0")


LATE = [Quirks(tag_delete_405=True), Quirks(tag_delete_400=True)]


@pytest.mark.parametrize("quirks", [Quirks(), OLD, *LATE], ids=switches)
def test_what_goes_together_goes(mirror: Mirror, quirks: Quirks) -> None:
    """Two tags of an image, and an index with a member that has a tag of its own."""
    index = add_platforms(mirror.source, tag="z")
    tags = mirror.source.api.repos[REPO].tags
    tags["a"] = mirror.source.manifest(REPO, index)["manifests"][0]["digest"]
    tags["x"] = tags["y"] = mirror.source.add_image(REPO, layers=LAYERS)
    rule = exactly(mirror, "1.0")
    mirror.dest.quirks = quirks
    drop(mirror.source, "a", "x", "y", "z")
    found = mirror.exact(rule, read_back=True, **ALL)
    assert names(found["deleted"]) == ["a", "x", "y", "z"]
    assert set(mirror.dest.tags(COPY)) == {"1.0"}


@pytest.mark.parametrize("quirks", [OLD, *LATE], ids=switches)
def test_what_an_index_holds_stays_where_that_cannot_go(mirror: Mirror, quirks: Quirks) -> None:
    index = add_platforms(mirror.source, tag="z")
    member = mirror.source.manifest(REPO, index)["manifests"][0]["digest"]
    mirror.source.api.repos[REPO].tags["a"] = member
    rule = exactly(mirror, "1.0")
    mirror.dest.quirks = quirks
    drop(mirror.source, "a", "z")
    mirror.dest.fault("DELETE", f"/manifests/{index}", status=403, times=9)
    found = mirror.run(rule, **ALL)
    assert (names(found["failures"]), found["deleted"], found["changed"]) == (["a", "z"], [], False)
    assert complete(mirror.dest, COPY, "z")


@KINDS
def test_signatures_go_with_their_image_and_stay_with_what_is_kept(mirror: Mirror, quirks: Quirks) -> None:
    digests = add(mirror.source, "1.0", "1.1")
    index = add_platforms(mirror.source, tag="2.0")
    members = [item["digest"] for item in mirror.source.manifest(REPO, index)["manifests"]]
    mirror.source.add_index(REPO, "3.0", [mirror.source.descriptor(REPO, members[0])])
    tags = {digest: f"{digest_tag(digest)}.sig" for digest in (*digests.values(), *members)}
    for tag in tags.values():
        mirror.source.add_image(REPO, tag, layers=[tag.encode()])
    rule = mirror.rule(referrers=True, delete_extra=True)
    mirror.run(rule)
    assert set(tags.values()) <= set(mirror.dest.tags(COPY))
    mirror.dest.quirks = quirks
    drop(mirror.source, "1.0", "2.0")
    found = mirror.exact(rule, read_back=True, **ALL)
    gone = {"1.0", "2.0", tags[digests["1.0"]], *(tags[digest] for digest in members[1:])}
    assert set(names(found["deleted"])) == gone
    assert set(mirror.dest.tags(COPY)) == {"1.1", "3.0", tags[digests["1.1"]], tags[members[0]]}


def test_a_tag_that_somebody_moved_meanwhile_is_not_deleted(mirror: Mirror) -> None:
    rule = exactly(mirror, "1.0", "1.1")
    drop(mirror.source, "1.1")
    session = mirror.session()
    plan = plan_sync(session, **{**OPTIONS, **ALL, "sources": [rule]})
    moved = mirror.dest.add_image(COPY, "1.1", layers=LAYERS)
    done = plan.apply(session.map)
    assert "has become" in done.result["failures"][0]["reason"]
    assert mirror.dest.tags(COPY)["1.1"] == moved


def test_a_registry_that_does_not_delete(mirror: Mirror) -> None:
    rule = exactly(mirror, "1.0", "1.1")
    drop(mirror.source, "1.1")
    mirror.dest.quirks = Quirks(delete_405=True)
    found = mirror.run(rule, **ALL)
    assert (found["error_code"], names(found["failures"])) == ("PARTIAL", ["1.1"])
    assert found["deleted"] == []


def answers(tags: list[str]) -> dict[str, Callable[[FakeRegistry], None]]:
    """What a source may say, in place of the list of its tags."""

    def body(value: object) -> Callable[[FakeRegistry], None]:
        def say(registry: FakeRegistry) -> None:
            raw = value if isinstance(value, bytes) else json.dumps(value).encode()
            registry.fault("GET", "/tags/list", status=200, body=raw, times=99)

        return say

    def quirks(**switches: Any) -> Callable[[FakeRegistry], None]:
        return lambda registry: setattr(registry, "quirks", Quirks(**switches))

    def second_page(**fault: Any) -> Callable[[FakeRegistry], None]:
        def say(registry: FakeRegistry) -> None:
            registry.quirks = Quirks(page_limit=4)
            registry.fault("GET", "/tags/list.*last=", times=99, **fault)

        return say

    return {
        "null": body({"name": REPO, "tags": None}),
        "empty": body({"name": REPO, "tags": []}),
        "nothing": body({}),
        "half a document": body(json.dumps({"name": REPO, "tags": tags})[:30].encode()),
        "a web page": body(b"<html>welcome</html>"),
        "not a list": body({"tags": "all"}),
        "the first alone": body({"name": REPO, "tags": tags[:1]}),
        "others": body({"name": REPO, "tags": ["other"]}),
        "pages without a link": quirks(page_limit=4, link="none"),
        "pages in a circle": quirks(page_limit=4, link="loop"),
        "pages elsewhere": quirks(page_limit=4, link="other_host"),
        "500": lambda registry: registry.fault("GET", "/tags/list", status=500, times=99) and None,
        "403": lambda registry: registry.fault("GET", "/tags/list", status=403, times=99) and None,
        "404": lambda registry: registry.fault("GET", "/tags/list", status=404, times=99) and None,
        "500 on page 2": second_page(status=500),
        "403 on page 2": second_page(status=403),
        "404 on page 2": second_page(status=404),
        "429 on page 2": second_page(status=429, headers={"Retry-After": "3600"}),
        "empty page 2": second_page(status=200, body={"tags": []}),
        "null on page 2": second_page(status=200, body={"tags": None}),
        "cut off on page 2": second_page(action="truncate"),
        "no answer": lambda registry: registry.fault("GET", "/tags/list", action="reset", times=99) and None,
        "is gone": lambda registry: registry.api.repos.clear(),
    }


TAGS = [f"1.{number}" for number in range(10)]


@KINDS
@pytest.mark.parametrize("answer", answers(TAGS))
def test_nothing_is_deleted_whatever_the_source_answers(mirror: Mirror, answer: str, quirks: Quirks) -> None:
    """The source still has all tags, but its list does not say so."""
    rule = exactly(mirror, *TAGS)
    mirror.dest.quirks = quirks
    state = mirror.dest.state()
    answers(TAGS)[answer](mirror.source)
    found = mirror.run(rule, session=mirror.session(retries=0), **ALL)
    assert found["deleted"] == []
    assert mirror.dest.state() == state
    assert found.get("failed") or mirror.warnings


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"status": 429}, {"action": "reset"}])
def test_nothing_is_deleted_where_the_source_does_not_confirm_it(mirror: Mirror, fault: dict[str, Any]) -> None:
    rule = exactly(mirror, *TAGS)
    drop(mirror.source, "1.1", "1.2")
    mirror.source.fault("GET|HEAD", "/manifests/1.2", times=99, **fault)
    found = mirror.run(rule, session=mirror.session(retries=0), **ALL)
    assert found["deleted"] == []
    assert names(found["kept"]) == ["1.1", "1.2"]
    assert set(TAGS) <= set(mirror.dest.tags(COPY))


POOL = ["1.0", "1.1", "1.2", "2.0", "latest", "own"]


@settings(max_examples=60)
@given(
    has=st.sets(st.sampled_from(POOL)),
    there=st.sets(st.sampled_from(POOL)),
    lists=st.sets(st.sampled_from(POOL)) | st.none(),
    include=st.sampled_from([[], ["^1"], ["^v?[0-9]"]]),
    newest=st.none() | st.integers(1, 2),
    limits=st.tuples(st.integers(0, 4), st.sampled_from([20, 50, 100])),
    quirks=st.sampled_from([Quirks(), OLD, Quirks(tag_delete_405=True)]),
)
def test_no_deletion_that_should_not_be(
    has: set[str],
    there: set[str],
    lists: set[str] | None,
    include: list[str],
    newest: int | None,
    limits: tuple[int, int],
    quirks: Quirks,
) -> None:
    """Whatever the source has and lists: only tags that it does not have, in scope and within the limits, may go."""
    with FakeRegistry() as source, FakeRegistry(quirks) as dest:
        mirror = Mirror(source, dest)
        images = {
            tag: source.add_image(REPO, layers=[tag_layer])
            for tag, tag_layer in zip(POOL, [b"a", b"a", b"b", b"c", b"c", b"d"])
        }
        source.api.made(REPO).tags.update({tag: images[tag] for tag in has})
        for tag, layer in zip(POOL, [b"a", b"a", b"b", b"c", b"c", b"d"]):
            if tag in there:
                dest.add_image(COPY, tag, layers=[layer])
        if lists is not None:
            source.fault("GET", "/tags/list", status=200, body={"tags": sorted(lists)}, times=9)
        before = dest.tags(COPY)
        rule = mirror.rule(delete_extra=True, tags={"include": include, "newest": newest})
        found = mirror.run(rule, max_deletions=limits[0], max_share=limits[1], session=mirror.session(retries=0))
        after = dest.tags(COPY)
    gone = set(before) - set(after)
    assert not gone & has
    assert all(tag.startswith("1") for tag in gone) or include != ["^1"]
    assert len(gone) <= limits[0]
    assert len(gone) * 100 <= limits[1] * max(len(before), 1)
    assert gone == {row["reference"].rpartition(":")[2] for row in found["deleted"]}
    if lists is None and has and not found.get("failed") and include == [] and newest is None and quirks == Quirks():
        assert set(after) == has


# --- on which conditions


def test_only_what_is_verified_is_copied(mirror: Mirror, tmp_path: Path) -> None:
    signer, stranger = Signer(tmp_path, "signer"), Signer(tmp_path, "stranger")
    add(mirror.source, "1.0", "1.1", "1.2")
    sign(mirror.source, signer, ":1.0")
    sign(mirror.source, stranger, ":1.1")
    rule = mirror.rule(referrers=True, verify=trusting(signer))
    found = mirror.run(rule)
    assert found["error_code"] == "PARTIAL"
    assert names(found["failures"]) == ["1.1", "1.2"]
    assert all("is not verified" in row["reason"] for row in found["failures"])
    assert [tag for tag in mirror.dest.tags(COPY) if not tag.startswith("sha256-")] == ["1.0"]
    with fails(Refused, "NOT_VERIFIED"):
        mirror.run(rule, keep_going=False)
    mirror.source.reset_log()
    sign(mirror.source, signer, ":1.1")
    sign(mirror.source, signer, ":1.2")
    mirror.exact(rule)
    assert {"1.0", "1.1", "1.2"} <= set(mirror.dest.tags(COPY))


def trusting(signer: Signer) -> dict[str, Any]:
    formats = {"formats": ["bundle", "simple"], "identity": ["any"], "annotations": {}, "threshold": 1}
    return {"keys": [signer.public], "certificate": None, "policy_path": None, **formats}


DAY = 86400.0


def test_what_is_too_young_is_skipped_and_said(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(mirror.source, "1.0")
    age = {"duration": "7d", "clock": ["signed", "first_seen"], "on_unknown": "fail"}
    options = {"state_path": str(tmp_path / "seen.json")}
    now = set_clock(monkeypatch, 1_800_000_000.0)
    foreseen = mirror.run(mirror.rule(age=age), check=True, **options)
    assert not (tmp_path / "seen.json").exists()
    found = mirror.run(mirror.rule(age=age), **options)
    assert found["left_out"] == foreseen["left_out"]
    assert found["left_out"][0]["reason"] == "it is younger than 7d (first_seen)"
    assert found["left_out"][0]["digest"] == mirror.source.tags(REPO)["1.0"]
    assert (found["changed"], found["lock"]) == (False, [])
    now[0] += 6 * DAY
    assert mirror.run(mirror.rule(age=age), **options)["left_out"]
    now[0] += DAY
    assert names(mirror.exact(mirror.rule(age=age), **options)["copied"]) == ["1.0"]


def set_clock(monkeypatch: pytest.MonkeyPatch, start: float) -> list[float]:
    now = [start]
    monkeypatch.setattr(sync, "time", SimpleNamespace(time=lambda: now[0]))
    return now


@pytest.mark.parametrize(("on_unknown", "list_"), [("fail", "failures"), ("skip", "left_out")])
def test_an_unknown_age(mirror: Mirror, on_unknown: str, list_: str) -> None:
    add(mirror.source, "1.0")
    age = {"duration": "7d", "clock": ["signed"], "on_unknown": on_unknown}
    found = mirror.run(mirror.rule(age=age))
    assert names(found[list_]) == ["1.0"]
    assert found.get("error_code") == ("PARTIAL" if on_unknown == "fail" else None)
    assert mirror.dest.tags(COPY) == {}


def test_what_the_image_says_counts_only_where_it_is_named(mirror: Mirror) -> None:
    add(mirror.source, "1.0")
    age = {"duration": "7d", "clock": ["created"], "on_unknown": "fail"}
    mirror.exact(mirror.rule(age=age))
    assert set(mirror.dest.tags(COPY)) == {"1.0"}


# --- locks


def test_a_lock_is_written_and_obeyed(mirror: Mirror, tmp_path: Path) -> None:
    digests = add(mirror.source, "v1.0", "v1.1")
    index = add_platforms(mirror.source, tag="v2")
    rule = mirror.rule(rename_tags=[{"match": "^v", "to": ""}], delete_extra=True)
    lock = str(tmp_path / "lock.json")
    foreseen = mirror.run(rule, check=True, lock_path=lock)
    assert not Path(lock).exists()
    found = mirror.exact(rule, lock_path=lock)
    assert json.loads(Path(lock).read_text()) == {"images": found["lock"]}
    assert foreseen["lock"] == found["lock"]
    assert {row["digest"] for row in found["lock"]} == {*digests.values(), index}
    mirror.source.add_image(REPO, "v1.0", layers=LAYERS)
    add(mirror.source, "v3")
    with FakeRegistry() as fresh:
        other = Mirror(mirror.source, fresh)
        moved = {**rule, "dest": f"{fresh.host}/{COPY}"}
        Path(lock).write_text(Path(lock).read_text().replace(mirror.dest.host, fresh.host))
        mirror.source.reset_log()
        again = other.exact(moved, lock_path=lock, locked=True)
        assert fresh.tags(COPY) == {"1.0": digests["v1.0"], "1.1": digests["v1.1"], "2": index}
        assert len(again["copied"]) == 3
        assert mirror.source.count("GET", "/tags/list|_catalog") == fresh.count("GET", "/tags/list|_catalog") == 0
        assert mirror.source.count("*", "/manifests/v") == 0


def test_a_lock_keeps_what_it_was_where_something_failed_for_good(mirror: Mirror, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text("old")
    digests = add(mirror.source, "1.0", "1.1")
    mirror.dest.fault("PUT", "/manifests/1.1$", status=403, times=9)
    mirror.run(keep_going=False, lock_path=str(lock))
    assert lock.read_text() == "old"
    mirror.run(lock_path=str(lock))
    assert [row["digest"] for row in json.loads(lock.read_text())["images"]] == [digests["1.0"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"images": [{}]}',
        '{"images": [{"src": "a/b:1", "dest": "c/d:1", "digest": ""}]}',
        json.dumps({"images": [{"src": f"a.example/b:1@sha256:{'0' * 64}", "dest": "c.example/d:1", "digest": "x"}]}),
    ],
)
def test_what_is_no_lock(mirror: Mirror, tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(text)
    with fails(InvalidInput, "FILE_ERROR", says="is no lock of this module"):
        mirror.run(lock_path=str(path), locked=True)
    assert mirror.source.requests == []


def test_a_lock_of_something_else(mirror: Mirror, tmp_path: Path) -> None:
    add(mirror.source, "1.0")
    lock = str(tmp_path / "lock.json")
    mirror.run(lock_path=lock)
    with fails(InvalidInput, "INVALID_OPTION", says="none of sources leads from there"):
        mirror.run(mirror.rule("other/app"), lock_path=lock, locked=True)
    with fails(InvalidInput, "FILE_ERROR", says="There is no lock"):
        mirror.run(lock_path=str(tmp_path / "none.json"), locked=True)


# --- shards


@given(st.lists(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True), unique=True), st.integers(1, 7))
def test_shards_are_a_partition(repositories: list[str], count: int) -> None:
    references = [Reference("registry.example:5000", name) for name in repositories]
    parts = [[one for one in references if Shard(index, count).has(one)] for index in range(count)]
    assert sorted(itertools.chain(*parts), key=str) == sorted(references, key=str)
    tagged = [one.with_tag("1") for one in references]
    assert [[Shard(index, count).has(one) for one in tagged] for index in range(count)] == [
        [Shard(index, count).has(one) for one in references] for index in range(count)
    ]


def test_shards_share_the_work_and_the_deletions(mirror: Mirror) -> None:
    repos = [f"team/app{number}" for number in range(9)]
    for repo in repos:
        add(mirror.source, "1.0", "1.1", repo=repo)
    rules = mirror.rule("team/*", "m/*", delete_extra=True), mirror.rule(f"{repos[0]}:1.0", "single/app:one")
    results = [mirror.run(*rules, shard={"index": index, "count": 3}) for index in range(3)]
    done = [row["reference"] for result in results for row in result["copied"]]
    assert len(done) == len(set(done)) == 19
    assert sum(bool(result["copied"]) for result in results) > 1
    for repo in repos:
        drop(mirror.source, "1.1", repo=repo)
    results = [mirror.run(*rules, shard={"index": index, "count": 3}, **ALL) for index in range(3)]
    gone = [row["reference"] for result in results for row in result["deleted"]]
    assert len(gone) == len(set(gone)) == 9
    assert not mirror.run(*rules, **ALL)["changed"]


# --- many


def test_a_thousand_tags_that_are_up_to_date(mirror: Mirror) -> None:
    """A HEAD on each side for each tag, and a page of the source's list for each thousand."""
    digest = mirror.source.add_image(REPO, layers=LAYERS)
    mirror.dest.add_image(COPY, layers=LAYERS)
    tags = {f"1.{number}": digest for number in range(1000)}
    mirror.source.api.repos[REPO].tags.update(tags)
    mirror.dest.api.repos[COPY].tags.update(tags)
    found = mirror.run()
    assert not found["changed"]
    assert mirror.dest.count("HEAD") == len(mirror.dest.requests) == 1000
    assert mirror.source.count("HEAD") == 1000
    assert mirror.source.count("GET", "/tags/list") == 2  # the page was full, so there might have been another
    assert len(mirror.source.requests) == 1002
    with_lock = found["transfer"]["requests"]
    assert with_lock == 2002


def test_many_images_share_what_they_have_in_common(mirror: Mirror) -> None:
    """Across the parts that are planned together, the common layer is looked for and sent once."""
    digests = add(mirror.source, *(f"1.{number}" for number in range(150)))
    found = mirror.run()
    assert mirror.dest.tags(COPY) == digests
    assert found["transfer"]["blobs_pushed"] == 301
    common = digest_of(gzipped(LAYERS[0]))
    assert mirror.dest.count("HEAD", f"/blobs/{common}") <= 2
    assert mirror.source.count("GET", "/manifests/") == 150


# --- options that cannot be


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"src": "a.example/b:1", "dest": "c.example/d/*"}, "INVALID_REFERENCE"),
        ({"src": "a.example/b", "dest": "c.example/d:1"}, "INVALID_REFERENCE"),
        ({"src": "a.example/*", "dest": "c.example/d"}, "INVALID_REFERENCE"),
        ({"src": "a.example/b*", "dest": "c.example/d"}, "INVALID_REFERENCE"),
        ({"src": "a.example/b/*/c/*", "dest": "c.example/d/*"}, "INVALID_REFERENCE"),
        ({"src": "a.example/b:1", "dest": "c.example/d", "delete_extra": True}, "INVALID_OPTION"),
        ({"src": "a.example/b:1", "dest": "c.example/d", "tags": {"newest": 1}}, "INVALID_OPTION"),
        ({"src": "a.example/b", "dest": "c.example/d", "repositories": {"include": ["x"]}}, "INVALID_OPTION"),
        ({"src": "a.example/b", "dest": "c.example/d", "tags": {"newest": 0}}, "INVALID_OPTION"),
        ({"src": "a.example/b", "dest": "c.example/d", "tags": {"include": ["("]}}, "INVALID_PATTERN"),
        ({"src": "a.example/b", "dest": "c.example/d", "rename_tags": [{"match": "(", "to": ""}]}, "INVALID_PATTERN"),
        (
            {"src": "a.example/b", "dest": "c.example/d", "rename_tags": [{"match": "a", "to": r"\1"}]},
            "INVALID_PATTERN",
        ),
        ({"src": "a.example/b", "dest": "c.example/d", "platforms": ["a/b/c/d"]}, "INVALID_PLATFORM"),
        ({"src": "a.example/b", "dest": "c.example/d", "age": {"duration": "1 week"}}, "INVALID_OPTION"),
        (
            {"src": "a.example/b", "dest": "c.example/d", "age": {"duration": "7d", "clock": ["first_seen"]}},
            "INVALID_OPTION",
        ),
    ],
)
def test_rules_that_cannot_be(rule: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_sync(make_session(), **{**OPTIONS, "sources": [{**RULE, **rule}]})
    assert caught.value.code == code, caught.value


@pytest.mark.parametrize(
    "options",
    [
        {"max_deletions": -1},
        {"max_share": 101},
        {"requests_per_second": 0.0},
        {"locked": True},
        {"shard": {"index": 3, "count": 3}},
        {"shard": {"index": -1, "count": 3}},
        {"shard": {"index": 0, "count": 0}},
        {"delete_protect": {"newest": 0}},
        {"lock_path": "/nonexistent/folder/lock"},
    ],
)
def test_options_that_cannot_be(mirror: Mirror, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        mirror.run(**options)
    assert mirror.source.requests == []


def test_nothing_to_do(mirror: Mirror) -> None:
    session = mirror.session()
    plan = plan_sync(session, **{**OPTIONS, "sources": []})
    assert (plan.changed, plan.result["images"]) == (False, [])


# --- how fast


def test_what_a_registry_does_not_allow_any_more_is_left_for_later(mirror: Mirror) -> None:
    """Docker Hub counts manifests that are pulled; the last one is asked for, and not one more."""
    digests = add(mirror.source, *(f"1.{number}" for number in range(6)))
    mirror.source.quirks = Quirks(pull_quota=4, rate_limit_headers=True)
    found = mirror.run()
    assert "failed" not in found
    assert (len(found["copied"]), len(found["left_out"])) == (4, 2)
    assert all("allows no more manifests" in row["reason"] for row in found["left_out"])
    assert [warning for warning in mirror.warnings if "run this task again later" in warning]
    assert 429 not in {request.status for request in mirror.source.requests}
    assert len(mirror.dest.tags(COPY)) == 4
    mirror.source.quirks = Quirks()
    assert names(mirror.exact()["copied"]) == names(found["left_out"])
    assert mirror.dest.tags(COPY) == digests


def test_so_many_requests_a_second(mirror: Mirror) -> None:
    sleeps: list[float] = []
    add(mirror.source, "1.0", "1.1")
    mirror.run(session=mirror.session(sleeps=sleeps, jobs=1), requests_per_second=0.1)
    counts = len(mirror.source.requests), len(mirror.dest.requests)
    assert len(sleeps) == sum(counts) - 2
    # Nobody really slept, so that each turn is later than the one before.
    assert max(sleeps) == pytest.approx((max(counts) - 1) * 10, abs=9)


# --- every kind of registry


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("side", ["source", "dest"])
def test_kinds_of_registries(profile: str, side: str) -> None:
    """The mirror is exact, or says why not, and what is kept is whole; a second run does nothing more."""
    odd = FakeRegistry(*PROFILES[profile])
    with odd, FakeRegistry() as plain:
        mirror = Mirror(*((odd, plain) if side == "source" else (plain, odd)))
        mirror.dest.create_repo(COPY)
        digests = add(mirror.source, "1.0", "1.1", "1.2")
        mirror.source.add_referrer(REPO, digests["1.0"], "application/vnd.example.sbom", b"sbom")
        rule = mirror.rule(referrers=True, delete_extra=True)
        assert len(mirror.exact(rule, **ALL, read_back=True)["copied"]) == 3
        drop(mirror.source, "1.1")
        found = mirror.run(rule, **ALL)
        tags = {tag for tag in mirror.dest.tags(COPY) if not tag.startswith("sha256-")}
        assert tags in ({"1.0", "1.2"}, {"1.0", "1.1", "1.2"})
        assert ("1.1" in tags) == (found["deleted"] == [])
        assert "1.1" not in tags or found["failures"] or found["kept"]
        assert all(complete(mirror.dest, COPY, tag) for tag in tags)
        assert not mirror.run(rule, check=True, **ALL)["changed"] or found["failures"]


# --- logins and names


def test_the_shorthand_login_is_for_the_destination(tmp_path: Path) -> None:
    with FakeRegistry() as source, FakeRegistry(auth=Auth(users={USER: PASSWORD})) as dest:
        add(source, "1.0")
        options = {
            "sources": [{"src": f"{source.host}/team/*", "dest": f"{dest.host}/mirror/*"}],
            "username": USER,
            "password": PASSWORD,
            "auth_file": str(tmp_path / "auth.json"),
        }
        found = run_module("oci_sync", options)
        assert names(found["copied"]) == ["1.0"]
        assert all("authorization" not in request.headers for request in source.requests)


def test_names_without_a_host_are_told_as_they_were_read() -> None:
    sources = [{"src": "localhost:5000/team/*", "dest": "prod/*"}]
    assert "was read as docker.io/prod/" in read_as({"sources": sources}, "docker.io")
    assert acted_on({"sources": sources}) == {"docker.io"}


def test_nothing_goes_that_an_unlisted_tag_of_the_destination_has(mirror: Mirror) -> None:
    """Where a tag goes with its manifest alone, a list that was cut off would break what it lacks."""
    mirror.dest.quirks = OLD
    rule = exactly(mirror, "1.0", "1.1", "1.2")
    mirror.dest.api.repos[COPY].tags["own"] = mirror.dest.tags(COPY)["1.1"]
    drop(mirror.source, "1.1")
    mirror.dest.fault("GET", "/tags/list$|/tags/list.n=1000$", status=200, body={"tags": ["1.0", "1.1"]}, times=99)
    found = mirror.run(rule, **ALL)
    assert mirror.dest.tags(COPY)["own"] in mirror.dest.manifests(COPY), found


def test_a_tag_that_came_meanwhile_keeps_the_image(mirror: Mirror) -> None:
    mirror.dest.quirks = OLD
    rule = exactly(mirror, "1.0", "1.1")
    drop(mirror.source, "1.1")
    session = mirror.session()
    plan = plan_sync(session, **{**OPTIONS, **ALL, "sources": [rule]})
    digest = mirror.dest.tags(COPY)["1.1"]
    mirror.dest.api.repos[COPY].tags["promoted"] = digest
    done = plan.apply(session.map)
    assert digest in mirror.dest.manifests(COPY)
    assert done.result["deleted"] == []


@KINDS
@pytest.mark.parametrize("late", [True, False])
def test_a_signature_stays_with_an_image_that_stays(mirror: Mirror, quirks: Quirks, late: bool) -> None:
    """The image was to go, and is needed since, or its registry does not delete it."""
    sig = f"{digest_tag(add(mirror.source, '1.1')['1.1'])}.sig"
    mirror.source.add_image(REPO, sig, layers=[b"sig"])
    rule = exactly(mirror, "1.0", referrers=True)
    mirror.dest.quirks = quirks
    drop(mirror.source, "1.1")
    session = mirror.session(retries=0)
    plan = plan_sync(session, **{**OPTIONS, **ALL, "sources": [rule]})
    digest = mirror.dest.tags(COPY)["1.1"]
    if late:
        mirror.dest.api.repos[COPY].tags["promoted"] = digest
    else:
        mirror.dest.fault("DELETE", f"/manifests/({digest}|1.1)$", status=500, times=99)
    done = plan.apply(session.map)
    assert sig in mirror.dest.tags(COPY)
    assert digest in mirror.dest.manifests(COPY)
    assert sig not in names(done.result["deleted"])


@pytest.mark.parametrize("tags", [["9.0"], [], None])
def test_nothing_is_deleted_that_another_source_has_but_does_not_list(mirror: Mirror, tags: Any) -> None:
    add(mirror.source, "9.0", "9.1", repo="other/app")
    rules = mirror.rule(delete_extra=True), mirror.rule("other/app")
    add(mirror.source, "1.0", "1.1")
    mirror.run(*rules)
    drop(mirror.source, "1.1")
    mirror.source.fault("GET", "/other/app/tags/list", status=200, body={"tags": tags}, times=99)
    found = mirror.run(*rules, **ALL)
    assert {"9.0", "9.1"} <= set(mirror.dest.tags(COPY)), found


def test_nothing_is_deleted_of_a_repository_that_a_catalog_does_not_list(mirror: Mirror) -> None:
    with FakeRegistry() as third:
        add(third, "9.0", repo="x/app")
        add(third, "9.0", repo="x/else")
        add(mirror.source, "1.0", "1.1")
        every = {**mirror.rule("*", "mirror/*"), "src": f"{third.host}/x/*"}
        rule = mirror.rule(delete_extra=True)
        mirror.run(rule, every)
        drop(mirror.source, "1.1")
        third.fault("GET", "/_catalog", status=200, body={"repositories": ["x/else"]}, times=99)
        found = mirror.run(rule, every, **ALL)
    assert "9.0" in mirror.dest.tags(COPY), found


def test_a_lock_holds_what_the_destination_gets(mirror: Mirror, tmp_path: Path) -> None:
    add_platforms(mirror.source, tag="1.0")
    lock = str(tmp_path / "lock")
    mirror.run(mirror.rule(platforms=["linux/amd64"]), lock_path=lock)
    state = mirror.dest.state()
    found = mirror.run(mirror.rule(), lock_path=lock, locked=True)
    assert found["failures"] and "lock" in found["failures"][0]["reason"]
    assert mirror.dest.state() == state
