# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a newer base than the one that an image was built on?"""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._kit.bases import Bases, Standing
from .._kit.image import choose_platforms
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._registry.session import Session


def base_info(session: Session, *, name: str, base: str | None, platforms: list[str]) -> dict[str, t.Any]:
    """Return how the image that is furthest behind stands to its base, and each image of an index.

    Raises NotFound, InvalidInput (BASE_UNKNOWN), ContentError (PLATFORM_NOT_FOUND, NOT_AN_IMAGE).
    """
    reference = Reference.parse(name)
    given = None if base is None else Reference.parse(base)
    wanted = [Platform.parse(text) for text in platforms]
    repository = session.repository(reference)
    root = chosen = repository.get(reference.target)
    if wanted:
        with repository.named():
            chosen = choose_platforms(repository, reference.with_digest(root.digest), wanted)
    standings = Bases(session).standings(repository, chosen, given, "give base")
    if not standings:
        raise ContentError(f"{reference} has no images in it.", "NOT_AN_IMAGE", reference.registry)
    rows = [{"platform": str(one.platform) if one.platform else None, **_row(one)} for one in standings]
    furthest = max(standings, key=lambda one: (one.outdated, one.layers_behind or 0))
    return {
        "reference": str(reference.with_digest(root.digest)),
        "digest": root.digest,
        "media_type": root.media_type,
        **_row(furthest),
        "images": rows,
    }


def _row(one: Standing) -> dict[str, t.Any]:
    return {
        "outdated": one.outdated,
        "base": str(one.name),
        "base_digest": one.built_on,
        "latest_digest": one.latest,
        "layers_behind": one.layers_behind,
    }
