# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that come in pages, such as tags (distribution-spec, "Listing Tags")."""

from __future__ import annotations

import re
import typing as t
from functools import partial
from urllib.parse import quote, urlsplit

from .._errors import ContentError
from .._oci.manifest import parse_json
from .client import Repository
from .transport import Response
from .urls import resolve_untrusted_url

_MAX_BYTES = 32 << 20
_PAGE = 1000  # names
_MAX_PAGES = 10_000  # of one list; the longest that are known have some hundred
_TOLD = 3  # names that a warning tells


def next_page(repository: Repository, response: Response) -> str:
    """Return where a list goes on (``Link``, RFC 8288), or nothing; it must be at this registry."""
    link = re.search(r'<([^<>]*)>\s*;[^,]*rel="?next"?', response.headers.get("Link", ""))
    url = resolve_untrusted_url(response.url, link[1]) if link else ""
    if url and not repository.owns(url):
        host = repository.registry.host
        text = f"A list of {host} goes on at another host, {urlsplit(url).netloc}, which is not followed."
        raise ContentError(text, "UNSAFE_URL", host)
    return url


def check_end(repository: Repository, number: int, most: int, what: str) -> None:
    """Raise ContentError where a list has so many pages that it may have no end."""
    if number > most:
        host = repository.registry.host
        raise ContentError(f"{what} has more than {most} pages; no more are read.", "TOO_MANY", host)


def pages(
    repository: Repository, path: str, key: str, what: str, fits: t.Callable[[str], bool], whole: bool = False
) -> t.Iterator[set[str]]:
    """Yield pages, each name once, following ``Link``; where there is none, ``last`` after a full page.

    Names that do not fit what is listed are left out, with a warning: the verbs put names into the paths of URLs. With
    ``whole`` they raise ContentError (LIST_INCOMPLETE), and the list is only believed to end where nothing comes after
    its last name. A null, as Nexus lists it, names nothing and is left out. Raises RegistryError and ContentError.
    """
    url, last, asked_for_more = f"{path}?n={_PAGE}", "", False
    visited: set[str] = set()
    seen: set[str] = set()
    misfits: set[str] = set()
    while url and url not in visited:
        bare = url.replace(f"n={_PAGE}&", "") if asked_for_more and whole else "" if visited else path
        visited.add(url)
        check_end(repository, len(visited), _MAX_PAGES, what)
        listed, response = repository.registry.transport.again(partial(_page, repository, url, bare, key, what))
        names = [name for name in listed if name is not None]
        misfits |= {name for name in names if not fits(name)}
        if whole and misfits:
            text = f"{_misfits(what, sorted(misfits))}. It cannot be looked at, and may need what is to be deleted"
            text += "; remove it with the registry's own interface, and run this task again."
            raise ContentError(text, "LIST_INCOMPLETE", repository.registry.host)
        fresh = {*names} - seen - misfits
        seen |= fresh
        yield fresh
        last = names[-1] if names else last
        url = next_page(repository, response)
        ends = not url or (whole and url in visited)
        doubtful = (fresh or not asked_for_more) if whole else (fresh and len(listed) == _PAGE)
        asked_for_more = bool(ends and doubtful and last)
        if asked_for_more:
            url = f"{path}?n={_PAGE}&last={quote(last, safe='')}"
    if misfits:
        repository.registry.transport.warn(f"{_misfits(what, sorted(misfits))}; left out.")


def _misfits(what: str, misfits: list[str]) -> str:
    told = ", ".join(ascii(name[:60]) for name in misfits[:_TOLD])
    more = f" and {len(misfits) - _TOLD} more" if len(misfits) > _TOLD else ""
    return f"{what} has {told}{more} in it, which cannot be such a name"


def _page(repository: Repository, url: str, bare: str, key: str, what: str) -> tuple[list[str | None], Response]:
    """Read one page; where ``n`` is refused, ``bare`` is asked for."""
    response = repository.request("GET", url)
    if response.status == 400 and bare:  # some allow no n, or none as large
        response.discard()
        response = repository.request("GET", bare)
    if response.status != 200:
        raise repository.refusal(response, what)
    with repository.named():
        body = response.read_document(_MAX_BYTES, what)
        repository.registry.transport.count(bytes_received=len(body))
        names = parse_json(body, what).get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, (str, type(None))) for name in names):
            raise ContentError(f"{what} is not a list of names.")
        return names, response
