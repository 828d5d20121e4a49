# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory at an image of 4 GiB in four layers: copying, flattening, exporting, validating."""

from __future__ import annotations

import os
import tempfile
import typing as t

from kit.lab import MEBI, Registry
from kit.play import command, ours, play, skopeo_copy
from kit.table import MODULE, STAND_IN, Row, show

LAYERS = (1024 * MEBI,) * 4
LIMITS = {"copy": 120, "flatten": 200, "export": 200, "validate": 200}  # MB


def measure() -> list[Row]:
    """Run each task once; SystemExit where one takes more memory than it may."""
    rows = []
    with Registry() as here, tempfile.TemporaryDirectory(prefix="bench-memory-") as folder:
        size = here.push("big", "1.0", LAYERS)
        src = f"{here.host}/big:1.0"
        options = {
            "flatten": {"name": src, "dest": f"{here.host}/big:flat"},
            "export": {"name": src, "path": f"{folder}/root.tar"},
            "validate": {"name": src},
        }
        with Registry() as there:
            rows += peak("copy", size, ours("copy", "oci_copy", {"src": src, "dest": f"{there.host}/big:1.0"}))
        with Registry() as there:
            skopeo = command("skopeo", *skopeo_copy(f"docker://{src}", f"docker://{there.host}/big:1.0"))
            rows += peak("copy", size, skopeo, STAND_IN)
        rows = [merged(rows[0], rows[2]), merged(rows[1], rows[3])]
        for verb, given in options.items():
            rows += peak(verb, size, ours(verb, f"oci_{verb}", given))
            if os.path.exists(f"{folder}/root.tar"):
                os.unlink(f"{folder}/root.tar")
    for row in rows:
        if row.unit == "MB" and (row.best(MODULE) or 0) > LIMITS[row.task.split(",")[0]]:
            raise SystemExit(f"{row.task}: {row.best(MODULE):.0f} MB are more than {row.aim}")
    return rows


def merged(ours: Row, theirs: Row) -> Row:
    """One row of the two sides of a race."""
    notes = (*ours.notes, *theirs.notes)
    return Row(ours.task, {**ours.figures, **theirs.figures}, "skopeo copy", ours.aim, ours.unit, notes)


def peak(verb: str, size: int, task: dict[str, t.Any], column: str = MODULE) -> list[Row]:
    """Run a task and return two rows: its seconds, and its memory in MB."""
    (process,) = play([task], watch=True).processes
    what = f"{verb}, {size / 1e9:.1f} GB"
    return [
        Row(what, {column: [process.seconds]}, notes=(f"{column}: {process.cpu:.1f} s of the processor",)),
        Row(f"{what}, peak memory", {column: [process.memory / 1e6]}, aim=f"{LIMITS[verb]} MB", unit="MB"),
    ]


if __name__ == "__main__":
    show(measure())
