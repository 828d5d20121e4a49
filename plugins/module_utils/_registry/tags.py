# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of a repository (distribution-spec, "Listing Tags")."""

from __future__ import annotations

from itertools import chain

from .._errors import InvalidInput, NotFound
from .._oci.reference import check_tag
from .client import Repository
from .pages import pages


def is_tag(name: str) -> bool:
    """Is this a name that a tag can have?"""
    try:
        check_tag(name)
    except InvalidInput:
        return False
    return True


def list_tags(repository: Repository, whole: bool = False) -> list[str]:
    """Return all tags, sorted; an unknown repository has none. Raises Denied, RegistryError, ContentError.

    ``whole`` is for those who delete what is not in it: a list that may have been cut off raises ContentError, see
    ``pages``.
    """
    what = f"The list of tags of {repository}"
    try:
        return sorted(chain(*pages(repository, "tags/list", "tags", what, is_tag, whole)))
    except NotFound:
        return []
