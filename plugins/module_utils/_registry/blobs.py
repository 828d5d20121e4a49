# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading blobs: verified while they stream, in constant memory (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

import re
import typing as t

from .._errors import ConnectionFailed, ContentError
from .._oci.digest import digest_of, hasher, mismatch
from .._oci.manifest import Descriptor
from .client import Repository
from .retry import is_corrupt

_MAX_SMALL = 32 << 20  # bytes

Outcome = t.TypeVar("Outcome")


def has_blob(repository: Repository, digest: str) -> bool:
    """Is this blob here? Storage behind a redirect may refuse HEAD, which says yes all the same."""
    response = repository.request("HEAD", f"blobs/{digest}")
    if response.status in (200, 404) or not repository.owns(response.url):
        response.discard()
        return response.status != 404
    raise repository.refusal(response, f"The blob {repository.full(digest)}")


def use_blob(repository: Repository, blob: Descriptor, consume: t.Callable[[t.Iterator[bytes]], Outcome]) -> Outcome:
    """Return what ``consume`` makes of a blob's bytes; where they came damaged, it is called again, from the beginning.

    Damage that comes twice in the same way is the registry's, and raised. Raises what ``stream_blob`` and ``consume``
    raise.
    """
    transport, said = repository.registry.transport, ""
    for tried in range(transport.retries + 1):
        try:
            return consume(stream_blob(repository, blob))
        except ContentError as exc:
            if not is_corrupt(exc) or str(exc) == said or tried == transport.retries:
                raise
            said = str(exc)
            if not transport.pause(tried, exc):
                raise
    raise AssertionError("the last try returns or raises")


def stream_blob(repository: Repository, blob: Descriptor) -> t.Iterator[bytes]:
    """Yield a blob's bytes; the last piece comes only after size and digest were found right.

    A connection that breaks is resumed with Range where the registry can; where it sends all again, the part that was
    yielded already is skipped and must have the same hash. Raises ContentError (DIGEST_MISMATCH, SIZE_MISMATCH),
    ConnectionFailed, NotFound, Denied.
    """
    what, transport = f"The blob {repository.full(blob.digest)}", repository.registry.transport
    digest, done, held = hasher(blob.digest), 0, b""
    tries, fetched = transport.retries, transport.progress.fetch()
    with repository.named():
        while True:
            before = done
            try:
                for chunk in _rest(repository, blob, done, digest.hexdigest(), what):
                    digest.update(chunk)
                    done += len(chunk)
                    fetched.at = done
                    if done > blob.size:
                        raise _wrong_size(what, blob, "more")
                    if held:
                        yield held
                    held = chunk
                break
            except ConnectionFailed as exc:
                tries = tries - 1 if done == before else transport.retries
                if tries < 0 or not transport.pause(0, exc):
                    raise
        if done < blob.size:
            raise _wrong_size(what, blob, str(done))
        found = f"{blob.digest.split(':')[0]}:{digest.hexdigest()}"
        if found != blob.digest:
            raise mismatch(what, blob.digest, found)
    transport.count(bytes_received=done)
    if held:
        yield held


def _wrong_size(what: str, blob: Descriptor, found: str) -> ContentError:
    return ContentError(f"{what} should be {int(blob.size)} bytes long, but {found} came.", "SIZE_MISMATCH")


def _rest(repository: Repository, blob: Descriptor, done: int, digest: str, what: str) -> t.Iterator[bytes]:
    """Yield a blob from an offset on, however much the registry sends; ``digest`` is that of what came before it."""
    headers = {"Range": f"bytes={int(done)}-"} if done else {}
    response = repository.request("GET", f"blobs/{blob.digest}", headers=headers)
    if response.status == 206 and re.match(f"bytes {int(done)}-", response.headers.get("Content-Range", "")):
        yield from response.chunks()
        return
    if done and response.status in (206, 416):
        response.discard()
        response = repository.request("GET", f"blobs/{blob.digest}")
    if response.status != 200:
        raise repository.refusal(response, what)
    skip, prefix = done, hasher(blob.digest)
    for chunk in response.chunks():
        old, chunk = chunk[:skip], chunk[skip:]
        skip -= len(old)
        prefix.update(old)
        if old and not skip and prefix.hexdigest() != digest:
            raise ContentError(f"{what} changed between two tries.", "DIGEST_MISMATCH")
        if chunk:
            yield chunk


def read_blob(repository: Repository, blob: Descriptor) -> bytes:
    """Return a small blob, at most 32 MiB, verified. Raises ContentError, NotFound, Denied."""
    return repository.registry.transport.again(lambda: _read(repository, blob))


def _read(repository: Repository, blob: Descriptor) -> bytes:
    what = f"The blob {repository.full(blob.digest)}"
    with repository.named():
        if blob.size > _MAX_SMALL:
            text = f"{what} is {int(blob.size)} bytes long; at most {int(_MAX_SMALL)} are read of its kind."
            raise ContentError(text, "TOO_LARGE")
        response = repository.request("GET", f"blobs/{blob.digest}")
        if response.status != 200:
            raise repository.refusal(response, what)
        raw = response.read(blob.size, what)
        repository.registry.transport.count(bytes_received=len(raw))
        found = digest_of(raw, blob.digest.split(":")[0])
        if found != blob.digest:
            raise mismatch(what, blob.digest, found)
    return raw
