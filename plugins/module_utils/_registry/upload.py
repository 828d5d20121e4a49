# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending blobs: mount, or POST, PATCH and PUT with their fall-backs (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from itertools import chain
from urllib.parse import quote

from .._errors import ConnectionFailed, ContentError, Denied, OCIError, RegistryError
from .._oci.manifest import Descriptor
from .blobs import has_blob
from .client import Repository
from .transport import Response, is_transient
from .urls import resolve_untrusted_url

CHUNK = 4 << 20  # bytes of one request, where a registry takes no large ones; some allow no more
# Opens the content from its beginning; called once for each try.
Open = t.Callable[[], t.Iterable[bytes]]


def mount_blob(repository: Repository, digest: str, source: str) -> bool:
    """Ask for a blob of another repository of the same registry; False when it has to be sent instead."""
    query = f"blobs/uploads/?mount={quote(digest, safe='')}&from={quote(source, safe='')}"
    try:
        response = repository.request("POST", query, also=(f"repository:{source}:pull",))
    except Denied:  # no token for both
        return False
    response.discard()
    if response.status == 202:
        _cancel(repository, response)
    return response.status == 201


def upload_blob(repository: Repository, blob: Descriptor, content: Open) -> None:
    """Send a blob, unless that fails for good; a try that breaks is made again from the beginning.

    ``content`` must verify what it yields. Raises RegistryError, ConnectionFailed, and what ``content`` raises.
    """
    transport, damage = repository.registry.transport, ""
    for tried in range(transport.retries + 1):
        try:
            _try_upload(repository, blob, content)
            transport.count(bytes_sent=blob.size)
            return
        except (ConnectionFailed, RegistryError) as exc:
            again = (is_transient(exc) and not exc.final) or exc.code in ("BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN")
            again = again or (exc.status == 401 and not tried)  # the token died under way
            if exc.status in (413, 416) and blob.size > CHUNK and not repository.registry.parts:
                again = repository.registry.parts = True
            if not again or tried == transport.retries or not transport.pause(tried):
                raise
        except ContentError as exc:
            if str(exc) == damage or tried == transport.retries:  # bits that flip on the way are not the same twice
                raise
            damage = str(exc)
        if has_blob(repository, blob.digest):
            return


def _try_upload(repository: Repository, blob: Descriptor, content: Open) -> None:
    what = f"The upload of {blob.digest} to {repository}"
    response = repository.request("POST", "blobs/uploads/")
    if response.status not in (201, 202):
        raise repository.refusal(response, what)
    response.discard()
    begun, location = response, _location(repository, response, what)
    try:
        if repository.registry.parts and blob.size > CHUNK:
            response, location = _send_parts(repository, begun, location, content(), what)
        else:
            response = _send(repository, "PATCH", location, blob.size, content)
        if response.status in (404, 405, 501):  # a registry that wants the body in the closing PUT
            response.discard()
            response = _send(repository, "PUT", _closing(location, blob.digest), blob.size, content)
        elif response.status in (201, 202, 204):
            response.discard()
            finished = response.status == 201 and has_blob(repository, blob.digest)
            if not finished:
                location = _location(repository, response, what, location)
                response = _send(repository, "PUT", _closing(location, blob.digest))
        if response.status not in (200, 201, 202, 204):
            raise repository.refusal(response, what)
    except (ContentError, RegistryError):
        _cancel(repository, begun)
        raise
    response.discard()


def _send_parts(
    repository: Repository, begun: Response, location: str, content: t.Iterable[bytes], what: str
) -> tuple[Response, str]:
    """Send content in requests of CHUNK bytes, or of the least that the registry wants; stop where it refuses one."""
    least, at, response = begun.headers.get("OCI-Chunk-Min-Length", ""), 0, begun
    size = max(CHUNK, int(least) if least.isdecimal() and len(least) < 9 else 0)
    part = bytearray()
    for piece in chain(content, [b""]):
        part += piece
        while len(part) >= size or (part and not piece):
            body = bytes(part[:size])
            headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{at}-{at + len(body) - 1}"}
            response = repository.request("PATCH", location, headers=headers, body=body, repeat=False)
            if response.status not in (201, 202, 204):
                return response, location
            response.discard()
            location = _location(repository, response, what, location)
            at += len(body)
            del part[:size]
    return response, location


def _send(repository: Repository, method: str, url: str, size: int = 0, content: Open | None = None) -> Response:
    """Send content of this size, or nothing; it is read once, piece by piece, and never held in memory."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    return repository.request(method, url, headers=headers, body=content() if content and size else b"", repeat=False)


def _location(repository: Repository, response: Response, what: str, default: str | None = None) -> str:
    """Return where the upload goes on: relative or absolute, its query untouched."""
    location = response.headers.get("Location") or default
    if not location:
        text = f"{what}: the registry did not say where to send it (no Location)."
        raise RegistryError(text, "BLOB_UPLOAD_INVALID", repository.registry.host, response.status)
    return resolve_untrusted_url(response.url, location)


def _closing(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"


def _cancel(repository: Repository, response: Response) -> None:
    """Drop an upload that was begun (best effort: a registry forgets it anyway after some time)."""
    with suppress(OCIError):
        location = _location(repository, response, "")
        repository.request("DELETE", location, repeat=False).discard()
