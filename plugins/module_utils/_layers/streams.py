# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that come in pieces, as streams."""

from __future__ import annotations

import io
import typing as t

from .compression import decompressor

_PIECE = 1 << 20


class ChunkStream(io.RawIOBase):
    """Bytes that come in pieces, as a stream; each piece goes to ``sink`` too."""

    def __init__(self, chunks: t.Iterable[bytes], sink: t.Callable[[bytes], object] = bool) -> None:
        super().__init__()
        self._chunks, self._sink, self._left = iter(chunks), sink, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        while not self._left:
            data = next(self._chunks, None)
            if data is None:
                return 0
            self._sink(data)
            self._left = memoryview(data)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def unpacked(chunks: t.Iterable[bytes], what: str, sink: t.Callable[[bytes], object] = bool) -> t.Iterator[bytes]:
    """Yield the uncompressed content of gzip, zstd or plain bytes, which go to ``sink`` as they are."""
    stream = decompressor(t.cast(t.BinaryIO, ChunkStream(chunks, sink)), what)
    return iter(lambda: stream.read(_PIECE), b"")
