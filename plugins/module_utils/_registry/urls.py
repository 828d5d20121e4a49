# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URLs a server may send us to."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urljoin, urlsplit

from .._errors import ContentError

OPEN, PRIVATE, LOOPBACK, FORBIDDEN = range(4)


def origin(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port that a URL names, with the default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def network(host: str) -> int:
    """Tell by name alone where a host name or IP literal is; names are OPEN, cloud metadata (link-local) FORBIDDEN."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return LOOPBACK
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001: what connect() reads as such
        except (OSError, ValueError):
            return OPEN
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return LOOPBACK
    if address.is_link_local or address.is_unspecified or address.is_multicast:
        return FORBIDDEN
    return OPEN if address.is_global else PRIVATE  # also 100.64.0.0/10, where some clouds keep their metadata


def resolve_untrusted_url(base: str, target: str) -> str:
    """Return the URL that a server at ``base`` told us to use, absolute, or raise ContentError.

    Refused are other schemes, a step from https to http, credentials, and hosts in a network closer than the server's.
    """
    host, port = "?", 0
    try:
        scheme, host, port = origin(base)
        near = network(host)
        target = urljoin(base, target)
        to, there, dummy = origin(target)
        odd = to not in ("http", "https") or to < scheme or not there or "@" in urlsplit(target).netloc
        odd = odd or not re.fullmatch(r"[!-\[\]-~]+", target)  # nothing to misread
        odd = odd or (there != host and network(there) > (OPEN if near == FORBIDDEN else near))
    except ValueError:
        odd = True
    if odd:
        text = f"{host}:{port} told us to go to {ascii(target.partition('?')[0])[:200]}, which is not followed: "
        text += "it is less protected than the registry itself, or an address that only this host can reach."
        raise ContentError(text, "UNSAFE_URL", f"{host}:{port}")
    return target
