# SPDX-License-Identifier: GPL-3.0-or-later
"""Exporting a Debian image with a web server."""

from __future__ import annotations

import tempfile

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import others, ours, play
from kit.table import MODULE, Row, show

ROUNDS = 4


def measure() -> list[Row]:
    """Export in turns, each time to a new file, with each library that inflates."""
    with Registry() as registry, tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        size, raw = push_debian(registry, "web", "1")
        src = f"{registry.host}/web:1"
        rivals = others(
            lambda dummy: ["sh", "-c", UNPACK, "sh", src],
            lambda name: ["crane", "export", "--insecure", src, f"{folder}/{name}.tar"],
        )
        theirs: dict[str, list[float]] = {}
        found: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            for column, make in rivals.items():
                theirs.setdefault(column, []).extend(play([make(number)]).seconds(column))
            for library, hidden in encoders().items():
                options = {"name": src, "path": f"{folder}/{number}-{library}.tar"}
                with without(hidden):
                    report = play([ours(library, "oci_export", options)])
                found.setdefault(library, []).extend(report.seconds(library))
    what = f"export, {size / 1e6:.0f} MB packed, {raw / 1e6:.0f} MB unpacked"
    other = "skopeo copy, umoci unpack"
    return [
        Row(f"{what}, {name}", {MODULE: seconds, **theirs}, other, "0.5 of crane") for name, seconds in found.items()
    ]


if __name__ == "__main__":
    show(measure())
