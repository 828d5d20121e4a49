# SPDX-License-Identifier: GPL-3.0-or-later
"""The tag or digest that a verb writes, what is there already, and whether it may be replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from .._errors import InvalidInput, Refused
from .._oci.manifest import Descriptor, Manifest
from .._oci.reference import Reference
from .._plan import Cost, Draft, Step
from .._registry.client import Repository
from .._registry.manifests import find_existing, look_again, put
from .._registry.session import Session


@dataclass(frozen=True)
class Target:
    """A reference that is to be written, and the descriptor of what it points at now (None: nothing)."""

    repository: Repository
    reference: Reference
    found: Descriptor | None
    is_certain: bool = True
    """Is nothing there, where nothing was found? A 403 leaves that open."""
    expected: str | None = None
    """The digest that the user wrote beside the tag, or in its place: nothing else may be stored there."""

    @classmethod
    def look(cls, repository: Repository, reference: Reference) -> Target:
        """Ask the registry what is there, with one HEAD."""
        return cls(repository, reference, *repository.look(reference.target))

    @classmethod
    def open(cls, session: Session, reference: Reference) -> Target:
        """Ask what is there, with the rights to write. Where there is a tag, that is written, also beside a digest."""
        repository = session.repository(reference, "pull", "push")
        target = cls.look(repository, reference.with_tag(reference.tag) if reference.tag else reference)
        return replace(target, expected=reference.digest)

    @property
    def previous(self) -> str | None:
        """The digest that is there now."""
        return self.found.digest if self.found else None

    def is_settled(self, digest: str, on_existing: str) -> bool:
        """Is there nothing to write: has it the digest already, or is it to be kept?

        Raises Refused (TAG_EXISTS), and Denied where it is not known what is there.
        """
        self.check_certain(on_existing)
        if self.previous in (None, digest):
            return self.previous == digest
        if on_existing == "fail":
            text = f"{self.reference} exists already with the digest {self.previous}, and on_existing is 'fail'"
            raise Refused(f"{text}; it would have become {digest}.", "TAG_EXISTS", self.reference.registry)
        return on_existing == "keep"

    def check_certain(self, on_existing: str) -> None:
        """Raise Denied where ``on_existing`` decides, and the registry does not say whether something is there."""
        if self.is_certain or on_existing == "replace":
            return
        found = find_existing(self.repository, self.reference.target)
        if found:
            text = f"{self.reference} could not be looked at first, and then had the digest {found.digest}"
            raise Refused(f"{text}; run the task again.", "TAG_MOVED", self.reference.registry)

    def notes(self, digest: str) -> list[str]:
        """Say that another digest is kept, where one is."""
        if self.previous in (None, digest):
            return []
        return [f"Keep {self.reference} at {self.previous}, although {digest} was asked for (on_existing: keep)."]

    def check_digest(self, digest: str, what: str) -> None:
        """Raise InvalidInput where the reference has another digest than ``what``, which is to be stored there."""
        if (self.expected or self.reference.digest) not in (None, digest):
            shown = f"{self.reference}@{self.expected}" if self.reference.tag and self.expected else self.reference
            text = f"{what} cannot be stored as {shown}: its digest is {digest}"
            raise InvalidInput(f"{text}, and the digest follows from the content.")

    def step(self, manifest: Manifest) -> Step:
        """Return the step that puts a manifest there."""
        was = f" (was {self.previous})" if self.previous else ""
        text = f"Tag {self.reference} as {manifest.digest}{was}."
        if self.reference.digest:
            text = f"Put {self.reference}."
        return Step(text, partial(self._put, manifest), Cost(bytes_sent=len(manifest.raw)))

    def plan(self, draft: Draft, manifest: Manifest) -> None:
        """Plan to put a manifest there. One that refers to a subject is stored by its digest when that is done.

        It is listed before, where the registry does not do so itself (distribution-spec, "Pushing Manifests with
        Subject").
        """
        if refers(manifest):
            from .subjects import list_steps

            draft.do(*list_steps([(self.repository, manifest)]))
        if self.reference.tag or not refers(manifest):
            draft.do(self.step(manifest))

    def _put(self, manifest: Manifest) -> None:
        """Put it there, unless the tag was moved since it was looked at, minutes ago perhaps: Refused (TAG_MOVED)."""
        target = self.reference.target
        if not self.reference.digest and self.is_certain:
            found = look_again(self.repository, target, self.previous)
            now = found.digest if found else None
            if now == manifest.digest:
                return
            if now != self.previous:
                text = f"{self.reference} was {self.previous or 'absent'} when the task began, and is"
                text += f" {now or 'absent'} now, so it was not overwritten; run the task again."
                raise Refused(text, "TAG_MOVED", self.reference.registry)
        put(self.repository, target, manifest)


def refers(manifest: Manifest) -> bool:
    """Does a manifest say what it is about, as signatures, SBOMs and the like do?"""
    return bool(manifest.json.get("subject"))


def destination(name: Reference, dest: str | None) -> Reference:
    """Return where the result goes: ``dest``, with the tag or digest of ``name`` where it has neither, else in place.

    A name with a tag and a digest is read by its digest, and the result is called by its tag.
    """
    if dest is None:
        return name.with_tag(name.tag) if name.tag else name
    if not dest:
        text = "dest is empty, as a variable without a value is; give it, or leave it out, as default(omit) does."
        raise InvalidInput(text, "INVALID_REFERENCE")
    return named_like(name, Reference.parse(dest))


def named_like(name: Reference, target: Reference) -> Reference:
    """Return a target, with the tag or else the digest of ``name`` where it has neither."""
    if target.tag or target.digest:
        return target
    return target.with_digest(name.digest) if name.digest and not name.tag else target.with_tag(name.tag or "latest")


def open_for(session: Session, where: Reference, name: Reference | None, digest: str) -> Target:
    """Open where a result with this digest goes; the digest of the ``name`` that was edited stands for what it becomes.

    Raises InvalidInput where another digest was asked for.
    """
    is_own = where.digest and not where.tag and name and where.digest == name.digest
    target = Target.open(session, where.with_digest(digest) if is_own else where)
    target.check_digest(digest, "The result")
    return target
