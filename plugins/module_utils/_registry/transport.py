# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to registries. Of what the library ``requests`` brings, urllib3 does nearly all, and loads in half the time."""

from __future__ import annotations

import os
import random
import threading
import time
import typing as t
from types import SimpleNamespace

from .._errors import ConnectionFailed, ContentError, InvalidInput, MissingLibrary, OCIError
from .failures import failure
from .urls import origin, resolve_untrusted_url

IMPORT_ERROR: ImportError | None = None
try:
    import urllib3
except ImportError as exc:
    IMPORT_ERROR = exc

Headers = t.Mapping[str, str]
Body = t.Union[bytes, t.Iterable[bytes], None]
Outcome = t.TypeVar("Outcome")

_DAMAGE = frozenset(("DIGEST_MISMATCH", "DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "SIZE_MISMATCH"))
RETRIED = frozenset((408, 425, 429, 499, 500, 502, 503, 504, 522))
_MAX_REDIRECTS = 5
_FIRST_WAIT = 0.25  # seconds; doubled at each try
_MAX_WAIT = 60.0  # seconds; a server that asks for more gets no further try
_PATIENCE = 300.0  # seconds that a whole task may spend waiting
_COUNTERS = ("requests", "bytes_sent", "bytes_received", "blobs_pushed", "blobs_mounted", "blobs_skipped")
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class Settings(t.NamedTuple):
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
        self.status: int = raw.status
        self.headers: Headers = raw.headers

    def chunks(self, size: int = 1 << 20) -> t.Iterator[bytes]:
        """Yield the body as it comes, undecoded. Raises ConnectionFailed where it breaks off."""
        try:
            while chunk := self._raw.read(size):
                yield chunk
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as exc:  # ValueError: a chunk of negative length
            raise failure(exc, self.url) from None
        finally:
            self._raw.close()
            self._raw.release_conn()

    def read(self, limit: int, what: str) -> bytes:
        """Return the body, which ``what`` names in the error where it is longer."""
        body = bytearray()
        for chunk in self.chunks(1 << 16):
            body += chunk
            if len(body) > limit:
                raise ContentError(f"{what} has more than the {limit} bytes that are read of it.", "TOO_LARGE")
        return bytes(body)

    def discard(self) -> bytes:
        """Read what is left, so that the connection can serve again, and return it if it is whole and small."""
        try:
            return self.read(1 << 16, self.url)
        except OCIError:
            return b""


def is_corrupt(exc: OCIError) -> bool:
    """May bits that flipped on the way be behind this?"""
    return exc.code in _DAMAGE or (exc.code, exc.status) == ("UNKNOWN", 400)


def is_transient(exc: BaseException) -> bool:
    """May the same succeed at another time?"""
    return isinstance(exc, OCIError) and (isinstance(exc, ConnectionFailed) or exc.status in RETRIED or is_corrupt(exc))


def retry_after(headers: Headers) -> float | None:
    """Return the seconds that a Retry-After header asks for, be it by a date; None without one."""
    try:
        return min(1e6, urllib3.Retry().parse_retry_after(headers["Retry-After"]))
    except (KeyError, ValueError, OverflowError, urllib3.exceptions.InvalidHeader):
        return None


class Transport:
    """Connections, counters, secrets, and one budget of patience; no cookies, no netrc."""

    def __init__(
        self, timeout: float = 60, retries: int = 3, pool: int = 4, sleep: t.Callable[[float], None] = time.sleep
    ) -> None:
        if IMPORT_ERROR:
            raise MissingLibrary("requests") from IMPORT_ERROR
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.counters = SimpleNamespace(**dict.fromkeys(_COUNTERS, 0))
        self.retries = retries
        self.secrets: set[str] = set()  # all that were used, so that none of them is shown
        self.warnings: list[str] = []
        self._lock = threading.Lock()
        self._managers: dict[tuple[t.Any, ...], urllib3.PoolManager] = {}
        self._options = {"timeout": timeout, "maxsize": pool + 1}
        self._patience = _PATIENCE
        self._sleep = sleep

    def send(
        self,
        method: str,
        url: str,
        settings: Settings,
        headers: Headers | None = None,
        body: Body = None,
        repeat: bool = True,
    ) -> Response:
        """Return the final answer to a request, whatever its status, or raise ConnectionFailed.

        With ``repeat``, broken connections and passing errors (429, 5xx) are tried again.
        """

        def attempt() -> Response:
            try:
                return self._follow(method, url, settings, dict(headers or {}), body)
            except (OSError, urllib3.exceptions.HTTPError) as exc:
                raise failure(exc, url) from None

        return self.again(attempt) if repeat else attempt()

    def again(self, attempt: t.Callable[[], Outcome]) -> Outcome:
        """Return an outcome; after passing trouble ``attempt`` is made again, unless the same damage comes twice."""
        tried, said = 0, ""
        while True:
            try:
                outcome = attempt()
                if getattr(outcome, "status", 0) not in RETRIED or tried == self.retries:
                    return outcome
                response = t.cast(Response, outcome)
                if not self.pause(tried, retry_after(response.headers)):
                    return outcome
                response.discard()
            except OCIError as exc:
                exc.final |= not isinstance(exc, ConnectionFailed) and (not is_corrupt(exc) or str(exc) == said)
                if exc.final or tried == self.retries or not self.pause(tried):
                    exc.final = True
                    raise
                said = str(exc)
            tried += 1

    def pause(self, tried: int, asked: float | None = None) -> bool:
        """Wait for a growing, jittered time or what was asked for; False when that is too long."""
        wait = (_FIRST_WAIT * 2**tried if asked is None else asked) + random.random() * _FIRST_WAIT
        if wait > min(_MAX_WAIT, self._patience):
            return False
        self._patience -= wait
        self._sleep(wait)
        return True

    def count(self, **amounts: int) -> None:
        """Add to the counters, from any thread; bytes are those of manifests, blobs and lists."""
        with self._lock:
            for name, amount in amounts.items():
                vars(self.counters)[name] += amount

    def _follow(self, method: str, url: str, settings: Settings, headers: dict[str, str], body: Body) -> Response:
        headers.update({"User-Agent": "quayside.registry", "Accept-Encoding": "identity"})
        if not body and method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        for dummy in range(_MAX_REDIRECTS + 1):
            self.count(requests=1)
            raw = self._manager(url, settings).request(
                method,
                url,
                body=body or None,
                headers=headers,
                redirect=False,  # followed below, by stricter rules
                retries=False,
                preload_content=False,
                decode_content=False,
                enforce_content_length=True,
            )
            code, *text = "".join(filter(str.isprintable, raw.headers.get("Warning", ""))).split('"')
            if code.startswith("299") and text and text[0] not in self.warnings:
                self.warnings.append(text[0])
            response, location = Response(raw, url), raw.headers.get("Location")
            followed = (301, 302, 303, 307, 308) if method in ("GET", "HEAD") else (307, 308)
            if response.status not in followed or not location or not isinstance(body, (bytes, type(None))):
                return response
            target = resolve_untrusted_url(url, location)
            if origin(target) != origin(url):
                if body:  # it may be a form with a password
                    return response
                headers.pop("Authorization", None)
                settings = settings._replace(client_cert=None, client_key=None)
            response.discard()
            url = target
        where = "{1}:{2}".format(*origin(url))
        raise ContentError(f"{where} redirected us more than {_MAX_REDIRECTS} times.", "UNSAFE_URL", where)

    def _manager(self, url: str, settings: Settings) -> urllib3.PoolManager:
        key = settings, origin(url)
        with self._lock:
            if key not in self._managers:
                self._managers[key] = _connections(url, {**self._options, **_tls(settings)})
            return self._managers[key]


def _connections(url: str, options: dict[str, t.Any]) -> urllib3.PoolManager:
    """Return connections to a server, through the proxy that the environment names for it."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return urllib3.PoolManager(**options)
    try:
        from requests.adapters import HTTPAdapter
        from requests.utils import get_environ_proxies, select_proxy
    except ImportError as exc:
        raise MissingLibrary("requests") from exc
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return urllib3.PoolManager(**options)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    adapter = HTTPAdapter(pool_maxsize=options.pop("maxsize"))
    return t.cast(urllib3.PoolManager, adapter.proxy_manager_for(proxy, **options))


def _tls(settings: Settings) -> dict[str, t.Any]:
    for path in filter(None, settings[2:]):
        if not os.path.exists(path):
            raise InvalidInput(f"The certificate file {path} does not exist on this host.")
    own = {"cert_file": settings.client_cert, "key_file": settings.client_key}
    if not settings.validate_certs:
        return {"cert_reqs": "CERT_NONE", **own}
    bundles = (settings.ca_path, os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *_CA_BUNDLES)
    found = next(filter(os.path.exists, filter(None, bundles)), None)
    kind = "ca_cert_dir" if found and os.path.isdir(found) else "ca_certs"
    return {"cert_reqs": "CERT_REQUIRED", kind: found, **own}
