# SPDX-License-Identifier: GPL-3.0-or-later
"""The config of a flattened image."""

from __future__ import annotations

import json

from ansible_collections.quayside.registry.plugins.module_utils._oci.provenance import flattened, is_flattened

HISTORY = [{"created_by": "layer 1", "x": "\u00e4"}, {"created_by": "layer 2"}]
CONFIG = {
    "os": "linux",
    "created": "2024-01-02T03:04:05Z",
    "config": {"Healthcheck": {"Test": ["NONE"]}},
    "moby.unknown": 1,
    "rootfs": {"type": "layers", "diff_ids": ["sha256:a", "sha256:b"]},
    "history": HISTORY,
}


def test_all_but_layers_and_history_stays() -> None:
    new = flattened(CONFIG, "sha256:source", "sha256:new")
    assert new == {**CONFIG, "rootfs": {"type": "layers", "diff_ids": ["sha256:new"]}, "history": new["history"]}
    assert list(new) == list(CONFIG)
    (entry,) = new["history"]
    assert (entry["created"], entry["created_by"]) == (CONFIG["created"], "flatten sha256:source")
    assert json.loads(entry["comment"]) == HISTORY
    assert (is_flattened(CONFIG), is_flattened(new)) == (False, True)


def test_the_history_of_a_flattened_image_stays() -> None:
    once = flattened(CONFIG, "sha256:source", "sha256:new")
    assert flattened(once, "sha256:other", "sha256:new") == once


def test_what_is_missing_is_not_made_up() -> None:
    new = flattened({"os": "linux"}, "sha256:source", "sha256:new")
    assert new["history"] == [{"created": "1970-01-01T00:00:00Z", "created_by": "flatten sha256:source"}]
    assert new["rootfs"] == {"type": "layers", "diff_ids": ["sha256:new"]}
    assert "created" not in new
    assert not is_flattened({"history": [{"created_by": None}]})
    assert not is_flattened({"history": ["flatten x"]})
