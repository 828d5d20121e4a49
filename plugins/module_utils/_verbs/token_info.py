# SPDX-License-Identifier: GPL-3.0-or-later
"""A bearer token for a repository (crane auth token)."""

from __future__ import annotations

import datetime
import typing as t

from .._errors import Unsupported
from .._oci.reference import Reference
from .._registry.session import Session


def token_info(session: Session, *, name: str, access: list[str]) -> dict[str, t.Any]:
    """Return a token for these actions. Raises Unsupported where the registry asks for no token."""
    repository = session.repository(Reference.parse_repository(name), *dict.fromkeys(access))
    registry = repository.registry
    response = repository.request("GET", "/v2/")
    if response.status not in (200, 401) and not registry.auth.bearer:
        raise repository.refusal(response, "The token for %s" % repository)
    response.discard()
    if not registry.auth.asked:  # it lets everybody in as far as the front door
        response = repository.request("GET", "tags/list?n=1")
        response.discard()
    if not registry.auth.bearer:
        raise Unsupported(
            "%s does not work with bearer tokens; it wants %s."
            % (registry.host, "a username and password" if registry.auth.asked else "no login"),
            registry=registry.host,
            status=response.status,
        )
    token = registry.auth.token(repository.name, repository.scopes)
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=token.expires_in)
    return {"token": token.value, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
