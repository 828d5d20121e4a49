# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: requests with what authorizes them, and manifests (OCI distribution-spec 1.1)."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote, urljoin, urlsplit

from .._errors import ContentError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.digest import digest_of, digest_problem, mismatch
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import ACCEPT, INDEXES, MANIFESTS, bare
from .._oci.reference import DOCKER_HUB
from .auth import Authenticator
from .credentials import Credential
from .transport import Response, Settings, StreamBody, Transport, retry_after
from .urls import guard, is_loopback

MAX_MANIFEST = 8 << 20
_MAX_TOKEN = 1 << 18
_ABSENT = frozenset(("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"))
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*rel="?next"?')
_UNSUPPORTED = frozenset((405, 501))


class Registry:
    """One registry: its address, what it wants to see in Authorization, and how its refusals read."""

    def __init__(
        self,
        host: str,
        settings: Settings,
        transport: Transport,
        find: t.Callable[[str], Credential | None],
        clock: t.Callable[[], float],
    ) -> None:
        http = is_loopback(urlsplit("//" + host).hostname or "") if settings.plain_http is None else settings.plain_http
        self.host = host
        self.base_url = "%s://%s" % (
            "http" if http else "https",
            "registry-1.docker.io" if host == DOCKER_HUB else host,
        )
        self.settings = settings
        self.transport = transport
        self.auth = Authenticator(host, self.base_url, find, self._fetch_token, clock)

    def _fetch_token(
        self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
    ) -> tuple[int, bytes]:
        body = None
        if form is not None:
            body = "&".join("%s=%s" % (key, quote(value, safe="")) for key, value in form.items()).encode("ascii")
            headers = dict(headers, **{"Content-Type": "application/x-www-form-urlencoded"})
        response = self.transport.send(method, guard(self.base_url, url), self.settings, headers, body)
        return response.status, response.read(_MAX_TOKEN, "The answer of the token server of %s" % self.host)

    def request(
        self,
        method: str,
        url: str,
        repository: str = "",
        scopes: tuple[str, ...] = (),
        headers: t.Mapping[str, str] | None = None,
        body: bytes | StreamBody | None = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request with what authorizes it, answering at most two challenges; the status is the caller's.

        ``url`` may be a path. Authorization goes to the registry's own host alone.
        """
        url = urljoin(self.base_url, url)
        own = urlsplit(url).netloc == urlsplit(self.base_url).netloc
        for left in (2, 1, 0):
            header = self.auth.header(repository, scopes) if own else None
            sent = dict(headers or {}, **({"Authorization": header} if header else {}))
            response = self.transport.send(method, url, self.settings, sent, body, repeat)
            if response.status != 401 or not own or not left:
                return response
            learned = self.auth.learn(response.headers.get("WWW-Authenticate"), repository, scopes, header)
            if not learned or isinstance(body, StreamBody):  # a stream is the sender's to open again
                return response
            response.discard()
        return response

    def ping(self) -> Response:
        """Ask for ``/v2/``, with credentials where they are wanted."""
        return self.request("GET", "/v2/")

    def next_page(self, response: Response) -> str:
        """Return where a list goes on (``Link``, RFC 8288), or nothing; it must be at this registry."""
        link = _NEXT.search(response.headers.get("Link", ""))
        url = guard(response.url, link.group(1)) if link else ""
        if url and urlsplit(url).netloc != urlsplit(self.base_url).netloc:
            raise ContentError(
                "A list of %s goes on at another host, %s, which is not followed." % (self.host, urlsplit(url).netloc),
                code="UNSAFE_URL",
                registry=self.host,
            )
        return url

    def refusal(self, response: Response, what: str, repository: str = "") -> OCIError:
        """Read an answer that is not what was asked for, and return the error that explains it."""
        status, body = response.status, response.discard()
        code, words = read_error(body)
        said = ": " + words if words else ""
        fields: dict[str, t.Any] = {"registry": self.host, "status": status}
        if status in (401, 403):
            return Denied(
                "%s is not allowed to us (HTTP %d%s); we asked %s. It may also not exist; check the name and the "
                "credentials." % (what, status, said, self.auth.who(repository)),
                code=code or ("UNAUTHORIZED" if status == 401 else "DENIED"),
                **fields,
            )
        if status == 404:
            spoke = code or (words and body[:1] == b"{") or "Docker-Distribution-Api-Version" in response.headers
            if code in _ABSENT or spoke:
                return NotFound("%s does not exist%s." % (what, said), code=code or "NOT_FOUND", **fields)
            return RegistryError(
                "%s answered HTTP 404, but not as a registry does; check its host, port and path." % self.host,
                code="NOT_A_REGISTRY",
                **fields,
            )
        if status in _UNSUPPORTED or code == "UNSUPPORTED":
            return Unsupported("%s: %s does not support this (HTTP %d%s)." % (what, self.host, status, said), **fields)
        if status == 429:
            wait = retry_after(response.headers)
            asks = "; it asks to wait %d s" % wait if wait else ""
            return RegistryError(
                "%s throttles us (HTTP 429%s)%s. Try again later, log in, or lower jobs." % (self.host, said, asks),
                code=code or "TOOMANYREQUESTS",
                **fields,
            )
        if status == 400 and b"HTTPS server" in body:
            said += " (set plain_http: false, it speaks https)"
        return RegistryError(
            "%s: %s answered HTTP %d%s." % (what, self.host, status, said), code=code or "UNKNOWN", **fields
        )

    def repository(self, name: str, *actions: str) -> Repository:
        """Return a repository of this registry, for these actions (``pull``, ``push``, ``delete``)."""
        return Repository(self, name, actions or ("pull",))


def read_error(body: bytes) -> tuple[str | None, str]:
    """Return the code and the words of an error body, in whichever form it came; the words are safe to print.

    The forms: the specification's ``errors``, ``{"message": …}``, ``{"details": …}``, text. HTML says nothing.
    """
    text = body[:4096].decode("utf-8", "replace")
    code: str | None = None
    try:
        value = parse_json(body, "")
        errors = value.get("errors") or [value]
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        code = first.get("code") if re.fullmatch(r"[A-Z0-9_]{1,64}", str(first.get("code") or "")) else None
        text = str(first.get("message") or first.get("details") or value.get("message") or "")
    except ContentError:
        if text.lstrip()[:1] in ("<", "{", "["):
            text = ""
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return code, words[:200].rstrip(".")


class Repository:
    """One repository of a registry. Targets are tags or digests; ``what`` in errors is its full name."""

    def __init__(self, registry: Registry, name: str, actions: tuple[str, ...]) -> None:
        self.registry = registry
        self.name = name
        self.scopes = ("repository:%s:%s" % (name, ",".join(actions)),)

    def __str__(self) -> str:
        return "%s/%s" % (self.registry.host, self.name)

    def request(self, method: str, path: str, also: tuple[str, ...] = (), **kwargs: t.Any) -> Response:
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
        headers = response.headers
        digest, media_type, size = (headers.get("Docker-Content-Digest"), bare(headers.get("Content-Type")), "")
        size = headers.get("Content-Length", "")
        if (
            response.status == 200
            and not digest_problem(digest)
            and media_type in INDEXES | MANIFESTS
            and size.isdigit()
        ):
            if ":" in target and digest != target:
                raise mismatch(self.full(target), target, str(digest), self.registry.host)
            return Descriptor(media_type, str(digest), int(size))
        if response.status == 404 and "Docker-Distribution-Api-Version" in headers:
            return None
        if response.status == 403 and writing:
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
        raw = response.read(MAX_MANIFEST, "The manifest %s" % what)
        self.registry.transport.counters.add(received=len(raw))
        said = response.headers.get("Docker-Content-Digest")
        wanted = target if ":" in target else said if said and not digest_problem(said) else digest_of(raw)
        found = digest_of(raw, wanted.split(":", 1)[0])
        manifest = Manifest.parse(raw, response.headers.get("Content-Type"), what, wanted.split(":", 1)[0])
        if found != wanted:
            raise mismatch(what, wanted, found, self.registry.host)
        return manifest

    def put(self, target: str, manifest: Manifest) -> Response:
        """Store a manifest under a tag or its digest. Its blobs and members must be there already."""
        response = self.request(
            "PUT", "manifests/" + target, headers={"Content-Type": manifest.media_type}, body=manifest.raw
        )
        if response.status not in (200, 201, 202):
            raise self.refusal(response, self.full(target))
        response.discard()
        self.registry.transport.counters.add(sent=len(manifest.raw))
        stored = response.headers.get("Docker-Content-Digest") or manifest.digest
        if stored != manifest.digest and stored.split(":")[0] == manifest.digest.split(":")[0]:
            raise mismatch("%s, as the registry stored it," % self.full(target), manifest.digest, stored)
        return response

    def delete(self, target: str) -> Response:
        """Send DELETE for a tag or digest; the answer is the caller's to read, since registries differ so much."""
        return self.request("DELETE", "manifests/" + target)
