# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what ``docker save`` writes, and podman and skopeo in its format (``docker-archive``)."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import typing as t
from dataclasses import dataclass

from .._errors import ContentError
from .._layers.compression import LAYERS, SNIFFED, compression_of, compressor
from .._layers.spool import Spool
from .._layers.streams import unpacked
from .._layers.tarstream import printable
from .._oci.digest import digest_of, mismatch
from .._oci.image import build
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.mediatype import DOCKER_CONFIG, DOCKER_MANIFEST, DOCKER_ZSTD, layer_type
from .files import Files
from .layout import DOCKER_ARCHIVE, Entry, verified

_MAX_JSON = 32 << 20


@dataclass(frozen=True)
class StoredLayer:
    """A layer as the archive has it: its name there, its size, how it is compressed, its uncompressed digest."""

    name: str
    size: int
    compression: str
    diff_id: str


@dataclass(frozen=True)
class PackedLayer:
    """A layer as it is sent, and what opens it."""

    item: Descriptor
    open: t.Callable[[], t.Iterator[bytes]]


class DockerArchive:
    """Images of a docker-archive. Manifests are made up, in Docker's format, over the bytes as they are there."""

    format = DOCKER_ARCHIVE

    def __init__(self, files: Files) -> None:
        self.path, self._files = files.path, files
        self._stored: dict[str, str] = {}  # what is known so far: names by digest
        self._lock = threading.Lock()
        self.entries = [self._entry(item) for item in self._listing()]

    def _bad(self, problem: str) -> ContentError:
        return ContentError(f"{self.path} {problem}.", "ARCHIVE_INVALID")

    def _listing(self) -> list[Json]:
        try:
            raw = self._files.read("manifest.json", _MAX_JSON)
            found = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError):
            raise self._bad("has a manifest.json that is not valid JSON") from None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._bad("has a manifest.json that is not a list of images")
        return found

    def _entry(self, item: Json) -> Entry:
        tags, layers, config = item.get("RepoTags") or [], item.get("Layers") or [], item.get("Config")
        strings = [config, *tags, *layers] if isinstance(tags, list) and isinstance(layers, list) else [None]
        if not all(isinstance(text, str) for text in strings):
            raise self._bad("has a manifest.json whose Config, RepoTags or Layers are not strings")
        digest = digest_of(self._read(t.cast(str, config), "config"))
        named = re.fullmatch(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})(?:\.json)?", t.cast(str, config))
        if named and digest != f"sha256:{named[1]}":
            raise mismatch(f"The config {config} in {self.path}", f"sha256:{named[1]}", digest)
        self._stored[digest] = t.cast(str, config)
        return Entry(tuple(t.cast("list[str]", tags)), digest, json=item)

    def _read(self, name: str, kind: str) -> bytes:
        if self._files.size(name) is None:
            raise self._bad(f"has no {printable(name)}, the {kind} of an image")
        return self._files.read(name, _MAX_JSON)

    def config(self, entry: Entry) -> Json:
        """Return the config of an image."""
        what = f"The config of {entry} in {self.path}"
        return parse_json(self._read(self._stored[entry.digest], "config"), what, "CONFIG_INVALID")

    def config_descriptor(self, entry: Entry) -> Descriptor:
        """Return the descriptor of the config of an image."""
        return _described(DOCKER_CONFIG, entry.digest, self._files.size(self._stored[entry.digest]) or 0)

    def layers(self, entry: Entry) -> list[StoredLayer]:
        """Return the layers of an image, bottom to top, without reading them."""
        names = (entry.json or {}).get("Layers") or []
        rootfs = self.config(entry).get("rootfs")
        diff_ids = (rootfs.get("diff_ids") if isinstance(rootfs, dict) else None) or []
        if not isinstance(diff_ids, list) or len(diff_ids) != len(names):
            count = len(diff_ids) if isinstance(diff_ids, list) else 0
            text = f"{self.path} has {len(names)} layers for {entry}, but its config lists {count} (rootfs.diff_ids)."
            raise ContentError(text, "CONFIG_INVALID")
        return [self._layer(name, str(diff_id)) for name, diff_id in zip(names, diff_ids)]

    def _layer(self, name: str, diff_id: str) -> StoredLayer:
        size = self._files.size(name)
        if size is None:
            raise self._bad(f"has no {printable(name)}, the layer of an image")
        start = next(self._files.chunks(name), b"")[:SNIFFED]
        return StoredLayer(name, size, compression_of(start), diff_id)

    def stored(self, layer: StoredLayer) -> Descriptor:
        """Return the descriptor of a layer's bytes, which are read and hashed."""
        digest = hashlib.sha256()
        for chunk in self._files.chunks(layer.name):
            digest.update(chunk)
        found = f"sha256:{digest.hexdigest()}"
        with self._lock:
            self._stored[found] = layer.name
        zstd = layer.compression == "zstd"
        return _described(DOCKER_ZSTD if zstd else layer_type(DOCKER_MANIFEST, _known(layer)), found, layer.size)

    def packed(self, layer: StoredLayer) -> PackedLayer:
        """Return a layer as a registry is to have it: compressed, into a temporary file where it is not yet.

        What it unpacks to is checked against the config. Raises ContentError (DIGEST_MISMATCH, INVALID_LAYER),
        InvalidInput for zstd, which Docker's format does not have.
        """
        what = f"The layer {layer.name} in {self.path}"
        media_type = layer_type(DOCKER_MANIFEST, "gzip" if layer.compression == "none" else _known(layer), self.path)
        if layer.compression == "none":
            spool = Spool(f"to compress the layer {layer.name} of {self.path}")
            with compressor(spool) as writer:
                for chunk in self._files.chunks(layer.name):
                    writer.write(chunk)
                written = writer.close()
            digest, size, diff_id, chunks = written.digest, written.size, written.diff_id, spool.chunks
            packed = PackedLayer(_described(media_type, digest, size), chunks)
        else:
            coded, plain = hashlib.sha256(), hashlib.sha256()
            for chunk in unpacked(self._files.chunks(layer.name), what, coded.update):
                plain.update(chunk)
            digest, diff_id = f"sha256:{coded.hexdigest()}", f"sha256:{plain.hexdigest()}"
            item = _described(media_type, digest, layer.size)
            packed = PackedLayer(item, lambda: verified(self._files.chunks(layer.name), item, what))
        if diff_id != layer.diff_id:
            raise mismatch(what, layer.diff_id, diff_id)
        return packed

    def root(self, entry: Entry) -> Manifest:
        """Return a manifest in Docker's format over the config and layers as they are; all layers are read for it."""
        return docker_manifest(self.config_descriptor(entry), [self.stored(layer) for layer in self.layers(entry)])

    def manifest(self, item: Descriptor) -> Manifest:
        raise self._bad(f"holds single images, and no manifest {item.digest} below them")

    def read(self, item: Descriptor) -> bytes:
        if item.size > _MAX_JSON:
            text = (
                f"The blob {item.digest} in {self.path} is {int(item.size)} bytes long; at most "
                f"{int(_MAX_JSON)} are read of its kind."
            )
            raise ContentError(text, "TOO_LARGE")
        return b"".join(self.chunks(item))

    def chunks(self, item: Descriptor) -> t.Iterator[bytes]:
        name = self._stored.get(item.digest)
        if name is None:
            raise self._bad(f"has no blob {item.digest}")
        return verified(self._files.chunks(name), item, f"The blob {item.digest} in {self.path}")

    def has(self, item: Descriptor) -> bool:
        name = self._stored.get(item.digest)
        return name is not None and self._files.size(name) == item.size


def _known(layer: StoredLayer) -> str:
    """Return how a layer is compressed, as far as media types have a name for it; else the layer itself is invalid."""
    return layer.compression if layer.compression in LAYERS else "none"


def _described(media_type: str, digest: str, size: int) -> Descriptor:
    return Descriptor(media_type, digest, size, {"mediaType": media_type, "size": size, "digest": digest})


def docker_manifest(config: Descriptor, layers: t.Iterable[Descriptor]) -> Manifest:
    """Return the manifest of an image in Docker's format (image manifest version 2, schema 2)."""
    value = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.json,
        "layers": [layer.json for layer in layers],
    }
    return build(value, DOCKER_MANIFEST)
