# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broken connection means, in a sentence."""

from __future__ import annotations

import re
import socket
import typing as t

from .._errors import ConnectionFailed
from .urls import address, origin, registry_of

# What the text of a TLS error has in it, and what it means. The first that fits is told.
_TLS = {
    "record layer failure|wrong version number": "it does not speak TLS; set plain_http: true if it is meant to",
    "mismatch|doesn't match": "its certificate is for another name; use a name that the certificate has",
    "has expired": "its certificate has expired; renew it, or correct the clock of this host",
    "not yet valid": "its certificate is not valid yet; correct the clock of this host, or of the one that made it",
    "key usage|authority key identifier|subject key identifier|basic constraints|marked critical": (
        "its certificate, or the authority's, lacks what this version of Python demands; make it again with the "
        "extensions basicConstraints and keyUsage (openssl req -x509 -addext keyUsage=critical,keyCertSign,cRLSign)"
    ),
    "verify failed": "its certificate is not trusted; set ca_path to the authority that signed it",
    "certificate required": "it wants a client certificate; set client_cert and client_key",
    "unknown ca|bad certificate": "it does not accept the client certificate; check client_cert and client_key",
}


def _chain(exc: BaseException) -> list[BaseException]:
    """Return an exception and all that it wraps, in any of the ways that urllib3 and requests do that."""
    found: list[BaseException] = []
    queue: list[t.Any] = [exc]
    while queue and len(found) < 30:
        link = queue.pop(0)
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            queue += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found


def _tls_trouble(text: str, last: str) -> tuple[str, bool]:
    """Return what a TLS error means, and whether another try is of no help."""
    for mark, meaning in _TLS.items():
        if re.search(mark, text):
            said = re.search(r"certificate verify failed: ([^(]+?) *\(", text)  # OpenSSL's own reason
            more = (said and not re.search(mark, said[1])) or mark.startswith("key usage")
            return meaning.replace(";", f" ({said[1]});", 1) if said and more else meaning, True
    return f"the TLS connection failed ({last})", False  # it may only have broken off


def proxy_refused(url: str, status: int, sent_by: str = "") -> ConnectionFailed:
    """Return the error for a proxy that does not let us through to a URL."""
    if status == 407:
        why = "wants a login (HTTP 407); write http://USER:PASSWORD@HOST:PORT into HTTPS_PROXY or HTTP_PROXY"
    else:
        why = f"refused the connection (HTTP {status}); allow it there"
    text = f"Cannot talk to {address(url)}: the proxy that HTTPS_PROXY or HTTP_PROXY names {why}, or set NO_PROXY."
    failed = ConnectionFailed(f"{text}{_via(sent_by)}", "", registry_of(url))
    failed.final = True
    return failed


def _via(sent_by: str) -> str:
    return f" {sent_by} sent us there." if sent_by else ""


def failure(exc: BaseException, url: str, sent_by: str = "") -> ConnectionFailed:
    """Turn what urllib3, requests or a socket raised into a sentence that says what to change.

    ``sent_by`` is the ``host[:port]`` of the server that told us to go to this URL, where the user did not.
    """
    chain = _chain(exc)
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    text = " ".join(map(str, chain)).lower().replace("_", " ")
    last = (str(chain[-1]) or type(chain[-1]).__name__)[:120]
    tunnel = re.search(r"tunnel connection failed: (\d{3})", text)
    if tunnel:
        return proxy_refused(url, int(tunnel[1]), sent_by)
    code, final = "", False
    if kinds & {"SSLError", "CertificateError"}:
        code = "TLS_ERROR"
        why, final = _tls_trouble(text, last)
    elif "ProxyError" in kinds:
        why = "the proxy that HTTP_PROXY or HTTPS_PROXY names does not answer; check it, or set NO_PROXY"
    elif kinds & {"gaierror", "NameResolutionError"}:
        why = "its name does not resolve; check the spelling"
        final = not any(isinstance(link, socket.gaierror) and link.errno == socket.EAI_AGAIN for link in chain)
    elif "ConnectionRefusedError" in kinds:
        why = "the connection was refused; check that the registry runs and that the port is right"
    elif "timed out" in text or kinds & {"Timeout", "TimeoutError"}:
        code, why = "TIMEOUT", "it did not answer in time; check the network, or raise timeout"
    else:
        why = f"the connection broke ({last})"
    text = f"Cannot talk to {address(url)} over {origin(url)[0]}: {why}.{_via(sent_by)}"
    failed = ConnectionFailed(text, code, registry_of(url))
    failed.final = final
    return failed
