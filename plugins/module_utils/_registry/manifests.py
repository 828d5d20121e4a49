# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tag points at before it is written, writing and deleting manifests.

See distribution-spec, "Pushing Manifests" and "Content Management".
"""

from __future__ import annotations

from contextlib import suppress

from .._errors import Denied, OCIError, RegistryError, Unsupported
from .._oci.digest import mismatch
from .._oci.manifest import Descriptor, Manifest
from .client import Repository
from .tags import list_tags

_POLLS = 5


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


def look_again(repository: Repository, target: str, previous: str | None) -> Descriptor | None:
    """Return what a tag points at right before it is written; what was there is not taken for gone after a 403."""
    return find_existing(repository, target) if previous else repository.head(target, writing=True)


def put(repository: Repository, target: str, manifest: Manifest) -> None:
    """Store a manifest under a tag or its digest. Its blobs and members must be there already.

    What is stored is looked at: a registry takes under a tag whatever bytes arrive.
    """
    repository.registry.transport.again(lambda: _put(repository, target, manifest))


def _put(repository: Repository, target: str, manifest: Manifest) -> None:
    headers = {"Content-Type": manifest.media_type}
    response = repository.request("PUT", f"manifests/{target}", headers=headers, body=manifest.raw)
    if response.status not in (200, 201, 202):
        error = repository.refusal(response, repository.full(target))
        if ":" not in target and response.status in (400, 403, 409, 412):
            # A tag that may not be moved, and that a first try has set, whose answer was lost, or another host.
            with suppress(OCIError):
                found = repository.head(target, writing=True)
                if found and found.digest == manifest.digest:
                    repository.registry.transport.count(bytes_sent=len(manifest.raw))
                    return
        raise error
    response.discard()
    repository.registry.transport.count(bytes_sent=len(manifest.raw))
    stored = response.headers.get("Docker-Content-Digest")
    if not stored:
        found = repository.head(target)
        stored = found.digest if found else manifest.digest
    if stored != manifest.digest and stored.split(":")[0] == manifest.digest.split(":")[0]:
        what = f"{repository.full(target)}, as the registry stored it,"
        raise mismatch(what, manifest.digest, stored, repository.registry.host)


def remove(repository: Repository, target: str, may_lack: bool = False) -> bool:
    """Send DELETE, and make sure that it is gone; False where the registry cannot do it and ``may_lack`` that."""
    host, full = repository.registry.host, repository.full(target)
    deletion = repository.delete(target)
    if deletion.refusal:
        if may_lack:
            return False
        if deletion.refusal.status == 400:
            raise deletion.refusal
        text = f"{host} does not allow deletes (HTTP {deletion.refusal.status}). On distribution, set"
        text += " storage.delete.enabled: true (REGISTRY_STORAGE_DELETE_ENABLED); on Docker Hub and GHCR, use their"
        text += " own interface."
        raise Unsupported(text, registry=host, status=deletion.refusal.status)
    for tried in range(_POLLS):
        if repository.head(target, writing=True) is None:
            return True
        repository.registry.transport.wait(0.25 * 2**tried)  # seconds
    raise RegistryError(f"{host} accepted the deletion of {full}, but still serves it.", registry=host)
