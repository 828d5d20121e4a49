# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to registries: the only file that knows ``requests``.

One Transport serves a whole task: one connection pool, one set of counters, one budget of patience. It sends no
credential that it was not handed, keeps no cookies, reads no netrc, and follows no server to an address or a scheme
that the server has no business to name.
"""

from __future__ import annotations

import email.utils
import os
import random
import threading
import time
import typing as t
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

from .._errors import ConnectionFailed, ContentError, InvalidInput, MissingLibrary
from .failures import failure
from .urls import guard, origin

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies
except ImportError as exc:
    IMPORT_ERROR: ImportError | None = exc
    BROKEN: tuple[type[BaseException], ...] = (OSError,)
else:
    IMPORT_ERROR = None
    BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)

CHUNK = 1 << 20
RETRIED = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 522))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_REDIRECTS = 5
_FIRST_WAIT = 0.25  # seconds; doubled at each try
_MAX_WAIT = 60.0  # seconds; a server that asks for more gets no further try
_PATIENCE = 300.0  # seconds that a whole task may spend waiting
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True)
class Settings:
    """How to reach one registry. ``plain_http`` None means: http on loopback, https elsewhere."""

    plain_http: bool | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


@dataclass
class Counters:
    """What a task did on the wire: requests made, and payload bytes (manifests, blobs, lists) sent and received."""

    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, sent: int = 0, received: int = 0) -> None:
        """Count, from any thread."""
        with self._lock:
            self.requests += requests
            self.bytes_sent += sent
            self.bytes_received += received


class StreamBody:
    """A request body of known length that is read once, piece by piece, and never held in memory."""

    def __init__(self, chunks: t.Iterable[bytes], length: int) -> None:
        self._chunks = chunks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> t.Iterator[bytes]:
        return iter(self._chunks)


class Response:
    """An answer whose body has not been read yet. Header names are case-insensitive."""

    def __init__(self, raw: t.Any, url: str) -> None:
        self._raw = raw
        self.url = url
        self.status: int = raw.status_code
        self.headers: t.Mapping[str, str] = raw.headers

    def chunks(self, size: int = CHUNK) -> t.Iterator[bytes]:
        """Yield the body as it comes, undecoded. Raises ConnectionFailed where it breaks off."""
        promised, total = self.headers.get("Content-Length", ""), 0
        try:
            while True:
                chunk = self._raw.raw.read(size, decode_content=False)
                if not chunk:
                    break
                total += len(chunk)
                yield chunk
        except BROKEN as exc:
            raise failure(exc, self.url) from None
        finally:
            self._raw.close()
        if promised.isdecimal() and total < int(promised):
            raise failure(ConnectionResetError("%d of %s bytes came" % (total, promised)), self.url)

    def read(self, limit: int, what: str) -> bytes:
        """Return the whole body, of at most ``limit`` bytes; ``what`` names it in the error."""
        body = bytearray()
        for chunk in self.chunks(1 << 16):
            body += chunk
            if len(body) > limit:
                raise ContentError(
                    "%s has more than the %d bytes that are read of it." % (what, limit), code="TOO_LARGE"
                )
        return bytes(body)

    def discard(self) -> bytes:
        """Read what is left, up to 64 KiB of it, so that the connection can serve again; return that."""
        body = b""
        try:
            for chunk in self.chunks(1 << 14):
                body += chunk
                if len(body) >= 1 << 16:
                    break
        except ConnectionFailed:
            pass
        self._raw.close()
        return body


def retry_after(headers: t.Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date; None without one."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


class Transport:
    """Sends requests, tries again where that is safe, and follows redirects where that is safe."""

    def __init__(
        self,
        timeout: float = 60,
        retries: int = 3,
        pool: int = 4,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        if IMPORT_ERROR is not None:
            raise MissingLibrary("requests") from IMPORT_ERROR
        self.counters = Counters()
        self.warnings: list[str] = []
        self._timeout = timeout
        self.retries = retries
        self._sleep = sleep
        self._patience = _PATIENCE
        self._proxies: dict[tuple[str, str, int], dict[str, str]] = {}
        self._session = requests.Session()
        self._session.trust_env = False  # no netrc; proxies are asked for below
        # Redirects are followed below; left alone, requests would read their bodies, however long.
        self._session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": "quayside.registry", "Accept-Encoding": "identity"})
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, HTTPAdapter(pool_connections=16, pool_maxsize=max(pool, 1) + 1))
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(
        self,
        method: str,
        url: str,
        settings: Settings,
        headers: t.Mapping[str, str] | None = None,
        body: bytes | StreamBody | None = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request and return the final answer, whatever its status.

        With ``repeat``, broken connections and passing errors (429, 5xx) are tried again, after the time that
        Retry-After asks for or a growing, jittered one. Raises ConnectionFailed.
        """
        for tried in range(self.retries + 1):
            last = not repeat or tried == self.retries
            try:
                response = self._follow(method, url, settings, dict(headers or {}), body)
            except BROKEN as exc:
                failed = failure(exc, url)
                if last or failed.final or not self.pause(tried):
                    raise failed from None
                continue
            if last or response.status not in RETRIED or not self.pause(tried, retry_after(response.headers)):
                return response
            response.discard()
        raise AssertionError("the last try returns or raises")

    def pause(self, tried: int, asked: float | None = None) -> bool:
        """Wait before the next try; False when the wait would be too long."""
        wait = asked if asked is not None else _FIRST_WAIT * 2**tried
        wait += random.random() * _FIRST_WAIT
        if wait > _MAX_WAIT or wait > self._patience:
            return False
        self._patience -= wait
        self._sleep(wait)
        return True

    def _follow(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: bytes | StreamBody | None
    ) -> Response:
        for dummy in range(_MAX_REDIRECTS + 1):
            response = self._once(method, url, settings, headers, body)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            if method not in ("GET", "HEAD") and (response.status not in (307, 308) or isinstance(body, StreamBody)):
                return response
            target = guard(url, location)
            elsewhere = origin(target) != origin(url)
            if elsewhere and body:  # it may be a form with a password
                return response
            response.discard()
            if elsewhere:
                headers.pop("Authorization", None)
                settings = replace(settings, client_cert=None, client_key=None)
            url = target
        raise ContentError(
            "%s redirected us more than %d times." % (urlsplit(url).netloc, _MAX_REDIRECTS),
            code="UNSAFE_URL",
            registry=urlsplit(url).netloc,
        )

    def _once(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: bytes | StreamBody | None
    ) -> Response:
        where = origin(url)
        if where not in self._proxies:
            self._proxies[where] = get_environ_proxies(url)
        self.counters.add(requests=1)
        if not body and method in ("POST", "PUT", "PATCH"):
            headers = dict(headers, **{"Content-Length": "0"})
        raw = self._session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            stream=True,
            allow_redirects=False,
            timeout=self._timeout,
            verify=_verify(settings),
            cert=(settings.client_cert, settings.client_key) if settings.client_cert and settings.client_key else None,
            proxies=self._proxies[where],
        )
        warning = raw.headers.get("Warning", "").split('"')
        if warning[0].startswith("299") and len(warning) > 1 and warning[1] not in self.warnings:
            self.warnings.append(warning[1])
        return Response(raw, url)


def _verify(settings: Settings) -> bool | str:
    if not settings.validate_certs:
        return False
    for path in (settings.ca_path, settings.client_cert, settings.client_key):
        if path and not os.path.exists(path):
            raise InvalidInput("The certificate file %s does not exist on this host." % path)
    bundles = (settings.ca_path, os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *_CA_BUNDLES)
    return next((path for path in bundles if path and os.path.exists(path)), True)
