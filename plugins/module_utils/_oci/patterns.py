# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing names by regular expressions."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput


def pattern_filter(include: t.Sequence[str], exclude: t.Sequence[str]) -> t.Callable[[str], bool]:
    """Return a test: some ``include`` is found in the name (or there is none), and no ``exclude`` is."""
    wanted, unwanted = [_compile(text) for text in include or [""]], [_compile(text) for text in exclude]

    def test(name: str) -> bool:
        return any(p.search(name) for p in wanted) and not any(p.search(name) for p in unwanted)

    return test


def _compile(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:  # x{99999999999} overflows
        raise InvalidInput(f"{text!r} is not a regular expression: {exc}.", "INVALID_PATTERN") from None
