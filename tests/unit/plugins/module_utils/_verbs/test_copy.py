# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying images: what is planned, what it costs, and that no tag ever points at something incomplete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    Denied,
    InvalidInput,
    NotFound,
    OCIError,
    Refused,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import digest_tag
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST, Layer, digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    complete,
    copy_plan,
    fails,
    login,
    make_session,
    switches,
)
from ansible_collections.quayside.registry.tests.unit.kit import copy_plan as plan

SBOM = "application/vnd.example.sbom"
COPY = "team/copy"


class Pair:
    """A source and a destination, and sessions that are logged in to both."""

    def __init__(self, source: FakeRegistry, dest: FakeRegistry) -> None:
        self.source, self.dest = source, dest

    def session(self, **options: Any) -> Session:
        return make_session(login(self.source), login(self.dest), **options)

    def plan(self, src: str = "1", dest: str = ":1", **options: Any) -> tuple[Session, Plan]:
        session = self.session()
        name = f"{self.source.host}/{REPO}" + ("@" if ":" in src else ":") + src
        return session, plan(session, name, f"{self.dest.host}/{COPY}{dest}", **options)

    def copy(self, src: str = "1", dest: str = ":1", **options: Any) -> Plan:
        session, planned = self.plan(src, dest, **options)
        apply(session, planned)
        return planned

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *dummy: Any) -> None:
        self.source.__exit__(*dummy)
        self.dest.__exit__(*dummy)

    def reset_log(self) -> None:
        self.source.reset_log()
        self.dest.reset_log()

    def log(self) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in self.source.requests + self.dest.requests]


@pytest.fixture
def pair() -> Any:
    with Pair(FakeRegistry(), FakeRegistry()) as found:
        yield found


def puts(registry: FakeRegistry) -> list[str]:
    """The tags and digests that manifests were put under, in order."""
    return [r.path.rpartition("/")[2] for r in registry.requests if r.method == "PUT" and "/manifests/" in r.path]


# --- what is copied


def test_image(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    before = pair.dest.state()
    session, planned = pair.plan()
    assert pair.dest.state() == before
    assert planned.changed
    assert planned.result["previous_digest"] is None
    assert planned.result["reference"] == f"{pair.dest.host}/{COPY}@{digest}"
    done = apply(session, planned)
    assert done == planned.cost()
    assert done.blobs_pushed == 3
    assert pair.dest.tags(COPY) == {"1": digest}
    assert complete(pair.dest, COPY, "1")
    assert puts(pair.dest) == ["1"]


@pytest.mark.parametrize("media", ["oci", "docker"])
def test_index_with_its_attestations(pair: Pair, media: str) -> None:
    digest = add_platforms(pair.source, media=media)
    pair.copy()
    assert pair.dest.tags(COPY) == {"1": digest}
    assert pair.dest.manifests(COPY) == pair.source.manifests(REPO)
    assert complete(pair.dest, COPY, "1")
    assert puts(pair.dest)[-1] == "1"


def test_nested_indexes_come_after_their_members(pair: Pair) -> None:
    inner = add_platforms(pair.source, tag=None)
    outer = pair.source.add_index(REPO, "1", [pair.source.descriptor(REPO, inner)])
    pair.copy()
    assert complete(pair.dest, COPY, "1")
    assert puts(pair.dest)[-2:] == [inner, "1"]
    assert pair.dest.tags(COPY) == {"1": outer}


def test_indexes_without_end(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, layers=LAYERS)
    for dummy in range(10):
        digest = pair.source.add_index(REPO, "1", [pair.source.descriptor(REPO, digest)])
    with fails(ContentError, "MANIFEST_INVALID", says="more than 8 deep"):
        pair.plan()


def test_sha512(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    manifest = pair.source.manifests(REPO)[digest]
    long = digest_of(manifest.body, "sha512")
    pair.source.api.repos[REPO].manifests[long] = manifest
    pair.copy(long, "@" + long)
    assert long in pair.dest.manifests(COPY)


def test_artifact(pair: Pair) -> None:
    subject = pair.source.add_image(REPO, layers=LAYERS)
    digest = pair.source.add_referrer(REPO, subject, SBOM, b"sbom")
    pair.copy(digest, ":sbom")
    assert pair.dest.tags(COPY) == {"sbom": digest}


def test_foreign_layer_that_the_source_does_not_have(pair: Pair) -> None:
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": digest_of(b"elsewhere"),
        "size": 9,
        "urls": ["http://example.invalid/layer"],
    }
    pair.source.add_image(REPO, "1", layers=[foreign, LAYERS[0]], media="docker")
    planned = pair.copy()
    assert "may not be distributed" in planned.warnings[0]
    assert "1" in pair.dest.tags(COPY)


@pytest.mark.parametrize(
    ("src", "dest", "tag"), [("1", "", "1"), ("latest", "", "latest"), ("1", ":2", "2"), ("digest", ":2", "2")]
)
def test_tag_of_the_destination(pair: Pair, src: str, dest: str, tag: str) -> None:
    digest = pair.source.add_image(REPO, src if src != "digest" else None, layers=LAYERS)
    pair.copy(src if src != "digest" else digest, dest)
    assert pair.dest.tags(COPY) == {tag: digest}


def test_digest_to_no_tag(pair: Pair) -> None:
    digest = add_platforms(pair.source)
    planned = pair.copy(digest, "")
    assert planned.result["images"][0]["dest"] == f"{pair.dest.host}/{COPY}@{digest}"
    assert pair.dest.tags(COPY) == {}
    assert complete(pair.dest, COPY, digest)
    pair.reset_log()
    assert not pair.plan(digest, "")[1].changed
    assert len(pair.log()) == 1


def test_digest_of_the_destination_cannot_be_chosen(pair: Pair) -> None:
    pair.source.add_image(REPO, "1", layers=LAYERS)
    wish = digest_of(b"wish")
    for dest in (f"@{wish}", f":2@{wish}"):
        says = f"cannot be stored as {pair.dest.host}/{COPY}{dest}: its digest is"
        with fails(InvalidInput, "INVALID_OPTION", says=says):
            pair.plan("1", dest)


# --- what it costs


def test_up_to_date_costs_one_head_on_each_side(pair: Pair) -> None:
    add_platforms(pair.source)
    pair.copy()
    pair.reset_log()
    session, planned = pair.plan()
    assert not planned.changed
    assert planned.before == planned.after
    assert pair.log() == [("HEAD", f"/v2/{REPO}/manifests/1"), ("HEAD", f"/v2/{COPY}/manifests/1")]
    assert session.transport.counters.bytes_received == 0


def test_a_digest_that_is_there_costs_one_head_in_all(pair: Pair) -> None:
    digest = add_platforms(pair.source)
    pair.copy()
    pair.reset_log()
    assert not pair.plan(digest)[1].changed
    assert pair.log() == [("HEAD", f"/v2/{COPY}/manifests/1")]


def test_many_that_are_up_to_date(pair: Pair) -> None:
    digest = add_platforms(pair.source)
    tags = [f"v{number}" for number in range(20)]
    for registry, repo in ((pair.source, REPO), (pair.dest, COPY)):
        add_platforms(registry, repo)
        registry.api.repos[repo].tags.update(dict.fromkeys(tags, digest))
    images = [{"src": f"{pair.source.host}/{REPO}:{t}", "dest": f"{pair.dest.host}/{COPY}:{t}"} for t in tags]
    session = pair.session()
    assert not plan(session, images=images).changed
    assert [method for method, dummy in pair.log()] == ["HEAD"] * 40
    pools = [manager.pools for manager in session.transport._managers.values()]
    made = sum(found[key].num_connections for found in pools for key in found.keys())  # noqa: SIM118 - it is no dict
    assert made <= 2 * session.jobs


def test_forecast_is_what_happens(pair: Pair) -> None:
    add_platforms(pair.source)
    session, planned = pair.plan()
    counters = session.transport.counters
    forecast = Cost(counters.bytes_sent, counters.bytes_received) + planned.cost()
    done = apply(session, planned)
    assert (counters.bytes_sent, counters.bytes_received) == (forecast.bytes_sent, forecast.bytes_received)
    assert done.blobs_pushed == forecast.blobs_pushed == len(pair.source.blobs(REPO))


def test_blobs_that_are_there_are_not_sent(pair: Pair) -> None:
    pair.source.add_image(REPO, "1", layers=LAYERS)
    pair.copy()
    pair.source.add_image(REPO, "2", layers=[*LAYERS, b"one more"])
    pair.reset_log()
    planned = pair.copy("2", ":2")
    assert (planned.cost().blobs_skipped, planned.cost().blobs_pushed) == (2, 2)
    assert pair.source.count("GET", "/blobs/") == pair.dest.count("PATCH") == 2


def test_the_largest_blobs_begin_first(pair: Pair) -> None:
    pair.source.add_image(REPO, "1", layers=[bytes(size) for size in (2000, 9000, 1000, 5000)])
    dummy, planned = pair.plan()
    sent = [step.cost.bytes_sent for step in planned.steps if step.stage == "blobs"]
    assert len(sent) == 5
    assert sent == sorted(sent, reverse=True)


def test_a_new_tag_for_what_is_there(pair: Pair) -> None:
    digest = add_platforms(pair.source)
    pair.copy()
    pair.reset_log()
    planned = pair.copy("1", ":2")
    assert pair.dest.tags(COPY) == {"1": digest, "2": digest}
    assert len(planned.steps) == 1
    assert pair.source.count("GET", "/blobs/") == pair.dest.count("PATCH|POST") == 0


def test_a_layer_that_two_images_share_is_sent_once(pair: Pair) -> None:
    for tag in ("1", "2"):
        pair.source.add_image(REPO, tag, layers=[LAYERS[0]], config={"author": tag})
    session = pair.session()
    images = [{"src": f"{pair.source.host}/{REPO}:{t}", "dest": f"{pair.dest.host}/team/{t}x:1"} for t in "12"]
    planned = plan(session, images=images)
    apply(session, planned)
    assert (planned.cost().blobs_pushed, planned.cost().blobs_mounted) == (3, 1)
    assert all(complete(pair.dest, f"team/{t}x", "1") for t in "12")
    shared = [blob for blob in pair.source.blobs(REPO) if pair.source.count("GET", blob) > 1]
    assert shared == []


# --- within one registry


def within(registry: FakeRegistry, **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    return session, plan(session, f"{registry.host}/{REPO}:1", f"{registry.host}/{COPY}:1", **options)


def test_blobs_are_mounted_within_a_registry() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        session, planned = within(registry)
        done = apply(session, planned)
        assert done.blobs_mounted == len(registry.blobs(REPO))
        assert (done.blobs_pushed, done.bytes_received) == (0, 0)
        assert registry.count("GET", "/blobs/") == registry.count("PATCH") == 0
        assert registry.tags(COPY) == {"1": digest}
        assert complete(registry, COPY, "1")


@pytest.mark.parametrize(
    "quirks",
    [Quirks(mount_202=True), *(Quirks(mount_status=status) for status in (400, 401, 403, 404, 405))],
    ids=switches,
)
def test_mounts_that_are_refused_become_uploads(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        add_platforms(registry)
        session, planned = within(registry)
        done = apply(session, planned)
        assert (done.blobs_mounted, done.blobs_pushed) == (0, len(registry.blobs(REPO)))
        assert complete(registry, COPY, "1")
        assert all(not content["uploads"] for content in registry.state().values())


def test_within_a_repository_nothing_moves() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        session = make_session()
        apply(session, plan(session, f"{registry.host}/{REPO}:1", f"{registry.host}/{REPO}:2"))
        assert registry.tags(REPO) == {"1": digest, "2": digest}
        assert registry.count("POST|PATCH") == 0


# --- platforms


def test_platforms_make_a_smaller_index(pair: Pair) -> None:
    whole = add_platforms(pair.source)
    planned = pair.copy(platforms=["linux/amd64"])
    members = pair.dest.manifest(COPY, "1")["manifests"]
    assert [member["platform"]["architecture"] for member in members] == ["amd64", "unknown"]
    assert pair.dest.tags(COPY)["1"] == planned.result["digest"] != whole
    assert complete(pair.dest, COPY, "1")
    pair.reset_log()
    assert not pair.plan(platforms=["linux/amd64"])[1].changed
    assert pair.dest.count() == 1


def test_all_platforms_are_the_index_itself(pair: Pair) -> None:
    whole = add_platforms(pair.source)
    assert pair.copy(platforms=["linux"]).result["digest"] == whole


def test_platform_that_is_not_there(pair: Pair) -> None:
    add_platforms(pair.source)
    with fails(ContentError, "PLATFORM_NOT_FOUND", pair.source.host, None, "it has linux/amd64, linux/arm64"):
        pair.plan(platforms=["linux/amd64", "linux/s390x"])


def test_platform_of_a_single_image(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, "1", layers=LAYERS, platform="linux/arm/v7")
    assert pair.copy(platforms=["linux/arm"]).result["digest"] == digest
    with fails(ContentError, "PLATFORM_NOT_FOUND", pair.source.host, None, "is a single image for linux/arm/v7"):
        pair.plan(platforms=["linux/amd64"])


# --- several images, all tags


def test_index_and_its_member_under_tags_of_their_own(pair: Pair) -> None:
    """As in many repositories; the index's tag sorts before the member's, which must be there nevertheless."""
    index = add_platforms(pair.source, tag="1.0")
    member = pair.source.manifest(REPO, "1.0")["manifests"][0]["digest"]
    outer = pair.source.add_index(REPO, "0.9", [pair.source.descriptor(REPO, index)])
    pair.source.api.repos[REPO].tags["1.0-amd64"] = member
    session = pair.session()
    apply(session, plan(session, f"{pair.source.host}/{REPO}", f"{pair.dest.host}/{COPY}", all_tags=True))
    assert pair.dest.tags(COPY) == {"0.9": outer, "1.0": index, "1.0-amd64": member}
    assert all(complete(pair.dest, COPY, tag) for tag in pair.dest.tags(COPY))


def test_all_tags_leaves_others_alone(pair: Pair) -> None:
    for tag in ("a", "b"):
        pair.source.add_image(REPO, tag, layers=[tag.encode()])
    other = pair.dest.add_image(COPY, "c", layers=LAYERS)
    session = pair.session()
    planned = plan(session, f"{pair.source.host}/{REPO}", f"{pair.dest.host}/{COPY}", all_tags=True)
    apply(session, planned)
    assert pair.dest.tags(COPY) == {**pair.source.tags(REPO), "c": other}
    assert [image["changed"] for image in planned.result["images"]] == [True, True]
    assert planned.result["digest"] is None


def test_all_tags_of_nothing(pair: Pair) -> None:
    with fails(NotFound, "NAME_UNKNOWN", pair.source.host, None, "has no tags"):
        plan(pair.session(), f"{pair.source.host}/{REPO}", f"{pair.dest.host}/{COPY}", all_tags=True)


def test_all_tags_takes_repositories(pair: Pair) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE", says="a repository is wanted here"):
        plan(pair.session(), f"{pair.source.host}/{REPO}:1", f"{pair.dest.host}/{COPY}", all_tags=True)
    with fails(InvalidInput, "INVALID_OPTION", says="all_tags needs src and dest"):
        plan(pair.session(), images=[{"src": "a", "dest": "b"}], all_tags=True)


def test_tags_come_last_of_all(pair: Pair) -> None:
    for tag in ("1", "2"):
        add_platforms(pair.source, tag=tag)
        pair.source.add_image(REPO, f"{tag}-small", layers=[tag.encode()])
    session = pair.session(jobs=1)
    apply(session, plan(session, f"{pair.source.host}/{REPO}", f"{pair.dest.host}/{COPY}", all_tags=True))
    kinds = [":" in put for put in puts(pair.dest)]
    assert kinds == sorted(kinds, reverse=True)
    first = next(number for number, request in enumerate(pair.dest.requests) if request.path.endswith("/manifests/1"))
    assert first < len(pair.dest.requests)


def test_one_that_is_missing_stops_all(pair: Pair) -> None:
    pair.source.add_image(REPO, "1", layers=LAYERS)
    images = [{"src": f"{pair.source.host}/{REPO}:{t}", "dest": f"{pair.dest.host}/{COPY}:{t}"} for t in "12"]
    with fails(NotFound, "MANIFEST_UNKNOWN", pair.source.host, 404, f"{REPO}:2 does not exist"):
        plan(pair.session(), images=images)
    assert pair.dest.count("POST|PUT|PATCH") == 0


def test_two_digests_for_one_tag(pair: Pair) -> None:
    for tag in "12":
        pair.source.add_image(REPO, tag, layers=[tag.encode()])
    images = [{"src": f"{pair.source.host}/{REPO}:{t}", "dest": f"{pair.dest.host}/{COPY}:x"} for t in "12"]
    with fails(InvalidInput, "CONFLICT", says="have different digests"):
        plan(pair.session(), images=images)


def test_the_same_twice(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    images = [{"src": f"{pair.source.host}/{REPO}:1", "dest": f"{pair.dest.host}/{COPY}:1"}] * 2
    session = pair.session()
    planned = plan(session, images=images)
    assert [action.partition(" ")[0] for action in planned.actions].count("Tag") == 1
    apply(session, planned)
    assert pair.dest.tags(COPY) == {"1": digest}


# --- what exists


@pytest.mark.parametrize("on_existing", ["replace", "keep", "fail"])
def test_the_same_digest_is_always_good(pair: Pair, on_existing: str) -> None:
    pair.source.add_image(REPO, "1", layers=LAYERS)
    pair.copy()
    assert not pair.plan(on_existing=on_existing)[1].changed


def test_another_digest(pair: Pair) -> None:
    new, old = pair.source.add_image(REPO, "1", layers=LAYERS), pair.dest.add_image(COPY, "1", layers=[b"old"])
    state = pair.dest.state()
    kept = pair.copy(on_existing="keep")
    assert not kept.changed
    assert f"Keep {pair.dest.host}/{COPY}:1 at {old}" in kept.actions[0]
    assert (kept.result["digest"], kept.result["previous_digest"]) == (old, old)
    with fails(Refused, "TAG_EXISTS", pair.dest.host, None, f"{COPY}:1 exists already with the digest {old}"):
        pair.plan(on_existing="fail")
    assert pair.dest.state() == state
    moved = pair.copy()
    assert (moved.result["digest"], moved.result["previous_digest"]) == (new, old)
    assert moved.before != moved.after


# --- repair


def test_repair(pair: Pair) -> None:
    add_platforms(pair.source)
    pair.copy()
    repo = pair.dest.api.repos[COPY]
    kept, lost = (child["digest"] for child in pair.source.manifest(REPO, "1")["manifests"][:2])
    below_kept, below_lost = (pair.source.manifest(REPO, child)["layers"][1]["digest"] for child in (kept, lost))
    del repo.manifests[lost], repo.blobs[below_kept], repo.blobs[below_lost]
    assert not pair.plan()[1].changed
    planned = pair.copy(repair=True)
    assert complete(pair.dest, COPY, "1")
    assert [step.cost.blobs_pushed for step in planned.steps] == [1, 1, 0]
    assert not pair.plan(repair=True)[1].changed


# --- referrers


def signed(registry: FakeRegistry) -> tuple[str, set[str]]:
    """An index; the digests of what refers to it, to a member, and to a referrer of it."""
    index = add_platforms(registry)
    member = registry.manifest(REPO, "1")["manifests"][0]["digest"]
    sbom = registry.add_referrer(REPO, index, SBOM, b"sbom", annotations={"a": "b"})
    found = {sbom, registry.add_referrer(REPO, member, SBOM, b"of a member")}
    return index, found | {registry.add_referrer(REPO, sbom, SBOM, b"signature of the sbom")}


def test_referrers(pair: Pair) -> None:
    index, expected = signed(pair.source)
    pair.copy()
    assert not expected & set(pair.dest.manifests(COPY))
    pair.copy(referrers=True)
    assert expected <= set(pair.dest.manifests(COPY))
    assert pair.dest.tags(COPY) == {"1": index}
    assert not pair.plan(referrers=True)[1].changed


def test_referrers_of_images_in_an_index_in_an_index(pair: Pair) -> None:
    inner = add_platforms(pair.source, tag=None)
    pair.source.add_index(REPO, "1", [inner, pair.source.add_image(REPO, layers=LAYERS[:1], platform="linux/s390x")])
    image = pair.source.manifest(REPO, inner)["manifests"][0]["digest"]
    made = pair.source.add_referrer(REPO, image, SBOM, b"of an image")
    pair.copy(referrers=True)
    assert made in pair.dest.manifests(COPY)
    assert not pair.plan(referrers=True)[1].changed


def test_referrers_to_a_registry_without_the_api(pair: Pair) -> None:
    index, expected = signed(pair.source)
    pair.dest.quirks = Quirks(no_referrers_api=True)
    session, planned = pair.plan(referrers=True)
    counters = session.transport.counters
    forecast = Cost(counters.bytes_sent, counters.bytes_received) + planned.cost()
    apply(session, planned)
    assert (counters.bytes_sent, counters.bytes_received) == (forecast.bytes_sent, forecast.bytes_received)
    listed = [tag for tag in pair.dest.tags(COPY) if tag.startswith("sha256-")]
    found = [entry for tag in listed for entry in pair.dest.manifest(COPY, tag)["manifests"]]
    assert {entry["digest"] for entry in found} == expected
    assert {entry["artifactType"] for entry in found} == {SBOM}
    assert [entry["annotations"] for entry in found if "annotations" in entry] == [{"a": "b"}]
    assert not pair.plan(referrers=True)[1].changed
    pair.source.add_referrer(REPO, index, SBOM, b"another")
    pair.copy(referrers=True)
    assert len(pair.dest.manifest(COPY, digest_tag(index))["manifests"]) == 2


def test_referrers_from_a_registry_without_the_api(pair: Pair) -> None:
    pair.source.quirks = Quirks(no_referrers_api=True)
    index = add_platforms(pair.source)
    sbom = pair.source.add_referrer(REPO, index, SBOM, b"sbom")
    pair.source.add_index(REPO, digest_tag(index), [pair.source.descriptor(REPO, sbom)])
    pair.copy(referrers=True)
    assert sbom in pair.dest.manifests(COPY)
    assert pair.dest.tags(COPY) == {"1": index}


def test_tags_of_cosign(pair: Pair) -> None:
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    tags = {digest_tag(digest) + suffix for suffix in (".sig", ".att", ".sbom")}
    for tag in tags:
        pair.source.add_image(REPO, tag, layers=[tag.encode()])
    pair.source.add_image(REPO, digest_tag(digest_of(b"another")) + ".sig", layers=[b"x"])
    pair.copy(referrers=True)
    assert set(pair.dest.tags(COPY)) == {"1", *tags}
    assert not pair.plan(referrers=True)[1].changed


@pytest.mark.parametrize("on_existing", ["replace", "keep", "fail"])
def test_all_tags_with_what_refers_to_them(pair: Pair, on_existing: str) -> None:
    """Tags beside an image are merged, as without all_tags, and not copied over what the destination has there."""
    for registry in (pair.source, pair.dest):
        registry.quirks = Quirks(no_referrers_api=True)
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    listed, another = digest_tag(digest), digest_tag(digest_of(b"another")) + ".sig"
    for registry, repo in ((pair.source, REPO), (pair.dest, COPY)):
        registry.add_image(repo, "1", layers=LAYERS)
        sbom = registry.add_referrer(repo, digest, SBOM, repo.encode())
        registry.add_index(repo, listed, [registry.descriptor(repo, sbom)])
    pair.source.add_image(REPO, f"{listed}.sbom", layers=[b"x"])
    pair.source.add_image(REPO, another, layers=[b"y"])
    names = {"src": f"{pair.source.host}/{REPO}", "dest": f"{pair.dest.host}/{COPY}"}
    options = {"all_tags": True, "referrers": True, "on_existing": on_existing}
    session = pair.session()
    planned = plan(session, **names, **options)
    assert len([action for action in planned.actions if f"{listed}.sbom" in action]) == 1
    apply(session, planned)
    assert [row["dest"].rpartition(":")[2] for row in planned.result["images"]] == ["1", another]
    assert set(pair.dest.tags(COPY)) == {"1", listed, f"{listed}.sbom", another}
    assert len(pair.dest.manifest(COPY, listed)["manifests"]) == 2
    assert not plan(pair.session(), **names, **options).changed


def test_all_tags_take_tags_along_that_belong_to_nothing_else(pair: Pair) -> None:
    """To what is not tagged any more, or no list that the registry knows of; what the destination has there stays."""
    digest = pair.source.add_image(REPO, "1", layers=LAYERS)
    gone, kept = (digest_tag(digest_of(text)) + ".sig" for text in (b"gone", b"kept"))
    sbom = pair.source.add_referrer(REPO, pair.source.add_image(REPO, None, layers=LAYERS[:1]), SBOM, b"sbom")
    for tag in (gone, kept):
        pair.source.add_image(REPO, tag, layers=[b"signature"])
    pair.source.add_index(REPO, digest_tag(digest), [pair.source.descriptor(REPO, sbom)])
    theirs = pair.dest.add_image(COPY, kept, layers=[b"theirs"])
    names = {"src": f"{pair.source.host}/{REPO}", "dest": f"{pair.dest.host}/{COPY}"}
    session = pair.session()
    planned = plan(session, **names, all_tags=True, referrers=True)
    apply(session, planned)
    assert pair.dest.tags(COPY).keys() == {"1", gone, kept, digest_tag(digest)}
    assert pair.dest.tags(COPY)[kept] == theirs
    assert planned.actions[-1].startswith(f"Keep {pair.dest.host}/{COPY}:{kept} at {theirs}: it belongs to no image")
    sent = [action.partition(" ")[0] for action in planned.actions[:-1]]
    assert sent == sorted(sent, key=lambda word: word == "Tag")
    assert len(set(planned.actions)) == len(planned.actions)
    again = plan(pair.session(), **names, all_tags=True, referrers=True)
    assert not again.changed
    assert [row["dest"] for row in again.result["images"]] == [row["dest"] for row in planned.result["images"]]


# --- what goes wrong


@pytest.mark.parametrize("what", ["layer", "config", "member", "index"])
def test_damage_is_never_tagged(pair: Pair, what: str) -> None:
    index = add_platforms(pair.source)
    member = pair.source.manifest(REPO, "1")["manifests"][0]["digest"]
    image = pair.source.manifest(REPO, member)
    digests = {"index": index, "member": member, "layer": image["layers"][0]["digest"]}
    pair.source.fault(path=digests.get(what, image["config"]["digest"]), action="flip", times=99)
    with fails(ContentError, "DIGEST_MISMATCH", pair.source.host):
        pair.copy()
    assert pair.dest.tags(COPY) == {}
    assert all(not content["uploads"] for content in pair.dest.state().values())


def test_damage_that_passes_is_fetched_again(pair: Pair) -> None:
    digest = add_platforms(pair.source)
    pair.source.fault(path="/blobs/", action="flip", times=1)
    pair.copy()
    assert pair.dest.tags(COPY) == {"1": digest}
    assert complete(pair.dest, COPY, "1")


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_trouble_at_the_destination_is_not_an_empty_one(pair: Pair, status: int) -> None:
    pair.source.add_image(REPO, "1", layers=LAYERS)
    pair.dest.fault("HEAD|GET", status=status, times=99)
    kind = Denied if status in (401, 403) else RegistryError
    if status == 403:  # some say that of a tag that is not there, and the write would tell
        pair.dest.quirks = Quirks(push_status=403)
    with pytest.raises(kind) as caught:
        pair.copy()
    assert (caught.value.registry, caught.value.status) == (pair.dest.host, status)


def test_source_with_parts_that_are_none(pair: Pair) -> None:
    pair.source.add_manifest(REPO, {"layers": 1}, OCI_MANIFEST, tag="1")
    with fails(ContentError, "MANIFEST_INVALID", pair.source.host, None, "layers"):
        pair.plan()


def test_source_that_does_not_exist(pair: Pair) -> None:
    with fails(NotFound, "MANIFEST_UNKNOWN", pair.source.host, 404, f"The source {pair.source.host}/{REPO}:1"):
        pair.plan()


def test_token_that_ends_under_way() -> None:
    auth = PROFILES["harbor"][1]
    with Pair(FakeRegistry(auth=auth), FakeRegistry(auth=auth)) as pair:
        digest = add_platforms(pair.source)
        session, planned = pair.plan()
        pair.source.expire_tokens()
        pair.dest.expire_tokens()
        apply(session, planned)
        assert pair.dest.tags(COPY) == {"1": digest}


@pytest.mark.parametrize("seed", range(12))
def test_random_trouble_never_leaves_a_tag_incomplete(seed: int) -> None:
    """Ends in the right state, or in an error; and the next run mends it."""
    with Pair(FakeRegistry(), FakeRegistry()) as pair:
        digest = add_platforms(pair.source)
        pair.source.random_faults(seed, 0.15)
        pair.dest.random_faults(seed + 1000, 0.15)
        try:
            pair.copy()
            assert pair.dest.tags(COPY) == {"1": digest}
        except OCIError as exc:
            assert exc.registry in (pair.source.host, pair.dest.host)
        assert not pair.dest.tags(COPY) or complete(pair.dest, COPY, "1")
        pair.source.random_faults(0, 0)
        pair.dest.random_faults(0, 0)
        pair.copy()
        assert complete(pair.dest, COPY, "1")
        assert not pair.plan()[1].changed


# --- registries as they are


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("media", ["oci", "docker"])
def test_from_each_profile(name: str, media: str) -> None:
    with Pair(FakeRegistry(*PROFILES[name]), FakeRegistry()) as pair:
        digest = add_platforms(pair.source, media=media)
        pair.copy()
        assert pair.dest.tags(COPY) == {"1": digest}
        assert complete(pair.dest, COPY, "1")


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("media", ["oci", "docker"])
def test_to_each_profile(name: str, media: str) -> None:
    with Pair(FakeRegistry(), FakeRegistry(*PROFILES[name])) as pair:
        digest = add_platforms(pair.source, media=media)
        pair.dest.create_repo(COPY)
        pair.copy()
        assert pair.dest.tags(COPY) == {"1": digest}
        assert complete(pair.dest, COPY, "1")
        assert not pair.plan()[1].changed


@pytest.mark.parametrize("name", PROFILES)
def test_within_each_profile(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        digest = add_platforms(registry)
        registry.create_repo(COPY)
        session, planned = within(registry)
        apply(session, planned)
        assert registry.tags(COPY) == {"1": digest}
        assert complete(registry, COPY, "1")


def test_repository_that_must_exist() -> None:
    with Pair(FakeRegistry(), FakeRegistry(*PROFILES["ecr"])) as pair:
        pair.source.add_image(REPO, "1", layers=LAYERS)
        with fails(NotFound, "NAME_UNKNOWN", pair.dest.host, 404, "does not exist in the registry"):
            pair.copy()


def test_immutable_tag() -> None:
    with Pair(FakeRegistry(), FakeRegistry(Quirks(immutable_tags="412"))) as pair:
        pair.source.add_image(REPO, "1", layers=LAYERS)
        old = pair.dest.add_image(COPY, "1", layers=[b"old"])
        with fails(RegistryError, "DENIED", pair.dest.host, 412, "the tag 1 is immutable"):
            pair.copy()
        assert pair.dest.tags(COPY) == {"1": old}


def test_zstd_layer(pair: Pair) -> None:
    layer = Layer(b"(\xb5/\xfd", "application/vnd.oci.image.layer.v1.tar+zstd", digest_of(b""))
    digest = pair.source.add_image(REPO, "1", layers=[layer])
    pair.copy()
    assert pair.dest.tags(COPY) == {"1": digest}
    assert json.loads(pair.dest.manifests(COPY)[digest].body)["layers"][0]["mediaType"].endswith("+zstd")


def test_anonymous_copy_needs_no_login() -> None:
    auth = Auth(anonymous_pull=True)
    with Pair(FakeRegistry(auth=auth), FakeRegistry()) as pair:
        digest = add_platforms(pair.source)
        session = make_session()
        apply(session, plan(session, f"{pair.source.host}/{REPO}:1", f"{pair.dest.host}/{COPY}:1"))
        assert pair.dest.tags(COPY) == {"1": digest}


def test_tags_are_chosen_by_rules() -> None:
    with FakeRegistry() as registry:
        for tag in ("1.0.0", "1.0.1", "1.1.0", "2.0.0", "edge"):
            digest = registry.add_image(REPO, tag, layers=[tag.encode()])
        registry.api.repos[REPO].tags[digest.replace(":", "-") + ".sig"] = digest
        names = f"{registry.host}/{REPO}", f"{registry.host}/{COPY}"
        rules = {"semver": "^1.0", "newest": 1, "per": r"^(\d+\.\d+)"}
        session = make_session(login(registry))
        apply(session, copy_plan(session, *names, all_tags=True, tags=rules))
        assert set(registry.tags(COPY)) == {"1.0.1", "1.1.0"}
        with fails(InvalidInput, "INVALID_OPTION", says="set all_tags: true"):
            copy_plan(session, f"{names[0]}:edge", names[1], tags=rules)


@pytest.mark.parametrize(("given", "tag"), [("1.2.1", "1.2.1"), ("", None)])
def test_a_source_with_a_digest_gives_its_tag_to_the_destination(given: str, tag: str | None) -> None:
    """The digest says what is read, the tag what the result is called."""
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1.2.1", layers=LAYERS)
        session = make_session(login(registry))
        src = f"{registry.host}/{REPO}{f':{given}' if given else ''}@{digest}"
        planned = plan(session, src, f"{registry.host}/{COPY}")
        apply(session, planned)
        assert registry.tags(COPY) == ({tag: digest} if tag else {})
        assert digest in registry.manifests(COPY)
        assert planned.result["reference"] == f"{registry.host}/{COPY}@{digest}"
        assert planned.result["images"][0]["dest"] == f"{registry.host}/{COPY}{f':{tag}' if tag else f'@{digest}'}"


def test_a_destination_with_a_digest_gets_its_tag_and_nothing_else() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        other = registry.add_image(REPO, "2", layers=LAYERS[:1])
        session, dest = make_session(login(registry)), f"{registry.host}/{COPY}:x@{digest}"
        planned = plan(session, f"{registry.host}/{REPO}:1", dest)
        apply(session, planned)
        assert registry.tags(COPY) == {"x": digest}
        assert planned.result["images"][0]["dest"] == f"{registry.host}/{COPY}:x"
        assert not plan(session, f"{registry.host}/{REPO}:1", dest).changed
        with fails(InvalidInput, "INVALID_OPTION", says=f"its digest is {other}"):
            plan(session, f"{registry.host}/{REPO}:2", dest)


def test_a_single_image_may_be_for_one_of_the_platforms() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS, platform="linux/arm64")
        session, names = make_session(login(registry)), (f"{registry.host}/{REPO}:1", f"{registry.host}/{COPY}")
        apply(session, plan(session, *names, platforms=["linux/amd64", "linux/arm64"]))
        assert "1" in registry.tags(COPY)
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="single image for linux/arm64"):
            plan(session, *names, platforms=["linux/amd64", "linux/s390x"])


def test_tags_of_signatures_are_left_out_where_platforms_are_chosen() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        registry.add_image(REPO, digest.replace(":", "-") + ".sig", layers=LAYERS, platform="unknown/unknown")
        session, names = make_session(login(registry)), (f"{registry.host}/{REPO}", f"{registry.host}/{COPY}")
        apply(session, plan(session, *names, all_tags=True, platforms=["linux/amd64"]))
        assert list(registry.tags(COPY)) == ["1"]


def test_no_images_are_nothing_to_do() -> None:
    planned = plan(make_session(), images=[])
    assert (planned.changed, planned.result["images"], planned.result["reference"]) == (False, [], None)


def test_platforms_of_an_index_that_names_none(pair: Pair) -> None:
    """Then the configs are asked, as the info modules do; of two that fit, the first is taken."""
    found = []
    for platform in ("linux/amd64", "linux/arm64", "linux/arm64"):
        layer = str(len(found)).encode() * 50
        item = pair.source.descriptor(REPO, pair.source.add_image(REPO, layers=[layer], platform=platform))
        found.append({key: value for key, value in item.items() if key != "platform"})
    named = {**found[0], "platform": {"architecture": "s390x", "os": "linux"}}
    note = pair.source.add_attestation(REPO, found[1]["digest"])
    pair.source.add_index(REPO, "1", [*found, note, named])
    pair.copy("1", ":small", platforms=["linux/arm64", "linux/s390x"])
    assert pair.dest.manifest(COPY, "small")["manifests"] == [found[1], note, named]
    with fails(ContentError, "PLATFORM_NOT_FOUND", pair.source.host, None, "no image for linux/riscv64"):
        pair.plan("1", ":none", platforms=["linux/riscv64"])
