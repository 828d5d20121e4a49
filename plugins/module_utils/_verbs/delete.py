# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete a tag or a manifest, and nothing that others use (crane delete)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import Denied, Refused, RegistryError, Unsupported
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._plan import Plan, Step
from .._registry.client import Repository
from .._registry.lists import tags as list_tags
from .._registry.session import Session
from .._registry.transport import Response

_GONE = frozenset((200, 202, 204, 404))
_POLLS = 5


@dataclass(frozen=True)
class _Users:
    """Who else uses a digest: the tags that point at it, and the tagged indexes that it is a member of."""

    tags: tuple[str, ...]
    indexes: tuple[str, ...]

    def others(self, tag: str | None) -> list[str]:
        return [user for user in (*self.tags, *self.indexes) if user != tag]


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
        users = self._users()
        others = users.others(self.tag)
        # A digest that one tag has is what the user named; a second tag, or an index, is somebody else's.
        if not self.force and (users.indexes or len(users.tags) > 1):
            raise self._shared(others)
        self.result["deleted"] = [self.digest]
        self.result["untagged"] = list(users.tags)
        also = ", and with it the tags %s" % ", ".join(users.tags) if users.tags else ""
        return Step("Delete the manifest %s%s." % (self.repository.full(self.digest), also), self._delete)

    def _users(self) -> _Users:
        tags = list_tags(self.repository)
        heads = list(zip(tags, self.session.map(self.repository.head, tags)))
        same = [tag for tag, head in heads if head and head.digest == self.digest]
        indexes = [(tag, head.digest) for tag, head in heads if head and head.media_type in INDEXES]
        indexes = [(tag, digest) for tag, digest in indexes if digest != self.digest]
        read = dict(zip(dict(indexes).values(), self.session.map(self.repository.get, dict(indexes).values())))
        holding = [tag for tag, digest in indexes if self.digest in [member.digest for member in read[digest].members]]
        return _Users(tuple(same), tuple(holding))

    def _shared(self, others: list[str]) -> Exception:
        named = self.repository.full(self.tag or self.digest)
        if self.tag:
            return Unsupported(
                "%s cannot be removed alone: %s does not delete tags, and deleting the manifest would also break %s. "
                "Set force: true to do that." % (named, self.repository.registry.host, ", ".join(others)),
                registry=self.repository.registry.host,
            )
        return Refused(
            "%s is used by %s, which deleting it would break. Delete those first, or set force: true."
            % (named, ", ".join(others)),
            code="MANIFEST_SHARED",
            registry=self.repository.registry.host,
        )

    def _untag(self) -> None:
        response = self.repository.delete(str(self.tag))
        if response.status in (400, 405, 501):
            response.discard()
            self.plan_manifest()
            self._delete()
            return
        self._check(response, str(self.tag))

    def _delete(self) -> None:
        self._check(self.repository.delete(self.digest), self.digest)

    def _check(self, response: Response, target: str) -> None:
        """Read the answer to DELETE, and make sure that what was deleted is gone."""
        host = self.repository.registry.host
        if response.status in (405, 501):
            response.discard()
            raise Unsupported(
                "%s does not allow deletes (HTTP %d). On distribution, set storage.delete.enabled: true "
                "(REGISTRY_STORAGE_DELETE_ENABLED); on Docker Hub and GHCR, use their own interface."
                % (host, response.status),
                registry=host,
                status=response.status,
            )
        if response.status not in _GONE:
            raise self.repository.refusal(response, self.repository.full(target))
        response.discard()
        for tried in range(_POLLS):
            if self.repository.head(target, writing=True) is None:
                return
            self.repository.registry.transport.pause(tried)
        raise RegistryError(
            "%s accepted the deletion of %s, but still serves it." % (host, self.repository.full(target)), registry=host
        )


def _cannot_untag(repository: Repository) -> bool:
    """Guess, without a write, whether this is a registry that cannot delete tags alone: Harbor, or distribution 2.

    Harbor, which names itself in its challenge, deletes the manifest with all its tags. Distribution came to delete
    tags and to page the list of tags in the same release, 3.0: what ignores ``n`` is older. Its answer for the
    referrers API that it does not have is the plain text of its router.
    """
    if repository.registry.auth.service == "harbor-registry":
        return True
    probe = repository.request("GET", "tags/list?n=-1")
    probe.discard()
    if probe.status != 200 or "Docker-Distribution-Api-Version" not in probe.headers:
        return False
    probe = repository.request("GET", "referrers/sha256:" + "0" * 64)
    return probe.status == 404 and probe.discard().startswith(b"404 page not found")
