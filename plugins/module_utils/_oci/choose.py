# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing names from a list: regular expressions, version ranges, the newest."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from .version import Version, parse_range

# The tag schema for referrers (distribution-spec) and cosign's tags: sha256-<hex>, sha256-<hex>.sig.
_DIGEST_TAG = re.compile(r"sha(256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(\..+)?")


def is_digest_tag(tag: str) -> bool:
    """Is this a tag that tools make for the signatures and attestations of a digest?"""
    return bool(_DIGEST_TAG.fullmatch(tag))


def pattern_filter(include: t.Sequence[str], exclude: t.Sequence[str]) -> t.Callable[[str], bool]:
    """Return a test: some ``include`` is found in the name (or there is none), and no ``exclude`` is.

    Patterns are Python regular expressions, searched for anywhere in the name. Raises InvalidInput (INVALID_PATTERN).
    """
    wanted, unwanted = [_compile(text) for text in include], [_compile(text) for text in exclude]

    def test(name: str) -> bool:
        return (not wanted or any(p.search(name) for p in wanted)) and not any(p.search(name) for p in unwanted)

    return test


def _compile(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:  # x{99999999999} overflows
        raise InvalidInput("%r is not a regular expression: %s." % (text, exc), code="INVALID_PATTERN") from None


def tag_chooser(
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    semver: str | None = None,
    newest: int | None = None,
    omit_digest_tags: bool = False,
) -> t.Callable[[t.Iterable[str]], list[str]]:
    """Return a function that chooses tags; everything that can be wrong with the rules is raised here, at once.

    Without ``newest`` the order stays. With it, the result is that many tags, the newest version first; tags that are
    no versions are left out then, as they are with ``semver``.
    """
    fits = pattern_filter(include, exclude)
    in_range = parse_range(semver) if semver else None
    if newest is not None and newest < 1:
        raise InvalidInput("newest must be at least 1, not %d." % newest)

    def choose(tags: t.Iterable[str]) -> list[str]:
        chosen = [tag for tag in tags if fits(tag) and not (omit_digest_tags and is_digest_tag(tag))]
        versions = {tag: version for tag in chosen for version in [Version.parse(tag)] if version}
        if in_range:
            chosen = [tag for tag in chosen if tag in versions and in_range(versions[tag])]
        if newest is not None:
            chosen = sorted((tag for tag in chosen if tag in versions), key=lambda tag: (versions[tag].key, tag))
            chosen = chosen[::-1][:newest]
        return chosen

    return choose
