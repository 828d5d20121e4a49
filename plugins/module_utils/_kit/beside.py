# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image, for those who look at it: its referrers, and what lies under cosign's tags."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from .._errors import ContentError, NotFound, RegistryError
from .._oci.image import artifact_type
from .._oci.manifest import Descriptor, Json
from .._oci.parts import parts
from .._registry.client import Repository
from .._registry.referrers import COSIGN_SUFFIXES, digest_tag, get_tagged, listed_type, referrers
from .target import Target


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
    """Return what a list says of a referrer, which is asked itself where the list does not say of what type it is."""
    kind, annotations = listed_type(item), item.json.get("annotations")
    if kind is None:
        with suppress(NotFound):  # a list may name what is gone
            manifest = repository.get(item.digest)
            kind, annotations = artifact_type(manifest), annotations or manifest.json.get("annotations")
    return Referrer(item, kind, None, annotations or {})


def _tagged(repository: Repository, tag: str) -> Referrer | None:
    manifest = get_tagged(repository, tag)
    if manifest is None:
        return None
    layers = parts(manifest, "layers")
    kind = layers[0].media_type if layers else None
    return Referrer(manifest.descriptor, kind, tag, manifest.json.get("annotations") or {})


def shows_signatures(repository: Repository, digest: str, writing: bool = False) -> bool:
    """Say whether a digest has signatures or attestations, as far as that shows: their content is not read.

    What cannot be asked for is no matter.
    """
    try:
        tagged = repository.head(f"{digest_tag(digest)}.sig", writing=writing) is not None
        kinds = [str(_listed(repository, item).kind) for item in referrers(repository, digest)]
    except (RegistryError, ContentError):
        return False
    return tagged or any("sigstore.bundle" in kind or "signature" in kind for kind in kinds)


def left_signatures(target: Target) -> list[str]:
    """Say that what a target has, and what is to be replaced by an edit of itself, is signed, as far as that shows.

    The signatures are not read, and what cannot be asked for is no matter, since nobody asked for this.
    """
    if target.previous is None or not shows_signatures(target.repository, target.previous, writing=True):
        return []
    text = f"{target.reference} has signatures or attestations, which are of {target.previous}"
    return [f"{text} and do not fit what it becomes; sign it again."]
