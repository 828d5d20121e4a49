# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb that saves images in a file tells of them, whatever the format."""

from __future__ import annotations

import typing as t

from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.reference import Reference


def result(path: str, images: t.Iterable[tuple[Reference, Descriptor | Manifest]], previous: str | None) -> Json:
    """Return the module's results; what is about a single image is null where there are several."""
    told = [
        {
            "name": str(reference),
            "reference": str(reference.with_digest(found.digest)),
            "digest": found.digest,
            "media_type": found.media_type,
        }
        for reference, found in images
    ]
    single = told[0] if len(told) == 1 else dict.fromkeys(("reference", "digest", "media_type"))
    return {
        "path": path,
        **{key: single[key] for key in ("reference", "digest", "media_type")},
        "previous_digest": previous if len(told) == 1 else None,
        "images": told,
    }
