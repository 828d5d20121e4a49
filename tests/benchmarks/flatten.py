# SPDX-License-Identifier: GPL-3.0-or-later
"""Flattening a Debian image with a web server."""

from __future__ import annotations

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import others, ours, play
from kit.table import MODULE, Row, show

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
        found: dict[str, list[float]] = {}
        sizes: dict[str, int] = {}
        for number in range(ROUNDS):
            for column, make in rivals.items():
                theirs.setdefault(column, []).extend(play([make(number)]).seconds(column))
            for library, hidden in encoders().items():
                options = {"name": src, "dest": f"{registry.host}/flat:{number}-{library}"}
                with without(hidden):
                    report = play([ours(library, "oci_flatten", options)])
                found.setdefault(library, []).extend(report.seconds(library))
                sizes[library] = report.results[-1]["size"]
    what = f"flatten, {size / 1e6:.0f} MB packed, {raw / 1e6:.0f} MB unpacked"
    other = "skopeo copy, umoci unpack, which packs nothing"
    return [
        Row(
            f"{what}, {name}",
            {MODULE: seconds, **theirs},
            other,
            AIMS.get(name, "0.25 of crane"),
            notes=(f"the new layer has {sizes[name]} bytes",),
        )
        for name, seconds in found.items()
    ]


if __name__ == "__main__":
    show(measure())
