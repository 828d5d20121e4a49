# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: requests with what authorizes them, and reading manifests (OCI distribution-spec 1.1)."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from .._errors import ContentError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.digest import digest_of, digest_problem, mismatch
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import ACCEPT, INDEXES, MANIFESTS, SCHEMA1, SCHEMA1_SIGNED, bare
from .._oci.reference import DOCKER_HUB
from .auth import Authenticator, Scopes
from .credentials import Credential
from .transport import Body, Headers, Response, Settings, Transport, retry_after
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
        plain = self.settings.plain_http
        if plain is None:
            plain = is_loopback(urlsplit("//" + self.host).hostname or "")
        address = "registry-1.docker.io" if self.host == DOCKER_HUB else self.host
        self.base_url = ("http://" if plain else "https://") + address
        self.auth = Authenticator(self.host, self.base_url, self.find, self._fetch_token, self.clock)

    def _fetch_token(
        self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
    ) -> tuple[int, bytes]:
        body = urlencode(form).encode("ascii") if form else None
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = self.transport.send(method, url, self.settings, headers, body)
        return response.status, response.read(1 << 18, "The answer of the token server of %s" % self.host)


def read_error(body: bytes) -> tuple[str | None, str]:
    """Return code and words, safe to print, of an error: ``errors``, ``message``, ``details`` or text; no HTML."""
    try:
        value = parse_json(body, "")
    except ContentError:
        text = body[:4096].decode("utf-8", "replace").strip()
        value = {"message": "" if text[:1] in ("<", "{", "[") else text}
    errors = value.get("errors") or [value]
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    code = re.fullmatch(r"[A-Z0-9_]{1,64}", str(first.get("code") or ""))
    text = str(first.get("message") or first.get("details") or value.get("message") or "")
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return code and code.group(), words[:200].rstrip(".")


@dataclass(eq=False)
class Repository:
    """One repository of a registry, or with an empty name the registry itself. Targets are tags or digests."""

    registry: Registry
    name: str
    scopes: Scopes

    def __str__(self) -> str:
        return "%s/%s" % (self.registry.host, self.name)

    def request(
        self,
        method: str,
        path: str,
        also: Scopes = (),
        headers: Headers | None = None,
        body: Body = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request for a path below this repository, or a URL of the registry; return the answer.

        Authorization goes to the registry's own host alone, which alone may challenge us, twice at most.
        """
        registry, scopes = self.registry, self.scopes + also
        url = urljoin("%s/v2/%s/" % (registry.base_url, self.name), path)
        for left in (2, 1, 0):
            with self.named():
                header = registry.auth.header(self.name, scopes) if self.owns(url) else None
            sent = {**(headers or {}), **({"Authorization": header} if header else {})}
            response = registry.transport.send(method, url, registry.settings, sent, body, repeat)
            if response.status != 401 or not self.owns(response.url) or not left:
                break
            learned = registry.auth.learn(response.headers.get("WWW-Authenticate"), self.name, scopes, header)
            if not learned or not isinstance(body, (bytes, type(None))):  # a stream is the sender's to open again
                break
            response.discard()
        return response

    def owns(self, url: str) -> bool:
        """Is this a URL of the registry itself?"""
        return origin(url) == origin(self.registry.base_url)

    @contextmanager
    def named(self) -> t.Iterator[None]:
        """Let errors about content say which registry it came from."""
        try:
            yield
        except OCIError as exc:
            exc.registry = exc.registry or self.registry.host
            raise

    def refusal(self, response: Response, what: str) -> OCIError:
        """Read an answer that is not what was asked for, and return the error that explains it."""
        status, body, host, auth = response.status, response.discard(), self.registry.host, self.registry.auth
        code, words = read_error(body)
        said = ": " + words if words else ""
        spoke = _VERSION in response.headers or (body[:1] == b"{" and words)
        kind, default = RegistryError, "UNKNOWN"
        text = "%s: %s answered HTTP %d%s." % (what, host, status, said)
        if status in (401, 403):
            kind, default = Denied, "UNAUTHORIZED" if status == 401 else "DENIED"
            text = "%s is not allowed to us (HTTP %d%s); we asked %s. It may also not exist; check the name and login."
            text %= (what, status, said, auth.who(self.name))
        elif status == 404 and (code in _ABSENT or (not code and spoke)):
            kind, default, text = NotFound, "NOT_FOUND", "%s does not exist%s." % (what, said)
        elif status == 404 and not code:
            default = "NOT_A_REGISTRY"
            text = "%s answered HTTP 404, but not as a registry does; check its host, port and path." % host
        elif status in (405, 501) or code == "UNSUPPORTED":
            kind, code, default = Unsupported, None, Unsupported.code
            text = "%s: %s does not support this (HTTP %d%s)." % (what, host, status, said)
        elif status == 429:
            wait, default = retry_after(response.headers), "TOOMANYREQUESTS"
            asks = "; it asks to wait %d s" % wait if wait else ""
            text = "%s throttles us (HTTP 429%s)%s. Try again later, log in, or lower jobs." % (host, said, asks)
        elif status == 400 and b"HTTPS server" in body:
            text = text[:-1] + " (set plain_http: false, it speaks https)."
        return kind(text, code or default, host, status)

    def full(self, target: str) -> str:
        """Return the name of a target for people: ``host/repo:tag`` or ``host/repo@digest``."""
        return "%s%s%s" % (self, "@" if ":" in target else ":", target)

    def head(self, target: str, writing: bool = False) -> Descriptor | None:
        """Return the descriptor of a manifest by HEAD, or by GET where that says too little; None when it is absent.

        With ``writing``, 403 also means absent: so some registries say, and the write that follows will tell.
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
        with self.named():
            raw = response.read(MAX_MANIFEST, "The manifest %s" % what)
            self.registry.transport.count(bytes_received=len(raw))
            said, kind = response.headers.get("Docker-Content-Digest", ""), response.headers.get("Content-Type")
            wanted = target if ":" in target else "" if digest_problem(said) else said
            algorithm = wanted.split(":")[0] or "sha256"
            found = digest_of(raw, algorithm)
            if wanted not in ("", found) and bare(kind) not in (SCHEMA1, SCHEMA1_SIGNED):  # those sign themselves
                raise mismatch(what, wanted, found)
            return Manifest.parse(raw, kind, what, algorithm)
