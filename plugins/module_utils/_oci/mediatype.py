# SPDX-License-Identifier: GPL-3.0-or-later
"""Media types of manifests and indexes."""

from __future__ import annotations

from .._errors import InvalidInput

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

INDEXES = frozenset((OCI_INDEX, DOCKER_LIST))
MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT))

# Without the whole list some registries convert to another type (and digest) or answer 404 for what they hold.
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, SCHEMA1_SIGNED, SCHEMA1))


def strip_parameters(content_type: str | None) -> str:
    """Strip the parameters of a Content-Type: ``a/b; charset=utf-8`` becomes ``a/b``."""
    return (content_type or "").split(";")[0].strip().lower()


OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))

_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def is_docker(media_type: str) -> bool:
    """Is a manifest or index of this media type of Docker's family?"""
    return media_type in (DOCKER_MANIFEST, DOCKER_LIST)


DOCKER_ZSTD = f"{_DOCKER_LAYER}.zstd"  # some tools write it, none reads it
_ENCRYPTED = "+encrypted"  # as ocicrypt has it: skopeo, nerdctl, imgcrypt


def layer_type(manifest_type: str, compression: str, what: str = "The image") -> str:
    """Return the media type of a layer (``gzip``, ``zstd`` or ``none``) in a manifest of a type.

    Raises InvalidInput for zstd in Docker's format, which no engine reads; ``what`` names the image.
    """
    if not is_docker(manifest_type):
        return _OCI_LAYER + {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]
    if compression == "zstd":
        text = (
            f"{what} is in Docker's format, which has no layers in zstd, so that no engine would read them; compress "
            "the layer with gzip, or use an image in OCI's format."
        )
        raise InvalidInput(text, "UNSUPPORTED_COMPRESSION")
    return _DOCKER_LAYER + {"gzip": ".gzip", "none": ""}[compression]


def compression_in(media_type: str) -> str:
    """Return how the media type of a layer says that it is compressed: ``gzip``, ``zstd`` or ``none``."""
    return next((name for name in ("gzip", "zstd") if media_type.endswith(name)), "none")


def is_encrypted(media_type: str) -> bool:
    """Is this a layer that takes a key to be read (ocicrypt)?"""
    return media_type.endswith(_ENCRYPTED)
