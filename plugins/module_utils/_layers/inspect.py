# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a layer once, for all that can be wrong with it (OCI image-spec, layer.md)."""

from __future__ import annotations

import io
import typing as t
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .._errors import ContentError, NotFound
from .._oci.digest import hasher
from .._oci.manifest import Descriptor
from .compression import compression_of, decompressor
from .streams import ChunkStream
from .tarstream import TarReader

_MAX_RATIO, _RATIO_FROM = 1000, 64 << 20  # above so many bytes, what expands more than this is no honest layer

_PIECE = 1 << 20


_BEHIND = 8  # pieces that a thread may lag


FAULTS = (ContentError, NotFound)


@dataclass(frozen=True)
class LayerFacts:
    """What reading a layer told.

    ``broken``: why its bytes are not those that were asked for; all else is unknown then. ``problems``: of its content.
    ``diff_id``: the digest of its uncompressed bytes, None where they cannot be read to their end.
    """

    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    diff_id: str | None = None
    compression: str | None = None


def blob_problems(chunks: t.Iterable[bytes]) -> list[str]:
    """Read a blob whose chunks verify themselves."""
    try:
        for dummy in chunks:
            pass
    except FAULTS as exc:
        return [str(exc)]
    return []


def read_layer(chunks: t.Iterable[bytes], what: str) -> LayerFacts:
    """Read a layer once: its bytes (which verify themselves), its compression, its tar, its diff ID.

    Fetching and both hashes run in threads of their own; memory stays constant. Raises MissingLibrary for zstd, and
    what ``chunks`` raises where its content is not at fault.
    """
    broken: list[str] = []
    with ThreadPoolExecutor(1) as fetching, ThreadPoolExecutor(1) as hashing:
        ahead = _ahead(_noted(chunks, broken), fetching)
        raw = _Counted(ahead)
        problems, diff_id = _read_content(_Plain(raw, hashing, what), what)
        for dummy in ahead:  # what a broken compression left
            pass
    if broken:  # all else follows from this
        return LayerFacts(tuple(broken))
    return LayerFacts((), tuple(problems), diff_id, compression_of(raw.start))


def layer_problems(item: Descriptor, facts: LayerFacts, diff_id: t.Any, what: str, config: str) -> list[str]:
    """Compare what a layer is with what its descriptor says of it, and the config with this digest."""
    found = list(facts.problems)
    said = next((name for name in ("gzip", "zstd") if item.media_type.endswith(name)), "none")
    if facts.compression not in (None, said):
        found.append(f"{what} has the type {item.media_type}, but its compression is {facts.compression}.")
    if facts.diff_id and isinstance(diff_id, str) and diff_id.startswith("sha256:") and facts.diff_id != diff_id:
        text = f"{what} unpacks to {facts.diff_id}, but the config {config} says {diff_id} (rootfs.diff_ids)."
        found.append(text)
    return found


def _noted(chunks: t.Iterable[bytes], broken: list[str]) -> t.Iterator[bytes]:
    """Yield chunks up to where they turn out to be wrong, which is noted."""
    try:
        yield from chunks
    except FAULTS as exc:
        broken.append(str(exc))


def _read_content(plain: _Plain, what: str) -> tuple[list[str], str | None]:
    """Read the uncompressed content as a tar, and to its end; return the problems, and the diff ID."""
    stream = io.BufferedReader(plain, _PIECE)
    problems: list[str] = []
    try:
        for dummy in TarReader(t.cast(t.BinaryIO, stream), what):
            pass
    except ContentError as exc:
        problems.append(str(exc))
    try:
        while stream.read(_PIECE):
            pass
    except ContentError as exc:  # the same one, where it was this that ended the tar
        return list(dict.fromkeys([*problems, str(exc)])), None
    return problems, plain.digest()


def _ahead(chunks: t.Iterator[bytes], pool: ThreadPoolExecutor) -> t.Iterator[bytes]:
    """Yield what the pool's thread reads, a few pieces ahead. What that raises is raised here."""
    pending = deque(pool.submit(next, chunks, b"") for dummy in range(_BEHIND))
    while chunk := pending.popleft().result():
        pending.append(pool.submit(next, chunks, b""))
        yield chunk


class _Counted(ChunkStream):
    """The compressed bytes as a stream, with their beginning and a count of those that were taken."""

    def __init__(self, chunks: t.Iterator[bytes]) -> None:
        super().__init__(chunks, self._seen)
        self.start, self.count = b"", 0

    def _seen(self, chunk: bytes) -> None:
        self.start = self.start or chunk[:4]
        self.count += len(chunk)


class _Plain(io.RawIOBase):
    """The uncompressed bytes, which a thread hashes as they are read."""

    def __init__(self, raw: _Counted, pool: ThreadPoolExecutor, what: str) -> None:
        super().__init__()
        self._raw, self._pool, self._what, self._size = raw, pool, what, 0
        self._plain = decompressor(t.cast(t.BinaryIO, raw), what)
        self._hash = hasher("sha256:")
        self._pending: deque[Future[None]] = deque()
        self._failed: ContentError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        if self._failed:
            raise self._failed
        try:
            return self._readinto(buffer)
        except ContentError as exc:
            self._failed = exc
            raise

    def _readinto(self, buffer: t.Any) -> int:
        size = self._plain.readinto(buffer)
        self._size += size
        if self._size > _RATIO_FROM and self._size > self._raw.count * _MAX_RATIO:
            text = f"{self._what} expands to more than {int(_MAX_RATIO)} times its size."
            raise ContentError(text, "LIMIT_EXCEEDED")
        self._pending.append(self._pool.submit(self._hash.update, bytes(memoryview(buffer)[:size])))
        if len(self._pending) > _BEHIND:
            self._pending.popleft().result()
        return size

    def digest(self) -> str:
        """Return the digest, once all was read."""
        while self._pending:
            self._pending.popleft().result()
        return f"sha256:{self._hash.hexdigest()}"
