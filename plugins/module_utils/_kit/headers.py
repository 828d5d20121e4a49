# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a layer in a registry: read once, verified to the end, and kept without their content."""

from __future__ import annotations

import typing as t

from .._layers.flatten import LayerSource, counted, plain
from .._layers.limits import Budget
from .._layers.streams import as_stream
from .._layers.tarstream import TarEntry, TarReader, content
from .._oci.manifest import Descriptor
from .._registry.blobs import use_blob
from .._registry.client import Repository
from .rootfs import refuse_encrypted, refuse_undistributed

See = t.Callable[[TarEntry, t.Iterator[bytes]], object]


def read_entries(repository: Repository, layer: Descriptor, what: str, budget: Budget, see: See) -> list[TarEntry]:
    """Return the entries of a layer, in order; ``see`` is shown each with its content, in pieces, which it may read.

    It is shown them again, from the first on, where the layer came damaged the first time. ``what`` names the image.
    Raises ContentError for layers that are damaged, hostile, above the limits, encrypted, or not in the registry since
    they may not be distributed.
    """
    name = f"The layer {layer.digest} of {what}"
    refuse_encrypted(layer, what)
    with repository.named():
        refuse_undistributed(repository, layer, what, "it cannot be looked into")
        return use_blob(repository, layer, lambda chunks: _read(LayerSource(name, lambda: chunks), budget, see))


def _read(source: LayerSource, budget: Budget, see: See) -> list[TarEntry]:
    reader = TarReader(as_stream(plain(source, budget)), source.name)
    found = []
    for entry in counted(reader, source.name, budget):
        see(entry, content(entry, reader.read))
        found.append(entry)
    return found
