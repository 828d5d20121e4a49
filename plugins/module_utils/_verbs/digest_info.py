# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest behind a name (crane digest)."""

from __future__ import annotations

import typing as t

from .._kit.image import described, find
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._registry.session import Session


def digest_info(session: Session, *, name: str, platform: str | None) -> dict[str, t.Any]:
    """Return the digest by one HEAD; with a platform, that of the member of an index (GET)."""
    reference = Reference.parse(name)
    if platform is not None:
        Platform.parse(platform)
    found = session.repository(reference).head(reference.target)
    if found is None or platform is None:
        return described(reference, found)
    return described(reference, find(session, name, platform)[2])
