# SPDX-License-Identifier: GPL-3.0-or-later
"""The tag or digest that a verb writes, and what is there already."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import Refused
from .._oci.manifest import Descriptor, Manifest
from .._oci.reference import Reference
from .._plan import Cost, Step
from .._registry.client import Repository
from .._registry.write import put


@dataclass(frozen=True)
class Target:
    """A reference that is to point at some digest, and the descriptor of what it points at now (None: nothing)."""

    repository: Repository
    reference: Reference
    found: Descriptor | None

    @classmethod
    def look(cls, repository: Repository, reference: Reference) -> Target:
        """Ask the registry, with one HEAD, what is there."""
        return cls(repository, reference, repository.head(reference.target, writing=True))

    @property
    def previous(self) -> str | None:
        """The digest that is there now."""
        return self.found.digest if self.found else None

    def settles(self, digest: str, on_existing: str) -> bool:
        """Is there nothing to write: has it the digest already, or is it to be kept as it is?

        Raises Refused (TAG_EXISTS) where another digest is there and ``on_existing`` is ``fail``.
        """
        if self.previous in (None, digest):
            return self.previous == digest
        if on_existing == "fail":
            text = "%s exists already with the digest %s, and on_existing is 'fail'; it would have become %s."
            raise Refused(text % (self.reference, self.previous, digest), "TAG_EXISTS", self.reference.registry)
        return on_existing == "keep"

    def notes(self, digest: str) -> list[str]:
        """Say that something else was kept here, if so."""
        text = "Keep %s at %s, although %s was asked for (on_existing: keep)."
        return [] if self.previous in (None, digest) else [text % (self.reference, self.previous, digest)]

    def step(self, manifest: Manifest) -> Step:
        """Return the step that writes a manifest here."""
        was = " (was %s)" % self.previous if self.previous else ""
        text = "Tag %s as %s%s." % (self.reference, manifest.digest, was)
        if self.reference.digest:
            text = "Put %s." % self.reference
        return Step(
            text, lambda: put(self.repository, self.reference.target, manifest), Cost(bytes_sent=len(manifest.raw))
        )
