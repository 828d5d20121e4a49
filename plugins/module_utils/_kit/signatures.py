# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests under cosign's tags (``sha256-….sig``, ``.att``, ``.sbom``): each layer is one signature or statement."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._oci.digest import digest_of
from .._oci.image import build
from .._oci.manifest import Json, Manifest, canonical_json
from .._oci.parts import parts
from .._registry.client import Repository
from .image import read_config


def merged_signatures(
    ours: Repository, there: Manifest, theirs: Repository, source: Manifest
) -> tuple[Manifest, dict[str, bytes]] | str:
    """Return the manifest that ``ours`` has ``there``, with the layers of ``source`` that it lacks behind its own.

    Beside it, the config that was made for it, by digest. The same manifest comes back where it lacks none. A text
    says why the two cannot be merged. A layer is the same one if its digest and its annotations are: the signature
    itself is an annotation.
    """
    for manifest in (there, source):
        if manifest.is_index or not parts(manifest, "config"):
            return f"{manifest.digest} is not what cosign stores under such a tag"
    have = [layer_identity(layer.json) for layer in parts(there, "layers")]
    fresh = [layer.json for layer in parts(source, "layers") if layer_identity(layer.json) not in have]
    if not fresh:
        return there, {}
    try:
        config = read_config(ours, there, ours.full(there.digest))
        added = read_config(theirs, source, theirs.full(source.digest))
    except ContentError as exc:
        return str(exc).rstrip(".")
    return append_layers(there, config, fresh, _diff_ids(added, source, fresh))


def append_layers(
    manifest: Manifest, config: Json, layers: list[Json], diff_ids: list[str]
) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest with these layers behind its own, and its new config by digest; all else stays."""
    rootfs = dict(config.get("rootfs") or {"type": "layers"})
    rootfs["diff_ids"] = [*(rootfs.get("diff_ids") or []), *diff_ids]
    raw = canonical_json({**config, "rootfs": rootfs})
    described = {**manifest.json["config"], "digest": digest_of(raw), "size": len(raw)}
    described.pop("data", None)
    value = {**manifest.json, "config": described, "layers": [*manifest.json.get("layers", []), *layers]}
    return build(value, manifest.media_type), {digest_of(raw): raw}


def without_layers(
    manifest: Manifest, config: Json, gone: t.Collection[tuple[str, tuple[tuple[str, str], ...]]]
) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest without these layers (see `layer_identity`), and its new config by digest."""
    staying = [layer for layer in manifest.json["layers"] if layer_identity(layer) not in gone]
    bare = build({**manifest.json, "layers": []}, manifest.media_type)
    diff_ids = _diff_ids(config, manifest, staying)
    empty = {**config, "rootfs": {**(config.get("rootfs") or {"type": "layers"}), "diff_ids": []}}
    return append_layers(bare, empty, staying, diff_ids)


def layer_identity(layer: Json) -> tuple[str, tuple[tuple[str, str], ...]]:
    return layer["digest"], tuple(sorted((layer.get("annotations") or {}).items()))


def _diff_ids(config: Json, manifest: Manifest, layers: list[Json]) -> list[str]:
    """Return the uncompressed digests of some layers; payloads are not compressed, so these are usually their own."""
    rootfs = config.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    every = [layer["digest"] for layer in manifest.json.get("layers", [])]
    known = dict(zip(every, listed)) if isinstance(listed, list) and len(listed) == len(every) else {}
    return [str(known.get(layer["digest"], layer["digest"])) for layer in layers]
