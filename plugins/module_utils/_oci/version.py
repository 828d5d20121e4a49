# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags as versions: order and ranges (semver.org 2.0, as far as tags follow it)."""

from __future__ import annotations

import re
import typing as t
from itertools import takewhile

from .._errors import InvalidInput

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:[+_][0-9A-Za-z.-]+)?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|!=|\^|~|)\s*v?([0-9xX*][0-9A-Za-z.*+_-]*)")

_HIGHEST_LONE = 9999

Key = tuple[t.Any, ...]


class Version(t.NamedTuple):
    """A version: its numbers (at least three), and the identifiers of a pre-release."""

    numbers: tuple[int, ...]
    prerelease: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read ``1``, ``1.2``, ``v1.2.3``, ``1.2.3-rc.1``; None for a tag that is no version.

        A whole number above 9999 is none: it is a date or the number of a build.
        """
        match = _VERSION.fullmatch(text)
        if not match or len(text) > 128:  # no tag is longer
            return None
        numbers = [int(number) for number in match[1].split(".")]
        if len(numbers) == 1 and numbers[0] > _HIGHEST_LONE:
            return None
        numbers += [0] * (3 - len(numbers))
        return cls(tuple(numbers), tuple(filter(None, (match[2] or "").split("."))))

    @property
    def key(self) -> Key:
        """What to sort by: a pre-release before its release, numeric identifiers before words."""
        parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease]
        return self.numbers, not self.prerelease, parts


class _Bound(t.NamedTuple):
    """A comparison with the versions from ``low`` to below ``high``; 1.2 means all from 1.2.0 to before 1.3.0."""

    sign: str
    low: Version
    high: Key

    def admits(self, version: Version) -> bool:
        above, below = version.key >= self.low.key, version.key < self.high
        named = {">=": above, "<": not above, ">": not below, "<=": below, "!=": not (above and below)}
        return named.get(self.sign, above and below)


def _bound(sign: str, text: str) -> _Bound:
    """Read ``>=1.2``, ``^1.2``, ``~1.2.3``, ``1.x``; the last two, and ``1.2``, stand for more than one version."""
    numbers = re.split(r"[-+_]", text, maxsplit=1)[0].split(".")
    legal = len(text) < 129 and all(number.isdigit() or number in ("x", "X", "*") for number in numbers)
    given = [int(number) for number in takewhile(str.isdigit, numbers if legal else [])]
    whole = len(given) == len(numbers)
    low = Version.parse(text) if whole else Version((*given, 0, 0, 0)[:3])
    if low is None or not legal:
        raise InvalidInput(f"{text!r} is not a version; write one such as 1.2.3.", "INVALID_RANGE")
    keep = len(given)
    if sign == "^":
        keep = next((place for place, number in enumerate(given, 1) if number), keep)
    elif sign == "~":
        keep = min(keep, 2)
    elif whole and keep > 2:
        return _Bound(sign, low, (*low.key, 0))  # the next key that there can be
    if not given:
        return _Bound(sign, low, ((float("inf"),),))
    return _Bound(sign, low, ((*given[: keep - 1], given[keep - 1] + 1, 0, 0)[:3], False, []))


def parse_range(text: str) -> t.Callable[[Version], bool]:
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
                why = f"{text!r} is not a version range; write one such as '>=1.2 <2', '^1.4' or '1.x'."
                raise InvalidInput(why, "INVALID_RANGE")
            bounds.append(_bound(*match.groups()))
            rest = rest[match.end() :].lstrip()
        if not bounds:
            raise InvalidInput(f"The version range {text!r} is empty.", "INVALID_RANGE")
        alternatives.append(bounds)
    return lambda version: any(_within(version, bounds) for bounds in alternatives)


def _within(version: Version, bounds: list[_Bound]) -> bool:
    named = any(bound.low.prerelease and bound.low.numbers == version.numbers for bound in bounds)
    return (named or not version.prerelease) and all(bound.admits(version) for bound in bounds)
