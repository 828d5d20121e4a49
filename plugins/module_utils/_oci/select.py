# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing members of an index by platform."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .manifest import Descriptor, Manifest
from .platform import Platform


def select_member(index: Manifest, wanted: Platform, what: str) -> Descriptor:
    """Return the first member of an index for a platform, or raise ContentError that lists those it has."""
    for member in index.members:
        if wanted.matches(member.platform):
            return member
    raise no_platform(index, wanted, what)


def no_platform(index: Manifest, wanted: Platform, what: str) -> ContentError:
    """Return the error for a platform that an index does not have."""
    have = sorted({str(member.platform) for member in index.members if member.platform and not member.attests})
    return ContentError(
        "%s has no image for %s; it has %s." % (what, wanted, ", ".join(have) or "none that names a platform"),
        code="PLATFORM_NOT_FOUND",
    )


def filter_index(index: Manifest, wanted: t.Sequence[Platform], what: str) -> Manifest:
    """Return the index with only the members for the wanted platforms, and the attestations of those.

    Order, annotations and unknown fields stay. Every wanted platform must be there (PLATFORM_NOT_FOUND).
    The same index comes back, byte for byte, when nothing is left out.
    """
    for platform in wanted:
        select_member(index, platform, what)
    kept = [member for member in index.members if any(platform.matches(member.platform) for platform in wanted)]
    digests = {member.digest for member in kept}
    keep = [member for member in index.members if member.digest in digests or member.attests in digests]
    if len(keep) == len(index.members):
        return index
    return Manifest.build(dict(index.json, manifests=[dict(member.json) for member in keep]), index.media_type)
