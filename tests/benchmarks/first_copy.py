# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy of an image to an empty registry: 100 MB and 500 MB in ten layers."""

from __future__ import annotations

from kit.lab import Registry
from kit.play import Make, both_ways, others, play, skopeo_copy
from kit.table import Row, show

# Megabytes (millions of bytes) of the layers: 100 in all.
LAYERS = (40, 20, 10, 10, 8, 5, 4, 2, 0.5, 0.5)
SIZES = {100: (1, 5, "1.0 of crane"), 500: (5, 3, "0.9 of crane")}  # how often 100 MB, rounds, aim


def measure() -> list[Row]:
    """Copy in turns, each time to a registry of its own."""
    rows = []
    with Registry() as here:
        for megabytes, (times, rounds, aim) in SIZES.items():
            here.push(f"app{megabytes}", "1.0", [int(times * layer * 1e6) for layer in LAYERS])
            figures: dict[str, list[float]] = {}
            for number in range(rounds):
                for column in entrants("", ""):
                    with Registry() as there:
                        make = entrants(f"{here.host}/app{megabytes}:1.0", there.host)[column]
                        figures.setdefault(column, []).extend(play([make(number)]).seconds(column))
            rows.append(Row(f"copy, first, {megabytes} MB", figures, "skopeo copy", aim))
    return rows


def entrants(src: str, host: str) -> dict[str, Make]:
    """All ways to copy an image to a registry."""
    return {
        **both_ways("oci_copy", lambda name: {"src": src, "dest": f"{host}/app:{name}"}),
        **others(
            lambda name: skopeo_copy(f"docker://{src}", f"docker://{host}/app:{name}"),
            lambda name: ["crane", "copy", "--insecure", src, f"{host}/app:{name}"],
        ),
    }


if __name__ == "__main__":
    show(measure())
