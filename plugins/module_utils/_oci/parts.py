# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest or an index points at; everything that a registry sent is checked here before it is believed."""

from __future__ import annotations

import typing as t

from .digest import digest_problem
from .manifest import Descriptor, Json, Manifest, invalid

_MAX_SIZE = (1 << 53) - 1  # the largest integer that JSON carries safely


def read_descriptor(value: t.Any, what: str) -> Descriptor:
    """Read and check one descriptor of a manifest; ``what`` names the manifest in errors."""
    if not isinstance(value, dict):
        raise invalid(what, "has a descriptor that is not an object")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
    problem = digest_problem(digest)
    if problem:
        raise invalid(what, f"names content {digest!r}, which {problem}")
    if (
        isinstance(size, bool)
        or not isinstance(size, int)
        or not 0 <= size <= _MAX_SIZE
        or not isinstance(media_type, str)
    ):
        raise invalid(what, f"describes {digest} with the size {size!r} and the type {media_type!r}")
    _check_annotations(value, what)
    return Descriptor(media_type, t.cast(str, digest), size, value)


def _check_annotations(value: Json, what: str) -> None:
    found = value.get("annotations") or {}
    if not isinstance(found, dict) or any(not isinstance(text, str) for text in found.values()):
        raise invalid(what, "has annotations that are not strings")


def parts(manifest: Manifest, key: str, what: str = "") -> list[Descriptor]:
    """Return the descriptors under a key, be it one or a list of them; none where it is missing."""
    what, found = what or manifest.digest, manifest.json.get(key)
    if key in ("config", "subject"):
        found = None if found is None else [found]
    elif not isinstance(found, (list, type(None))):  # null is how Go writes an empty list
        raise invalid(what, f"has {key} that are not a list")
    return [read_descriptor(item, what) for item in found or []]


def members(index: Manifest) -> list[Descriptor]:
    """Return the members of an index, in order; an image has none."""
    return parts(index, "manifests")


def checked(manifest: Manifest, what: str) -> Manifest:
    """Return a manifest whose parts fit its media type and are well-formed, or raise ContentError."""
    if manifest.json.keys() & ({"layers", "config"} if manifest.is_index else {"manifests"}):
        raise invalid(what, "has the parts of an image and of an index")
    for key in ("manifests", "layers", "blobs", "config", "subject"):
        parts(manifest, key, what)
    _check_annotations(manifest.json, what)
    return manifest
