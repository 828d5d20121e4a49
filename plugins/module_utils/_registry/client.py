# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: requests with their authorization, and reading manifests (distribution-spec 1.1)."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

from .._errors import ContentError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.digest import digest_of, digest_problem, mismatch
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import ACCEPT, INDEXES, MANIFESTS, SCHEMA1, SCHEMA1_SIGNED, strip_parameters
from .._oci.parts import checked
from .auth import Registry, Scopes
from .transport import Body, Headers, Response, retry_after
from .urls import origin

MAX_MANIFEST = 8 << 20
_ABSENT = frozenset(("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"))
_SIGNED = (SCHEMA1, SCHEMA1_SIGNED)  # these sign themselves, so that their digest is of another form
_VERSION = "Docker-Distribution-Api-Version"


def read_error(body: bytes) -> tuple[str | None, str]:
    """Return code and words of an error: ``errors``, ``message``, ``details`` or text; no HTML, safe to print."""
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
    return code and code[0], words[:200].rstrip(".")


@dataclass(frozen=True, eq=False)
class Repository:
    """One repository, or with an empty name the registry itself. Targets are tags or digests."""

    registry: Registry
    name: str
    scopes: Scopes

    def __str__(self) -> str:
        return f"{self.registry.host}/{self.name}"

    def request(
        self,
        method: str,
        path: str,
        also: Scopes = (),
        headers: Headers | None = None,
        body: Body = None,
        repeat: bool = True,
    ) -> Response:
        """Return the answer to a request for a path below this repository, or for a URL of the registry.

        Authorization goes to the registry's own host alone, which alone may challenge us, twice at most.
        """
        registry, key = self.registry, (self.name, self.scopes + also)
        url = urljoin(f"{registry.base_url}/v2/{self.name}/", path)
        for left in (2, 1, 0):
            with self.named():
                sent = registry.authorization(*key) if self.owns(url) else None
            send = {**(headers or {}), **({"Authorization": sent} if sent else {})}
            response = registry.transport.send(method, url, registry.settings, send, body, repeat)
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status != 401 or not self.owns(response.url) or not registry.learn(challenge, *key, sent):
                break
            if not left or not isinstance(body, (bytes, type(None))):  # a stream is the sender's to open again
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
        """Return the error that explains an answer that is not what was asked for."""
        status, body, host = response.status, response.discard(), self.registry.host
        code, words = read_error(body)
        said = f": {words}" if words else ""
        spoke = _VERSION in response.headers or (body[:1] == b"{" and words)
        kind: type[OCIError] = RegistryError
        text = f"{what}: {host} answered HTTP {status}{said}."
        if status in (401, 403):
            kind, code = Denied, code or ("UNAUTHORIZED" if status == 401 else "DENIED")
            text = f"{what} is not allowed to us (HTTP {status}{said}); we asked {self.registry.who(self.name)}."
            text += " It may also not exist; check the name and login."
        elif status == 404 and (code in _ABSENT or (not code and spoke)):
            kind, text = NotFound, f"{what} does not exist{said}."
        elif status == 404 and not code:
            code = "NOT_A_REGISTRY"
            text = f"{host} answered HTTP 404, but not as a registry does; check its host, port and path."
        elif status in (405, 501) or code == "UNSUPPORTED":
            kind, code = Unsupported, None
            text = f"{what}: {host} does not support this (HTTP {status}{said})."
        elif status == 429:
            wait, code = retry_after(response.headers), code or "TOOMANYREQUESTS"
            asks = f"; it asks to wait {wait:.0f} s" if wait else ""
            text = f"{host} throttles us (HTTP 429{said}){asks}. Try again later, log in, or lower jobs."
        elif self.registry.base_url[:5] == "http:" and (
            b"HTTPS server" in body or response.headers.get("Location", response.url)[:6] == "https:"
        ):
            text = f"{text[:-1]} (set plain_http: false, it speaks https)."
        return kind(text, code or "", host, status)

    def full(self, target: str) -> str:
        """Name a target for people: ``host/repo:tag`` or ``host/repo@digest``."""
        return f"{self}{'@' if ':' in target else ':'}{target}"

    def head(self, target: str, writing: bool = False) -> Descriptor | None:
        """Return a manifest's descriptor, by HEAD, or by GET where that says too little; None when it is absent.

        With ``writing``, 403 also means absent: so some registries say, and the write that follows will tell.
        """
        response = self.request("HEAD", f"manifests/{target}", headers={"Accept": ACCEPT})
        response.discard()
        status, headers = response.status, response.headers
        digest, media_type = headers.get("Docker-Content-Digest", ""), strip_parameters(headers.get("Content-Type"))
        size = headers.get("Content-Length", "")
        if status == 200 and media_type in INDEXES | MANIFESTS and size.isdecimal() and not digest_problem(digest):
            if ":" in target and digest != target:
                raise mismatch(self.full(target), target, digest, self.registry.host)
            return Descriptor(media_type, digest, int(size))
        if (status == 404 and _VERSION in headers) or (status == 403 and writing):
            return None
        try:
            return self.get_raw(target).descriptor
        except NotFound:
            return None

    def get(self, target: str) -> Manifest:
        """Return a manifest whose bytes have the right digest and whose parts are well-formed.

        Raises NotFound, Denied, ContentError.
        """
        with self.named():
            return checked(self.get_raw(target), self.full(target))

    def get_raw(self, target: str) -> Manifest:
        """Return a manifest as it came, with the digest that it was asked for by, or that the registry names.

        Its parts may be anything; for those who copy it as it is, or tell what is wrong with it.
        """
        return self.registry.transport.again(lambda: self._get(target))

    def _get(self, target: str) -> Manifest:
        what = self.full(target)
        response = self.request("GET", f"manifests/{target}", headers={"Accept": ACCEPT})
        if response.status != 200:
            raise self.refusal(response, what)
        with self.named():
            raw = response.read(MAX_MANIFEST, f"The manifest {what}")
            self.registry.transport.count(bytes_received=len(raw))
            said, kind = response.headers.get("Docker-Content-Digest", ""), response.headers.get("Content-Type")
            wanted = target if ":" in target else "" if digest_problem(said) else said
            algorithm = wanted.split(":")[0] or "sha256"
            found = digest_of(raw, algorithm)
            if wanted not in ("", found) and strip_parameters(kind) not in (
                SCHEMA1,
                SCHEMA1_SIGNED,
            ):  # those sign themselves
                raise mismatch(what, wanted, found)
            return Manifest.parse(raw, kind, what, algorithm)
