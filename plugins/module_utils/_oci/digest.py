# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: ``algorithm:hex`` (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
import typing as t

from .._errors import ContentError, InvalidInput

# The registered algorithms that registries store content under, and their length in hex digits.
ALGORITHMS = {"sha256": 64, "sha512": 128}

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


class Hash(t.Protocol):
    """The part of a hashlib object that this collection uses."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def digest_problem(text: object) -> str | None:
    """Say what is wrong with a digest, or None when it is a supported, well-formed one."""
    if not isinstance(text, str) or not _GRAMMAR.fullmatch(text):
        return "is not of the form algorithm:hex"
    algorithm, encoded = text.split(":", 1)
    if algorithm not in ALGORITHMS:
        return "uses the algorithm %s; supported are %s" % (algorithm, " and ".join(sorted(ALGORITHMS)))
    if not re.fullmatch(r"[a-f0-9]{%d}" % ALGORITHMS[algorithm], encoded):
        return "must have %d lower-case hex digits after %s:" % (ALGORITHMS[algorithm], algorithm)
    return None


def parse_digest(text: str) -> str:
    """Return a digest that a user typed, or raise InvalidInput."""
    problem = digest_problem(text)
    if problem:
        raise InvalidInput("The digest %s %s." % (text, problem), code="INVALID_REFERENCE")
    return text


def hasher(digest: str) -> Hash:
    """Return the hash object that verifies content named by this digest."""
    return t.cast(Hash, hashlib.new(digest.split(":", 1)[0]))


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of some bytes."""
    return "%s:%s" % (algorithm, hashlib.new(algorithm, data).hexdigest())


def mismatch(what: str, wanted: str, found: str, registry: str | None = None) -> ContentError:
    """Return the error for bytes that do not have the digest they were asked for by."""
    return ContentError(
        "%s should have the digest %s, but its bytes have %s; they were damaged or replaced on the way, and nothing "
        "was written from them." % (what, wanted, found),
        code="DIGEST_MISMATCH",
        registry=registry,
    )
