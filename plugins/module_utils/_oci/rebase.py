# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting an image on another base: what its layers, config and history become (OCI image-spec, config.md)."""

from __future__ import annotations

import typing as t

from .image import is_foreign
from .manifest import Json
from .mediatype import is_docker, layer_type
from .provenance import complete

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
_FOREIGN = {
    True: "application/vnd.docker.image.rootfs.foreign.diff.tar",
    False: "application/vnd.oci.image.layer.nondistributable.v1.tar",
}


def not_based_on(diff_ids: t.Sequence[str], base: t.Sequence[str]) -> str | None:
    """Say where an image (by its diff IDs, bottom to top) differs from a base, or None where it begins with it."""
    for number, (mine, wanted) in enumerate(zip(diff_ids, base), 1):
        if mine != wanted:
            return f"its layer {int(number)} is {mine}, and that of the base is {wanted} (diff IDs)"
    if len(diff_ids) < len(base):
        return f"it has {len(diff_ids)} layers, and the base has {len(base)}"
    return None


def in_family(layer: Json, manifest_type: str) -> Json:
    """Return a layer's descriptor for a manifest of a type: the same bytes, by the name that its family has for it."""
    old: str = layer["mediaType"]
    docker = is_docker(manifest_type)
    if old.startswith("application/vnd.docker.") == docker:
        return layer
    kind = "gzip" if old.endswith("gzip") else "zstd" if old.endswith("zstd") else "none"
    new = layer_type(manifest_type, kind)
    if is_foreign(old):
        new = _FOREIGN[docker] + ("" if kind == "none" else (".%s" if docker else "+%s") % kind)
    return {**layer, "mediaType": new}


def rebased_config(config: Json, old: Json, new: Json, base: list[str], own: list[str]) -> Json:
    """Return the config of an image on the base ``new`` in place of ``old``.

    ``base`` and ``own`` are the diff IDs of the new base, and of the image above its base. Only they, the history,
    ``os.version`` and ``os.features`` change.
    """
    rootfs = config.get("rootfs") or {"type": "layers"}
    result = {**config, "rootfs": {**rootfs, "diff_ids": base + own}}
    history = config.get("history") or []
    if history:
        before = len(rootfs.get("diff_ids") or []) - len(own)
        mine = _above(history, len(old.get("history") or []), before)
        result["history"] = complete(new, len(base)) + mine
    for key in ("os.version", "os.features"):
        result.pop(key, None)
        if new.get(key):
            result[key] = new[key]
    return result


def _layers_in(history: list[Json]) -> int:
    return sum(not (isinstance(entry, dict) and entry.get("empty_layer")) for entry in history)


def _above(history: list[Json], length: int, layers: int) -> list[Json]:
    """Return the history above a base of so many entries, and so many layers, which decide where the two disagree."""
    if _layers_in(history[:length]) == layers:
        return history[length:]
    cut = next((at for at in range(len(history) + 1) if _layers_in(history[:at]) == layers), len(history))
    return history[cut:]
