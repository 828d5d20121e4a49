# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from files to a registry."""

from __future__ import annotations

import errno
import gzip
import importlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives import dockerarchive
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, Refused
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.pull import plan_pull
from ansible_collections.quayside.registry.plugins.module_utils._verbs.push import plan_push
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_LAYER,
    digest_of,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.image_files import (
    blob,
    blobs,
    config_of,
    docker_files,
    entry,
    hexes,
    index_of,
    layout_files,
    oci_image,
    save,
    to_json,
)
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
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

TARS = [tar_of({"a": b"1" * 5000}), tar_of({"b": b"2"})]


def plan(registry: FakeRegistry, path: str, name: str = ":new", **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    known = {"format": None, "source_reference": None, "on_existing": "replace", **options}
    return session, plan_push(session, path=path, name=f"{registry.host}/{REPO}{name}", **known)


def run(registry: FakeRegistry, path: str, name: str = ":new", **options: Any) -> Plan:
    session, planned = plan(registry, path, name, **options)
    apply(session, planned)
    return planned


def settled(registry: FakeRegistry, path: str, requests: int, **options: Any) -> Plan:
    """The second run changes nothing, and looks at the tag alone."""
    registry.reset_log()
    again = run(registry, path, **options)
    assert (again.changed, again.actions, again.before) == (False, [], again.after)
    assert len(registry.requests) == requests
    assert {request.method for request in registry.requests} <= {"HEAD", "GET"}
    return again


# --- OCI formats


@pytest.mark.parametrize("kind", ["oci-layout", "oci-archive"])
def test_an_index_keeps_its_digest(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "saved")
    with FakeRegistry() as source, FakeRegistry() as registry:
        digest = add_platforms(source)
        session = make_session(login(source))
        name = f"{source.host}/{REPO}:1"
        apply(
            session,
            plan_pull(session, name=name, names=None, path=path, format=kind, platform=None, force=False),
        )
        planned = run(registry, path)
        assert planned.result == {
            "reference": f"{registry.host}/{REPO}@{digest}",
            "digest": digest,
            "media_type": OCI_INDEX,
            "previous_digest": None,
        }
        assert registry.tags(REPO) == {"new": digest}
        assert complete(registry, REPO, digest)
        assert registry.manifests(REPO).keys() == source.manifests(REPO).keys()
        assert planned.cost().bytes_received == 0
        assert settled(registry, path, 1).result == {**planned.result, "previous_digest": digest}


def test_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    path = save(tmp_path / "layout", layout_files(("1", manifest, files)))
    with FakeRegistry() as registry:
        registry.add_blob(REPO, gzip.compress(TARS[0], mtime=0))
        cost = run(registry, path).cost()
        assert (cost.blobs_pushed, cost.blobs_skipped) == (2, 1)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_missing_member_is_named(wrong: bool, tmp_path: Path) -> None:
    images = [oci_image(TARS, architecture=name) for name in ("amd64", "arm64")]
    index = index_of(*(blob(manifest, "application/vnd.oci.image.manifest.v1+json") for manifest, dummy in images))
    files = {**images[0][1], **images[1][1], **blobs(index)}
    gone = images[1][0]
    if wrong:
        files[next(iter(blobs(gone)))] = b"{}"
    else:
        del files[next(iter(blobs(gone)))]
    path = save(tmp_path / "layout", layout_files(("1", index, files), media_type=OCI_INDEX))
    with FakeRegistry() as registry:
        with fails(ContentError, "SOURCE_INCOMPLETE", says=digest_of(gone)):
            plan(registry, path)
        assert registry.tags(REPO) == {} if REPO in registry.api.repos else True


def test_missing_blobs_are_named(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    layer = gzip.compress(TARS[0], mtime=0)
    del files[next(iter(blobs(layer)))]
    path = save(tmp_path / "layout", layout_files(("1", manifest, files)))
    with FakeRegistry() as registry, fails(ContentError, "SOURCE_INCOMPLETE", says=digest_of(layer)):
        plan(registry, path)


def test_a_blob_that_is_damaged_is_not_tagged(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    layer = gzip.compress(TARS[0], mtime=0)
    files[next(iter(blobs(layer)))] = b"x" * len(layer)
    path = save(tmp_path / "layout", layout_files(("1", manifest, files)))
    with FakeRegistry() as registry:
        with fails(ContentError, "DIGEST_MISMATCH", says=digest_of(layer)):
            run(registry, path)
        assert registry.tags(REPO) == {}


def test_a_foreign_layer_need_not_be_there(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS[:1])
    content = json.loads(manifest)
    (layer,) = content["layers"]
    layer["mediaType"] = OCI_LAYER.replace("layer.v1", "layer.nondistributable.v1")
    layer["urls"] = ["https://example.com/layer"]
    manifest = to_json(content)
    files = {**files, **blobs(manifest)}
    del files[next(iter(blobs(gzip.compress(TARS[0], mtime=0))))]
    path = save(tmp_path / "layout", layout_files(("1", manifest, files)))
    with FakeRegistry() as registry:
        planned = run(registry, path)
        assert layer["digest"] in planned.warnings[0]
        assert registry.tags(REPO) == {"new": digest_of(manifest)}


def test_nested_indexes_have_an_end(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    item = blob(manifest, "application/vnd.oci.image.manifest.v1+json")
    index = b""
    for dummy in range(9):
        index = index_of(item)
        item = blob(index, OCI_INDEX)
        files.update(blobs(index))
    path = save(tmp_path / "layout", layout_files(("1", index, files), media_type=OCI_INDEX))
    with FakeRegistry() as registry, fails(ContentError, "MANIFEST_INVALID", says="more than 8 deep"):
        plan(registry, path)


# --- docker-archives


@pytest.mark.parametrize("packed", [False, True])
def test_a_docker_archive(packed: bool, tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS), packed=packed))
    with FakeRegistry() as registry:
        planned = run(registry, path)
        digest = registry.tags(REPO)["new"]
        assert planned.result["digest"] == digest
        assert planned.result["media_type"] == DOCKER_MANIFEST
        assert complete(registry, REPO, digest)
        manifest = registry.manifest(REPO, "new")
        assert manifest["mediaType"] == DOCKER_MANIFEST
        assert manifest["config"] == blob(config_of(TARS), "application/vnd.docker.container.image.v1+json")
        content = registry.blobs(REPO)
        layers = [content[layer["digest"]] for layer in manifest["layers"]]
        assert [gzip.decompress(layer) for layer in layers] == TARS
        assert {layer["mediaType"] for layer in manifest["layers"]} == {
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
        }
        assert not packed or layers == [gzip.compress(layer, mtime=0) for layer in TARS]
        assert settled(registry, path, 2).result == {**planned.result, "previous_digest": digest}


def test_the_same_config_is_the_same_image_however_it_was_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS)))
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "new", layers=TARS, config=json.loads(config_of(TARS)))
        manifest = {**registry.manifest(REPO, digest), "config": blob(config_of(TARS), "application/x")}
        registry.add_blob(REPO, config_of(TARS))
        digest = registry.add_manifest(REPO, manifest, tag="new")
        monkeypatch.setattr(dockerarchive, "compressor", None)  # it is not called
        assert settled(registry, path, 2).result["digest"] == digest


def test_another_image_with_as_many_layers_is_another(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS)))
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "new", layers=TARS)
        planned = run(registry, path)
        assert planned.result["previous_digest"] == old
        assert registry.tags(REPO)["new"] == planned.result["digest"] != old


def test_an_index_in_its_place_is_replaced(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS)))
    with FakeRegistry() as registry:
        add_platforms(registry, tag="new")
        assert run(registry, path).changed


def test_what_podman_and_old_docker_save(tmp_path: Path) -> None:
    """Links to layers, `repositories`, and a folder for each layer."""
    names = ["1/layer.tar", "2/layer.tar"]
    config = config_of([TARS[0], TARS[0]])
    files = {
        "x.tar": TARS[0],
        hexes(config) + ".json": config,
        "1/VERSION": b"1.0",
        "1/json": b"{}",
        "repositories": b"{}",
        "manifest.json": to_json([{"Config": hexes(config) + ".json", "RepoTags": None, "Layers": names}]),
    }
    links = [("1/layer.tar", tarfile.SYMTYPE, "../x.tar"), ("2/layer.tar", tarfile.LNKTYPE, "x.tar")]
    path = save_tar(tmp_path / "a.tar", files, links)
    with FakeRegistry() as registry:
        assert run(registry, path).cost().blobs_pushed == 2
        assert complete(registry, REPO, "new")


def test_a_compressed_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar_of(docker_files((["a:1"], TARS)))))
    with FakeRegistry() as registry:
        run(registry, str(path))
        assert complete(registry, REPO, "new")


def test_a_layer_that_is_not_what_the_config_says(tmp_path: Path) -> None:
    files = docker_files((["a:1"], TARS))
    files[next(iter(files))] = TARS[1]
    path = save_tar(tmp_path / "a.tar", files)
    with FakeRegistry() as registry:
        with fails(ContentError, "DIGEST_MISMATCH"):
            plan(registry, path)
        assert {request.method for request in registry.requests} <= {"HEAD", "GET"}


# --- docker save since 25, which writes both


def both(manifest: bytes, files: Mapping[str, bytes], **index: Any) -> dict[str, bytes]:
    return {**docker_files((["a:1"], TARS)), **layout_files(("1", manifest, files), **index)}


def test_both_formats_keep_the_digest(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    path = save_tar(tmp_path / "a.tar", both(manifest, files))
    with FakeRegistry() as registry:
        assert run(registry, path).result["digest"] == digest_of(manifest)
        assert run(registry, path, ":other", format="docker-archive").result["media_type"] == DOCKER_MANIFEST


def test_both_formats_with_plain_layers_are_compressed(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS, OCI_LAYER.replace("+gzip", ""))
    path = save_tar(tmp_path / "a.tar", both(manifest, files))
    with FakeRegistry() as registry:
        assert run(registry, path).result["media_type"] == DOCKER_MANIFEST
        assert run(registry, path, ":other", format="oci-archive").result["digest"] == digest_of(manifest)


def test_both_formats_with_platforms_that_were_not_pulled(tmp_path: Path) -> None:
    manifest, files = oci_image(TARS)
    types = "application/vnd.oci.image.manifest.v1+json"
    index = index_of(blob(manifest, types), blob(b"absent", types))
    path = save_tar(tmp_path / "a.tar", both(index, {**files, **blobs(index)}, media_type=OCI_INDEX))
    with FakeRegistry() as registry:
        assert run(registry, path).result["media_type"] == DOCKER_MANIFEST
        with fails(ContentError, "SOURCE_INCOMPLETE", says=digest_of(b"absent")):
            plan(registry, path, format="oci-archive")


# --- which image?


def several(tmp_path: Path, kind: str) -> tuple[str, list[str]]:
    """A file with two images, and their digests."""
    if kind == "docker-archive":
        files = docker_files((["localhost:5000/a:1", "debian:12"], TARS), (["localhost:5000/b:2"], TARS[:1]))
        return save_tar(tmp_path / "a.tar", files), [digest_of(config_of(TARS)), digest_of(config_of(TARS[:1]))]
    (first, more), (second, others) = oci_image(TARS), oci_image(TARS[:1])
    index = index_of(
        entry(first, "1", io_containerd_image_name="localhost:5000/a:1"),
        entry(first, "debian:12"),
        entry(second, "2"),
    )
    files = {**layout_files(("1", first, {**more, **others})), "index.json": index}
    return save_tar(tmp_path / "a.tar", files), [digest_of(first), digest_of(second)]


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_the_image_is_chosen_by_name_tag_or_digest(kind: str, tmp_path: Path) -> None:
    path, (first, second) = several(tmp_path, kind)
    names = {first: [first, "localhost:5000/a:1", "debian:12", "docker.io/library/debian:12", "1"]}
    names[second] = [second, "localhost:5000/b:2", "2"]
    with FakeRegistry() as registry:
        for digest, chosen in names.items():
            for name in chosen:
                run(registry, path, source_reference=name)
                found = registry.tags(REPO)["new"]
                config = registry.manifest(REPO, found)["config"]["digest"]
                assert digest in (found, config), name


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_an_image_that_is_not_named_or_not_there(kind: str, tmp_path: Path) -> None:
    path, dummy = several(tmp_path, kind)
    with FakeRegistry() as registry:
        with fails(InvalidInput, "AMBIGUOUS_SOURCE", says="localhost:5000/a:1"):
            plan(registry, path)
        for name in ("3", "localhost:5000/c:3", "sha256:" + "0" * 64, "??", "UPPER/x:3"):
            with fails(InvalidInput, "SOURCE_NOT_FOUND", says="debian:12"):
                plan(registry, path, source_reference=name)
        assert registry.requests == []


def test_a_tag_that_two_have_is_ambiguous(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS), (["b:1"], TARS[:1])))
    with FakeRegistry() as registry, fails(InvalidInput, "AMBIGUOUS_SOURCE", says="several images named 1"):
        plan(registry, path, source_reference="1")


def test_a_file_without_images(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", {"manifest.json": b"[]"})
    with FakeRegistry() as registry, fails(ContentError, "ARCHIVE_INVALID", says="holds no images"):
        plan(registry, path)


def test_a_long_list_of_images_is_cut(tmp_path: Path) -> None:
    images: list[tuple[list[str] | None, list[bytes]]] = [([f"a:{n}"], [b"%d" % n]) for n in range(30)]
    path = save_tar(tmp_path / "a.tar", docker_files(*images))
    with FakeRegistry() as registry, fails(InvalidInput, "AMBIGUOUS_SOURCE", says="a:19; ..."):
        plan(registry, path)


# --- where it goes


def file_of(tmp_path: Path, kind: str) -> tuple[str, str]:
    """A file with one image, and the digest that is told of it."""
    if kind == "docker-archive":
        return save_tar(tmp_path / "a.tar", docker_files((["a:1"], TARS))), digest_of(config_of(TARS))
    manifest, files = oci_image(TARS)
    return save(tmp_path / "layout", layout_files(("1", manifest, files))), digest_of(manifest)


@pytest.mark.parametrize("kind", ["docker-archive", "oci-layout"])
def test_a_tag_that_points_elsewhere(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digest = file_of(tmp_path, kind)
    with FakeRegistry() as registry:
        old = registry.add_image(REPO, "new", layers=LAYERS)
        with monkeypatch.context() as patch:
            patch.setattr(dockerarchive, "compressor", None)  # nothing is compressed for these
            with fails(Refused, "TAG_EXISTS", registry.host, None, says=digest):
                plan(registry, path, on_existing="fail")
            kept = run(registry, path, on_existing="keep")
        assert (kept.changed, kept.result["digest"], kept.result["previous_digest"]) == (False, old, old)
        assert kept.before == kept.after
        assert len(kept.actions) == 1
        assert kept.actions[0].startswith(f"Keep {registry.host}/{REPO}:new at {old}")
        assert registry.tags(REPO) == {"new": old}
        assert run(registry, path).result["previous_digest"] == old
        for choice in ("fail", "keep"):
            assert run(registry, path, on_existing=choice).actions == []


@pytest.mark.parametrize("kind", ["docker-archive", "oci-layout"])
def test_a_name_with_a_digest(kind: str, tmp_path: Path) -> None:
    path, dummy = file_of(tmp_path, kind)
    with FakeRegistry() as registry:
        digest = run(registry, path, ":1").result["digest"]
    with FakeRegistry() as registry:
        planned = run(registry, path, f"@{digest}")
        assert planned.changed
        assert complete(registry, REPO, digest)
        assert registry.tags(REPO) == {}
        assert not run(registry, path, f"@{digest}").changed
        with fails(InvalidInput, "INVALID_OPTION", says="the digest follows from the content"):
            plan(registry, path, f"@{digest_of(b'')}")


def test_names_and_paths_that_are_wrong(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        with fails(InvalidInput, "INVALID_REFERENCE"):
            plan(registry, str(tmp_path / "absent"), ":UP/x")
        with fails(InvalidInput, "FILE_ERROR", says="does not exist"):
            plan(registry, str(tmp_path / "absent"))
        assert registry.requests == []


# --- what is not an image by itself


def test_a_layout_whose_index_is_the_image_is_pushed_as_one_index(tmp_path: Path) -> None:
    images = [oci_image(TARS[:count]) for count in (1, 2)]
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    members = [{**entry(image, None), "platform": each} for (image, dummy), each in zip(images, platforms)]
    files = {**layout_files(*((None, *image) for image in images)), "index.json": index_of(*members)}
    path = save(tmp_path / "layout", files)
    with FakeRegistry() as registry:
        with fails(InvalidInput, "AMBIGUOUS_SOURCE", says="or index.json to send all as one index"):
            plan(registry, path)
        for wanted in ("index.json", digest_of(files["index.json"])):
            planned = run(registry, path, source_reference=wanted)
            assert planned.result["digest"] == digest_of(files["index.json"])
            assert registry.manifests(REPO)[registry.tags(REPO)["new"]].body == files["index.json"]
            assert complete(registry, REPO, "new")
        settled(registry, path, 1, source_reference="index.json")


def test_platforms_that_a_docker_archive_does_not_name_are_not_left_behind_silently(tmp_path: Path) -> None:
    """As containerd saves an image of which some platforms were pulled."""
    types = "application/vnd.oci.image.manifest.v1+json"
    amd, files = oci_image(TARS)
    arm, more = oci_image(TARS[:1], architecture="arm64")
    index = index_of(blob(amd, types), blob(arm, types), blob(b"absent", types))
    content = both(index, {**files, **more, **blobs(index)}, media_type=OCI_INDEX)
    path = save_tar(tmp_path / "a.tar", content)
    with FakeRegistry() as registry:
        state = registry.state()
        with fails(ContentError, "SEVERAL_PLATFORMS", says="linux/arm64 too, which its manifest.json does not name"):
            plan(registry, path)
        assert registry.state() == state
        assert run(registry, path, format="docker-archive").result["media_type"] == DOCKER_MANIFEST


def test_a_docker_archive_with_zstd_is_refused(tmp_path: Path) -> None:
    files = docker_files((["a:1"], TARS[:1]))
    name = next(name for name in files if name.endswith("layer.tar"))
    path = save_tar(tmp_path / "a.tar", {**files, name: bytes.fromhex("28b52ffd") + b"x"})
    with (
        FakeRegistry() as registry,
        fails(InvalidInput, "UNSUPPORTED_COMPRESSION", says="a.tar is in Docker's format, which has no layers in zstd"),
    ):
        plan(registry, path)


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_an_archive_that_somebody_packed_once_more_is_read(tmp_path: Path, module: str) -> None:
    packed = importlib.import_module(module).compress(tar_of(docker_files((["a:1"], TARS))))
    path = tmp_path / "a.tar.packed"
    path.write_bytes(packed)
    with FakeRegistry() as registry:
        assert run(registry, str(path)).changed
        assert complete(registry, REPO, "new")
        path.write_bytes(packed[:-10])
        with fails(ContentError, "CONTENT_INVALID", says="ends in the middle of its compressed data"):
            plan(registry, str(path))
        path.write_bytes(packed[:50] + bytes(100) + packed[150:])
        with fails(ContentError, "CONTENT_INVALID", says="has damaged compressed data"):
            plan(registry, str(path))


def test_an_archive_in_a_compression_that_nobody_reads_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(600))
    with (
        FakeRegistry() as registry,
        fails(ContentError, "ARCHIVE_INVALID", says="is compressed with zip, which is not"),
    ):
        plan(registry, str(path))


def test_a_file_that_cannot_be_read_while_it_is_sent_is_not_blamed_on_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_tar(tmp_path / "a.tar", layout_files(("1", *oci_image(TARS))))
    real, failing = os.pread, [False]

    def pread(*args: int) -> bytes:
        if failing[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args)

    monkeypatch.setattr(os, "pread", pread)
    with FakeRegistry() as registry:
        session, planned = plan(registry, path)
        registry.reset_log()
        failing[0] = True
        with fails(InvalidInput, "FILE_ERROR", says=f"{path} cannot be read: Input/output error."):
            apply(session, planned)
        assert registry.count("POST", "/uploads/") <= 3  # one for each blob, none twice
