# SPDX-License-Identifier: GPL-3.0-or-later
"""The vectors of other implementations (vectors/README.md), as candidates and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Manifest
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import parts
from ansible_collections.quayside.registry.plugins.module_utils._trust.candidates import Candidate

VECTORS = Path(__file__).parent / "vectors"
EXPECTED: dict[str, Any] = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))
IMAGE, OTHER, INDEX = (EXPECTED["image"][name] for name in ("digest", "other_digest", "index_digest"))
NAME = "registry.example/team/app:1.0"
ROOT = VECTORS / "keyless" / "trusted_root.json"


def rows(name: str, *shown: str) -> list[Any]:
    """The rows of a list, for parametrize: as many tests as there are rows."""
    return [(row, "-".join(str(row[key]) for key in shown)) for row in EXPECTED[name]]


def parameters(name: str, *shown: str) -> dict[str, Any]:
    found = rows(name, *shown)
    return {"argvalues": [row for row, _id in found], "ids": [text for _row, text in found]}


def content(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def key_text(name: str) -> str:
    return (VECTORS / name).read_text(encoding="ascii")


def candidates(case: str) -> list[Candidate]:
    """What a case holds, as the one who fetches it would pass it on."""
    folder = VECTORS / case
    manifest = Manifest.parse((folder / "manifest.json").read_bytes(), None, case)
    found = parts(manifest, "layers")
    if case.startswith("simple/"):
        names = ["payload.json"] if len(found) == 1 else [f"payload-{at}.json" for at in range(1, len(found) + 1)]
    else:
        names = ["bundle.json"]
    assert len(names) == len(found)
    return [Candidate.of_layer(layer, (folder / name).read_bytes(), case) for layer, name in zip(found, names)]
