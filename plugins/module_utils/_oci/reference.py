# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references: ``[registry/]repository[:tag][@digest]`` (the grammar of distribution's reference package)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from .._errors import InvalidInput
from .digest import digest_problem

DOCKER_HUB = "docker.io"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[([0-9a-fA-F:.]+)\])(?::([0-9]{{1,5}}))?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


def _invalid(text: object, why: str, kind: str = "an image reference") -> InvalidInput:
    return InvalidInput(f"{text!r} is not {kind}: {why}.", "INVALID_REFERENCE")


def normal_host(host: str) -> str:
    """Bring Docker Hub's names into one, and all into lower case."""
    host = host.lower()
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def parse_host(text: str) -> str:
    """Return a registry's ``host[:port]`` in its normal form, or raise InvalidInput."""
    match = _HOST.fullmatch(text)
    try:
        if not match or not 0 < int(match[2] or 1) < 65536:
            raise ValueError
        ipaddress.IPv6Address(match[1] or "::")
    except ValueError:
        why = "write host or host:port, without a scheme (set plain_http for http)"
        raise _invalid(text, why, "a registry") from None
    return normal_host(text)


def host_of(text: str) -> str:
    """Return the ``host[:port]`` of a registry that may have a path behind it, or raise InvalidInput."""
    return parse_host(text if "://" in text else text.strip("/").partition("/")[0])


def check_tag(tag: str, text: str = "") -> str:
    """Return a valid tag, or raise InvalidInput about it or the reference that it is of."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag):
        why = "a tag is 1 to 128 letters, digits, '_', '.' and '-', and does not start with '.' or '-'"
        if len(tag) > 128:
            why = f"it is longer than 128 characters ({len(tag)})"
        raise _invalid(text, f"its tag {tag!r} is wrong: {why}") if text else _invalid(tag, why, "a tag")
    return tag


def check_repository(name: str, text: str = "") -> str:
    """Return a valid name of a repository, or raise InvalidInput about it or the reference that it is of."""
    if len(name) < 256 and all(map(_COMPONENT.fullmatch, name.split("/"))):
        return name
    if not name.removeprefix("library/"):
        raise _invalid(text or name, "its repository name is missing")
    if len(name) > 255:
        raise _invalid(text or name, f"its repository name is longer than 255 characters ({len(name)})")
    if name != name.lower():
        raise _invalid(text or name, f"its repository name {name!r} must be lower case")
    why = "must be letters and digits, with single '.', '_', '__', '-' or '/' between them"
    raise _invalid(text or name, f"its repository name {name!r} {why}")


@dataclass(frozen=True)
class Reference:
    """Where an image is; it has a tag or a digest or both or neither."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse what a user typed by Docker's rules: ``alpine`` is ``docker.io/library/alpine``; no tag stays None."""
        if not re.fullmatch("[!-~]+", text):
            raise _invalid(text, "it is empty or has a space or a control character in it")
        if "://" in text:
            raise _invalid(text, f"leave out {text[: text.index('://') + 3]}")
        rest, at, digest = text.partition("@")
        problem = digest_problem(digest) if at else None
        if problem:
            raise _invalid(text, f"its digest {problem}")
        registry, slash, path = rest.partition("/")
        if slash and (registry == "localhost" or re.search(r"[.:\[]", registry)):
            registry = parse_host(registry)
        else:
            registry, path = DOCKER_HUB, rest
        name, colon, tag = path.partition(":")
        if registry == DOCKER_HUB and name and "/" not in name:
            name = f"library/{name}"
        check_repository(name, text)
        return cls(registry, name, check_tag(tag, text) if colon else None, digest or None)

    @classmethod
    def parse_repository(cls, text: str) -> Reference:
        """Parse the name of a repository; a tag or a digest in it is an error."""
        reference = cls.parse(text)
        if reference.tag or reference.digest:
            raise _invalid(text, "a repository is wanted here, without a tag or a digest")
        return reference

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        return self.digest or self.tag or "latest"

    @property
    def tagged(self) -> str | None:
        """``host/repo:tag``, as the result is called; None where there is a digest and no tag."""
        return None if self.digest and not self.tag else f"{self.name}:{self.tag or 'latest'}"

    @property
    def familiar(self) -> str | None:
        """The tagged name as short as Docker has it: ``debian:12`` for ``docker.io/library/debian:12``."""
        return self.tagged and f"{self.short_name}:{self.tag or 'latest'}"

    @property
    def short_name(self) -> str:
        """The name without tag and digest, as short as Docker has it: ``debian`` for ``docker.io/library/debian``."""
        return self.repository.removeprefix("library/") if self.registry == DOCKER_HUB else self.name

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.digest else ':'}{self.target}"

    def with_tag(self, tag: str) -> Reference:
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        return replace(self, tag=None, digest=digest)
