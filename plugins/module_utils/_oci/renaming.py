# SPDX-License-Identifier: GPL-3.0-or-later
"""Other names for tags, by regular expressions; and back again, where that can be done for sure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput
from .reference import check_tag

_PIECE = re.compile(r"\\([^A-Za-z0-9])|([A-Za-z0-9_-])|\((?!\?)((?:[^()\\]|\\.)*)\)")
_FILLED = re.compile(r"\\(?:([1-9])|g<([1-9])>)|([^\\])")


@dataclass(frozen=True)
class Renames:
    """The first rule whose expression is found in a tag counts: what it found is replaced, once."""

    rules: tuple[tuple[re.Pattern[str], str], ...] = ()

    @classmethod
    def parse(cls, given: t.Sequence[t.Mapping[str, str]]) -> Renames:
        """Read a list of ``match`` and ``to``. Raises InvalidInput (INVALID_PATTERN)."""
        rules = []
        for rule in given:
            try:
                pattern = re.compile(rule["match"])
                pattern.sub(rule["to"], "")
                rules.append((pattern, rule["to"]))
            except (re.error, IndexError, OverflowError, RecursionError) as exc:
                what = f"rename_tags: {rule['match']!r} is no regular expression, or {rule['to']!r} cannot replace it"
                raise InvalidInput(f"{what}: {exc}.", "INVALID_PATTERN") from None
        return cls(tuple(rules))

    def new(self, tag: str) -> str:
        """Return the new name of a tag. Raises InvalidInput where that is not a tag."""
        renamed = self._new(tag)
        try:
            return check_tag(renamed)
        except InvalidInput as exc:
            raise InvalidInput(f"rename_tags makes {renamed!r} of the tag {tag}. {exc}", exc.code) from None

    def names(self, tags: t.Iterable[str]) -> set[str]:
        """Return the new names of tags, be they names that a tag can have or not."""
        return {self._new(tag) for tag in tags}

    def _new(self, tag: str) -> str:
        for pattern, to in self.rules:
            if pattern.search(tag):
                return pattern.sub(to, tag, count=1)
        return tag

    def origins(self, tag: str) -> list[str]:
        """Return tags that get this name; not all that there may be, but each of them does."""
        found = [tag, *(_turned(pattern.pattern, to, tag) for pattern, to in self.rules)]
        return list(dict.fromkeys(name for name in found if name and self._new(name) == tag))


def _turned(match: str, to: str, tag: str) -> str:
    """Return what a rule may have made a tag of; nothing where its expression is more than text and groups."""
    starts, ends = match.startswith("^"), match.endswith("$") and not match.endswith("\\$")
    pieces = _pieces(match[int(starts) : len(match) - int(ends)])
    filled = _filled(to)
    if pieces is None or filled is None or {one for one in pieces if one.isdigit()} - {*_groups(filled)}:
        return ""
    middle, seen = "", set[str]()
    for kind, text in filled:
        middle += re.escape(text) if kind == "text" else f"(?P=g{text})" if text in seen else f"(?P<g{text}>.*)"
        seen |= {text} if kind == "group" else set()
    found = re.fullmatch(f"{'' if starts else '(?P<pre>.*?)'}{middle}{'' if ends else '(?P<post>.*)'}", tag)
    if not found:
        return ""
    parts = found.groupdict()
    body = "".join(parts.get(f"g{one}", "") if one.isdigit() else one[1:] for one in pieces)
    return f"{parts.get('pre', '')}{body}{parts.get('post', '')}"


def _groups(filled: list[tuple[str, str]]) -> list[str]:
    return [text for kind, text in filled if kind == "group"]


def _pieces(expression: str) -> list[str] | None:
    """Return the literal characters of an expression, each behind a quote, and the numbers of its groups, in order."""
    at, number = 0, 0
    pieces = []
    while at < len(expression):
        found = _PIECE.match(expression, at)
        if not found:
            return None
        number += found[3] is not None
        pieces.append(str(number) if found[3] is not None else f"'{found[1] or found[2]}")
        at = found.end()
    return pieces


def _filled(to: str) -> list[tuple[str, str]] | None:
    """Return the literal characters and the groups of a template, in order."""
    at = 0
    filled = []
    while at < len(to):
        found = _FILLED.match(to, at)
        if not found:
            return None
        filled.append(("text", found[3]) if found[3] else ("group", found[1] or found[2]))
        at = found.end()
    return filled
