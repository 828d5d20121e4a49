# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaving platforms out of an index."""

from __future__ import annotations

import typing as t

from .image import attests, build
from .manifest import Manifest
from .parts import members
from .platform import Platform
from .select import platform_of, select_member


def filter_index(index: Manifest, wanted: t.Sequence[Platform], what: str) -> Manifest:
    """Return the index with only the members for the wanted platforms, and the attestations of those.

    Order, annotations and unknown fields stay. Every wanted platform must be there (PLATFORM_NOT_FOUND).
    The same index comes back, byte for byte, when nothing is left out.
    """
    for platform in wanted:
        select_member(index, platform, what)
    chosen = [member for member in members(index) if any(one.matches(platform_of(member)) for one in wanted)]
    digests = {member.digest for member in chosen}
    keep = [member for member in members(index) if member.digest in digests or attests(member) in digests]
    if len(keep) == len(members(index)):
        return index
    return build(dict(index.json, manifests=[dict(member.json) for member in keep]), index.media_type)
