# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of a repository (distribution-spec, "Listing Tags")."""

from __future__ import annotations

from itertools import chain

from .._errors import NotFound
from .client import Repository
from .pages import pages


def list_tags(repository: Repository) -> list[str]:
    """Return all tags, sorted; an unknown repository has none."""
    try:
        return sorted(chain(*pages(repository, "tags/list", "tags", f"The list of tags of {repository}")))
    except NotFound:
        return []
