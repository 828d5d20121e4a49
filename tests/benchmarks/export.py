# SPDX-License-Identifier: GPL-3.0-or-later
"""Exporting a Debian image with a web server, beside crane, or else beside skopeo and umoci, which unpack it."""

from __future__ import annotations

import shutil
import tempfile
import typing as t

from kit.debian import push_debian
from kit.lab import Registry
from kit.libraries import UNPACK, encoders, without
from kit.play import command, play

ROUNDS = 5


def main() -> None:
    """Export in turns; print the best time of each and its ratio to the rival."""
    seconds: dict[str, list[float]] = {}
    with Registry() as registry, tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        size, raw = push_debian(registry, "web", "1")
        print(f"export: {size / 1e6:.0f} MB in 3 layers, {raw / 1e6:.0f} MB unpacked, best of {ROUNDS}")
        name = f"{registry.host}/web:1"
        for number in range(ROUNDS):
            tasks = [(rival(name, f"{folder}/{number}-rival.tar"), [])]
            for encoder, hidden in encoders().items():
                options = {"name": name, "path": f"{folder}/{number}-{encoder}.tar"}
                tasks.append(({"name": f"oci_export with {encoder}", "quayside.registry.oci_export": options}, hidden))
            for task, hidden in tasks:
                with without(hidden):
                    seconds.setdefault(task["name"], []).extend(play([task]).seconds(task["name"]))
            again = play([task]).seconds(task["name"], changed=False)
            seconds.setdefault("oci_export, up to date", []).extend(again)
    theirs = min(next(iter(seconds.values())))
    for label, found in seconds.items():
        print(f"export: {label} {min(found):.2f} s a task, ratio {min(found) / theirs:.2f}")


def rival(name: str, path: str) -> dict[str, t.Any]:
    """Return the task that people write without this collection."""
    if shutil.which("crane"):
        return command("command: crane export", "crane", "export", "--insecure", name, path)
    return command("command: skopeo copy; umoci unpack", "sh", "-c", UNPACK, "sh", name)


if __name__ == "__main__":
    main()
