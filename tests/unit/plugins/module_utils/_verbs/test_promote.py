# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: what is refused, what moves, in which order, what goes back, and that a second run has nothing to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    NotFound,
    OCIError,
    Refused,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import add_platforms, complete, fails
from ansible_collections.quayside.registry.tests.unit.releasing import SIGN, VERSION, Sites, digest, statuses
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign, verified

SBOM = "application/spdx+json"
MANY = {"moving_tags": ["latest", "{major}", "{major}.{minor}"]}


@pytest.fixture
def sites() -> Iterator[Sites]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        yield Sites(source, dest)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "release")


def puts(registry: FakeRegistry) -> list[str]:
    """The tags that manifests were put under, in order."""
    found = [r.path.rpartition("/")[2] for r in registry.requests if r.method == "PUT" and "/manifests/" in r.path]
    return [ref for ref in found if ":" not in ref and not ref.startswith("sha256-")]


def signed(sites: Sites, signer: Signer, name: str, tag: str = "1.4.2", **options: Any) -> None:
    sign(sites.source, signer, f":{tag}", f"staging/{name}", **options)


# --- what is released


def test_images_get_their_tags_and_moving_tags_last(sites: Sites) -> None:
    api, web = sites.image("api"), sites.image("web")
    images = [sites.entry("api", **MANY), sites.entry("web", **MANY)]
    foreseen = sites.plan(*images)
    assert sites.dest.state() == {}
    done = sites.release(*images)
    assert done.result == foreseen.result
    assert done.cost == foreseen.cost()
    every = {"1.4.2", "1.4", "1", "latest"}
    assert sites.tags("api") == dict.fromkeys(every, api)
    assert sites.tags("web") == dict.fromkeys(every, web)
    assert complete(sites.dest, "prod/web", "latest")
    assert puts(sites.dest) == ["1.4.2", "1.4.2", "1.4", "1.4", "1", "1", "latest", "latest"]
    assert set(statuses(done.result).values()) == {"created"}
    assert done.result["references"][sites.name("api", "1.4")] == f"{sites.dest.host}/prod/api@{api}"
    assert set(done.result["previous"].values()) == {None}


def test_a_second_run_only_looks(sites: Sites, signer: Signer) -> None:
    sites.image("api")
    options = {"sign": {**SIGN, **signer.options}, "attest": {}, "backup": "{tag}-old"}
    images = [sites.entry("api", **MANY)]
    sites.release(*images, **options)
    state = sites.dest.state()
    sites.reset_log()
    again = sites.plan(*images, **options)
    assert not again.changed, again.actions
    assert set(statuses(again.result).values()) == {"current"}
    assert again.before == again.after
    assert sites.dest.state() == state
    assert {method for method, path in sites.requests()} <= {"GET", "HEAD"}


def test_thirty_images_in_place_cost_two_requests_each(sites: Sites) -> None:
    images = []
    for at in range(30):
        sites.image(f"app{at}")
        images.append(sites.entry(f"app{at}"))
    sites.release(*images)
    sites.reset_log()
    again = sites.plan(*images, repair=False)
    assert not again.changed
    assert [method for method, path in sites.requests()] == ["HEAD"] * 60


def test_several_destinations(sites: Sites) -> None:
    api = sites.image("api")
    first, second = f"{sites.dest.host}/prod/api", f"{sites.dest.host}/mirror/api:stable"
    done = sites.release({**sites.entry("api"), "dest": [first, second]})
    assert sites.tags("api") == {"1.4.2": api}
    assert sites.dest.tags("mirror/api") == {"stable": api}
    assert statuses(done.result) == {"prod/api:1.4.2": "created", "mirror/api:stable": "created"}
    assert done.result["lock"] == [
        {
            "src": f"{sites.source.host}/staging/api@{api}",
            "dest": [dest],
            "tags": [tag],
            "moving_tags": [],
            "version": "1.4.2",
            "platforms": [],
        }
        for dest, tag in ((first, "1.4.2"), (f"{sites.dest.host}/mirror/api", "stable"))
    ]


def test_a_lock_releases_exactly_what_was_planned(sites: Sites) -> None:
    api = sites.image("api")
    planned = sites.plan(sites.entry("api", **MANY))
    sites.image("api", content="newer")
    assert sites.source.tags("staging/api")["1.4.2"] != api
    done = sites.release(*planned.result["lock"], expect_previous=planned.result["previous"])
    assert set(sites.tags("api").values()) == {api}
    assert done.result["lock"] == planned.result["lock"]
    assert not sites.plan(*planned.result["lock"], expect_previous=planned.result["previous"]).changed


def test_nothing_to_do(sites: Sites) -> None:
    plan = sites.plan()
    assert not plan.changed
    assert plan.result["images"] == plan.result["lock"] == []
    assert sites.requests() == []


def test_what_refers_to_an_image_is_there_before_its_tag(sites: Sites, signer: Signer) -> None:
    api = sites.image("api")
    signed(sites, signer, "api")
    sites.source.add_referrer("staging/api", api, SBOM, b"sbom")
    sites.release(sites.entry("api"))
    found = verified(sites.dest, signer.public, name=None, names=[sites.name("api", "1.4.2")])
    assert found["verified"]
    assert {row["format"] for row in found["images"][0]["signatures"]} == {"bundle", "simple"}
    written = [r.path.rpartition("/")[2] for r in sites.dest.requests if r.method == "PUT" and "/manifests/" in r.path]
    assert written[-1] == "1.4.2"
    assert len(written) == 5  # the image, two referrers, the tag .sig, the tag


def test_without_referrers(sites: Sites, signer: Signer) -> None:
    sites.image("api")
    signed(sites, signer, "api")
    sites.release(sites.entry("api"), referrers=False)
    assert list(sites.dest.tags("prod/api")) == ["1.4.2"]


def test_some_platforms(sites: Sites, signer: Signer) -> None:
    whole = add_platforms(sites.source, "staging/web", "1.4.2")
    sites.source.add_referrer("staging/web", whole, SBOM, b"sbom")
    session = sites.session()
    entry = sites.entry("web", platforms=["linux/arm64"])
    plan = sites.plan(entry, session=session)
    assert len(plan.warnings) == 1
    assert "do not cover it" in plan.warnings[0]
    plan.apply(session.map)
    smaller = sites.tags("web")["1.4.2"]
    assert smaller != whole
    assert len(sites.dest.manifest("prod/web", smaller)["manifests"]) == 1
    assert b"spdx" not in b"".join(manifest.body for manifest in sites.dest.manifests("prod/web").values())
    assert not sites.plan(entry).changed
    assert plan.result["lock"][0]["platforms"] == ["linux/arm64"]


# --- what is refused before anything is written


def refused(sites: Sites, *images: dict[str, Any], code: str, **options: Any) -> OCIError:
    """Plan it, and see that it is refused, that nothing was written, and that each tag is told as it is."""
    before = sites.dest.state()
    with pytest.raises(OCIError) as caught:
        sites.plan(*images, **options)
    assert caught.value.code == code, caught.value
    assert sites.dest.state() == before
    for row in caught.value.details.get("images", []):
        assert row["digest"] == sites.dest.tags(row["dest"].partition("/")[2]).get(row["tag"])
    return caught.value


def test_another_digest_than_expected(sites: Sites) -> None:
    sites.image("api")
    sites.image("web")
    error = refused(
        sites,
        sites.entry("api", digest=digest("a")),
        sites.entry("web", digest=digest("b")),
        code="DIGEST_MISMATCH",
    )
    assert isinstance(error, ContentError)
    assert "staging/api:1.4.2" in str(error)
    assert "staging/web:1.4.2" in str(error)


def test_the_expected_digest(sites: Sites) -> None:
    api = sites.image("api")
    sites.release(sites.entry("api", digest=api))
    assert sites.tags("api") == {"1.4.2": api}


def test_a_digest_that_is_not_the_one_beside_it(sites: Sites) -> None:
    src = f"{sites.source.host}/staging/api@{digest('a')}"
    with fails(ContentError, "DIGEST_MISMATCH"):
        sites.plan({**sites.entry("api"), "src": src, "tags": ["1"], "digest": digest("b")})
    assert sites.requests() == []


def test_a_source_that_does_not_exist(sites: Sites) -> None:
    sites.image("api")
    with fails(NotFound, "MANIFEST_UNKNOWN", sites.source.host, 404):
        sites.plan(sites.entry("api"), sites.entry("web"))


def test_all_failures_of_all_images_are_told_at_once(sites: Sites, signer: Signer) -> None:
    api, web = sites.image("api"), sites.image("web", annotations={"stage": "built"})
    signed(sites, signer, "api")
    require = {
        "signatures": [{"keys": [signer.public]}],
        "labels": {"team": "a"},
        "annotations": {"stage": "tested"},
        "referrers": [SBOM],
        "platforms": ["linux/s390x"],
    }
    error = refused(sites, sites.entry("api"), sites.entry("web"), code="REQUIREMENT_NOT_MET", require=require)
    assert isinstance(error, Refused)
    found = error.details["failures"]
    assert [(row["reference"].rpartition("/")[2], row["digest"]) for row in found] == [
        *[("api:1.4.2", api)] * 4,
        *[("web:1.4.2", web)] * 5,
    ]
    for row in found:
        assert row["reason"] in str(error)
        assert row["reason"].endswith(".")
    assert "is not signed as required: It has no signature." in str(error)
    assert "the annotation stage for linux/amd64 is 'built', and must be 'tested'." in str(error)
    assert set(statuses(error.details).values()) == {"refused"}


def test_one_unsigned_image_holds_back_all(sites: Sites, signer: Signer) -> None:
    for name in ("api", "db", "web"):
        sites.image(name)
    signed(sites, signer, "api")
    signed(sites, signer, "db")
    images = [sites.entry(name) for name in ("api", "db", "web")]
    error = refused(sites, *images, code="REQUIREMENT_NOT_MET", require={"signatures": [{"keys": [signer.public]}]})
    assert statuses(error.details) == {
        "prod/api:1.4.2": "planned",
        "prod/db:1.4.2": "planned",
        "prod/web:1.4.2": "refused",
    }
    assert (error.details["rolled_back"], error.details["left"], error.details["journal"]) == (False, [], None)


def test_two_images_for_one_tag(sites: Sites) -> None:
    sites.image("api")
    sites.image("web")
    web = {**sites.entry("web"), "dest": [f"{sites.dest.host}/prod/api"]}
    refused(sites, sites.entry("api", tags=["a"], **MANY), {**web, "tags": ["b"], **MANY}, code="CONFLICT")
    refused(sites, sites.entry("api"), web, code="CONFLICT")


def test_one_image_may_come_twice(sites: Sites) -> None:
    sites.image("api")
    done = sites.release(sites.entry("api"), sites.entry("api", moving_tags=["latest"]))
    assert statuses(done.result) == {"prod/api:1.4.2": "created", "prod/api:latest": "created"}


def test_a_moving_tag_needs_a_version(sites: Sites) -> None:
    sites.image("api", "stable")
    refused(sites, sites.entry("api", "stable", moving_tags=["{major}"]), code="VERSION_NEEDED")
    assert sites.requests() == []


@pytest.mark.parametrize(
    "change",
    [
        {"src": "host:1/app@" + digest("a")},
        {"dest": ["host:1/app@" + digest("a")]},
        {"dest": ["host:1/app:1"], "tags": ["2"]},
        {"dest": []},
        {"tags": []},
        {"tags": ["a b"]},
        {"digest": "sha256:1"},
        {"moving_tags": ["{unknown}"]},
    ],
)
def test_options_that_do_not_go_together(sites: Sites, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sites.plan({**sites.entry("api"), **change})
    assert sites.requests() == []


@pytest.mark.parametrize("options", [{"sign": SIGN}, {"attest": {}}, {"sign": {**SIGN, "key": "/absent"}}])
def test_what_signs_needs_a_key(sites: Sites, options: dict[str, Any]) -> None:
    with fails(InvalidInput, "INVALID_OPTION"):
        sites.plan(sites.entry("api"), **options)
    assert sites.requests() == []


def test_tags_that_exist_are_all_named(sites: Sites) -> None:
    old = sites.released("api", "1.4.2", content="other")
    sites.image("api")
    sites.image("web")
    error = refused(sites, sites.entry("api"), sites.entry("web"), code="TAG_EXISTS")
    assert statuses(error.details) == {"prod/api:1.4.2": "refused", "prod/web:1.4.2": "planned"}
    assert old in str(error)


def test_kept_and_replaced_tags(sites: Sites) -> None:
    old = sites.released("api", "1.4.2", content="other")
    new = sites.image("api")
    kept = sites.plan(sites.entry("api"), on_existing="keep")
    assert not kept.changed
    assert statuses(kept.result) == {"prod/api:1.4.2": "kept"}
    assert kept.result["images"][0]["digest"] == old
    assert kept.actions[0].startswith("Keep ")
    done = sites.release(sites.entry("api"), on_existing="replace")
    assert statuses(done.result) == {"prod/api:1.4.2": "moved"}
    assert sites.tags("api") == {"1.4.2": new}


def test_a_destination_that_changed_since_the_plan(sites: Sites) -> None:
    sites.image("api")
    old = sites.released("api", "latest", version="1.4.0")
    entry = sites.entry("api", moving_tags=["latest"])
    previous = sites.plan(entry, backup="{tag}-old").result["previous"]
    assert previous == {
        sites.name("api", "1.4.2"): None,
        sites.name("api", "latest"): old,
        sites.name("api", "latest-old"): None,
    }
    hotfix = sites.released("api", "latest", version="1.4.1")
    error = refused(sites, entry, code="DESTINATION_CHANGED", expect_previous=previous, backup="{tag}-old")
    assert f"was {old} when this was planned, and is {hotfix} now" in str(error)
    assert statuses(error.details)["prod/api:latest"] == "refused"
    sites.dest.api.repos["prod/api"].tags["latest"] = old
    sites.release(entry, expect_previous=previous, backup="{tag}-old")
    assert not sites.plan(entry, expect_previous=previous, backup="{tag}-old").changed


def test_expectations_about_other_tags(sites: Sites) -> None:
    sites.image("api")
    with fails(InvalidInput, "INVALID_OPTION", says="prod/other:1"):
        sites.plan(sites.entry("api"), expect_previous={sites.name("other", "1"): None})


def test_an_expectation_that_is_no_digest(sites: Sites) -> None:
    sites.image("api")
    sites.release(sites.entry("api"))  # also where the tag is right already
    with fails(
        InvalidInput,
        "INVALID_REFERENCE",
        says=f"expect_previous: the digest 'sha256:12' of {sites.name('api', '1.4.2')}",
    ):
        sites.plan(sites.entry("api"), expect_previous={sites.name("api", "1.4.2"): "sha256:12"})


# --- complaints about releases: floating tags go backwards


def test_floating_tags_do_not_go_backwards_when_an_old_branch_is_released(sites: Sites) -> None:
    newest = sites.released("api", "2.0.0", version="2.0.0")
    production = sites.dest.api.repos["prod/api"].tags
    production["latest"] = production["2"] = newest
    fix = sites.image("api", "1.4.3")
    done = sites.release(sites.entry("api", "1.4.3", **MANY))
    assert sites.tags("api") == {"2.0.0": newest, "2": newest, "latest": newest, "1.4.3": fix, "1.4": fix, "1": fix}
    row = next(row for row in done.result["images"] if row["tag"] == "latest")
    assert (row["status"], row["digest"]) == ("kept", newest)
    assert "1.4.3 is below version 2.0.0" in row["reason"]


def test_without_a_label_the_tags_of_the_destination_tell(sites: Sites) -> None:
    newest = sites.released("api", "2.0.0")
    sites.dest.api.repos["prod/api"].tags["latest"] = newest
    sites.image("api", "1.4.3")
    done = sites.release(sites.entry("api", "1.4.3", **MANY))
    assert statuses(done.result) == {
        "prod/api:1.4.3": "created",
        "prod/api:1.4": "created",
        "prod/api:1": "created",
        "prod/api:latest": "kept",
    }


def test_a_tag_that_does_not_exist_does_not_start_below_what_is_there(sites: Sites) -> None:
    sites.released("api", "2.0.0")
    sites.image("api", "1.4.3")
    done = sites.plan(sites.entry("api", "1.4.3", moving_tags=["latest"]))
    row = next(row for row in done.result["images"] if row["tag"] == "latest")
    assert (row["status"], row["digest"]) == ("kept", None)


@pytest.mark.parametrize("there", [[], ["2.0.0-rc.1"], ["2.0.0-rc.1", "latest"]])
def test_a_pre_release_moves_no_more_when_it_is_made_again(sites: Sites, there: list[str]) -> None:
    for tag in there:
        sites.released("api", tag)
    sites.image("api", "2.0.0-rc.2")
    entry = sites.entry("api", "2.0.0-rc.2", **MANY)
    first = statuses(sites.release(entry).result)
    assert first["prod/api:2"] == first["prod/api:2.0"] == "kept"  # nobody asks for 2 to get a candidate
    assert first["prod/api:latest"] == ("moved" if "latest" in there else "kept")
    assert not sites.plan(entry).changed


def test_a_release_does_not_show_itself(sites: Sites) -> None:
    sites.released("api", "latest")  # nobody knows what it is
    sites.image("api", "2.0.0-rc.1")
    entry = sites.entry("api", "2.0.0-rc.1", moving_tags=["latest"])
    sites.release(entry)
    assert not sites.plan(entry).changed


@pytest.mark.parametrize("base", ["1.0", "22.04"])
def test_the_version_of_a_base_is_not_that_of_the_image(sites: Sites, base: str) -> None:
    newest = sites.released("api", "2.0.0", version=base)
    sites.dest.api.repos["prod/api"].tags["latest"] = newest
    for tag in ("1.4.3", "2.0.1"):
        sites.image("api", tag, version=base)
    entry = sites.entry("api", "1.4.3", moving_tags=["latest"])
    assert statuses(sites.release(entry).result)["prod/api:latest"] == "kept"
    assert sites.tags("api")["latest"] == newest
    entry = sites.entry("api", "2.0.1", moving_tags=["latest"])
    assert statuses(sites.release(entry).result)["prod/api:latest"] == "moved"


def test_what_several_moving_tags_show_is_read_once(sites: Sites) -> None:
    old = sites.released("api", "1.4.1", version="1.4.1")
    sites.dest.api.repos["prod/api"].tags.update({"latest": old, "1": old, "1.4": old})
    sites.image("api", "1.4.2", version="1.4.2")
    for registry in (sites.source, sites.dest):
        registry.reset_log()
    sites.plan(sites.entry("api", "1.4.2", **MANY), repair=False)
    assert sites.dest.count("GET", f"/manifests/{old}") == 1
    assert sites.dest.count("GET", "/blobs/") == 1


def test_any_moves_backwards(sites: Sites) -> None:
    sites.released("api", "latest", version="2.0.0")
    fix = sites.image("api", "1.4.3")
    sites.release(sites.entry("api", "1.4.3", moving_tags=["latest"]), moving="any")
    assert sites.tags("api")["latest"] == fix


@pytest.mark.parametrize("where", ["annotation", "label", "index", "member"])
def test_where_a_version_is_shown(sites: Sites, where: str) -> None:
    said = {VERSION: "2.0.0"}
    labels = {"config": {"Labels": said}} if where in ("label", "member") else {}
    image = sites.released(
        "api",
        None if where in ("index", "member") else "latest",
        config=labels,
        annotations=said if where == "annotation" else None,
    )
    if where in ("index", "member"):
        sites.dest.add_index("prod/api", "latest", [image], annotations=said if where == "index" else None)
    sites.image("api")
    plan = sites.plan(sites.entry("api", moving_tags=["latest"]))
    assert statuses(plan.result)["prod/api:latest"] == "kept"


def test_an_unknown_version_does_not_take_the_place_of_a_known_one(sites: Sites) -> None:
    sites.released("api", "latest", version="2.0.0")
    sites.image("api", "build-77")
    refused(sites, sites.entry("api", "build-77", moving_tags=["latest"]), code="VERSION_NEEDED")
    plan = sites.plan(sites.entry("api", "build-77", moving_tags=["latest"], version="2.0.1"))
    assert statuses(plan.result)["prod/api:latest"] == "moved"


# --- complaints about releases: what failed once is skipped for ever


@pytest.mark.parametrize("what", ["signature", "record"])
def test_signing_that_failed_once_is_not_skipped_for_ever(sites: Sites, signer: Signer, what: str) -> None:
    sites.image("api")
    options = {"sign": {**SIGN, **signer.options}} if what == "signature" else {"attest": signer.options}
    sites.release(sites.entry("api"))
    plan = sites.plan(sites.entry("api"), **options)
    assert statuses(plan.result) == {"prod/api:1.4.2": "repaired"}
    assert plan.before != plan.after
    sites.release(sites.entry("api"), **options)
    assert not sites.plan(sites.entry("api"), **options).changed
    assert not sites.plan(sites.entry("api"), repair=False, **options).changed


def test_referrers_that_were_not_promoted_follow(sites: Sites, signer: Signer) -> None:
    api = sites.image("api")
    sites.release(sites.entry("api"))
    sites.source.add_referrer("staging/api", api, SBOM, b"sbom")
    signed(sites, signer, "api")
    done = sites.release(sites.entry("api"))
    assert statuses(done.result) == {"prod/api:1.4.2": "repaired"}
    assert verified(sites.dest, signer.public, name=None, names=[sites.name("api", "1.4.2")])["verified"]
    assert not sites.plan(sites.entry("api")).changed


def test_only_what_is_incomplete_is_repaired(sites: Sites) -> None:
    web = add_platforms(sites.source, "staging/web", "1.4.2")
    sites.image("api")
    sites.release(sites.entry("api"), sites.entry("web"))
    lost = sites.dest.manifest("prod/web", web)["manifests"][1]["digest"]
    production = sites.dest.api.repos["prod/web"]
    del production.manifests[lost]
    assert not sites.plan(sites.entry("api"), sites.entry("web"), repair=False).changed
    done = sites.release(sites.entry("api"), sites.entry("web"))
    assert statuses(done.result) == {"prod/api:1.4.2": "current", "prod/web:1.4.2": "repaired"}
    assert complete(sites.dest, "prod/web", "1.4.2")


def test_a_signature_is_not_made_twice(sites: Sites, signer: Signer) -> None:
    """The build's key signed it at the source already, and that comes along."""
    sites.image("api")
    signed(sites, signer, "api", identities=[sites.name("api", "1.4.2")])
    plan = sites.plan(sites.entry("api"), sign={**SIGN, **signer.options})
    assert not [line for line in plan.actions if line.startswith("Add ")]


def test_signatures_of_both_sides_and_an_own_one_are_merged(sites: Sites, signer: Signer, tmp_path: Path) -> None:
    build, other = Signer(tmp_path, "build"), Signer(tmp_path, "other")
    api = sites.image("api")
    signed(sites, build, "api")
    sites.released("api", "1.4.2", content="staging/api 1.4.2 ")
    assert sites.tags("api") == {"1.4.2": api}
    sign(sites.dest, other, ":1.4.2", "prod/api")
    options = {"sign": {**SIGN, **signer.options}}
    plan = sites.plan(sites.entry("api", moving_tags=["latest"]), **options)
    done = sites.release(sites.entry("api", moving_tags=["latest"]), **options)
    assert done.result == plan.result
    for key in (build, other, signer):
        found = verified(sites.dest, key.public, name=None, names=[sites.name("api", "1.4.2")], formats=["simple"])
        assert found["verified"]
    assert not sites.plan(sites.entry("api", moving_tags=["latest"]), **options).changed


def test_a_signature_and_a_record_take_turns_at_the_list_of_referrers(
    sites: Sites, signer: Signer, tmp_path: Path
) -> None:
    """Where the registry keeps none, it is a tag that each of them rewrites; what comes along is in it before."""
    api = sites.image("api")
    signed(sites, Signer(tmp_path, "build"), "api", formats=["bundle"])
    sites.dest.quirks = Quirks(no_referrers_api=True)
    options = {"sign": {**SIGN, **signer.options, "formats": ["bundle"]}, "attest": signer.options}
    session = sites.session()
    plan = sites.plan(sites.entry("api"), session=session, **options)
    before = session.transport.counters.bytes_sent
    plan.apply(session.map)
    assert session.transport.counters.bytes_sent - before == plan.cost().bytes_sent
    lists = [r for r in sites.dest.requests if r.method == "PUT" and r.path.endswith(api.replace(":", "-"))]
    assert len(lists) == 3  # what came along, the signature, the record


def test_signatures_claim_the_names_that_the_image_gets(sites: Sites, signer: Signer) -> None:
    sites.image("api")
    sites.released("api", "latest", version="2.0.0")
    sites.release(sites.entry("api", **MANY), sign={**SIGN, **signer.options})
    found = verified(sites.dest, signer.public, name=None, names=[sites.name("api", "1.4.2")])["images"][0]
    claimed = {row["claimed_reference"] for row in found["signatures"] if row["format"] == "simple"}
    assert claimed == {sites.name("api", tag) for tag in ("1.4.2", "1.4", "1")}  # not the one that was kept


def test_members_are_signed_too(sites: Sites, signer: Signer) -> None:
    add_platforms(sites.source, "staging/web", "1.4.2")
    options = {"sign": {**SIGN, **signer.options, "recursive": True}}
    sites.release(sites.entry("web"), **options)
    name = sites.name("web", "1.4.2")
    found = verified(sites.dest, signer.public, name=None, names=[name], platforms=["linux/amd64", "linux/arm64"])
    assert found["verified"]
    assert not sites.plan(sites.entry("web"), **options).changed


def test_the_record_says_what_was_promoted_and_no_time(sites: Sites, signer: Signer) -> None:
    api = sites.image("api", config={"config": {"Labels": {"stage": "tested"}}})
    options = {
        "attest": {**signer.options, "metadata": {"commit": "0b44f0c"}},
        "require": {"labels": {"stage": "tested"}},
    }
    sites.release(sites.entry("api", **MANY), **options)
    kind = "https://github.com/quayside/registry/promotion/v1"
    name = sites.name("api", "1.4.2")
    wanted = [{"predicate_type": kind}]
    found = verified(sites.dest, signer.public, name=None, names=[name], signature=False, attestations=wanted)
    assert found["verified"]
    assert found["images"][0]["attestations"][0]["predicate"] == {
        "source": {"name": f"{sites.source.host}/staging/api", "digest": api},
        "digest": api,
        "destinations": [
            {"name": f"{sites.dest.host}/prod/api", "tags": ["1.4.2"], "moving_tags": ["1.4", "1", "latest"]}
        ],
        "version": "1.4.2",
        "platforms": [],
        "requirements": [{"labels": {"stage": "tested"}}],
        "metadata": {"commit": "0b44f0c"},
    }
    sites.dest.api.repos["prod/api"].tags["latest"] = sites.released("api", "2.0.0", version="2.0.0")
    assert not sites.plan(sites.entry("api", **MANY), **options).changed  # though latest has moved on


# --- what goes back


def broken(sites: Sites, path: str, *images: dict[str, Any], status: int = 500, **options: Any) -> OCIError:
    """Release it while production refuses one PUT."""
    sites.dest.fault("PUT", path, status=status, times=9)
    session = sites.session(retries=0)
    plan = sites.plan(*images, session=session, **options)
    with pytest.raises(OCIError) as caught:
        plan.apply(session.map)
    return caught.value


def test_a_failure_takes_all_tags_back(sites: Sites, tmp_path: Path) -> None:
    sites.image("api")
    sites.image("web")
    old = sites.released("api", "latest", version="1.4.1")
    images = [sites.entry("api", moving_tags=["latest"]), sites.entry("web", moving_tags=["latest"])]
    error = broken(
        sites, "prod/web/manifests/latest", *images, backup="{tag}-old", journal_path=str(tmp_path / "journal")
    )
    assert sites.tags("api") == {"latest": old}
    assert sites.tags("web") == {}
    assert statuses(error.details) == {
        "prod/api:1.4.2": "removed",
        "prod/web:1.4.2": "removed",
        "prod/api:latest": "restored",
        "prod/web:latest": "planned",
        "prod/api:latest-old": "removed",
    }
    assert (error.details["rolled_back"], error.details["left"]) == (True, [])
    assert error.details["journal"] == str(tmp_path / "journal")
    assert error.code == "UNKNOWN"
    assert str(error).endswith("All tags are what they were before.")
    assert error.details["changed"] is True, "what the tags had is there"
    assert {text.split()[0] for text in error.details["actions"]} == {"Send", "Mount", "Put", "Write"}, "no tag"


def test_a_release_without_content_that_fails_has_changed_nothing(sites: Sites, tmp_path: Path) -> None:
    api = sites.image("api")
    sites.release(sites.entry("api"))
    moving = sites.entry("api", moving_tags=["{major}", "latest"])
    error = broken(sites, "manifests/latest", moving, journal_path=str(tmp_path / "journal"))
    assert sites.tags("api") == {"1.4.2": api}
    assert error.details["changed"] is False
    assert error.details["actions"] == [f"Write to {tmp_path}/journal what 2 tags were."]
    sites.dest.faults.queue.clear()
    error = broken(sites, "manifests/latest", moving, rollback=False)
    assert sites.tags("api") == {"1.4.2": api, "1": api}
    assert error.details["changed"] is True
    assert error.details["actions"] == [f"Tag {sites.name('api', '1')} as {api}."]


def test_a_tag_that_moved_although_no_answer_came_goes_back(sites: Sites) -> None:
    sites.image("api")
    old = sites.released("api", "latest", version="1.4.1")
    sites.dest.fault("PUT", "manifests/latest", action="lost_answer")
    session = sites.session(retries=0)
    plan = sites.plan(sites.entry("api", tags=[], moving_tags=["latest"]), session=session)
    with fails(OCIError, "UNREACHABLE") as caught:
        plan.apply(session.map)
    assert sites.tags("api") == {"latest": old}
    assert statuses(caught.value.details) == {"prod/api:latest": "restored"}
    assert caught.value.details["rolled_back"] is True


def test_content_that_fails_has_moved_no_tag(sites: Sites) -> None:
    sites.image("api")
    error = broken(sites, "manifests/sha256", sites.entry("api"))
    assert statuses(error.details) == {"prod/api:1.4.2": "planned"}
    assert (error.details["rolled_back"], error.details["left"], error.details["journal"]) == (False, [], None)
    assert str(error).endswith("No tag had moved.")


def test_without_roll_back_tags_are_left_and_named(sites: Sites) -> None:
    api = sites.image("api")
    error = broken(sites, "manifests/latest", sites.entry("api", moving_tags=["latest"]), rollback=False)
    assert sites.tags("api") == {"1.4.2": api}
    assert error.details["left"] == [sites.name("api", "1.4.2")]
    assert statuses(error.details) == {"prod/api:1.4.2": "left", "prod/api:latest": "planned"}
    assert error.details["rolled_back"] is False


def test_a_tag_that_somebody_else_has_moved_since_is_left(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    sites.image("api")
    theirs = sites.released("api", "9.9.9")
    sites.released("api", "latest", version="1.4.1")
    put = sites.dest.api.manifest_put

    def meddle(call: Any, repo: str, ref: str) -> Any:
        answer = put(call, repo, ref)
        if ref == "latest":
            sites.dest.api.repos[repo].tags["1.4.2"] = theirs
        return answer

    monkeypatch.setattr(sites.dest.api, "manifest_put", meddle)
    session = sites.session(retries=0)
    with fails(OCIError, "TAG_MOVED", says="reads back as") as caught:
        sites.plan(sites.entry("api", moving_tags=["latest"]), session=session).apply(session.map)
    assert sites.tags("api")["1.4.2"] == theirs
    assert statuses(caught.value.details) == {"prod/api:1.4.2": "left", "prod/api:latest": "restored"}
    assert caught.value.details["left"] == [sites.name("api", "1.4.2")]
    row = caught.value.details["images"][0]
    assert row["digest"] == theirs
    assert "somebody else" in row["reason"]


def test_a_tag_that_moved_between_plan_and_write_is_not_overwritten(sites: Sites) -> None:
    sites.image("api")
    sites.released("api", "latest", version="1.4.0")
    session = sites.session()
    plan = sites.plan(sites.entry("api", moving_tags=["latest"]), session=session)
    hotfix = sites.released("api", "latest", version="1.4.1")
    with fails(OCIError, "DESTINATION_CHANGED", says=hotfix):
        plan.apply(session.map)
    assert sites.tags("api") == {"latest": hotfix}


def test_a_tag_that_another_task_gave_the_same_image_does_not_go_back(sites: Sites) -> None:
    api = sites.image("api")
    session = sites.session(retries=0)
    plan = sites.plan(sites.entry("api", moving_tags=["latest"]), session=session)
    sites.release(sites.entry("api"))
    sites.dest.fault("PUT", "manifests/latest", status=500, times=9)
    with fails(OCIError, "UNKNOWN", says="1 tags could not go back") as caught:
        plan.apply(session.map)
    assert sites.tags("api") == {"1.4.2": api}
    assert statuses(caught.value.details) == {"prod/api:1.4.2": "left", "prod/api:latest": "planned"}
    row = caught.value.details["images"][0]
    assert (row["digest"], row["reason"]) == (api, "another task has set it.")
    assert (caught.value.details["left"], caught.value.details["rolled_back"]) == ([sites.name("api", "1.4.2")], False)


def test_a_tag_that_cannot_be_read_back(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    sites.image("api")
    put = sites.dest.api.manifest_put

    def forget(call: Any, repo: str, ref: str) -> Any:
        answer = put(call, repo, ref)
        sites.dest.api.repos[repo].tags.pop("1.4.2", None)
        return answer

    monkeypatch.setattr(sites.dest.api, "manifest_put", forget)
    session = sites.session()
    with fails(OCIError, "TAG_MOVED", says="reads back as absent"):
        sites.plan(sites.entry("api"), session=session).apply(session.map)
    sites.release(sites.entry("api"), verify_after=False)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("quirks", [Quirks(tag_delete_405=True), Quirks(tag_delete_400=True, tags_unpaginated=True)])
def test_a_registry_that_removes_no_tag_alone(quirks: Quirks, shared: bool) -> None:
    """New tags of one image go with it, unless another tag has it too."""
    with FakeRegistry() as source, FakeRegistry(quirks) as dest:
        sites = Sites(source, dest)
        api = sites.image("api")
        sites.image("web")
        if shared:
            sites.released("api", "candidate", content="staging/api 1.4.2 ")
        images = [sites.entry("api", moving_tags=["{major}"]), sites.entry("web", moving_tags=["latest"])]
        error = broken(sites, "prod/web/manifests/latest", *images)
        if shared:
            assert sites.tags("api") == {"candidate": api, "1.4.2": api, "1": api}
            assert error.details["left"] == [sites.name("api", "1"), sites.name("api", "1.4.2")]
            assert error.details["rolled_back"] is False
        else:
            assert sites.tags("api") == sites.tags("web") == {}
            assert (error.details["left"], error.details["rolled_back"]) == ([], True)
        sites.dest.faults.queue.clear()
        sites.release(*images)
        assert set(sites.tags("web")) == {"1.4.2", "latest"}


@pytest.mark.parametrize("shared", [False, True])
def test_a_registry_that_takes_the_image_with_a_tag(shared: bool) -> None:
    """What others have of it is there again when all has gone back."""
    with FakeRegistry() as source, FakeRegistry(Quirks(tag_delete_removes_manifest=True)) as dest:
        sites = Sites(source, dest)
        api = sites.image("api")
        if shared:
            sites.released("api", "candidate", content="staging/api 1.4.2 ")
        error = broken(sites, "prod/api/manifests/latest", sites.entry("api", moving_tags=["{major}", "latest"]))
        assert sites.tags("api") == ({"candidate": api} if shared else {})
        assert (error.details["left"], error.details["rolled_back"]) == ([], True)


def test_a_registry_that_deletes_nothing(sites: Sites) -> None:
    sites.dest.quirks = Quirks(delete_405=True)
    api = sites.image("api")
    error = broken(sites, "manifests/latest", sites.entry("api", moving_tags=["latest"]))
    assert sites.tags("api") == {"1.4.2": api}
    assert error.details["left"] == [sites.name("api", "1.4.2")]
    assert "cannot be removed" in error.details["images"][0]["reason"]


# --- backups


def test_what_a_tag_had_is_kept_under_another(sites: Sites) -> None:
    first = sites.released("api", "latest", version="1.4.0")
    sites.image("api", "1.4.1")
    sites.image("api", "1.4.2")
    done = sites.release(sites.entry("api", "1.4.1", moving_tags=["latest"]), backup="{tag}-previous")
    assert sites.tags("api")["latest-previous"] == first
    assert statuses(done.result)["prod/api:latest-previous"] == "created"
    assert puts(sites.dest)[0] == "latest-previous"
    done = sites.release(sites.entry("api", moving_tags=["latest"]), backup="{tag}-previous")
    assert sites.tags("api")["latest-previous"] == sites.tags("api")["1.4.1"]
    assert statuses(done.result)["prod/api:latest-previous"] == "moved"


def test_a_backup_may_not_be_another_tag_of_the_release(sites: Sites) -> None:
    sites.image("api")
    sites.released("api", "latest", version="1.4.0")
    entry = sites.entry("api", tags=["latest-previous"], moving_tags=["latest"])
    error = refused(sites, entry, code="CONFLICT", backup="{tag}-previous")
    assert str(error) == (
        f"{sites.name('api', 'latest-previous')} is to keep what {sites.name('api', 'latest')} is now, and "
        f"{entry['src']} is to become it, too; give another backup. Nothing was written."
    )


# --- journals


def test_a_journal_undoes_a_release(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.image("api")
    old = sites.released("api", "latest", version="1.4.1")
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    session = sites.session()
    plan = sites.plan(session=session, images=None, state="restored", journal_path=str(path))
    done = plan.apply(session.map)
    assert done.result == plan.result
    assert sites.tags("api") == {"latest": old}
    assert statuses(done.result) == {"prod/api:latest": "restored", "prod/api:1.4.2": "removed"}
    assert json.loads(path.read_text())["used"] is True
    again = sites.plan(images=None, state="restored", journal_path=str(path))
    assert not again.changed
    assert set(statuses(again.result).values()) == {"current"}


def test_a_used_journal_undoes_nothing(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    api = sites.image("api")
    sites.release(sites.entry("api"), journal_path=str(path))
    sites.restore(path)
    sites.release(sites.entry("api"))
    again = sites.plan(images=None, state="restored", journal_path=str(path))
    assert not again.changed
    assert again.result["left"] == [sites.name("api", "1.4.2")]
    assert sites.tags("api") == {"1.4.2": api}


def test_a_journal_leaves_what_others_have_moved(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.image("api")
    sites.released("api", "latest", version="1.4.1")
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    newer = sites.released("api", "latest", version="1.4.3")
    foreseen = sites.plan(images=None, state="restored", journal_path=str(path))
    text = f"{sites.name('api', 'latest')} does not go back: somebody else has set it to {newer} since."
    assert foreseen.warnings == (text,)
    done = sites.restore(path)
    assert sites.tags("api") == {"latest": newer}
    assert done.result["left"] == [sites.name("api", "latest")]
    assert done.result["rolled_back"] is False


def test_what_a_tag_had_may_be_gone(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    api = sites.image("api")
    old = sites.released("api", "latest", version="1.4.1")
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    del sites.dest.api.repos["prod/api"].manifests[old]
    done = sites.restore(path)
    assert sites.tags("api") == {"latest": api}
    assert done.result["left"] == [sites.name("api", "latest")]
    assert "does not exist any more" in done.result["images"][0]["reason"]


def test_what_an_earlier_run_wrote_stays_in_the_journal(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.image("api")
    old = sites.released("api", "latest", version="1.4.1")
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    del sites.dest.api.repos["prod/api"].tags["1.4.2"]  # as if it had been killed before that
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    sites.restore(path)
    assert sites.tags("api") == {"latest": old}


def test_what_another_task_wrote_meanwhile_stays_in_the_journal(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.image("api")
    old = sites.released("api", "latest", version="1.4.1")
    sites.release(sites.entry("api"), journal_path=str(path))
    path.rename(tmp_path / "written later")
    session = sites.session()
    plan = sites.plan(sites.entry("api", moving_tags=["latest"]), session=session, journal_path=str(path))
    (tmp_path / "written later").rename(path)
    plan.apply(session.map)
    sites.restore(path)
    assert sites.tags("api") == {"latest": old}


def test_a_journal_tells_which_release_it_was_written_for(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.image("api")
    done = sites.release(sites.entry("api", **MANY), journal_path=str(path))
    undone = sites.restore(path)
    assert undone.result["lock"] == done.result["lock"]
    sites.release(*undone.result["lock"])
    assert statuses(sites.plan(sites.entry("api", **MANY)).result) == dict.fromkeys(statuses(done.result), "current")


def test_another_release_starts_another_journal(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    first = sites.image("api", "1.4.2")
    sites.image("api", "1.4.3")
    sites.release(sites.entry("api", moving_tags=["latest"]), journal_path=str(path))
    sites.release(sites.entry("api", "1.4.3", moving_tags=["latest"]), journal_path=str(path))
    sites.restore(path)
    assert sites.tags("api") == {"1.4.2": first, "latest": first}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"journal": "promotion", "version": 2, "tags": [], "used": false, "lock": []}',
        '{"journal": "promotion", "version": 1, "tags": [], "used": false, "lock": "api"}',
    ],
)
def test_a_file_that_is_no_journal(sites: Sites, tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(text)
    sites.image("api")
    for options in ({"images": None, "state": "restored"}, {"images": [sites.entry("api")]}):
        with fails(InvalidInput, "FILE_ERROR", says="is no journal"):
            sites.plan(**options, journal_path=str(path))
    assert path.read_text() == text


def test_a_journal_that_does_not_exist(sites: Sites, tmp_path: Path) -> None:
    with fails(InvalidInput, "FILE_ERROR", says="There is no journal"):
        sites.plan(images=None, state="restored", journal_path=str(tmp_path / "absent"))
    sites.image("api")
    with fails(InvalidInput, "FILE_ERROR", says="does not exist"):
        sites.plan(sites.entry("api"), journal_path=str(tmp_path / "absent" / "journal"))


def test_a_backup_that_cannot_be_removed_alone_is_left(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    quirks = Quirks(tag_delete_400=True, tags_unpaginated=True, no_referrers_api=True)
    with FakeRegistry() as source, FakeRegistry(quirks) as dest:
        sites = Sites(source, dest)
        sites.image("api")
        old = sites.released("api", "latest", version="1.4.1")
        entry = sites.entry("api", moving_tags=["latest"])
        sites.release(entry, backup="{tag}-previous", journal_path=str(path))
        foreseen = sites.plan(images=None, state="restored", journal_path=str(path))
        done = sites.restore(path)
        assert done.result == foreseen.result
        assert sites.tags("api") == {"latest": old, "latest-previous": old}
        assert done.result["left"] == [sites.name("api", "latest-previous")]


def test_a_tag_that_turns_out_not_to_go_back_is_told(sites: Sites, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    sites.dest.quirks = Quirks(delete_405=True)
    api = sites.image("api")
    sites.release(sites.entry("api"), journal_path=str(path))
    session = sites.session()
    done = sites.restore(path, session)
    name = sites.name("api", "1.4.2")
    assert done.after == {name: api, str(path): "used"}
    assert done.result["left"] == [name]
    (warning,) = session.transport.warnings
    assert warning.startswith(f"{name} does not go back: it cannot be removed")


@pytest.mark.parametrize("shared", [False, True])
def test_a_journal_at_a_registry_that_removes_no_tag_alone(shared: bool, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    quirks = Quirks(tag_delete_400=True, tags_unpaginated=True, no_referrers_api=True)
    with FakeRegistry() as source, FakeRegistry(quirks) as dest:
        sites = Sites(source, dest)
        api = sites.image("api")
        sites.release(sites.entry("api", moving_tags=["{major}"]), journal_path=str(path))
        if shared:
            dest.api.repos["prod/api"].tags["mine"] = api
        foreseen = sites.plan(images=None, state="restored", journal_path=str(path))
        done = sites.restore(path)
        assert done.result == foreseen.result
        assert sites.tags("api") == ({"1.4.2": api, "1": api, "mine": api} if shared else {})
        assert statuses(done.result) == dict.fromkeys(["prod/api:1", "prod/api:1.4.2"], "left" if shared else "removed")
