# SPDX-License-Identifier: GPL-3.0-or-later
"""What refers to images that are copied: signatures, attestations and SBOMs, by the API or by tags.

What is at the destination is merged with, never replaced (distribution-spec, "Referrers Tag Schema").
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, RegistryError
from .._oci.manifest import Manifest
from .._oci.reference import Reference
from .._oci.walk import MAX_DEPTH, below
from .._plan import ContentStep, Draft, Step
from .._registry.client import Repository
from .._registry.referrers import (
    COSIGN_SUFFIXES,
    digest_tag,
    endless,
)
from .._registry.referrers import referrers as list_referrers
from .._registry.session import Session
from .._registry.tags import list_tags
from .content import Wanted
from .signatures import merged_signatures
from .target import Target


@dataclass(frozen=True)
class Subject:
    """A digest that is copied from one repository to another."""

    source: Repository
    dest: Repository
    digest: str

    @property
    def key(self) -> tuple[str, str, str]:
        return str(self.source), str(self.dest), self.digest


@dataclass(frozen=True)
class Beside:
    """One of cosign's tags that the source has for a subject, and what the destination has under the same tag."""

    subject: Subject
    target: Target
    manifest: Manifest
    """What the destination is to have: the source's, or the union of both."""
    local: t.Mapping[str, bytes]
    """Blobs of the manifest that were made here."""

    def step(self) -> Step:
        """Return the step that puts it there; it is a part of what completes its subject."""
        step = self.target.step(self.manifest)
        inside, blobs = below(self.manifest)
        key = str(self.subject.dest), self.subject.digest
        return ContentStep(step.text, step.run, step.cost, key=key, below=[item.digest for item in inside + blobs])

    def wanted(self) -> Wanted:
        """Return the content that the destination needs for it."""
        openers = {digest: partial(_one, raw) for digest, raw in self.local.items()}
        known = {self.manifest.digest: self.manifest}
        return Wanted(self.subject.source, self.subject.dest, self.manifest.descriptor, known, openers)


def _one(raw: bytes) -> list[bytes]:
    return [raw]


def tags_beside(subject: Subject) -> list[str]:
    """Return the full names of the tags for a subject at the destination: the list of its referrers, and cosign's."""
    tag = subject.dest.full(digest_tag(subject.digest))
    return [tag, *(tag + suffix for suffix in COSIGN_SUFFIXES)]


def find_referrers(session: Session, subjects: t.Iterable[Subject]) -> tuple[list[Wanted], list[Subject]]:
    """Return what refers to the subjects and to that again, as content to copy, and every subject that was found.

    Raises ContentError where that goes on below MAX_DEPTH.
    """
    wanted: dict[tuple[str, str], Wanted] = {}
    seen: dict[tuple[str, str, str], Subject] = {}
    level = {subject.key: subject for subject in subjects}
    for dummy in range(MAX_DEPTH):
        if not level:
            break
        seen.update(level)
        found = session.map(lambda subject: list_referrers(subject.source, subject.digest), level.values(), "manifests")
        following = []
        for subject, items in zip(level.values(), found):
            for item in items:
                wanted[str(subject.dest), item.digest] = Wanted(subject.source, subject.dest, item, by_digest=True)
                following.append(Subject(subject.source, subject.dest, item.digest))
        level = {subject.key: subject for subject in following if subject.key not in seen}
    for subject in level.values():
        raise endless(subject.source, subject.digest)
    return list(wanted.values()), list(seen.values())


def find_beside(
    session: Session, draft: Draft, subjects: list[Subject], tags: t.Mapping[str, frozenset[str]] | None = None
) -> list[Beside]:
    """Return cosign's tags for the subjects of which the destination lacks something; ``draft`` gets what is odd.

    The list of tags is one request for many subjects, none where ``tags`` has it by the name of the repository; where
    it is refused, each tag is asked for.
    """
    sources = {str(subject.source): subject.source for subject in subjects}
    listed: dict[str, frozenset[str] | None] = dict(tags or {})
    unlisted = [name for name in sources if name not in listed]
    listed.update(zip(unlisted, session.map(lambda name: _tags(sources[name]), unlisted)))
    asked = []
    for subject in subjects:
        own = [digest_tag(subject.digest) + suffix for suffix in COSIGN_SUFFIXES]
        known = listed[str(subject.source)]
        asked += [(subject, tag) for tag in own if known is None or tag in known]
    found = session.map(lambda pair: _beside(*pair), asked)
    for (subject, tag), one in zip(asked, found):
        if isinstance(one, str):
            draft.warn(f"{subject.dest}:{tag} is left as it is: {one}.")
    return [one for one in found if isinstance(one, Beside)]


def _tags(repository: Repository) -> frozenset[str] | None:
    """Return all tags, or None where they cannot be listed, whatever is answered. Raises RegistryError for 429."""
    try:
        return frozenset(list_tags(repository)) or None
    except (RegistryError, ContentError) as exc:
        if exc.status == 429:
            raise
        return None


def _beside(subject: Subject, tag: str) -> Beside | str | None:
    """Look at one of cosign's tags on both sides; None where there is nothing to do, a text where it cannot be done."""
    head = subject.source.head(tag)
    if head is None:
        return None
    reference = Reference(subject.dest.registry.host, subject.dest.name, tag)
    target = Target.look(subject.dest, reference)
    if target.previous == head.digest:
        return None
    source = subject.source.get(head.digest)
    if target.found is None:
        return Beside(subject, target, source, {})
    merged = merged_signatures(subject.dest, subject.dest.get(target.found.digest), subject.source, source)
    if isinstance(merged, str):
        return merged
    manifest, local = merged
    return None if manifest.digest == target.previous else Beside(subject, target, manifest, local)
