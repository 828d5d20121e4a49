# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: requests with their authorization, and reading manifests (distribution-spec 1.1)."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

from .._errors import ConnectionFailed, ContentError, Denied, NotFound, OCIError, Unsupported
from .._oci.digest import digest_of, digest_problem, mismatch
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import ACCEPT, INDEXES, MANIFESTS, SCHEMA1, SCHEMA1_SIGNED, strip_parameters
from .._oci.parts import checked
from .auth import Registry
from .challenges import Scopes
from .refusals import VERSION_HEADER
from .transport import Body, Headers, Response
from .urls import origin

MAX_MANIFEST = 8 << 20  # bytes
_SIGNED = (SCHEMA1, SCHEMA1_SIGNED)  # these sign themselves, so that their digest is of another form
# A path below a repository. Dots alone, and what a URL would be cut at, would lead to another place of the registry.
_PATH = re.compile(r"(?:(?!\.{1,2}(?:/|$|\?))[A-Za-z0-9_.:~-]+(?:/|(?=\?)|$))+(?:\?[!-~]*)?")


def speaks_json(response: Response) -> bool:
    """Does an answer to HEAD promise JSON, as a registry's answers about what it lacks are?"""
    return strip_parameters(response.headers.get("Content-Type")) == "application/json"


def expected_digest(target: str, header: str | None) -> str:
    """Return the digest that a manifest must have: the one it was asked for by, else the one that a header names."""
    if ":" in target:
        return target
    return "" if header is None or digest_problem(header) else header


class Deletion(t.NamedTuple):
    """What became of a wish to delete: ``deleted``, ``absent``, or ``unsupported`` with the registry's refusal."""

    outcome: str
    refusal: OCIError | None = None


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
        """Return the answer to a request for a path below this repository, of the registry (``/v2/...``), or a URL.

        Authorization goes to the registry's own host alone, which alone may challenge us, twice at most. Raises
        ConnectionFailed; Denied and CredentialError where no token is to be had; ContentError for a path that is none.
        """
        registry, key = self.registry, (self.name, self.scopes + also)
        url = self._url(path)
        for left in (2, 1, 0):
            with self.named():
                sent = registry.authorization(*key) if self.owns(url) else None
            send = {**(headers or {}), **({"Authorization": sent} if sent else {})}
            with self._blamed(url):
                response = registry.transport.send(method, url, registry.settings, send, body, repeat)
            if response.status != 401 or not self.owns(response.url):
                break
            challenge = response.headers.get("WWW-Authenticate", "")
            if not registry.learn(challenge, *key, sent):
                break
            if not left or not isinstance(body, (bytes, type(None))):  # a stream is the sender's to open again
                break
            response.discard()
        if sent and response.status != 401:
            registry.accept(sent)
        elif response.status >= 400 and self.owns(url) and (refused := registry.unused_login(*key)):
            raise refused  # what it says to strangers is not the truth
        return response

    def _url(self, path: str) -> str:
        if re.match("https?://", path):
            return path
        base = self.registry.base_url
        if path.startswith("/v2/"):
            return f"{base}{path}"
        if not _PATH.fullmatch(path):
            text = f"{path[:200]!r} is not a path that {self} can have; it was not asked for."
            raise ContentError(text, registry=self.registry.host)
        return f"{base}/v2/{self.name}/{path}"

    @contextmanager
    def _blamed(self, url: str) -> t.Iterator[None]:
        """Say of a connection to another host that the registry sent us there."""
        try:
            yield
        except ConnectionFailed as exc:
            if self.owns(url):
                raise
            host = self.registry.host
            text = f"{exc} {host} sent us there; if that address is wrong, correct the external address that {host}, "
            text += "or the proxy in front of it, gives to its clients."
            failed = ConnectionFailed(text, exc.code, exc.registry)
            failed.final = exc.final
            raise failed from None

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
        """Return the error that explains an answer that is not what was asked for; ``what`` names that."""
        return self.registry.refusal(response, what, self.name)

    def full(self, target: str) -> str:
        """Name a target for people: ``host/repo:tag`` or ``host/repo@digest``."""
        return f"{self}{'@' if ':' in target else ':'}{target}"

    def head(self, target: str, writing: bool = False) -> Descriptor | None:
        """Return a manifest's descriptor, by HEAD, or by GET where that says too little; None when it is absent.

        With ``writing``, 403 also means absent, as ``look`` has it: the write that follows will tell.
        """
        found, refusal = self._look(target)
        if refusal and not writing:
            raise refusal
        return found

    def look(self, target: str) -> tuple[Descriptor | None, bool]:
        """Return what ``head`` returns, and whether that is certain.

        It is not where the answer is 403 to GET as well (some give that to HEAD alone), which some registries give for
        a tag that is not there, and others for one that may not be read. Raises Denied for 401, RegistryError,
        ContentError, ConnectionFailed.
        """
        found, refusal = self._look(target)
        return found, refusal is None

    def _look(self, target: str) -> tuple[Descriptor | None, Denied | None]:
        """Return what is there, and the refusal that leaves it open; see ``look``."""
        response = self.request("HEAD", f"manifests/{target}", headers={"Accept": ACCEPT})
        status, headers = response.status, response.headers
        if status == 429:  # a GET would not be answered either, and would count as a pull
            raise self.refusal(response, self.full(target))
        response.discard()
        digest, media_type = headers.get("Docker-Content-Digest", ""), strip_parameters(headers.get("Content-Type"))
        size = headers.get("Content-Length", "")
        if status == 200 and media_type in INDEXES | MANIFESTS and size.isdecimal() and not digest_problem(digest):
            if ":" in target and digest != target:
                raise mismatch(self.full(target), target, digest, self.registry.host)
            return Descriptor(media_type, digest, int(size)), None
        if status == 404 and VERSION_HEADER in headers and speaks_json(response):
            return None, None
        try:
            return self._look_by_get(target), None
        except Denied as exc:
            if status != 403 or exc.status != 403:
                raise
            return None, exc

    def _look_by_get(self, target: str) -> Descriptor | None:
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
            raw = response.read_document(MAX_MANIFEST, f"The manifest {what}")
            self.registry.transport.count(bytes_received=len(raw))
            kind = response.headers.get("Content-Type")
            wanted = expected_digest(target, response.headers.get("Docker-Content-Digest"))
            algorithm = wanted.split(":")[0] or "sha256"
            found = digest_of(raw, algorithm)
            if wanted not in ("", found) and strip_parameters(kind) not in _SIGNED:
                raise mismatch(what, wanted, found)
            return Manifest.parse(raw, kind, what, algorithm)

    def delete(self, target: str) -> Deletion:
        """Ask the registry to delete a tag or a manifest, and tell what it said (the spec's "Content Management").

        ``unsupported`` are 400, 405, 501 and the code UNSUPPORTED. Raises Denied, and RegistryError for the rest.
        """
        response = self.request("DELETE", f"manifests/{target}")
        if response.status in (200, 202, 204):
            response.discard()
            return Deletion("deleted")
        refused = self.refusal(response, self.full(target))
        if isinstance(refused, NotFound):
            return Deletion("absent")
        if isinstance(refused, Unsupported) or refused.status == 400:
            return Deletion("unsupported", refused)
        raise refused
