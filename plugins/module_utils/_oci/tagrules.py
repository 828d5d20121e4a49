# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing tags by rules: regular expressions, version ranges, the newest; one implementation for all modules."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from .patterns import pattern_filter
from .version import Version, parse_range

# The tag schema for referrers (distribution-spec) and cosign's tags: sha256-<hex>, sha256-<hex>.sig.
is_digest_tag = re.compile(r"sha(256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(\..+)?").fullmatch

Rules = t.Mapping[str, t.Any]


def tag_chooser(
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    semver: t.Any = None,
    newest: int | None = None,
    omit_digest_tags: bool = False,
    sort_by: str = "version",
    per: str | None = None,
) -> t.Callable[[t.Iterable[str]], list[str]]:
    """Return a function that chooses tags; everything that can be wrong with the rules is raised here, at once.

    With ``semver`` (a range, or several of which one must fit), and with ``newest`` by version, tags that are no
    versions are left out. ``newest`` puts the newest first, in groups of one value of ``per``'s group where that is
    given; sorted ``alphabetical``, the newest is the last. Raises InvalidInput.
    """
    fits = pattern_filter(include, exclude)
    ranges = [parse_range(text) for text in _ranges(semver)]
    if newest is not None and newest < 1:
        raise InvalidInput(f"newest must be at least 1, not {newest}.")
    if sort_by not in ("version", "alphabetical"):
        raise InvalidInput(f"sort_by is version or alphabetical, not {sort_by!r}.")
    if per and newest is None:
        raise InvalidInput("per says what newest counts in; give newest too.")
    group = _group(per)

    def choose(tags: t.Iterable[str]) -> list[str]:
        chosen = [tag for tag in tags if fits(tag) and not (omit_digest_tags and is_digest_tag(tag))]
        versions = {tag: version for tag in chosen if (version := Version.parse(tag))}
        if ranges:
            chosen = [tag for tag in chosen if tag in versions and any(test(versions[tag]) for test in ranges)]
        if newest is None:
            return chosen
        if sort_by == "version":
            chosen = [tag for tag in chosen if tag in versions]
            chosen.sort(key=lambda tag: (versions[tag].key, tag), reverse=True)
        else:
            chosen.sort(reverse=True)
        return _first_of_each(chosen, newest, group)

    return choose


def _ranges(semver: t.Any) -> list[str]:
    found = semver if isinstance(semver, list) else [] if semver in (None, "") else [semver]
    for text in found:
        if not isinstance(text, (str, int)) or isinstance(text, bool):
            raise InvalidInput(f"semver: {text!r} is not a string; write it in quotes, such as '^1.4'.")
    return [str(text) for text in found]


def rule_chooser(rules: Rules | None, what: str = "tags") -> t.Callable[[t.Iterable[str]], list[str]]:
    """Return the function that chooses tags by an option, which ``what`` names in errors.

    Digest tags belong to their image, not to a rule. Raises InvalidInput, also where a rule wants them.
    """
    given = {name: value for name, value in (rules or {}).items() if value is not None}
    try:
        if not given.pop("omit_digest_tags", True):
            text = "omit_digest_tags cannot be false, since tags such as sha256-HEX.sig belong to their image and are"
            instead = ", and set referrers to true to take them along" if what == "tags" else ""
            raise InvalidInput(f"{text} never chosen by a rule; leave it out{instead}.")
        return tag_chooser(**given, omit_digest_tags=True)
    except InvalidInput as exc:
        raise InvalidInput(f"{what}: {exc}", exc.code) from None


def _group(per: str | None) -> t.Callable[[str], str | None]:
    """Return what tells the group of a tag; tags in which the expression is not found form one of their own."""
    if not per:
        return lambda tag: None
    try:
        pattern = re.compile(per)
    except re.error as exc:
        raise InvalidInput(f"per: {per!r} is not a regular expression: {exc}.") from None
    if pattern.groups != 1:
        raise InvalidInput(
            f"per: {per!r} has {pattern.groups} groups, and should have one, such as in '^(\\d+\\.\\d+)'."
        )

    def group(tag: str) -> str | None:
        found = pattern.search(tag)
        return found[1] if found else None

    return group


def _first_of_each(ordered: list[str], count: int, group: t.Callable[[str], str | None]) -> list[str]:
    """Return the first tags of each group, in their order."""
    taken: dict[str | None, int] = {}
    found = []
    for tag in ordered:
        taken[group(tag)] = taken.get(group(tag), 0) + 1
        if taken[group(tag)] <= count:
            found.append(tag)
    return found
