# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand signed images, verified in one task with one key: time grows with their number, memory does not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kit.lab import Registry
from kit.play import play

IMAGES = 1000
STEPS = (250, 500, 1000)
MORE = 20 * 1000 * 1000  # bytes that 1,000 images may take more than 250; their results are that long


def main() -> None:
    """Print time and memory for each number of images."""
    with Registry() as here, tempfile.TemporaryDirectory(prefix="bench-verify-") as name:
        for number in range(IMAGES):
            here.push(f"app{number}", "1.0", [1000], seed=number)
        names = [f"{here.host}/app{number}:1.0" for number in range(IMAGES)]
        key = {"path": str(Path(name) / "k.key"), "public_path": str(Path(name) / "k.pub"), "passphrase": ""}
        sign = {"names": names, "key": key["path"], "passphrase": "", "jobs": 32}
        play(
            [
                {"name": "key", "quayside.registry.oci_key": key},
                {"name": "sign", "quayside.registry.oci_sign": sign},
            ]
        )
        processes = []
        for count in STEPS:
            options = {"names": names[:count], "keys": [key["public_path"]]}
            (process,) = play([{"name": "verify", "quayside.registry.oci_verify": options}], watch=True).processes
            processes.append(process)
            rate = count / process.seconds
            print(f"verify: {count} images {process.seconds:.1f} s ({rate:.0f}/s), peak {process.memory / 1e6:.0f} MB")
    if processes[-1].memory - processes[0].memory > MORE:
        raise SystemExit("verify: memory grows with the number of images")


if __name__ == "__main__":
    main()
