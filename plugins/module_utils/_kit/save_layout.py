# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning OCI layouts and oci-archives: whole images and indexes, byte for byte."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._archives.atomic import Prepare, check_file, check_folder, check_writable, locked, write_file
from .._archives.files import Archive, Files, Folder
from .._archives.layout import CONTAINERD_NAME, OCI_ARCHIVE, OCI_LAYOUT, REF_NAME, Layout, blob_name, verified
from .._archives.writer import ArchiveMember, holds, small, write_archive
from .._errors import ContentError, InvalidInput, NotFound, OCIError
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Json, Manifest, canonical_json
from .._oci.mediatype import OCI_INDEX
from .._oci.parts import members
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._plan import Cost, Draft, Plan, Step
from .._registry.blobs import has_blob, stream_blob
from .._registry.client import Repository
from .._registry.session import Session
from .image import member
from .saved import in_one_shape, result

_EMPTY = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True)
class _Image:
    """An image or index that is wanted, and the tag that it has in index.json."""

    reference: Reference
    repository: Repository
    root: Descriptor

    @property
    def key(self) -> str:
        """What tells it from others in index.json: its full name, or its digest where it has none."""
        return self.reference.tagged or self.root.digest

    @property
    def entry(self) -> Json:
        """What index.json says of it."""
        entry: Json = {"mediaType": self.root.media_type, "digest": self.root.digest, "size": self.root.size}
        if self.reference.tagged:
            entry["annotations"] = {CONTAINERD_NAME: self.reference.tagged, REF_NAME: self.reference.tagged}
        return entry


@dataclass
class _Needed:
    """Everything below the roots, by digest: manifests, which are small, and blobs with where they come from."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, tuple[Descriptor, Repository]] = field(default_factory=dict)


def plan_oci(
    session: Session,
    references: t.Sequence[Reference],
    path: str,
    kind: str,
    platform: Platform | None,
    force: bool,
    prepare: Prepare,
) -> Plan:
    """Plan an archive or a layout, of which only what is missing or damaged is fetched."""
    draft = Draft()
    place = check_folder(path) if kind == OCI_LAYOUT else check_file(path)
    there = _layout_at(place, path) if kind == OCI_LAYOUT else _archive_at(place)
    images = session.map(partial(_find, session, there, platform), references)
    needed = _Needed()
    for image in images:
        _collect(session, draft, there, image, needed)
    before = {} if there is None else {_key(item): item.digest for item in members(there.index)}
    after = {image.key: image.root.digest for image in images}
    if kind == OCI_LAYOUT:
        before = {key: digest for key, digest in before.items() if key in after}
        write, missing = _plan_layout(session, place, there, images, needed, force, prepare)
    else:
        write, missing = _plan_archive(session, place, images, needed, force, prepare)
    previous = before.get(images[0].key)
    if write:
        check_writable(place)
        size = sum(blob.size for blob in missing)
        names = ", ".join(f"{image.reference} as {image.root.digest}" for image in images)
        text = f"Write {path} with {names} ({len(missing)} of {len(needed.blobs)} blobs to fetch, {size} bytes)."
        draft.do(Step(text, write, Cost(bytes_received=size)))
        draft.skip(len(needed.blobs) - len(missing))
    shown = in_one_shape(before, after, bool(write))
    return draft.plan(result(path, ((image.reference, image.root) for image in images), previous), *shown)


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
    manifest = repository.get(reference.target)
    image = member(repository, reference, manifest, platform, partial(_get, there, repository))
    return _Image(reference, repository, image.descriptor)


def _get(there: Layout | None, repository: Repository, item: Descriptor) -> Manifest:
    """Return a manifest from the file, where it is whole, else from the registry."""
    if there and there.has(item):
        with contextlib.suppress(ContentError):
            return there.manifest(item)
    return repository.get(item.digest)


def _collect(session: Session, draft: Draft, there: Layout | None, image: _Image, needed: _Needed) -> None:
    """Collect all that is below a root. A layer that may not be distributed and is nowhere is left out, and said."""
    repository = image.repository

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        unread = [item for item in level if item.digest not in needed.manifests]
        read = session.map(partial(_get, there, repository), unread)
        needed.manifests.update((manifest.digest, manifest) for manifest in read)
        found = []
        for item in level:
            inside, blobs = below(needed.manifests[item.digest])
            found.append(inside)
            for blob in blobs:
                if blob.digest not in needed.blobs and _is_there(there, repository, blob):
                    needed.blobs[blob.digest] = blob, repository
                elif blob.digest not in needed.blobs:
                    text = f"The layer {blob.digest} is not in {repository} (it may not be distributed)"
                    draft.warn(f"{text}, so it is left out.")
        return found

    walk([image.root], children, lambda item: item.digest, str(image.reference))


def _is_there(there: Layout | None, repository: Repository, blob: Descriptor) -> bool:
    """Can a blob be had? Only of what may not be distributed that is in doubt."""
    if not is_foreign(blob.media_type):
        return True
    return bool(there and there.has(blob)) or has_blob(repository, blob.digest)


Write = t.Callable[[], None]


def _plan_archive(
    session: Session, place: str, images: t.Sequence[_Image], needed: _Needed, force: bool, prepare: Prepare
) -> tuple[Write | None, list[Descriptor]]:
    """Return what writes the archive, None where it is right, and the blobs that it fetches."""
    files = [
        small("oci-layout", _VERSION),
        small("index.json", canonical_json(_merged(_EMPTY, images))),
        *(small(blob_name(digest), manifest.raw) for digest, manifest in needed.manifests.items()),
        *(
            ArchiveMember(blob_name(digest), digest, blob.size, partial(stream_blob, repository, blob))
            for digest, (blob, repository) in needed.blobs.items()
        ),
    ]
    if not force and holds(place, files, session.map):
        return None, []
    return lambda: write_archive(place, files, session.map, prepare), [blob for blob, dummy in needed.blobs.values()]


def _plan_layout(
    session: Session,
    place: str,
    there: Layout | None,
    images: t.Sequence[_Image],
    needed: _Needed,
    force: bool,
    prepare: Prepare,
) -> tuple[Write | None, list[Descriptor]]:
    """Return what completes the layout, None where it is right, and the blobs that it fetches."""
    folder = Folder(place)
    blobs = list(needed.blobs.values())
    right = [not force and ok for ok in session.map(lambda blob: _is_whole(folder, blob[0]), blobs)]
    missing = [blob for blob, ok in zip(blobs, right) if not ok]
    manifests = [item for item in needed.manifests.values() if force or not _is_whole(folder, item.descriptor)]
    index = there.index.json if there else None
    new = not os.path.isdir(place)
    if index is not None and not missing and not manifests and _merged(index, images) == index:
        return None, []

    def write() -> None:
        with _Undo(folder, place) as undo:
            if new:
                undo.make_folder(place)
                prepare(place)
            for name in {os.path.dirname(blob_name(digest)) for digest in (*needed.manifests, *needed.blobs)}:
                undo.make_folder(folder.place(name))
            session.map(lambda blob: undo.write(folder.place(blob_name(blob[0].digest)), _stream(*blob)), missing)
            for manifest in manifests:
                undo.write(folder.place(blob_name(manifest.digest)), [manifest.raw])
            if folder.size("oci-layout") is None:
                undo.write(folder.place("oci-layout"), [_VERSION])
            _write_index(folder, place, images, needed, undo)

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


def _write_index(folder: Folder, place: str, images: t.Sequence[_Image], needed: _Needed, undo: _Undo) -> None:
    """Enter the images into index.json, read anew under a lock: another task may have written it by now.

    Raises ContentError where a task that failed has taken away again what this one had found there.
    """
    sizes = {digest: len(manifest.raw) for digest, manifest in needed.manifests.items()}
    sizes.update((digest, blob.size) for digest, (blob, dummy) in needed.blobs.items())
    with locked(place):
        for digest, size in sizes.items():
            if folder.size(blob_name(digest)) != size:
                text = f"Another task, which failed, has removed {digest} from {folder.path} meanwhile"
                raise ContentError(f"{text}; run this task again.", "ARCHIVE_INVALID")
        old = Layout(folder, OCI_LAYOUT).index.json if folder.size("index.json") is not None else None
        new = _merged(old or _EMPTY, images)
        if new != old:
            undo.write(folder.place("index.json"), [canonical_json(new)])


class _Undo:
    """Writes files and folders, and removes those that are new when the block fails, unless others need them then."""

    def __init__(self, folder: Folder, place: str) -> None:
        self._folder, self._place = folder, place
        self._made: list[str] = []

    def make_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            self.make_folder(os.path.dirname(path))
            with contextlib.suppress(FileExistsError):  # another task was faster
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
        if not kind or not self._made:
            return
        with contextlib.suppress(OSError, OCIError), locked(self._place):
            kept = {self._folder.place(name) for name in _named(self._folder)}
            for path in reversed(self._made):
                with contextlib.suppress(OSError):
                    if os.path.isdir(path):
                        os.rmdir(path)
                    elif path not in kept:
                        os.unlink(path)


def _named(folder: Folder) -> set[str]:
    """Return the files that index.json, if there is one, needs: other tasks may have entered images meanwhile.

    Raises ContentError where it cannot be told.
    """
    if folder.size("index.json") is None:
        return set()
    layout = Layout(folder, OCI_LAYOUT)
    found = {"oci-layout"}

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        inner = []
        for item in level:
            inside, blobs = below(layout.manifest(item))
            found.update(blob_name(part.digest) for part in (item, *inside, *blobs))
            inner.append(inside)
        return inner

    walk(members(layout.index), children, lambda item: item.digest, folder.path)
    return found


def _merged(index: Json, images: t.Sequence[_Image]) -> Json:
    """Return index.json with the images in it: what had the same name is replaced, where it stood."""
    entries: list[Json] = list(index.get("manifests") or [])
    for image in images:
        named = image.reference.tagged
        same = [item for item in entries if _name(item) == named] if named else []
        right = [item for item in same or entries if item["digest"] == image.root.digest]
        if right and len(same) < 2 and (same or not named):
            continue
        at = entries.index(same[0]) if same else len(entries)
        entries = [item for item in entries if item not in same]
        entries.insert(at, image.entry)
    return {**index, "manifests": entries}


def _name(item: t.Mapping[str, t.Any]) -> str | None:
    """Return what an entry is called: its full name, or the bare tag that other tools write."""
    annotations = item.get("annotations") or {}
    return annotations.get(CONTAINERD_NAME) or annotations.get(REF_NAME)


def _key(item: Descriptor) -> str:
    return _name(item.json) or item.digest
