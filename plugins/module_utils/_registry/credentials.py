# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding credentials: the files and helpers that docker, podman, skopeo and crane share (containers-auth.json(5))."""

from __future__ import annotations

import base64
import json
import os
import typing as t

from .._errors import CredentialError
from .._oci.reference import DOCKER_HUB, normal_host

HUB_KEY = "https://index.docker.io/v1/"

# Runs a command: (argv, standard input) -> (return code, standard output). Never given a secret in argv.
RunCommand = t.Callable[[list[str], str], tuple[int, str]]
Json = t.Mapping[str, t.Any]


class Credential(t.NamedTuple):
    """One of: a username and password, an identity (refresh) token, a registry (bearer) token."""

    username: str | None = None
    password: str | None = None
    identity_token: str | None = None
    registry_token: str | None = None
    source: str = "the task's options"

    def __repr__(self) -> str:
        return f"<credential of {self.username} from {self.source}>"  # and no secret

    @property
    def basic(self) -> str:
        """What follows ``Basic`` in an Authorization header (RFC 7617)."""
        return base64.b64encode(f"{self.username or ''}:{self.password}".encode()).decode("ascii")

    def secrets(self) -> set[str]:
        basic = self.basic if self.password else None
        return {part for part in (self.password, self.identity_token, self.registry_token, basic) if part}


def login_problem(username: str | None, password: str | None) -> str:
    """Say why these are not a login, where one of them is given; empty where they are, or neither is."""
    if not username and not password:
        return ""
    if not username or not password:
        lacking = "password" if username else "username"
        return f"{lacking} is empty, as a variable without a value is; give both username and password, or neither"
    return f"username {username!r} has a colon in it, which cannot be sent" if ":" in username else ""


def auth_files(auth_file: str | None, env: t.Mapping[str, str]) -> list[str]:
    """Return the files to search, in order; an explicit one is the only one."""
    if auth_file:
        return [os.path.expanduser(auth_file)]
    home = env.get("HOME") or os.path.expanduser("~")
    files = [
        (env.get("REGISTRY_AUTH_FILE"), ""),
        (env.get("XDG_RUNTIME_DIR"), "/containers/auth.json"),
        (env.get("XDG_CONFIG_HOME") or f"{home}/.config", "/containers/auth.json"),
        (env.get("DOCKER_CONFIG"), "/config.json"),
        (home, "/.docker/config.json"),
    ]
    return [start + rest for start, rest in files if start]


def read_auth_file(path: str) -> dict[str, t.Any]:
    """Return the JSON of a credentials file; of a missing or empty one, an empty dict."""
    try:
        with open(path, encoding="utf-8") as handle:
            value = json.loads(handle.read().strip() or "{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise CredentialError(f"Cannot read the credentials file {path}: {exc.strerror}.") from None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and all(isinstance(value.get(key) or {}, dict) for key in ("auths", "credHelpers")):
        return value
    raise CredentialError(f"The credentials file {path} is not valid JSON of that kind; mend or remove it.")


def normal_key(key: str) -> str:
    """Bring a key of ``auths`` into the form ``host[/path]``.

    A path narrows it to the repositories below it only where the key has no scheme: what is written as a URL, such as
    ``https://host/v1/`` or ``https://host/artifactory/api/docker/x``, is for the whole host, as docker reads it.
    """
    dummy, scheme, rest = key.rpartition("://")
    host, dummy, path = rest.partition("/")
    host, path = normal_host(host), path.strip("/")
    whole = path in ("", "v1", "v2") or (scheme and host != DOCKER_HUB)  # beside the Hub's are keys of other tokens
    return host if whole else f"{host}/{path}"


def candidates(host: str, repository: str) -> list[str]:
    """Return the keys that may hold credentials for a repository, the longest first."""
    parts = [host, *filter(None, repository.split("/"))]
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def decode_entry(entry: Json, source: str) -> Credential | None:
    """Read one entry of ``auths``; None when it holds nothing."""
    username, password = entry.get("username"), entry.get("password")
    if entry.get("auth"):
        try:
            text = base64.b64decode("".join(str(entry["auth"]).split()), validate=True).decode("utf-8")
            username, password = text.rstrip("\0").split(":", 1)
        except ValueError:  # also binascii.Error and UnicodeDecodeError
            raise CredentialError(f"The 'auth' value in {source} is not base64 of user:password.") from None
    parts = username, password, entry.get("identitytoken"), entry.get("registrytoken")
    found = Credential._make([*(part if isinstance(part, str) else None for part in parts), source])
    return found if found.secrets() else None


def ask_helper(helper: str, server: str, run: RunCommand) -> Credential | None:
    """Ask ``docker-credential-HELPER`` for a server; None when it has nothing."""
    program = f"docker-credential-{helper}"
    code, output = run([program, "get"], server)
    if code:
        if "not found" in output and "credential" in output.lower():
            return None
        said = ": ".join(["", *output.strip().splitlines()[:1]])[:200]
        advice = "install or mend it, or take it out of the credentials file"
        raise CredentialError(f"The credential helper {program} failed for {server}{said}; {advice}.")
    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
        if not isinstance(username, str) or not isinstance(secret, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        text = f"The credential helper {program} answered something else than a Username and a Secret in JSON"
        raise CredentialError(f"{text}, for {server}; mend it, or take it out of the credentials file.") from None
    if username == "<token>":
        return Credential(identity_token=secret, source=program)
    return Credential(username, secret, source=program) if secret else None


class Helpers:
    """Credential helpers, each of which is asked once about a server."""

    def __init__(self, run: RunCommand) -> None:
        self._run = run
        self._known: dict[tuple[str, str], Credential | None] = {}

    def get(self, helper: str, server: str) -> Credential | None:
        """Return what a helper has for a server, or None. Raises CredentialError."""
        if (helper, server) not in self._known:
            self._known[helper, server] = ask_helper(helper, server, self._run)
        return self._known[helper, server]


def helper_for(config: Json, host: str) -> str | None:
    """Return the helper that a file names for a host: its own in credHelpers, else credsStore."""
    own = [name for key, name in (config.get("credHelpers") or {}).items() if name and normal_key(key) == host]
    return str((own or [config.get("credsStore")])[0] or "") or None


def helper_key(host: str) -> str:
    """Return the name under which helpers keep the credentials of a host."""
    return HUB_KEY if host == DOCKER_HUB else host


def entries_of(config: Json) -> dict[str, Json]:
    """Return the entries of ``auths`` by their normal keys; of two for the same, that with the shorter name counts."""
    found: dict[str, Json] = {}
    for name, entry in sorted((config.get("auths") or {}).items(), key=lambda item: len(item[0])):
        if isinstance(entry, dict):
            found.setdefault(normal_key(name), entry)
    return found


def find_credential(
    host: str, repository: str, files: t.Sequence[str], ask: t.Callable[[str, str], Credential | None]
) -> Credential | None:
    """Return the credential for a repository from the first file that has one.

    In a file, entries for a path of the host come first, the longest before the others; then what the host's helper has
    (``ask(helper, server)``); then the host's own entry. Raises CredentialError.
    """
    for path in files:
        config = read_auth_file(path)
        entries, helper = entries_of(config), helper_for(config, host)
        for key in candidates(host, repository):
            found = ask(helper, helper_key(host)) if helper and key == host else None
            if not found and key in entries:
                found = decode_entry(entries[key], path)
            if found:
                return found
    return None
