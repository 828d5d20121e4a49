# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that come in pieces, as streams."""

from __future__ import annotations

import contextlib
import hashlib
import io
import typing as t
from collections import deque
from concurrent.futures import Future

from .._threads import pool
from .compression import LAYERS, decompressed

_PIECE = 1 << 20
_BEHIND = 8  # pieces that a thread may lag

Sink = t.Callable[[bytes], object]


class ChunkStream(io.RawIOBase):
    """Bytes that come in pieces, as a stream to read; each piece goes to ``sinks`` too as it comes.

    ``count`` tells how many bytes came. Closing it closes the generator that the pieces come from.
    """

    def __init__(self, chunks: t.Iterable[bytes], *sinks: Sink) -> None:
        super().__init__()
        self._chunks, self._sinks, self._left = iter(chunks), sinks, memoryview(b"")
        self.count = 0

    def readable(self) -> bool:
        return True

    def _fill(self) -> bool:
        while not self._left:
            data = next(self._chunks, None)
            if data is None:
                return False
            for sink in self._sinks:
                sink(data)
            self.count += len(data)
            self._left = memoryview(data)
        return True

    def readinto(self, buffer: t.Any) -> int:
        if not self._fill():
            return 0
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, fewer at the end of a piece; b"" at the end of all."""
        if size < 0:
            return self.readall()
        if not size or not self._fill():
            return b""
        data, self._left = self._left[:size], self._left[size:]
        return bytes(data)

    def close(self) -> None:
        if isinstance(self._chunks, t.Generator):
            self._chunks.close()
        super().close()


def pieces_of(stream: t.BinaryIO) -> t.Iterator[bytes]:
    """Yield what is left of a stream, in pieces of at most 1 MiB."""
    return iter(lambda: stream.read(_PIECE), b"")


def as_stream(chunks: t.Iterable[bytes], *sinks: Sink) -> t.BinaryIO:
    """Return a buffered ChunkStream: what asks it for so many bytes gets them, but at the end."""
    return t.cast(t.BinaryIO, io.BufferedReader(ChunkStream(chunks, *sinks), _PIECE))


def unpacked(chunks: t.Iterable[bytes], what: str, *sinks: Sink, known: t.Container[str] = LAYERS) -> t.Iterator[bytes]:
    """Yield the uncompressed content of ``chunks``, which go to ``sinks`` as they are; see decompressor."""
    return decompressed(t.cast(t.BinaryIO, ChunkStream(chunks, *sinks)), what, known)


@contextlib.contextmanager
def ahead(chunks: t.Iterable[bytes]) -> t.Iterator[t.Iterator[bytes]]:
    """Give chunks that a thread of their own reads, a few pieces ahead; what that raises is raised where they are used.

    At the end of the block the thread has stopped, and a generator is closed, wherever it is.
    """
    source, reader = iter(chunks), pool(1)

    def found() -> t.Iterator[bytes]:
        pending = deque(reader.submit(next, source, b"") for dummy in range(_BEHIND))
        while chunk := pending.popleft().result():
            pending.append(reader.submit(next, source, b""))
            yield chunk

    try:
        yield found()
    finally:
        reader.shutdown(cancel_futures=True)
        if isinstance(source, t.Generator):
            source.close()


class Digester:
    """A digest that a thread makes, at most a few megabytes behind. Use as a context manager."""

    def __init__(self, digest: t.Any = None) -> None:
        self._hash = hashlib.sha256() if digest is None else digest
        self._pool = pool(1)
        self._pending: deque[tuple[Future[None], int]] = deque()
        self._pieces: list[bytes] = []
        self._held = self._behind = 0  # bytes that the thread has not got, and those that it has not digested

    def update(self, data: bytes) -> None:
        """Take the next bytes. Small pieces go to the thread together: to hand one over costs as much as 50 KB."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held >= _PIECE:
            self._hand_over()
        while self._behind > _BEHIND * _PIECE:
            self._await_one()

    def _hand_over(self) -> None:
        self._pending.append((self._pool.submit(self._update, self._pieces), self._held))
        self._behind += self._held
        self._pieces, self._held = [], 0

    def _await_one(self) -> None:
        future, size = self._pending.popleft()
        future.result()
        self._behind -= size

    def _update(self, pieces: list[bytes]) -> None:
        for data in pieces:
            self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the digest of all that came."""
        self._hand_over()
        while self._pending:
            self._await_one()
        return t.cast(str, self._hash.hexdigest())

    def __enter__(self) -> Digester:
        return self

    def __exit__(self, *dummy: object) -> None:
        self._pool.shutdown(cancel_futures=True)
