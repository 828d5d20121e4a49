# SPDX-License-Identifier: GPL-3.0-or-later
"""What the config of a flattened image says of where it came from (OCI image-spec, config.md, "history")."""

from __future__ import annotations

from .manifest import Json, canonical_json

_BY = "flatten "


def is_flattened(config: Json) -> bool:
    """Does the history say that the image is the result of flattening another one?"""
    history = config.get("history") or []
    return len(history) == 1 and isinstance(history[0], dict) and str(history[0].get("created_by")).startswith(_BY)


def flattened(config: Json, source: str, diff_id: str) -> Json:
    """Return the config of an image after flattening: one layer, and a history of one entry.

    It names ``source``, the digest of the manifest that was flattened, and keeps the old history as its comment. Where
    the image was flattened before, that history stays. All else stays too: nothing here depends on a clock.
    """
    entry = {"created": config.get("created"), "created_by": _BY + source}
    if config.get("history"):
        entry["comment"] = canonical_json(config["history"]).decode("utf-8")
    history = [{key: value for key, value in entry.items() if value is not None}]
    rootfs = {**(config.get("rootfs") or {"type": "layers"}), "diff_ids": [diff_id]}
    return {**config, "rootfs": rootfs, "history": config["history"] if is_flattened(config) else history}
