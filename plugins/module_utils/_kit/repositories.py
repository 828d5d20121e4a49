# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of a registry, as far as it shows them."""

from __future__ import annotations

import typing as t

from .._errors import Denied, NotFound, Unsupported
from .._registry.catalog import catalog
from .._registry.session import Session


def list_repositories(
    session: Session, host: str, fits: t.Callable[[str], bool], limit: int | None = None
) -> list[str]:
    """Return the names that fit, sorted; with ``limit``, reading stops as soon as there are that many.

    Raises Unsupported where a registry does not show its catalog, Denied, RegistryError, ContentError.
    """
    names: list[str] = []
    source = session.registry(host)
    try:
        for page in catalog(source):
            names += [name for name in page if fits(name)]
            if limit is not None and len(names) >= limit:
                break
    except (Denied, NotFound, Unsupported) as exc:
        # A token server that knows who asks answers the same as one that does not, but for the login itself.
        if exc.status == 401 and (source.scheme == "basic" or source.refused_login):
            raise
        text = f"{host} does not show its catalog: {exc} Many registries offer none (Docker Hub, GHCR), or to"
        text += " administrators only; name the repositories instead."
        raise Unsupported(text, registry=host, status=exc.status) from None
    return sorted(names)[:limit]
