# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry holds: media types, digests, layers, manifests, repositories."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)


class Layer(NamedTuple):
    """A layer for `add_image` that is not to be gzipped, such as zstd."""

    data: bytes
    media_type: str
    diff_id: str


class Manifest(NamedTuple):
    media_type: str
    body: bytes


@dataclass
class Upload:
    identity: str
    data: bytearray = field(default_factory=bytearray)
    step: int = 0
    closed: bool = False  # a short chunk came, so it must have been the last

    @property
    def state(self) -> str:
        """Percent-encoded on purpose: whoever decodes or encodes it again is found out."""
        return f"s{self.step}%2B~%2F%3D"


@dataclass
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    ghosts: dict[str, list[Any]] = field(default_factory=dict)  # deleted reference -> [reads left, manifest]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def gzipped(data: bytes) -> bytes:
    """The same bytes from every Python version (gzip.compress writes other headers in some)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def to_json(value: Any) -> bytes:
    """Indented, so that a client which writes it anew does not get the same digest by chance."""
    return json.dumps(value, indent=2).encode()
