# SPDX-License-Identifier: GPL-3.0-or-later
"""Validating a Debian image with a web server in full."""

from __future__ import annotations

import tempfile

from kit.debian import push_debian
from kit.lab import Registry
from kit.play import both_ways, others, race, skopeo_copy
from kit.table import Row, show

ROUNDS = 5


def measure() -> list[Row]:
    """Validate in turns."""
    with Registry() as registry, tempfile.TemporaryDirectory(prefix="bench-validate-") as folder:
        packed, raw = push_debian(registry, "web", "1")
        src = f"{registry.host}/web:1"
        entrants = {
            **both_ways("oci_validate", lambda dummy: {"name": src}),
            **others(
                lambda name: skopeo_copy(f"docker://{src}", f"dir:{folder}/{name}"),
                lambda dummy: ["crane", "validate", "--insecure", "--remote", src],
            ),
        }
        what = f"validate, {packed / 1e6:.0f} MB packed, {raw / 1e6:.0f} MB unpacked"
        other = "skopeo copy to a folder, which checks digests and looks into no layer"
        return [Row(what, race(entrants, ROUNDS, changed=False), other, "0.35 of crane")]


if __name__ == "__main__":
    show(measure())
