# SPDX-License-Identifier: GPL-3.0-or-later
"""Flattening: one layer with the same files, and no second download."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import io
import json
import os
import tarfile
import tempfile
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    OCIError,
    Refused,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.flatten import plan_flatten
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Layer,
    digest_of,
    gzipped,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, apply, complete, fails, login, make_session
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

needs_zstd = pytest.mark.skipif(not importlib.util.find_spec("zstandard"), reason="zstandard is not installed")


BASE, TOP = tar_of({"a": "one", "b": "two"}), tar_of({".wh.a": "", "c": "three"})
LABELS = {"config": {"Labels": {"a": "b"}}, "moby.unknown": {"kept": True}}


def plan(registry: FakeRegistry, name: str = ":1", dest: str | None = None, **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    defaults: dict[str, Any] = {"platforms": [], "compression": "gzip", "compression_level": None, "limits": None}
    target = f"{registry.host}/{dest}" if dest else None
    arguments = {**defaults, "on_existing": "replace", **options}
    return session, plan_flatten(session, name=f"{registry.host}/{REPO}{name}", dest=target, **arguments)


def run(registry: FakeRegistry, *args: Any, **options: Any) -> Plan:
    session, planned = plan(registry, *args, **options)
    apply(session, planned)
    return planned


def names(registry: FakeRegistry, repo: str, ref: str) -> list[str]:
    """The files of an image of one layer, whose digests must all be right."""
    (layer,) = registry.manifest(repo, ref)["layers"]
    packed = registry.blobs(repo)[layer["digest"]]
    assert len(packed) == layer["size"]
    content = gzip.decompress(packed)
    assert registry.config(repo, ref)["rootfs"]["diff_ids"] == [digest_of(content)]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.getnames()


def blob_gets(registry: FakeRegistry) -> set[str]:
    """The blobs that were downloaded."""
    return {r.path.rpartition("/")[2] for r in registry.requests if r.method == "GET" and "/blobs/" in r.path}


@pytest.mark.parametrize(
    ("media", "types"),
    [("oci", (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)), ("docker", (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER))],
)
def test_one_layer_with_the_same_files(registry: FakeRegistry, media: str, types: tuple[str, ...]) -> None:
    source = registry.add_image(REPO, "1", [BASE, TOP], media=media, config=LABELS, annotations={"x": "y"})
    old, manifest = registry.config(REPO, "1"), registry.manifest(REPO, "1")
    planned = run(registry)
    assert names(registry, REPO, "1") == ["b", "c"]
    new, flat = registry.config(REPO, "1"), registry.manifest(REPO, "1")
    assert (flat["mediaType"], flat["config"]["mediaType"], flat["layers"][0]["mediaType"]) == types
    assert flat["annotations"] == {"x": "y"}
    assert {**new, "rootfs": 0, "history": 0} == {**old, "rootfs": 0, "history": 0}
    assert [entry["created_by"] for entry in new["history"]] == [f"flatten {source}"]
    assert json.loads(new["history"][0]["comment"]) == old["history"]
    before = sum(layer["size"] for layer in manifest["layers"])
    size = flat["layers"][0]["size"]
    assert {key: planned.result[key] for key in ("layers_before", "size_before", "size")} == {
        "layers_before": 2,
        "size_before": before,
        "size": size,
    }
    assert planned.result["encoder"] in ("isal", "zlib_ng", "zlib")


@pytest.mark.parametrize("dest", [None, "team/flat:1", f"{REPO}:flat"])
def test_the_second_time_no_layer_is_downloaded(registry: FakeRegistry, dest: str | None) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    layers = {layer["digest"] for layer in registry.manifest(REPO, "1")["layers"]}
    first = run(registry, dest=dest)
    assert blob_gets(registry) >= layers
    registry.reset_log()
    again = run(registry, dest=dest)
    assert not again.changed
    assert (again.result["digest"], again.result["encoder"]) == (first.result["digest"], None)
    assert not blob_gets(registry) & layers
    assert len(blob_gets(registry)) == (2 if dest else 1)  # configs


def test_a_new_source_is_flattened_again(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    run(registry, dest="team/flat:1")
    registry.add_image(REPO, "1", [BASE, TOP, tar_of({"d": "four"})])
    assert run(registry, dest="team/flat:1").changed
    assert names(registry, "team/flat", "1") == ["b", "c", "d"]


def test_what_another_encoder_made_is_up_to_date(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    run(registry, dest="team/flat:1")
    manifest = registry.manifest("team/flat", "1")
    content = gzip.decompress(registry.blobs("team/flat")[manifest["layers"][0]["digest"]])
    packed = gzip.compress(content, 1, mtime=7)
    manifest["layers"][0].update(digest=registry.add_blob("team/flat", packed), size=len(packed))
    registry.add_manifest("team/flat", manifest, tag="1")
    registry.reset_log()
    planned = run(registry, dest="team/flat:1")
    assert not planned.changed
    assert planned.result["size"] == len(packed)


def test_a_config_that_was_edited_is_put_right_without_a_download(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    digest = run(registry, dest="team/flat:1").result["digest"]
    config, manifest = registry.config("team/flat", "1"), registry.manifest("team/flat", "1")
    raw = json.dumps({**config, "config": {"User": "x"}}).encode()
    manifest["config"].update(digest=registry.add_blob("team/flat", raw), size=len(raw))
    registry.add_manifest("team/flat", manifest, tag="1")
    registry.reset_log()
    planned = run(registry, dest="team/flat:1")
    assert planned.changed
    assert planned.result["digest"] == digest
    assert len(blob_gets(registry)) == 2
    assert planned.result["encoder"] is None


@needs_zstd
def test_another_compression_is_a_change(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    for dest in (None, "team/flat:1"):
        config_digests = []
        for kind in ("gzip", "zstd"):
            assert run(registry, dest=dest, compression=kind).changed
            assert not run(registry, dest=dest, compression=kind).changed
            repo = "team/flat" if dest else REPO
            (layer,) = registry.manifest(repo, "1")["layers"]
            assert layer["mediaType"].endswith(f"+{kind}")
            config_digests.append(registry.manifest(repo, "1")["config"]["digest"])
        assert config_digests[0] == config_digests[1]


@needs_zstd
def test_zstd_and_plain_layers_are_read(registry: FakeRegistry) -> None:
    import zstandard

    packed = zstandard.ZstdCompressor().compress(TOP)
    layers = [
        Layer(BASE, "application/vnd.oci.image.layer.v1.tar", digest_of(BASE)),
        Layer(packed, "application/vnd.oci.image.layer.v1.tar+zstd", digest_of(TOP)),
    ]
    registry.add_image(REPO, "1", layers)
    run(registry)
    assert names(registry, REPO, "1") == ["b", "c"]


def test_an_image_of_one_layer_is_left_alone(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE])
    planned = run(registry)
    assert not planned.changed
    assert digest_of(gzipped(BASE)) not in blob_gets(registry)
    registry.add_image(REPO, "plain", [Layer(BASE, "application/vnd.oci.image.layer.v1.tar", digest_of(BASE))])
    assert run(registry, ":plain").changed
    assert names(registry, REPO, "plain") == ["a", "b"]


def test_an_index_stays_one_and_attestations_follow(registry: FakeRegistry) -> None:
    images = [
        registry.add_image(REPO, layers=[BASE, tar_of({"arch": platform})], platform=platform)
        for platform in ("linux/amd64", "linux/arm64")
    ]
    attestation = registry.add_attestation(REPO, images[0])
    registry.add_index(REPO, "1", [*images, attestation])
    planned = run(registry)
    amd64, arm64, about = registry.manifest(REPO, "1")["manifests"]
    assert about["annotations"]["vnd.docker.reference.digest"] == amd64["digest"]
    assert about["digest"] == attestation["digest"]
    for member in (amd64, arm64):
        assert names(registry, REPO, member["digest"]) == ["a", "arch", "b"]
    assert planned.result["layers_before"] == 4
    assert complete(registry, REPO, "1")
    assert not run(registry).changed
    # One platform alone, to another place.
    assert run(registry, f"@{images[0]}", dest="team/one:1").changed
    assert names(registry, "team/one", "1") == ["a", "arch", "b"]


def test_one_platform_of_an_index(registry: FakeRegistry) -> None:
    images = [
        registry.add_image(REPO, layers=[BASE, TOP], platform=platform) for platform in ("linux/amd64", "linux/arm64")
    ]
    registry.add_index(REPO, "1", images)
    run(registry, dest="team/flat:1", platforms=["linux/arm64"])
    members = registry.manifest("team/flat", "1")["manifests"]
    assert members[0]["digest"] == images[0]
    assert [len(registry.manifest("team/flat", member["digest"])["layers"]) for member in members] == [2, 1]
    assert not run(registry, dest="team/flat:1", platforms=["linux/arm64"]).changed


def test_planning_writes_nothing(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    state = registry.state()
    assert plan(registry)[1].changed
    assert registry.state() == state


def test_the_target_stays_where_something_is_wrong(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, Layer(gzipped(TOP), OCI_LAYER, digest_of(b"other"))])
    registry.add_image(REPO, "cut", [BASE, Layer(gzipped(TOP)[:-9], OCI_LAYER, digest_of(TOP))])
    registry.add_image(REPO, "bad", [BASE, gzipped(b"no tar")])
    registry.add_image(REPO, "few", [BASE, TOP], config={"rootfs": {"type": "layers", "diff_ids": []}})
    registry.add_image(REPO, "other", [BASE, TOP], artifact_type="x/y", config={})
    state = registry.state()
    with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, ", uncompressed, should have the digest"):
        run(registry)
    with fails(ContentError, "CONTENT_INVALID", registry.host, None, "ends in the middle of its compressed data"):
        run(registry, ":cut")
    with fails(ContentError, "INVALID_LAYER", registry.host, None, "is not a tar archive"):
        run(registry, ":bad")
    with fails(ContentError, "CONFIG_INVALID", says="has 2 layers"):
        run(registry, ":few")
    assert registry.state() == state


def test_limits(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    with fails(ContentError, "LIMIT_EXCEEDED", registry.host, None, "above 1 entries (max_entries)"):
        run(registry, limits={"max_entries": 1, "max_bytes": None, "max_ratio": None})
    with fails(ContentError, "LIMIT_EXCEEDED", says="above 600 bytes (max_bytes)"):
        run(registry, limits={"max_bytes": 600})
    with fails(InvalidInput, "INVALID_OPTION", says="limits.max_ratio must be at least 1"):
        run(registry, limits={"max_ratio": 0})


@pytest.mark.parametrize(("compression", "level"), [("gzip", 10), ("gzip", 0), ("zstd", 20)])
def test_a_level_that_does_not_exist_is_refused_at_once(registry: FakeRegistry, compression: str, level: int) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=f"level {level}"):
        plan(registry, compression=compression, compression_level=level)
    assert registry.requests == []


def test_a_full_disk(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    state = registry.state()

    def full(*dummy: Any, **dummies: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with fails(OCIError, "NO_SPACE", says=f"Not enough space in {tempfile.gettempdir()} to "):
        run(registry)
    assert registry.state() == state


def test_a_layer_that_may_not_be_distributed(registry: FakeRegistry) -> None:
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": digest_of(b"elsewhere"),
        "size": 9,
        "urls": ["https://example.com/layer"],
    }
    registry.add_image(REPO, "1", [foreign, TOP], media="docker")
    with fails(ContentError, "LAYER_NOT_DISTRIBUTED", registry.host, None, "may not be distributed"):
        run(registry)


def test_on_existing(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    other = registry.add_image(REPO, "2", [BASE])
    with fails(Refused, "TAG_EXISTS"):
        run(registry, dest=f"{REPO}:2", on_existing="fail")
    planned = run(registry, dest=f"{REPO}:2", on_existing="keep")
    assert (planned.changed, planned.result["digest"]) == (False, other)


def test_a_broken_connection_is_resumed(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    fault = registry.fault("GET", f"blobs/{digest_of(gzipped(BASE))}", action="truncate", at=50)
    run(registry)
    assert fault.hits == 1
    assert names(registry, REPO, "1") == ["b", "c"]


def test_memory_and_files_are_not_kept(registry: FakeRegistry) -> None:
    big = tar_of({"big": "x" * (3 << 20)})
    registry.add_image(REPO, "1", [big, TOP])
    with FakeRegistry(Quirks(put_only=True)) as other:
        session = make_session(login(registry), login(other))
        planned = plan_flatten(
            session,
            name=f"{registry.host}/{REPO}:1",
            dest=f"{other.host}/team/flat",
            platforms=[],
            compression="gzip",
            compression_level=9,
            limits=None,
            on_existing="replace",
        )
        apply(session, planned)
        assert names(other, "team/flat", "1") == ["big", "c"]


def test_zstd_is_refused_for_an_image_in_the_format_of_docker(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP], media="docker")
    state = registry.state()
    with fails(InvalidInput, "UNSUPPORTED_COMPRESSION", says=":1 is in Docker's format, which has no layers in zstd"):
        plan(registry, compression="zstd")
    assert registry.state() == state
    assert blob_gets(registry) <= {registry.manifest(REPO, "1")["config"]["digest"]}  # nothing was unpacked for it


def test_encrypted_layers_are_refused_and_named(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, TOP])
    manifest = registry.manifest(REPO, "1")
    manifest["layers"][1]["mediaType"] += "+encrypted"
    registry.add_manifest(REPO, manifest, tag="1")
    says = f"The layer {manifest['layers'][1]['digest']} of {registry.host}/{REPO}:1 is encrypted"
    with fails(ContentError, "LAYER_ENCRYPTED", says=says):
        plan(registry)


def test_what_layers_of_windows_change_in_its_registry_is_not_lost(registry: FakeRegistry) -> None:
    lower, upper = (tar_of({"Files/x": text, "Hives/System_Delta": text}) for text in ("1", "2"))
    registry.add_image(REPO, "1", [lower, upper], platform="windows/amd64")
    with fails(ContentError, "WINDOWS_LAYER", says="changes the registry of Windows (Hives/System_Delta)"):
        plan(registry)
    registry.add_image(REPO, "1", [BASE, tar_of({"Hives/System_Base": "x"})], platform="windows/amd64")
    assert plan(registry)[1].changed
