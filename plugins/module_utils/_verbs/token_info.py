# SPDX-License-Identifier: GPL-3.0-or-later
"""A bearer token for a repository (crane auth token)."""

from __future__ import annotations

import datetime
import typing as t

from .._errors import Unsupported
from .._oci.reference import Reference
from .._registry.session import Session


def token_info(session: Session, *, name: str, access: list[str]) -> dict[str, t.Any]:
    """Return a token for these actions; a registry token that is configured is itself one, whose end is not known.

    Raises Unsupported where the registry asks for no token, Denied where its token server refuses the login.
    """
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
        text = f"{registry.host} does not use bearer tokens; it uses {wants}."
        raise Unsupported(text, registry=registry.host, status=response.status)
    credential = registry.credential(repository.name)
    if credential and credential.registry_token:
        return {"token": credential.registry_token, "expires_at": None}
    token = registry.token(repository.name, repository.scopes)
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=token.expires_in)
    return {"token": token.value, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
