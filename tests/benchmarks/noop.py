# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that has nothing to do."""

from __future__ import annotations

from kit.lab import MEBI, Registry
from kit.play import both_ways, others, ours, play, race, skopeo_copy
from kit.table import MODULE, Row, show

ROUNDS = 15


def measure() -> list[Row]:
    """Copy again and again what is there."""
    with Registry() as here, Registry() as there:
        here.push("app", "1.0", [MEBI, MEBI])
        src, dest = f"{here.host}/app:1.0", f"{there.host}/app:1.0"
        play([ours(MODULE, "oci_copy", {"src": src, "dest": dest})])
        entrants = {
            **both_ways("oci_copy", lambda dummy: {"src": src, "dest": dest}),
            **others(
                lambda dummy: skopeo_copy(f"docker://{src}", f"docker://{dest}"),
                lambda dummy: ["crane", "copy", "--insecure", src, dest],
            ),
        }
        return [Row("copy, up to date", race(entrants, ROUNDS, changed=False), "skopeo copy", "1.0 of crane")]


if __name__ == "__main__":
    show(measure())
