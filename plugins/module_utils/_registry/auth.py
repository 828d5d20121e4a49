# SPDX-License-Identifier: GPL-3.0-or-later
"""Answering a registry's challenge: Basic, and Bearer tokens with scopes (distribution's token and OAuth2 pages)."""

from __future__ import annotations

import re
import threading
import typing as t
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .._errors import ContentError, CredentialError, Denied
from .._oci.manifest import parse_json
from .credentials import Credential
from .urls import guard

# (method, url, headers, form or None) -> (status, body)
Fetch = t.Callable[[str, str, dict[str, str], t.Optional[dict[str, str]]], tuple[int, bytes]]
Find = t.Callable[[str], t.Optional[Credential]]
Scopes = tuple[str, ...]

_WORD = re.compile(r'([^\s,="]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?')


class Challenge(t.NamedTuple):
    """One challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1); the scheme is lower case."""

    scheme: str
    parameters: dict[str, str]


class Token(t.NamedTuple):
    """A bearer token, its lifetime in seconds, and the clock's time at which it is renewed."""

    value: str
    expires_in: int
    renew_at: float


def parse_challenges(header: str) -> list[Challenge]:
    """Parse WWW-Authenticate headers that were joined by commas; anything unreadable is passed over."""
    found: list[Challenge] = []
    for name, value, quoted, bare in _WORD.findall(header):
        if not value:
            found.append(Challenge(name.lower(), {}))
        elif found:
            found[-1].parameters.setdefault(name.lower(), bare or re.sub(r"\\(.)", r"\1", quoted))
    return found


def merge_scopes(first: t.Iterable[str], then: t.Iterable[str]) -> Scopes:
    """Join two lists of scopes; each resource (``repository:a``) has one entry with its actions (``:pull,push``)."""
    actions: dict[str, dict[str, None]] = {}
    for scope in [*first, *then]:
        resource, dummy, wanted = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(wanted.split(",")))
    return tuple("%s:%s" % (resource, ",".join(wanted)) for resource, wanted in actions.items())


@dataclass(eq=False)
class Authenticator:
    """What one registry wants to see in Authorization, learned from its challenges; shared by threads."""

    host: str
    base_url: str
    find: Find
    fetch: Fetch
    clock: t.Callable[[], float]
    asked: bool = False  # has the registry asked who we are, and for a bearer token?
    bearer: bool = False
    parameters: dict[str, str] = field(default_factory=dict)  # of its challenge
    secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._credentials: dict[str, Credential | None] = {}
        self._demanded: dict[tuple[str, Scopes], Scopes] = {}
        self._tokens: dict[tuple[str, Scopes], Token] = {}

    def credential(self, repository: str) -> Credential | None:
        """Return the credential for a repository (empty for the registry itself), looked up once."""
        with self._lock:
            if repository not in self._credentials:
                found = self._credentials[repository] = self.find(repository)
                self.secrets.update(found.secrets() if found else ())
            return self._credentials[repository]

    def who(self, repository: str) -> str:
        """Say in words who we are to this registry."""
        credential = self.credential(repository)
        if credential is None:
            return "anonymously, since no credentials for it were found"
        name = "as %s" % credential.username if credential.username else "with a token"
        return "%s (from %s)" % (name, credential.source)

    def header(self, repository: str, scopes: Scopes) -> str | None:
        """Return the Authorization for a request, as far as we know what is wanted; it may fetch a token."""
        with self._lock:
            credential = self.credential(repository) if self.asked else None
            if not self.bearer:
                return "Basic " + credential.basic if credential and credential.password else None
            token = credential.registry_token if credential else None
            if token and not re.fullmatch("[!-~]+", token):
                raise CredentialError("The token for %s has a character in it that no token has." % self.host)
            return "Bearer " + (token or self.token(repository, scopes).value)

    def learn(self, header: str | None, repository: str, scopes: Scopes, sent: str | None) -> bool:
        """Take in the challenge of a 401; False when there is nothing better to send than what was sent."""
        offered = dict(reversed(parse_challenges(header or "")))
        bearer, key = offered.get("bearer", {}), (repository, scopes)
        with self._lock:
            if bearer.get("realm"):
                self.asked, self.bearer, self.parameters = True, True, bearer
                demanded = [scope for scope in bearer.get("scope", "").split(" ") if ":" in scope]
                self._demanded[key] = merge_scopes(demanded, scopes)
                if key in self._tokens and sent == "Bearer " + self._tokens[key].value:
                    del self._tokens[key]
                return True
            if "basic" not in offered:
                return False
            self.asked, self.bearer, self.parameters = True, False, offered["basic"]
            return self.header(repository, scopes) not in (None, sent)

    def token(self, repository: str, scopes: Scopes) -> Token:
        """Return a bearer token for these scopes, cached while it has some seconds left."""
        key = repository, scopes
        with self._lock:
            token = self._tokens.get(key)
            if token is None or self.clock() >= token.renew_at:
                token = self._tokens[key] = self._exchange(repository, self._demanded.get(key, scopes))
                self.secrets.add(token.value)
            return token

    def _exchange(self, repository: str, scopes: Scopes) -> Token:
        realm, credential = guard(self.base_url, self.parameters["realm"]), self.credential(repository)
        service = self.parameters.get("service")
        form = {"client_id": "quayside.registry", "service": service or "", "scope": " ".join(scopes)}
        if credential and credential.identity_token:
            form.update(grant_type="refresh_token", refresh_token=credential.identity_token)
            return self._read_token(repository, realm, *self.fetch("POST", realm, {}, form))
        parts, headers = urlsplit(realm), {}
        query = parse_qsl(parts.query, keep_blank_values=True)
        query += [("service", service)] if service is not None else []
        query += [("scope", scope) for scope in scopes]
        if credential and credential.password:
            query.append(("account", credential.username or ""))
            headers["Authorization"] = "Basic " + credential.basic
        status, body = self.fetch("GET", urlunsplit(parts._replace(query=urlencode(query))), headers, None)
        if status in (404, 405) and credential:
            form.update(grant_type="password", username=credential.username or "", password=credential.password or "")
            status, body = self.fetch("POST", realm, {}, form)
        return self._read_token(repository, realm, status, body)

    def _read_token(self, repository: str, realm: str, status: int, body: bytes) -> Token:
        server = "token server %s of %s" % (urlsplit(realm).netloc, self.host)
        if status in (400, 401, 403):
            text = "The %s refused us (HTTP %d); we asked %s. Check the username and password."
            raise Denied(text % (server, status, self.who(repository)), "UNAUTHORIZED", self.host, status)
        if status != 200:
            text = "The %s answered HTTP %d instead of a token." % (server, status)
            raise CredentialError(text, registry=self.host, status=status)
        answer = parse_json(body, "The answer of the " + server)
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            raise ContentError("The %s sent no usable token." % server, registry=self.host)
        lifetime = answer.get("expires_in")
        seconds = max(60, lifetime) if isinstance(lifetime, int) else 60
        return Token(value, seconds, self.clock() + seconds - min(30, seconds // 6))
