# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and layouts of images as other tools write them, made with the standard library alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    digest_of,
)

REF_NAME = "org.opencontainers.image.ref.name"
VERSION = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

Files = Mapping[str, bytes]


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def hexes(data: bytes) -> str:
    return digest_of(data).split(":")[1]


def config_of(layers: Iterable[bytes], **more: Any) -> bytes:
    """An image's config; the layers are given as they are unpacked."""
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    return to_json({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, **more})


def docker_files(*images: tuple[list[str] | None, list[bytes]], packed: bool = False) -> dict[str, bytes]:
    """What `docker save` writes: images with their RepoTags and layers, plain as it has them or gzipped."""
    files: dict[str, bytes] = {}
    listed = []
    for tags, layers in images:
        config = config_of(layers)
        names = []
        for layer in layers:
            data, end = (gzip.compress(layer, mtime=0), ".tar.gz") if packed else (layer, "/layer.tar")
            names.append(hexes(data) + end)
            files[names[-1]] = data
        files[hexes(config) + ".json"] = config
        listed.append({"Config": hexes(config) + ".json", "RepoTags": tags, "Layers": names})
    return {**files, "manifest.json": to_json(listed)}


def blob(data: bytes, media_type: str) -> dict[str, Any]:
    """The descriptor of some bytes."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def blobs(*contents: bytes) -> dict[str, bytes]:
    """The files that a layout has for them."""
    return {f"blobs/sha256/{hexes(data)}": data for data in contents}


def oci_image(layers: list[bytes], layer_type: str = OCI_LAYER, **more: Any) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an image, and all files of a layout that it needs; `more` goes into its config."""
    packed = [gzip.compress(layer, mtime=0) if "gzip" in layer_type else layer for layer in layers]
    config = config_of(layers, **more)
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": blob(config, OCI_CONFIG),
            "layers": [blob(layer, layer_type) for layer in packed],
        }
    )
    return manifest, blobs(manifest, config, *packed)


def index_of(*members: Mapping[str, Any]) -> bytes:
    return to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(members)})


def entry(data: bytes, name: str | None, media_type: str = OCI_MANIFEST, **more: str) -> dict[str, Any]:
    """A descriptor of index.json; `more` are annotations, with `_` for `.`."""
    annotations = {**({REF_NAME: name} if name else {}), **{key.replace("_", "."): text for key, text in more.items()}}
    return {**blob(data, media_type), **({"annotations": annotations} if annotations else {})}


def layout_files(*images: tuple[str | None, bytes, Files], media_type: str = OCI_MANIFEST) -> dict[str, bytes]:
    """An OCI layout of manifests with their names and files."""
    files = dict(VERSION)
    for dummy, dummy, more in images:
        files.update(more)
    return {**files, "index.json": index_of(*(entry(data, name, media_type) for name, data, dummy in images))}


def save(path: Path, files: Files) -> str:
    """Write files into a folder."""
    for name, data in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return str(path)
