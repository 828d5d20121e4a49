# SPDX-License-Identifier: GPL-3.0-or-later
"""Put layers on top of an image, or make an image of layers alone (crane append, edit fs)."""

from __future__ import annotations

import calendar
import time
import typing as t
from dataclasses import dataclass, replace
from functools import lru_cache

from .._errors import InvalidInput
from .._kit.edit import Edited, Tree, as_it_is, plan_edit, rewrite
from .._kit.image import Image
from .._layers.newlayer import NewLayer, from_files, from_path, parse_file, windows
from .._layers.spool import explain_no_space
from .._oci.digest import digest_of
from .._oci.image import build
from .._oci.manifest import Json, canonical_json
from .._oci.mediatype import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    is_docker,
    layer_type,
)
from .._oci.parts import parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.client import Repository
from .._registry.session import Session

_PACKING = "to pack the layers"
_BASE = "org.opencontainers.image.base."


def plan_append(
    session: Session,
    *,
    name: str | None,
    dest: str | None,
    layers: list[str] | None,
    files: list[dict[str, t.Any]] | None,
    format: str,  # pylint: disable=redefined-builtin
    base_annotations: bool,
    platforms: list[str],
    created: str | None,
    compression: str,
    on_existing: str,
) -> Plan:
    """Plan the layers on top of an image, of the images of an index, or of nothing."""
    if not layers and not files:
        raise InvalidInput("There is nothing to append: give layers, or files, or both.")
    seconds = _seconds(created) if created else 0
    sources = [Reference.parse(name)] if name else []
    work = _Appending(
        # Read once, for all platforms, when the image is known to be there.
        layers=lru_cache(maxsize=None)(lambda for_windows: _read(layers or [], files or [], seconds, for_windows)),
        created=created,
        compression=compression,
        base=sources[0] if base_annotations and sources else None,
    )
    scratch = None
    if not name:
        where = Reference.parse(str(dest))
        scratch = _from_scratch(
            session.repository(where, "pull", "push"), platforms or ["linux/amd64"], format, created
        )
    return plan_edit(
        session,
        name=name or str(dest),
        dest=dest,
        platforms=platforms if name else [],
        on_existing=on_existing,
        edit=work.edit,
        extra=lambda edited: {"layers": work.told(edited[0])},
        made=scratch,
    )


def _seconds(created: str) -> int:
    try:
        return calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        text = f"created must be a time such as 2024-01-31T12:00:00Z (RFC 3339, UTC), not {created!r}."
        raise InvalidInput(text) from None


def _read(layers: list[str], files: list[dict[str, t.Any]], seconds: int, for_windows: bool) -> list[NewLayer]:
    with explain_no_space(_PACKING):
        found = [from_path(path) for path in layers]
        if files:
            found.append(from_files([parse_file(value) for value in files], seconds))
        return [windows(layer) for layer in found] if for_windows else found


def _from_scratch(repository: Repository, platforms: list[str], family: str, created: str | None) -> Tree:
    """Make an image without layers for each platform, in an index where there are several."""
    docker = family == "docker"
    media_type, config_type = (DOCKER_MANIFEST, DOCKER_CONFIG) if docker else (OCI_MANIFEST, OCI_CONFIG)
    images: dict[str, Image] = {}
    members: list[Json] = []
    for text in platforms:
        platform = Platform.parse(text)
        if not platform.architecture:
            raise InvalidInput(f"An image from scratch is for an os and an architecture, not {text!r} alone.")
        said = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
        said["os.version"] = platform.os_version
        said = {key: value for key, value in said.items() if value}
        config: Json = {"created": created} if created else {}
        config.update({**said, "config": {}, "rootfs": {"type": "layers", "diff_ids": []}, "history": []})
        raw = canonical_json(config)
        described = {"mediaType": config_type, "digest": digest_of(raw), "size": len(raw)}
        value = {"schemaVersion": 2, "mediaType": media_type, "config": described, "layers": []}
        manifest = build(value, media_type)
        images[manifest.digest] = Image(repository, manifest, config, str(repository))
        members.append({**manifest.descriptor.json, "platform": said})
    manifests = {image.manifest.digest: image.manifest for image in images.values()}
    if len(images) < len(platforms):
        raise InvalidInput("platforms names one platform twice.")
    root = next(iter(manifests.values()))
    if len(images) > 1:
        index_type = DOCKER_LIST if docker else OCI_INDEX
        root = build({"schemaVersion": 2, "mediaType": index_type, "manifests": members}, index_type)
    return Tree(repository, root, {**manifests, root.digest: root}, images, str(repository))


@dataclass(frozen=True)
class _Appending:
    """Appends the layers to images one by one. ``layers`` gives them, as Windows wants them or as all others do."""

    layers: t.Callable[[bool], list[NewLayer]]
    created: str | None
    compression: str
    base: Reference | None

    def edit(self, image: Image, there: Image | None) -> Edited:
        """Return the image with the layers; one that ends in them has them already."""
        layers = self.layers(image.config.get("os") == "windows")
        diff_ids = [layer.diff_id for layer in layers]
        if image.diff_ids[-len(layers) :] == diff_ids:
            return Edited(image.manifest, image.config)
        config = self.grown(image.config, layers)
        notes = {"annotations": self.annotations(image)} if self.base else {}
        before = [layer.json for layer in image.layers]
        tail = self.reused(image, there, layers)
        if tail and there:  # compressed by another encoder, perhaps, but the same
            elsewhere = {layer["digest"]: there.repository for layer in tail}
            new = replace(rewrite(image, config, before + tail, **notes), elsewhere=elsewhere, files_changed=True)
            return as_it_is(new, there)
        with explain_no_space(_PACKING):
            packed = [layer.pack(self.compression) for layer in layers]
        media_type = image.manifest.media_type
        tail = [
            {"mediaType": layer_type(media_type, file.compression), "digest": file.digest, "size": file.size}
            for file in packed
        ]
        new = rewrite(image, config, before + tail, **notes)
        return replace(new, local={**new.local, **{file.digest: file.open for file in packed}}, files_changed=True)

    def grown(self, config: Json, layers: list[NewLayer]) -> Json:
        """Return the config with the layers. The history tells of them if it tells of all others."""
        rootfs = config.get("rootfs") or {"type": "layers"}
        before, history = rootfs.get("diff_ids") or [], config.get("history") or []
        new = {**config, "rootfs": {**rootfs, "diff_ids": before + [layer.diff_id for layer in layers]}}
        if self.created:
            new["created"] = self.created
        told = [entry for entry in history if isinstance(entry, dict) and not entry.get("empty_layer")]
        if len(told) == len(before):
            created = {"created": new["created"]} if new.get("created") else {}
            new["history"] = history + [{**created, "created_by": f"oci_append {layer.name}"} for layer in layers]
        return new

    def annotations(self, image: Image) -> Json:
        """Return the annotations of the manifest with the name and digest of the image as its base."""
        found: Json = {**(image.manifest.json.get("annotations") or {}), f"{_BASE}digest": image.manifest.digest}
        if self.base and self.base.tag:
            found[f"{_BASE}name"] = f"{self.base.name}:{self.base.tag}"
        return found

    def reused(self, image: Image, there: Image | None, layers: list[NewLayer]) -> list[Json]:
        """Return the layers as the destination has them, if it has them on top of the same files; else none."""
        if there is None or is_docker(there.manifest.media_type) != is_docker(image.manifest.media_type):
            return []
        count, found = len(image.layers), (there.config.get("rootfs") or {}).get("diff_ids")
        wanted = [layer_type(image.manifest.media_type, layer.compression or self.compression) for layer in layers]
        same = found == image.diff_ids + [layer.diff_id for layer in layers]
        tail = there.layers[count:]
        return [layer.json for layer in tail] if same and [layer.media_type for layer in tail] == wanted else []

    def told(self, edited: Edited) -> list[Json]:
        """Return what the result says of the new layers."""
        layers, diff_ids = parts(edited.manifest, "layers"), edited.config["rootfs"]["diff_ids"]
        count = len(self.layers(edited.config.get("os") == "windows"))
        return [
            {"digest": layer.digest, "size": layer.size, "diff_id": diff_id}
            for layer, diff_id in list(zip(layers, diff_ids))[-count:]
        ]
