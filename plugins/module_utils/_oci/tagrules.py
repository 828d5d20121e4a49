# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing tags: by regular expressions, version ranges, the newest."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from .patterns import pattern_filter
from .version import Version, parse_range

# The tag schema for referrers (distribution-spec) and cosign's tags: sha256-<hex>, sha256-<hex>.sig.
is_digest_tag = re.compile(r"sha(256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(\..+)?").fullmatch


def tag_chooser(
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    semver: str | None = None,
    newest: int | None = None,
    omit_digest_tags: bool = False,
) -> t.Callable[[t.Iterable[str]], list[str]]:
    """Return a function that chooses tags; everything that can be wrong with the rules is raised here, at once.

    With ``semver`` or ``newest``, tags that are no versions are left out; ``newest`` puts the newest first.
    """
    fits = pattern_filter(include, exclude)
    in_range = parse_range(semver) if semver else None
    if newest is not None and newest < 1:
        raise InvalidInput(f"newest must be at least 1, not {newest}.")

    def choose(tags: t.Iterable[str]) -> list[str]:
        chosen = [tag for tag in tags if fits(tag) and not (omit_digest_tags and is_digest_tag(tag))]
        if not in_range and newest is None:
            return chosen
        parsed = {tag: version for tag in chosen if (version := Version.parse(tag))}
        versions = {tag: version for tag, version in parsed.items() if not in_range or in_range(version)}
        if newest is None:
            return list(versions)
        return sorted(versions, key=lambda tag: (versions[tag].key, tag), reverse=True)[:newest]

    return choose
