# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of an image: its layers are downloaded, verified, and merged into one tar."""

from __future__ import annotations

import typing as t

from .._errors import ContentError, InvalidInput
from .._layers.flatten import LayerSource, Limits, flatten
from .._layers.spool import explain_no_space
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor
from .._registry.blobs import has_blob, stream_blob
from .._registry.session import Session
from .image import Image


class _Reader:
    """A blob as a file to read, as much of one as decompression needs."""

    def __init__(self, chunks: t.Generator[bytes, None, None]) -> None:
        self._chunks, self._held = chunks, memoryview(b"")

    def read(self, size: int) -> bytes:
        if not self._held:
            self._held = memoryview(next(self._chunks, b""))
        data = bytes(self._held[:size])
        self._held = self._held[size:]
        return data

    def close(self) -> None:
        self._chunks.close()


def parse_limits(limits: t.Mapping[str, int | None] | None) -> Limits:
    """Read the option ``limits``. Raises InvalidInput for what is not positive."""
    given = {name: value for name, value in (limits or {}).items() if value is not None}
    for name, value in given.items():
        if value < 1:
            raise InvalidInput(f"limits.{name} must be at least 1, not {int(value)}.")
    return Limits(**given)


def merge(session: Session, image: Image, out: t.BinaryIO, limits: Limits, folder: str | None = None) -> None:
    """Write the root file system of an image to ``out`` as a tar, the same for the same files.

    The layers are spooled, uncompressed, in unnamed files in ``folder`` (the system's temporary one by default).
    Raises ContentError for layers that are damaged, hostile or may not be distributed, OCIError (NO_SPACE).
    """
    with image.repository.named(), explain_no_space(unpacking(image), folder):
        layers = [_source(image, *pair) for pair in zip(image.layers, image.diff_ids)]
        flatten(layers, out, limits, folder, session.jobs)


def _source(image: Image, layer: Descriptor, diff_id: str) -> LayerSource:
    name = f"The layer {layer.digest} of {image.what}"

    def start() -> t.BinaryIO:
        if is_foreign(layer.media_type) and not has_blob(image.repository, layer.digest):
            text = (
                f"{name} is not in the registry, since it may not be distributed; the image "
                "cannot be unpacked from there."
            )
            raise ContentError(text, "LAYER_NOT_DISTRIBUTED")
        chunks = t.cast("t.Generator[bytes, None, None]", stream_blob(image.repository, layer))
        return t.cast(t.BinaryIO, _Reader(chunks))

    return LayerSource(name, start, diff_id)


def unpacking(image: Image) -> str:
    """Return what there must be room for."""
    size = sum(layer.size for layer in image.layers)
    return f"to unpack {image.what} ({int(size)} bytes packed, several times that unpacked)"
