# SPDX-License-Identifier: GPL-3.0-or-later
"""Media types of image configs and layers, by family: an image is OCI or Docker in all its parts."""

from __future__ import annotations

from .._errors import ContentError
from .manifest import Manifest
from .mediatype import DOCKER_LIST, DOCKER_MANIFEST
from .parts import parts

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))

_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def is_docker(media_type: str) -> bool:
    """Is a manifest or index of this media type of Docker's family?"""
    return media_type in (DOCKER_MANIFEST, DOCKER_LIST)


def layer_type(manifest_type: str, compression: str) -> str:
    """Return the media type of a layer (``gzip``, ``zstd`` or ``none``) in a manifest of a type."""
    if is_docker(manifest_type):
        return _DOCKER_LAYER + {"gzip": ".gzip", "zstd": ".zstd", "none": ""}[compression]
    return _OCI_LAYER + {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]


def not_image(manifest: Manifest) -> str | None:
    """Say what makes a manifest something else than an image (an artifact, a signature, an attestation); else None."""
    if manifest.is_index:
        return "it is an index"
    configs = parts(manifest, "config")
    if not configs or configs[0].media_type not in CONFIGS:
        return "its config has the type %s" % (configs[0].media_type if configs else "none")
    odd = [layer.media_type for layer in parts(manifest, "layers") if ".tar" not in layer.media_type]
    return "it has a layer of the type %s" % odd[0] if odd else None


def check_image(manifest: Manifest, what: str) -> None:
    """Raise ContentError (NOT_AN_IMAGE) unless this is an image; ``what`` names it."""
    why = not_image(manifest)
    if why:
        raise ContentError("%s is not an image: %s." % (what, why), "NOT_AN_IMAGE")
