# SPDX-License-Identifier: GPL-3.0-or-later
"""Store or remove credentials for a registry (crane auth login and logout)."""

from __future__ import annotations

import os
import typing as t
from functools import partial

from .._errors import Denied
from .._oci.reference import DOCKER_HUB, check_repository, parse_host
from .._plan import Plan, Step
from .._registry.auth import Registry
from .._registry.client import Repository
from .._registry.credentials import (
    HUB_KEY,
    Credential,
    ask_helper,
    auth_files,
    decode_entry,
    helper_for,
    normal_key,
    read_auth_file,
)
from .._registry.session import Session
from .._registry.store import store_entry, store_in_helper


def plan_login(
    session: Session,
    *,
    registry: str,
    username: str | None,
    password: str | None,
    state: str,
    auth_file: str | None,
    verify: bool,
) -> Plan:
    """Plan one write to the credentials file (or its helper) where what is stored differs from what is wanted."""
    host, slash, path = registry.strip("/").partition("/")
    host = parse_host(host)
    key = host + slash + (check_repository(path) if path else "")
    file = _choose_file(auth_files(auth_file, os.environ), key)
    config = read_auth_file(file)
    helper = helper_for(config, host)
    server = HUB_KEY if key == DOCKER_HUB else key
    stored = ask_helper(helper, server, session.run) if helper else _stored(config, key, file)
    wanted = Credential(username, password) if state == "present" else None
    warnings: tuple[str, ...] = ()
    if wanted and verify:
        warnings = _verify(session, host, path, wanted)
    same = _pair(stored) == _pair(wanted)
    where = f"docker-credential-{helper}" if helper else file
    if wanted:
        text = f"Store the credentials of {username} for {key} in {where}."
    else:
        text = f"Remove the credentials for {key} from {where}."
    if helper:
        run = partial(store_in_helper, session.run, helper, server, wanted)
    else:
        run = partial(store_entry, file, key, server, wanted)
    return Plan(
        result={"auth_file": file},
        before=_shown(key, where, stored),
        after=_shown(key, where, stored if same else wanted),
        steps=() if same else (Step(text, run),),
        warnings=warnings,
    )


def _choose_file(files: list[str], key: str) -> str:
    """Return the file that has an entry for the registry, else the first that exists, else the preferred one.

    Preferred is the first in the list: those whose variable is set come before those in the home directory.
    """
    existing = [file for file in files if os.path.exists(file)]
    return next((file for file in existing if _stored(read_auth_file(file), key, file)), (existing or files)[0])


def _stored(config: t.Mapping[str, t.Any], key: str, file: str) -> Credential | None:
    for name, entry in (config.get("auths") or {}).items():
        if normal_key(name) == key and isinstance(entry, dict):
            return decode_entry(entry, file)
    return None


def _pair(credential: Credential | None) -> t.Any:
    return credential and (credential.username, credential.password, credential.identity_token)


def _shown(key: str, where: str, credential: Credential | None) -> dict[str, t.Any]:
    return {"registry": key, "stored_in": where, "username": credential.username if credential else None}


def _verify(session: Session, host: str, path: str, wanted: Credential) -> tuple[str, ...]:
    """Log in for real, before anything is written; with these credentials, whatever else is known for the registry."""
    known = session.registry(host, path)
    registry = Registry(host, known.settings, session.transport, lambda dummy: wanted)
    session.transport.secrets |= wanted.secrets()
    whole = Repository(registry, "", ())
    response = whole.request("GET", "/v2/")
    if response.status == 401:
        text = f"{host} refused the username and password (HTTP 401); nothing was stored."
        raise Denied(text, "UNAUTHORIZED", host, 401)
    if response.status not in (200, 403):
        raise whole.refusal(response, f"The login at {host}")
    response.discard()
    if not registry.scheme:
        return (f"{host} did not ask for a login, so the username and password could not be verified.",)
    return ()
