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
from .retry import is_transient
from .transport import Response
from .urls import resolve_untrusted_url

# Bytes of one request, where a registry takes no large ones: some allow 4 MiB, and nginx by itself 1 MiB.
PART_SIZES = (4 << 20, 1 << 20)
_SENT_AGAIN = (429, 503)  # refused before anything was done with it, by a proxy that limits rates
# Opens the content from its beginning; called once for each try.
Open = t.Callable[[], t.Iterable[bytes]]


def mount_blob(repository: Repository, digest: str, source: str) -> bool:
    """Ask for a blob of another repository of the same registry; False when it has to be sent instead.

    A source that the login does not reach is not asked for again.
    """
    refused = repository.registry.refused_mounts
    if (source, repository.name) in refused:
        return False
    query = f"blobs/uploads/?mount={quote(digest, safe='')}&from={quote(source, safe='')}"
    try:
        response = repository.request("POST", query, also=(f"repository:{source}:pull",))
    except Denied:  # no token for both
        refused.add((source, repository.name))
        return False
    response.discard()
    if response.status in (401, 403):
        refused.add((source, repository.name))
    if response.status == 202:
        _cancel(repository, response)
    return response.status == 201


def upload_blob(repository: Repository, blob: Descriptor, content: Open) -> None:
    """Send a blob, unless that fails for good; a try that breaks is made again from the beginning.

    ``content`` must verify what it yields. Raises RegistryError, ConnectionFailed, and what ``content`` raises.
    """
    transport, damage, tried = repository.registry.transport, "", 0
    stream = transport.progress.stream()
    while True:
        try:
            _try_upload(repository, blob, lambda: stream.watch(content()))
            transport.count(bytes_sent=blob.size)
            return
        except (ConnectionFailed, RegistryError) as exc:
            if _wants_smaller_requests(repository, blob, exc):
                continue  # another way, not another try
            if tried == transport.retries or not is_worth_another_try(exc, tried) or not transport.pause(tried, exc):
                raise
        except ContentError as exc:
            if str(exc) == damage or tried == transport.retries:  # bits that flip on the way are not the same twice
                raise
            damage = str(exc)
        if has_blob(repository, blob.digest):
            return
        tried += 1


def is_worth_another_try(exc: OCIError, tried: int) -> bool:
    """May an upload that failed succeed from the beginning? An upload that was forgotten may, and a token that died."""
    forgotten = exc.code in ("BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN")
    return forgotten or (exc.status == 401 and not tried) or (is_transient(exc) and not exc.final)


def _wants_smaller_requests(repository: Repository, blob: Descriptor, exc: OCIError) -> bool:
    """Go over to parts, or to smaller ones, where a request was too large; False when there are none."""
    registry = repository.registry
    largest = min(registry.part_size or blob.size, blob.size)
    smaller = [size for size in PART_SIZES if size < largest]
    if exc.status not in (413, 416) or not smaller:
        return False
    registry.part_size = smaller[0]
    return True


def _try_upload(repository: Repository, blob: Descriptor, content: Open) -> None:
    what = f"The upload of {blob.digest} to {repository}"
    response = repository.request("POST", "blobs/uploads/")
    if response.status not in (201, 202):
        raise repository.refusal(response, what)
    response.discard()
    begun, location = response, _location(repository, response, what)
    try:
        if 0 < repository.registry.part_size < blob.size:
            response, location = _send_parts(repository, begun, location, content(), what)
        else:
            response = _send(repository, "PATCH", location, content, blob.size)
        if response.status in (404, 405, 501):  # a registry that wants the body in the closing PUT
            response.discard()
            response = _send(repository, "PUT", _closing(location, blob.digest), content, blob.size)
        elif response.status in (201, 202, 204):
            response.discard()
            finished = response.status == 201 and has_blob(repository, blob.digest)
            if not finished:
                location = _location(repository, response, what, location)
                response = _send(repository, "PUT", _closing(location, blob.digest))
        if response.status not in (200, 201, 202, 204):
            raise _refused(repository, response, what)
    except (ContentError, RegistryError):
        _cancel(repository, begun)
        raise
    response.discard()


def _refused(repository: Repository, response: Response, what: str) -> OCIError:
    refused = repository.refusal(response, what)
    refused.final = response.status in _SENT_AGAIN  # it was sent often enough
    return refused


def _send_parts(
    repository: Repository, begun: Response, location: str, content: t.Iterable[bytes], what: str
) -> tuple[Response, str]:
    """Send content in requests of the registry's part size, or the least that it wants; stop where it refuses one."""
    least, at, response = begun.headers.get("OCI-Chunk-Min-Length", ""), 0, begun
    size = max(repository.registry.part_size, int(least) if least.isdecimal() and len(least) < 9 else 0)
    part = bytearray()
    for piece in chain(content, [b""]):
        part += piece
        while len(part) >= size or (part and not piece):
            body = bytes(part[:size])
            more = {"Content-Range": f"{at}-{at + len(body) - 1}"}
            response = _send(repository, "PATCH", location, body, len(body), more)
            if response.status not in (201, 202, 204):
                return response, location
            response.discard()
            location = _location(repository, response, what, location)
            at += len(body)
            del part[:size]
    return response, location


def _send(
    repository: Repository,
    method: str,
    url: str,
    content: Open | bytes = b"",
    size: int = 0,
    more: t.Mapping[str, str] | None = None,
) -> Response:
    """Send content of this size, or nothing; it is read once, piece by piece, and never held in memory.

    What was refused for its rate alone is sent again, content from its beginning.
    """
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size), **(more or {})}
    transport, tried = repository.registry.transport, 0
    while True:
        body = content if isinstance(content, bytes) else _readable(content()) if size else b""
        response = repository.request(method, url, headers=headers, body=body, repeat=False)
        if response.status not in _SENT_AGAIN or tried == transport.retries:
            return response
        if not transport.pause_after(response, tried):
            return response
        response.discard()
        tried += 1


def _readable(content: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """Yield content; a local file that cannot be read is not the registry's failure. Raises OCIError (FILE_ERROR)."""
    try:
        yield from content
    except OSError as exc:
        raise OCIError(f"{exc.filename or 'A file that is sent'}: {exc.strerror or exc}.", "FILE_ERROR") from None


def _location(repository: Repository, response: Response, what: str, default: str | None = None) -> str:
    """Return where the upload goes on: relative or absolute, its query untouched."""
    location = response.headers.get("Location") or default
    if not location:
        text = f"{what}: the registry did not say where to send it (no Location)."
        raise RegistryError(text, "BLOB_UPLOAD_INVALID", repository.registry.host, response.status)
    return resolve_untrusted_url(response.url, location, repository.registry.settings.trusted_hosts)


def _closing(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"


def _cancel(repository: Repository, response: Response) -> None:
    """Drop an upload that was begun (best effort: a registry forgets it anyway after some time)."""
    with suppress(OCIError):
        location = _location(repository, response, "")
        repository.request("DELETE", location, repeat=False).discard()
