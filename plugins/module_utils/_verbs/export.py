# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the root file system of an image to a tar (crane export)."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from .._archives.atomic import FILE_MODE, Prepare, atomic_write, check_file, digest_of_file
from .._errors import NotFound
from .._kit.image import Image, find, member, read_image
from .._kit.rootfs import merge, parse_limits
from .._layers.compression import compressor
from .._layers.limits import Limits
from .._layers.spool import Spool
from .._oci.digest import digest_of
from .._oci.manifest import canonical_json
from .._oci.platform import Platform
from .._oci.provenance import is_flattened
from .._plan import Plan, Step
from .._registry.session import Session

# What a file is the export of, and its digest then: "1 LAYERS DIGEST". A file that was edited since has another digest.
_NOTE = "user.quayside.export"


def plan_export(
    session: Session,
    *,
    name: str,
    path: str,
    platform: str | None,
    limits: dict[str, int | None] | None,
    force: bool,
    prepare: Prepare = lambda temporary: None,
) -> Plan:
    """Plan one file; it is written here, without a name, unless the one that is there is known to be right."""
    allowed = parse_limits(limits)
    target = check_file(path)
    old, old_size = digest_of_file(target, "sha256") or (None, None)
    reference, repository, manifest = find(session, name)
    if manifest is None:
        raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404)
    wanted = None if platform is None else Platform.parse(platform)
    chosen = member(repository, reference, manifest, wanted)
    image = read_image(repository, chosen, repository.full(chosen.digest), "oci_artifact_pull saves files of artifacts")
    result = {
        "reference": str(reference.with_digest(chosen.digest)),
        "digest": chosen.digest,
        "media_type": chosen.media_type,
        "path": path,
    }
    before = {"path": path, "size": old_size, "checksum": old}
    if not force and old in _expected(target, image):
        return Plan({**result, "size": old_size, "checksum": old}, before, before)
    made = _Export.make(session, image, os.path.dirname(target), allowed)
    after = {"path": path, "size": made.size, "checksum": made.digest}
    text = f"Write the root file system of {result['reference']} ({int(made.size)} bytes) to {path}."
    note = f"1 {_layers(image)} {made.digest}"
    steps = () if made.digest == old else (Step(text, lambda: _write(made, target, note, prepare)),)
    return Plan({**result, "size": made.size, "checksum": made.digest}, before, after, steps)


def _layers(image: Image) -> str:
    """Return one digest for the content of all layers, on which alone the export depends."""
    return digest_of(canonical_json(image.diff_ids))


def _expected(path: str, image: Image) -> list[str]:
    """Return the digests that an export of the image has, as far as that can be known without making it."""
    found = image.diff_ids if is_flattened(image.config) else []  # flattening makes the same tar
    with suppress(OSError, ValueError, AttributeError):  # no such note, or a system that has none
        version, layers, digest = os.getxattr(path, _NOTE).decode("ascii").split(" ")
        if (version, layers) == ("1", _layers(image)):
            found.append(digest)
    return found


@dataclass(frozen=True)
class _Export:
    """The finished tar, which has no name yet."""

    file: Spool
    digest: str

    @property
    def size(self) -> int:
        return self.file.size

    @classmethod
    def make(cls, session: Session, image: Image, folder: str, limits: Limits) -> _Export:
        file = Spool(f"for the root file system of {image.what}", folder, FILE_MODE)
        with compressor(file, "none") as writer:
            merge(session, image, writer, limits, folder)
        return cls(file, writer.close().digest)


def _write(made: _Export, path: str, note: str, prepare: Prepare) -> None:
    # Where files have no such notes, the next run makes the tar again.
    with atomic_write(path, prepare, made.file) as handle, suppress(OSError, AttributeError):
        os.setxattr(handle, _NOTE, note.encode("ascii"))
