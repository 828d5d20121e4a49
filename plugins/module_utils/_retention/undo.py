# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deleted is saved first: an OCI layout with the manifests and tags, but without their blobs.

Registries keep blobs until they collect garbage, so that until then the manifests are all that is lost. The entries of
``index.json`` are in the order in which they can be put back: members before their indexes, tags last.
"""

from __future__ import annotations

import os
import typing as t

from .._archives.atomic import atomic_write, check_folder, locked
from .._archives.files import Folder
from .._archives.layout import CONTAINERD_NAME, OCI_LAYOUT, REF_NAME, Layout, blob_name
from .._errors import InvalidInput
from .._layers.spool import write_chunks
from .._oci.manifest import Json, Manifest, canonical_json
from .._oci.mediatype import OCI_INDEX
from .._oci.parts import members
from .._oci.reference import Reference

_REPOSITORY = "quayside.registry.repository"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Saved(t.NamedTuple):
    """A manifest of a repository (``host/name``), or a tag (not empty) with what it pointed at."""

    repository: str
    tag: str
    manifest: Manifest

    @property
    def _entry(self) -> Json:
        annotations = {_REPOSITORY: self.repository}
        if self.tag:
            name = f"{self.repository}:{self.tag}"
            annotations.update({CONTAINERD_NAME: name, REF_NAME: name})
        return {**self.manifest.descriptor.json, "annotations": annotations}


def check_undo(path: str) -> str:
    """Return where the layout is or is to be. Raises InvalidInput (FILE_ERROR) where that cannot be, ContentError."""
    place = check_folder(path)
    names = set(os.listdir(place)) if os.path.isdir(place) else set()
    if "index.json" in names:
        _read(place, path)
    elif names - {"blobs", "oci-layout"}:
        text = f"The folder {path} is not empty, and nothing was saved in it for an undo; give another undo_path."
        raise InvalidInput(text, "FILE_ERROR")
    return place


def read_saved(path: str) -> list[Saved]:
    """Return what was saved, in order. Raises InvalidInput (FILE_ERROR), and ContentError where it is damaged."""
    place = check_undo(path)
    if not os.path.isfile(os.path.join(place, "index.json")):
        raise InvalidInput(f"Nothing was saved in {path}; give the undo_path of the task that deleted.", "FILE_ERROR")
    return _read(place, path)


def _read(place: str, path: str) -> list[Saved]:
    layout = Layout(Folder(place), OCI_LAYOUT)
    return [
        Saved(*_name(item.json.get("annotations") or {}, path), layout.manifest(item)) for item in members(layout.index)
    ]


def _name(annotations: t.Mapping[str, str], path: str) -> tuple[str, str]:
    """Return the repository and the tag of an entry; a file may say what it likes, so they are checked."""
    said = annotations.get(_REPOSITORY)
    if not said:
        text = f"{path} is an OCI layout, but none that was saved for an undo; give another undo_path."
        raise InvalidInput(text, "FILE_ERROR")
    repository = Reference.parse_repository(said)
    if REF_NAME not in annotations:
        return repository.name, ""
    tag: str | None = Reference.parse(annotations[REF_NAME]).tag
    return repository.name, tag or ""


def save(place: str, saved: t.Sequence[Saved]) -> None:
    """Add to the layout, made where there is none; it is on the disk when this returns.

    What has the same name as an entry of before takes its place. Raises OCIError (NO_SPACE), OSError.
    """
    os.makedirs(place, exist_ok=True)
    with locked(place) as folder:
        for manifest in {one.manifest.digest: one.manifest for one in saved}.values():
            name = os.path.join(place, blob_name(manifest.digest))
            os.makedirs(os.path.dirname(name), exist_ok=True)
            _write(name, manifest.raw)
        for name in {os.path.dirname(blob_name(one.manifest.digest)) for one in saved} | {"blobs"}:
            _sync(os.path.join(place, name))
        _write(os.path.join(place, "oci-layout"), _VERSION)
        old = _entries(place)
        new = [one._entry for one in saved]
        names = [_key(entry) for entry in new]
        kept = [entry for entry in old if _key(entry) not in names]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, *new]}
        _write(os.path.join(place, "index.json"), canonical_json(index))
        os.fsync(folder)
    _sync(os.path.dirname(place))


def _entries(place: str) -> list[Json]:
    if not os.path.exists(os.path.join(place, "index.json")):
        return []
    return [item.json for item in members(Layout(Folder(place), OCI_LAYOUT).index)]


def _key(entry: Json) -> tuple[str, str]:
    """What tells entries apart: the repository, and the full name or else the digest."""
    annotations = entry.get("annotations") or {}
    return str(annotations.get(_REPOSITORY)), str(annotations.get(REF_NAME, entry["digest"]))


def _write(path: str, raw: bytes) -> None:
    with atomic_write(path) as handle:
        write_chunks(handle, [raw])
        os.fsync(handle)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
