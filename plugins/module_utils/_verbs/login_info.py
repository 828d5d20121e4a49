# SPDX-License-Identifier: GPL-3.0-or-later
"""Which credentials would be used for a registry (crane auth get)."""

from __future__ import annotations

import typing as t

from .._oci.reference import Reference, check_repository, host_of
from .._registry.session import Session


def login_info(session: Session, *, registry: str) -> dict[str, t.Any]:
    """Return where the credentials come from and whose they are, never what they are. No request is made."""
    host, path = host_of(registry), registry.strip("/").partition("/")[2]
    if path:
        named = Reference.parse(registry.strip("/"))
        path = named.repository if named.registry == host else check_repository(path, registry)
    found = session.credential(host, path)
    return {"source": found.source if found else None, "username": found.username if found else None}
