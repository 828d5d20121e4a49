# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags as versions: order and ranges (semver.org 2.0, as far as tags follow it)."""

from __future__ import annotations

import operator
import re
import typing as t
from itertools import takewhile

from .._errors import InvalidInput

_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:[+_][0-9A-Za-z.-]+)?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|!=|\^|~)?\s*v?([0-9xX*][0-9A-Za-z.*+_-]*)")

Key = tuple[t.Any, ...]
_COMPARE: dict[str, t.Callable[[Key, Key], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "!=": operator.ne,
    "outside": lambda mine, bound: mine[0][: len(bound[0])] != bound[0],
}


class Version(t.NamedTuple):
    """A version: its numbers (at least three), and the identifiers of a pre-release."""

    numbers: tuple[int, ...]
    prerelease: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read ``1``, ``1.2``, ``v1.2.3``, ``1.2.3-rc.1``; None for a tag that is no version."""
        match = _VERSION.fullmatch(text)
        if not match or len(text) > 128:  # no tag is longer
            return None
        numbers = [*match.group(1, 2, 3), *match.group(4).split(".")[1:]]
        return cls(
            tuple(int(number or 0) for number in numbers), tuple(filter(None, (match.group(5) or "").split(".")))
        )

    @property
    def key(self) -> Key:
        """What to sort by: a pre-release before its release, numeric identifiers before words."""
        parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease]
        return self.numbers, not self.prerelease, parts


Check = t.Callable[[Version], bool]


def _bounds(sign: str, text: str) -> list[tuple[str, Version]]:
    """Turn ``^1.2``, ``~1.2.3``, ``1.x`` into plain comparisons."""
    numbers = re.split(r"[-+_]", text, maxsplit=1)[0].split(".")
    legal = len(text) < 129 and all(number.isdigit() or number in ("x", "X", "*") for number in numbers)
    given = [int(number) for number in takewhile(str.isdigit, numbers)] if legal else []
    wild = len(given) < len(numbers) or len(given) < 3
    low = Version.parse(text) if len(given) == len(numbers) else Version(tuple(([*given, 0, 0, 0])[:3]))
    if low is None or not legal:
        raise _invalid(f"{text!r} is not a version; write one such as 1.2.3.")
    if sign in (">=", "<"):
        return [(sign, low)]
    if sign == "!=" and wild:
        return [("outside", Version(tuple(given)))]
    if not given:  # * matches all
        return [(">=", Version((0, 0, 0)))] if sign in ("", "=", "<=", "^", "~") else [("<", Version((0, 0, 0)))]
    keep = len(given)
    if sign == "^":
        keep = next((place for place, number in enumerate(given, 1) if number), keep)
    elif sign == "~":
        keep = min(keep, 2)
    elif not wild:
        return [(sign or "=", low)]
    high = Version(tuple(([*given[: keep - 1], given[keep - 1] + 1, 0, 0, 0])[:3]))
    if sign == "<=":
        return [("<", high)]
    return [(">=", high)] if sign == ">" else [(">=", low), ("<", high)]


def _invalid(text: str) -> InvalidInput:
    return InvalidInput(text, "INVALID_RANGE")


def parse_range(text: str) -> Check:
    """Return the test for a range: comparators joined by spaces or commas (and), ``||`` between alternatives.

    ``>=1.2 <2``, ``^1.4`` (below 2), ``~1.4`` (below 1.5), ``1.x``. As in npm and cargo, a pre-release is only in a
    range that names a pre-release of the same version.
    """
    alternatives = []
    for part in text.split("||"):
        rest, bounds = part.replace(",", " ").strip(), []
        while rest:
            match = _COMPARATOR.match(rest)
            if not match:
                raise _invalid(f"{text!r} is not a version range; write one such as '>=1.2 <2', '^1.4' or '1.x'.")
            bounds += _bounds(match.group(1) or "", match.group(2))
            rest = rest[match.end() :].lstrip()
        if not bounds:
            raise _invalid(f"The version range {text!r} is empty.")
        alternatives.append(bounds)
    return lambda version: any(_within(version, bounds) for bounds in alternatives)


def _within(version: Version, bounds: list[tuple[str, Version]]) -> bool:
    if version.prerelease and not any(bound.prerelease and bound.numbers == version.numbers for dummy, bound in bounds):
        return False
    return all(_COMPARE[sign](version.key, bound.key) for sign, bound in bounds)
