# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of a registry (crane catalog)."""

from __future__ import annotations

import typing as t

from .._errors import Denied, InvalidInput, NotFound, Unsupported
from .._oci.patterns import pattern_filter
from .._oci.query import compile_query
from .._oci.reference import parse_host
from .._registry.catalog import catalog
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
    names: list[str] = []
    source = session.registry(host)
    try:
        for page in catalog(source):
            names += [name for name in page if name.startswith(prefix or "") and fits(name)]
            if limit is not None and len(names) >= limit:
                break
    except (Denied, NotFound, Unsupported) as exc:
        # A token server that knows who asks answers the same as one that does not, but for the login itself.
        if exc.status == 401 and (source.scheme == "basic" or source.refused_login):
            raise
        text = f"{host} does not show its catalog: {exc} Many registries offer none (Docker Hub, GHCR), or to"
        text += " administrators only; name the repositories instead."
        raise Unsupported(text, registry=host, status=exc.status) from None
    found = sorted(names)[:limit]
    return {"repositories": found, "query_result": search(found)}
