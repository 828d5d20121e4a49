# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an OCI image layout, in a folder or in a tar (``oci-archive``); all is checked against its digest."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._errors import ContentError
from .._layers.tarstream import printable
from .._oci.digest import hasher, mismatch
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.mediatype import OCI_INDEX
from .._oci.parts import checked, members, parts
from .files import Files

DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_LAYOUT = "docker-archive", "oci-archive", "oci-layout"
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"  # the full name; containerd, and Docker with it, load by this
_MAX_MANIFEST = 8 << 20
_MAX_BLOB = 32 << 20


@dataclass(frozen=True)
class Entry:
    """An image or index in a file: the names that it has there, and a digest.

    The digest is that of its manifest; in a docker-archive, which holds no manifests, that of its config (image ID).
    """

    names: tuple[str, ...]
    digest: str
    item: Descriptor | None = None  # as index.json has it
    json: t.Mapping[str, t.Any] | None = None  # as manifest.json has it

    def __str__(self) -> str:
        return ", ".join(self.names) or self.digest


def verified(chunks: t.Iterable[bytes], item: Descriptor, what: str) -> t.Iterator[bytes]:
    """Yield bytes; the last piece comes only after size and digest were found right. Raises ContentError."""
    digest, size, held = hasher(item.digest), 0, b""
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if held:
            yield held
        held = chunk
    if size != item.size:
        raise ContentError(f"{what} should be {int(item.size)} bytes long, but is {int(size)}.", "SIZE_MISMATCH")
    found = f"{item.digest.split(':')[0]}:{digest.hexdigest()}"
    if found != item.digest:
        raise mismatch(what, item.digest, found)
    if held:
        yield held


def blob_name(digest: str) -> str:
    """Return where a layout has a blob (OCI image-spec, image-layout.md)."""
    return f"blobs/{digest.replace(':', '/', 1)}"


class Layout:
    """An OCI image layout."""

    def __init__(self, files: Files, kind: str) -> None:
        self.format, self.path, self._files = kind, files.path, files
        for name in ("oci-layout", "index.json"):
            if files.size(name) is None:
                text = f"{self.path} is not an OCI layout: it has no {name}."
                raise ContentError(text, "ARCHIVE_INVALID")
        said = parse_json(files.read("oci-layout", 1 << 16), f"The file oci-layout in {self.path}")
        version = said.get("imageLayoutVersion")
        if not re.match(r"1\.", str(version)):
            text = f"{self.path} is an OCI layout of the version {printable(str(version))}; 1.0.0 is supported."
            raise ContentError(text, "ARCHIVE_INVALID")
        what = f"index.json in {self.path}"
        raw = files.read("index.json", _MAX_MANIFEST)
        self.index = checked(Manifest.parse(raw, OCI_INDEX, what), what)
        self.entries = [Entry(_names(item), item.digest, item) for item in members(self.index)]
        self.top = Entry((), self.index.digest, self.index.descriptor)
        """``index.json`` itself, which is the image of several platforms in what some tools write."""

    def root(self, entry: Entry) -> Manifest:
        return self.manifest(t.cast(Descriptor, entry.item))

    def manifest(self, item: Descriptor) -> Manifest:
        what = f"The manifest {item.digest} in {self.path}"
        if item.size > _MAX_MANIFEST:
            text = f"{what} is {int(item.size)} bytes long; at most {int(_MAX_MANIFEST)} are read of its kind."
            raise ContentError(text, "TOO_LARGE")
        return checked(Manifest.parse(self._read(item, what), item.media_type, what, item.digest.split(":")[0]), what)

    def config(self, manifest: Manifest) -> Json:
        """Return the config of an image."""
        config = parts(manifest, "config")[0]
        what = f"The config {config.digest} of {manifest.digest} in {self.path}"
        return parse_json(self.read(config), what, "CONFIG_INVALID")

    def read(self, item: Descriptor) -> bytes:
        what = f"The blob {item.digest} in {self.path}"
        if item.size > _MAX_BLOB:
            text = f"{what} is {int(item.size)} bytes long; at most {int(_MAX_BLOB)} are read of its kind."
            raise ContentError(text, "TOO_LARGE")
        return self._read(item, what)

    def chunks(self, item: Descriptor) -> t.Iterator[bytes]:
        what = f"The blob {item.digest} in {self.path}"
        return verified(self._files.chunks(self._name(item)), item, what)

    def has(self, item: Descriptor) -> bool:
        return self._files.size(self._name(item)) == item.size

    def _name(self, item: Descriptor) -> str:
        return "index.json" if item.digest == self.index.digest else blob_name(item.digest)

    def _read(self, item: Descriptor, what: str) -> bytes:
        size = self._files.size(self._name(item))
        if size is None:
            raise ContentError(f"{what} is missing.", "ARCHIVE_INVALID")
        if size != item.size:
            raise ContentError(f"{what} should be {int(item.size)} bytes long, but is {int(size)}.", "SIZE_MISMATCH")
        return b"".join(self.chunks(item))


def _names(item: Descriptor) -> tuple[str, ...]:
    """Return the names that an entry of index.json has: the full one that containerd writes, and the usual one."""
    annotations = item.json.get("annotations") or {}
    found = [annotations.get(key) for key in (CONTAINERD_NAME, REF_NAME)]
    return tuple(dict.fromkeys(name for name in found if name))
