# SPDX-License-Identifier: GPL-3.0-or-later
"""One registry: its address, and who we are to it."""

from __future__ import annotations

import re
import threading
import typing as t
from functools import partial
from urllib.parse import urlsplit

from .._errors import CredentialError, Denied, OCIError
from .._oci.reference import DOCKER_HUB
from .challenges import Challenge, Scopes, covers, merge_scopes, read_challenge
from .credentials import Credential
from .flights import Flights
from .refusals import refusal
from .retry import RETRIED
from .tokens import Token, TokenServers, Wish
from .transport import Response, Settings, Transport
from .urls import LOOPBACK, network, origin

_REGISTRY = ""  # the name of no repository, which stands for the registry itself


class Registry:
    """A registry, shared by threads; ``find`` returns the credential for a repository, or for the whole (empty).

    ``searched`` says in words where, such as `` in FILE``, if that is one place.

    Where there is a credential, the registry is asked once, at ``/v2/``, how it wants to see it, before anything else:
    some answer strangers with 404 or with half a list. Where there is none, requests go out as they are. Credentials
    are sent only to who challenged us for them. What a repository demands is remembered for that repository; for others
    it is a guess.
    """

    def __init__(
        self,
        host: str,
        settings: Settings,
        transport: Transport,
        find: t.Callable[[str], Credential | None],
        searched: str = "",
    ) -> None:
        plain = settings.plain_http
        if plain is None:
            plain = network(urlsplit(f"//{host}").hostname or "") == LOOPBACK
        self.host = host
        self.base_url = f"http{'' if plain else 's'}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self.settings = settings
        self.transport = transport
        self.part_size = 0  # bytes of the largest request that it takes for a blob; 0 where no limit is known
        self.refused_mounts: set[tuple[str, str]] = set()  # (source, destination) that the login does not reach
        self.refused_login = False  # did its token server say 401?
        self._find = find
        self._searched = searched
        self._found: dict[str, Credential | CredentialError | None] = {}
        self._lock = threading.Lock()  # never held over the network
        self._flights = Flights()
        self._token_servers = TokenServers(host, self.base_url, settings, transport)
        self._looked = False
        self._challenges: dict[str, Challenge] = {}  # by repository
        self._newest: Challenge | None = None
        self._wanted: dict[tuple[str, Scopes], Scopes] = {}  # what a challenge demanded beyond what was asked for
        self._tokens: dict[Wish, Token] = {}
        self._refused: dict[tuple[Wish, Scopes | None], Denied] = {}
        self._wish_of: dict[str, Wish] = {}  # by the Authorization that came of it
        self._accepted: set[str] = set()  # the Authorizations that the registry took
        self._replaced: set[Wish] = set()

    # what is known

    @property
    def scheme(self) -> str:
        """The scheme of the last challenge, ``basic`` or ``bearer``; empty while nobody asked who we are."""
        return self._newest.scheme if self._newest else ""

    @property
    def parameters(self) -> dict[str, str]:
        """The ``service`` that the last challenge named."""
        return {"service": self._newest.service or ""} if self._newest else {}

    def credential(self, repository: str) -> Credential | None:
        """Return the credential for a repository, which is looked up once. Raises CredentialError."""
        if repository not in self._found:
            try:
                self._found[repository] = self._find(repository)
            except CredentialError as exc:
                self._found[repository] = exc
        found = self._found[repository]
        if isinstance(found, CredentialError):
            raise found
        return found

    def who(self, repository: str, sent: bool = True) -> str:
        """Say in words who we are to this registry, where an Authorization was sent or was not."""
        try:
            found = self.credential(repository)
        except CredentialError:
            return "anonymously, since the credentials for it cannot be read"
        if not found:
            return f"anonymously, since no credentials for it were found{self._searched}"
        known = f"{f'as {found.username}' if found.username else 'with a token'} (from {found.source})"
        if sent:
            return known
        return f"anonymously, since {self.host} did not ask for a login; one is known: {known}"

    def refusal(self, response: Response, what: str, repository: str = _REGISTRY) -> OCIError:
        """Return the error that explains an answer that is not what was asked for; ``what`` names that."""
        who = partial(self.who, repository, response.authorized)
        return refusal(response, what, self.host, self.base_url, who)

    # what is sent

    def authorization(self, repository: str, scopes: Scopes) -> str | None:
        """Return the Authorization for a request, or None while it is not known what is wanted; it may fetch a token.

        Raises Denied where the token server refuses it, CredentialError, ContentError.
        """
        challenge = self._challenge(repository)
        if challenge is None:
            return None
        credential = self.credential(repository)
        if challenge.scheme == "basic":
            return f"Basic {credential.basic}" if credential and credential.password else None
        if credential and credential.registry_token:
            if not re.fullmatch("[!-~]+", credential.registry_token):
                raise CredentialError(f"The token for {self.host} has a character in it that no token has.")
            return f"Bearer {credential.registry_token}"
        try:
            return f"Bearer {self._token(challenge, repository, scopes).value}"
        except Denied:
            if repository in self._challenges:
                raise
            return None  # that token server was a guess; the registry will name the right one

    def token(self, repository: str, scopes: Scopes) -> Token:
        """Return a bearer token for these scopes, cached while it has some seconds left; raises as authorization."""
        challenge = self._challenge(repository)
        if challenge is None or challenge.scheme != "bearer":
            raise CredentialError(f"{self.host} did not name a token server.", registry=self.host)
        return self._token(challenge, repository, scopes)

    def unused_login(self, repository: str, scopes: Scopes) -> Denied | None:
        """Return why a login that is known was not sent with these scopes, where a token server refused it."""
        challenge = self._challenge(repository)
        if challenge is None or challenge.scheme != "bearer" or not self.credential(repository):
            return None
        return self._refusal(self._wish(challenge, repository, scopes), challenge.scopes)

    def accept(self, sent: str) -> None:
        """Remember that an Authorization was not refused: if it is later, it has only become old."""
        self._accepted.add(sent)

    def learn(self, header: str, repository: str, scopes: Scopes, sent: str | None) -> bool:
        """Take in the challenge of a 401; False when there is nothing better to send than what was sent."""
        challenge = read_challenge(header)
        if challenge is None:
            return False
        with self._lock:
            self._challenges[repository] = self._newest = challenge
        if challenge.scheme == "basic":
            return self.authorization(repository, scopes) not in (None, sent)
        credential = self.credential(repository)
        if credential and credential.registry_token:
            return sent != f"Bearer {credential.registry_token}"
        with self._lock:
            return self._can_get_better(challenge, repository, scopes, sent or "")

    def _can_get_better(self, challenge: Challenge, repository: str, scopes: Scopes, sent: str) -> bool:
        wanted = merge_scopes(challenge.scopes, scopes)
        wish = Wish(challenge.realm, challenge.service, self.credential(repository), wanted)
        before = self._wish_of.get(sent)
        if before is None or before[:3] != wish[:3] or not covers(before.scopes, wanted):
            self._wanted[repository, scopes] = wanted
            return True
        current = self._tokens.get(before)
        if current and f"Bearer {current.value}" != sent:  # another thread renewed it
            return True
        if challenge.error == "insufficient_scope" or (sent not in self._accepted and before in self._replaced):
            return False
        self._replaced.add(before)
        self._tokens.pop(before, None)
        return True

    # how it is found out

    def look(self) -> None:
        """Ask at ``/v2/`` which login is wanted, once a task (distribution-spec, "Determining Support").

        Raises ConnectionFailed, and RegistryError for 429 and 5xx.
        """
        if not self._looked:
            self._flights.join("/v2/", self._look)

    def _look(self) -> None:
        if self._looked:
            return
        response = self.transport.send("GET", f"{self.base_url}/v2/", self.settings)
        if response.status in RETRIED:
            raise self.refusal(response, f"The login at {self.host}")
        response.discard()
        challenge = read_challenge(response.headers.get("WWW-Authenticate", ""))
        if response.status == 401 and challenge and origin(response.url) == origin(self.base_url):
            with self._lock:
                self._challenges.setdefault(_REGISTRY, challenge)
                self._newest = self._newest or challenge
        self._looked = True

    def _challenge(self, repository: str) -> Challenge | None:
        """Return a repository's own challenge, else the best guess: that of the registry, or of another repository."""
        if not self._newest and self._may_log_in(repository):
            self.look()
        return self._challenges.get(repository) or self._challenges.get(_REGISTRY) or self._newest

    def _may_log_in(self, repository: str) -> bool:
        try:
            return self.credential(repository) is not None
        except CredentialError:  # it is told when the registry wants a login
            return True

    # tokens

    def _wish(self, challenge: Challenge, repository: str, scopes: Scopes) -> Wish:
        wanted = self._wanted.get((repository, scopes), scopes)
        return Wish(challenge.realm, challenge.service, self.credential(repository), wanted)

    def _token(self, challenge: Challenge, repository: str, scopes: Scopes) -> Token:
        wish = self._wish(challenge, repository, scopes)
        demanded = challenge.scopes
        known = self._known(wish, demanded)
        return known or self._flights.join((wish, demanded), partial(self._obtain, wish, demanded, repository))

    def _known(self, wish: Wish, demanded: Scopes) -> Token | None:
        token, refused = self._tokens.get(wish), self._refusal(wish, demanded)
        if token and token.is_fresh():
            return token
        if refused:  # it would be refused again
            raise refused
        return None

    def _refusal(self, wish: Wish, demanded: Scopes) -> Denied | None:
        """Return why a token was refused: for the login, or for scopes that could not be read and have other forms."""
        return self._refused.get((wish, None)) or self._refused.get((wish, demanded))

    def _obtain(self, wish: Wish, demanded: Scopes, repository: str) -> Token:
        token = self._known(wish, demanded)
        if token:  # another thread was just before us
            return token
        try:
            token = self._token_servers.fetch(wish, demanded, partial(self.who, repository))
        except Denied as exc:
            with self._lock:
                self._refused[wish, demanded if exc.status == 400 else None] = exc
                self.refused_login |= exc.status == 401
            raise
        self.transport.hide(token.value)
        with self._lock:
            self._tokens[wish] = token
            self._wish_of[f"Bearer {token.value}"] = wish
        return token
