# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be a signature or an attestation, as it was fetched from beside an image; nothing of it is believed yet."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._oci.manifest import Descriptor
from . import dsse, simple
from .bundle import is_bundle

MAX_CANDIDATES = 128  # of one image; what has more is not trusted at all
MAX_SIZES = {"simple": 1 << 20, "bundle": 32 << 20, "envelope": 32 << 20}  # bytes; an SBOM may have several million
FORMATS = ("bundle", "simple")  # of signatures


@dataclass(frozen=True)
class Candidate:
    """``format`` is `simple`, `bundle`, `envelope` (cosign's tags .att), or empty for anything else.

    ``location`` says where it is, for people. ``problem`` says why its content could not be fetched.
    """

    format: str
    content: bytes = field(repr=False)
    location: str
    annotations: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    problem: str = ""

    @classmethod
    def of_layer(cls, layer: Descriptor, content: bytes | None, location: str) -> Candidate:
        """Return what a layer of a tag .sig or .att, or of a referrer, holds; no content where `too_large` says so."""
        annotations = layer.json.get("annotations") or {}
        return cls(format_of(layer.media_type), content or b"", location, annotations, too_large(layer))


def format_of(media_type: str) -> str:
    """Return the format of a layer of this media type; empty where it is none that can be judged."""
    if is_bundle(media_type):
        return "bundle"
    return {simple.MEDIA_TYPE: "simple", dsse.MEDIA_TYPE: "envelope"}.get(media_type, "")


def too_large(layer: Descriptor) -> str:
    """Say why a layer is not to be fetched; empty where it may be."""
    limit = MAX_SIZES.get(format_of(layer.media_type), 0)
    return f"It has {layer.size} bytes; {limit} are read at most." if layer.size > limit else ""
