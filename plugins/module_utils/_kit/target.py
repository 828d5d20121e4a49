# SPDX-License-Identifier: GPL-3.0-or-later
"""The tag or digest that a verb writes, and what is there already."""

from __future__ import annotations

import typing as t
from functools import partial

from .._errors import Refused
from .._oci.manifest import Descriptor, Manifest
from .._oci.reference import Reference
from .._plan import Cost, Step
from .._registry.client import Repository
from .._registry.manifests import put


class Target(t.NamedTuple):
    """A reference that is to be written, and the descriptor of what it points at now (None: nothing)."""

    repository: Repository
    reference: Reference
    found: Descriptor | None

    @classmethod
    def look(cls, repository: Repository, reference: Reference) -> Target:
        """Ask the registry what is there, with one HEAD."""
        return cls(repository, reference, repository.head(reference.target, writing=True))

    @property
    def previous(self) -> str | None:
        return self.found.digest if self.found else None

    def settles(self, digest: str, on_existing: str) -> bool:
        """Is there nothing to write: has it the digest already, or is it to be kept? Raises Refused (TAG_EXISTS)."""
        if self.previous in (None, digest):
            return self.previous == digest
        if on_existing == "fail":
            text = f"{self.reference} exists already with the digest {self.previous}, and on_existing is 'fail'"
            raise Refused(f"{text}; it would have become {digest}.", "TAG_EXISTS", self.reference.registry)
        return on_existing == "keep"

    def notes(self, digest: str) -> list[str]:
        if self.previous in (None, digest):
            return []
        return [f"Keep {self.reference} at {self.previous}, although {digest} was asked for (on_existing: keep)."]

    def step(self, manifest: Manifest) -> Step:
        was = f" (was {self.previous})" if self.previous else ""
        text = f"Tag {self.reference} as {manifest.digest}{was}."
        if self.reference.digest:
            text = f"Put {self.reference}."
        run = partial(put, self.repository, self.reference.target, manifest)
        return Step(text, run, Cost(bytes_sent=len(manifest.raw)))


def destination(name: Reference, dest: str | None) -> Reference:
    """Return where the result goes: ``dest``, with the tag of ``name`` where it has none, else in place."""
    if not dest:
        return name
    target = Reference.parse(dest)
    return target if target.tag or target.digest else target.with_tag(name.tag or "latest")
