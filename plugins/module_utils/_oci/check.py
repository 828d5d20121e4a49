# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the parts of an image, in sentences (OCI image-spec: descriptor, manifest, config, layer)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .config import type_problems
from .digest import digest_problem
from .index import platform_of
from .manifest import Descriptor, Json, Manifest
from .mediatype import DOCKER_ZSTD, OCI_ARTIFACT
from .parts import parts, read_descriptor
from .platform import Platform


def descriptor_problems(manifest: Manifest, item: Descriptor, what: str) -> list[str]:
    """Check a manifest against a descriptor that leads to it."""
    found = []
    if item.size != len(manifest.raw):
        found.append(f"{what} is {len(manifest.raw)} bytes long, but its descriptor says {int(item.size)}.")
    if item.media_type != manifest.media_type:
        found.append(f"{what} has the type {manifest.media_type}, but its descriptor says {item.media_type}.")
    return found


def manifest_problems(manifest: Manifest, what: str) -> list[str]:
    """Check the parts of a manifest or index for what is malformed, one problem for each kind of part."""
    found = []
    if manifest.json.get("schemaVersion") != 2:
        found.append(f"{what} has the schemaVersion {manifest.json.get('schemaVersion')!r}, not 2.")
    if manifest.json.keys() & ({"layers", "config"} if manifest.is_index else {"manifests"}):
        found.append(f"{what} has the parts of an image and of an index.")
    found += _lacking(manifest, what)
    for key in ("manifests", "config", "layers", "blobs", "subject"):
        try:
            parts(manifest, key, what)
        except ContentError as exc:
            found.append(str(exc))
    found += [
        f"{what} has the layer {layer.digest} in zstd, which the format of Docker does not have and no engine reads."
        for layer in readable_parts(manifest, "layers")
        if layer.media_type == DOCKER_ZSTD
    ]
    return found


def _lacking(manifest: Manifest, what: str) -> list[str]:
    """Return what a manifest must have, if only as an empty list; other tools write null for that, or nothing."""
    if manifest.media_type == OCI_ARTIFACT:
        return []
    key = "manifests" if manifest.is_index else "layers"
    value, found = manifest.json.get(key), []
    if value is None:  # `parts` tells of what is something else than a list
        found.append(f"{what} has no list of {key}; it may be empty.")
    if not manifest.is_index and manifest.json.get("config") is None:
        found.append(f"{what} has no config, which every image and artifact has.")
    return found


def readable_parts(manifest: Manifest, key: str) -> list[Descriptor]:
    """Return the descriptors under a key that are well-formed; manifest_problems tells of the others."""
    value = manifest.json.get(key)
    found = []
    for item in value if isinstance(value, list) else [value]:
        try:
            found += [] if item is None else [read_descriptor(item, manifest.digest)]
        except ContentError:
            continue
    return found


def config_problems(config: Json, layers: t.Sequence[Descriptor], what: str) -> list[str]:
    """Check an image's config by itself, and against the number of layers (OCI image-spec, config.md)."""
    found = [f"{what} {problem}." for problem in type_problems(config)]
    found += [f"{what} names no {key}." for key in ("architecture", "os") if not config.get(key)]
    rootfs = config.get("rootfs")
    rootfs = rootfs if isinstance(rootfs, dict) else {}
    if rootfs.get("type") != "layers":
        found.append(f"{what} has the rootfs.type {rootfs.get('type')!r}, not 'layers'.")
    ids = diff_ids(config)
    if not layers and not isinstance(rootfs.get("diff_ids"), list):
        found.append(f"{what} has no list of diff IDs (rootfs.diff_ids); it may be empty.")
    if len(ids) != len(layers):
        found.append(f"{what} lists {len(ids)} layers (rootfs.diff_ids), but the manifest has {len(layers)}.")
    for diff_id in ids:
        problem = digest_problem(diff_id)
        if problem:
            found.append(f"{what} has the diff ID {diff_id!r}, which {problem}.")
    history = config.get("history")
    if history and isinstance(history, list) and all(isinstance(entry, dict) for entry in history):
        count = sum(not entry.get("empty_layer") for entry in history)
        if count != len(layers):
            said = f"{count} entries with layers in its history"
            found.append(f"{what} has {said}, but the manifest has {len(layers)} layers.")
    return found


def diff_ids(config: Json) -> list[t.Any]:
    """Return the diff IDs that a config lists, whatever they are."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return found if isinstance(found, list) else []


def platform_problems(item: Descriptor, config: Json, what: str) -> list[str]:
    """Check the platform that an index gives a member against its config, where both say something."""
    listed, own = platform_of(item), Platform.from_json(config)
    if not listed or not own:
        return []
    pairs = {
        "os": (listed.os, own.os),
        "architecture": (listed.architecture, own.architecture),
        "variant": (listed.variant, own.variant),
        "OS version": (listed.os_version, own.os_version),
    }
    return [
        f"{what} has the {name} {mine!r} in its config, but its index says {theirs!r}."
        for name, (theirs, mine) in pairs.items()
        if mine and theirs and mine != theirs
    ]
