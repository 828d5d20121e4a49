# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URLs a server may send us to."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urljoin, urlsplit

from .._errors import ContentError

# The kinds of host that a server on loopback, or in a private network, may send us to.
_NAMES = {"loopback": ("named", "public", "private", "loopback"), "private": ("named", "public", "private")}


def origin(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port that a URL names, with the default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    """Is this host name or IP literal on this machine, by name alone?"""
    return _network(host) == "loopback"


def _network(host: str) -> str:
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001: what connect() reads as such
        except (OSError, ValueError):
            return "named"
    address = getattr(address, "ipv4_mapped", None) or address
    for kind in ("loopback", "link_local", "unspecified", "multicast"):
        if getattr(address, "is_" + kind):
            return kind
    return "public" if address.is_global else "private"  # also 100.64.0.0/10, where some clouds keep their metadata


def guard(base: str, target: str) -> str:
    """Return the URL that a server at ``base`` told us to use, absolute, or raise ContentError.

    Refused are other schemes, a step from https to http, credentials, and addresses of networks that the server is not
    in itself: link-local (cloud metadata), loopback, private.
    """
    here = there = ("", "", 0)
    try:
        here = origin(base)
        target = urljoin(base, target)
        there = origin(target)
        odd = "@" in urlsplit(target).netloc or not re.fullmatch(r"[!-\[\]-~]+", target)  # nothing to misread
    except ValueError:
        odd = True
    near = here[1] == there[1] or _network(there[1]) in _NAMES.get(_network(here[1]), ("named", "public"))
    if odd or not near or not there[1] or there[0] not in ("http", "https") or here[0] > there[0]:
        where, shown = "%s:%d" % here[1:], ascii(target.partition("?")[0])[:200]
        why = "it is less protected than the registry itself, or an address that only this host can reach"
        raise ContentError(
            "%s told us to go to %s, which is not followed: %s." % (where, shown, why), "UNSAFE_URL", where
        )
    return target
