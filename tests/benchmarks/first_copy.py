# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy of an image of several layers to an empty registry, beside skopeo."""

from __future__ import annotations

from kit.lab import MEBI, Registry
from kit.play import oci_copy, play, skopeo_copy

LAYERS = [80 * MEBI, 40 * MEBI, 40 * MEBI, 40 * MEBI, 40 * MEBI, 20 * MEBI, 10 * MEBI, 5 * MEBI, MEBI, MEBI // 2]
ROUNDS = 5


def main() -> None:
    """Copy in turns; print the best time of each and their ratio."""
    ours, theirs = [], []
    with Registry() as here:
        size = here.push("app", "1.0", LAYERS)
        src = f"{here.host}/app:1.0"
        for dummy in range(ROUNDS):
            with Registry() as there:
                report = play([oci_copy("oci_copy", src=src, dest=f"{there.host}/app:1.0")])
                ours += report.seconds("oci_copy")
            with Registry() as there:
                report = play([skopeo_copy("skopeo", src, f"{there.host}/app:1.0")])
                theirs += report.seconds("skopeo")
    print(f"first_copy: {size / 1e6:.0f} MB in {len(LAYERS)} layers, best of {ROUNDS}")
    for name, seconds in (("oci_copy", min(ours)), ("command: skopeo copy", min(theirs))):
        print(f"first_copy: {name} {seconds:.2f} s a task, {size / seconds / 1e6:.0f} MB/s")
    print(f"first_copy: ratio oci_copy/skopeo {min(ours) / min(theirs):.2f}")


if __name__ == "__main__":
    main()
