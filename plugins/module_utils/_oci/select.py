# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing members of an index by platform."""

from __future__ import annotations

from .._errors import ContentError
from .manifest import Descriptor, Manifest
from .parts import members
from .platform import Platform


def platform_of(member: Descriptor) -> Platform | None:
    """Return the platform that an index gives a member, or None."""
    return Platform.from_json(member.json.get("platform"))


def select_member(index: Manifest, wanted: Platform, what: str) -> Descriptor:
    """Return the first member of an index for a platform, or raise ContentError that lists those it has."""
    for member in members(index):
        if wanted.matches(platform_of(member)):
            return member
    raise no_platform(index, wanted, what)


def no_platform(index: Manifest, wanted: Platform, what: str) -> ContentError:
    """Return the error for a platform that an index does not have; attestations are none to offer."""
    found = (platform_of(member) for member in members(index))
    have = ", ".join(sorted({str(platform) for platform in found if platform and platform.os != "unknown"}))
    text = "%s has no image for %s; it has %s." % (what, wanted, have or "none that names a platform")
    return ContentError(text, "PLATFORM_NOT_FOUND")
