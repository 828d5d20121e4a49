# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing and deleting manifests (distribution-spec, "Pushing Manifests", "Content Management")."""

from __future__ import annotations

from .._errors import RegistryError, Unsupported
from .._oci.digest import mismatch
from .._oci.manifest import Manifest
from .client import Repository

CANNOT = (400, 405, 501)  # what registries answer that cannot remove a tag alone
_POLLS = 5


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


def remove(repository: Repository, target: str, cannot: tuple[int, ...] = ()) -> bool:
    """Send DELETE, and make sure that what was deleted is gone; False for a status in ``cannot``."""
    host, full = repository.registry.host, repository.full(target)
    response = repository.request("DELETE", f"manifests/{target}")
    status = response.status
    if status not in (200, 202, 204, 404, 405, 501, *cannot):
        raise repository.refusal(response, full)
    response.discard()
    if status in cannot:
        return False
    if status in (405, 501):
        text = f"{host} does not allow deletes (HTTP {status}). On distribution, set storage.delete.enabled: true"
        text += " (REGISTRY_STORAGE_DELETE_ENABLED); on Docker Hub and GHCR, use their own interface."
        raise Unsupported(text, registry=host, status=status)
    for tried in range(_POLLS):
        if repository.head(target, writing=True) is None:
            return True
        repository.registry.transport.pause(tried)
    raise RegistryError(f"{host} accepted the deletion of {full}, but still serves it.", registry=host)
