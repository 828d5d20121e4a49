# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the tests import the role's program as `lab_registry`, and makes its settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[4] / "roles" / "lab_registry"
sys.path.insert(0, str(ROLE / "files"))


@pytest.fixture
def variables() -> Callable[..., dict[str, Any]]:
    """The role's variables without their prefix: its defaults, and what is given."""

    def make(**given: Any) -> dict[str, Any]:
        defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
        found = {re.sub("^lab_registry_", "", name): value for name, value in defaults.items()}
        found.update(given)
        found["data"] = given.get("data", f"/var/lib/lab-registry-{found['name']}")
        found["metrics_port"] = given.get("metrics_port") or int(found["port"]) + 1
        return found

    return make


@pytest.fixture
def settings(variables: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Checked settings."""
    from lab_registry.settings import read

    return lambda **given: read(variables(**given))
