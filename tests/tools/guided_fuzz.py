# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for inputs that break the properties of tests/unit/test_fuzz.py, guided by the coverage of the code (atheris).

    python guided_fuzz.py [seconds]

Each property has a process of its own and its share of the seconds. An input that breaks one is shown as hypothesis
shows it; add it there as an @example.
"""

from __future__ import annotations

import subprocess
import sys
import typing as t

import atheris

with atheris.instrument_imports(include=["ansible_collections.quayside.registry.plugins"]):
    from ansible_collections.quayside.registry.tests.unit import test_fuzz

TARGETS: dict[str, t.Any] = {name: value for name, value in vars(test_fuzz).items() if hasattr(value, "hypothesis")}


def guide(name: str, seconds: int) -> None:
    """Try inputs of one property for some seconds; the process ends in here."""
    options = [f"-max_total_time={seconds}", "-rss_limit_mb=1024", "-timeout=20", "-artifact_prefix=/dev/null"]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].hypothesis.fuzz_one_input)
    atheris.Fuzz()


def main() -> None:
    """Run all properties; exit with 1 if one fails."""
    if len(sys.argv) == 3:
        return guide(sys.argv[1], int(sys.argv[2]))
    seconds = max(1, int(sys.argv[1] if len(sys.argv) > 1 else 60) // len(TARGETS))
    failed = []
    for name in TARGETS:
        command = [sys.executable, __file__, name, str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
        runs = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        print(f"fuzz: {name}: {runs[-1] if runs else done.stdout[-3000:] + done.stderr[-3000:]}", flush=True)
        failed += [] if done.returncode == 0 else [name]
    sys.exit(f"fuzz: {', '.join(failed)} failed" if failed else 0)


if __name__ == "__main__":
    main()
