# SPDX-License-Identifier: GPL-3.0-or-later
"""Answering a registry's challenge: Basic, and Bearer tokens with scopes (distribution's token and OAuth2 documents).

No request is made here: the transport's ``fetch`` is handed in, and so is the clock.
"""

from __future__ import annotations

import re
import threading
import typing as t
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .._errors import ContentError, CredentialError, Denied
from .._oci.manifest import parse_json
from .credentials import Credential
from .urls import guard

CLIENT_ID = "quayside.registry"

# (method, url, headers, form or None) -> (status, body)
Fetch = t.Callable[[str, str, dict[str, str], t.Optional[dict[str, str]]], tuple[int, bytes]]

_PARAMETER = re.compile(r"""([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))""")
_SCHEME = re.compile(r"[\w!#$%&'*+.^`|~/=-]+")
_SEPARATOR = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Challenge:
    """One challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1); the scheme is lower case."""

    scheme: str
    parameters: t.Mapping[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Parse WWW-Authenticate headers that were joined by commas; anything unreadable is passed over."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        start = t.cast("re.Match[str]", _SEPARATOR.match(header, position)).end()
        match = _PARAMETER.match(header, start)
        if match and found:
            quoted, bare = match.group(2), match.group(3)
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(match.group(1).lower(), value)
        else:
            match = _SCHEME.match(header, start)
            if match:
                found.append((match.group(0).lower(), {}))
        position = match.end() if match else start + 1
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def merge_scopes(first: t.Iterable[str], then: t.Iterable[str]) -> tuple[str, ...]:
    """Join two lists of scopes, one entry for each resource, the first list's resources first.

    >>> merge_scopes(["repository:a:pull"], ["repository:b:pull", "repository:a:push"])
    ('repository:a:pull,push', 'repository:b:pull')
    """
    actions: dict[str, list[str]] = {}
    for scope in [*first, *then]:
        resource, dummy, wanted = scope.rpartition(":")
        known = actions.setdefault(resource, [])
        known.extend(action for action in wanted.split(",") if action not in known)
    return tuple("%s:%s" % (resource, ",".join(wanted)) for resource, wanted in actions.items())


@dataclass(frozen=True)
class Token:
    """A bearer token and the clock's time, in seconds, after which it is renewed."""

    value: str
    expires_in: int
    renew_at: float


class Authenticator:
    """What one registry wants to see in Authorization, learned from its challenges; shared by threads."""

    def __init__(
        self,
        host: str,
        base_url: str,
        find: t.Callable[[str], Credential | None],
        fetch: Fetch,
        clock: t.Callable[[], float],
    ) -> None:
        self.host = host
        self.secrets: set[str] = set()
        self._base_url = base_url
        self._find = find
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._credentials: dict[str, Credential | None] = {}
        self._demanded: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._tokens: dict[tuple[str, tuple[str, ...]], Token] = {}

    def credential(self, repository: str) -> Credential | None:
        """Return the credential for a repository (empty for the registry itself), looked up once."""
        with self._lock:
            if repository not in self._credentials:
                found = self._credentials[repository] = self._find(repository)
                self.secrets.update(found.secrets() if found else ())
            return self._credentials[repository]

    def who(self, repository: str) -> str:
        """Say in words who we are to this registry."""
        credential = self.credential(repository)
        if credential is None:
            return "anonymously, since no credentials for it were found"
        name = "as %s" % credential.username if credential.username else "with a token"
        return "%s (from %s)" % (name, credential.source)

    def header(self, repository: str, scopes: tuple[str, ...]) -> str | None:
        """Return the Authorization for a request, as far as we know what is wanted; it may fetch a token."""
        with self._lock:
            if self._challenge is None:
                return None
            credential = self.credential(repository)
            if self._challenge.scheme == "basic":
                return "Basic " + credential.basic if credential and credential.password else None
            if credential and credential.registry_token:
                return "Bearer " + credential.registry_token
            return "Bearer " + self.token(repository, scopes).value

    def learn(self, header: str | None, repository: str, scopes: tuple[str, ...], sent: str | None) -> bool:
        """Take in the challenge of a 401; False when there is nothing better to send than what was sent."""
        offered = {challenge.scheme: challenge for challenge in reversed(parse_challenges(header or ""))}
        with self._lock:
            bearer = offered.get("bearer")
            if bearer and bearer.parameters.get("realm"):
                self._challenge = bearer
                demanded = tuple(scope for scope in bearer.parameters.get("scope", "").split(" ") if ":" in scope)
                key = (repository, scopes)
                self._demanded[key] = merge_scopes(demanded, scopes)
                stale = self._tokens.get(key)
                if stale and sent == "Bearer " + stale.value:
                    del self._tokens[key]
                return True
            if "basic" in offered:
                self._challenge = offered["basic"]
                now = self.header(repository, scopes)
                return now is not None and now != sent
            return False

    def token(self, repository: str, scopes: tuple[str, ...]) -> Token:
        """Return a bearer token for these scopes, from the cache while it has some seconds left."""
        with self._lock:
            key = (repository, scopes)
            token = self._tokens.get(key)
            if token is None or self._clock() >= token.renew_at:
                token = self._tokens[key] = self._exchange(repository, self._demanded.get(key, scopes))
                self.secrets.add(token.value)
            return token

    @property
    def asked(self) -> bool:
        """Has the registry asked who we are?"""
        return self._challenge is not None

    @property
    def service(self) -> str | None:
        """The service that the registry names in its challenge."""
        return self._challenge.parameters.get("service") if self._challenge else None

    @property
    def bearer(self) -> bool:
        """Has the registry asked for a bearer token?"""
        return self._challenge is not None and self._challenge.scheme == "bearer"

    def _exchange(self, repository: str, scopes: tuple[str, ...]) -> Token:
        challenge = t.cast(Challenge, self._challenge)
        credential = self.credential(repository)
        realm = guard(self._base_url, challenge.parameters["realm"])
        service = challenge.parameters.get("service")
        if credential and credential.identity_token:
            grant = {"grant_type": "refresh_token", "refresh_token": credential.identity_token}
            status, body = self._post(realm, service, scopes, grant)
        else:
            status, body = self._get(realm, service, scopes, credential)
            if status in (404, 405) and credential:
                grant = {"grant_type": "password", "username": credential.username or ""}
                grant["password"] = credential.password or ""
                status, body = self._post(realm, service, scopes, grant)
        return self._read_token(status, body, repository, realm)

    def _get(
        self, realm: str, service: str | None, scopes: tuple[str, ...], credential: Credential | None
    ) -> tuple[int, bytes]:
        parts = urlsplit(realm)
        query = parse_qsl(parts.query, keep_blank_values=True)
        query += [("service", service)] if service is not None else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credential and credential.password:
            query.append(("account", credential.username or ""))
            headers["Authorization"] = "Basic " + credential.basic
        return self._fetch("GET", urlunsplit(parts._replace(query=urlencode(query))), headers, None)

    def _post(
        self, realm: str, service: str | None, scopes: tuple[str, ...], grant: dict[str, str]
    ) -> tuple[int, bytes]:
        form = dict(grant, client_id=CLIENT_ID, service=service or "", scope=" ".join(scopes))
        return self._fetch("POST", realm, {}, form)

    def _read_token(self, status: int, body: bytes, repository: str, realm: str) -> Token:
        server = urlsplit(realm).netloc.rpartition("@")[2]
        if status in (400, 401, 403):
            raise Denied(
                "The token server %s of %s refused us (HTTP %d); we asked %s. Check the username and password."
                % (server, self.host, status, self.who(repository)),
                code="UNAUTHORIZED",
                registry=self.host,
                status=status,
            )
        if status != 200:
            raise CredentialError(
                "The token server %s of %s answered HTTP %d instead of a token." % (server, self.host, status),
                registry=self.host,
                status=status,
            )
        answer = parse_json(body, "The answer of the token server %s" % server)
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
            raise ContentError("The token server %s sent no usable token." % server, registry=self.host)
        lifetime = answer.get("expires_in")
        seconds = max(60, lifetime) if isinstance(lifetime, int) else 60
        return Token(value, seconds, self._clock() + seconds - min(30, seconds // 6))
