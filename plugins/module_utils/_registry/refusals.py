# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer means that is not the one that was asked for, in a sentence (distribution-spec, "Error Codes")."""

from __future__ import annotations

import re
import typing as t

from .._errors import ContentError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.manifest import parse_json
from .retry import retry_after
from .transport import Response
from .urls import address, origin

VERSION_HEADER = "Docker-Distribution-Api-Version"
_ABSENT = frozenset(("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"))
_MOST_WORDS = 300  # characters
# What proxies and servers write where http and https, or client certificates, do not fit together.
_TLS_ADVICE = (
    (b"HTTPS server|sent to HTTPS port", "set plain_http: false, it speaks https"),
    (b"No required SSL certificate", "it wants a client certificate; set client_cert and client_key"),
    (b"SSL certificate error", "it does not accept the client certificate; check client_cert and client_key"),
)


def _clean(text: str) -> str:
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words[:_MOST_WORDS].rstrip(".")


def _flat(value: t.Any, depth: int = 0) -> str:
    """Return the strings and numbers in a piece of JSON as words."""
    if isinstance(value, dict) and depth < 3:
        inner = [(name, _flat(item, depth + 1)) for name, item in value.items()]
        return ", ".join(f"{name} {text}" for name, text in inner if text)
    if isinstance(value, list) and depth < 3:
        return ", ".join(filter(None, (_flat(item, depth + 1) for item in value[:5])))
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _text_of(error: dict[str, t.Any], code: str | None) -> str:
    """Return the words of one error, with its detail where that adds something."""
    nested = error.get("error")
    found = [error.get("message"), error.get("details"), error.get("error_description")]
    found.append(nested.get("message") if isinstance(nested, dict) else nested)
    message = next(filter(None, map(_flat, found)), "")
    detail = "" if message and code in ("UNAUTHORIZED", "DENIED") else _flat(error.get("detail"))
    if detail and detail not in message:
        return f"{message} ({detail})" if message else detail
    return message


def read_error(body: bytes) -> tuple[str | None, str]:
    """Return the code and words of an error, trimmed and safe to print; what is HTML has none.

    Known are the specification's list of ``errors``, single objects with ``message``, ``details``, ``detail`` or
    ``error`` (also OAuth 2.0's, RFC 6749, 5.2), the XML of object stores, and plain text.
    """
    try:
        value = parse_json(body, "")
    except ContentError:
        text = body[:4096].decode("utf-8", "replace").strip()
        message = re.search("<Error>.*<Message>([^<]*)</Message>", text, re.DOTALL)
        return None, _clean(message[1] if message else "" if text[:1] in ("<", "{", "[") else text)
    errors = value.get("errors") or [value]
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    match = re.fullmatch(r"[A-Z0-9_]{1,64}", str(first.get("code") or ""))
    code = match and match[0]
    words = _clean(_text_of(first, code) or _flat(value.get("message")))
    more = len(errors) - 1 if isinstance(errors, list) else 0
    return code, f"{words}, and {more} more" if words and more else words


def _advice(response: Response, body: bytes, base_url: str) -> str:
    for pattern, advice in _TLS_ADVICE:
        if re.search(pattern, body):
            return advice
    onwards = response.headers.get("Location", response.url)
    return _TLS_ADVICE[0][1] if base_url.startswith("http:") and onwards.startswith("https:") else ""


def refusal(response: Response, what: str, host: str, base_url: str, who: t.Callable[[], str]) -> OCIError:
    """Return the error that explains an answer that is not what was asked for; it reads the answer's body.

    ``what`` names what was wanted, ``who`` says as whom it was requested (``as ci (from ...)``).
    """
    status, body = response.status, response.discard()
    code, words = read_error(body)
    said = f": {words}" if words else ""
    if origin(response.url) != origin(base_url):
        there = address(response.url)
        text = f"{what}: {there}, where {host} sent us, answered HTTP {status}{said}."
        return RegistryError(text, code or "", host, status)
    kind: type[OCIError] = RegistryError
    text = f"{what}: {host} answered HTTP {status}{said}."
    advice = _advice(response, body, base_url)
    if advice:
        text = f"{text[:-1]} ({advice})."
    elif status in (401, 403):
        kind, code = Denied, code or ("UNAUTHORIZED" if status == 401 else "DENIED")
        thing = f"the {what[4:]}" if what.startswith("The ") else what
        text = f"Access to {thing} was denied (HTTP {status}{said}); it was requested {who()}."
        text += " It may also not exist; check the name and the login."
    elif status == 404 and (code in _ABSENT or (not code and _speaks_as_a_registry(response, body, words))):
        kind, text = NotFound, f"{what} does not exist{said}."
    elif status == 404 and not code:
        code = "NOT_A_REGISTRY"
        text = f"{host} answered HTTP 404, but not as a registry does; check its host, port and path."
    elif status in (405, 501) or code == "UNSUPPORTED":
        kind, code = Unsupported, None
        text = f"{what}: {host} does not support this (HTTP {status}{said})."
    elif status == 413:
        text = f"{what}: the request is too large for {host} (HTTP 413{said}). Where a proxy in front of it sets the"
        text += " limit, raise it there (client_max_body_size on nginx)."
    elif status == 429:
        wait, code = retry_after(response.headers), code or "TOOMANYREQUESTS"
        asks = f"; it asks to wait {wait:.0f} s" if wait else ""
        text = f"{host} is rate-limiting this host (HTTP 429{said}){asks}. Try again later, log in, or lower jobs."
    return kind(text, code or "", host, status)


def _speaks_as_a_registry(response: Response, body: bytes, words: str) -> bool:
    """Is a 404 without a code a registry's answer about what it lacks, and not a router's about an unknown path?"""
    if words == "404 page not found":
        return False
    return VERSION_HEADER in response.headers or (body[:1] == b"{" and bool(words))
