# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to registries. Of what the library ``requests`` brings, urllib3 does nearly all, and loads in half the time."""

from __future__ import annotations

import threading
import typing as t
from types import SimpleNamespace

from .._errors import ContentError, MissingLibrary, OCIError
from .failures import failure, proxy_refused
from .progress import Progress
from .retry import Retries
from .urls import address, origin, registry_of, resolve_untrusted_url

IMPORT_ERROR: ImportError | None = None
try:
    import urllib3

    from .connections import Lines, connect, tls_context
except ImportError as exc:
    IMPORT_ERROR = exc

Headers = t.Mapping[str, str]
Body = t.Union[bytes, t.Iterable[bytes], None]

_MAX_REDIRECTS = 5
_LEAST_SECRET = 8  # characters; what is shorter may be a word, and masking it would eat holes into every result
_LEAST_TIME = 1.0  # seconds; a request with less time would tell nothing
_COUNTERS = ("requests", "bytes_sent", "bytes_received", "blobs_pushed", "blobs_mounted", "blobs_skipped")


class Turns(t.Protocol):
    """Who says when a request may be sent, where a task has a budget of them: see ``pace``."""

    def begin(self, method: str, url: str) -> t.Any: ...

    def end(self, turn: t.Any, headers: Headers) -> None: ...


class Settings(t.NamedTuple):
    """How to reach one registry. ``plain_http`` None means: http on loopback, https elsewhere.

    ``ca_path`` (a file or folder of PEM certificates) is trusted beside the system's authorities. ``trusted_hosts`` are
    those (``host`` or ``host:port``) that the registry may send us to although they are in a closer network.
    """

    plain_http: bool | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    trusted_hosts: tuple[str, ...] = ()


class Response:
    """An answer whose body has not been read yet. Header names are case-insensitive.

    ``url`` is where the answer came from in the end, ``authorized`` whether an Authorization was sent there.
    """

    def __init__(self, raw: t.Any, url: str, progress: Progress, authorized: bool = False, sent_by: str = "") -> None:
        self._raw = raw
        self._progress = progress
        self._sent_by = sent_by
        self.url = url
        self.authorized = authorized
        self.status: int = raw.status
        self.headers: Headers = raw.headers

    def chunks(self, size: int = 1 << 20) -> t.Iterator[bytes]:
        """Yield the body as it comes, undecoded. Raises ConnectionFailed where it breaks off."""
        host = address(self.url)
        try:
            while True:
                with self._progress.waiting(f"for more of an answer of {host}"):
                    chunk = self._raw.read(size)
                if not chunk:
                    break
                yield chunk
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as exc:  # ValueError: a chunk of negative length
            raise failure(exc, self.url, self._sent_by) from None
        finally:
            self._raw.close()
            self._raw.release_conn()

    def read(self, limit: int, what: str) -> bytes:
        """Return the body, at most ``limit`` bytes; ``what`` names it in the error where it is longer (TOO_LARGE)."""
        body = bytearray()
        for chunk in self.chunks(1 << 16):
            body += chunk
            if len(body) > limit:
                raise ContentError(f"{what} has more than the {limit} bytes that are read of it.", "TOO_LARGE")
        return bytes(body)

    def read_document(self, limit: int, what: str) -> bytes:
        """Return a body that should be JSON. Raises ContentError where it is a web page (NOT_A_REGISTRY)."""
        body = self.read(limit, what)
        if self.headers.get("Content-Type", "").startswith("text/html") and body.lstrip()[:1] == b"<":
            text = f"{what}: {address(self.url)} answered with a web page instead, as a login page or a firewall does"
            raise ContentError(f"{text}; check what is in front of the registry, and its address.", "NOT_A_REGISTRY")
        return body

    def discard(self) -> bytes:
        """Read what is left, so that the connection can serve again, and return it if it is whole and small."""
        try:
            return self.read(1 << 16, self.url)
        except OCIError:
            return b""


class Transport(Retries):
    """Connections, counters, secrets, and one budget of patience; no cookies, no netrc."""

    def __init__(
        self, timeout: float = 60, retries: int = 3, pool: int = 4, sleep: t.Callable[[float], object] | None = None
    ) -> None:
        if IMPORT_ERROR:
            raise MissingLibrary("requests") from IMPORT_ERROR
        super().__init__(retries, sleep)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.counters = SimpleNamespace(**dict.fromkeys(_COUNTERS, 0))
        self.secrets: set[str] = set()  # what must not be shown
        self.warnings: list[str] = []
        self.pace: Turns | None = None
        self._lock = threading.Lock()
        self._contexts: dict[tuple[t.Any, ...], t.Any] = {}
        self._managers: dict[tuple[t.Any, ...], urllib3.PoolManager] = {}
        self._lines = Lines()
        self._timeout = timeout
        self._options = {"maxsize": pool + 1}

    def send(
        self,
        method: str,
        url: str,
        settings: Settings,
        headers: Headers | None = None,
        body: Body = None,
        repeat: bool = True,
        sent_by: str = "",
    ) -> Response:
        """Return the final answer to a request, whatever its status, or raise ConnectionFailed.

        With ``repeat``, broken connections and statuses that may pass (429, 5xx) are tried again. ``sent_by`` names the
        registry that sent us to this URL, where it is not the registry's own.
        """

        def attempt() -> Response:
            return self._follow(method, url, settings, dict(headers or {}), body, sent_by)

        return self.again(attempt) if repeat else attempt()

    def abort(self) -> None:
        """Let every thread that waits for an answer, or for its next try, fail at once, as nobody wants it any more."""
        self.give_up()
        self._lines.cut()

    def count(self, **amounts: int) -> None:
        """Add to the counters, from any thread; bytes are those of manifests, blobs and lists."""
        with self._lock:
            for name, amount in amounts.items():
                vars(self.counters)[name] += amount

    def hide(self, *secrets: str) -> None:
        """Keep secrets out of all that is printed, if they are long enough not to be a word of something else."""
        self.secrets.update(secret for secret in secrets if len(secret) >= _LEAST_SECRET)

    def warn(self, text: str) -> None:
        """Tell the user something, once."""
        text = "".join(filter(str.isprintable, text))
        if text not in self.warnings:
            self.warnings.append(text)

    def _follow(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: Body, sent_by: str
    ) -> Response:
        headers.update({"User-Agent": "quayside.registry", "Accept-Encoding": "identity"})
        if not body and method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        first = url
        for dummy in range(_MAX_REDIRECTS + 1):
            response = self._once(method, url, settings, headers, body, sent_by if url == first else address(first))
            location = response.headers.get("Location")
            followed = (301, 302, 303, 307, 308) if method in ("GET", "HEAD") else (307, 308)
            if response.status not in followed or not location or not isinstance(body, (bytes, type(None))):
                return response
            target = resolve_untrusted_url(url, location, settings.trusted_hosts)
            if origin(target) != origin(url):
                if body:  # it may be a form with a password
                    return response
                headers.pop("Authorization", None)
                settings = settings._replace(client_cert=None, client_key=None)
            response.discard()
            url = target
        where = address(url)
        raise ContentError(f"{where} redirected us more than {_MAX_REDIRECTS} times.", "UNSAFE_URL", registry_of(url))

    def _once(
        self, method: str, url: str, settings: Settings, headers: dict[str, str], body: Body, sent_by: str
    ) -> Response:
        turn = self.pace.begin(method, url) if self.pace else None
        self.count(requests=1)
        told: Headers = {}
        try:
            with self.progress.asking(address(url)):
                raw = self._manager(url, settings).request(
                    method,
                    url,
                    body=body or None,
                    headers=headers,
                    redirect=False,  # followed by stricter rules
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    enforce_content_length=True,
                    timeout=max(_LEAST_TIME, min(self._timeout, self.left())),
                )
            told = raw.headers
        except (OSError, urllib3.exceptions.HTTPError) as exc:
            raise failure(exc, url, sent_by) from None
        finally:
            if self.pace:
                self.pace.end(turn, told)
        response = Response(raw, url, self.progress, "Authorization" in headers, sent_by)
        if response.status == 407:
            response.discard()
            raise proxy_refused(url, 407, sent_by)
        code, *text = "".join(filter(str.isprintable, response.headers.get("Warning", ""))).split('"')
        if code.startswith("299") and text:
            self.warn(text[0])
        return response

    def _manager(self, url: str, settings: Settings) -> urllib3.PoolManager:
        key = settings, origin(url)
        with self._lock:
            if key not in self._managers:
                options = dict(self._options)
                if key[1][0] == "https":
                    options.update(self._tls(settings))
                self._managers[key] = self._lines.tap(connect(url, options))
            return self._managers[key]

    def _tls(self, settings: Settings) -> dict[str, t.Any]:
        """Return options for urllib3; what the same files say is read once."""
        key = settings.validate_certs, settings.ca_path, settings.client_cert, settings.client_key
        if key not in self._contexts:
            self._contexts[key] = tls_context(*key)
        required = "CERT_REQUIRED" if settings.validate_certs else "CERT_NONE"
        return {"ssl_context": self._contexts[key], "cert_reqs": required}
