# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a file or folder of images, in whatever format it is. The readers of all have the same methods."""

from __future__ import annotations

import os
import typing as t

from .._errors import ContentError, InvalidInput
from .._oci.image import attests, not_image
from .._oci.manifest import Descriptor, Manifest
from .._oci.walk import below, walk
from .dockerarchive import DockerArchive
from .files import Archive, Files, Folder
from .layout import DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_LAYOUT, Entry, Layout


class ImageFile(t.Protocol):
    """Images in a file or folder. What is asked for by a descriptor has its size and digest, or ContentError says so.

    ``manifest`` and ``read`` give small content, ``chunks`` streams; the last piece comes after it was verified.
    """

    format: str
    path: str
    entries: list[Entry]

    def root(self, entry: Entry) -> Manifest:
        """Return the manifest or index of an image."""

    def manifest(self, item: Descriptor) -> Manifest:
        """Return a manifest or index below a root."""

    def read(self, item: Descriptor) -> bytes:
        """Return a small blob, such as a config."""

    def chunks(self, item: Descriptor) -> t.Iterator[bytes]:
        """Yield the bytes of a blob."""

    def has(self, item: Descriptor) -> bool:
        """Is content there, with its size? Its digest is not looked at."""


def formats_of(files: Files) -> list[str]:
    """Return what a folder or archive can be read as; ``docker save`` (25 and later) writes both formats in one."""
    if isinstance(files, Folder):
        return [OCI_LAYOUT]
    oci = [OCI_ARCHIVE] if files.size("index.json") is not None and files.size("oci-layout") is not None else []
    return oci + ([DOCKER_ARCHIVE] if files.size("manifest.json") is not None else [])


def open_files(path: str) -> Files:
    """Open a folder or a tar archive; InvalidInput (FILE_ERROR) where there is none, ContentError, OSError."""
    if not path:
        raise InvalidInput("The path is empty; give the path of a file or folder with images.", "FILE_ERROR")
    if not os.path.exists(path):
        raise InvalidInput(f"{path} does not exist.", "FILE_ERROR")
    return Folder(path) if os.path.isdir(path) else Archive(path)


def open_images(path: str, wanted: str | None = None, files: Files | None = None) -> ImageFile:
    """Open images for reading, in the format that is ``wanted`` or found; what has both is read as OCI.

    Raises ContentError (ARCHIVE_INVALID), InvalidInput where the file is of another format, OSError.
    """
    files = files or open_files(path)
    found = formats_of(files)
    if not found:
        text = f"{path} holds no images: it has neither index.json and oci-layout, nor manifest.json, at its top."
        raise ContentError(text, "ARCHIVE_INVALID")
    if wanted and wanted not in found:
        raise InvalidInput(f"The format of {path} is {' and '.join(found)}, not {wanted} as the task says.")
    chosen = wanted or found[0]
    return DockerArchive(files) if chosen == DOCKER_ARCHIVE else Layout(files, chosen)


def left_out(layout: Layout, archive: DockerArchive) -> list[Manifest]:
    """Return the images that a file of both formats has whole, and of which its manifest.json says nothing.

    That has one platform alone where engines save an image of several.
    """
    named = {entry.digest for entry in archive.entries}
    found: dict[str, Manifest] = {}

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        inside = []
        for item in level:
            manifest = layout.manifest(item)
            manifests, blobs = below(manifest)
            if not not_image(manifest) and all(map(layout.has, blobs)) and blobs[0].digest not in named:
                found[item.digest] = manifest
            inside.append([each for each in manifests if layout.has(each) and not attests(each)])
        return inside

    roots = [entry.item for entry in layout.entries if entry.item and layout.has(entry.item)]
    walk(roots, children, lambda item: item.digest, layout.path)
    return list(found.values())
