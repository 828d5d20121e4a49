# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of images, artifacts and attestations, for verbs that copy or edit them (OCI image-spec, manifest.md)."""

from __future__ import annotations

from .._errors import ContentError
from .digest import digest_of
from .manifest import Descriptor, Json, Manifest, canonical_json
from .mediatype import CONFIGS
from .parts import parts


def build(value: Json, media_type: str) -> Manifest:
    """Make a manifest from its JSON; the bytes are a pure function of it."""
    raw = canonical_json(value)
    return Manifest(raw, media_type, digest_of(raw), value)


def blobs(manifest: Manifest) -> list[Descriptor]:
    """Return every blob that a manifest needs beside it: config, layers, an artifact's blobs; each digest once."""
    found = [blob for key in ("config", "layers", "blobs") for blob in parts(manifest, key)]
    return list({blob.digest: blob for blob in found}.values())


def artifact_type(manifest: Manifest) -> str | None:
    """Return the artifact type as the referrers API reports it: ``artifactType``, else the config's media type."""
    value: str | None = manifest.json.get("artifactType")
    configs = [] if value or manifest.is_index else parts(manifest, "config")
    return configs[0].media_type if configs else value or None


def attests(member: Descriptor) -> str | None:
    """Return the digest of the sibling that a member is an attestation for (BuildKit's convention), or None."""
    annotations = member.json.get("annotations") or {}
    found: str | None = annotations.get("vnd.docker.reference.digest")
    return found if annotations.get("vnd.docker.reference.type") == "attestation-manifest" else None


def is_foreign(media_type: str) -> bool:
    """Is this a layer that may have to be fetched from its own ``urls`` (non-distributable)?"""
    return ".nondistributable." in media_type or "rootfs.foreign." in media_type


def not_image(manifest: Manifest) -> str | None:
    """Say what makes a manifest something else than an image (an artifact, a signature, an attestation); else None."""
    if manifest.is_index:
        return "it is an index"
    configs = parts(manifest, "config")
    if not configs or configs[0].media_type not in CONFIGS:
        return f"its config has the type {configs[0].media_type if configs else 'none'}"
    odd = [layer.media_type for layer in parts(manifest, "layers") if ".tar" not in layer.media_type]
    return f"it has a layer of the type {odd[0]}" if odd else None


def check_image(manifest: Manifest, what: str, instead: str = "") -> None:
    """Raise ContentError (NOT_AN_IMAGE) unless this is an image; ``what`` names it, ``instead`` is the way out."""
    why = not_image(manifest)
    if why:
        raise ContentError(f"{what} is not an image: {why}{'; ' if instead else ''}{instead}.", "NOT_AN_IMAGE")
