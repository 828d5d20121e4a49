# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to registries: the only file that knows ``requests``.

One Transport serves a whole task: one connection pool, one set of counters, one budget of patience. It sends no
credential that it was not handed, keeps no cookies, and reads no netrc.
"""

from __future__ import annotations

import email.utils
import os
import random
import threading
import time
import typing as t
from dataclasses import dataclass, replace
from http.cookiejar import DefaultCookiePolicy
from types import SimpleNamespace

from .._errors import ConnectionFailed, ContentError, InvalidInput, MissingLibrary
from .failures import failure
from .urls import guard, origin

try:
    import requests
    import urllib3
    from requests.utils import get_environ_proxies
except ImportError as exc:
    IMPORT_ERROR: ImportError | None = exc
    BROKEN: tuple[type[BaseException], ...] = (OSError,)
else:
    IMPORT_ERROR = None
    BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)

RETRIED = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 522))
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


class Response:
    """An answer whose body has not been read yet. Header names are case-insensitive."""

    def __init__(self, raw: t.Any, url: str) -> None:
        self._raw = raw
        self.url = url
        self.status: int = raw.status_code
        self.headers: t.Mapping[str, str] = raw.headers

    def chunks(self, size: int = 1 << 20) -> t.Iterator[bytes]:
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
                raise ContentError("%s has more than the %d bytes that are read of it." % (what, limit), "TOO_LARGE")
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
        self, timeout: float = 60, retries: int = 3, pool: int = 4, sleep: t.Callable[[float], None] = time.sleep
    ) -> None:
        if IMPORT_ERROR is not None:
            raise MissingLibrary("requests") from IMPORT_ERROR
        # Payload bytes are those of manifests, blobs and lists.
        names = ("requests", "bytes_sent", "bytes_received", "blobs_pushed", "blobs_mounted", "blobs_skipped")
        self.counters = SimpleNamespace(**dict.fromkeys(names, 0))
        self._lock = threading.Lock()
        self.warnings: list[str] = []
        self.retries = retries
        self._timeout = timeout
        self._sleep = sleep
        self._patience = _PATIENCE
        self._session = requests.Session()
        self._session.trust_env = False  # no netrc; proxies are asked for below
        # Redirects are followed below; left alone, requests would read their bodies, however long.
        self._session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": "quayside.registry", "Accept-Encoding": "identity"})
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, requests.adapters.HTTPAdapter(pool_connections=16, pool_maxsize=pool + 1))
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(
        self,
        method: str,
        url: str,
        settings: Settings,
        headers: t.Mapping[str, str] | None = None,
        body: bytes | t.Iterable[bytes] | None = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request and return the final answer, whatever its status.

        With ``repeat``, broken connections and passing errors (429, 5xx) are tried again, after the time that
        Retry-After asks for or a growing, jittered one. Raises ConnectionFailed.
        """
        for tried in range(self.retries if repeat else 0):
            try:
                response = self._follow(method, url, settings, dict(headers or {}), body)
            except BROKEN as exc:
                failed = failure(exc, url)
                if failed.final or not self.pause(tried):
                    raise failed from None
                continue
            if response.status not in RETRIED or not self.pause(tried, retry_after(response.headers)):
                return response
            response.discard()
        try:
            return self._follow(method, url, settings, dict(headers or {}), body)
        except BROKEN as exc:
            raise failure(exc, url) from None

    def count(self, **amounts: int) -> None:
        """Add to the counters, from any thread."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self.counters, name, getattr(self.counters, name) + amount)

    def pause(self, tried: int, asked: float | None = None) -> bool:
        """Wait before the next try; False when the wait would be too long."""
        wait = asked if asked is not None else _FIRST_WAIT * 2**tried
        wait += random.random() * _FIRST_WAIT
        if wait > min(_MAX_WAIT, self._patience):
            return False
        self._patience -= wait
        self._sleep(wait)
        return True

    def _follow(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: bytes | t.Iterable[bytes] | None
    ) -> Response:
        for dummy in range(_MAX_REDIRECTS + 1):
            response = self._once(method, url, settings, headers, body)
            location = response.headers.get("Location")
            followed = (301, 302, 303, 307, 308) if method in ("GET", "HEAD") else (307, 308)
            if response.status not in followed or not location or not isinstance(body, (bytes, type(None))):
                return response
            target = guard(url, location)
            if origin(target) != origin(url):
                if body:  # it may be a form with a password
                    return response
                headers.pop("Authorization", None)
                settings = replace(settings, client_cert=None, client_key=None)
            response.discard()
            url = target
        where = "%s:%d" % origin(url)[1:]
        raise ContentError("%s redirected us more than %d times." % (where, _MAX_REDIRECTS), "UNSAFE_URL", where)

    def _once(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: bytes | t.Iterable[bytes] | None
    ) -> Response:
        self.count(requests=1)
        if not body and method in ("POST", "PUT", "PATCH"):
            headers = {**headers, "Content-Length": "0"}
        raw = self._session.request(
            method,
            url,
            headers=headers,
            data=t.cast(t.Any, body or None),
            stream=True,
            allow_redirects=False,
            timeout=self._timeout,
            verify=_verify(settings),
            cert=(settings.client_cert, settings.client_key) if settings.client_cert and settings.client_key else None,
            proxies=get_environ_proxies(url),
        )
        warning = raw.headers.get("Warning", "").split('"')
        if warning[0].startswith("299") and len(warning) > 1 and warning[1] not in self.warnings:
            self.warnings.append(warning[1])
        return Response(raw, url)


def _verify(settings: Settings) -> bool | str:
    for path in (settings.ca_path, settings.client_cert, settings.client_key):
        if path and settings.validate_certs and not os.path.exists(path):
            raise InvalidInput("The certificate file %s does not exist on this host." % path)
    bundles = (settings.ca_path, os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *_CA_BUNDLES)
    return settings.validate_certs and next((path for path in bundles if path and os.path.exists(path)), True)
