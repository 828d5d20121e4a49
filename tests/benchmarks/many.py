# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred images that are up to date: in one task with `images`, and in a loop over them."""

from __future__ import annotations

from kit.lab import Registry
from kit.play import oci_copy, play

IMAGES = 100


def main() -> None:
    """Print the time of each way and their ratio."""
    with Registry() as here, Registry() as there:
        for number in range(IMAGES):
            here.push(f"app{number}", "1.0", [1000], seed=number)
        images = [
            {"src": f"{here.host}/app{number}:1.0", "dest": f"{there.host}/app{number}:1.0"} for number in range(IMAGES)
        ]
        tasks = [
            oci_copy("first", images=images),
            oci_copy("together", images=images),
            {**oci_copy("each", src="{{ item.src }}", dest="{{ item.dest }}"), "loop": images},
        ]
        report = play(tasks)
    together, each = (sum(report.seconds(name, changed=False)) for name in ("together", "each"))
    print(f"many: {IMAGES} images in one task {together:.2f} s, in a loop {each:.1f} s")
    print(f"many: ratio loop/one task {each / together:.0f} (aim 10)")


if __name__ == "__main__":
    main()
