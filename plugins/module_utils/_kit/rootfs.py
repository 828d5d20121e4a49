# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of an image: its layers are downloaded, verified, and merged into one tar."""

from __future__ import annotations

import typing as t

from .._errors import ContentError, InvalidInput
from .._layers.compression import Writer
from .._layers.flatten import LayerSource, flatten
from .._layers.limits import Limits
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor
from .._oci.mediatype import is_encrypted
from .._registry.blobs import has_blob, stream_blob
from .._registry.client import Repository
from .._registry.session import Session
from .image import Image


def parse_limits(limits: t.Mapping[str, int | None] | None) -> Limits:
    """Read the option ``limits``. Raises InvalidInput for what is not positive."""
    given = {name: value for name, value in (limits or {}).items() if value is not None}
    for name, value in given.items():
        if value < 1:
            raise InvalidInput(f"limits.{name} must be at least 1, not {int(value)}.")
    return Limits(**given)


def merge(session: Session, image: Image, out: Writer, limits: Limits, folder: str | None = None) -> None:
    """Write the root file system of an image to ``out`` as a tar, the same for the same files.

    The layers are spooled, uncompressed, in unnamed files in ``folder`` (the system's temporary one by default).
    Raises ContentError for layers that are damaged, hostile, encrypted or may not be distributed, OCIError (NO_SPACE).
    """
    with image.repository.named():
        flatten(layer_sources(image), out, limits, folder, session.jobs, unpacking(image))


def layer_sources(image: Image) -> list[LayerSource]:
    """Return the layers of an image, bottom to top, verified as they are read. Raises ContentError."""
    return [_source(image, *pair) for pair in zip(image.layers, image.diff_ids)]


def _source(image: Image, layer: Descriptor, diff_id: str) -> LayerSource:
    name = f"The layer {layer.digest} of {image.what}"
    refuse_encrypted(layer, image.what)

    def chunks() -> t.Iterator[bytes]:
        refuse_undistributed(image.repository, layer, image.what, "it cannot be unpacked from there")
        return stream_blob(image.repository, layer)

    return LayerSource(name, chunks, diff_id)


def refuse_encrypted(layer: Descriptor, what: str) -> None:
    """Raise ContentError (LAYER_ENCRYPTED) for a layer whose files cannot be read without a key."""
    if is_encrypted(layer.media_type):
        text = (
            f"The layer {layer.digest} of {what} is encrypted ({layer.media_type}); decrypt the image first, for "
            "example with skopeo copy --decryption-key."
        )
        raise ContentError(text, "LAYER_ENCRYPTED")


def refuse_undistributed(repository: Repository, layer: Descriptor, what: str, so: str) -> None:
    """Raise ContentError (LAYER_NOT_DISTRIBUTED) for a foreign layer that is not there; ``so`` says what follows."""
    if is_foreign(layer.media_type) and not has_blob(repository, layer.digest):
        text = f"The layer {layer.digest} of {what} is not in the registry, since it may not be distributed; {so}."
        raise ContentError(text, "LAYER_NOT_DISTRIBUTED")


def unpacking(image: Image) -> str:
    """Return what there must be space for, as the end of a sentence."""
    size = sum(layer.size for layer in image.layers)
    return f"to unpack {image.what} ({int(size)} bytes packed, several times that unpacked)"
