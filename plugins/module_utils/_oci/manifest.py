# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors, manifests and indexes (OCI image-spec; Docker image manifest v2, schema 2).

A manifest is kept as the bytes that came in, which its digest names. What a registry sent is checked here first.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError
from .digest import digest_of, digest_problem
from .mediatype import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST, SCHEMA1, SCHEMA1_SIGNED, bare

_MAX_SIZE = (1 << 53) - 1  # the largest integer that JSON carries safely

Json = dict[str, t.Any]


def _invalid(what: str, why: str, code: str = "MANIFEST_INVALID") -> ContentError:
    return ContentError("%s %s." % (what, why), code)


def _unique(pairs: list[tuple[str, t.Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("it has the same key twice")
    return value


def parse_json(raw: bytes, what: str) -> Json:
    """Parse a JSON object strictly: UTF-8, no duplicate keys, no NaN, bounded depth. ``what`` names it in errors."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
        canonical_json(value)  # what cannot be written again (NaN, 1e999, half a surrogate pair) is not believed
    except RecursionError:
        raise _invalid(what, "is nested too deeply to be genuine") from None
    except ValueError as exc:
        raise _invalid(what, "is not valid JSON: %s" % exc) from None
    if not isinstance(value, dict):
        raise _invalid(what, "is not a JSON object")
    return value


def canonical_json(value: t.Any) -> bytes:
    """Serialise deterministically: keys in their given order, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _check_annotations(value: Json, what: str) -> None:
    found = value.get("annotations") or {}
    if not isinstance(found, dict) or any(not isinstance(text, str) for text in found.values()):
        raise _invalid(what, "has annotations that are not strings")


@dataclass(frozen=True)
class Descriptor:
    """A pointer to content: media type, digest and size in bytes, and the JSON object it was read from."""

    media_type: str
    digest: str
    size: int
    json: Json = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_json(cls, value: t.Any, what: str) -> Descriptor:
        """Read and check one descriptor of a manifest; ``what`` names the manifest in errors."""
        if not isinstance(value, dict):
            raise _invalid(what, "has a descriptor that is not an object")
        digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
        problem = digest_problem(digest)
        if problem:
            raise _invalid(what, "names content %r, which %s" % (digest, problem))
        if type(size) is not int or not 0 <= size <= _MAX_SIZE or not isinstance(media_type, str):
            raise _invalid(what, "describes %s with the size %r and the type %r" % (digest, size, media_type))
        _check_annotations(value, what)
        return cls(media_type, t.cast(str, digest), size, value)


@dataclass(frozen=True)
class Manifest:
    """An image manifest, an artifact manifest or an index: its exact bytes and its media type."""

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    json: Json = field(repr=False, compare=False)

    @classmethod
    def parse(cls, raw: bytes, content_type: str | None, what: str, algorithm: str = "sha256") -> Manifest:
        """Check bytes that claim to be a manifest; ``what`` names their origin in errors.

        The media type is the Content-Type's, which the body may repeat but not contradict; where the server says
        nothing useful (``text/plain``), it is the body's own, and else follows from the body's shape.
        """
        value = parse_json(raw, what)
        said, own, known = bare(content_type), value.get("mediaType"), INDEXES | MANIFESTS
        if "fsLayers" in value or said in (SCHEMA1, SCHEMA1_SIGNED):
            why = "is a Docker schema 1 manifest, a format that registries dropped; push it again with a current tool"
            raise _invalid(what, why, "UNSUPPORTED_MEDIA_TYPE")
        if own is not None and said in known and own != said:
            why = "was sent as %s, but calls itself %s; one of them lies" % (said, own)
            raise _invalid(what, why, "MEDIA_TYPE_MISMATCH")
        media_type = said if said in known else own
        if media_type is None and value.keys() & {"manifests", "layers", "config"}:
            media_type = OCI_INDEX if "manifests" in value else OCI_MANIFEST
        if not isinstance(media_type, str) or media_type not in known:
            why = "has the media type %s, which is neither a manifest nor an index" % media_type
            raise _invalid(what, why, "UNSUPPORTED_MEDIA_TYPE")
        manifest = cls(raw, media_type, digest_of(raw, algorithm), value)
        if value.keys() & ({"layers", "config"} if manifest.is_index else {"manifests"}):
            raise _invalid(what, "has the parts of an image and of an index")
        for key in ("manifests", "layers", "blobs", "config", "subject"):
            manifest.parts(key, what)
        _check_annotations(value, what)
        return manifest

    def parts(self, key: str, what: str = "") -> list[Descriptor]:
        """Return the descriptors under a key, be it one or a list of them; none where it is missing."""
        found = self.json.get(key)
        if key in ("config", "subject"):
            found = None if found is None else [found]
        elif not isinstance(found or [], list):
            raise _invalid(what, "has %s that are not a list" % key)
        return [Descriptor.from_json(item, what or self.digest) for item in found or []]

    @property
    def is_index(self) -> bool:
        """Is it an index (OCI) or manifest list (Docker)?"""
        return self.media_type in INDEXES

    @property
    def members(self) -> list[Descriptor]:
        """The members of an index, in order; empty for an image."""
        return self.parts("manifests")

    @property
    def descriptor(self) -> Descriptor:
        """A plain descriptor of this manifest."""
        value = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.raw)}
        return Descriptor(self.media_type, self.digest, len(self.raw), value)
