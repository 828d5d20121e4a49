# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image, for those who look at it: its referrers, and what lies under cosign's tags."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import NotFound
from .._oci.image import artifact_type
from .._oci.manifest import Descriptor, Json
from .._oci.parts import parts
from .._registry.client import Repository
from .._registry.referrers import COSIGN_SUFFIXES, digest_tag, get_tagged, referrers

_EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Referrer:
    """What refers to a digest: ``kind`` is its artifact type, None where nothing says; ``tag`` one of cosign's."""

    item: Descriptor
    kind: str | None
    tag: str | None
    annotations: Json


def look_at_referrers(repository: Repository, digest: str) -> list[Referrer]:
    """Return all that refers to a digest. Nobody has verified it. Raises Denied, RegistryError, ContentError."""
    listed = [_listed(repository, item) for item in referrers(repository, digest)]
    tagged = [_tagged(repository, digest_tag(digest) + suffix) for suffix in COSIGN_SUFFIXES]
    return [*listed, *(one for one in tagged if one)]


def _listed(repository: Repository, item: Descriptor) -> Referrer:
    """Read what a list says of a referrer. Some lists leave the type out, or have that of an empty config (GHCR)."""
    kind: str | None = item.json.get("artifactType")
    if not isinstance(kind, str) or kind in ("", _EMPTY):
        try:
            kind = artifact_type(repository.get(item.digest))
        except NotFound:  # a list may name what is gone
            kind = None
    return Referrer(item, kind, None, item.json.get("annotations") or {})


def _tagged(repository: Repository, tag: str) -> Referrer | None:
    manifest = get_tagged(repository, tag)
    if manifest is None:
        return None
    layers = parts(manifest, "layers")
    kind = layers[0].media_type if layers else None
    return Referrer(manifest.descriptor, kind, tag, manifest.json.get("annotations") or {})
