# SPDX-License-Identifier: GPL-3.0-or-later
"""Times and durations as people and documents write them; all are seconds, times since 1970. No clock here."""

from __future__ import annotations

import datetime
import re
import typing as t

from .._errors import InvalidInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-]\d\d:\d\d))", re.ASCII)


def parse_duration(value: t.Any, what: str) -> float:
    """Return the seconds of a duration such as 90m, 12h, 7d or 2w; InvalidInput about ``what`` otherwise."""
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", value) if isinstance(value, str) else None
    if not match:
        raise InvalidInput(f"{what} must be a whole number and one of s, m, h, d, w, such as 7d, not {value!r}.")
    return float(int(match[1]) * _UNITS[match[2]])


def parse_time(value: t.Any) -> float | None:
    """Return the seconds since 1970 of a time (RFC 3339); None where it is none."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    try:
        return datetime.datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or '+00:00'}").timestamp()
    except (ValueError, OverflowError):
        return None


def shown_time(seconds: float) -> str:
    """Return a time as RFC 3339 has it, in UTC and whole seconds."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
