# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: ``algorithm:hex`` (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re

from .._errors import ContentError

_DIGITS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile("sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def digest_problem(text: object) -> str | None:
    """Say what is wrong with a digest, as what follows "its digest" in a sentence; None when nothing is."""
    if not isinstance(text, str):
        return "is not a string"
    if _GRAMMAR.fullmatch(text):
        return None
    algorithm, colon, encoded = text.partition(":")
    if not colon:
        return "names no algorithm; write sha256: and 64 hex digits"
    if algorithm not in _DIGITS:
        return f"uses the algorithm {algorithm[:20] or 'of no name'}; supported are sha256 and sha512"
    if len(encoded) != _DIGITS[algorithm]:
        return f"has {len(encoded)} characters behind {algorithm}:, and should have {_DIGITS[algorithm]}"
    return "has characters in it that are not lower-case hex digits"


def hasher(digest: str) -> hashlib._Hash:
    """Return what computes a digest with the algorithm of this one, ``algorithm:hex``."""
    return hashlib.new(digest.split(":")[0])


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of some bytes, ``algorithm:hex``."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def mismatch(what: str, wanted: str, found: str, registry: str | None = None) -> ContentError:
    """Return the error (DIGEST_MISMATCH) for content that has another digest than the one it was asked for by."""
    text = f"{what} should have the digest {wanted}, but has {found}; it was damaged or replaced"
    return ContentError(f"{text}, and nothing was written from it.", "DIGEST_MISMATCH", registry)
