# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving tags, such as ``latest`` and ``1.4``: what their templates become, and when they may not move."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from .reference import check_tag
from .tagrules import is_digest_tag
from .version import Version

_FIELD = re.compile(r"\{([^{}]*)\}")
_NUMBERS = {"major": 0, "minor": 1, "patch": 2}
FIELDS = ("version", *_NUMBERS)
VERSION = "org.opencontainers.image.version"  # an annotation, and a label


def render(template: str, text: str | None, what: str) -> str:
    """Return the tag that a template stands for: ``{version}`` is ``text``, ``{major}`` and so on are parts of it.

    ``what`` names the image. Raises InvalidInput: VERSION_NEEDED where ``text`` is no version and one is needed,
    INVALID_REFERENCE where the result is no tag.
    """
    version = Version.parse(text) if text else None

    def field(match: re.Match[str]) -> str:
        name = match[1]
        if name not in FIELDS:
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            raise InvalidInput(f"moving_tags: {template!r} has {match[0]}; what is known are {known}.")
        if version is None or text is None:
            said = f"{text!r} is no version" if text else "nothing says its version"
            raise InvalidInput(
                f"The moving tag {template!r} of {what} needs a version, and {said}; give version.", "VERSION_NEEDED"
            )
        return text if name == "version" else str(version.numbers[_NUMBERS[name]])

    tag = _FIELD.sub(field, template)
    try:
        return check_tag(tag)
    except InvalidInput as exc:
        raise InvalidInput(f"The moving tag {template!r} of {what}: {exc}", exc.code) from None


def fill_backup(template: str, tag: str) -> str:
    """Return the tag that keeps what ``tag`` had. Raises InvalidInput."""
    wrong = [found for found in _FIELD.findall(template) if found != "tag"]
    if wrong or "{tag}" not in template:
        raise InvalidInput(f"backup: {template!r} must have {{tag}} in it, and nothing else in braces.")
    if template == "{tag}":
        raise InvalidInput("backup: '{tag}' is the tag itself; write such as '{tag}-previous'.")
    return check_tag(template.replace("{tag}", tag))


def breadth(tag: str) -> int:
    """Return how much a moving tag may stand for, to write the narrow ones first: 1.4.2, then 1.4, 1, latest."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", tag) if Version.parse(tag) else None
    return -len(match[1].split(".")) if match else 0


def newest(tags: t.Iterable[str], template: str, tag: str) -> Version | None:
    """Return the newest version among the tags of a repository that the template would have made the same tag of.

    Pre-releases count only where there is nothing else.
    """
    found = []
    for other in tags:
        version = None if other == tag or is_digest_tag(other) else Version.parse(other)
        if version and _fits(template, other, tag):
            found.append(version)
    releases = [version for version in found if not version.prerelease]
    return max(releases or found, key=lambda version: version.key, default=None)


def _fits(template: str, other: str, tag: str) -> bool:
    try:
        return render(template, other, other) == tag
    except InvalidInput:
        return False


def why_not(tag: str, wanted: Version, shown: Version | None, is_new: bool = False) -> str:
    """Say why a tag may not move forward to a version, from the one that it shows (None: none); empty where it may.

    A pre-release moves what shows one, or is called like one. A tag that ``is_new`` does not exist yet and so shows
    nothing: ``shown`` is then what it may not start below.
    """
    if shown and wanted.key < shown.key:
        return f"{_text(wanted)} is below version {_text(shown)}, which {'is there' if is_new else 'it shows'}"
    now = None if is_new else shown
    if wanted.prerelease and not any(version and version.prerelease for version in (now, Version.parse(tag))):
        has = f"shows {_text(now)}" if now else "shows none"
        return f"{_text(wanted)} is a pre-release, and it {has}"
    return ""


def _text(version: Version | None) -> str:
    if version is None:
        return "none"
    return "-".join(filter(None, (".".join(map(str, version.numbers)), ".".join(version.prerelease))))
