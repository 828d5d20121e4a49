# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors, and manifests and indexes as the bytes that came in (OCI image-spec; Docker's manifest v2, schema 2)."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError
from .digest import digest_of
from .mediatype import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST, SCHEMA1, SCHEMA1_SIGNED, strip_parameters

Json = dict[str, t.Any]


def invalid(what: str, why: str, code: str = "MANIFEST_INVALID") -> ContentError:
    return ContentError(f"{what} {why}.", code)


def _unique(pairs: list[tuple[str, t.Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("it has the same key twice")
    return value


def parse_json(raw: bytes, what: str, code: str = "MANIFEST_INVALID") -> Json:
    """Parse a JSON object strictly: UTF-8, no duplicate keys, no NaN. ``what`` and ``code`` are for errors."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
        canonical_json(value)  # what cannot be written again (NaN, 1e999, half a surrogate pair) is not believed
    except RecursionError:
        raise invalid(what, "is nested too deeply to be genuine", code) from None
    except ValueError as exc:
        raise invalid(what, f"is not valid JSON: {exc}", code) from None
    if not isinstance(value, dict):
        raise invalid(what, "is not a JSON object", code)
    return value


def canonical_json(value: t.Any) -> bytes:
    """Serialise deterministically: keys in the given order, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


@dataclass(frozen=True)
class Descriptor:
    """A pointer to content, with its size in bytes and the JSON object it was read from."""

    media_type: str
    digest: str
    size: int
    json: Json = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Manifest:
    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    json: Json = field(repr=False, compare=False)

    @classmethod
    def parse(cls, raw: bytes, content_type: str | None, what: str, algorithm: str = "sha256") -> Manifest:
        """Read bytes that claim to be a manifest; its media type is the Content-Type's, the body's, or its shape's."""
        value = parse_json(raw, what)
        said, own, known = strip_parameters(content_type), value.get("mediaType"), INDEXES | MANIFESTS
        why, code = "", "UNSUPPORTED_MEDIA_TYPE"
        media_type = said if said in known else own
        if media_type is None and value.keys() & {"manifests", "layers", "config"}:
            media_type = OCI_INDEX if "manifests" in value else OCI_MANIFEST
        if "fsLayers" in value or said in (SCHEMA1, SCHEMA1_SIGNED):
            why = "is a Docker schema 1 manifest, a format that registries dropped; push it again with a current tool"
        elif own not in (None, said) and said in known:
            why, code = (
                f"was sent as {said}, but calls itself {own}: Content-Type and mediaType disagree",
                "MEDIA_TYPE_MISMATCH",
            )
        elif not isinstance(media_type, str) or media_type not in known:
            why = f"has the media type {media_type}, which is neither a manifest nor an index"
        if why:
            raise invalid(what, why, code)
        return cls(raw, str(media_type), digest_of(raw, algorithm), value)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def descriptor(self) -> Descriptor:
        value = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.raw)}
        return Descriptor(self.media_type, self.digest, len(self.raw), value)
