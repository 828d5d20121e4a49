# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tag points at before it is written, and writing manifests (distribution-spec, "Pushing Manifests")."""

from __future__ import annotations

from .._errors import Denied
from .._oci.digest import mismatch
from .._oci.manifest import Descriptor, Manifest
from .client import Repository
from .tags import list_tags


def find_existing(repository: Repository, target: str) -> Descriptor | None:
    """Return what a tag or digest points at, where it depends on the answer what happens, or None where it is absent.

    Some registries answer 403 for a tag that is not there; that is believed only if the list of tags shows it. Raises
    Denied, and what ``head`` raises.
    """
    try:
        return repository.head(target)
    except Denied:
        if ":" in target or target in list_tags(repository):
            raise
        return None


def put(repository: Repository, target: str, manifest: Manifest) -> None:
    """Store a manifest under a tag or its digest. Its blobs and members must be there already.

    What is stored is looked at: a registry takes under a tag whatever bytes arrive.
    """
    repository.registry.transport.again(lambda: _put(repository, target, manifest))


def _put(repository: Repository, target: str, manifest: Manifest) -> None:
    headers = {"Content-Type": manifest.media_type}
    response = repository.request("PUT", f"manifests/{target}", headers=headers, body=manifest.raw)
    if response.status not in (200, 201, 202):
        raise repository.refusal(response, repository.full(target))
    response.discard()
    repository.registry.transport.count(bytes_sent=len(manifest.raw))
    stored = response.headers.get("Docker-Content-Digest")
    if not stored:
        found = repository.head(target)
        stored = found.digest if found else manifest.digest
    if stored != manifest.digest and stored.split(":")[0] == manifest.digest.split(":")[0]:
        what = f"{repository.full(target)}, as the registry stored it,"
        raise mismatch(what, manifest.digest, stored, repository.registry.host)
