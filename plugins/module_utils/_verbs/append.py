# SPDX-License-Identifier: GPL-3.0-or-later
"""Put layers on top of an image, or make an image of layers alone (crane append, edit fs)."""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from .._kit.appending import Appending
from .._kit.edit import Edited, Tree, plan_edit
from .._kit.image import Image
from .._kit.rootfs import parse_limits
from .._layers.newfiles import parse_file
from .._oci.config import rfc3339
from .._oci.digest import digest_of
from .._oci.image import build
from .._oci.manifest import Json, canonical_json
from .._oci.mediatype import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.client import Repository
from .._registry.session import Session

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
    limits: dict[str, int | None] | None,
    on_existing: str,
) -> Plan:
    """Plan the layers on top of an image, of the images of an index, or of nothing."""
    if layers is None and files is None:
        raise InvalidInput("There is nothing to append: give layers, or files, or both.")
    if name is None and not layers and not files:
        raise InvalidInput(f"There is nothing to make {dest} of: layers and files are empty, and there is no name.")
    time = None if created is None else rfc3339(created)
    single = [parse_file(value) for value in files or []]
    work = Appending(session, layers or [], single, created=time, compression=compression, limits=parse_limits(limits))
    base = Reference.parse(name) if name is not None and base_annotations else None
    scratch = None
    if name is None:
        where = session.repository(Reference.parse(str(dest)), "pull", "push")
        scratch = _from_scratch(where, platforms or ["linux/amd64"], format, time)

    def edit(image: Image, existing: Image | None) -> Edited:
        return work.edit(image, existing, annotations=_annotations(image, base) if base else None)

    return plan_edit(
        session,
        name=str(dest) if name is None else name,
        dest=dest,
        platforms=[] if name is None else platforms,
        on_existing=on_existing,
        edit=edit,
        extra=lambda edited: {"layers": work.rows(edited[0])},
        made=scratch,
    )


def _annotations(image: Image, base: Reference) -> Json:
    """Return the annotations of the manifest with the name and digest of the image as its base."""
    found: Json = {**(image.manifest.json.get("annotations") or {}), f"{_BASE}digest": image.manifest.digest}
    if base.tag:
        found[f"{_BASE}name"] = f"{base.name}:{base.tag}"
    return found


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
