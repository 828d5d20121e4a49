# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes: what is planned, asked for and written."""

from __future__ import annotations

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    Denied,
    InvalidInput,
    NotFound,
    Refused,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs import index as verb
from ansible_collections.quayside.registry.plugins.module_utils._verbs.index import plan_index
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import DOCKER_LIST, OCI_INDEX, Layer
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    complete,
    fails,
    login,
    make_session,
)

DEFAULTS: dict[str, Any] = {
    "dest": None,
    "state": "present",
    "manifests": [],
    "exclusive": False,
    "platforms": [],
    "flatten": True,
    "format": None,
    "annotations": {},
    "on_existing": "replace",
}
NAME = f"{REPO}:1"


def plan(registry: FakeRegistry, *manifests: Any, name: str = NAME, **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    options = {**DEFAULTS, "manifests": list(manifests), **options}
    return session, plan_index(session, name=f"{registry.host}/{name}", **options)


def run(registry: FakeRegistry, *manifests: Any, **options: Any) -> Plan:
    """Plan and apply; a second plan has nothing to do, takes no layer, and tells the same."""
    session, planned = plan(registry, *manifests, **options)
    forecast = json.dumps(planned.result)
    apply(session, planned)
    assert json.dumps(planned.result) == forecast
    registry.reset_log()
    again = plan(registry, *manifests, **options)[1]
    assert not again.changed
    assert not {request.path.rpartition("/")[2] for request in registry.requests} & layers(registry)
    assert again.before == again.after == planned.after
    assert {**again.result, "previous_digest": None} == {**planned.result, "previous_digest": None}
    return planned


def image(registry: FakeRegistry, tag: str | None, platform: str = "linux/amd64", repo: str = REPO, **more: Any) -> str:
    return registry.add_image(repo, tag, layers=[f"{tag} {platform}".encode() * 40], platform=platform, **more)


def layers(registry: FakeRegistry) -> set[str]:
    bodies = [json.loads(item.body) for repo in registry.api.repos for item in registry.manifests(repo).values()]
    return {layer["digest"] for body in bodies for layer in body.get("layers", [])}


def members(registry: FakeRegistry, ref: str = "1", repo: str = REPO) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = registry.manifest(repo, ref)["manifests"]
    return found


def digests(registry: FakeRegistry, ref: str = "1", repo: str = REPO) -> list[str]:
    return [member["digest"] for member in members(registry, ref, repo)]


def test_a_new_index_has_the_platforms_of_the_configs() -> None:
    with FakeRegistry() as registry:
        config = {"os.version": "10.0.1", "os.features": ["win32k"]}
        first = image(registry, "a", "windows/amd64", config=config)
        second = image(registry, "b", "linux/arm/v7")
        ref = f"{registry.host}/{REPO}"
        planned = run(registry, f"{ref}:a", f"{ref}:b")
        index = registry.manifest(REPO, "1")
        assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
        assert [(item["digest"], item["platform"]) for item in index["manifests"]] == [
            (first, {"architecture": "amd64", "os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]}),
            (second, {"architecture": "arm", "os": "linux", "variant": "v7"}),
        ]
        assert set(index["manifests"][0]) == {"mediaType", "digest", "size", "platform"}
        assert planned.result["digest"] == registry.tags(REPO)["1"]
        assert planned.result["previous_digest"] is None
        assert [item["platform"] for item in planned.result["manifests"]] == ["windows/amd64:10.0.1", "linux/arm/v7"]


def test_up_to_date_costs_heads_and_one_get() -> None:
    with FakeRegistry() as registry:
        image(registry, "a")
        image(registry, "b", "linux/arm64")
        names = [f"{registry.host}/{REPO}:{tag}" for tag in "ab"]
        run(registry, *names)
        assert sorted(request.method for request in registry.requests) == ["GET", "HEAD", "HEAD", "HEAD"]


def test_content_of_other_repositories_is_mounted_and_of_others_registries_sent() -> None:
    with FakeRegistry() as registry, FakeRegistry() as other:
        there = image(registry, "x", repo="team/build")
        far = image(other, "x", "linux/arm64", repo="far/app")
        session = make_session(login(registry), login(other))
        options = {**DEFAULTS, "manifests": [f"{registry.host}/team/build:x", f"{other.host}/far/app@{far}"]}
        planned = plan_index(session, name=f"{registry.host}/{NAME}", **options)
        cost = apply(session, planned)
        assert digests(registry) == [there, far]
        assert complete(registry, REPO, "1")
        assert (cost.blobs_mounted, cost.blobs_pushed) == (2, 2)
        assert planned.steps[-1].text.startswith("Tag ")


def test_an_index_is_taken_member_by_member_with_attestations_and_unknown_fields() -> None:
    with FakeRegistry() as registry:
        first = registry.descriptor("src/app", image(registry, None, repo="src/app"))
        note = registry.add_attestation("src/app", first["digest"])
        given = [{**first, "x-unknown": [1], "annotations": {"a": "b"}}, note]
        registry.add_index("src/app", "1", given)
        run(registry, f"{registry.host}/src/app:1")
        assert members(registry) == given
        assert complete(registry, REPO, "1")
        nested = run(registry, f"{registry.host}/src/app:1", name=f"{REPO}:nested", flatten=False)
        (member,) = members(registry, "nested")
        assert member == registry.descriptor("src/app", "1")
        assert nested.result["manifests"][0]["platform"] is None
        assert complete(registry, REPO, "nested")


def test_a_platform_chooses_from_an_index_and_describes_an_image() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry, "src/app")
        amd64, arm64, note = digests(registry, "1", "src/app")
        ref = f"{registry.host}/src/app"
        run(registry, {"name": f"{ref}:1", "platform": "linux/amd64", "annotations": {"k": "v"}})
        assert digests(registry) == [amd64, note]
        assert members(registry)[0]["annotations"] == {"k": "v"}
        assert "k" not in members(registry)[1]["annotations"]
        run(registry, {"name": f"{ref}@{arm64}", "platform": "linux/riscv64", "annotations": {"n": 1}})
        assert members(registry)[2]["platform"] == {"architecture": "riscv64", "os": "linux"}
        assert members(registry)[2]["annotations"] == {"n": "1"}
        run(registry, {"name": arm64, "platform": "linux/arm64", "annotations": {"n": None}})
        assert members(registry)[2]["platform"] == {"architecture": "arm64", "os": "linux"}
        assert "annotations" not in members(registry)[2]
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "no image for linux/s390x"):
            plan(registry, {"name": f"{ref}:1", "platform": "linux/s390x"})
        with fails(InvalidInput, "INVALID_PLATFORM", says="names no architecture"):
            plan(registry, {"name": arm64, "platform": "linux"})


def test_an_image_replaces_the_one_for_its_platform_with_its_attestation() -> None:
    with FakeRegistry() as registry:
        old = add_platforms(registry)
        amd64, arm64, dummy = digests(registry)
        new = image(registry, "new")
        planned = run(registry, f"{registry.host}/{REPO}:new")
        assert digests(registry) == [new, arm64]
        assert planned.result["previous_digest"] == old
        assert [line.split()[:4] for line in planned.actions[-3:]] == [
            ["Remove", "the", "member", "linux/amd64"],
            ["Remove", "the", "member", "unknown/unknown"],
            ["Add", "the", "member", "linux/amd64"],
        ]
        # v8 is what arm64 is; another variant of amd64 is another platform.
        newer = [image(registry, "v8", "linux/arm64/v8"), image(registry, "v3", "linux/amd64/v3")]
        run(registry, *newer)
        assert digests(registry) == [new, *newer]
        assert amd64 not in digests(registry)


def test_a_new_attestation_of_the_same_image_replaces_the_old_one() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        amd64 = digests(registry)[0]
        note = registry.add_attestation(REPO, amd64, b'{"newer": 1}')
        registry.add_index(REPO, "built", [amd64, note])
        arm64 = digests(registry)[1]
        run(registry, f"{registry.host}/{REPO}:built")
        assert digests(registry) == [amd64, arm64, note["digest"]]


def test_what_an_index_has_beside_members_is_kept() -> None:
    with FakeRegistry() as registry:
        amd64, arm64 = image(registry, "a"), image(registry, "b", "linux/arm64")
        subject = {key: registry.descriptor(REPO, amd64)[key] for key in ("mediaType", "digest", "size")}
        index = {
            "schemaVersion": 2,
            "x-other": {"deep": [None]},
            "manifests": [registry.descriptor(REPO, amd64)],
            "subject": subject,
            "annotations": {"keep": "1", "drop": "2"},
        }
        registry.add_manifest(REPO, index, OCI_INDEX, "1")
        run(registry, arm64, annotations={"drop": None, "new": "3"})
        written = registry.manifest(REPO, "1")
        assert list(written) == list(index)
        assert written["annotations"] == {"keep": "1", "new": "3"}
        assert {**written, "manifests": 0, "annotations": 0} == {**index, "manifests": 0, "annotations": 0}
        run(registry, annotations={"keep": None, "new": None})
        assert "annotations" not in registry.manifest(REPO, "1")


def test_exclusive() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        amd64, arm64, dummy = digests(registry)
        ppc = image(registry, "p", "linux/ppc64le")
        run(registry, ppc, arm64, exclusive=True)
        assert digests(registry) == [arm64, ppc]
        registry.add_image(REPO, "1", layers=LAYERS)
        single = registry.tags(REPO)["1"]
        with fails(ContentError, "NOT_AN_INDEX", registry.host, None, "exclusive: true"):
            plan(registry, ppc)
        # An image becomes a member of the index that takes its name; the second run finds it there.
        run(registry, f"{registry.host}/{NAME}", arm64, exclusive=True)
        assert digests(registry) == [single, arm64]


def test_platforms_leave_out_the_rest() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        amd64, arm64, note = digests(registry)
        run(registry, platforms=["linux/amd64"], dest=f"{registry.host}/{REPO}:small")
        assert digests(registry, "small") == [amd64, note]
        assert len(digests(registry)) == 3
        run(registry, image(registry, None, "windows/amd64"), platforms=["linux"])
        assert digests(registry) == [amd64, arm64, note]
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "linux/s390x"):
            plan(registry, platforms=["linux/s390x"])


@pytest.mark.parametrize("how", ["tag", "digest", "bare", "platform", "index", "both"])
def test_absent(how: str) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        amd64, arm64, dummy = digests(registry)
        image(registry, "gone", "linux/s390x")
        registry.api.repos[REPO].tags["amd"] = amd64
        registry.add_index(REPO, "part", [amd64])
        given = {
            "tag": f"{registry.host}/{REPO}:amd",
            "digest": f"{registry.host}/elsewhere@{amd64}",
            "bare": amd64,
            "platform": {"platform": "linux/amd64"},
            "index": f"{registry.host}/{REPO}:part",
            "both": {"name": f"{registry.host}/{REPO}:amd", "platform": "linux/amd64"},
        }[how]
        run(registry, given, state="absent")
        assert digests(registry) == [arm64]


def test_absent_of_what_is_not_there() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        amd64 = digests(registry)[0]
        image(registry, "other", "linux/s390x")
        ref = f"{registry.host}/{REPO}"
        given: list[Any] = [
            f"{ref}:other",
            f"{ref}:no-such-tag",
            f"{ref}@sha256:{'a' * 64}",
            {"platform": "linux/mips"},
            {"name": amd64, "platform": "linux/arm64"},
        ]
        assert not plan(registry, *given, state="absent")[1].changed
        gone = plan(registry, *given, state="absent", name="team/none:1")[1]
        assert (gone.changed, gone.result["digest"], gone.result["manifests"]) == (False, None, [])


def test_never_empty() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        with fails(Refused, "EMPTY_INDEX", registry.host, None, "oci_delete deletes"):
            plan(registry, {"platform": "linux"}, {"platform": "unknown"}, state="absent")
        with fails(Refused, "EMPTY_INDEX", registry.host, None, "no members left"):
            plan(registry, exclusive=True)


@pytest.mark.parametrize(
    ("given", "options", "code", "says"),
    [
        ([], {"state": "absent"}, "INVALID_OPTION", "oci_delete deletes"),
        ([{"platform": "linux"}], {"state": "absent", "platforms": ["linux"]}, "INVALID_OPTION", "do not go with"),
        ([{"platform": "linux/amd64"}], {}, "INVALID_OPTION", "has no name"),
        ([{"name": "x", "tag": "y"}], {}, "INVALID_OPTION", "neither a reference nor a dict"),
        ([5], {}, "INVALID_OPTION", "neither a reference nor a dict"),
        ([{"name": ["x"]}], {}, "INVALID_OPTION", "neither a reference nor a dict"),
        ([{"name": "x", "annotations": "a"}], {}, "INVALID_OPTION", "are no dict"),
        ([{"name": "x", "annotations": {"a": 1.5}}], {}, "INVALID_OPTION", "write it in quotes"),
        (["UPPER/x"], {}, "INVALID_REFERENCE", "UPPER"),
        (["sha256:abc"], {}, "INVALID_REFERENCE", "its digest"),
        ([{"name": "x", "platform": "a b"}], {}, "INVALID_PLATFORM", "'a b'"),
        ([], {"annotations": {"a": True}}, "INVALID_OPTION", "write it in quotes"),
    ],
)
def test_bad_options_cost_no_request(given: list[Any], options: dict[str, Any], code: str, says: str) -> None:
    with FakeRegistry() as registry:
        with fails(InvalidInput, code, says=says):
            plan(registry, *given, **options)
        assert registry.requests == []


def test_absent_things_are_named() -> None:
    with FakeRegistry() as registry:
        image(registry, "a")
        ref = f"{registry.host}/{REPO}"
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, f"{ref}:none does not exist"):
            plan(registry, f"{ref}:a", f"{ref}:none")
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, "lists no members"):
            plan(registry)
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, "leave out dest"):
            plan(registry, f"{ref}:a", dest=f"{ref}:2")


def test_two_entries_for_one_platform() -> None:
    with FakeRegistry() as registry:
        first, second = image(registry, "a"), image(registry, "b")
        with fails(InvalidInput, "INVALID_OPTION", says="both are for linux/amd64"):
            plan(registry, first, second)
        run(registry, first, {"name": first, "annotations": {"twice": "1"}})
        assert digests(registry) == [first]
        assert members(registry)[0]["annotations"] == {"twice": "1"}
        # An index may have two of its own; a repeated digest is written once.
        registry.add_index(REPO, "two", [first, second, first])
        run(registry, f"{registry.host}/{REPO}:two")
        assert digests(registry) == [first, second]


def test_formats() -> None:
    with FakeRegistry() as registry:
        docker, oci = image(registry, "d", media="docker"), image(registry, "o", "linux/arm64")
        run(registry, docker)
        assert registry.manifest(REPO, "1")["mediaType"] == DOCKER_LIST
        with fails(InvalidInput, "INVALID_OPTION", registry.host, None, "set format: oci"):
            plan(registry, oci)
        with fails(InvalidInput, "INVALID_OPTION", registry.host, None, "which has no annotations"):
            plan(registry, annotations={"a": "b"})
        with fails(InvalidInput, "INVALID_OPTION", registry.host, None, "whose members have no annotations"):
            plan(registry, {"name": docker, "annotations": {"a": "b"}})
        planned = run(registry, oci, format="oci", annotations={"a": "b"})
        assert registry.manifest(REPO, "1")["mediaType"] == planned.result["media_type"] == OCI_INDEX
        assert registry.manifests(REPO)[planned.result["digest"]].media_type == OCI_INDEX
        assert digests(registry) == [docker, oci]
        with fails(InvalidInput, "INVALID_OPTION", registry.host, None, "Docker images alone"):
            plan(registry, format="docker")
        run(registry, docker, name=f"{REPO}:2", format="oci")
        assert registry.manifest(REPO, "2")["mediaType"] == OCI_INDEX


def test_what_other_tools_put_into_a_docker_list_stays() -> None:
    with FakeRegistry() as registry:
        oci, docker = image(registry, "o"), image(registry, "d", "linux/arm64", media="docker")
        registry.add_index(REPO, "1", [oci], media="docker", annotations={"odd": "1"})
        run(registry, docker)
        assert digests(registry) == [oci, docker]
        with fails(InvalidInput, "INVALID_OPTION", registry.host, None, "which has no annotations"):
            plan(registry, annotations={"odd": "2"})


def test_an_artifact_has_no_platform_and_keeps_its_type() -> None:
    with FakeRegistry() as registry:
        amd64 = image(registry, "a")
        sbom = registry.add_referrer(REPO, amd64, "application/vnd.example.sbom", b"{}")
        chart = Layer(b"x", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "sha256:" + "0" * 64)
        typed = registry.add_image(REPO, None, [chart], "linux/arm64", artifact_type="application/vnd.example.chart")
        run(registry, amd64, sbom, typed)
        assert ["platform" in member for member in members(registry)] == [True, False, True]
        assert [member.get("artifactType") for member in members(registry)] == [
            None,
            "application/vnd.example.sbom",
            "application/vnd.example.chart",
        ]


def test_members_without_platform_get_the_one_of_their_config() -> None:
    with FakeRegistry() as registry:
        bare = {key: item for key, item in registry.descriptor(REPO, image(registry, "a")).items() if key != "platform"}
        sbom = registry.add_referrer(REPO, bare["digest"], "application/vnd.example.sbom", b"{}")
        registry.add_index(REPO, "bare", [bare, sbom])
        run(registry, f"{registry.host}/{REPO}:bare")
        assert members(registry)[0] == {**bare, "platform": {"architecture": "amd64", "os": "linux"}}
        assert "platform" not in members(registry)[1]


def test_dest_in_another_repository_gets_all_members() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        new = image(registry, "new", "linux/s390x", repo="team/build")
        state = registry.api.repos[REPO].tags.copy()
        planned = run(registry, f"{registry.host}/team/build@{new}", dest=f"{registry.host}/team/out")
        assert complete(registry, "team/out", "1")
        assert digests(registry, "1", "team/out") == [*digests(registry), new]
        assert registry.tags(REPO) == state
        assert planned.result["reference"].startswith(f"{registry.host}/team/out@sha256:")


def test_a_name_by_digest_stays_and_the_result_has_its_own() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        planned = run(registry, platforms=["linux/arm64"], name=f"{REPO}@{digest}")
        assert planned.result["digest"] != digest
        assert len(digests(registry, planned.result["digest"])) == 1
        assert len(digests(registry, digest)) == 3
        with fails(InvalidInput, "INVALID_OPTION", says="the digest follows from the content"):
            plan(registry, platforms=["linux/arm64"], dest=f"{registry.host}/{REPO}@{digest}")


def test_on_existing() -> None:
    with FakeRegistry() as registry:
        old, new = add_platforms(registry), image(registry, "n", "linux/s390x")
        state = registry.state()
        with fails(Refused, "TAG_EXISTS", registry.host, None, "exists already"):
            plan(registry, new, on_existing="fail")
        kept = run(registry, new, on_existing="keep")
        assert (kept.changed, kept.result["digest"], len(kept.result["manifests"])) == (False, old, 3)
        assert kept.actions[0].startswith("Keep ")
        other = run(registry, new, on_existing="keep", dest=f"{registry.host}/{REPO}:n")
        assert (other.changed, other.result["digest"], other.result["manifests"]) == (False, new, [])
        assert registry.state() == state


def test_planning_writes_nothing() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        new, state = image(registry, "n", "linux/s390x", repo="x/y"), registry.state()
        assert plan(registry, f"{registry.host}/x/y@{new}")[1].changed
        assert registry.state() == state


def test_what_another_task_adds_in_between_stays() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        first, second = image(registry, "f", "linux/s390x"), image(registry, "s", "linux/ppc64le")
        session, slow = plan(registry, first)
        apply(*plan(registry, second))
        between = registry.tags(REPO)["1"]
        planned = copy.deepcopy((slow.result, slow.before, slow.after))
        done = slow.apply(session.map)
        assert digests(registry)[-2:] == [second, first]
        assert done.result["digest"] == done.after["digest"] == registry.tags(REPO)["1"]
        assert done.result["previous_digest"] == between
        assert [item["digest"] for item in done.result["manifests"]] == digests(registry)
        assert (slow.result, slow.before, slow.after) == planned


def test_what_overwrites_our_tag_is_planned_upon() -> None:
    with FakeRegistry() as registry:
        base = add_platforms(registry)
        first, second = image(registry, "f", "linux/s390x"), image(registry, "s", "linux/ppc64le")
        theirs = plan(registry, second)[1]
        session, ours = plan(registry, first)
        # The other one looked before we wrote, and writes after it.
        wait = session.transport.wait
        written: list[int] = []

        def late(seconds: float) -> None:
            if not written:
                written.append(1)
                make_session(login(registry))
                apply(*plan(registry, second, name=f"{REPO}@{base}"))
                registry.api.repos[REPO].tags["1"] = theirs.result["digest"]
            wait(seconds)

        session.transport.wait = late  # type: ignore[method-assign]
        apply(session, ours)
        assert digests(registry)[-2:] == [second, first]


def test_tasks_at_once_all_end_up_in_the_index() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        images = [image(registry, f"t{number}", f"linux/cpu{number}") for number in range(4)]
        plans = [plan(registry, digest) for digest in images]
        for session, dummy in plans:
            session.transport._sleep = time.sleep
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: apply(*pair), plans))
        assert set(images) <= set(digests(registry))


def test_a_tag_that_never_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        session, ours = plan(registry, image(registry, "f", "linux/s390x"))
        others = iter([image(registry, f"o{n}", f"linux/cpu{n}") for n in range(9)])

        def meddle(seconds: float) -> None:
            registry.add_index(REPO, "1", [next(others)])

        monkeypatch.setattr(session.transport, "wait", meddle)
        with fails(Refused, "TAG_MOVED", registry.host, None, f"{verb._TRIES} times"):
            apply(session, ours)


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        add_platforms(registry)
        new = image(registry, "n", "linux/s390x", repo="x/y")
        given = [f"{registry.host}/{NAME}", f"{registry.host}/x/y:n"]
        session, planned = plan(registry, *given, name=f"{REPO}:2")
        apply(session, planned)
        assert digests(registry, "2") == [*digests(registry), new]
        assert complete(registry, REPO, "2")
        assert not plan(registry, *given, name=f"{REPO}:2")[1].changed


SEVERAL = ("linux/amd64", "linux/386", "linux/arm64")


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("before", [(), ("linux/386",), ("linux/386", "linux/arm64"), (None,), SEVERAL[::-1]])
@pytest.mark.parametrize("wanted", [*permutations(SEVERAL), *permutations(SEVERAL[:2])])
def test_one_image_for_several_platforms(
    wanted: tuple[str, ...], before: tuple[str | None, ...], exclusive: bool
) -> None:
    """All of them are there after one run, and stay in the second, which `run` looks at."""
    with FakeRegistry() as registry:
        one = image(registry, "a")
        if before:
            bare = {key: value for key, value in registry.descriptor(REPO, one).items() if key != "platform"}
            named = [platform.split("/") if platform else None for platform in before]
            platforms = [{"platform": {"architecture": text[1], "os": text[0]}} if text else {} for text in named]
            registry.add_index(REPO, "1", [{**bare, **platform} for platform in platforms])
        ref = f"{registry.host}/{REPO}:a"
        planned = run(registry, *({"name": ref, "platform": platform} for platform in wanted), exclusive=exclusive)
        found = [(item["digest"], item["platform"]) for item in planned.result["manifests"]]
        left = set() if exclusive else {platform for platform in before if platform}
        assert sorted(found) == sorted((one, platform) for platform in {*wanted, *left})


@pytest.mark.parametrize("before", [[], ["linux/386"], ["linux/amd64"], ["linux/386", "linux/amd64"]])
@pytest.mark.parametrize("turn", [1, -1])
def test_an_image_as_its_config_says_and_for_another_platform(before: list[str], turn: int) -> None:
    """What is said of the one for each platform is not said of the other."""
    with FakeRegistry() as registry:
        one = image(registry, "a")
        ref = f"{registry.host}/{REPO}:a"
        if before:
            entries = [{"name": one, "platform": platform, "annotations": {"old": platform}} for platform in before]
            run(registry, *entries)
        wanted: list[Any] = [{"name": ref, "annotations": {"x": "y"}}, {"name": ref, "platform": "linux/386"}]
        run(registry, *wanted[::turn])
        found = {item["platform"]["architecture"]: item.get("annotations") or {} for item in members(registry)}
        assert found.keys() == {"amd64", "386"}
        assert found["amd64"].get("x") == "y"
        assert "x" not in found["386"]
        for platform in ("linux/386", "linux/amd64"):
            assert found[platform.split("/")[1]].get("old") == (platform if platform in before else None)


def test_exclusive_keeps_members_that_got_their_platform_from_their_config() -> None:
    with FakeRegistry() as registry:
        bare = registry.descriptor("src/app", image(registry, None, repo="src/app"))
        registry.add_index("src/app", "1", [{**bare, "platform": None}])
        run(registry, f"{registry.host}/src/app:1", exclusive=True)
        assert [item["platform"]["architecture"] for item in members(registry)] == ["amd64"]


def test_a_platform_chooses_from_nested_indexes_and_by_configs() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry, "src/app", "inner")
        amd64, arm64, note = digests(registry, "inner", "src/app")
        silent = registry.descriptor("src/app", image(registry, None, "linux/s390x", repo="src/app"))
        silent.pop("platform")
        inner = registry.descriptor("src/app", "inner")
        registry.add_index("src/app", "outer", [inner, silent])
        ref = f"{registry.host}/src/app:outer"
        run(registry, {"name": ref, "platform": "linux/amd64"})
        assert digests(registry) == [amd64, note]
        run(registry, {"name": ref, "platform": "linux/arm64"}, exclusive=True)
        assert digests(registry) == [arm64]
        run(registry, {"name": ref, "platform": "linux/s390x"})
        assert members(registry)[1]["platform"] == {"architecture": "s390x", "os": "linux"}
        assert complete(registry, REPO, "1")
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "it has linux/amd64, linux/arm64"):
            plan(registry, {"name": ref, "platform": "linux/riscv64"})


def test_indexes_without_end_are_not_opened() -> None:
    with FakeRegistry() as registry:
        nested = registry.descriptor(REPO, add_platforms(registry))
        for dummy in range(9):
            nested = registry.descriptor(REPO, registry.add_index(REPO, "deep", [nested]))
        with fails(ContentError, "MANIFEST_INVALID", registry.host, None, "nests its indexes"):
            plan(registry, {"name": f"{registry.host}/{REPO}:deep", "platform": "linux/amd64"}, name=f"{REPO}:new")


def test_a_look_that_is_refused_does_not_make_an_index_anew() -> None:
    """Between the first look and the write, somebody may take rights away, or count too many requests."""
    with FakeRegistry() as registry:
        index = add_platforms(registry)
        new = registry.add_image(REPO, "new", layers=LAYERS, platform="linux/s390x")
        session, planned = plan(registry, f"{registry.host}/{REPO}@{new}")
        registry.fault("HEAD|GET", "/manifests/1$", status=403, times=9)
        with fails(Denied, "DENIED", registry.host, 403):
            apply(session, planned)
        registry.faults.queue.clear()
        assert registry.tags(REPO)["1"] == index


def test_what_a_nested_index_gave_goes_by_the_same_entry() -> None:
    with FakeRegistry() as registry:
        inner = registry.add_index(REPO, None, [image(registry, None, "linux/arm64")])
        registry.add_index(REPO, "outer", [inner, image(registry, None, "linux/s390x")])
        image(registry, "2", "linux/amd64")
        entry = {"name": f"{registry.host}/{REPO}:outer", "platform": "linux/arm64"}
        run(registry, f"{registry.host}/{REPO}:2", entry)
        assert len(members(registry)) == 2
        run(registry, entry, state="absent")
        assert [member["platform"]["architecture"] for member in members(registry)] == ["amd64"]
