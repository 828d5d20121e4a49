# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from files of the user: a tar, plain or compressed (OCI image-spec, layer.md)."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput
from .compression import SNIFFED, compression_of, compressor
from .spool import Spool, read_at
from .streams import Sink, as_stream, pieces_of, unpacked
from .tarstream import BLOCK, entries


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


def read_layer_file(path: str, compression: str = "gzip") -> LayerFile:
    """Read a file to its end and return the layer it makes.

    What is compressed already (gzip, zstd) is used byte for byte; a plain tar is compressed as asked (``none``: used
    as it is) into a temporary file without a name. Raises InvalidInput for what is no file, ContentError for what is
    no tar or is cut off, OSError, and MissingLibrary for zstd without a codec. Files of many gigabytes are fine.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InvalidInput(f"{path} is not a regular file; a layer is a tar, a tar.gz or a tar.zst.")
    file = open(path, "rb")  # noqa: SIM115  # it lives as long as what is returned
    found = compression_of(file.read(SNIFFED))
    file.seek(0)
    if found == "none" and compression != "none":
        return _compressed(file, path, compression)
    coded, plain = hashlib.sha256(), hashlib.sha256()
    _check_tar(unpacked(pieces_of(file), path, coded.update), path, plain.update)
    digest, size = f"sha256:{coded.hexdigest()}", file.tell()
    diff_id = f"sha256:{plain.hexdigest()}"
    return LayerFile(digest, size, diff_id, found, partial(_unchanged, file, digest, size, path))


class _LastBlock:
    """Keeps the end of the bytes that go by."""

    def __init__(self) -> None:
        self.block = b""

    def see(self, data: bytes) -> None:
        self.block = (self.block + data[-BLOCK:])[-BLOCK:]


def _check_tar(chunks: t.Iterable[bytes], path: str, sink: Sink) -> None:
    """Read an uncompressed tar to its end, which must be a block of zeros; ``sink`` gets all its bytes."""
    last = _LastBlock()
    for dummy in entries(as_stream(chunks, sink, last.see), path):
        pass
    if last.block != bytes(BLOCK):
        text = f"{path} is not a tar archive, or is cut off: it does not end with a block of zeros; build it again."
        raise ContentError(text, "INVALID_LAYER")


def _compressed(file: t.BinaryIO, path: str, compression: str) -> LayerFile:
    """Compress a plain tar into a temporary file."""
    packed = Spool(f"to compress {path}")
    with file, compressor(packed, compression) as writer:
        _check_tar(pieces_of(file), path, writer.write)
        written = writer.close()
    return LayerFile(written.digest, written.size, written.diff_id, compression, packed.chunks)


def _unchanged(file: t.BinaryIO, digest: str, size: int, path: str) -> t.Iterator[bytes]:
    """Yield a file's bytes without moving its position; the last piece only after its digest was found right."""
    found, held, done = hashlib.sha256(), b"", 0
    for data in read_at(file.fileno(), 0, size, path):
        found.update(data)
        done += len(data)
        if held:
            yield held
        held = data
    if done < size or f"sha256:{found.hexdigest()}" != digest:
        text = f"{path} changed while the task was running, and nothing was written from it; run the task again."
        raise ContentError(text, "DIGEST_MISMATCH")
    yield held
