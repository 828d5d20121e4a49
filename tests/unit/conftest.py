# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lets plain pytest import `ansible_collections.quayside.registry` from wherever this checkout lies.

Ansible finds a collection at `.../ansible_collections/quayside/registry`. A checkout usually lies elsewhere, so three
empty packages are put in place whose last one looks for its modules in the checkout. No file is written.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[2]

if "ansible_collections.quayside.registry" not in sys.modules and ROOT.parent.parent.name != "ansible_collections":
    for name, path in (
        ("ansible_collections", []),
        ("ansible_collections.quayside", []),
        ("ansible_collections.quayside.registry", [str(ROOT)]),
    ):
        module = sys.modules.setdefault(name, types.ModuleType(name))
        if not getattr(module, "__path__", None):
            module.__path__ = path

# The same examples at every run, so that a red test is about the change; `make fuzz` looks for new ones.
settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name content by its kind: compressed bytes hold the time, and both workers have to find the same names."""
    return "bytes" if isinstance(val, bytes) else None
