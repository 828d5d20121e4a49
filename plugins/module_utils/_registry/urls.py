# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URLs a server may send us to."""

from __future__ import annotations

import ipaddress
import re
import socket
import typing as t
from urllib.parse import urljoin, urlsplit

from .._errors import ContentError

OPEN, PRIVATE, LOOPBACK, FORBIDDEN = range(4)


def origin(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port that a URL names, with the default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def address(url: str) -> str:
    """Return the ``host:port`` that a URL names."""
    dummy, host, port = origin(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def registry_of(url: str) -> str:
    """Return the host that a URL names as users write it: with its port only where that is not the scheme's own."""
    scheme, dummy, port = origin(url)
    return address(url).rpartition(":")[0] if (scheme, port) in (("https", 443), ("http", 80)) else address(url)


def network(host: str) -> int:
    """Tell by name alone where a host name or IP literal is; names are OPEN, cloud metadata (link-local) FORBIDDEN."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return LOOPBACK
    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            found = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001: what connect() reads as such
        except (OSError, ValueError):
            return OPEN
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return LOOPBACK
    if found.is_link_local or found.is_unspecified or found.is_multicast:
        return FORBIDDEN
    return OPEN if found.is_global else PRIVATE  # also 100.64.0.0/10, where some clouds keep their metadata


def _names_trusted(host: str, port: int, trusted: t.Iterable[str]) -> bool:
    names = {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"}
    return any(name.lower() in names or ("/" in name and _is_in(host, name)) for name in trusted)


def _is_in(host: str, network_text: str) -> bool:
    """Is a host that is an IP literal in a network, such as 10.0.0.0/8?"""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network_text, strict=False)
    except ValueError:
        return False


def _problem(base: str, target: str, trusted: t.Iterable[str]) -> str:
    """Say why an absolute URL is not to be followed; nothing where it may be. Raises ValueError where it is none."""
    scheme, host, dummy = origin(base)
    to, there, port = origin(target)
    readable = re.fullmatch(r"[!-\[\]-~]+", target)  # nothing that two parsers read in two ways
    if to not in ("http", "https") or not there or "@" in urlsplit(target).netloc or not readable:
        return "it is not a plain http or https URL"
    if to < scheme:
        return (
            f"it is not encrypted, as {host} is. If a proxy in front of {host} does the encryption, let it send "
            "X-Forwarded-Proto: https"
        )
    near = network(host)
    if there == host or _names_trusted(there, port, trusted):
        return ""
    if network(there) > (OPEN if near == FORBIDDEN else near):
        return f"it is an address in a network closer to this host. If that is meant, add {there} to trusted_hosts"
    return ""


def resolve_untrusted_url(base: str, target: str, trusted: t.Iterable[str] = ()) -> str:
    """Return the URL that a server at ``base`` told us to use, absolute, or raise ContentError (UNSAFE_URL).

    Refused are other schemes, a step from https to http, credentials, and hosts in a network closer than the server's,
    unless the user trusts them by name (``host`` or ``host:port``). An http URL of an https server at the very same
    address is one that the proxy in front of it forgot to correct; it is read as https.
    """
    where, registry, why = "?", "?", "it is not a URL"
    try:
        where, registry = address(base), registry_of(base)
        target = urljoin(base, target)
        if base.startswith("https:") and urlsplit(target).netloc.lower() == urlsplit(base).netloc.lower():
            target = re.sub("^http:", "https:", target, flags=re.IGNORECASE)
        why = _problem(base, target, trusted)
    except ValueError:
        pass
    if why:
        text = f"{where} told us to go to {ascii(target.partition('?')[0])[:200]}, which is not followed: {why}."
        raise ContentError(text, "UNSAFE_URL", registry)
    return target
