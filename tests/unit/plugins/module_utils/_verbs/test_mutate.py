# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing images: in place and elsewhere, one and all of an index, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, Refused
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.mutate import plan_mutate
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_LAYER,
    Layer,
    digest_of,
)
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
    run_module,
    twice,
)
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("dest", "labels", "annotations", "env", "cmd", "entrypoint", "user", "workdir", "exposed_ports")),
    **dict.fromkeys(("volumes", "stop_signal", "set_platform", "created", "index_annotations", "config_patch")),
    "manifest_patch": None,
    "append": [],
    "platforms": [],
    "on_existing": "replace",
}


def plan(registry: FakeRegistry, name: str = ":1", dest: str | None = None, **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    where = f"{registry.host}/{dest}" if dest else None
    return session, plan_mutate(
        session, **{**NOTHING, "name": f"{registry.host}/{REPO}{name}", "dest": where, **options}
    )


def run(registry: FakeRegistry, *args: Any, **options: Any) -> Plan:
    session, planned = plan(registry, *args, **options)
    apply(session, planned)
    return planned


def run_twice(registry: FakeRegistry, *args: Any, **options: Any) -> Plan:
    return twice(registry, lambda: run(registry, *args, **options), "digest", "config")


@pytest.mark.parametrize("media", ["oci", "docker"])
def test_an_image_in_place(media: str) -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(
            REPO, "1", layers=LAYERS, media=media, config={"config": {"Env": ["A=1"], "Odd": 1}, "x": {"y": 2}}
        )
        before, config = registry.manifest(REPO, old), registry.config(REPO, old)
        planned = run_twice(registry, labels={"a": "b"}, env={"A": 2}, annotations={"note": "x"}, user="1")
        new = registry.tags(REPO)["1"]
        after = registry.manifest(REPO, new)
        wanted = {**config, "config": {"Env": ["A=2"], "Odd": 1, "Labels": {"a": "b"}, "User": "1"}}
        assert registry.config(REPO, new) == planned.result["config"] == wanted
        assert {**after, "config": 0} == {**before, "config": 0, "annotations": {"note": "x"}}
        assert after["config"]["mediaType"] == before["config"]["mediaType"]
        assert registry.manifests(REPO)[new].media_type == registry.manifests(REPO)[old].media_type
        assert planned.result["digest"] == new
        assert planned.result["previous_digest"] == old
        assert planned.result["reference"] == f"{registry.host}/{REPO}@{new}"
        assert complete(registry, REPO, "1")


def test_planning_writes_nothing() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        state = registry.state()
        assert plan(registry, labels={"a": "b"})[1].changed
        assert registry.state() == state


def test_no_layer_is_read() -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, labels={"a": "b"})
        layers = [layer["digest"] for layer in registry.manifest(REPO, old)["layers"]]
        assert sum(registry.count("GET", layer) for layer in layers) == 0
        assert registry.count("POST") == 1  # the config


def test_nothing_to_do_writes_nothing() -> None:
    with FakeRegistry() as registry:
        # Other spaces and another order than ours: what is not changed is not written anew.
        digest = registry.add_image(REPO, layers=LAYERS, config={"config": {"Labels": {"a": "b"}}})
        body = json.dumps(registry.manifest(REPO, digest), indent=3, sort_keys=True).encode()
        digest = registry.add_manifest(REPO, body, tag="1")
        for options in ({}, {"labels": {"a": "b", "c": None}}, {"annotations": {"x": None}}, {"config_patch": {}}):
            planned = run(registry, **options)
            assert not planned.changed
            assert planned.result["digest"] == planned.result["previous_digest"] == digest
        index = add_platforms(registry, tag="2")
        assert run(registry, ":2", env={"X": None}, index_annotations={"x": None}).result["digest"] == index


@pytest.mark.parametrize("dest", ["team/copy", "team/copy:x", f"{REPO}:2"])
def test_elsewhere(dest: str) -> None:
    with FakeRegistry() as registry:
        old = add_platforms(registry)
        planned = run_twice(registry, dest=dest, labels={"a": "b"})
        repository, dummy, tag = dest.partition(":")
        assert registry.tags(REPO)["1"] == old
        assert registry.tags(repository)[tag or "1"] == planned.result["digest"]
        assert complete(registry, repository, planned.result["digest"])
        assert planned.result["previous_digest"] is None


@pytest.mark.parametrize("media", ["oci", "docker"])
def test_all_images_of_an_index(media: str) -> None:
    with FakeRegistry() as registry:
        old = registry.manifest(REPO, add_platforms(registry, media=media))
        notes = {"all": "y"} if media == "oci" else {}
        planned = run_twice(registry, labels={"a": "b"}, annotations={"note": "x"}, index_annotations=notes)
        index = registry.manifest(REPO, "1")
        amd64, arm64, attestation = index["manifests"]
        assert index.get("annotations", {}) == notes
        assert {**index, "manifests": 0, "annotations": 0} == {**old, "manifests": 0, "annotations": 0}
        for member, before in ((amd64, old["manifests"][0]), (arm64, old["manifests"][1])):
            assert registry.config(REPO, member["digest"])["config"] == {"Labels": {"a": "b"}}
            assert registry.manifest(REPO, member["digest"])["annotations"] == {"note": "x"}
            assert member["platform"] == before["platform"]
        assert attestation["digest"] == old["manifests"][2]["digest"]
        assert attestation["annotations"]["vnd.docker.reference.digest"] == amd64["digest"]
        assert planned.result["config"] == registry.config(REPO, amd64["digest"])
        assert complete(registry, REPO, "1")


def test_one_image_of_an_index() -> None:
    with FakeRegistry() as registry:
        old = registry.manifest(REPO, add_platforms(registry))
        planned = run_twice(registry, platforms=["linux/arm64"], labels={"a": "b"})
        amd64, arm64, attestation = registry.manifest(REPO, "1")["manifests"]
        assert [amd64, attestation] == [old["manifests"][0], old["manifests"][2]]
        assert planned.result["config"]["architecture"] == "arm64"
        assert registry.config(REPO, arm64["digest"])["config"] == {"Labels": {"a": "b"}}


def test_platform_of_one_image() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        with fails(InvalidInput, "INVALID_OPTION", says="set_platform is for one image"):
            plan(registry, set_platform="linux/riscv64")
        run_twice(registry, set_platform="linux/riscv64", platforms=["linux/arm64"])
        member = registry.manifest(REPO, "1")["manifests"][1]
        assert member["platform"] == {"architecture": "riscv64", "os": "linux"}
        assert registry.config(REPO, member["digest"])["architecture"] == "riscv64"
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="has no image for linux/s390x"):
            plan(registry, set_platform="linux/s390x", platforms=["linux/arm64"])


def test_index_annotations_of_a_single_image() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(InvalidInput, "INVALID_OPTION", says="is a single image"):
            plan(registry, index_annotations={"a": "b"})
        assert not plan(registry, index_annotations={})[1].changed


def test_patches() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        run_twice(registry, config_patch={"author": "me"}, manifest_patch={"artifactType": "x/y"}, annotations={"a": 1})
        for member in registry.manifest(REPO, "1")["manifests"][:2]:
            manifest = registry.manifest(REPO, member["digest"])
            assert (manifest["artifactType"], manifest["annotations"]) == ("x/y", {"a": "1"})
            assert registry.config(REPO, member["digest"])["author"] == "me"
        run(registry, manifest_patch={"annotations": None, "artifactType": None})
        assert "annotations" not in registry.manifest(REPO, registry.manifest(REPO, "1")["manifests"][0]["digest"])


def test_by_digest() -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, layers=LAYERS)
        planned = run(registry, f"@{old}", labels={"a": "b"})
        assert registry.tags(REPO) == {}
        assert complete(registry, REPO, planned.result["digest"])
        assert not run(registry, f"@{old}", labels={"a": "b"}).changed
        assert not run(registry, f"@{planned.result['digest']}", labels={"a": "b"}).changed


@pytest.mark.parametrize("media", ["oci", "docker"])
def test_append(media: str, tmp_path: Path) -> None:
    one, two = tar_of({"one": b"1" * 1000}), gzip.compress(tar_of({"two": b"2"}))
    (tmp_path / "one.tar").write_bytes(one)
    (tmp_path / "two.tar.gz").write_bytes(two)
    paths = [str(tmp_path / "one.tar"), str(tmp_path / "two.tar.gz")]
    with FakeRegistry() as registry:
        old = add_platforms(registry, media=media)
        planned = run_twice(registry, append=paths, labels={"a": "b"})
        assert complete(registry, REPO, "1")
        index = registry.manifest(REPO, "1")
        assert len(index["manifests"]) == 2  # the attestation described other files
        assert planned.notes[0].startswith("Drop the attestation")
        for member, before in zip(index["manifests"], registry.manifest(REPO, old)["manifests"]):
            layers = registry.manifest(REPO, member["digest"])["layers"]
            assert layers[:2] == registry.manifest(REPO, before["digest"])["layers"]
            assert {layer["mediaType"] for layer in layers} == {OCI_LAYER if media == "oci" else DOCKER_LAYER}
            blobs = [registry.blobs(REPO)[layer["digest"]] for layer in layers]
            config = registry.config(REPO, member["digest"])
            assert config["rootfs"]["diff_ids"] == [digest_of(gzip.decompress(blob)) for blob in blobs]
            assert (gzip.decompress(blobs[2]), blobs[3]) == (one, two)
            assert len(config["history"]) == 4
            assert [len(blob) for blob in blobs] == [layer["size"] for layer in layers]


def test_append_to_an_image_without_history(tmp_path: Path) -> None:
    save_tar(tmp_path / "one.tar", {"one": b"1"})
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS, config={"history": None})
        planned = run_twice(registry, append=[str(tmp_path / "one.tar")])
        assert [entry.get("created_by") for entry in planned.result["config"]["history"]] == [
            *[None] * len(LAYERS),
            "oci_append one.tar",
        ]


def test_append_elsewhere_takes_what_another_encoder_made(tmp_path: Path) -> None:
    raw = tar_of({"one": b"1" * 5000})
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        (tmp_path / "one.tar").write_bytes(raw)
        options: dict[str, Any] = {"dest": "team/new:1", "append": [str(tmp_path / "one.tar")]}
        first = run_twice(registry, **options)
        (tmp_path / "one.tar").write_bytes(gzip.compress(raw, 9))
        assert not run(registry, **options).changed
        # Something else changes: the layer stays as the destination has it.
        second = run(registry, **options, labels={"a": "b"})
        assert second.changed
        assert complete(registry, "team/new", "1")
        layers = [registry.manifest("team/new", plan.result["digest"])["layers"] for plan in (first, second)]
        assert layers[0] == layers[1]


def test_append_of_what_is_no_layer(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("words " * 500)
    with FakeRegistry() as registry:
        add_platforms(registry)
        state = registry.state()
        with fails(ContentError, "INVALID_LAYER", says="text is not a tar archive"):
            run(registry, append=[str(tmp_path / "text")])
        assert registry.state() == state


def test_on_existing() -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "1", layers=LAYERS)
        with fails(Refused, "TAG_EXISTS", registry.host):
            plan(registry, labels={"a": "b"}, on_existing="fail")
        planned = run(registry, labels={"a": "b"}, on_existing="keep")
        assert (planned.changed, planned.result["digest"]) == (False, old)
        assert registry.tags(REPO)["1"] == old


def test_artifacts_are_refused() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, layers=LAYERS)
        artifact = registry.add_referrer(REPO, digest, "application/vnd.example", b"x")
        with fails(
            ContentError,
            "NOT_AN_IMAGE",
            says="is not an image: its config has the type application/vnd.oci.empty.v1+json",
        ):
            plan(registry, f"@{artifact}", labels={"a": "b"})


def test_layers_that_are_no_tars_are_named() -> None:
    with FakeRegistry() as registry:
        odd = "application/vnd.example.squashfs"
        registry.add_image(REPO, "1", [Layer(b"hsqs", odd, digest_of(b"hsqs"))])
        says = f"is not an image: it has a layer of the type {odd}, so it takes no labels, env; annotations"
        with fails(ContentError, "NOT_AN_IMAGE", says=says):
            plan(registry, labels={"a": "b"}, env={"A": "b"})
        assert run_twice(registry, annotations={"a": "b"}).changed


def test_bad_input_comes_before_any_request() -> None:
    with FakeRegistry() as registry:
        for options in (
            {"labels": {"a": True}},
            {"env": {"A": 1.5}},
            {"annotations": {"a": []}},
            {"index_annotations": {"a": {}}},
            {"exposed_ports": ["x"]},
            {"created": "now"},
            {"config_patch": {"a": float("inf")}},
            {"manifest_patch": {"a": float("nan")}},
        ):
            with fails(InvalidInput, "INVALID_OPTION"):
                plan(registry, **options)
        with fails(InvalidInput, "INVALID_PLATFORM"):
            plan(registry, set_platform="linux")
        assert registry.requests == []


def test_docker_stays_docker() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS, media="docker")
        run(registry, annotations={"a": "b"}, created="2030-01-01T00:00:00Z")
        assert registry.manifests(REPO)[registry.tags(REPO)["1"]].media_type == DOCKER_MANIFEST


def test_a_layer_that_may_not_be_distributed_is_said_where_the_result_goes_elsewhere() -> None:
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": "sha256:" + "1" * 64,
        "size": 10,
        "urls": ["https://elsewhere.example/layer"],
    }
    with FakeRegistry() as registry, FakeRegistry() as other:
        registry.add_image(REPO, "1", layers=[LAYERS[0], foreign])
        names = {"name": f"{registry.host}/{REPO}:1", "dest": f"{other.host}/{REPO}:1"}
        planned = plan_mutate(make_session(), **{**NOTHING, **names, "labels": {"a": "b"}})
        assert any("may not be distributed" in warning for warning in planned.warnings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nginx -g 'daemon off;'", ["nginx", "-g", "daemon off;"]),
        ("/app --opts=a,b", ["/app", "--opts=a,b"]),
        (["/app", 8080], ["/app", "8080"]),
        ([], None),
    ],
)
def test_a_command_may_be_one_string(given: Any, words: list[str] | None) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS, config={"config": {"Cmd": ["old"]}})
        result = run_module("oci_mutate", {"name": f"{registry.host}/{REPO}:1", "cmd": given})
        assert result["config"]["config"].get("Cmd") == words


@pytest.mark.parametrize("given", [True, 1.5, ["a", True], [1.10], "a 'b", {"a": "b"}])
def test_what_is_no_command_is_refused(given: Any) -> None:
    with FakeRegistry() as registry:
        result = run_module("oci_mutate", {"name": f"{registry.host}/{REPO}:1", "entrypoint": given})
        assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION")
        assert "entrypoint" in result["msg"]


def test_a_manifest_list_of_docker_gets_no_annotations() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry, media="docker")
        with fails(InvalidInput, "INVALID_OPTION", says="has no annotations; make it an OCI index with oci_index"):
            plan(registry, index_annotations={"a": "b"})
        assert not plan(registry, index_annotations={"a": None})[1].changed
        listed = registry.manifest(REPO, "1")["manifests"]
        registry.add_index(REPO, "1", listed, {"a": "1", "b": "2"}, media="docker")  # as other tools write them
        run_twice(registry, labels={"x": "y"}, index_annotations={"a": None, "b": "2"})
        assert registry.manifest(REPO, "1")["annotations"] == {"b": "2"}


@pytest.mark.parametrize("option", ["labels", "append"])
def test_layers_in_zstd_that_an_image_in_the_format_of_docker_has(option: str, tmp_path: Path) -> None:
    """They stay, as they are somebody else's, and it is said that no engine reads them."""
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", LAYERS, media="docker")
        manifest = registry.manifest(REPO, "1")
        manifest["layers"][1]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.zstd"
        registry.add_manifest(REPO, manifest, DOCKER_MANIFEST, tag="1")
        value = {"labels": {"a": "b"}, "append": [save_tar(tmp_path / "layer.tar", {"x": "y"})]}[option]
        planned = run(registry, **{option: value})
        (warning,) = planned.warnings
        says = f"{manifest['layers'][1]['digest']} in zstd, which the format of Docker does not have and no engine"
        assert f"{registry.host}/{REPO}:1 has the layer {says} reads" in warning
        assert registry.manifest(REPO, "1")["layers"][:2] == manifest["layers"]
        again = run(registry, **{option: value})
        assert (again.changed, again.warnings) == (False, ())
