# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the result of a verb goes."""

from __future__ import annotations

from .._oci.reference import Reference


def destination(name: Reference, dest: str | None) -> Reference:
    """Return where the result goes: ``dest``, with the tag of ``name`` where it has none, else in place."""
    if not dest:
        return name
    target = Reference.parse(dest)
    return target if target.tag or target.digest else target.with_tag(name.tag or "latest")
