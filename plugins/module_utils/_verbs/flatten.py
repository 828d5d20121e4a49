# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the layers of an image into one (crane flatten)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .._kit.edit import Edited, as_it_is, plan_edit, rewrite
from .._kit.image import Image
from .._kit.rootfs import merge, parse_limits
from .._layers.compression import check_level, compressor, encoder_name
from .._layers.limits import Limits
from .._layers.spool import Spool
from .._oci.mediatype import layer_type
from .._oci.parts import parts
from .._oci.provenance import flattened
from .._plan import Plan
from .._registry.session import Session


def plan_flatten(
    session: Session,
    *,
    name: str,
    dest: str | None,
    platforms: list[str],
    compression: str,
    compression_level: int | None,
    limits: dict[str, int | None] | None,
    on_existing: str,
) -> Plan:
    """Plan an image of one layer for each platform; the layer is made here, unless the destination has it already."""
    check_level(compression, compression_level)
    work = _Flattening(session, compression, compression_level, parse_limits(limits))
    return plan_edit(
        session,
        name=name,
        dest=dest,
        platforms=platforms,
        on_existing=on_existing,
        edit=work.edit,
        extra=lambda edited: work.results,
    )


@dataclass
class _Flattening:
    """Flattens images one by one, and adds up what the results tell."""

    session: Session
    compression: str
    level: int | None
    limits: Limits
    results: dict[str, t.Any] = field(
        default_factory=lambda: {"layers_before": 0, "size_before": 0, "size": 0, "encoder": None}
    )

    def edit(self, image: Image, there: Image | None) -> Edited:
        """Return the image flattened: as it is if it has one layer, as it is at the destination, or made anew."""
        wanted = layer_type(image.manifest.media_type, self.compression, image.what)
        if len(image.layers) < 2 and all(layer.media_type == wanted for layer in image.layers):
            edited = Edited(image.manifest, image.config)
        else:
            edited = self._reused(image, there, wanted) or self._made(image, wanted)
        self.results["layers_before"] += len(image.layers)
        self.results["size_before"] += sum(layer.size for layer in image.layers)
        self.results["size"] += sum(layer.size for layer in parts(edited.manifest, "layers"))
        return edited

    def _reused(self, image: Image, there: Image | None, wanted: str) -> Edited | None:
        """Return the image with the layer of the destination, where that one's history says that it was made of this.

        Its bytes are not compared with anything: they depend on the encoder that made them.
        """
        if not there or [layer.media_type for layer in there.layers] != [wanted]:
            return None
        config = flattened(image.config, image.manifest.digest, *there.diff_ids)
        if there.config.get("history") != config["history"]:
            return None
        layer = there.layers[0]
        new = replace(rewrite(image, config, [layer.json]), elsewhere={layer.digest: there.repository})
        return as_it_is(new, there)

    def _made(self, image: Image, wanted: str) -> Edited:
        file = Spool(f"to compress the new layer of {image.what}")
        with compressor(file, self.compression, self.level) as writer:
            merge(self.session, image, writer, self.limits)
        written = writer.close()
        self.results["encoder"] = encoder_name(self.compression, self.level)
        config = flattened(image.config, image.manifest.digest, written.diff_id)
        layer = {"mediaType": wanted, "digest": written.digest, "size": written.size}
        edited = rewrite(image, config, [layer])
        return replace(edited, local={**edited.local, written.digest: file.chunks})
