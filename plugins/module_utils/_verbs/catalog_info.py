# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of a registry (crane catalog)."""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from .._kit.repositories import list_repositories
from .._oci.patterns import pattern_filter
from .._oci.query import compile_query
from .._oci.reference import parse_host
from .._registry.session import Session


def catalog_info(
    session: Session,
    *,
    registry: str,
    prefix: str | None,
    include: list[str],
    exclude: list[str],
    limit: int | None,
    query: str | None,
) -> dict[str, t.Any]:
    """Return the names that fit, sorted; with ``limit``, reading stops as soon as there are that many."""
    search = compile_query(query)
    fits = pattern_filter(include, exclude)
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit must be at least 1, not {limit}.")
    host = parse_host(registry)
    found = list_repositories(session, host, lambda name: name.startswith(prefix or "") and fits(name), limit)
    return {"repositories": found, "query_result": search(found)}
