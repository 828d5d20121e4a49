# SPDX-License-Identifier: GPL-3.0-or-later
"""Exporting a Debian image with a web server."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import both_ways, others, play
from kit.table import Row, show

ROUNDS = 4


def measure() -> list[Row]:
    """Export in turns, each time to a new file, with each library that inflates."""
    with Registry() as registry, tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        size, raw = push_debian(registry, "web", "1")
        src, tar = f"{registry.host}/web:1", Path(folder) / "root.tar"
        rivals = others(
            lambda dummy: ["sh", "-c", UNPACK, "sh", src],
            lambda dummy: ["crane", "export", "--insecure", src, str(tar)],
        )
        theirs: dict[str, list[float]] = {}
        found: dict[str, dict[str, list[float]]] = {}

        def time(column: str, task: dict[str, t.Any]) -> list[float]:
            tar.unlink(missing_ok=True)  # before it is written to the disk, which would slow down the next one
            return play([task]).seconds(column)

        for number in range(ROUNDS):
            for column, make in rivals.items():
                theirs.setdefault(column, []).extend(time(column, make(number)))
            for library, hidden in encoders().items():
                for column, make in both_ways("oci_export", lambda dummy: {"name": src, "path": str(tar)}).items():
                    with without(hidden):
                        found.setdefault(library, {}).setdefault(column, []).extend(time(column, make(number)))
    what = f"export, {size / 1e6:.0f} MB packed, {raw / 1e6:.0f} MB unpacked"
    other = "skopeo copy, umoci unpack"
    return [Row(f"{what}, {name}", {**seconds, **theirs}, other, "0.5 of crane") for name, seconds in found.items()]


if __name__ == "__main__":
    show(measure())
