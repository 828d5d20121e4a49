# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: requests with what authorizes them, and reading manifests (OCI distribution-spec 1.1)."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from .._errors import ContentError, CredentialError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.digest import digest_of, digest_problem, mismatch
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import ACCEPT, INDEXES, MANIFESTS, SCHEMA1, SCHEMA1_SIGNED, bare
from .._oci.reference import DOCKER_HUB
from .auth import Authenticator, Scopes
from .credentials import Credential
from .transport import Response, Settings, Transport, retry_after
from .urls import is_loopback, origin

MAX_MANIFEST = 8 << 20
_ABSENT = frozenset(("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"))
_VERSION = "Docker-Distribution-Api-Version"


@dataclass(eq=False)
class Registry:
    """One registry: its address, what it wants to see in Authorization, and how its refusals read."""

    host: str
    settings: Settings
    transport: Transport
    find: t.Callable[[str], Credential | None]
    clock: t.Callable[[], float]

    def __post_init__(self) -> None:
        http = self.settings.plain_http
        if http is None:
            http = is_loopback(urlsplit("//" + self.host).hostname or "")
        address = "registry-1.docker.io" if self.host == DOCKER_HUB else self.host
        self.base_url = ("http://" if http else "https://") + address
        self.auth = Authenticator(self.host, self.base_url, self.find, self._fetch_token, self.clock)

    def _fetch_token(
        self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
    ) -> tuple[int, bytes]:
        body = None
        if form:
            body = urlencode(form).encode("ascii")
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        response = self.transport.send(method, url, self.settings, headers, body)
        return response.status, response.read(1 << 18, "The answer of the token server of %s" % self.host)

    def request(
        self,
        method: str,
        url: str,
        repository: str = "",
        scopes: Scopes = (),
        headers: t.Mapping[str, str] | None = None,
        body: bytes | t.Iterable[bytes] | None = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request (``url`` may be a path) and return the answer, whatever its status.

        Authorization goes to the registry's own host alone, which alone may challenge us, twice at most.
        """
        url = urljoin(self.base_url, url)
        for left in (2, 1, 0):
            with self.named():
                header = self.auth.header(repository, scopes) if self.owns(url) else None
                if header and not (header.isascii() and header.isprintable()):
                    raise CredentialError("The token for %s has a character in it that no token has." % self.host)
            sent = {**(headers or {}), **({"Authorization": header} if header else {})}
            response = self.transport.send(method, url, self.settings, sent, body, repeat)
            if response.status != 401 or not self.owns(response.url) or not left:
                break
            learned = self.auth.learn(response.headers.get("WWW-Authenticate"), repository, scopes, header)
            if not learned or not isinstance(body, (bytes, type(None))):  # a stream is the sender's to open again
                break
            response.discard()
        return response

    def owns(self, url: str) -> bool:
        """Is this a URL of the registry itself?"""
        return origin(url) == origin(self.base_url)

    @contextmanager
    def named(self) -> t.Iterator[None]:
        """Let errors about content say that it came from here."""
        try:
            yield
        except OCIError as exc:
            exc.registry = exc.registry or self.host
            raise

    def refusal(self, response: Response, what: str, repository: str = "") -> OCIError:
        """Read an answer that is not what was asked for, and return the error that explains it."""
        status, body = response.status, response.discard()
        code, words = read_error(body)
        said = ": " + words if words else ""
        kind, fallback = RegistryError, "UNKNOWN"
        text = "%s: %s answered HTTP %d%s." % (what, self.host, status, said)
        spoke = (body[:1] == b"{" and words) or _VERSION in response.headers
        if status in (401, 403):
            kind, fallback = Denied, "UNAUTHORIZED" if status == 401 else "DENIED"
            text = "%s is not allowed to us (HTTP %d%s); we asked %s. It may also not exist; check the name and login."
            text %= (what, status, said, self.auth.who(repository))
        elif status == 404 and (code in _ABSENT or (not code and spoke)):
            kind, fallback, text = NotFound, "NOT_FOUND", "%s does not exist%s." % (what, said)
        elif status == 404 and not code:
            fallback = "NOT_A_REGISTRY"
            text = "%s answered HTTP 404, but not as a registry does; check its host, port and path." % self.host
        elif status in (405, 501) or code == "UNSUPPORTED":
            kind, code, fallback = Unsupported, "", Unsupported.code
            text = "%s: %s does not support this (HTTP %d%s)." % (what, self.host, status, said)
        elif status == 429:
            wait, fallback = retry_after(response.headers), "TOOMANYREQUESTS"
            asks = "; it asks to wait %d s" % wait if wait else ""
            text = "%s throttles us (HTTP 429%s)%s. Try again later, log in, or lower jobs." % (self.host, said, asks)
        elif status == 400 and b"HTTPS server" in body:
            text = text[:-1] + " (set plain_http: false, it speaks https)."
        return kind(text, code or fallback, self.host, status)


def read_error(body: bytes) -> tuple[str | None, str]:
    """Return code and words, safe to print, of an error: ``errors``, ``message``, ``details`` or text; no HTML."""
    text = body[:4096].decode("utf-8", "replace")
    code = None
    try:
        value = parse_json(body, "")
        errors = value.get("errors") or [value]
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        match = re.fullmatch(r"[A-Z0-9_]{1,64}", str(first.get("code") or ""))
        code = match and match.group()
        text = str(first.get("message") or first.get("details") or value.get("message") or "")
    except ContentError:
        if text.lstrip()[:1] in ("<", "{", "["):
            text = ""
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return code, words[:200].rstrip(".")


class Repository:
    """One repository of a registry. Targets are tags or digests."""

    def __init__(self, registry: Registry, name: str, actions: tuple[str, ...]) -> None:
        self.registry = registry
        self.name = name
        self.scopes = ("repository:%s:%s" % (name, ",".join(actions)),)

    def __str__(self) -> str:
        return "%s/%s" % (self.registry.host, self.name)

    def request(self, method: str, path: str, also: Scopes = (), **kwargs: t.Any) -> Response:
        """Send a request for a path below this repository, or for a URL that the registry gave."""
        url = path if "://" in path else "/v2/%s/%s" % (self.name, path)
        return self.registry.request(method, url, self.name, self.scopes + also, **kwargs)

    def refusal(self, response: Response, what: str) -> OCIError:
        """Return the error that explains an answer; see Registry.refusal."""
        return self.registry.refusal(response, what, self.name)

    def full(self, target: str) -> str:
        """Return the name of a target for people: ``host/repo:tag`` or ``host/repo@digest``."""
        return "%s%s%s" % (self, "@" if ":" in target else ":", target)

    def head(self, target: str, writing: bool = False) -> Descriptor | None:
        """Return the descriptor of a manifest by HEAD, or None when it is absent.

        A HEAD that says too little, or that only GET may explain, is followed by a GET. With ``writing``, 403 also
        means absent: some registries say that of a tag that is not there, and the write that follows will tell.
        """
        response = self.request("HEAD", "manifests/" + target, headers={"Accept": ACCEPT})
        response.discard()
        status, headers = response.status, response.headers
        digest, media_type = headers.get("Docker-Content-Digest", ""), bare(headers.get("Content-Type"))
        size = headers.get("Content-Length", "")
        if status == 200 and media_type in INDEXES | MANIFESTS and size.isdecimal() and not digest_problem(digest):
            if ":" in target and digest != target:
                raise mismatch(self.full(target), target, digest, self.registry.host)
            return Descriptor(media_type, digest, int(size))
        if (status == 404 and _VERSION in headers) or (status == 403 and writing):
            return None
        try:
            return self.get(target).descriptor
        except NotFound:
            return None

    def get(self, target: str) -> Manifest:
        """Return a manifest, its bytes checked against the digest it was asked for by, or that the registry names."""
        what = self.full(target)
        response = self.request("GET", "manifests/" + target, headers={"Accept": ACCEPT})
        if response.status != 200:
            raise self.refusal(response, what)
        with self.registry.named():
            raw = response.read(MAX_MANIFEST, "The manifest %s" % what)
            self.registry.transport.count(bytes_received=len(raw))
            said, kind = response.headers.get("Docker-Content-Digest", ""), response.headers.get("Content-Type")
            wanted = target if ":" in target else "" if digest_problem(said) else said
            algorithm = wanted.split(":")[0] or "sha256"
            found = digest_of(raw, algorithm)
            if wanted not in ("", found) and bare(kind) not in (SCHEMA1, SCHEMA1_SIGNED):  # those sign themselves
                raise mismatch(what, wanted, found)
            return Manifest.parse(raw, kind, what, algorithm)
