# SPDX-License-Identifier: GPL-3.0-or-later
"""Validating a real image in full, beside `crane validate`, or where that is missing a skopeo copy to a folder."""

from __future__ import annotations

import shutil
import tempfile
import typing as t

from kit.debian import push_debian
from kit.lab import Registry
from kit.play import command, play

ROUNDS = 5


def main() -> None:
    """Validate in turns; print the best time of each and their ratio."""
    ours, theirs = [], []
    rival = "crane validate" if shutil.which("crane") else "skopeo copy to a folder"
    with Registry() as registry:
        packed, raw = push_debian(registry, "debian", "12")
        name = f"{registry.host}/debian:12"
        for dummy in range(ROUNDS):
            found = play([{"name": "ours", "quayside.registry.oci_validate": {"name": name}}])
            ours += found.seconds("ours", changed=False)
            with tempfile.TemporaryDirectory(prefix="bench-validate-") as folder:
                theirs += play([reference(rival, name, folder)]).seconds(rival)
    print(f"validate: {packed / 1e6:.0f} MB, {raw / 1e6:.0f} MB uncompressed, best of {ROUNDS}")
    for label, seconds in (("oci_validate", min(ours)), (f"command: {rival}", min(theirs))):
        print(f"validate: {label} {seconds:.2f} s a task")
    print(f"validate: ratio oci_validate/{rival} {min(ours) / min(theirs):.2f}")


def reference(rival: str, name: str, folder: str) -> dict[str, t.Any]:
    """The task that people write without this collection. Skopeo checks the digests of blobs, and nothing in them."""
    if rival.startswith("crane"):
        return command(rival, "crane", "validate", "--insecure", "--remote", name)
    return command(rival, "skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{name}", f"dir:{folder}")


if __name__ == "__main__":
    main()
