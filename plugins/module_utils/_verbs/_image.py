# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the manifest that a name and a platform mean, for the verbs that only read."""

from __future__ import annotations

import typing as t

from .._errors import ContentError, NotFound
from .._oci.manifest import Descriptor, Manifest
from .._oci.parts import checked
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.select import select_member
from .._registry.client import Repository
from .._registry.session import Session


def find(session: Session, name: str, platform: str | None = None) -> tuple[Reference, Repository, Manifest | None]:
    """Return what a name means, its manifest or None when it is absent; with a platform, that member of an index."""
    reference = Reference.parse(name)
    wanted = Platform.parse(platform) if platform else None
    repository = session.repository(reference)
    try:
        manifest = _read(repository, reference.target)
    except NotFound:
        return reference, repository, None
    return reference, repository, member(repository, reference, manifest, wanted) if wanted else manifest


def member(repository: Repository, reference: Reference, manifest: Manifest, wanted: Platform) -> Manifest:
    """Return the member of an index for a platform, through nested indexes; an image is its own only member."""
    with repository.named():
        for dummy in range(8):
            if not manifest.is_index:
                return manifest
            manifest = _read(repository, select_member(manifest, wanted, str(reference)).digest)
        raise ContentError("%s nests its indexes too deeply." % reference, "MANIFEST_INVALID")


def _read(repository: Repository, target: str) -> Manifest:
    with repository.named():
        return checked(repository.get(target), repository.full(target))


def described(reference: Reference, manifest: Descriptor | Manifest | None) -> dict[str, t.Any]:
    """Return the results that every module which reads one image has in common."""
    return {
        "exists": manifest is not None,
        "reference": str(reference.with_digest(manifest.digest)) if manifest else None,
        "digest": manifest.digest if manifest else None,
        "media_type": manifest.media_type if manifest else None,
    }
