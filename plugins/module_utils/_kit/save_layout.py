# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning OCI layouts and oci-archives: whole images and indexes, byte for byte."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._archives.atomic import check_file, check_folder, write_file
from .._archives.files import Archive, Files, Folder
from .._archives.layout import CONTAINERD_NAME, OCI_ARCHIVE, OCI_LAYOUT, REF_NAME, Layout, blob_name, verified
from .._archives.writer import Member, holds, small, write_archive
from .._errors import ContentError, InvalidInput, NotFound
from .._oci.image import blobs as blobs_of
from .._oci.image import is_foreign
from .._oci.index import select_member
from .._oci.manifest import Descriptor, Json, Manifest, canonical_json
from .._oci.mediatype import INDEXES, MANIFESTS, OCI_INDEX
from .._oci.parts import members
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Cost, Plan, Step
from .._registry.blobs import has_blob, stream_blob
from .._registry.client import Repository
from .._registry.session import Session
from .save_archive import result

_MAX_DEPTH = 8
_EMPTY = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True)
class _Image:
    """An image or index that is wanted, and the tag that it has in index.json."""

    reference: Reference
    repository: Repository
    root: Descriptor

    @property
    def tag(self) -> str | None:
        return None if self.reference.digest else self.reference.target

    @property
    def entry(self) -> Json:
        """What index.json says of it."""
        entry: Json = {"mediaType": self.root.media_type, "digest": self.root.digest, "size": self.root.size}
        if self.tag:
            entry["annotations"] = {CONTAINERD_NAME: str(self.reference), REF_NAME: self.tag}
        return entry


@dataclass
class _Needed:
    """Everything below the roots, by digest: manifests, which are small, and blobs with where they come from."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, tuple[Descriptor, Repository]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def plan_oci(
    session: Session, references: t.Sequence[Reference], path: str, kind: str, platform: Platform | None, force: bool
) -> Plan:
    """Plan an archive or a layout, of which only what is missing or damaged is fetched."""
    place = check_folder(path) if kind == OCI_LAYOUT else check_file(path)
    _refuse_conflicts(references, path)
    there = _layout_at(place, path) if kind == OCI_LAYOUT else _archive_at(place)
    images = session.map(partial(_find, session, there, platform), references)
    needed = _Needed()
    for image in images:
        _walk(session, there, image, needed)
    before = {} if there is None else {_key(item): item.digest for item in members(there.index)}
    after = {image.tag or image.root.digest: image.root.digest for image in images}
    if kind == OCI_LAYOUT:
        before = {key: digest for key, digest in before.items() if key in after}
        write, missing = _plan_layout(session, place, there, images, needed, force)
    else:
        write, missing = _plan_archive(session, place, images, needed, force)
    previous = before.get(images[0].tag or images[0].root.digest)
    steps = []
    if write:
        size = sum(blob.size for blob in missing)
        names = ", ".join(f"{image.reference} as {image.root.digest}" for image in images)
        text = f"Write {path} with {names} ({len(missing)} of {len(needed.blobs)} blobs to fetch, {int(size)} bytes)."
        steps.append(Step(text, write, Cost(bytes_received=size)))
        before = {} if before == after else before  # the names are right, what they mean is not
    return Plan(
        result=result(path, ((image.reference, image.root) for image in images), previous),
        before={**dict.fromkeys(after), **before},
        after={**dict.fromkeys(before), **after},
        steps=tuple(steps),
        spared=Cost(blobs_skipped=len(needed.blobs) - len(missing) if write else 0),
        warnings=tuple(needed.warnings),
    )


def _refuse_conflicts(references: t.Sequence[Reference], path: str) -> None:
    """Refuse two images that would have the same name, as a layout knows tags alone."""
    tags: dict[str, Reference] = {}
    for reference in references:
        other = reference if reference.digest else tags.setdefault(reference.target, reference)
        if other != reference:
            text = (
                f"{other} and {reference} would both be named {reference.target} in {path}, as "
                "the OCI formats keep the tag alone; pull them into two."
            )
            raise InvalidInput(text)


def _archive_at(place: str) -> Layout | None:
    """Open what is there, if it is an oci-archive; anything else is replaced."""
    try:
        return Layout(Archive(place), OCI_ARCHIVE)
    except (ContentError, FileNotFoundError):
        return None


def _layout_at(place: str, path: str) -> Layout | None:
    """Open the layout that is there, or return None for a folder that is missing or empty, or holds blobs alone."""
    names = set(os.listdir(place)) if os.path.isdir(place) else set()
    if names <= {"blobs", "oci-layout"}:
        return None
    if "index.json" not in names:
        text = f"The folder {path} is no OCI layout, and is not empty; give the path of one that is, or of a new one."
        raise InvalidInput(text, "FILE_ERROR")
    return Layout(Folder(place), OCI_LAYOUT)


def _find(session: Session, there: Layout | None, platform: Platform | None, reference: Reference) -> _Image:
    """Find out what the name means, by HEAD; or for a platform, by reading the index."""
    repository = session.repository(reference)
    if not platform:
        found = repository.head(reference.target)
        if found is None:
            raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404)
        return _Image(reference, repository, found)
    with repository.named():
        manifest = repository.get(reference.target)
        for dummy in range(_MAX_DEPTH):
            if not manifest.is_index:
                return _Image(reference, repository, manifest.descriptor)
            manifest = _get(there, repository, select_member(manifest, platform, str(reference)))
        raise ContentError(f"{reference} nests its indexes too deeply.", "MANIFEST_INVALID")


def _get(there: Layout | None, repository: Repository, item: Descriptor) -> Manifest:
    """Return a manifest from the file, where it is whole, else from the registry."""
    if there and there.has(item):
        with contextlib.suppress(ContentError):
            return there.manifest(item)
    return repository.get(item.digest)


def _walk(session: Session, there: Layout | None, image: _Image, needed: _Needed) -> None:
    """Collect all that is below a root, level by level."""
    level, repository = [image.root], image.repository
    for dummy in range(_MAX_DEPTH):
        level = [item for item in {item.digest: item for item in level}.values() if item.digest not in needed.manifests]
        if not level:
            return
        found = session.map(partial(_get, there, repository), level)
        needed.manifests.update((manifest.digest, manifest) for manifest in found)
        below = [item for manifest in found for item in members(manifest)]
        level = [item for item in below if item.media_type in INDEXES | MANIFESTS]
        blobs = [item for item in below if item.media_type not in INDEXES | MANIFESTS]
        for blob in blobs + [blob for manifest in found for blob in blobs_of(manifest)]:
            if blob.digest in needed.blobs:
                continue
            if (
                is_foreign(blob.media_type)
                and not (there and there.has(blob))
                and not has_blob(repository, blob.digest)
            ):
                text = f"The layer {blob.digest} is not in {repository} (it may not be distributed), so it is left out."
                needed.warnings.append(text)
                continue
            needed.blobs[blob.digest] = blob, repository
    raise ContentError(f"{image.reference} nests its indexes too deeply.", "MANIFEST_INVALID")


Write = t.Callable[[], None]


def _plan_archive(
    session: Session, place: str, images: t.Sequence[_Image], needed: _Needed, force: bool
) -> tuple[Write | None, list[Descriptor]]:
    """Return what writes the archive, None where it is right, and the blobs that it fetches."""
    files = [
        small("oci-layout", _VERSION),
        small("index.json", canonical_json(_merged(_EMPTY, images))),
        *(small(blob_name(digest), manifest.raw) for digest, manifest in needed.manifests.items()),
        *(
            Member(blob_name(digest), digest, blob.size, partial(stream_blob, repository, blob))
            for digest, (blob, repository) in needed.blobs.items()
        ),
    ]
    if not force and holds(place, files, session.map):
        return None, []
    return lambda: write_archive(place, files, session.map), [blob for blob, dummy in needed.blobs.values()]


def _plan_layout(
    session: Session,
    place: str,
    there: Layout | None,
    images: t.Sequence[_Image],
    needed: _Needed,
    force: bool,
) -> tuple[Write | None, list[Descriptor]]:
    """Return what completes the layout, None where it is right, and the blobs that it fetches."""
    folder = Folder(place)
    blobs = list(needed.blobs.values())
    right = [not force and ok for ok in session.map(lambda blob: _is_whole(folder, blob[0]), blobs)]
    missing = [blob for blob, ok in zip(blobs, right) if not ok]
    manifests = [item for item in needed.manifests.values() if force or not _is_whole(folder, item.descriptor)]
    index = there.index.json if there else None
    if index is not None and not missing and not manifests and _merged(index, images) == index:
        return None, []

    def write() -> None:
        with _Undo() as undo:
            for name in {os.path.dirname(blob_name(digest)) for digest in (*needed.manifests, *needed.blobs)}:
                undo.make_folder(folder.place(name))
            session.map(lambda blob: undo.write(folder.place(blob_name(blob[0].digest)), _stream(*blob)), missing)
            for manifest in manifests:
                undo.write(folder.place(blob_name(manifest.digest)), [manifest.raw])
            if folder.size("oci-layout") is None:
                undo.write(folder.place("oci-layout"), [_VERSION])
            _write_index(folder, place, images, undo)

    return write, [blob for blob, dummy in missing]


def _stream(blob: Descriptor, repository: Repository) -> t.Iterator[bytes]:
    return stream_blob(repository, blob)


def _is_whole(files: Files, item: Descriptor) -> bool:
    """Is content there, with the right size and digest?"""
    name = blob_name(item.digest)
    if files.size(name) != item.size:
        return False
    try:
        for dummy in verified(files.chunks(name), item, name):
            pass
    except ContentError:
        return False
    return True


def _write_index(folder: Folder, place: str, images: t.Sequence[_Image], undo: _Undo) -> None:
    """Enter the images into index.json, read anew under a lock: another task may have written it by now."""
    lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = Layout(folder, OCI_LAYOUT).index.json if folder.size("index.json") is not None else None
        new = _merged(old or _EMPTY, images)
        if new != old:
            undo.write(folder.place("index.json"), [canonical_json(new)])
    finally:
        os.close(lock)


class _Undo:
    """Writes files and folders, and removes those that are new when the block fails."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def make_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            self.make_folder(os.path.dirname(path))
            os.mkdir(path)
            self._made.append(path)

    def write(self, path: str, chunks: t.Iterable[bytes]) -> None:
        new = not os.path.exists(path)
        write_file(path, chunks)
        if new:
            self._made.append(path)

    def __enter__(self) -> _Undo:
        return self

    def __exit__(self, kind: object, *dummy: object) -> None:
        for path in reversed(self._made if kind else []):
            with contextlib.suppress(OSError):
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)


def _merged(index: Json, images: t.Sequence[_Image]) -> Json:
    """Return index.json with the images in it: what had the same tag is replaced, where it stood."""
    entries: list[Json] = list(index.get("manifests") or [])
    for image in images:
        same = [item for item in entries if _tag(item) == image.tag] if image.tag else []
        right = [item for item in same or entries if item["digest"] == image.root.digest]
        if right and len(same) < 2 and (same or not image.tag):
            continue
        at = entries.index(same[0]) if same else len(entries)
        entries = [item for item in entries if item not in same]
        entries.insert(at, image.entry)
    return {**index, "manifests": entries}


def _tag(item: t.Mapping[str, t.Any]) -> str | None:
    return (item.get("annotations") or {}).get(REF_NAME)


def _key(item: Descriptor) -> str:
    return _tag(item.json) or item.digest
