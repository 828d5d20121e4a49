# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that tests put into the registry, and what tests look at afterwards."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .api import Api
from .content import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Layer,
    Manifest,
    Repository,
    digest_of,
    gzipped,
    to_json,
)


class Images:
    """Puts images into the registry, and looks at what it holds; a part of FakeRegistry."""

    api: Api
    lock: threading.RLock

    def create_repo(self, repo: str) -> None:
        with self.lock:
            self.api.made(repo)

    def add_blob(self, repo: str, data: bytes) -> str:
        digest = digest_of(data)
        with self.lock:
            self.api.made(repo).blobs[digest] = data
        return digest

    def add_manifest(
        self, repo: str, body: bytes | Mapping[str, Any], media_type: str | None = None, tag: str | None = None
    ) -> str:
        """Unchecked: what it names need not exist. The media type defaults to the body's."""
        raw = body if isinstance(body, bytes) else to_json(body)
        digest = digest_of(raw)
        with self.lock:
            found = self.api.made(repo)
            found.manifests[digest] = Manifest(media_type or json.loads(raw)["mediaType"], raw)
            if tag:
                found.tags[tag] = digest
        return digest

    def add_image(
        self,
        repo: str,
        tag: str | None = None,
        layers: Sequence[bytes | Layer | Mapping[str, Any]] = (),
        platform: str = "linux/amd64",
        config: Mapping[str, Any] | None = None,
        media: str = "oci",
        annotations: Mapping[str, str] | None = None,
        subject: Mapping[str, Any] | None = None,
        artifact_type: str | None = None,
    ) -> str:
        """Tar bytes are gzipped (gzip bytes stay); a mapping is a ready descriptor, such as a foreign layer's. `config`
        is laid over the generated one, key by key of the top level."""
        types = {"oci": (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER), "docker": (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)}
        manifest_type, config_type, layer_type = types[media]
        descriptors, diff_ids = [], []
        for layer in layers:
            if isinstance(layer, Mapping):
                descriptors.append(dict(layer))
                diff_ids.append(layer["digest"])
                continue
            if isinstance(layer, bytes):
                packed = layer if layer[:2] == b"\x1f\x8b" else gzipped(layer)
                layer = Layer(packed, layer_type, digest_of(gzip.decompress(packed)))
            descriptors.append(self._blob_descriptor(repo, layer.data, layer.media_type))
            diff_ids.append(layer.diff_id)
        system, architecture, *variant = platform.split("/")
        image: dict[str, Any] = {"architecture": architecture, "os": system}
        if variant:
            image["variant"] = variant[0]
        image["created"] = "2024-01-02T03:04:05Z"
        image["config"] = {}
        image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        image["history"] = [{"created_by": f"layer {number}"} for number in range(len(diff_ids))]
        image.update(config or {})
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest_type}
        manifest["config"] = self._blob_descriptor(repo, to_json(image), config_type)
        manifest["layers"] = descriptors
        optional = {"artifactType": artifact_type, "annotations": annotations, "subject": subject}
        return self.add_manifest(
            repo, {**manifest, **{name: value for name, value in optional.items() if value}}, tag=tag
        )

    def add_index(
        self,
        repo: str,
        tag: str | None = None,
        manifests: Sequence[str | Mapping[str, Any]] = (),
        annotations: Mapping[str, str] | None = None,
        media: str = "oci",
        subject: Mapping[str, Any] | None = None,
    ) -> str:
        """Digests become descriptors with the platform that the image's config names."""
        children = [self.descriptor(repo, child) if isinstance(child, str) else dict(child) for child in manifests]
        index: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX if media == "oci" else DOCKER_LIST,
            "manifests": children,
        }
        optional = {"annotations": annotations, "subject": subject}
        return self.add_manifest(repo, {**index, **{name: value for name, value in optional.items() if value}}, tag=tag)

    def add_attestation(self, repo: str, digest: str, statement: bytes = b'{"_type": "in-toto"}') -> dict[str, Any]:
        """BuildKit's attestation of the image `digest`; returns the descriptor to give to `add_index`."""
        layer = Layer(statement, "application/vnd.in-toto+json", digest_of(statement))
        child = self.add_image(repo, layers=[layer], platform="unknown/unknown")
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
        return {**self.descriptor(repo, child), "annotations": notes}

    def add_referrer(
        self, repo: str, subject: str, artifact_type: str, data: bytes, annotations: Mapping[str, str] | None = None
    ) -> str:
        """An artifact with one blob whose subject is the manifest `subject` (a digest); returns its digest."""
        target = {name: value for name, value in self.descriptor(repo, subject).items() if name != "platform"}
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type}
        manifest["config"] = self._blob_descriptor(repo, b"{}", OCI_EMPTY)
        manifest["layers"] = [self._blob_descriptor(repo, data, "application/octet-stream")]
        manifest["subject"] = target
        return self.add_manifest(repo, {**manifest, **({"annotations": annotations} if annotations else {})})

    def _blob_descriptor(self, repo: str, data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "size": len(data), "digest": self.add_blob(repo, data)}

    # content: looking

    def descriptor(self, repo: str, ref: str) -> dict[str, Any]:
        """Of a manifest by tag or digest; an image's has its platform."""
        digest, manifest = self._manifest(repo, ref)
        found = {"mediaType": manifest.media_type, "size": len(manifest.body), "digest": digest}
        config = json.loads(manifest.body).get("config", {})
        if config.get("mediaType") in (OCI_CONFIG, DOCKER_CONFIG):
            image = self.config(repo, digest)
            platform = {name: image.get(name) for name in ("architecture", "os", "variant", "os.version")}
            found["platform"] = {name: value for name, value in platform.items() if value}
        return found

    def _manifest(self, repo: str, ref: str) -> tuple[str, Manifest]:
        with self.lock:
            found = self.api.repos[repo]
            digest = ref if ":" in ref else found.tags[ref]
            return digest, found.manifests[digest]

    def manifest(self, repo: str, ref: str) -> dict[str, Any]:
        """Decoded; KeyError when it does not exist."""
        content: dict[str, Any] = json.loads(self._manifest(repo, ref)[1].body)
        return content

    def config(self, repo: str, ref: str) -> dict[str, Any]:
        """An image's configuration, decoded."""
        content: dict[str, Any] = json.loads(self.blobs(repo)[self.manifest(repo, ref)["config"]["digest"]])
        return content

    def tags(self, repo: str) -> dict[str, str]:
        with self.lock:
            return dict(self.api.repos.get(repo, Repository()).tags)

    def manifests(self, repo: str) -> dict[str, Manifest]:
        """digest -> (media_type, body)"""
        with self.lock:
            return dict(self.api.repos.get(repo, Repository()).manifests)

    def blobs(self, repo: str) -> dict[str, bytes]:
        with self.lock:
            return dict(self.api.repos.get(repo, Repository()).blobs)

    def drop_uploads(self) -> None:
        """Forget all uploads in progress, as a registry that was restarted."""
        with self.lock:
            for found in self.api.repos.values():
                found.uploads.clear()

    def state(self) -> dict[str, dict[str, Any]]:
        """All that a client can change, to compare before and after: repository -> tags, manifests, blobs, uploads."""
        with self.lock:
            snapshot = {name: asdict(found) for name, found in self.api.repos.items()}
        for content in snapshot.values():
            del content["ghosts"]
        return snapshot
