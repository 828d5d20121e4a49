# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: ``algorithm:hex`` (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re

from .._errors import ContentError

_GRAMMAR = re.compile("sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def digest_problem(text: object) -> str | None:
    """Say what is wrong with a digest; None when nothing is."""
    good = isinstance(text, str) and _GRAMMAR.fullmatch(text)
    return None if good else "must be sha256: and 64 lower-case hex digits, or sha512: and 128"


def hasher(digest: str) -> hashlib._Hash:
    return hashlib.new(digest.split(":")[0])


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def mismatch(what: str, wanted: str, found: str, registry: str | None = None) -> ContentError:
    text = f"{what} should have the digest {wanted}, but has {found}; it was damaged or replaced"
    return ContentError(f"{text}, and nothing was written from it.", "DIGEST_MISMATCH", registry)
