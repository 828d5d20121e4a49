# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression in and out: gzip (RFC 1952) and zstd (RFC 8878), with the fastest codec that the target has.

Layers have these two or none. Image files that people packed once more may also be bzip2 or xz, which are only read.

Written bytes are a pure function of the content, the level and the encoder (``encoder_name``): no name, no time, and
blocks of a fixed size, so the number of cores changes how long it takes and nothing else.
"""

from __future__ import annotations

import collections
import hashlib
import importlib
import io
import os
import re
import struct
import typing as t
import zlib
from concurrent import futures
from dataclasses import dataclass

from .._errors import ContentError, InvalidInput, MissingLibrary
from .._threads import pool
from .zstdframe import FramePacer

SNIFFED = 6  # so many bytes tell how content is compressed
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"LZIP": "lzip",
    b"PK\x03\x04": "zip",
}
# A zstd frame to be skipped (RFC 8878, 3.1.2), as zstd:chunked may begin.
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")

LAYERS = ("gzip", "zstd")  # what layers may be compressed with
FILES = (*LAYERS, "bzip2", "xz")  # what image files may be compressed with

# A gzip block costs nothing measurable in size from 512 KiB up. Zstd's blocks are frames, which share no window.
_GZIP_BLOCK = 1 << 20
_ZSTD_BLOCK = 1 << 22
_INPUT = 1 << 18  # taken at a time; threads that hand over less wait for each other most of the time
_OUTPUT = 1 << 22  # what that becomes at most at a time
_PIECE = 1 << 20
_XZ_MEMORY = 128 << 20  # twice what its highest level needs
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, unknown system
_LAST_BLOCK = b"\x03\x00"  # an empty final deflate block


def compression_of(start: bytes) -> str:
    """Tell by the first SNIFFED bytes how content is compressed: ``gzip``, ``zstd``, ``bzip2``, ``xz``, ``lzip``,
    ``zip``, or ``none``.
    """
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    return "zstd" if _SKIPPABLE.match(start) else "none"


class _Decoder(t.Protocol):
    """One gzip member, or one frame or stream of the others."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class _Zstd(t.NamedTuple):
    name: str
    decoder: t.Callable[[], _Decoder]
    compress: t.Callable[[bytes, int], bytes]
    error: type[Exception]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _module(*names: str) -> t.Any:
    """Return the first of these modules that can be imported, else None."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _zstd() -> _Zstd:
    """Return zstd from the standard library (3.14), its backport or ``zstandard``; MissingLibrary without them."""
    modern = _module("compression.zstd", "backports.zstd")
    if modern:
        return _Zstd("libzstd", modern.ZstdDecompressor, modern.compress, modern.ZstdError)
    lib = _module("zstandard")
    if not lib:
        raise MissingLibrary("zstandard")

    def compress(data: bytes, level: int) -> bytes:
        return t.cast(bytes, lib.ZstdCompressor(level=level).compress(data))

    return _Zstd("zstandard", lambda: lib.ZstdDecompressor().decompressobj(), compress, lib.ZstdError)


def _deflate(level: int | None) -> tuple[t.Any, int]:
    """Return the zlib-like module and its level. ISA-L stops at 3, which is near zlib's 2: from 4 on, size matters."""
    if level is None or level <= 3:
        isal = _module("isal.isal_zlib")
        if isal:
            return isal, 2 if level is None else level
    best = _module("zlib_ng.zlib_ng") or zlib
    # The default is the fastest level with a useful ratio: zlib-ng's level 1 gives 20 % more bytes than its level 2.
    return best, (1 if best is zlib else 2) if level is None else level


def encoder_name(compression: str = "gzip", level: int | None = None) -> str:
    """Return which library will compress: two machines with the same name make the same bytes, given its version."""
    if compression == "none":
        return "none"
    return _zstd().name if compression == "zstd" else str(_deflate(level)[0].__name__).split(".", maxsplit=1)[0]


class _Bounded:
    """A decoder of bzip2 or xz, which can make gigabytes of a few bytes, and so gives a piece at a time."""

    def __init__(self, decoder: t.Any) -> None:
        self._decoder = decoder

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        return t.cast(bytes, self._decoder.unused_data)

    @property
    def needs_input(self) -> bool:
        return bool(self._decoder.needs_input)

    def decompress(self, data: bytes, /) -> bytes:
        return t.cast(bytes, self._decoder.decompress(data, _PIECE))


class _BoundedGzip(_Bounded):
    """The same for gzip, whose decoders leave it to others to keep what they have not taken yet."""

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    def decompress(self, data: bytes, /) -> bytes:
        return t.cast(bytes, self._decoder.decompress(self._decoder.unconsumed_tail + data, _OUTPUT))


class _BoundedZstd(_Bounded):
    """The same for one frame of zstd, whose decoders turn all that they get into content at once."""

    needs_input = True

    def __init__(self, decoder: t.Any) -> None:
        super().__init__(decoder)
        self._pacer, self._pending = FramePacer(), b""

    @property
    def unused_data(self) -> bytes:
        return t.cast(bytes, self._decoder.unused_data) + self._pending

    def decompress(self, data: bytes, /) -> bytes:
        self._pending += data
        size = self._pacer.allow(self._pending)
        now, self._pending = self._pending[:size], self._pending[size:]
        self.needs_input = not (size and self._pending)
        return t.cast(bytes, self._decoder.decompress(now)) if now else b""


class _Codec(t.NamedTuple):
    """How to read one kind of compression: what makes a decoder, what that raises, bytes to give it at a time, and the
    first bytes that a member or frame can have.
    """

    decoder: t.Callable[[], t.Any]
    errors: tuple[type[Exception], ...]
    piece: int
    first: bytes


def _codec(name: str) -> _Codec:
    """Return the fastest codec that is there. Raises MissingLibrary."""
    if name == "gzip":
        gzip = _module("isal.isal_zlib", "zlib_ng.zlib_ng") or zlib
        return _Codec(lambda: _BoundedGzip(gzip.decompressobj(31)), (gzip.error,), _INPUT, b"\x1f")
    if name == "zstd":
        zstd = _zstd()
        return _Codec(
            lambda: _BoundedZstd(zstd.decoder()),
            (zstd.error, EOFError),
            _INPUT,
            b"\x28" + bytes(range(0x50, 0x60)),
        )
    module = "bz2" if name == "bzip2" else "lzma"  # Python may be built without them
    found = _module(module)
    if not found:
        raise MissingLibrary(module)
    if name == "bzip2":
        return _Codec(lambda: _Bounded(found.BZ2Decompressor()), (OSError,), _PIECE, b"B")

    def xz() -> _Bounded:
        return _Bounded(found.LZMADecompressor(found.FORMAT_XZ, _XZ_MEMORY))

    return _Codec(xz, (found.LZMAError,), _PIECE, b"\xfd")


class _Decompressor(io.RawIOBase):
    """The content of a compressed stream; several members or frames in a row are one content."""

    def __init__(self, stream: t.BinaryIO, label: str, known: t.Container[str]) -> None:
        super().__init__()
        self._stream, self._label = stream, label
        self._input = _read_start(stream)
        name = compression_of(self._input)
        if name != "none" and name not in known:
            text = (
                f"{label} is compressed with {name}, which images cannot have; a layer is a tar, a tar.gz or a tar.zst."
            )
            raise ContentError(text, "INVALID_LAYER")
        self._codec = None if name == "none" else _codec(name)
        self._padding = "bzip2" in known  # of an image file, as tar and gzip themselves allow it; no engine does
        self._decoder: _Decoder | None = None
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        while not self._output:
            self._output = memoryview(b"")  # lets go of what was read, before as much again comes
            data = self._next()
            if data is None:
                return 0
            self._output = memoryview(data)
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the content as it comes out of the decoder, which spares two copies of it."""
        while (data := self._next()) is not None:
            if data:
                yield data

    def _next(self) -> bytes | None:
        """Return the next bytes of the content, perhaps none yet; None at its end."""
        if self._codec:
            return self._decode(self._codec)
        data, self._input = self._input or self._stream.read(_PIECE), b""
        return data or None

    def _decode(self, codec: _Codec) -> bytes | None:
        data = b""
        if getattr(self._decoder, "needs_input", True):
            data, self._input = self._input or self._stream.read(codec.piece), b""
            if not data and not self._decoder:
                return None
            if not data:
                raise self._bad("ends in the middle of its compressed data")
        if not self._decoder:
            data = data.lstrip(b"\0") if self._padding else data
            if not data:
                return b""
            if data[0] not in codec.first:  # the start was told by its magic, so this is behind a member
                raise self._bad("has something behind its compressed data, which engines refuse")
            self._decoder = t.cast(_Decoder, codec.decoder())
        try:
            output = self._decoder.decompress(data)
        except codec.errors as exc:  # pylint: disable=catching-non-exception
            raise self._bad(f"has damaged compressed data ({exc})") from exc
        if self._decoder.eof:
            self._input, self._decoder = self._decoder.unused_data, None
        return output

    def _bad(self, problem: str) -> ContentError:
        return ContentError(f"{self._label} {problem}; fetch or build it again.")


def _read_start(stream: t.BinaryIO) -> bytes:
    """Read the first SNIFFED bytes of a stream, or all where it has fewer."""
    start = b""
    while len(start) < SNIFFED:
        more = stream.read(SNIFFED - len(start))
        if not more:
            break
        start += more
    return start


def decompressor(stream: t.BinaryIO, label: str = "The archive", known: t.Container[str] = LAYERS) -> io.BufferedReader:
    """Return the uncompressed content of a stream, told by its first bytes: one of ``known``, or not compressed.

    Memory stays below 50 MiB whatever the stream expands to, but for the window of up to 128 MiB that zstd and xz may
    ask for. ContentError here for another compression, and at a read for damaged or cut data; MissingLibrary where a
    package is needed. ``label`` opens the messages. The stream itself is not closed.
    """
    return io.BufferedReader(_Decompressor(stream, label, known), 1 << 17)


def decompressed(stream: t.BinaryIO, label: str = "The archive", known: t.Container[str] = LAYERS) -> t.Iterator[bytes]:
    """Yield the content that ``decompressor`` returns, in pieces as they come: the fast way to read all of it."""
    yield from _Decompressor(stream, label, known).pieces()


@dataclass(frozen=True)
class Written:
    """What a BlockWriter wrote: digest and size of the bytes that went out, diff_id and size of those that came in."""

    digest: str
    size: int
    diff_id: str
    uncompressed_size: int


class Writer(t.Protocol):
    """What takes bytes; it returns how many."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...


class BlockWriter:
    """Compresses in blocks on all cores, in the order of the content; digests of both sides are made on the way.

    Use as a context manager, or call ``close``. At most twice as many blocks as cores are held in memory.
    """

    def __init__(
        self, out: Writer, encode: t.Callable[[bytes], bytes] | None, block: int, gzip: bool, workers: int | None
    ) -> None:
        workers = workers or cores()
        self._out, self._encode, self._block, self._gzip = out, encode, block, gzip
        self._limit = 2 * workers
        self._encoders = pool(workers)
        self._accountant = pool(1)  # one thread: blocks are hashed in order
        self._pending: collections.deque[tuple[futures.Future[bytes], futures.Future[None]]] = collections.deque()
        self._parts: list[bytes | bytearray | memoryview] = []
        self._held = 0  # bytes in them, less than a block
        self._plain, self._coded = hashlib.sha256(), hashlib.sha256()
        self._crc = self._size_in = self._size_out = 0
        self._written: Written | None = None
        if gzip:
            self._emit(_GZIP_HEADER)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes, which must not change any more."""
        view, at = memoryview(data), 0
        while self._held + len(view) - at >= self._block:
            end = at + self._block - self._held
            self._submit(b"".join([*self._parts, view[at:end]]))
            self._parts, self._held, at = [], 0, end
        if at < len(view):
            self._parts.append(view[at:] if at else data)
            self._held += len(view) - at
        return len(data)

    def _submit(self, block: bytes) -> None:
        encoded = self._encoders.submit(self._encode or bytes, block)
        self._pending.append((encoded, self._accountant.submit(self._account, block)))
        while len(self._pending) > self._limit:
            self._flush_one()

    def _account(self, block: bytes) -> None:
        self._plain.update(block)
        self._size_in += len(block)
        if self._gzip:
            self._crc = zlib.crc32(block, self._crc)

    def _flush_one(self) -> None:
        encoded, accounted = self._pending.popleft()
        accounted.result()
        self._emit(encoded.result())

    def _emit(self, data: bytes) -> None:
        self._out.write(data)
        self._size_out += len(data)
        if self._encode:
            self._coded.update(data)

    def close(self) -> Written:
        """Finish the stream (``out`` stays open) and return the digests; a second call returns them again."""
        if self._written is None:
            # An empty content still is one (empty) zstd frame; in gzip the last block stands for it.
            if self._held or not (self._gzip or self._size_out or self._pending):
                self._submit(b"".join(self._parts))
            while self._pending:
                self._flush_one()
            if self._gzip:
                self._emit(_LAST_BLOCK + struct.pack("<II", self._crc, self._size_in & 0xFFFFFFFF))
            self._shutdown()
            diff_id = f"sha256:{self._plain.hexdigest()}"
            digest = f"sha256:{self._coded.hexdigest()}" if self._encode else diff_id
            self._written = Written(digest, self._size_out, diff_id, self._size_in)
        return self._written

    def _shutdown(self) -> None:
        for workers in (self._encoders, self._accountant):
            workers.shutdown(cancel_futures=True)

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, kind: object, *dummy: object) -> None:
        if kind is None:
            self.close()
        else:
            self._shutdown()


def check_level(compression: str, level: int | None) -> None:
    """Raise InvalidInput unless the compression is known and has this level."""
    highest = {"gzip": 9, "zstd": 19}.get(compression)
    if highest is None:
        raise InvalidInput(f"Compression {compression!r} is not known; use gzip, zstd or none.")
    if level is not None and not 1 <= level <= highest:
        raise InvalidInput(f"Compression level {level} is not between 1 and {highest}, the levels of {compression}.")


def compressor(
    out: Writer, compression: str = "gzip", level: int | None = None, workers: int | None = None
) -> BlockWriter:
    """Return a writer to ``out``: ``gzip`` (levels 1 to 9), ``zstd`` (1 to 19) or ``none`` (digests alone).

    Gzip is one member of deflate blocks that end on a byte (Z_SYNC_FLUSH), as pigz makes it: every reader takes it.
    Without a level it is the fastest one of the encoder that still packs well. InvalidInput for anything else.
    """
    if compression == "none":
        return BlockWriter(out, None, _GZIP_BLOCK, False, 1)
    check_level(compression, level)
    if compression == "zstd":
        compress = _zstd().compress
        return BlockWriter(out, lambda block: compress(block, level or 3), _ZSTD_BLOCK, False, workers)
    codec, effort = _deflate(level)

    def deflate(block: bytes) -> bytes:
        packer = codec.compressobj(effort, codec.DEFLATED, -15)
        return t.cast(bytes, packer.compress(block) + packer.flush(codec.Z_SYNC_FLUSH))

    return BlockWriter(out, deflate, _GZIP_BLOCK, True, workers)
