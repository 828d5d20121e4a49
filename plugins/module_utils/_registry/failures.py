# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broken connection means, in a sentence."""

from __future__ import annotations

import re
import socket
import typing as t

from .._errors import ConnectionFailed
from .urls import origin

# What the text of a TLS error has in it, and what it means. The first that fits is told.
_TLS = {
    "record layer failure|wrong version number": "it speaks no TLS; set plain_http: true if it is an http registry",
    "mismatch|doesn't match": "its certificate is for another name; use a name that the certificate has",
    "verify failed": "its certificate is not trusted; set ca_path to the authority that signed it",
    "certificate required": "it wants a client certificate; set client_cert and client_key",
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


def failure(exc: BaseException, url: str) -> ConnectionFailed:
    """Turn what urllib3, requests or a socket raised into a sentence that says what to change."""
    scheme, host, port = origin(url)
    chain = _chain(exc)
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    text = " ".join(map(str, chain)).lower().replace("_", " ")
    last = (str(chain[-1]) or type(chain[-1]).__name__)[:120]
    code, final = "", False
    if kinds & {"SSLError", "CertificateError"}:
        known = [why for mark, why in _TLS.items() if re.search(mark, text)]
        code, final = "TLS_ERROR", bool(known)  # another try may help where the connection only broke off
        why = known[0] if known else f"the TLS connection failed ({last})"
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
    failed = ConnectionFailed(f"Cannot talk to {host}:{port} over {scheme}: {why}.", code, f"{host}:{port}")
    failed.final = final
    return failed
