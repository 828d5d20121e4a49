# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors, manifests and indexes (OCI image-spec; Docker image manifest v2, schema 2).

A manifest is kept as the bytes that came in: they are what the digest names, what is sent on, and where unknown fields
survive. Everything that a registry sent is checked here before anything else believes it.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError
from .digest import digest_of, digest_problem
from .mediatype import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST, SCHEMA1, SCHEMA1_SIGNED, bare
from .platform import Platform

ATTESTATION_TYPE = "vnd.docker.reference.type"
ATTESTATION_SUBJECT = "vnd.docker.reference.digest"

# No integer that means a size in bytes is larger than this (2^53 - 1, the largest that JSON carries safely).
_MAX_SIZE = 9007199254740991

Json = dict[str, t.Any]


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
        raise ContentError("%s is nested too deeply to be genuine." % what, code="MANIFEST_INVALID") from None
    except ValueError as exc:
        raise ContentError("%s is not valid JSON: %s." % (what, exc), code="MANIFEST_INVALID") from None
    if not isinstance(value, dict):
        raise ContentError("%s is not a JSON object." % what, code="MANIFEST_INVALID")
    return value


def canonical_json(value: t.Any) -> bytes:
    """Serialise deterministically: keys in their given order, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _strings(annotations: t.Any) -> bool:
    return not annotations or (isinstance(annotations, dict) and {type(text) for text in annotations.values()} == {str})


@dataclass(frozen=True)
class Descriptor:
    """A pointer to content: media type, digest and size in bytes, and the JSON object it was read from."""

    media_type: str
    digest: str
    size: int
    json: t.Mapping[str, t.Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_json(cls, value: t.Any, what: str) -> Descriptor:
        """Read and check one descriptor of a manifest; ``what`` names the manifest in errors."""
        if not isinstance(value, dict):
            raise ContentError("%s has a descriptor that is not an object." % what, code="MANIFEST_INVALID")
        digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
        problem = digest_problem(digest)
        if problem:
            raise ContentError("%s names content %r, which %s." % (what, digest, problem), code="MANIFEST_INVALID")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _MAX_SIZE:
            raise ContentError("%s gives %s the size %r." % (what, digest, size), code="MANIFEST_INVALID")
        if not isinstance(media_type, str) or not _strings(value.get("annotations")):
            raise ContentError("%s describes %s with a wrong type." % (what, digest), code="MANIFEST_INVALID")
        return cls(media_type, t.cast(str, digest), size, value)

    @property
    def platform(self) -> Platform | None:
        """The platform that an index gives this member, or None."""
        return Platform.from_json(self.json.get("platform"))

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the descriptor itself."""
        return dict(self.json.get("annotations") or {})

    @property
    def attests(self) -> str | None:
        """The digest of the sibling that this member is an attestation for (BuildKit's convention), or None."""
        annotations = self.annotations
        if annotations.get(ATTESTATION_TYPE) != "attestation-manifest":
            return None
        return annotations.get(ATTESTATION_SUBJECT)


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
        said, own = bare(content_type), value.get("mediaType")
        known = INDEXES | MANIFESTS
        if "fsLayers" in value or said in (SCHEMA1, SCHEMA1_SIGNED):
            raise ContentError(
                "%s is a Docker schema 1 manifest, a format that registries dropped; push it again with a current "
                "tool." % what,
                code="UNSUPPORTED_MEDIA_TYPE",
            )
        if own is not None and said in known and own != said:
            raise ContentError(
                "%s was sent as %s, but calls itself %s; one of them lies." % (what, said, own),
                code="MEDIA_TYPE_MISMATCH",
            )
        media_type = said if said in known else own
        if media_type is None and value.keys() & {"manifests", "layers", "config"}:
            media_type = OCI_INDEX if "manifests" in value else OCI_MANIFEST
        if not isinstance(media_type, str) or media_type not in known:
            raise ContentError(
                "%s has the media type %s, which is neither a manifest nor an index." % (what, media_type),
                code="UNSUPPORTED_MEDIA_TYPE",
            )
        manifest = cls(raw, media_type, digest_of(raw, algorithm), value)
        manifest.check(what)
        return manifest

    @classmethod
    def build(cls, value: Json, media_type: str) -> Manifest:
        """Make a manifest from its JSON; the bytes are a pure function of it."""
        raw = canonical_json(value)
        return cls(raw, media_type, digest_of(raw), value)

    def check(self, what: str) -> None:
        """Raise ContentError where the shape does not fit the media type (both kinds at once, bad descriptors)."""
        both = "manifests" in self.json and ("layers" in self.json or "config" in self.json)
        wrong = "layers" in self.json if self.is_index else "manifests" in self.json
        if both or wrong:
            raise ContentError("%s has the parts of an image and of an index." % what, code="MANIFEST_INVALID")
        for key in ("manifests", "layers", "blobs"):
            if not isinstance(self.json.get(key) or [], list):
                raise ContentError("%s has %s that are not a list." % (what, key), code="MANIFEST_INVALID")
            for item in self.json.get(key) or []:
                Descriptor.from_json(item, what)
        for key in ("config", "subject"):
            if self.json.get(key) is not None:
                Descriptor.from_json(self.json[key], what)
        if not _strings(self.json.get("annotations")):
            raise ContentError("%s has annotations that are not strings." % what, code="MANIFEST_INVALID")

    @property
    def is_index(self) -> bool:
        """Is it an index (OCI) or manifest list (Docker)?"""
        return self.media_type in INDEXES

    @property
    def docker(self) -> bool:
        """Is it of Docker's media-type family?"""
        return self.media_type.startswith("application/vnd.docker.")

    @property
    def descriptor(self) -> Descriptor:
        """A plain descriptor of this manifest."""
        value = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.raw)}
        return Descriptor(self.media_type, self.digest, len(self.raw), value)

    def _list(self, key: str) -> list[Descriptor]:
        return [Descriptor.from_json(item, self.digest) for item in self.json.get(key) or []]

    @property
    def members(self) -> list[Descriptor]:
        """The members of an index, in order; empty for an image."""
        return self._list("manifests")

    @property
    def layers(self) -> list[Descriptor]:
        """The layers of an image, base first; empty for an index."""
        return self._list("layers")

    @property
    def config(self) -> Descriptor | None:
        """The config of an image or artifact."""
        value = self.json.get("config")
        return None if value is None else Descriptor.from_json(value, self.digest)

    @property
    def blobs(self) -> list[Descriptor]:
        """Every blob that this manifest needs beside it: config, layers, an artifact's blobs; each digest once."""
        config = [self.config] if self.config else []
        return list({blob.digest: blob for blob in config + self._list("layers") + self._list("blobs")}.values())

    @property
    def subject(self) -> Descriptor | None:
        """What this manifest refers to (OCI 1.1), or None."""
        value = self.json.get("subject")
        return None if value is None else Descriptor.from_json(value, self.digest)

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's own annotations."""
        return dict(self.json.get("annotations") or {})

    @property
    def artifact_type(self) -> str | None:
        """The artifact type as the referrers API reports it: ``artifactType``, else the config's media type."""
        value = self.json.get("artifactType")
        if value or self.is_index:
            return value or None
        return self.config.media_type if self.config else None
