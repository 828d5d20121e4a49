# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of an index (crane index list)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._kit.image import described, find
from .._oci.index import summary
from .._oci.parts import members
from .._registry.session import Session


def index_info(session: Session, *, name: str) -> dict[str, t.Any]:
    """Return the descriptors of an index, in order. A single image is an error (NOT_AN_INDEX)."""
    reference, dummy, index = find(session, name)
    if index and not index.is_index:
        text = f"{reference} is a single image, not an index; oci_manifest_info shows it."
        raise ContentError(text, "NOT_AN_INDEX", reference.registry)
    return {**described(reference, index), "manifests": [summary(member) for member in members(index)] if index else []}
