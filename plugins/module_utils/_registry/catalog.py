# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of a registry (distribution-spec, "Listing Repositories")."""

from __future__ import annotations

import typing as t

from .auth import Registry
from .client import Repository
from .pages import pages


def catalog(registry: Registry) -> t.Iterator[set[str]]:
    """Yield the pages of names of the registry's repositories, as far as it tells them to us."""
    whole = Repository(registry, "", ("registry:catalog:*",))
    return pages(whole, "/v2/_catalog", "repositories", f"The catalog of {registry.host}")
