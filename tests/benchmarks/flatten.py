# SPDX-License-Identifier: GPL-3.0-or-later
"""Flattening a Debian image with a web server."""

from __future__ import annotations

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import both_ways, others, play
from kit.table import Row, show

ROUNDS = 3
AIMS = {"isal": "0.1 of crane"}


def measure() -> list[Row]:
    """Flatten in turns, with each library that compresses."""
    with Registry() as registry:
        size, raw = push_debian(registry, "web", "1")
        src = f"{registry.host}/web:1"
        rivals = others(
            lambda dummy: ["sh", "-c", UNPACK, "sh", src],
            lambda name: ["crane", "flatten", "--insecure", src, "-t", f"{registry.host}/flat:{name}"],
        )
        theirs: dict[str, list[float]] = {}
        found: dict[str, dict[str, list[float]]] = {}
        sizes: dict[str, int] = {}
        for number in range(ROUNDS):
            for column, make in rivals.items():
                theirs.setdefault(column, []).extend(play([make(number)]).seconds(column))
            for library, hidden in encoders().items():
                made = both_ways("oci_flatten", lambda name: {"name": src, "dest": f"{registry.host}/flat:{name}"})
                for column, make in made.items():
                    with without(hidden):
                        report = play([make(f"{number}-{library}")])
                    found.setdefault(library, {}).setdefault(column, []).extend(report.seconds(column))
                    sizes[library] = report.results[-1]["size"]
    what = f"flatten, {size / 1e6:.0f} MB packed, {raw / 1e6:.0f} MB unpacked"
    other = "skopeo copy, umoci unpack, which packs nothing"
    return [
        Row(
            f"{what}, {name}",
            {**seconds, **theirs},
            other,
            AIMS.get(name, "0.25 of crane"),
            notes=(f"the new layer has {sizes[name]} bytes",),
        )
        for name, seconds in found.items()
    ]


if __name__ == "__main__":
    show(measure())
