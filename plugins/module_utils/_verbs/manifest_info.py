# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest or index as it is (crane manifest)."""

from __future__ import annotations

import typing as t

from .._kit.image import described, find
from .._oci.query import compile_query
from .._registry.session import Session


def manifest_info(session: Session, *, name: str, platform: str | None, query: str | None) -> dict[str, t.Any]:
    """Return the parsed manifest and its exact text; an index is shown itself unless a platform is named."""
    search = compile_query(query)
    reference, dummy, manifest = find(session, name, platform)
    return {
        **described(reference, manifest),
        "manifest": manifest.json if manifest else None,
        "raw": manifest.raw.decode("utf-8") if manifest else None,
        "size": len(manifest.raw) if manifest else None,
        "query_result": search(manifest.json) if manifest else None,
    }
