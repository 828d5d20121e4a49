# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: ``algorithm:hex`` (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re

from .._errors import ContentError

_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")


def digest_problem(text: object) -> str | None:
    """Say what is wrong with a digest; None when nothing is."""
    match = _GRAMMAR.fullmatch(text) if isinstance(text, str) else None
    if not match:
        return "is not of the form algorithm:hex"
    algorithm, encoded = match.groups()
    length = _LENGTHS.get(algorithm)
    if not length:
        return f"uses the algorithm {algorithm}; supported are sha256 and sha512"
    good = re.fullmatch("[a-f0-9]+", encoded) and len(encoded) == length
    return None if good else f"must have {length} lower-case hex digits after {algorithm}:"


def hasher(digest: str) -> hashlib._Hash:
    return hashlib.new(digest.split(":")[0])


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def mismatch(what: str, wanted: str, found: str, registry: str | None = None) -> ContentError:
    text = f"{what} should have the digest {wanted}, but has {found}; it was damaged or replaced"
    return ContentError(f"{text}, and nothing was written from it.", "DIGEST_MISMATCH", registry)
