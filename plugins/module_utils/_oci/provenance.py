# SPDX-License-Identifier: GPL-3.0-or-later
"""What the config of an image says of what was done to it here (OCI image-spec, config.md, "history")."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .manifest import Json, canonical_json

_BY = "flatten "
_APPENDED = "oci_append "
_UNKNOWN: Json = {"created": "1970-01-01T00:00:00Z"}  # clients such as umoci take it that every entry has a time


def is_flattened(config: Json) -> bool:
    """Does the history say that the image is the result of flattening another one?"""
    history = config.get("history") or []
    return len(history) == 1 and isinstance(history[0], dict) and str(history[0].get("created_by")).startswith(_BY)


def flattened(config: Json, source: str, diff_id: str) -> Json:
    """Return the config of an image after flattening: one layer, and a history of one entry.

    It names ``source``, the digest of the manifest that was flattened, and keeps the old history as its comment. Where
    the image was flattened before, that history stays. All else stays too: nothing here depends on a clock.
    """
    old = config.get("history")
    history = [_entry(config.get("created"), _BY + source, canonical_json(old).decode("utf-8") if old else None)]
    rootfs = {**(config.get("rootfs") or {"type": "layers"}), "diff_ids": [diff_id]}
    return {**config, "rootfs": rootfs, "history": config["history"] if is_flattened(config) else history}


@dataclass(frozen=True)
class Appended:
    """A layer that was appended, as the history tells of it.

    ``name`` is that of the tar or folder, or the paths of single files. ``request`` is a digest of what was asked for,
    where the layer depends on the image too, as single files do.
    """

    name: str
    diff_id: str
    request: str | None = None

    def hides(self, other: Appended) -> bool:
        """Does this layer, above another one, bring the same again? Its own older content, or one of its files."""
        mine, others = ({*each.name.split(", ")} if each.request else {each.name} for each in (self, other))
        return bool(self.request) == bool(other.request) and not mine.isdisjoint(others)


def appended(config: Json) -> list[Appended]:
    """Return the layers on top of an image that were appended, bottom to top, up to the first that was not.

    There are none where the history does not tell of all layers.
    """
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    entries = _layer_entries(config)
    if len(entries) != len(diff_ids):
        return []
    found: list[Appended] = []
    for entry, diff_id in zip(reversed(entries), reversed(diff_ids)):
        by = str(entry.get("created_by"))
        if not by.startswith(_APPENDED):
            break
        found.insert(0, Appended(by[len(_APPENDED) :], str(diff_id), entry.get("comment")))
    return found


def with_layers(config: Json, layers: t.Sequence[Appended], created: str | None) -> Json:
    """Return a config with more layers, of which its history tells, too."""
    rootfs = config.get("rootfs") or {"type": "layers"}
    before = rootfs.get("diff_ids") or []
    new = {**config, "rootfs": {**rootfs, "diff_ids": before + [layer.diff_id for layer in layers]}}
    if created:
        new["created"] = created
    own = [_entry(new.get("created"), _APPENDED + layer.name, layer.request) for layer in layers]
    new["history"] = complete(config, len(before)) + own
    return new


def complete(config: Json, layers: int) -> list[Json]:
    """Return the history of a config of so many layers; the lowest get entries that say nothing, where it lacks some.

    Of a history that tells of more layers than there are, which no engine takes, nothing is left.
    """
    lacking = layers - len(_layer_entries(config))
    return [_UNKNOWN] * lacking + (config.get("history") or []) if lacking >= 0 else [_UNKNOWN] * layers


def _layer_entries(config: Json) -> list[Json]:
    entries = [entry for entry in config.get("history") or [] if isinstance(entry, dict)]
    return [entry for entry in entries if not entry.get("empty_layer")]


def _entry(created: str | None, created_by: str, comment: str | None) -> Json:
    entry = {"created": created or _UNKNOWN["created"], "created_by": created_by, "comment": comment}
    return {key: value for key, value in entry.items() if value is not None}
