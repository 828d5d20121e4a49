# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer means that is not the one that was asked for, in a sentence (distribution-spec, "Error Codes")."""

from __future__ import annotations

import re
import typing as t

from .._errors import ContentError, Denied, NotFound, OCIError, RegistryError, Unsupported
from .._oci.manifest import parse_json
from .retry import retry_after
from .transport import Response
from .urls import address, origin, registry_of

VERSION_HEADER = "Docker-Distribution-Api-Version"
_ABSENT = frozenset(("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"))
_MOST_WORDS = 300  # characters
# What proxies and servers write where http and https, or client certificates, do not fit together.
_SPEAKS_HTTPS = "set plain_http: false, it speaks https"
_TLS_ADVICE = (
    (b"HTTPS server|sent to HTTPS port", _SPEAKS_HTTPS),
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


def _leads_to_https(response: Response, base_url: str) -> bool:
    """Was an http request sent on to https, or would it have been?"""
    onwards = response.headers.get("Location", response.url)
    return base_url.startswith("http:") and onwards.startswith("https:")


def _advice(response: Response, body: bytes, base_url: str) -> str:
    """Say what to change where http and https, or certificates, do not fit together; nothing where that is not so."""
    if _leads_to_https(response, base_url):
        return _SPEAKS_HTTPS
    return next((advice for pattern, advice in _TLS_ADVICE if re.search(pattern, body)), "")


def _advice_there(response: Response, host: str, base_url: str) -> str:
    """Say what to change where an http request was sent on to https at the same host, which is no other server."""
    first, last = origin(base_url), origin(response.url)
    if (first[:2], last[:2]) != (("http", last[1]), ("https", first[1])):
        return ""
    name = registry_of(response.url)
    return f" ({_SPEAKS_HTTPS})" if name == host else f" (write {name} and {_SPEAKS_HTTPS})"


class _Answer(t.NamedTuple):
    """An answer that is not what was asked for, as far as it is read."""

    what: str
    host: str
    status: int
    code: str | None
    words: str

    @property
    def said(self) -> str:
        return f"HTTP {self.status}: {self.words}" if self.words else f"HTTP {self.status}"

    def error(self, kind: type[OCIError], text: str, code: str | None = None) -> OCIError:
        """Make an error; without ``code`` it has the registry's, with an empty one that of its kind."""
        return kind(text, (self.code or "") if code is None else code, self.host, self.status)


def refusal(response: Response, what: str, host: str, base_url: str, who: t.Callable[[], str]) -> OCIError:
    """Return the error that explains an answer that is not what was asked for; it reads the answer's body.

    ``what`` names what was wanted, ``who`` says as whom it was requested (``as ci (from ...)``). Denied are 401 and
    403, NotFound 404 from a registry, Unsupported 405, 501 and its code UNSUPPORTED; all else is a RegistryError.
    """
    body = response.discard()
    answer = _Answer(what, host, response.status, *read_error(body))
    plain = f"{what}: {host} answered {answer.said}"
    if origin(response.url) != origin(base_url):
        there = f"{what}: {address(response.url)}, where {host} sent us, answered {answer.said}"
        return answer.error(RegistryError, f"{there}{_advice_there(response, host, base_url)}.")
    advice = _advice(response, body, base_url)
    if advice:
        return answer.error(RegistryError, f"{plain} ({advice}).")
    if answer.status in (401, 403):
        return _denied(answer, who())
    if answer.status in (405, 501) or answer.code == "UNSUPPORTED":
        return answer.error(Unsupported, f"{what}: {host} does not support this ({answer.said}).", "")
    if answer.status == 404:
        return _missing(answer, _speaks_as_a_registry(response, answer.words))
    if answer.status == 413:
        text = f"{what}: the request is too large for {host} ({answer.said}). Where a proxy in front of it sets the"
        return answer.error(RegistryError, f"{text} limit, raise it there (client_max_body_size on nginx).")
    if answer.status == 429:
        return _limited(answer, retry_after(response.headers))
    if answer.status == 400 and answer.code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
        text = f"{plain}. It takes nothing that names what it does not have; where members of an index are missing at"
        return answer.error(RegistryError, f"{text} its source, choose those that are there (oci_index, platforms).")
    if answer.status in (500, 502, 503, 504) and not answer.code:
        text = f"{plain}; the trouble is there, or in what is in front of it, so try again later."
        return answer.error(RegistryError, text)
    return answer.error(RegistryError, f"{plain}.")


def _denied(answer: _Answer, who: str) -> OCIError:
    thing = f"the {answer.what[4:]}" if answer.what.startswith("The ") else answer.what
    text = f"Access to {thing} was denied ({answer.said}); it was requested {who}."
    code = answer.code or ("UNAUTHORIZED" if answer.status == 401 else "DENIED")
    return answer.error(Denied, f"{text} It may also not exist; check the name and the login.", code)


def _missing(answer: _Answer, is_registry: bool) -> OCIError:
    if answer.code in _ABSENT or (not answer.code and is_registry):
        words = f": {answer.words}" if answer.words else ""
        return answer.error(NotFound, f"{answer.what} does not exist{words}.")
    if answer.code:
        return answer.error(RegistryError, f"{answer.what}: {answer.host} answered {answer.said}.", answer.code)
    text = f"{answer.host} answered {answer.said}, but not as a registry does; check its host, port and path."
    return answer.error(RegistryError, text, "NOT_A_REGISTRY")


def _limited(answer: _Answer, wait: float | None) -> OCIError:
    asks = f"; it asks to wait {wait:.0f} s" if wait else ""
    text = f"{answer.host} is rate-limiting this host ({answer.said}){asks}. Try again later, log in, or lower jobs."
    return answer.error(RegistryError, text, answer.code or "TOOMANYREQUESTS")


def _speaks_as_a_registry(response: Response, words: str) -> bool:
    """Is a 404 without a code a registry's answer about what it lacks, and not a router's about an unknown path?

    Other servers, and proxies in front of registries, answer in JSON, too; to them everything is absent.
    """
    return VERSION_HEADER in response.headers and words != "404 page not found"
