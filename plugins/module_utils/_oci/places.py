# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a mirror takes images from and puts them: an image, a repository, or every repository below a prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .reference import DOCKER_HUB, Reference, check_repository, parse_host

IMAGE, REPOSITORY, PREFIX = "an image", "a repository", "a prefix"
_ALL = "/*"


@dataclass(frozen=True)
class Place:
    """``path`` is a repository, or a prefix (empty: the whole registry) where ``kind`` is PREFIX."""

    text: str
    kind: str
    registry: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``registry/prefix/*``, ``registry/*``, or what `Reference.parse` reads; no tag means the repository.

        Raises InvalidInput (INVALID_REFERENCE).
        """
        if not text.endswith(_ALL):
            found = Reference.parse(text)
            kind = IMAGE if found.tag or found.digest else REPOSITORY
            return cls(text, kind, found.registry, found.repository, found.tag, found.digest)
        base = text[: -len(_ALL)]
        host, dummy, path = base.partition("/")
        if host == "localhost" or re.search(r"[.:\[]", host):
            registry = parse_host(host)
        else:
            registry, path = DOCKER_HUB, check_repository(base, text)
        return cls(text, PREFIX, registry, check_repository(path, text) if path else "")

    @property
    def reference(self) -> Reference:
        """The image or repository."""
        return Reference(self.registry, self.path, self.tag, self.digest)

    def inside(self, repository: str) -> str | None:
        """Return what follows the prefix in the name of a repository, or None where that is not below it."""
        start = f"{self.path}/" if self.path else ""
        return repository[len(start) :] if repository.startswith(start) and repository != start else None

    def at(self, rest: str) -> Reference:
        """Return the repository below the prefix that has this rest of a name."""
        name = f"{self.path}/{rest}" if self.path else rest
        return Reference(self.registry, check_repository(name, f"{self.registry}/{name}"))
