# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete a tag or a manifest, and nothing that others use (crane delete)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import Denied, OCIError, Refused, RegistryError, Unsupported
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._plan import Plan, Step
from .._registry.client import Repository
from .._registry.lists import tags as list_tags
from .._registry.session import Session

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
    result: dict[str, t.Any] = {
        "reference": str(reference.with_digest(found.digest)) if found else None,
        "digest": found.digest if found else None,
        "media_type": found.media_type if found else None,
        "previous_digest": found.digest if found else None,
        "deleted": [],
        "untagged": [],
    }
    if found is None:
        return Plan(result, before={str(reference): None}, after={str(reference): None})
    tag = None if reference.digest else reference.target
    delete = _Delete(session, repository, found.digest, tag, force, result)
    step = delete.plan_untag() if tag and not _cannot_untag(repository) else delete.plan_manifest()
    gone = [repository.full(item) for item in result["untagged"]] + result["deleted"]
    before = {str(reference): found.digest, **dict.fromkeys(gone, found.digest)}
    return Plan(result, before, dict.fromkeys(before), (step,))


@dataclass(frozen=True)
class _Delete:
    """One deletion; ``result`` is filled in by planning, and corrected where the registry turns out to be different."""

    session: Session
    repository: Repository
    digest: str
    tag: str | None
    force: bool
    result: dict[str, t.Any]

    def plan_untag(self) -> Step:
        self.result["untagged"] = [self.tag]
        return Step("Remove the tag %s." % self.repository.full(str(self.tag)), self._untag)

    def plan_manifest(self) -> Step:
        tags, indexes = self._users()
        # A digest that one tag has is what the user named; a second tag, or an index, is somebody else's.
        if not self.force and (indexes or len(tags) > 1):
            raise self._shared(", ".join(user for user in tags + indexes if user != self.tag))
        self.result.update(deleted=[self.digest], untagged=tags)
        also = ", and with it the tags %s" % ", ".join(tags) if tags else ""
        return Step("Delete the manifest %s%s." % (self.repository.full(self.digest), also), self._delete)

    def _users(self) -> tuple[list[str], list[str]]:
        """Return the tags that point at the digest, and those of the indexes that it is a member of."""
        tags = list_tags(self.repository)
        heads = dict(zip(tags, self.session.map(self.repository.head, tags)))
        same = [tag for tag, head in heads.items() if head and head.digest == self.digest]
        indexes = {tag: head.digest for tag, head in heads.items() if head and head.media_type in INDEXES}
        digests = list(dict.fromkeys(digest for digest in indexes.values() if digest != self.digest))
        read = zip(digests, self.session.map(self.repository.get, digests))
        holding = {digest for digest, index in read if self.digest in str(index.json)}  # as a member, or mentioned
        return same, [tag for tag, digest in indexes.items() if digest in holding]

    def _shared(self, others: str) -> OCIError:
        named, host = self.repository.full(self.tag or self.digest), self.repository.registry.host
        if self.tag:
            text = (
                "%s cannot be removed alone: %s does not delete tags, and deleting the manifest would also break %s. "
                "Set force: true to do that."
            )
            return Unsupported(text % (named, host, others), registry=host)
        text = "%s is used by %s, which deleting it would break. Delete those first, or set force: true."
        return Refused(text % (named, others), "MANIFEST_SHARED", host)

    def _untag(self) -> None:
        if not self._remove(str(self.tag), (400, 405, 501)):
            self.plan_manifest()
            self._delete()

    def _delete(self) -> None:
        self._remove(self.digest)

    def _remove(self, target: str, cannot: tuple[int, ...] = ()) -> bool:
        """Send DELETE, and make sure that what was deleted is gone; False for a status in ``cannot``."""
        host = self.repository.registry.host
        response = self.repository.request("DELETE", "manifests/" + target)
        status = response.status
        if status not in (200, 202, 204, 404, 405, 501, *cannot):
            raise self.repository.refusal(response, self.repository.full(target))
        response.discard()
        if status in cannot:
            return False
        if status in (405, 501):
            text = (
                "%s does not allow deletes (HTTP %d). On distribution, set storage.delete.enabled: true "
                "(REGISTRY_STORAGE_DELETE_ENABLED); on Docker Hub and GHCR, use their own interface."
            )
            raise Unsupported(text % (host, status), registry=host, status=status)
        for tried in range(_POLLS):
            if self.repository.head(target, writing=True) is None:
                return True
            self.repository.registry.transport.pause(tried)
        text = "%s accepted the deletion of %s, but still serves it." % (host, self.repository.full(target))
        raise RegistryError(text, registry=host)


def _cannot_untag(repository: Repository) -> bool:
    """Guess, without a write, whether this is a registry that cannot delete tags alone: Harbor, or distribution 2.

    Harbor, which names itself in its challenge, deletes the manifest with all its tags. Distribution came to delete
    tags and to page the list of tags in the same release, 3.0: what ignores ``n`` is older. Its answer for the
    referrers API that it does not have is the plain text of its router.
    """
    if repository.registry.auth.parameters.get("service") == "harbor-registry":
        return True
    probe = repository.request("GET", "tags/list?n=-1")
    probe.discard()
    if probe.status != 200 or "Docker-Distribution-Api-Version" not in probe.headers:
        return False
    probe = repository.request("GET", "referrers/sha256:" + "0" * 64)
    return probe.status == 404 and probe.discard().startswith(b"404 page not found")
