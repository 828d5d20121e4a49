# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to registries, for a whole task: the only file that knows ``requests``."""

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

Headers = t.Mapping[str, str]
Body = t.Union[bytes, t.Iterable[bytes], None]

RETRIED = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 522))
_MAX_REDIRECTS = 5
_FIRST_WAIT = 0.25  # seconds; doubled at each try
_MAX_WAIT = 60.0  # seconds; a server that asks for more gets no further try
_PATIENCE = 300.0  # seconds that a whole task may spend waiting
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_COUNTERS = ("requests", "bytes_sent", "bytes_received", "blobs_pushed", "blobs_mounted", "blobs_skipped")


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
        self.headers: Headers = raw.headers

    def chunks(self, size: int = 1 << 20) -> t.Iterator[bytes]:
        """Yield the body as it comes, undecoded. Raises ConnectionFailed where it breaks off."""
        promised, total = self.headers.get("Content-Length", ""), 0
        try:
            while chunk := self._raw.raw.read(size, decode_content=False):
                total += len(chunk)
                yield chunk
            if promised.isdecimal() and total < int(promised):  # which old versions of urllib3 do not mind
                raise ConnectionResetError("%d of %s bytes came" % (total, promised))
        except BROKEN as exc:
            raise failure(exc, self.url) from None
        finally:
            self._raw.close()

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


def retry_after(headers: Headers) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date; None without one."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


class Transport:
    """One connection pool, one set of counters, one budget of patience; no cookies, no netrc."""

    def __init__(
        self, timeout: float = 60, retries: int = 3, pool: int = 4, sleep: t.Callable[[float], None] = time.sleep
    ) -> None:
        if IMPORT_ERROR:
            raise MissingLibrary("requests") from IMPORT_ERROR
        self.counters = SimpleNamespace(**dict.fromkeys(_COUNTERS, 0))
        self.warnings: list[str] = []
        self.retries = retries
        self._lock = threading.Lock()
        self._timeout = timeout
        self._sleep = sleep
        self._patience = _PATIENCE
        self._session = session = requests.Session()
        session.trust_env = False  # no netrc
        # Redirects are followed below; left alone, requests would read their bodies, however long.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        session.headers.update({"User-Agent": "quayside.registry", "Accept-Encoding": "identity"})
        for prefix in ("http://", "https://"):
            session.mount(prefix, requests.adapters.HTTPAdapter(pool_connections=16, pool_maxsize=pool + 1))
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(
        self,
        method: str,
        url: str,
        settings: Settings,
        headers: Headers | None = None,
        body: Body = None,
        repeat: bool = True,
    ) -> Response:
        """Send a request and return the final answer, whatever its status, or raise ConnectionFailed.

        With ``repeat``, broken connections and passing errors (429, 5xx) are tried again after some time.
        """
        tried = 0
        while True:
            last = not repeat or tried == self.retries
            try:
                response = self._follow(method, url, settings, dict(headers or {}), body)
                if last or response.status not in RETRIED or not self.pause(tried, retry_after(response.headers)):
                    return response
                response.discard()
            except BROKEN as exc:
                failed = failure(exc, url)
                if last or failed.final or not self.pause(tried):
                    raise failed from None
            tried += 1

    def pause(self, tried: int, asked: float | None = None) -> bool:
        """Wait before the next try, for a growing, jittered time or what was asked for; False when that is too long."""
        wait = asked if asked is not None else _FIRST_WAIT * 2**tried
        wait += random.random() * _FIRST_WAIT
        if wait > min(_MAX_WAIT, self._patience):
            return False
        self._patience -= wait
        self._sleep(wait)
        return True

    def count(self, **amounts: int) -> None:
        """Add to the counters, from any thread; bytes are those of manifests, blobs and lists."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self.counters, name, getattr(self.counters, name) + amount)

    def _follow(self, method: str, url: str, settings: Settings, headers: dict[str, str], body: Body) -> Response:
        if not body and method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        for dummy in range(_MAX_REDIRECTS + 1):
            self.count(requests=1)
            cert = (settings.client_cert or "", settings.client_key or "")
            raw = self._session.request(
                method,
                url,
                headers=headers,
                data=body or None,
                stream=True,
                allow_redirects=False,
                timeout=self._timeout,
                verify=_verify(settings),
                cert=cert if all(cert) else None,
                proxies=get_environ_proxies(url),
            )
            self._warn(raw.headers.get("Warning", ""))
            response, location = Response(raw, url), raw.headers.get("Location")
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

    def _warn(self, header: str) -> None:
        code, *text = header.split('"')
        if code.startswith("299") and text and text[0] not in self.warnings:
            self.warnings.append(text[0])


def _verify(settings: Settings) -> bool | str:
    for path in (settings.ca_path, settings.client_cert, settings.client_key):
        if path and settings.validate_certs and not os.path.exists(path):
            raise InvalidInput("The certificate file %s does not exist on this host." % path)
    bundles = (settings.ca_path, os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *_CA_BUNDLES)
    return settings.validate_certs and next((path for path in bundles if path and os.path.exists(path)), True)
