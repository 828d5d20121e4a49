# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting layers on top of images: which of them an image has already, and what it becomes with the others."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from functools import lru_cache

from .._layers.flatten import LayerSource, read_tree
from .._layers.limits import DEFAULT_LIMITS, Limits
from .._layers.newfiles import NewFile, digest_of_files, layer_of_files, names_of
from .._layers.newlayer import NewLayer, from_path, windows
from .._layers.tree import FileTree
from .._oci.config import epoch_seconds
from .._oci.manifest import Json
from .._oci.mediatype import is_docker, layer_type
from .._oci.parts import parts
from .._oci.provenance import Appended, appended, with_layers
from .._registry.session import Session
from .edit import Edited, as_it_is, rewrite
from .image import Image
from .rootfs import layer_sources

Change = t.Callable[[Json], Json]


class Appending:
    """Appends layers, the same to each image: of tars and folders, and on top one of single files.

    What is given is read once, when the first image is known to be there. ``created`` is RFC 3339, None for what the
    image says; ``compression`` is for what has none.
    """

    def __init__(
        self,
        session: Session,
        paths: t.Sequence[str],
        files: t.Sequence[NewFile] = (),
        *,
        created: str | None = None,
        compression: str = "gzip",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._session, self._paths, self._files, self._limits = session, paths, files, limits
        self._created, self._compression = created, compression
        self._mtime = epoch_seconds(created) if created else 0
        self._layers = lru_cache(maxsize=None)(self._read_layers)
        self._request = lru_cache(maxsize=None)(lambda: digest_of_files(files, self._mtime))
        self._rows: dict[str, list[Json]] = {}

    def _read_layers(self, for_windows: bool) -> list[NewLayer]:
        """Read what does not depend on the image; on Windows, that are the files too."""
        found = [from_path(path) for path in self._paths]
        if not for_windows:
            return found
        if self._files:
            found.append(layer_of_files(self._files, self._mtime, FileTree()))
        return [windows(layer) for layer in found]

    def edit(
        self,
        image: Image,
        existing: Image | None,
        change: Change = lambda config: config,
        annotations: Json | None = None,
    ) -> Edited:
        """Return the image with the layers that it does not have, and with ``change`` made to its config.

        ``existing`` is what the destination has: where it is the same image with the same layers, its layers are used,
        however they were compressed, and nothing is read or packed. ``annotations`` are for a manifest that gets
        layers. Raises InvalidInput, ContentError, OCIError (NO_SPACE), OSError.
        """
        for_windows = str(image.config.get("os")).lower() == "windows"
        layers = self._layers(for_windows)
        wanted = [Appended(layer.name, layer.diff_id) for layer in layers]
        if self._files and not for_windows:
            wanted.append(Appended(names_of(self._files), "", self._request()))
        done = self._count_present(image, wanted)
        if done == len(wanted):
            edited = rewrite(image, change(image.config))
        else:
            edited = self._append(
                image,
                existing,
                wanted[done:],
                layers[done:],
                change,
                {"annotations": annotations} if annotations else {},
            )
        self._rows[edited.manifest.digest] = _rows(edited, wanted)
        return edited

    def rows(self, edited: Edited) -> list[Json]:
        """Return digest, size and diff ID of the layers that were asked for, as an edited image has them."""
        return self._rows[edited.manifest.digest]

    def _count_present(self, image: Image, wanted: list[Appended]) -> int:
        """Return how many of the wanted layers, from the lowest up, the image has."""
        if not wanted:
            return 0
        if not wanted[-1].request and image.diff_ids[-len(wanted) :] == [layer.diff_id for layer in wanted]:
            return len(wanted)
        return len(_matches(appended(image.config), wanted))

    def _append(
        self,
        image: Image,
        existing: Image | None,
        missing: list[Appended],
        layers: list[NewLayer],
        change: Change,
        manifest: t.Mapping[str, t.Any],
    ) -> Edited:
        media_type = image.manifest.media_type
        types = [layer_type(media_type, layer.compression or self._compression, image.what) for layer in layers]
        if missing[-1].request:
            types.append(layer_type(media_type, self._compression, image.what))
        known = _reusable(image, existing, missing, types)
        if not known and missing[-1].request:
            layers = [*layers, self._files_layer(layer_sources(image), layers)]
            missing = [replace(want, diff_id=layer.diff_id) for want, layer in zip(missing, layers)]
            known = _reusable(image, existing, missing, types)
        before = [layer.json for layer in image.layers]
        if known and existing:  # compressed by another encoder, perhaps, but the same
            config = change(with_layers(image.config, known, self._created))
            tail = [layer.json for layer in existing.layers[-len(known) :]]
            elsewhere = {layer["digest"]: existing.repository for layer in tail}
            new = rewrite(image, config, before + tail, **manifest)
            return as_it_is(replace(new, elsewhere=elsewhere, files_changed=True), existing)
        packed = [layer.pack(self._compression) for layer in layers]
        tail = [{"mediaType": kind, "digest": file.digest, "size": file.size} for kind, file in zip(types, packed)]
        new = rewrite(image, change(with_layers(image.config, missing, self._created)), before + tail, **manifest)
        local = {**new.local, **{file.digest: file.open for file in packed}}
        return replace(new, local=local, files_changed=True)

    def _files_layer(self, below: list[LayerSource], layers: t.Iterable[NewLayer]) -> NewLayer:
        """Make the layer of single files for what is below it, of which only the headers are of interest."""
        own = [LayerSource(layer.name, layer.plain) for layer in layers]
        tree = read_tree([*below, *own], self._limits, self._session.jobs)
        return layer_of_files(self._files, self._mtime, tree)


def _same(layer: Appended, want: Appended) -> bool:
    return layer.request == want.request if want.request else layer.diff_id == want.diff_id


def _matches(known: t.Sequence[Appended], wanted: t.Sequence[Appended]) -> list[Appended]:
    """Return those of the known layers that are wanted ones, in order, up to the first that is not there.

    One does not count if a layer above it, which is not wanted, brings the same name or file again.
    """
    found: list[Appended] = []
    at = 0
    for want in wanted:
        while at < len(known) and not _same(known[at], want):
            at += 1
        above = [layer for layer in known[at + 1 :] if not any(_same(layer, each) for each in wanted)]
        if at == len(known) or any(layer.hides(known[at]) for layer in above):
            break
        found.append(known[at])
        at += 1
    return found


def _reusable(image: Image, existing: Image | None, missing: list[Appended], types: list[str]) -> list[Appended]:
    """Return the missing layers as the destination has them, on top of the same files and of these types; else none."""
    if existing is None or is_docker(existing.manifest.media_type) != is_docker(image.manifest.media_type):
        return []
    count = len(missing)
    # Not by the property, which refuses an image that is broken: that one is to be replaced.
    diff_ids = (existing.config.get("rootfs") or {}).get("diff_ids") or []
    if diff_ids[:-count] != image.diff_ids or len(existing.layers) != len(diff_ids):
        return []
    if [layer.media_type for layer in existing.layers[-count:]] != types:
        return []
    known = appended(existing.config)[-count:]
    same = len(known) == count and all(map(_same, known, missing))
    if same or diff_ids[-count:] == [layer.diff_id for layer in missing]:
        return [replace(want, diff_id=diff_id) for want, diff_id in zip(missing, diff_ids[-count:])]
    return []


def _rows(edited: Edited, wanted: list[Appended]) -> list[Json]:
    diff_ids = edited.config["rootfs"]["diff_ids"]
    found = [layer.diff_id for layer in _matches(appended(edited.config), wanted)]
    found = found if len(found) == len(wanted) else diff_ids[-len(wanted) :]
    stored = dict(zip(diff_ids, parts(edited.manifest, "layers")))
    return [{"digest": stored[diff_id].digest, "size": stored[diff_id].size, "diff_id": diff_id} for diff_id in found]
