# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the parts of an image, in sentences (OCI image-spec: descriptor, manifest, config, layer)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .digest import digest_problem
from .index import platform_of
from .manifest import Descriptor, Json, Manifest
from .parts import parts
from .platform import Platform


def descriptor_problems(manifest: Manifest, item: Descriptor, what: str) -> list[str]:
    """Check a manifest against a descriptor that leads to it."""
    found = []
    if item.size != len(manifest.raw):
        found.append("%s is %d bytes long, but its descriptor says %d." % (what, len(manifest.raw), item.size))
    if item.media_type != manifest.media_type:
        found.append("%s has the type %s, but its descriptor says %s." % (what, manifest.media_type, item.media_type))
    return found


def manifest_problems(manifest: Manifest, what: str) -> list[str]:
    """Check the parts of a manifest or index for what is malformed, one problem for each kind of part."""
    found = []
    if manifest.json.get("schemaVersion") != 2:
        found.append("%s has the schemaVersion %r, not 2." % (what, manifest.json.get("schemaVersion")))
    if manifest.json.keys() & ({"layers", "config"} if manifest.is_index else {"manifests"}):
        found.append("%s has the parts of an image and of an index." % what)
    for key in ("manifests", "config", "layers", "blobs", "subject"):
        try:
            parts(manifest, key, what)
        except ContentError as exc:
            found.append(str(exc))
    return found


def readable_parts(manifest: Manifest, key: str) -> list[Descriptor]:
    """Return the descriptors under a key that are well-formed; manifest_problems tells of the others."""
    value = manifest.json.get(key)
    found = []
    for item in value if isinstance(value, list) else [value]:
        try:
            found += parts(Manifest(b"", "", manifest.digest, {"layers": [item]}), "layers")
        except ContentError:
            continue
    return found


def config_problems(config: Json, layers: t.Sequence[Descriptor], what: str) -> list[str]:
    """Check an image's config by itself, and against the number of layers (OCI image-spec, config.md)."""
    found = ["%s names no %s." % (what, key) for key in ("architecture", "os") if not config.get(key)]
    rootfs = config.get("rootfs")
    rootfs = rootfs if isinstance(rootfs, dict) else {}
    if rootfs.get("type") != "layers":
        found.append("%s has the rootfs.type %r, not 'layers'." % (what, rootfs.get("type")))
    ids = diff_ids(config)
    if len(ids) != len(layers):
        found.append("%s lists %d layers (rootfs.diff_ids), but the manifest has %d." % (what, len(ids), len(layers)))
    for diff_id in ids:
        problem = digest_problem(diff_id)
        if problem:
            found.append("%s has the diff ID %r, which %s." % (what, diff_id, problem))
    history = config.get("history")
    if history:
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            found.append("%s has a history that is not a list of objects." % what)
        else:
            count = sum(not entry.get("empty_layer") for entry in history)
            if count != len(layers):
                text = "%s has %d entries with layers in its history, but the manifest has %d layers."
                found.append(text % (what, count, len(layers)))
    return found


def diff_ids(config: Json) -> list[t.Any]:
    """Return the diff IDs that a config lists, whatever they are."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return found if isinstance(found, list) else []


def platform_problems(item: Descriptor, config: Json, what: str) -> list[str]:
    """Check the platform that an index gives a member against its config, where both say something."""
    said, own = platform_of(item), Platform.from_json(config)
    if not said or not own:
        return []
    pairs = zip(("os", "architecture", "variant", "OS version"), vars(said).values(), vars(own).values())
    text = "%s has the %s %r in its config, but its index says %r."
    return [text % (what, name, mine, theirs) for name, theirs, mine in pairs if mine and theirs and mine != theirs]
