# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading blobs: verified while they stream, in constant memory (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

import re
import typing as t

from .._errors import ConnectionFailed, ContentError
from .._oci.digest import hasher, mismatch
from .._oci.manifest import Descriptor
from .client import Repository
from .transport import Response

MAX_CONFIG = 32 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def has_blob(repository: Repository, digest: str) -> bool:
    """Is this blob here? Storage behind a redirect may refuse HEAD, which says yes all the same."""
    response = repository.request("HEAD", "blobs/" + digest)
    moved = not response.url.startswith(repository.registry.base_url + "/")
    if response.status in (200, 404) or moved:
        response.discard()
        return response.status != 404
    raise repository.refusal(response, "The blob %s@%s" % (repository, digest))


def read_blob(repository: Repository, blob: Descriptor, limit: int = MAX_CONFIG) -> bytes:
    """Return a small blob, such as a config, verified. Raises ContentError, NotFound."""
    if blob.size > limit:
        raise ContentError(
            "The blob %s@%s is %d bytes long; at most %d are read of its kind."
            % (repository, blob.digest, blob.size, limit),
            code="TOO_LARGE",
            registry=repository.registry.host,
        )
    return b"".join(stream_blob(repository, blob))


def stream_blob(repository: Repository, blob: Descriptor) -> t.Iterator[bytes]:
    """Yield a blob's bytes; the last piece comes only after size and digest were found right.

    A connection that breaks is resumed with Range where the registry can; where it sends all again, the part that was
    yielded already is skipped and must have the same hash. Raises ContentError (DIGEST_MISMATCH), ConnectionFailed.
    """
    what = "The blob %s@%s" % (repository, blob.digest)
    digest, done, held = hasher(blob.digest), 0, b""
    tries = repository.registry.transport.retries
    while True:
        before = done
        try:
            for chunk in _rest(repository, blob, done, digest, what):
                digest.update(chunk)
                done += len(chunk)
                if done > blob.size:
                    raise _wrong_size(repository, what, blob.size, "more")
                if held:
                    yield held
                held = chunk
            break
        except ConnectionFailed:
            tries = tries - 1 if done == before else repository.registry.transport.retries
            if tries < 0 or not repository.registry.transport.pause(0):
                raise
    if done < blob.size:
        raise _wrong_size(repository, what, blob.size, "%d" % done)
    found = "%s:%s" % (blob.digest.split(":", 1)[0], digest.hexdigest())
    if found != blob.digest:
        raise mismatch(what, blob.digest, found, repository.registry.host)
    repository.registry.transport.counters.add(received=done)
    if held:
        yield held


def _rest(repository: Repository, blob: Descriptor, done: int, digest: t.Any, what: str) -> t.Iterator[bytes]:
    """Yield a blob from an offset on, however much the registry sends."""
    response = None
    if done:
        response = repository.request("GET", "blobs/" + blob.digest, headers={"Range": "bytes=%d-" % done})
        if response.status == 206 and _starts_at(response, done):
            yield from response.chunks()
            return
        if response.status in (206, 416):
            response.discard()
            response = None
    response = response or repository.request("GET", "blobs/" + blob.digest)
    if response.status != 200:
        raise repository.refusal(response, what)
    skip, prefix = done, hasher(blob.digest)
    for chunk in response.chunks():
        if skip:
            old, chunk = chunk[:skip], chunk[skip:]
            skip -= len(old)
            prefix.update(old)
            if skip:
                continue
            if prefix.hexdigest() != digest.hexdigest():
                raise ContentError(
                    "%s changed between two tries." % what, code="DIGEST_MISMATCH", registry=repository.registry.host
                )
        if chunk:
            yield chunk


def _starts_at(response: Response, offset: int) -> bool:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return bool(match) and int(t.cast("re.Match[str]", match).group(1)) == offset


def _wrong_size(repository: Repository, what: str, wanted: int, found: str) -> ContentError:
    return ContentError(
        "%s should be %d bytes long, but %s came." % (what, wanted, found),
        code="SIZE_MISMATCH",
        registry=repository.registry.host,
    )
