# SPDX-License-Identifier: GPL-3.0-or-later
"""What the result and the diff tell of images that were saved in a file."""

from __future__ import annotations

import typing as t

from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.reference import Reference


def result(path: str, images: t.Iterable[tuple[Reference, Descriptor | Manifest]], previous: str | None) -> Json:
    """Return the module's results; what is about a single image is null where there are several."""
    rows = [
        {
            "name": str(reference),
            "reference": str(reference.with_digest(found.digest)),
            "digest": found.digest,
            "media_type": found.media_type,
        }
        for reference, found in images
    ]
    single = rows[0] if len(rows) == 1 else dict.fromkeys(("reference", "digest", "media_type"))
    return {
        "path": path,
        **{key: single[key] for key in ("reference", "digest", "media_type")},
        "previous_digest": previous if len(rows) == 1 else None,
        "images": rows,
    }


def in_one_shape(
    before: t.Mapping[str, str | None], after: t.Mapping[str, str | None], writes: bool
) -> tuple[Json, Json]:
    """Return both sides of a diff with the same names in them.

    Where the names are right and the file is written all the same, what they stand for is incomplete.
    """
    if writes and before == after:
        before = {name: f"{digest}, incomplete or damaged" for name, digest in before.items()}
    return {**dict.fromkeys(after), **before}, {**dict.fromkeys(before), **after}
