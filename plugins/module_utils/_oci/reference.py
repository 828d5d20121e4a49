# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references: ``[registry/]repository[:tag][@digest]`` (the grammar of distribution's reference package)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from .._errors import InvalidInput
from .digest import digest_problem

DOCKER_HUB = "docker.io"
_HUB_ALIASES = frozenset((DOCKER_HUB, "index.docker.io", "registry-1.docker.io"))

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(r"(?:%s(?:\.%s)*|\[([0-9a-fA-F:.]+)\])(?::([0-9]{1,5}))?" % (_LABEL, _LABEL))
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def _invalid(text: object, why: str) -> InvalidInput:
    return InvalidInput("%r is not an image reference: %s." % (text, why), code="INVALID_REFERENCE")


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if not match or int(match.group(2) or 1) not in range(1, 65536):
        return False
    try:
        return not match.group(1) or bool(ipaddress.IPv6Address(match.group(1)))
    except ValueError:
        return False


def parse_host(text: str) -> str:
    """Return a registry's ``host[:port]`` in its normal form, or raise InvalidInput.

    Docker Hub's names all become ``docker.io``; a scheme or a path is refused with a sentence that says so.
    """
    if "://" in text:
        raise InvalidInput(
            "The registry %r must be host[:port] without a scheme; set plain_http for http." % text,
            code="INVALID_REFERENCE",
        )
    if not _is_host(text):
        raise InvalidInput("%r is not a registry; write host or host:port." % text, code="INVALID_REFERENCE")
    host = text.lower()
    return DOCKER_HUB if host in _HUB_ALIASES else host


def check_tag(tag: str) -> str:
    """Return a valid tag, or raise InvalidInput (distribution-spec, "Pulling manifests")."""
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            "%r is not a tag: 1 to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'." % tag,
            code="INVALID_REFERENCE",
        )
    return tag


def check_repository(name: str, text: object = None) -> str:
    """Return a valid repository name, or raise InvalidInput."""
    shown = name if text is None else text
    if not name:
        raise _invalid(shown, "the repository name is missing")
    if name != name.lower():
        raise _invalid(shown, "the repository name %s must be lower case" % name)
    for component in name.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise _invalid(
                shown,
                "the part %r of its repository name must be lower-case letters and digits, with single '.', '_', "
                "'__' or '-' between them" % component,
            )
    if len(name) > 255:
        raise _invalid(shown, "the repository name is longer than 255 characters")
    return name


@dataclass(frozen=True)
class Reference:
    """Where an image is: a registry, a repository, and a tag or a digest or both or neither."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse what a user typed, by Docker's rules: ``alpine`` is ``docker.io/library/alpine``.

        A missing tag stays None. Raises InvalidInput (INVALID_REFERENCE) that says which part is wrong.
        """
        if not text or text != text.strip() or any(ord(char) < 33 or ord(char) > 126 for char in text):
            raise _invalid(text, "it is empty or has a space or a control character in it")
        if "://" in text:
            raise _invalid(text, "leave out %s" % text[: text.index("://") + 3])
        rest, at, digest = text.partition("@")
        if at:
            problem = digest_problem(digest)
            if problem:
                raise _invalid(text, "its digest %s" % problem)
        first, slash, remainder = rest.partition("/")
        if slash and (first == "localhost" or any(char in first for char in ".:[")):
            if not _is_host(first):
                raise _invalid(text, "%r is not a registry's host[:port]" % first)
            registry, rest = parse_host(first), remainder
        else:
            registry = DOCKER_HUB
        name, colon, tag = rest.partition(":")
        if registry == DOCKER_HUB and name and "/" not in name:
            name = "library/" + name
        check_repository(name, text)
        if colon and not _TAG.fullmatch(tag):
            raise _invalid(text, "its tag %r must be 1 to 128 letters, digits, '_', '.' and '-'" % tag)
        return cls(registry, name, tag or None, digest or None)

    @classmethod
    def parse_repository(cls, text: str) -> Reference:
        """Parse the name of a repository; a tag or a digest in it is an error."""
        reference = cls.parse(text)
        if reference.tag or reference.digest:
            raise _invalid(text, "a repository is wanted here, without a tag or a digest")
        return reference

    @property
    def name(self) -> str:
        """``registry/repository``."""
        return "%s/%s" % (self.registry, self.repository)

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        """The full name: the digest decides where both are known, so the tag is left out then."""
        return self.name + ("@" if self.digest else ":") + self.target

    def with_tag(self, tag: str) -> Reference:
        """The same repository under a tag alone."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """The pinned name: the same repository by digest alone."""
        return replace(self, tag=None, digest=digest)
