# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that has nothing to do: an oci_copy task beside a command task with skopeo, and crane where it is."""

from __future__ import annotations

import shutil
from statistics import median

from kit.lab import MEBI, Registry
from kit.play import crane_copy, oci_copy, play, skopeo_copy

TIMES = 20


def main() -> None:
    """Print the median task times and their ratio."""
    rivals = {"skopeo": skopeo_copy}
    if shutil.which("crane"):
        rivals["crane"] = crane_copy
    with Registry() as here, Registry() as there:
        here.push("app", "1.0", [MEBI, MEBI])
        src, dest = f"{here.host}/app:1.0", f"{there.host}/app:1.0"
        tasks = [oci_copy("first", src=src, dest=dest)]
        for dummy in range(TIMES):
            tasks.append(oci_copy("oci_copy", src=src, dest=dest))
            tasks += [copy(name, src, dest) for name, copy in rivals.items()]
        report = play(tasks)
    ours = median(report.seconds("oci_copy", changed=False))
    print(f"noop: oci_copy {ours:.3f} s a task, median of {TIMES}")
    for name in rivals:
        theirs = median(report.seconds(name))
        print(f"noop: command: {name} copy {theirs:.3f} s, ratio oci_copy/{name} {ours / theirs:.2f} (aim 1.2)")


if __name__ == "__main__":
    main()
