# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and speed of a copy of one layer of 2 GiB, beside skopeo, and memory of flattening an image of 4 GiB."""

from __future__ import annotations

from kit.lab import MEBI, Registry
from kit.play import Process, oci_copy, play, skopeo_copy

LAYER = 2048 * MEBI
LIMIT = 120 * 1000 * 1000
FLATTEN_LAYERS = (1024 * MEBI,) * 4
FLATTEN_LIMIT = 200 * 1000 * 1000
ROUNDS = 2


def main() -> None:
    """Copy in turns, each time to an empty registry; print the best times and the worst memory of each."""
    with Registry() as here:
        size = here.push("big", "1.0", [LAYER])
        src = f"{here.host}/big:1.0"
        ours, theirs = [], []
        for dummy in range(ROUNDS):
            with Registry() as there:
                dest = f"{there.host}/big:1.0"
                ours += play([oci_copy("oci_copy", src=src, dest=dest)], watch=True).processes
            with Registry() as there:
                dest = f"{there.host}/big:1.0"
                theirs += play([skopeo_copy("skopeo", src, dest)], watch=True).processes
    speed, their_speed = show("oci_copy", ours, size), show("command: skopeo copy", theirs, size)
    print(f"memory: speed oci_copy/skopeo {speed / their_speed:.2f}")
    check("oci_copy", ours, LIMIT)
    with Registry() as here:
        size = here.push("big", "1.0", FLATTEN_LAYERS)
        options = {"name": f"{here.host}/big:1.0", "dest": f"{here.host}/big:flat"}
        task = {"name": "oci_flatten", "quayside.registry.oci_flatten": options}
        flattened = play([task], watch=True).processes
    show("oci_flatten", flattened, size)
    check("oci_flatten", flattened, FLATTEN_LIMIT)


def check(name: str, processes: list[Process], limit: int) -> None:
    """Fail if a process took more memory than it may."""
    peak = max(process.memory for process in processes)
    if peak > limit:
        raise SystemExit(f"memory: {name} took {peak / 1e6:.0f} MB, more than {limit / 1e6:.0f} MB")


def show(name: str, processes: list[Process], size: int) -> float:
    """Print what a copier took, and return its bytes a second."""
    seconds = min(process.seconds for process in processes)
    peak = max(process.memory for process in processes)
    cpu = min(process.cpu for process in processes)
    speed = f"{size / seconds / 1e6:.0f} MB/s"
    print(f"memory: {name} peak {peak / 1e6:.0f} MB, {speed} ({seconds:.1f} s, of the processor {cpu:.1f} s)")
    return size / seconds


if __name__ == "__main__":
    main()
