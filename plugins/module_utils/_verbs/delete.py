# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete a tag or a manifest, and nothing that others use (crane delete)."""

from __future__ import annotations

import typing as t

from .._errors import Denied, OCIError, Refused, RegistryError, Unsupported
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._plan import Plan, Step
from .._registry.client import Repository
from .._registry.session import Session
from .._registry.tags import list_tags

_POLLS = 5


def plan_delete(session: Session, *, name: str, force: bool) -> Plan:
    """Plan the removal of a tag alone where the registry can do that, else of the manifest if nothing else uses it."""
    reference = Reference.parse(name)
    repository = session.repository(reference, "pull", "push", "delete")
    try:
        found = repository.head(reference.target)
    except Denied:  # so says Artifactory of a tag that is not there
        if reference.digest or reference.target in list_tags(repository):
            raise
        found = None
    digest = found.digest if found else None
    result: dict[str, t.Any] = {
        "reference": str(reference.with_digest(digest)) if digest else None,
        "digest": digest,
        "media_type": found.media_type if found else None,
        "previous_digest": digest,
        "deleted": [],
        "untagged": [],
    }
    if not digest:
        return Plan(result, before={str(reference): None}, after={str(reference): None})
    tag = None if reference.digest else reference.target
    delete = _Delete(session, repository, digest, tag, force, result)
    step = delete.plan_untag() if tag and not _cannot_untag(repository) else delete.plan_manifest()
    gone = [repository.full(item) for item in result["untagged"]] + result["deleted"]
    before = {str(reference): digest, **dict.fromkeys(gone, digest)}
    return Plan(result, before, dict.fromkeys(before), (step,))


class _Delete(t.NamedTuple):
    """One deletion; planning fills ``result`` in, and running corrects it where the registry is a different one."""

    session: Session
    repository: Repository
    digest: str
    tag: str | None
    force: bool
    result: dict[str, t.Any]

    def plan_untag(self) -> Step:
        self.result["untagged"] = [self.tag]
        return Step(f"Remove the tag {self.repository.full(str(self.tag))}.", self.untag)

    def plan_manifest(self) -> Step:
        tags, indexes = self.users()
        # A digest that one tag has is what the user named; a second tag, or an index, is somebody else's.
        if not self.force and (indexes or len(tags) > 1):
            raise self.shared(", ".join(user for user in tags + indexes if user != self.tag))
        self.result.update(deleted=[self.digest], untagged=tags)
        also = f", and with it the tags {', '.join(tags)}" if tags else ""
        return Step(f"Delete the manifest {self.repository.full(self.digest)}{also}.", self.delete)

    def users(self) -> tuple[list[str], list[str]]:
        """Return the tags that point at the digest, and those of the indexes that it is a member of."""
        tags = list_tags(self.repository)
        heads = {tag: head for tag, head in zip(tags, self.session.map(self.repository.head, tags)) if head}
        same = [tag for tag, head in heads.items() if head.digest == self.digest]
        indexes = {tag: head.digest for tag, head in heads.items() if head.media_type in INDEXES}
        read = self.session.map(self.repository.get_raw, {*indexes.values()} - {self.digest})
        holding = {index.digest for index in read if self.digest in str(index.json)}  # as a member, or mentioned
        return same, [tag for tag, digest in indexes.items() if digest in holding]

    def shared(self, others: str) -> OCIError:
        named, host = self.repository.full(self.tag or self.digest), self.repository.registry.host
        if self.tag:
            text = f"{named} cannot be removed alone: {host} does not delete tags, and deleting the manifest would also"
            return Unsupported(f"{text} break {others}. Set force: true to do that.", registry=host)
        text = f"{named} is used by {others}, which deleting it would break. Delete those first, or set force: true."
        return Refused(text, "MANIFEST_SHARED", host)

    def untag(self) -> None:
        if not self.remove(str(self.tag), (400, 405, 501)):
            self.plan_manifest().run()

    def delete(self) -> None:
        self.remove(self.digest)

    def remove(self, target: str, cannot: tuple[int, ...] = ()) -> bool:
        """Send DELETE, and make sure that what was deleted is gone; False for a status in ``cannot``."""
        host, full = self.repository.registry.host, self.repository.full(target)
        response = self.repository.request("DELETE", f"manifests/{target}")
        status = response.status
        if status not in (200, 202, 204, 404, 405, 501, *cannot):
            raise self.repository.refusal(response, full)
        response.discard()
        if status in cannot:
            return False
        if status in (405, 501):
            text = f"{host} does not allow deletes (HTTP {status}). On distribution, set storage.delete.enabled: true"
            text += " (REGISTRY_STORAGE_DELETE_ENABLED); on Docker Hub and GHCR, use their own interface."
            raise Unsupported(text, registry=host, status=status)
        for tried in range(_POLLS):
            if self.repository.head(target, writing=True) is None:
                return True
            self.repository.registry.transport.wait(0.25 * 2**tried)
        raise RegistryError(f"{host} accepted the deletion of {full}, but still serves it.", registry=host)


def _cannot_untag(repository: Repository) -> bool:
    """Guess, without a write, whether this is a registry that cannot delete tags alone: Harbor, or distribution 2."""
    if repository.registry.parameters.get("service") == "harbor-registry":  # deletes the manifest with all its tags
        return True
    # Distribution came to delete tags and to page the list of tags in the same release, 3.0: what ignores n is older.
    # Its answer for the referrers API that it does not have is the plain text of its router.
    probe = repository.request("GET", "tags/list?n=-1")
    probe.discard()
    if probe.status != 200 or "Docker-Distribution-Api-Version" not in probe.headers:
        return False
    probe = repository.request("GET", f"referrers/sha256:{'0' * 64}")
    return probe.status == 404 and probe.discard().startswith(b"404 page not found")
