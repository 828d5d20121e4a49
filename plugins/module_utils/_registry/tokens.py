# SPDX-License-Identifier: GPL-3.0-or-later
"""Token servers: how one is asked for a bearer token (distribution's token and OAuth2 pages)."""

from __future__ import annotations

import re
import threading
import typing as t
from contextlib import nullcontext
from functools import partial
from time import monotonic
from urllib.parse import urlencode, urlsplit

from .._errors import ContentError, CredentialError, Denied, OCIError
from .._oci.manifest import parse_json
from .challenges import Scopes, plainer_scopes
from .credentials import Credential
from .refusals import read_error
from .transport import Response, Settings, Transport
from .urls import origin, resolve_untrusted_url

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Token(t.NamedTuple):
    """A bearer token, its lifetime in seconds, and the time (monotonic) when it is renewed."""

    value: str
    expires_in: int
    renew_at: float

    def is_fresh(self) -> bool:
        """Has it some seconds left?"""
        return monotonic() < self.renew_at


class Wish(t.NamedTuple):
    """All that a token depends on: where it comes from, for whom, and what it is for."""

    realm: str
    service: str | None
    credential: Credential | None
    scopes: Scopes


class TokenServers:
    """The token servers that one registry, at ``base_url``, names in its challenges. Shared by threads."""

    def __init__(self, host: str, base_url: str, settings: Settings, transport: Transport) -> None:
        self._host = host
        self._base_url = base_url
        self._settings = settings
        self._transport = transport
        self._newest_identity: dict[str, str] = {}  # what replaced an identity token
        self._rotates = True  # may an answer replace it?
        self._rotation = threading.Lock()

    def fetch(self, wish: Wish, demanded: Scopes, who: t.Callable[[], str]) -> Token:
        """Return a token; a server that cannot read the scopes (400) is asked for plainer ones, such as ``demanded``.

        ``who`` says in words who asks. Raises Denied (with the server's code and words), CredentialError, ContentError,
        ConnectionFailed.
        """
        plainer = plainer_scopes(wish.scopes, demanded)
        for scopes in (wish.scopes, *plainer):
            try:
                return self._transport.again(partial(self._exchange, wish._replace(scopes=scopes), who))
            except Denied as exc:
                if exc.status != 400 or scopes == [wish.scopes, *plainer][-1]:
                    raise
        raise AssertionError("the last scopes return or raise")

    def _exchange(self, wish: Wish, who: t.Callable[[], str]) -> Token:
        """Ask the token server in each of its ways; the first that it has (not 404 or 405) counts."""
        realm = resolve_untrusted_url(self._base_url, wish.realm, self._settings.trusted_hosts)
        server = f"token server {f'{urlsplit(realm).netloc} ' if self._sent_by(realm) else ''}of {self._host}"
        with self._alone(wish.credential):
            first, *others = self._grants(realm, wish)
            response = first()
            for grant in others:
                if response.status not in (404, 405):
                    break
                response.discard()
                response = grant()
            if response.status != 200:
                raise self._no_token(response, server, who)
            return self._read_token(response, server, wish.credential)

    def _sent_by(self, realm: str) -> str:
        """Return the registry that named a token server; nothing where it is the registry itself."""
        return "" if origin(realm) == origin(self._base_url) else self._host

    def _alone(self, credential: Credential | None) -> t.ContextManager[t.Any]:
        """Let those with an identity token ask one after the other while the server may replace it in each answer."""
        return self._rotation if credential and credential.identity_token and self._rotates else nullcontext()

    def _grants(self, realm: str, wish: Wish) -> list[t.Callable[[], Response]]:
        """Return the ways to ask for a token, in the order in which they are tried (RFC 6749, 4.3 and 6)."""
        credential = wish.credential
        form = {"client_id": "quayside.registry", "service": wish.service or "", "scope": " ".join(wish.scopes)}
        sent_by = self._sent_by(realm)

        def post(**more: str) -> Response:
            body = urlencode({**form, **more}).encode("ascii")
            return self._transport.send("POST", realm, self._settings, _FORM, body, sent_by=sent_by)

        def refresh(identity: str) -> Response:
            return post(grant_type="refresh_token", refresh_token=self._newest_identity.get(identity, identity))

        def get() -> Response:
            query = [] if wish.service is None else [("service", wish.service)]
            query += [("scope", scope) for scope in wish.scopes]
            headers = {}
            if credential and credential.password:
                query.append(("account", credential.username or ""))
                headers["Authorization"] = f"Basic {credential.basic}"
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            return self._transport.send("GET", url, self._settings, headers, sent_by=sent_by)

        ways: list[t.Callable[[], Response]] = []
        if credential and credential.identity_token:
            ways.append(partial(refresh, credential.identity_token))
        if not ways or (credential and credential.password):
            ways.append(get)
        if credential and credential.password:
            user = {"username": credential.username or "", "password": credential.password}
            ways.append(partial(post, grant_type="password", **user))
        return ways

    def _no_token(self, response: Response, server: str, who: t.Callable[[], str]) -> OCIError:
        status = response.status
        code, words = read_error(response.discard())
        said = f": {words}" if words else ""
        if status not in (400, 401, 403):
            text = f"The {server} answered HTTP {status}{said} instead of a token."
            return CredentialError(text, registry=self._host, status=status)
        text = f"The {server} refused the login (HTTP {status}{said}); it was asked {who()}."
        if not words:
            text += " Check the username and password."
        return Denied(text, code or ("DENIED" if status == 403 else "UNAUTHORIZED"), self._host, status)

    def _read_token(self, response: Response, server: str, credential: Credential | None) -> Token:
        what = f"The answer of the {server}"
        answer = parse_json(response.read_document(1 << 18, what), what)
        value, lifetime = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            raise ContentError(f"The {server} sent no usable token.", registry=self._host)
        identity, newest = credential.identity_token if credential else None, answer.get("refresh_token")
        if identity and isinstance(newest, str):
            self._newest_identity[identity] = newest
            self._transport.hide(newest)
        elif identity:
            self._rotates = False
        seconds = max(60, lifetime) if isinstance(lifetime, int) else 60
        return Token(value, seconds, monotonic() + seconds - min(30, seconds // 6))
