# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: ``algorithm:hex`` (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re

from .._errors import ContentError

_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")


def digest_problem(text: object) -> str | None:
    """Say what is wrong with a digest, or None when it is a supported, well-formed one."""
    match = _GRAMMAR.fullmatch(text) if isinstance(text, str) else None
    if not match:
        return "is not of the form algorithm:hex"
    length = _LENGTHS.get(match.group(1))
    if not length:
        return "uses the algorithm %s; supported are sha256 and sha512" % match.group(1)
    good = re.fullmatch("[a-f0-9]{%d}" % length, match.group(2))
    return None if good else "must have %d lower-case hex digits after %s:" % (length, match.group(1))


def hasher(digest: str) -> hashlib._Hash:
    """Return the hash object that verifies content named by this digest."""
    return hashlib.new(digest.split(":")[0])


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return "%s:%s" % (algorithm, hashlib.new(algorithm, data).hexdigest())


def mismatch(what: str, wanted: str, found: str, registry: str | None = None) -> ContentError:
    """Return the error for bytes that do not have the digest they were asked for by."""
    text = "%s should have the digest %s, but has %s; it was damaged or replaced, and nothing was written from it."
    return ContentError(text % (what, wanted, found), "DIGEST_MISMATCH", registry)
