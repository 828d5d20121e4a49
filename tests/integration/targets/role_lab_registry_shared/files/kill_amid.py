# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command, and kill the busier of some registries in the middle: `python kill_amid.py NAME... -- COMMAND...`.

The first of them that has written 4 MiB since the command began is killed, as a crash would. Prints its name, and the
command's output. Fails where the command fails, or ended before anything was killed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ENOUGH = 4 << 20  # bytes


def process(name: str) -> int:
    """The process of an instance."""
    found = subprocess.check_output(["pgrep", "--full", f"serve /etc/lab-registry-{name}/config.yml"], text=True)
    return int(found)


def written(pid: int) -> int:
    """Bytes that a process has written, to sockets too."""
    return int(re.findall(r"^wchar: (\d+)$", Path(f"/proc/{pid}/io").read_text(encoding="ascii"), re.MULTILINE)[0])


def main() -> int:
    """Run, watch, kill, and wait."""
    border = sys.argv.index("--")
    registries = {name: process(name) for name in sys.argv[1:border]}
    before = {name: written(pid) for name, pid in registries.items()}
    command = subprocess.Popen(sys.argv[border + 1 :], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed = ""
    while not killed and command.poll() is None:
        for name, pid in registries.items():
            if not killed and written(pid) - before[name] >= ENOUGH:
                os.kill(pid, signal.SIGKILL)
                killed = name
        time.sleep(0.005)
    alive = command.poll() is None
    output, dummy = command.communicate()
    print(killed)
    print(output)
    return command.returncode if killed and alive else 3


if __name__ == "__main__":
    sys.exit(main())
