# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is measured, as one table."""

from __future__ import annotations

import importlib
import time

from kit.table import show

SCRIPTS = ("noop", "edit", "first_copy", "pull", "export", "validate", "flatten", "many", "verify", "memory")


def main() -> None:
    """Measure one after the other."""
    rows = []
    for name in SCRIPTS:
        began = time.monotonic()
        rows += importlib.import_module(name).measure()
        print(f"{name}: measured in {time.monotonic() - began:.0f} s", flush=True)
    show(rows)


if __name__ == "__main__":
    main()
