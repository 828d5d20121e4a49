# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of a registry (distribution-spec, "Listing Repositories")."""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from .._oci.reference import check_repository
from .auth import Registry
from .client import Repository
from .pages import pages


def is_repository(name: str) -> bool:
    """Is this a name that a repository can have?"""
    try:
        check_repository(name)
    except InvalidInput:
        return False
    return True


def catalog(registry: Registry) -> t.Iterator[set[str]]:
    """Yield the pages of names of the registry's repositories, as far as it tells them to us.

    Raises Denied, NotFound and Unsupported where it offers no catalog, or not to us; RegistryError, ContentError.
    """
    whole = Repository(registry, "", ("registry:catalog:*",))
    return pages(whole, "/v2/_catalog", "repositories", f"The catalog of {registry.host}", is_repository)
