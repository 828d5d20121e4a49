# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading images from files, in both kinds of formats."""

from __future__ import annotations

import gzip
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.dockerarchive import DockerArchive
from ansible_collections.quayside.registry.plugins.module_utils._archives.images import (
    formats_of,
    open_files,
    open_images,
)
from ansible_collections.quayside.registry.plugins.module_utils._archives.layout import Layout
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import parts
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.image_files import (
    VERSION,
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
from ansible_collections.quayside.registry.tests.unit.kit import fails
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

LAYERS = [tar_of({"a": b"1" * 5000}), tar_of({"b": b"2"})]


def docker(tmp_path: Path, files: dict[str, bytes], **options: Any) -> DockerArchive:
    found = open_images(save_tar(tmp_path / "a.tar", files, **options))
    assert isinstance(found, DockerArchive)
    return found


def layout(tmp_path: Path, files: dict[str, bytes]) -> Layout:
    found = open_images(save(tmp_path / "layout", files))
    assert isinstance(found, Layout)
    return found


# --- which format is it?


@pytest.mark.parametrize("kind", ["oci-layout", "oci-archive", "gzip"])
def test_layout_in_a_folder_and_in_archives(kind: str, tmp_path: Path) -> None:
    manifest, files = oci_image(LAYERS)
    files = layout_files(("1.0", manifest, files))
    path = tmp_path / "x"
    if kind == "oci-layout":
        save(path, files)
    else:
        path.write_bytes(gzip.compress(tar_of(files)) if kind == "gzip" else tar_of(files))
    images = open_images(str(path))
    assert images.format == ("oci-layout" if kind == "oci-layout" else "oci-archive")
    assert [(found.names, found.digest) for found in images.entries] == [(("1.0",), digest_of(manifest))]
    root = images.root(images.entries[0])
    assert root.raw == manifest
    (config,) = parts(root, "config")
    assert json.loads(images.read(config))["os"] == "linux"
    for layer, data in zip(parts(root, "layers"), LAYERS):
        assert images.has(layer)
        assert gzip.decompress(b"".join(images.chunks(layer))) == data


def test_docker_archive(tmp_path: Path) -> None:
    images = docker(tmp_path, docker_files((["a:1", "b:1"], LAYERS), (None, LAYERS[:1])))
    config = config_of(LAYERS)
    assert images.format == "docker-archive"
    assert [found.names for found in images.entries] == [("a:1", "b:1"), ()]
    assert str(images.entries[0]) == "a:1, b:1"
    assert str(images.entries[1]) == images.entries[1].digest == digest_of(config_of(LAYERS[:1]))
    root = images.root(images.entries[0])
    assert [layer.digest for layer in parts(root, "layers")] == [digest_of(layer) for layer in LAYERS]
    assert [part.digest for part in parts(root, "config")] == [digest_of(config)]
    assert images.read(parts(root, "config")[0]) == config
    assert b"".join(images.chunks(parts(root, "layers")[0])) == LAYERS[0]
    assert images.has(parts(root, "layers")[0])
    assert not images.has(Descriptor("", digest_of(b"x"), 1))


def both(manifest: bytes, files: dict[str, bytes]) -> dict[str, bytes]:
    return {**docker_files((["a:1"], LAYERS)), **layout_files(("1", manifest, files))}


def test_what_has_both_formats_is_read_as_oci_or_as_asked(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "a.tar", both(*oci_image(LAYERS)))
    assert formats_of(open_files(path)) == ["oci-archive", "docker-archive"]
    assert open_images(path).format == "oci-archive"
    assert open_images(path, "docker-archive").format == "docker-archive"
    with fails(InvalidInput, "INVALID_OPTION", says="oci-archive and docker-archive, not oci-layout"):
        open_images(path, "oci-layout")


def test_what_holds_no_images(tmp_path: Path) -> None:
    with fails(ContentError, "ARCHIVE_INVALID", says="holds no images"):
        open_images(save_tar(tmp_path / "a.tar", {"index.json": b"{}", "x/manifest.json": b"[]"}))
    with fails(ContentError, "ARCHIVE_INVALID", says="it has no oci-layout"):
        open_images(save(tmp_path / "folder", {"index.json": b"{}"}))
    with fails(ContentError, "ARCHIVE_INVALID", says="it has no index.json"):
        open_images(save(tmp_path / "other", VERSION))
    with fails(InvalidInput, "FILE_ERROR", says="does not exist"):
        open_images(str(tmp_path / "absent"))


# --- layouts


def test_names_of_containerd_and_podman(tmp_path: Path) -> None:
    manifest, files = oci_image(LAYERS)
    found = entry(manifest, "1.0", io_containerd_image_name="docker.io/library/a:1.0")
    files = {**layout_files(("1.0", manifest, files)), "index.json": index_of(found, entry(manifest, None))}
    assert [item.names for item in layout(tmp_path, files).entries] == [("docker.io/library/a:1.0", "1.0"), ()]


@pytest.mark.parametrize(
    ("name", "content", "code", "says"),
    [
        ("oci-layout", b'{"imageLayoutVersion": "2.0.0"}', "ARCHIVE_INVALID", "2.0.0"),
        ("oci-layout", b"{}", "ARCHIVE_INVALID", "None"),
        ("oci-layout", b"[", "MANIFEST_INVALID", "oci-layout"),
        ("oci-layout", bytes(100_000), "TOO_LARGE", "oci-layout"),
        ("index.json", b"[]", "MANIFEST_INVALID", "is not a JSON object"),
        ("index.json", b"{", "MANIFEST_INVALID", "index.json"),
        ("index.json", bytes(9 << 20), "TOO_LARGE", "index.json"),
        ("index.json", b'{"manifests": [{"digest": "sha256:../../etc", "size": 1}]}', "MANIFEST_INVALID", "etc"),
        ("index.json", b'{"manifests": [{"digest": 1}]}', "MANIFEST_INVALID", "names content 1"),
        ("index.json", b'{"manifests": {}, "layers": []}', "MANIFEST_INVALID", "index"),
    ],
)
def test_a_broken_layout(name: str, content: bytes, code: str, says: str, tmp_path: Path) -> None:
    files = {**layout_files(("1", *oci_image(LAYERS))), name: content}
    with fails(ContentError, code, says=says):
        layout(tmp_path, files)


def test_content_that_is_not_what_its_digest_says(tmp_path: Path) -> None:
    manifest, files = oci_image(LAYERS)
    name = next(iter(blobs(manifest)))
    for content, code in (
        (manifest[:-1] + b" ", "DIGEST_MISMATCH"),
        (manifest + b" ", "SIZE_MISMATCH"),
    ):
        images = layout(tmp_path, {**layout_files(("1", manifest, files)), name: content})
        with fails(ContentError, code):
            images.root(images.entries[0])
        assert images.has(images.entries[0].item or Descriptor("", "", 0)) == (code == "DIGEST_MISMATCH")


def test_a_blob_is_checked_before_its_last_piece(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(2 << 20)
    images = layout(tmp_path, {**VERSION, "index.json": index_of(), **blobs(data)})
    item = Descriptor("", digest_of(data), len(data))
    assert b"".join(images.chunks(item)) == data
    with fails(ContentError, "SIZE_MISMATCH"):
        list(images.chunks(Descriptor("", item.digest, item.size + 1)))
    (tmp_path / "layout" / next(iter(blobs(data)))).write_bytes(data[:-1] + b"x")
    seen = []
    with fails(ContentError, "DIGEST_MISMATCH"):
        for chunk in images.chunks(item):
            seen.append(chunk)
    assert sum(map(len, seen)) < len(data)


def test_missing_and_huge_content(tmp_path: Path) -> None:
    images = layout(tmp_path, {**VERSION, "index.json": index_of()})
    item = Descriptor("", digest_of(b"x"), 1)
    assert not images.has(item)
    with fails(ContentError, "ARCHIVE_INVALID", says="is missing"):
        images.manifest(item)
    for size, read in ((9 << 20, images.manifest), (33 << 20, images.read)):
        with fails(ContentError, "TOO_LARGE"):
            read(Descriptor("", digest_of(b"x"), size))


def test_a_blob_that_is_a_link_out_of_the_layout(tmp_path: Path) -> None:
    manifest, files = oci_image(LAYERS)
    path = Path(save(tmp_path / "layout", layout_files(("1", manifest, files))))
    place = path / next(iter(blobs(manifest)))
    (tmp_path / "outside").write_bytes(manifest)
    place.unlink()
    place.symlink_to(tmp_path / "outside")
    images = open_images(str(path))
    with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
        images.root(images.entries[0])


# --- docker-archives


def listing(**changes: Any) -> bytes:
    config = hexes(config_of(LAYERS)) + ".json"
    layers = [hexes(layer) + "/layer.tar" for layer in LAYERS]
    return to_json([{"Config": config, "RepoTags": ["a:1"], "Layers": layers, **changes}])


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"{", "ARCHIVE_INVALID", "not valid JSON"),
        (b"\xff", "ARCHIVE_INVALID", "not valid JSON"),
        (b"[" * 100_000, "ARCHIVE_INVALID", "not valid JSON"),
        (b"{}", "ARCHIVE_INVALID", "not a list"),
        (b"[1]", "ARCHIVE_INVALID", "not a list"),
        (b"[{}]", "ARCHIVE_INVALID", "not strings"),
        (listing(RepoTags=[1]), "ARCHIVE_INVALID", "not strings"),
        (listing(Layers={"a": 1}), "ARCHIVE_INVALID", "not strings"),
        (listing(Config="absent.json"), "ARCHIVE_INVALID", "has no 'absent.json', the config"),
        (listing(Config="../../etc/passwd"), "ARCHIVE_INVALID", "leads out of it"),
        (listing(Config="/etc/passwd"), "ARCHIVE_INVALID", "has no '/etc/passwd'"),
        (bytes(33 << 20), "TOO_LARGE", "manifest.json"),
    ],
)
def test_a_broken_manifest_json(content: bytes, code: str, says: str, tmp_path: Path) -> None:
    with fails(ContentError, code, says=says):
        docker(tmp_path, {**docker_files((["a:1"], LAYERS)), "manifest.json": content})


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"Layers": []}, "CONFIG_INVALID", "has 0 layers for a:1, but its config lists 2"),
        ({"Layers": ["x", "y"]}, "ARCHIVE_INVALID", "has no 'x', the layer"),
        ({"Layers": ["../x", "../y"]}, "ARCHIVE_INVALID", "leads out of it"),
    ],
)
def test_layers_that_are_not_there(changes: Any, code: str, says: str, tmp_path: Path) -> None:
    images = docker(tmp_path, {**docker_files((["a:1"], LAYERS)), "manifest.json": listing(**changes)})
    with fails(ContentError, code, says=says):
        images.root(images.entries[0])


def test_a_config_that_does_not_have_the_digest_in_its_name(tmp_path: Path) -> None:
    files = docker_files((["a:1"], LAYERS))
    files[hexes(config_of(LAYERS)) + ".json"] = b"{}"
    with fails(ContentError, "DIGEST_MISMATCH"):
        docker(tmp_path, files)


@pytest.mark.parametrize("config", [b"[]", b'{"rootfs": 1}', b'{"rootfs": {"diff_ids": "xy"}}'])
def test_a_config_that_is_none(config: bytes, tmp_path: Path) -> None:
    files = {**docker_files((["a:1"], LAYERS)), "config": config, "manifest.json": listing(Config="config")}
    images = docker(tmp_path, files)
    with pytest.raises(ContentError):
        images.layers(images.entries[0])


def test_layers_of_old_docker_are_links(tmp_path: Path) -> None:
    """`docker save` before 25 links a layer that it wrote already, as `../ID/layer.tar`."""
    files = docker_files((["a:1"], LAYERS))
    first, second = (hexes(layer) + "/layer.tar" for layer in LAYERS)
    files["manifest.json"] = listing(Layers=["one/layer.tar", "two/layer.tar"])
    links = [("one/layer.tar", tarfile.SYMTYPE, f"../{first}"), ("two/layer.tar", tarfile.LNKTYPE, second)]
    images = docker(tmp_path, files, links=links)
    root = images.root(images.entries[0])
    assert [layer.digest for layer in parts(root, "layers")] == [digest_of(layer) for layer in LAYERS]


@pytest.mark.parametrize("packed", [False, True])
def test_layers_as_a_registry_gets_them(packed: bool, tmp_path: Path) -> None:
    images = docker(tmp_path, docker_files((["a:1"], LAYERS), packed=packed))
    stored = images.layers(images.entries[0])
    assert [layer.compression for layer in stored] == ["gzip" if packed else "none"] * 2
    for layer, data in zip(stored, LAYERS):
        ready = images.packed(layer)
        sent = b"".join(ready.open())
        assert (ready.item.digest, ready.item.size) == (digest_of(sent), len(sent))
        assert ready.item.media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"
        assert gzip.decompress(sent) == data
        assert not packed or sent == gzip.compress(data, mtime=0)
        assert images.packed(layer).item == ready.item


@pytest.mark.parametrize("packed", [False, True])
def test_a_layer_that_is_not_what_the_config_says(packed: bool, tmp_path: Path) -> None:
    files = docker_files((["a:1"], LAYERS), packed=packed)
    name = next(iter(files))
    files[name] = gzip.compress(LAYERS[1]) if packed else LAYERS[1]
    images = docker(tmp_path, files)
    with fails(ContentError, "DIGEST_MISMATCH", says=digest_of(LAYERS[0])):
        images.packed(images.layers(images.entries[0])[0])


def test_a_gzip_layer_that_is_damaged(tmp_path: Path) -> None:
    files = docker_files((["a:1"], LAYERS), packed=True)
    name = next(iter(files))
    files[name] = files[name][:-30]
    images = docker(tmp_path, files)
    with fails(ContentError, "CONTENT_INVALID", says=name):
        images.packed(images.layers(images.entries[0])[0])


def test_nothing_lies_below_the_images_of_a_docker_archive(tmp_path: Path) -> None:
    images = docker(tmp_path, docker_files((["a:1"], LAYERS)))
    item = Descriptor("", digest_of(b"x"), 1)
    for read in (images.manifest, images.read, lambda item: list(images.chunks(item))):
        with fails(ContentError, "ARCHIVE_INVALID", says=item.digest):
            read(item)
    with fails(ContentError, "TOO_LARGE"):
        images.read(Descriptor("", digest_of(b"x"), 33 << 20))
