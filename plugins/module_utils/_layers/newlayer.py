# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from what a user has: tars and folders (OCI image-spec, layer.md). They are packed when needed."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput
from .compression import compressor
from .folder import Write, write_content, write_folder
from .layerfile import LayerFile, read_layer_file
from .spool import Spool
from .streams import as_stream, unpacked
from .tarstream import BLOCK, DIRECTORY, LINK, TarEntry, TarReader, content, entries, header

_WINDOWS = frozenset(("Files", "Hives"))
# Owner and group S-1-5-32-545 (Users), as a self-relative security descriptor: without it nothing can be run.
_USERS = "AQAAgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAhAgAAAQIAAAAAAAUgAAAAIQIAAA=="


@dataclass(frozen=True)
class NewLayer:
    """A layer by the digest of its uncompressed bytes, and what it takes to send it.

    ``name`` is for the history. ``compression`` is what it has already, if any; else ``pack`` compresses as it is told.
    ``plain`` yields its uncompressed bytes, as often as wanted.
    """

    name: str
    diff_id: str
    compression: str | None
    pack: t.Callable[[str], LayerFile]
    plain: t.Callable[[], t.Iterator[bytes]]


def from_path(path: str) -> NewLayer:
    """Read a tar, plain or compressed, or a folder. Raises InvalidInput, ContentError, OCIError (NO_SPACE), OSError."""
    name = os.path.basename(path.rstrip("/")) or path
    if not path:
        raise InvalidInput("The path of a layer is empty; name a tar or a folder on the target host.", "FILE_ERROR")
    if not os.path.exists(path):
        raise InvalidInput(f"{path} does not exist; a layer is a tar or a folder on the target host.", "FILE_ERROR")
    if os.path.isdir(path):
        return spooled(name, partial(write_folder, path))
    layer = read_layer_file(path, "none")
    compression = None if layer.compression == "none" else layer.compression
    pack = partial(read_layer_file, path) if compression is None else lambda dummy: layer
    return NewLayer(name, layer.diff_id, compression, pack, lambda: unpacked(layer.open(), path))


def windows(layer: NewLayer) -> NewLayer:
    """Return a layer as Windows wants it: its files below ``Files``, beside ``Hives``, with an owner that may run them.

    One that is of that form is left as it is. Raises ContentError for one that is of both.
    """
    tops = {entry.path.split("/")[0] for entry in entries(as_stream(layer.plain()), layer.name)} - {""}
    if tops and tops <= _WINDOWS:
        return layer
    if tops & _WINDOWS:
        text = (
            f"{layer.name} has Files or Hives, as layers of Windows have, and other files beside them; remove either."
        )
        raise ContentError(text, "INVALID_LAYER")

    def write(out: Write) -> None:
        for name in sorted(_WINDOWS):
            out(header(TarEntry(kind=DIRECTORY, mode=0o555), name))
        reader = TarReader(as_stream(layer.plain()), layer.name)
        for entry in reader:
            target = f"Files/{entry.target}" if entry.kind == LINK else entry.target
            pax = {**entry.pax, "MSWINDOWS.rawsd": _USERS.encode("ascii")}
            if entry.path:
                out(header(entry._replace(target=target, pax=pax), f"Files/{entry.path}"))
                write_content(entry, content(entry, reader.read), out)

    return spooled(layer.name, write)


def spooled(name: str, write: t.Callable[[Write], None]) -> NewLayer:
    """Write a tar into a temporary file, uncompressed: ``write`` gives its entries, the end is added here."""
    file = Spool(f"to pack the layer of {name}")
    with compressor(file, "none") as writer:
        write(writer.write)
        writer.write(bytes(2 * BLOCK))
    written = writer.close()

    def pack(compression: str) -> LayerFile:
        packed = Spool(f"to compress the layer of {name}")
        with compressor(packed, compression) as coder:
            for piece in file.chunks():
                coder.write(piece)
        done = coder.close()
        return LayerFile(done.digest, done.size, done.diff_id, compression, packed.chunks)

    return NewLayer(name, written.diff_id, None, pack, file.chunks)
