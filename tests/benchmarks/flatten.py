# SPDX-License-Identifier: GPL-3.0-or-later
"""Flattening a Debian image with a web server, beside crane, or else beside skopeo and umoci, which only unpack it."""

from __future__ import annotations

import shutil
import typing as t

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import command, play

ROUNDS = 3
LIMIT = 200 * 1000 * 1000


def main() -> None:
    """Flatten in turns; print the best time of each, its ratio to the rival, and our peak memory."""
    seconds: dict[str, list[float]] = {}
    with Registry() as registry:
        size, raw = push_debian(registry, "web", "1")
        print(f"flatten: {size / 1e6:.0f} MB in 3 layers, {raw / 1e6:.0f} MB unpacked, best of {ROUNDS}")
        for number in range(ROUNDS):
            tasks = [(rival(registry, f"{number}-rival"), [])]
            tasks += [(ours(registry, name, f"{number}-{name}"), hidden) for name, hidden in encoders().items()]
            for task, hidden in tasks:
                with without(hidden):
                    seconds.setdefault(task["name"], []).extend(play([task]).seconds(task["name"]))
        peak = max(process.memory for process in play([ours(registry, "all", "memory")], watch=True).processes)
    theirs = min(next(iter(seconds.values())))
    for name, found in seconds.items():
        print(f"flatten: {name} {min(found):.2f} s a task, ratio {min(found) / theirs:.2f}")
    print(f"flatten: peak {peak / 1e6:.0f} MB")
    if peak > LIMIT:
        raise SystemExit(f"flatten: took {peak / 1e6:.0f} MB, more than {LIMIT / 1e6:.0f} MB")


def ours(registry: Registry, name: str, tag: str) -> dict[str, t.Any]:
    """Return our task, named after the library that compresses."""
    options = {"name": f"{registry.host}/web:1", "dest": f"{registry.host}/flat:{tag}"}
    return {"name": f"oci_flatten with {name}", "quayside.registry.oci_flatten": options}


def rival(registry: Registry, tag: str) -> dict[str, t.Any]:
    """Return the task that people write without this collection."""
    name = f"{registry.host}/web:1"
    if shutil.which("crane"):
        dest = f"{registry.host}/flat:{tag}"
        return command("command: crane flatten", "crane", "flatten", "--insecure", name, "-t", dest)
    return command("command: skopeo copy; umoci unpack", "sh", "-c", UNPACK, "sh", name)


if __name__ == "__main__":
    main()
