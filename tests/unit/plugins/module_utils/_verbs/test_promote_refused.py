# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases with several things wrong: all of it is told at once, and what each tag is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ConnectionFailed, Denied, OCIError
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import add_platforms, is_sentence
from ansible_collections.quayside.registry.tests.unit.releasing import Sites, digest, statuses

UNMET = {"labels": {"stage": "tested"}}


@pytest.fixture
def sites() -> Iterator[Sites]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        yield Sites(source, dest)


def refused(sites: Sites, *images: dict[str, Any], **options: Any) -> OCIError:
    """See that nothing is written, that the message has each failure, and that each tag is told as it is."""
    before = sites.dest.state()
    with pytest.raises(OCIError) as caught:
        sites.plan(*images, **options)
    error = caught.value
    assert sites.dest.state() == before
    assert all(is_sentence(failure["reason"]) for failure in error.details["failures"])
    assert all(failure["reason"] in str(error) for failure in error.details["failures"])
    for row in error.details["images"]:
        assert row["digest"] == sites.dest.tags(row["dest"].partition("/")[2]).get(row["tag"])
        assert bool(row["reason"]) == (row["status"] in ("refused", "kept"))
    assert (error.details["rolled_back"], error.details["left"], error.details["journal"]) == (False, [], None)
    return error


def told(error: OCIError) -> list[tuple[str, str]]:
    """What each failure is about, without the registry, and its code."""
    return [(row["reference"].partition("/")[2], row["code"]) for row in error.details["failures"]]


def test_several_missing_sources_are_all_told(sites: Sites) -> None:
    sites.image("api")
    old = sites.released("db", "1.4.2")
    error = refused(sites, *(sites.entry(name) for name in ("web", "api", "db")))
    assert told(error) == [("staging/web:1.4.2", "MANIFEST_UNKNOWN"), ("staging/db:1.4.2", "MANIFEST_UNKNOWN")]
    assert (error.code, error.registry, error.status) == ("MANIFEST_UNKNOWN", sites.source.host, 404)
    assert statuses(error.details) == {
        "prod/web:1.4.2": "refused",
        "prod/api:1.4.2": "planned",
        "prod/db:1.4.2": "refused",
    }
    assert [failure["digest"] for failure in error.details["failures"]] == [None, None]
    assert error.details["images"][2]["digest"] == old


def test_whatever_is_wrong_is_told_beside_a_requirement_that_fails(sites: Sites) -> None:
    sites.image("api")
    web = sites.image("web")
    add_platforms(sites.source, "staging/index", "1.4.2")
    sites.image("twin")
    sites.released("taken", "1.4.2", content="other")
    sites.image("taken")
    twin = {**sites.entry("twin", require=UNMET), "dest": [f"{sites.dest.host}/prod/web"]}
    error = refused(
        sites,
        sites.entry("absent"),
        sites.entry("api", digest=digest("another")),
        sites.entry("index", platforms=["linux/s390x", "linux/arm64", "linux/ppc64le"]),
        sites.entry("web"),
        twin,
        sites.entry("taken", moving_tags=["latest"]),
    )
    assert told(error) == [
        ("staging/absent:1.4.2", "MANIFEST_UNKNOWN"),
        ("staging/api:1.4.2", "DIGEST_MISMATCH"),
        ("staging/index:1.4.2", "PLATFORM_NOT_FOUND"),
        ("prod/web:1.4.2", "CONFLICT"),
        ("staging/twin:1.4.2", "REQUIREMENT_NOT_MET"),
        ("prod/taken:1.4.2", "TAG_EXISTS"),
    ]
    assert error.code == "MANIFEST_UNKNOWN", "that of the first"
    assert "linux/s390x or linux/ppc64le" in str(error)
    assert statuses(error.details) == {
        **dict.fromkeys([f"prod/{name}:1.4.2" for name in ("absent", "api", "index", "web", "taken")], "refused"),
        "prod/taken:latest": "planned",
    }
    row = next(row for row in error.details["images"] if row["dest"].endswith("/web"))
    assert (row["src"].rpartition("/")[2], row["digest"]) == ("web:1.4.2", None)
    assert web not in sites.tags("web").values()


def test_a_requirement_that_fails_hides_no_tag_that_exists(sites: Sites) -> None:
    sites.image("api")
    sites.image("web")
    old = sites.released("web", "1.4.2", content="other")
    sites.released("api", "1.4.2", content="other")
    error = refused(sites, sites.entry("api", require=UNMET), sites.entry("web"))
    assert told(error) == [
        ("staging/api:1.4.2", "REQUIREMENT_NOT_MET"),
        ("prod/api:1.4.2", "TAG_EXISTS"),
        ("prod/web:1.4.2", "TAG_EXISTS"),
    ]
    assert error.code == "REQUIREMENT_NOT_MET"
    api, web = error.details["images"]
    assert (web["status"], web["digest"], error.details["failures"][2]["digest"]) == ("refused", old, old)
    assert web["reason"] == error.details["failures"][2]["reason"]
    assert api["reason"] == " ".join(failure["reason"] for failure in error.details["failures"][:2])


def test_tags_are_all_told(sites: Sites) -> None:
    """One whose version is not known, one that is not what was expected, and one that may not move."""
    sites.image("api", "build-77")
    sites.released("api", "latest", version="2.0.0")
    sites.image("web")
    sites.released("web", "1.4.2", content="other")
    sites.image("db")
    sites.released("db", "latest", version="1.4.1")
    error = refused(
        sites,
        sites.entry("api", "build-77", moving_tags=["latest"]),
        sites.entry("web"),
        sites.entry("db", moving_tags=["latest"]),
        expect_previous={sites.name("db", "latest"): None},
    )
    assert told(error) == [
        ("prod/api:latest", "VERSION_NEEDED"),
        ("prod/db:latest", "DESTINATION_CHANGED"),
        ("prod/web:1.4.2", "TAG_EXISTS"),
    ]


def test_a_look_that_fails_hides_no_other_requirement(sites: Sites) -> None:
    """The index of one image has lost a member; the other image is only not what it should be."""
    members = add_platforms(sites.source, "staging/api", "1.4.2")
    lost = sites.source.manifest("staging/api", members)["manifests"][0]["digest"]
    del sites.source.api.repos["staging/api"].manifests[lost]
    sites.image("web")
    require = {**UNMET, "referrers": ["a/b"]}
    error = refused(sites, sites.entry("api"), sites.entry("web"), require=require)
    assert [code for _reference, code in told(error)] == ["MANIFEST_UNKNOWN", *["REQUIREMENT_NOT_MET"] * 3]
    assert lost in error.details["failures"][0]["reason"]


@pytest.mark.parametrize(("where", "repository"), [("source", "staging/api"), ("dest", "prod/api")])
def test_a_repository_that_may_not_be_seen_is_one_failure_of_several(sites: Sites, where: str, repository: str) -> None:
    sites.image("api")
    registry = getattr(sites, where)
    registry.fault("*", repository, status=403, times=99)
    error = refused(sites, sites.entry("api"), sites.entry("absent"))
    about = f"{repository}:1.4.2"
    assert sorted(told(error)) == sorted([(about, "DENIED"), ("staging/absent:1.4.2", "MANIFEST_UNKNOWN")])


def test_a_registry_that_does_not_answer_ends_the_task(sites: Sites) -> None:
    sites.image("api")
    sites.source.fault("*", "staging/web", action="reset", times=99)
    with pytest.raises(ConnectionFailed):
        sites.plan(sites.entry("absent"), sites.entry("web"), session=sites.session(retries=0))


def test_a_source_that_turns_out_to_be_incomplete_leaves_tags_as_they_are(sites: Sites) -> None:
    whole = add_platforms(sites.source, "staging/api", "1.4.2")
    lost = sites.source.manifest("staging/api", whole)["manifests"][0]["digest"]
    del sites.source.api.repos["staging/api"].manifests[lost]
    old = sites.released("api", "latest", version="1.4.1")
    with pytest.raises(OCIError) as caught:
        sites.plan(sites.entry("api", moving_tags=["latest"]))
    assert lost in str(caught.value)
    found = {row["tag"]: (row["status"], row["digest"]) for row in caught.value.details["images"]}
    assert found == {"1.4.2": ("planned", None), "latest": ("planned", old)}


def test_an_expectation_about_another_tag_is_told_before_any_request(sites: Sites) -> None:
    with pytest.raises(OCIError) as caught:
        sites.plan(sites.entry("absent"), expect_previous={sites.name("api", "1"): None}, backup="{tag}-old")
    assert caught.value.code == "INVALID_OPTION"
    assert sites.requests() == []


@pytest.mark.parametrize("where", ["source", "dest"])
def test_a_registry_that_denies_everything_is_told_once(sites: Sites, where: str) -> None:
    sites.image("api")
    sites.image("web")
    getattr(sites, where).fault("*", "", status=403, times=99)
    with pytest.raises(Denied) as caught:
        sites.plan(sites.entry("api"), sites.entry("web"))
    assert str(caught.value).count(" denied ") == 1


def test_a_login_that_is_refused_is_not_tried_for_each_image(sites: Sites) -> None:
    sites.image("api")
    for name in ("web", "db"):
        sites.source.fault("*", f"staging/{name}", status=401, times=99)
    with pytest.raises(Denied):
        sites.plan(sites.entry("web"), sites.entry("db"), sites.entry("api"), session=sites.session(jobs=1))
    assert sites.source.count("HEAD|GET", "staging/web")
    assert not sites.source.count("HEAD|GET", "staging/db")


def test_a_tag_of_a_refused_image_tells_no_more_than_that_of_another(sites: Sites) -> None:
    """The only version there is the release's own, which says nothing of what a moving tag shows."""
    sites.image("api", "1.0.0")
    sites.image("api", "build-77")
    sites.released("api", "1.0.0", content="staging/api 1.0.0 ")
    nightly = sites.entry("api", "build-77", moving_tags=["latest"])
    error = refused(sites, sites.entry("api", "1.0.0", require=UNMET), nightly)
    assert told(error) == [("staging/api:1.0.0", "REQUIREMENT_NOT_MET")]
