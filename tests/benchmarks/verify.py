# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand signed images, verified in one task with one key: time grows with their number, memory does not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kit.lab import Registry
from kit.play import ours, play
from kit.table import MODULE, Row, show

IMAGES = 1000
STEPS = (250, 500, 1000)
MORE = 20  # MB that 1,000 images may take more than 250; their results are that long


def measure() -> list[Row]:
    """Verify more and more images; SystemExit where memory grows with their number."""
    rows = []
    with Registry() as here, tempfile.TemporaryDirectory(prefix="bench-verify-") as name:
        for number in range(IMAGES):
            here.push(f"app{number}", "1.0", [1000], seed=number)
        names = [f"{here.host}/app{number}:1.0" for number in range(IMAGES)]
        key = {"path": str(Path(name) / "k.key"), "public_path": str(Path(name) / "k.pub"), "passphrase": ""}
        sign = {"names": names, "key": key["path"], "passphrase": "", "jobs": 32}
        play([ours("key", "oci_key", key), ours("sign", "oci_sign", sign)])
        memory = []
        for count in STEPS:
            task = ours("verify", "oci_verify", {"names": names[:count], "keys": [key["public_path"]]})
            (process,) = play([task], watch=True).processes
            memory.append(process.memory / 1e6)
            what = f"verify, {count} images"
            rows.append(Row(what, {MODULE: [process.seconds]}, aim="linear"))
            rows.append(Row(f"{what}, peak memory", {MODULE: memory[-1:]}, aim="does not grow", unit="MB"))
    if memory[-1] - memory[0] > MORE:
        raise SystemExit("verify: memory grows with the number of images")
    return rows


if __name__ == "__main__":
    show(measure())
