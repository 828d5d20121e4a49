# SPDX-License-Identifier: GPL-3.0-or-later
"""All that hangs together in a repository: tags, indexes and their members, and what refers to them.

Whoever deletes has to know it first: a digest may have several tags, be a member of indexes, and be the subject of
others, which the referrers API lists, or the tags that stand in for it, or cosign's (``sha256-HEX.sig``).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, NotFound
from .._oci.digest import digest_of, digest_problem
from .._oci.manifest import Descriptor, Manifest, parse_json
from .._oci.mediatype import ACCEPT
from .._oci.parts import parts
from .._oci.tagrules import is_digest_tag
from .._oci.walk import below
from .._registry.client import MAX_MANIFEST, Repository, expected_digest
from .._registry.pages import next_page
from .._registry.referrers import digest_tag, referrers_by_api, why_no_list
from .._registry.session import Session
from .._registry.tags import list_tags

_ROUNDS = 64  # from the tags to what is furthest away from them
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_MAX_LIST = 32 << 20  # bytes
MISSING = "it is missing"

Roots = t.Mapping[str, str]
"""Digests, and what each of them is called in a reason."""


@dataclass(frozen=True)
class Node:
    """A manifest; where there is none that can be believed, ``problem`` says why, and ``near`` is what it mentions."""

    digest: str
    manifest: Manifest | None
    problem: str = ""
    members: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    subject: str = ""
    mentions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, manifest: Manifest) -> Node:
        """Return the node of a manifest. Raises ContentError where its parts are malformed."""
        inside, blobs = below(manifest)
        subject = [item.digest for item in parts(manifest, "subject")]
        return cls(manifest.digest, manifest, "", tuple(inside), tuple(blobs), "".join(subject))

    @property
    def holds(self) -> set[str]:
        """The digests of what is not whole without them."""
        return {item.digest for item in self.members} | self.mentions


class Graph:
    """What is in a repository, as far as its tags lead to it. ``broken_tags`` are those under which nothing is."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.tags: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.broken_tags: list[str] = []
        self._listed: dict[str, list[str]] = {}
        """The referrers that the registry lists, by the digests that were asked for."""
        self._subjects: dict[str, list[str]] = {}
        """The manifests that name a digest as their subject."""
        self._api: bool | None = None
        self._beside: dict[str, list[str]] = {}
        """Digest tags, by what comes before their dot."""

    # looking

    def look(self, session: Session, tags: t.Sequence[str]) -> None:
        """Read what is under these tags and below that. Raises what a registry answers but that something is absent."""
        found = session.map(partial(_read_tag, self.repository), tags)
        for tag, node in zip(tags, found):
            if node is None:
                self.broken_tags.append(tag)
            else:
                self.tags[tag] = node.digest
                self._add(node)
                if is_digest_tag(tag):
                    self._beside.setdefault(tag.partition(".")[0], []).append(tag)
        self._explore(session, False)

    def look_beside(self, session: Session, digests: t.Iterable[str] = ()) -> None:
        """Read what refers to all that is known, and to that again; ``digests`` are read first."""
        for node in session.map(self._node, [digest for digest in digests if digest not in self.nodes]):
            self._add(node)
        self._explore(session, True)

    def _explore(self, session: Session, beside: bool) -> None:
        for dummy in range(_ROUNDS):
            near = {digest for node in self.nodes.values() for digest in (*node.holds, node.subject) if digest}
            near.update(digest for found in self._listed.values() for digest in found)
            unread = sorted(near - self.nodes.keys())
            asked = self._unasked() if beside and self._api is not False else []
            if not unread and not asked:
                return
            for node in session.map(self._node, unread):
                self._add(node)
            self._ask(session, asked)
        what = f"What hangs together in {self.repository}"
        raise ContentError(f"{what} is nested more than {_ROUNDS} deep.", "MANIFEST_INVALID")

    def _unasked(self) -> list[str]:
        """Return the manifests whose referrers were not asked for yet; of what is missing, not all know any."""
        there = (digest for digest, node in self.nodes.items() if node.problem != MISSING)
        return sorted(digest for digest in there if digest not in self._listed)

    def _ask(self, session: Session, digests: list[str]) -> None:
        if digests and self._api is None:  # whether there is the API at all, the first answer tells
            first = referrers_by_api(self.repository, digests[0])
            self._api = first is not None
            self._listed[digests[0]] = [item.digest for item in first or ()]
            digests = digests[1:]
        if self._api:
            found = session.map(partial(referrers_by_api, self.repository), digests)
            self._listed.update({digest: [item.digest for item in got or ()] for digest, got in zip(digests, found)})

    def _node(self, digest: str) -> Node:
        return _read(self.repository, digest) or Node(digest, None, MISSING)

    def _add(self, node: Node) -> None:
        if node.digest not in self.nodes and node.subject:
            self._subjects.setdefault(node.subject, []).append(node.digest)
        self.nodes.setdefault(node.digest, node)

    # what hangs on what

    def named(self, digest: str) -> list[str]:
        """Return the tags of a digest, in order."""
        return [tag for tag, found in self.tags.items() if found == digest]

    def digest_tags(self, digest: str) -> list[str]:
        """Return the tags that belong to a digest: the list of its referrers, and cosign's."""
        own = digest_tag(digest)
        return [tag for tag in self._beside.get(own, ()) if tag != own or self._is_list(tag, digest)]

    def _is_list(self, tag: str, digest: str) -> bool:
        manifest = self.nodes[self.tags[tag]].manifest
        return manifest is not None and not why_no_list(manifest, digest)

    def referrers(self, digest: str) -> list[str]:
        """Return what refers to a digest, whoever says so: the API, the tag that stands in for it, or itself."""
        own = [tag for tag in self.digest_tags(digest) if tag == digest_tag(digest)]
        listed = [item.digest for tag in own for item in self.nodes[self.tags[tag]].members]
        return list(dict.fromkeys([*self._listed.get(digest, ()), *listed, *self._subjects.get(digest, ())]))

    def tree(self, digest: str) -> list[str]:
        """Return a digest and all that is below it, itself first."""
        return list(self.closed([digest], lambda each: self.nodes[each].holds))

    def reached(self, roots: Roots) -> dict[str, str]:
        """Return all that is kept where these are, with the name of the first root that leads to it.

        Members, what refers to something, and what something refers to.
        """

        def near(digest: str) -> t.Iterable[str]:
            beside = [self.tags[tag] for tag in self.digest_tags(digest)]
            subject = self.nodes[digest].subject
            return [*self.nodes[digest].holds, *self.referrers(digest), *beside, *([subject] if subject else [])]

        found: dict[str, str] = {}
        for root, name in roots.items():
            for digest in self.closed([root], near, found):
                found.setdefault(digest, name)
        return found

    def closed(
        self,
        roots: t.Iterable[str],
        near: t.Callable[[str], t.Iterable[str]],
        but: t.Container[str] = frozenset(),
    ) -> dict[str, None]:
        """Return what can be reached, in the order of a walk; what is in ``but`` or unknown is not entered."""
        found: dict[str, None] = {}
        todo = list(roots)[::-1]
        while todo:
            digest = todo.pop()
            if digest in self.nodes and digest not in found and digest not in but:
                found[digest] = None
                todo += list(near(digest))[::-1]
        return found


def look_at(session: Session, repository: Repository) -> Graph:
    """Look at all tags of a repository, and at what is below them.

    Raises ContentError (LIST_INCOMPLETE) where the list of tags may have been cut off.
    """
    graph = Graph(repository)
    graph.look(session, list_tags(repository, whole=True))
    return graph


def _read(repository: Repository, target: str) -> Node | None:
    """Read a manifest; None where it is absent."""
    try:
        return Node.of(repository.get(target))
    except NotFound:
        return None
    except ContentError as exc:
        return _unreadable(repository, target, exc)


def _read_tag(repository: Repository, tag: str) -> Node | None:
    """Read what is under a tag that is listed; some registries deny what is of a media type that was not asked for."""
    problem = ContentError("the registry has it in none of the known formats")
    return _read(repository, tag) or _unreadable(repository, tag, problem)


def _unreadable(repository: Repository, target: str, problem: ContentError) -> Node | None:
    """Return the node of what cannot be understood: whatever looks like a digest in it may be needed by somebody."""
    what = repository.full(target)
    response = repository.request("GET", f"manifests/{target}", headers={"Accept": f"{ACCEPT}, */*"})
    if response.status != 200:
        refused = repository.refusal(response, what)
        if isinstance(refused, NotFound):
            return None
        raise refused
    with repository.named():
        raw = response.read_document(MAX_MANIFEST, f"The manifest {what}")
    digest = expected_digest(target, response.headers.get("Docker-Content-Digest")) or digest_of(raw)
    found = frozenset(each.decode("ascii") for each in _DIGEST.findall(raw))
    return Node(digest, None, str(problem), mentions=found)


def listed_manifests(repository: Repository) -> dict[str, list[str]] | None:
    """Return the digests of all manifests, with their tags, or None where the registry does not list them.

    Google's registries have a map of them beside the list of tags.
    """
    found: dict[str, list[str]] = {}
    url, visited = "tags/list", set[str]()
    what = f"The list of manifests of {repository}"
    while url and url not in visited:
        visited.add(url)
        response = repository.request("GET", url)
        if response.status != 200:
            raise repository.refusal(response, what)
        with repository.named():
            value = parse_json(response.read_document(_MAX_LIST, what), what).get("manifest")
        if not isinstance(value, dict):
            return None
        found.update({digest: _tags(about) for digest, about in value.items() if not digest_problem(digest)})
        url = next_page(repository, response)
    return found


def _tags(about: t.Any) -> list[str]:
    """Return the tags that a registry lists of a manifest."""
    tags = about.get("tag") if isinstance(about, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
