# SPDX-License-Identifier: GPL-3.0-or-later
"""An image with its config, as the verbs see it that edit or unpack images."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import ContentError
from .._oci.layertypes import check_image
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.parts import parts
from .._oci.platform import Platform
from .._registry.client import Repository
from .._registry.read import read_blob


@dataclass(frozen=True)
class Image:
    """One image: where it lies, its manifest and config, and a name for messages.

    ``listed`` is the platform that its index gives it, if any.
    """

    repository: Repository
    manifest: Manifest
    config: Json
    what: str
    listed: Platform | None = None

    @property
    def layers(self) -> list[Descriptor]:
        """The layers, bottom to top."""
        return parts(self.manifest, "layers")

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the uncompressed layers, bottom to top. Raises ContentError where they do not fit."""
        found = (self.config.get("rootfs") or {}).get("diff_ids") or []
        if len(found) != len(self.layers):
            text = "%s has %d layers, but its config lists %d of them (rootfs.diff_ids)."
            raise ContentError(text % (self.what, len(self.layers), len(found)), "CONFIG_INVALID")
        return [str(diff_id) for diff_id in found]

    @property
    def platform(self) -> Platform | None:
        """The platform that the index or else the config names."""
        return self.listed or Platform.from_json(self.config)


def read_image(repository: Repository, manifest: Manifest, what: str) -> Image:
    """Read the config of an image. Raises ContentError (NOT_AN_IMAGE) for anything else."""
    with repository.named():
        check_image(manifest, what)
        config = parse_json(read_blob(repository, parts(manifest, "config")[0]), "The config of %s" % what)
        rootfs = config.get("rootfs") or {}
        if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids") or [], list):
            raise ContentError("The config of %s is not that of an image (rootfs)." % what, "CONFIG_INVALID")
        if not isinstance(config.get("config") or {}, dict) or not isinstance(config.get("history") or [], list):
            raise ContentError("The config of %s is not that of an image (config, history)." % what, "CONFIG_INVALID")
    return Image(repository, manifest, config, what)
