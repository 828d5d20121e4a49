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
    if response.status not in (200, 401) and registry.scheme != "bearer":
        raise repository.refusal(response, f"The token for {repository}")
    response.discard()
    if not registry.scheme:  # it lets everybody in as far as the front door
        response = repository.request("GET", "tags/list?n=1")
        response.discard()
    if registry.scheme != "bearer":
        wants = "a username and password" if registry.scheme else "no login"
        text = f"{registry.host} does not work with bearer tokens; it wants {wants}."
        raise Unsupported(text, registry=registry.host, status=response.status)
    token = registry.token(repository.name, repository.scopes)
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=token.expires_in)
    return {"token": token.value, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
