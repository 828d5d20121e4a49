# SPDX-License-Identifier: GPL-3.0-or-later
"""What lookups, filters and tests share: variables that are not defined. Newer cores refuse these themselves."""

from __future__ import annotations

from jinja2 import Undefined


def refuse_undefined(*values: object) -> None:
    """Raise UndefinedError, which names the variable, where one of the values is not defined."""
    for value in values:
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()
