# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that come in pieces, as streams."""

from __future__ import annotations

import io
import typing as t

from .compression import LAYERS, decompressed

_PIECE = 1 << 20

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
