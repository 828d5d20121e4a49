# SPDX-License-Identifier: GPL-3.0-or-later
"""Store or remove credentials for a registry (crane auth login and logout)."""

from __future__ import annotations

import os
import typing as t
from functools import partial

from .._errors import Denied, InvalidInput
from .._oci.reference import check_repository, host_of
from .._plan import Plan, Step
from .._registry.auth import Registry
from .._registry.client import Repository
from .._registry.credential_store import check_place, is_open_to_others, store_entry, store_in_helper
from .._registry.credentials import (
    Credential,
    Helpers,
    auth_files,
    decode_entry,
    entries_of,
    helper_for,
    helper_key,
    read_auth_file,
)
from .._registry.refusals import read_error
from .._registry.session import Session
from .._registry.urls import origin


class _Place(t.NamedTuple):
    """Where credentials for a registry are kept, or may be: an entry of a file, or the helper that the file names."""

    file: str
    helper: str | None
    credential: Credential | None

    def __str__(self) -> str:
        return f"docker-credential-{self.helper}" if self.helper else self.file

    @property
    def where(self) -> str:
        """What no other place has in common with it, whatever leads there."""
        return str(self) if self.helper else os.path.realpath(self.file)


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
    """Plan one write to the credentials file or its helper, or the removal from wherever they would be found.

    Where a helper takes them, a plain entry beside it goes.

    Raises Denied where the registry refuses them, CredentialError where a file or helper cannot be read.
    """
    host = host_of(registry)
    dummy, slash, path = registry.strip("/").partition("/")
    key = host + slash + check_repository(path, registry) if path else host
    files = auth_files(auth_file, os.environ)
    helpers = Helpers(session.run)
    places: dict[str, _Place] = {}
    for place in (place for file in files for place in _kept(file, host, key, helpers)):
        places.setdefault(place.where, place)  # two variables may lead to one file, and two files to one helper
    kept = list(places.values())
    if state == "absent":
        return _plan_logout(session, key, host, kept, _preferred(files))
    if not username or not password:
        raise InvalidInput("To log in, give a username and a password; one that is empty is none.")
    wanted = Credential(username, password)
    place = _place_for(kept, _preferred(files), host, key)
    stale = [each for each in kept if each.file == place.file and not each.helper] if place.helper else []
    if place.helper and key != host:
        text = f"{place} keeps credentials for {host} alone, not for {key}; log in to {host}, or set auth_file to"
        raise InvalidInput(f"{text} a file without that helper.")
    for each in stale if place.helper else [place]:
        check_place(each.file)
    warnings = _verify(session, host, path, wanted) if verify else ()
    same = _pair(place.credential) == _pair(wanted)
    if same and not place.helper and is_open_to_others(place.file):
        warnings += (f"{place.file} can be read by others than its owner; set its mode to 0600.",)
    text = f"Store the credentials of {username} for {key} in {place}."
    steps = [] if same else [Step(text, _store(session, place, key, host, wanted))]
    found = [place, *stale] if place.credential or not stale else stale
    return Plan(
        result={"auth_file": place.file},
        before=_shown(key, ", ".join(map(str, found)), found[0].credential),
        after=_shown(key, str(place), place.credential if same else wanted),
        steps=(*steps, *_removals(session, key, host, stale)),
        warnings=warnings,
    )


def _place_for(kept: list[_Place], preferred: str, host: str, key: str) -> _Place:
    """Return where a login belongs: where there is one, but in the helper of a file that names one, as docker has it.

    What is stored for a path stays in its file, as helpers know no paths.
    """
    place = kept[0] if kept else _Place(preferred, None, None)
    if place.helper or (kept and key != host):
        return place
    helper = helper_for(read_auth_file(place.file), host)
    return _Place(place.file, helper, None) if helper else place


def _removals(session: Session, key: str, host: str, places: list[_Place]) -> list[Step]:
    return [
        Step(f"Remove the credentials for {key} from {place}.", _store(session, place, key, host, None))
        for place in places
    ]


def _plan_logout(session: Session, key: str, host: str, kept: list[_Place], preferred: str) -> Plan:
    """Plan the removal of each place; otherwise the credentials of the next one would be used from then on."""
    for place in kept:
        if not place.helper:
            check_place(place.file)
    where = ", ".join(map(str, kept)) or None
    return Plan(
        result={"auth_file": kept[0].file if kept else preferred},
        before=_shown(key, where, kept[0].credential if kept else None),
        after=_shown(key, None, None),
        steps=tuple(_removals(session, key, host, kept)),
    )


def _kept(file: str, host: str, key: str, helpers: Helpers) -> t.Iterator[_Place]:
    """Yield the places of a file that hold credentials for a registry, in the order in which they are looked at."""
    config = read_auth_file(file)
    helper = helper_for(config, host)
    if helper and key == host:
        found = helpers.get(helper, helper_key(host))
        if found:
            yield _Place(file, helper, found)
    entry = entries_of(config).get(key)
    if entry is not None and (found := decode_entry(entry, file)):
        yield _Place(file, None, found)


def _preferred(files: list[str]) -> str:
    """Return the first file that exists, else the first; those whose variable is set come before those at home."""
    return next(filter(os.path.exists, files), files[0])


def _store(session: Session, place: _Place, key: str, host: str, credential: Credential | None) -> t.Callable[[], None]:
    """Return what stores a credential in a place, or removes (None) the one that is there."""
    if place.helper:
        return partial(store_in_helper, session.run, place.helper, helper_key(host), credential)
    return partial(store_entry, place.file, key, helper_key(host) if key == host else key, credential)


def _pair(credential: Credential | None) -> t.Any:
    return credential and (credential.username, credential.password, credential.identity_token)


def _shown(key: str, where: str | None, credential: Credential | None) -> dict[str, t.Any]:
    return {"registry": key, "stored_in": where, "username": credential.username if credential else None}


def _verify(session: Session, host: str, path: str, wanted: Credential) -> tuple[str, ...]:
    """Log in for real, before anything is written; with these credentials, whatever else is known for the registry."""
    known = session.registry(host, path)
    registry = Registry(host, known.settings, session.transport, lambda dummy: wanted)
    session.transport.hide(*wanted.secrets())
    whole = Repository(registry, "", ())
    response = whole.request("GET", "/v2/")
    elsewhere = origin(response.url) != origin(registry.base_url)
    if response.status in (401, 403) and not elsewhere:
        code, words = read_error(response.discard())
        said = f"HTTP {response.status}{f': {words}' if words else ''}"
        asked = response.headers.get("WWW-Authenticate", "").split(" ")[0]
        why = "refused the username and password" if response.authorized else "asked for no username and password"
        why += f" but for {asked}" if asked and not response.authorized else ""
        code = code or ("UNAUTHORIZED" if response.status == 401 else "DENIED")
        raise Denied(f"{host} {why} ({said}); nothing was stored.", code, host, response.status)
    if response.status != 200:
        raise whole.refusal(response, f"The login at {host}")
    response.read_document(1 << 20, f"The login at {host}")
    if not registry.scheme:
        return (f"{host} did not ask for a login, so the username and password could not be verified.",)
    return ()
