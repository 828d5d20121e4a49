# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving a Debian image with a web server to a file."""

from __future__ import annotations

import tempfile

from kit.debian import push_debian
from kit.lab import Registry
from kit.play import both_ways, others, race, skopeo_copy
from kit.table import Row, show

ROUNDS = 4


def measure() -> list[Row]:
    """Save in turns, each time to a new file."""
    with Registry() as registry, tempfile.TemporaryDirectory(prefix="bench-pull-") as folder:
        size, dummy = push_debian(registry, "web", "1")
        src = f"{registry.host}/web:1"
        rows = []
        for kind in ("docker-archive", "oci-archive"):
            saved = {"name": src, "format": kind}
            ours = both_ways("oci_pull", lambda name, saved=saved: {**saved, "path": f"{folder}/{name}.tar"})
            theirs = others(
                lambda name, kind=kind: skopeo_copy(f"docker://{src}", f"{kind}:{folder}/{kind}-{name}.tar:a/web:1"),
                lambda name: ["crane", "pull", "--insecure", src, f"{folder}/{name}.tar"],
            )
            figures = race({**ours, **theirs}, ROUNDS)
            rows.append(Row(f"pull, {kind}, {size / 1e6:.0f} MB", figures, "skopeo copy", "0.9 of crane"))
    return rows


if __name__ == "__main__":
    show(measure())
