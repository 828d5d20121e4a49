# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from files of the user: a tar, plain or compressed (OCI image-spec, layer.md)."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput
from .compression import GZIP_MAGIC, Written, compressor, decompressor
from .spool import pieces, scratch
from .tarstream import BLOCK, entries

_PIECE = 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"LZIP": "lzip", b"PK\x03\x04": "zip"}


@dataclass(frozen=True)
class LayerFile:
    """A layer that can be sent: its digest, its size in bytes, the digest of its uncompressed bytes, how it is
    compressed (``gzip``, ``zstd`` or ``none``), and what opens it, as often as it takes and in any thread.
    """

    digest: str
    size: int
    diff_id: str
    compression: str
    open: t.Callable[[], t.Iterable[bytes]]


class _Tee(io.RawIOBase):
    """The bytes of a stream, each piece of which goes to ``sink`` too as it is read; the last block is kept."""

    def __init__(self, stream: t.BinaryIO, sink: t.Callable[[bytes], object]) -> None:
        super().__init__()
        self._stream, self._sink = stream, sink
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        data = self._stream.read(len(buffer))
        self._sink(data)
        self.tail = (self.tail + data)[-BLOCK:]
        buffer[: len(data)] = data
        return len(data)


def read_layer_file(path: str, compression: str = "gzip") -> LayerFile:
    """Read a file to its end and return the layer it makes.

    What is compressed already (gzip, zstd) is used byte for byte; a plain tar is compressed as asked (``none``: used
    as it is) into a temporary file without a name. Raises InvalidInput for what is no file, ContentError for what is
    no tar or is cut off, OSError, and MissingLibrary for zstd without a codec. Files of many gigabytes are fine.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InvalidInput(f"{path} is not a regular file; a layer is a tar, a tar.gz or a tar.zst.")
    file = open(path, "rb")  # noqa: SIM115  # it lives as long as what is returned
    found = _compression(file.read(6), path)
    if found == "none" and compression != "none":
        return _compressed(file, path, compression)
    coded, plain = hashlib.sha256(), hashlib.sha256()
    _check_tar(decompressor(_hashed(file, coded), path), path, plain.update)
    digest, size = f"sha256:{coded.hexdigest()}", file.tell()
    diff_id = f"sha256:{plain.hexdigest()}"
    return LayerFile(digest, size, diff_id, found, partial(_unchanged, file, digest, size, path))


def _compression(magic: bytes, path: str) -> str:
    """Tell the compression by the first bytes of a file."""
    if magic.startswith(GZIP_MAGIC):
        return "gzip"
    skippable = magic[1:4] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5  # as zstd:chunked may begin
    if magic.startswith(_ZSTD_MAGIC) or skippable:
        return "zstd"
    for start, name in _OTHERS.items():
        if magic.startswith(start):
            text = (
                f"{path} is compressed with {name}, which images cannot have; a layer is a tar, a tar.gz or a tar.zst."
            )
            raise ContentError(text, "INVALID_LAYER")
    return "none"


def _hashed(file: t.BinaryIO, digest: hashlib._Hash) -> t.BinaryIO:
    file.seek(0)
    return t.cast(t.BinaryIO, io.BufferedReader(_Tee(file, digest.update), _PIECE))


def _check_tar(stream: t.BinaryIO, path: str, sink: t.Callable[[bytes], object]) -> None:
    """Read an uncompressed tar to its end, which must be a block of zeros; ``sink`` gets all its bytes."""
    tee = _Tee(stream, sink)
    for dummy in entries(t.cast(t.BinaryIO, io.BufferedReader(tee, _PIECE)), path):
        pass
    if tee.tail != bytes(BLOCK):
        text = f"{path} is not a tar archive, or is cut off: it does not end with a block of zeros; build it again."
        raise ContentError(text, "INVALID_LAYER")


def _compressed(file: t.BinaryIO, path: str, compression: str) -> LayerFile:
    """Compress a plain tar into a temporary file."""
    packed = scratch()
    file.seek(0)
    with file, compressor(packed, compression) as writer:
        _check_tar(file, path, writer.write)
        written: Written = writer.close()
    packed.flush()
    opener = partial(pieces, packed, written.size)
    return LayerFile(written.digest, written.size, written.diff_id, compression, opener)


def _unchanged(file: t.BinaryIO, digest: str, size: int, path: str) -> t.Iterator[bytes]:
    """Yield a file's bytes without moving its position; the last piece only after its digest was found right."""
    found, at = hashlib.sha256(), 0
    while at < size:
        data = os.pread(file.fileno(), min(_PIECE, size - at), at)
        found.update(data)
        at += len(data)
        if not data or (at == size and f"sha256:{found.hexdigest()}" != digest):
            text = f"{path} changed while the task was running, and nothing was written from it; run the task again."
            raise ContentError(text, "DIGEST_MISMATCH")
        yield data
