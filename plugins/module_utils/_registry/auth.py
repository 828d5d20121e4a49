# SPDX-License-Identifier: GPL-3.0-or-later
"""One registry: its address, and what it wants to see in Authorization (distribution's token and OAuth2 pages)."""

from __future__ import annotations

import re
import threading
import typing as t
from functools import lru_cache
from time import monotonic
from urllib.parse import urlencode, urlsplit

from .._errors import ContentError, CredentialError, Denied
from .._oci.manifest import parse_json
from .._oci.reference import DOCKER_HUB
from .credentials import Credential
from .transport import Response, Settings, Transport
from .urls import LOOPBACK, network, resolve_untrusted_url

Scopes = tuple[str, ...]

_WORD = r'([^\s,="]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?'
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Token(t.NamedTuple):
    """A bearer token, its lifetime in seconds, and the time when it is renewed."""

    value: str
    expires_in: int
    renew_at: float


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the parameters of each scheme in WWW-Authenticate (RFC 9110, 11.6.1); the first of a name counts."""
    found: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for name, value, quoted, bare in re.findall(_WORD, header):
        if value:
            parameters.setdefault(name.lower(), bare or re.sub(r"\\(.)", r"\1", quoted))
        else:
            parameters = {}
            found.setdefault(name.lower(), parameters)
    return found


def merge_scopes(first: t.Iterable[str], then: t.Iterable[str]) -> Scopes:
    """Join scopes, so that each resource (``repository:a``) has one with all its actions (``:pull,push``)."""
    actions: dict[str, dict[str, None]] = {}
    for scope in [*first, *then]:
        resource, dummy, wanted = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(wanted.split(",")))
    return tuple(f"{resource}:{','.join(wanted)}" for resource, wanted in actions.items())


class Registry:
    """A registry, shared by threads; ``find`` returns the credential for a repository, or for the whole (empty)."""

    def __init__(
        self, host: str, settings: Settings, transport: Transport, find: t.Callable[[str], Credential | None]
    ) -> None:
        plain = settings.plain_http
        if plain is None:
            plain = network(urlsplit(f"//{host}").hostname or "") == LOOPBACK
        self.host = host
        self.base_url = f"http{'' if plain else 's'}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self.settings = settings
        self.transport = transport
        self.parts = False  # does it take large blobs in parts alone?
        self.scheme = ""  # of the challenge, once it asked who we are: basic or bearer
        self.parameters: dict[str, str] = {}
        self.credential = lru_cache(maxsize=None)(find)
        self._lock = threading.RLock()
        self._demanded: dict[tuple[str, Scopes], Scopes] = {}
        self._tokens: dict[tuple[str, Scopes], Token] = {}
        self._newest: dict[str, str] = {}  # what replaced an identity token

    def who(self, repository: str) -> str:
        """Say in words who we are to this registry."""
        found = self.credential(repository)
        if not found:
            return "anonymously, since no credentials for it were found"
        return f"{f'as {found.username}' if found.username else 'with a token'} (from {found.source})"

    def authorization(self, repository: str, scopes: Scopes) -> str | None:
        """Return the Authorization for a request, if it is known what is wanted; it may fetch a token."""
        with self._lock:
            credential = self.credential(repository) if self.scheme else None
            if self.scheme != "bearer":
                return f"Basic {credential.basic}" if credential and credential.password else None
            token = credential.registry_token if credential else None
            if token and not re.fullmatch("[!-~]+", token):
                raise CredentialError(f"The token for {self.host} has a character in it that no token has.")
            return f"Bearer {token or self.token(repository, scopes).value}"

    def learn(self, header: str, repository: str, scopes: Scopes, sent: str | None) -> bool:
        """Take in the challenge of a 401; False when there is nothing better to send than what was sent."""
        offered, key = parse_challenges(header), (repository, scopes)
        scheme = "bearer" if offered.get("bearer", {}).get("realm") else "basic"
        if scheme not in offered:
            return False
        with self._lock:
            self.scheme, self.parameters = scheme, offered[scheme]
            if scheme == "basic":
                return self.authorization(repository, scopes) not in (None, sent)
            demanded = [scope for scope in self.parameters.get("scope", "").split(" ") if ":" in scope]
            self._demanded[key] = merge_scopes(demanded, scopes)
            if key in self._tokens and sent == f"Bearer {self._tokens[key].value}":
                del self._tokens[key]
            return True

    def token(self, repository: str, scopes: Scopes) -> Token:
        """Return a bearer token for these scopes, cached while it has some seconds left."""
        key = repository, scopes
        with self._lock:
            token = self._tokens.get(key)
            if token is None or monotonic() >= token.renew_at:
                wanted = self._demanded.get(key, scopes)
                token = self._tokens[key] = self.transport.again(lambda: self._exchange(repository, wanted))
                self.transport.secrets.add(token.value)
            return token

    def _exchange(self, repository: str, scopes: Scopes) -> Token:
        realm, credential = resolve_untrusted_url(self.base_url, self.parameters["realm"]), self.credential(repository)
        server, service = f"token server {urlsplit(realm).netloc} of {self.host}", self.parameters.get("service")
        form = {"client_id": "quayside.registry", "service": service or "", "scope": " ".join(scopes)}
        user, password, identity = credential[:3] if credential else (None, None, None)

        def post(**more: str) -> Response:
            return self.transport.send("POST", realm, self.settings, _FORM, urlencode({**form, **more}).encode("ascii"))

        if identity:
            response = post(grant_type="refresh_token", refresh_token=self._newest.get(identity, identity))
        if not identity or (password and response.status in (404, 405)):
            query = [*([] if service is None else [("service", service)]), *(("scope", scope) for scope in scopes)]
            headers = {}
            if credential and password:
                query.append(("account", user or ""))
                headers["Authorization"] = f"Basic {credential.basic}"
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            response = self.transport.send("GET", url, self.settings, headers)
            if credential and response.status in (404, 405):  # no GET here
                response = post(grant_type="password", username=user or "", password=password or "")
        status = response.status
        if status in (400, 401, 403):
            text = f"The {server} refused us (HTTP {status}); we asked {self.who(repository)}."
            raise Denied(f"{text} Check the username and password.", "UNAUTHORIZED", self.host, status)
        if status != 200:
            text = f"The {server} answered HTTP {status} instead of a token."
            raise CredentialError(text, registry=self.host, status=status)
        answer = parse_json(response.read(1 << 18, f"The answer of the {server}"), f"The answer of the {server}")
        value, lifetime = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            raise ContentError(f"The {server} sent no usable token.", registry=self.host)
        if identity and isinstance(newest := answer.get("refresh_token"), str):
            self._newest[identity] = newest
            self.transport.secrets.add(newest)
        seconds = max(60, lifetime) if isinstance(lifetime, int) else 60
        return Token(value, seconds, monotonic() + seconds - min(30, seconds // 6))
