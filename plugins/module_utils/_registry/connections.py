# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to one server: whom to trust (TLS), and through which proxy."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import ssl
import typing as t
import weakref
from urllib.parse import urlsplit

from .._errors import InvalidInput, MissingLibrary
from .urls import LOOPBACK, network

with contextlib.suppress(ImportError):  # the transport says that it is missing
    import urllib3
    from urllib3.util.ssl_ import create_urllib3_context

_PROXY_KINDS = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # the names that "openssl rehash" gives to certificates of authorities
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def tls_context(
    validate_certs: bool, ca_path: str | None, client_cert: str | None, client_key: str | None
) -> ssl.SSLContext:
    """Return what certificates are checked against: the system's authorities and, beside them, those in ``ca_path``.

    Raises InvalidInput where a file is missing, cannot be read (FILE_ERROR), or holds something else.
    """
    for path in filter(None, (ca_path, client_cert, client_key)):
        _find(path)
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if validate_certs else ssl.CERT_NONE)
    if client_cert:
        try:
            context.load_cert_chain(client_cert, client_key, password="")
        except (ssl.SSLError, ValueError, TypeError) as exc:
            why = getattr(exc, "reason", None) or exc
            pair = f"client_cert {client_cert} and client_key {client_key}"
            raise InvalidInput(
                f"{pair} are not a certificate and its key in PEM, without a password ({why})."
            ) from None
        except OSError as exc:
            raise _unreadable_pair(exc, client_cert, client_key) from None
    if validate_certs:
        _trust_system(context)
        if ca_path:
            _trust(context, ca_path)
    return context


def _find(path: str) -> None:
    try:
        os.stat(path)
    except (FileNotFoundError, ValueError):  # ValueError: no file can have such a name
        raise InvalidInput(f"The certificate file {path} does not exist on this host.") from None
    except OSError as exc:
        raise _unreadable(path, exc) from None


def _unreadable(path: str, exc: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be read: {exc.strerror or exc}.", "FILE_ERROR")


def _unreadable_pair(exc: OSError, *paths: str | None) -> InvalidInput:
    """Return the error for the one of these files that cannot be read, which OpenSSL does not tell."""
    for path in filter(None, paths):
        try:
            with open(path, "rb"):
                pass
        except OSError as reason:
            return _unreadable(path, reason)
    return _unreadable(" or ".join(filter(None, paths)), exc)


def _trust_system(context: ssl.SSLContext) -> None:
    bundles = (os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *_CA_BUNDLES)
    found = next(filter(os.path.exists, filter(None, bundles)), None)
    if found:
        _trust(context, found)
    else:
        context.load_default_certs()


def _trust(context: ssl.SSLContext, path: str) -> None:
    if os.path.isdir(path):
        _trust_folder(context, path)
        return
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as exc:
        why = exc.reason or exc
        raise InvalidInput(f"{path} does not hold certificates of authorities in PEM ({why}).") from None
    except OSError as exc:
        raise _unreadable(path, exc) from None


def _trust_folder(context: ssl.SSLContext, folder: str) -> None:
    """Trust a folder: by hashed names, which OpenSSL looks up when it needs one, or else every file that has some."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as exc:
        raise _unreadable(folder, exc) from None
    if any(map(_HASHED.fullmatch, names)):
        context.load_verify_locations(capath=folder)
        return
    paths = [os.path.join(folder, name) for name in names]
    loaded, closed = False, None
    for path in filter(os.path.isfile, paths):
        try:
            context.load_verify_locations(cafile=path)
            loaded = True
        except ssl.SSLError:  # a key, or a file about something else
            continue
        except OSError as exc:  # perhaps a key, which is not for us
            closed = closed or _unreadable(path, exc)
    if not loaded:
        raise closed or InvalidInput(f"The folder {folder} holds no certificates of authorities in PEM.")


class Lines:
    """The sockets of all connections, so that who waits at one of them can be woken."""

    def __init__(self) -> None:
        self._open: list[weakref.ref[socket.socket]] = []
        self._cut = False

    def tap(self, manager: urllib3.PoolManager) -> urllib3.PoolManager:
        """Let the connections of a manager be known here."""
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._tapped(pool) for scheme, pool in pools.items()}
        return manager

    def cut(self) -> None:
        """End what is read and written on all connections now, in whatever thread, and allow no other."""
        self._cut = True
        for line in [reference() for reference in list(self._open)]:
            if line is not None:
                with contextlib.suppress(OSError):  # it is closed by now
                    socket.socket.shutdown(line, socket.SHUT_RDWR)  # TLS would want to say goodbye first

    def _tapped(self, pool: t.Any) -> t.Any:
        lines = self

        class Connection(pool.ConnectionCls):  # type: ignore[misc]
            def connect(self) -> None:
                if lines._cut:
                    raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
                super().connect()
                lines._open.append(weakref.ref(self.sock))

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def connect(url: str, options: dict[str, t.Any]) -> urllib3.PoolManager:
    """Return connections to a server, through the proxy that the environment names for it, if that is not this host.

    Raises InvalidInput where what it names is no proxy, in words that have none of it: it may hold a password.
    """
    if network(urlsplit(url).hostname or "") == LOOPBACK or not any(
        name.lower().endswith("_proxy") for name in os.environ
    ):
        return urllib3.PoolManager(**options)
    try:
        from requests.adapters import HTTPAdapter
        from requests.exceptions import InvalidSchema
        from requests.utils import get_environ_proxies, select_proxy
    except ImportError as exc:
        raise MissingLibrary("requests") from exc
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return urllib3.PoolManager(**options)
    variable, proxy = _variable(proxy), proxy if "://" in proxy else f"http://{proxy}"
    _check_proxy(proxy, variable)
    adapter = HTTPAdapter(pool_maxsize=options.pop("maxsize"))
    try:
        return t.cast(urllib3.PoolManager, adapter.proxy_manager_for(proxy, **options))
    except InvalidSchema:
        text = f"{variable} names a SOCKS proxy, for which this host needs the Python library PySocks; install it"
        raise InvalidInput(f"{text}, or name a proxy with http://.") from None
    except ValueError:
        raise _no_proxy(variable) from None


def _variable(proxy: str) -> str:
    """Return the name of the environment's variable that names this proxy."""
    names = (name for name, value in os.environ.items() if value == proxy and name.lower().endswith("_proxy"))
    return next(names, "HTTPS_PROXY or HTTP_PROXY")


def _no_proxy(variable: str) -> InvalidInput:
    text = f"{variable} is not the URL of a proxy; write http://USER:PASSWORD@HOST:PORT, and in a password / # ? @"
    return InvalidInput(f"{text} percent-encoded, such as %2F for /.")


def _check_proxy(proxy: str, variable: str) -> None:
    try:
        parts = urlsplit(proxy)
        host = re.fullmatch(r"\S+", parts.hostname or "") and parts.port != 0
        whole = host and parts.path in ("", "/") and not (parts.query or parts.fragment)
    except ValueError:  # a port that is no number, or brackets without an address in them
        whole = False
    if not whole or "\\" in proxy:  # urllib3 reads that as the end of the host
        raise _no_proxy(variable)
    if parts.scheme not in _PROXY_KINDS:
        raise InvalidInput(f"{variable} names a proxy of a kind that is not known; write http://HOST:PORT.")
