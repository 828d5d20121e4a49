# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning a docker-archive: single images with their tags, as ``docker load`` takes them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from .._archives.atomic import Prepare, check_file, check_writable
from .._archives.dockerarchive import DockerArchive
from .._archives.files import Archive
from .._archives.writer import ArchiveMember, holds, small, write_archive
from .._errors import ContentError
from .._layers.compression import encoder_name
from .._layers.streams import unpacked
from .._oci.image import check_image
from .._oci.manifest import Descriptor, Json, Manifest, canonical_json
from .._oci.parts import parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Cost, Draft, Plan, Step
from .._registry.blobs import stream_blob
from .._registry.client import Repository
from .._registry.session import Session
from .image import member, read_config
from .rootfs import refuse_encrypted, refuse_undistributed
from .saved import in_one_shape, result


@dataclass(frozen=True)
class _Image:
    """An image that goes into the file, and where it comes from."""

    reference: Reference
    repository: Repository
    manifest: Manifest

    @property
    def config(self) -> Descriptor:
        return parts(self.manifest, "config")[0]


def plan_docker_archive(
    session: Session,
    references: t.Sequence[Reference],
    path: str,
    platform: Platform | None,
    force: bool,
    prepare: Prepare,
) -> Plan:
    """Plan one file with all images, unless it is there and has them."""
    draft = Draft()
    place = check_file(path)
    images = session.map(partial(_find, session, platform), references)
    listed, content = _contents(session, images)
    files = [*content, small("manifest.json", canonical_json(listed))]
    before, after = _held(place), _names((item["RepoTags"], item["Config"]) for item in listed)
    writes = force or not holds(place, files, session.map)
    if writes:
        check_writable(place)
        if any(file.size is None for file in content):
            encoder_name("zstd")  # fails here, before anything is fetched, where no codec is installed
        size = sum({blob.digest: blob.size for image in images for blob in _blobs(image)}.values())
        names = ", ".join(str(image.reference) for image in images)
        text = f"Write {path} with {names} ({size} bytes to fetch)."
        draft.do(Step(text, lambda: write_archive(place, files, session.map, prepare), Cost(bytes_received=size)))
    shown = in_one_shape(before, after, writes)
    return draft.plan(result(path, ((image.reference, image.manifest) for image in images), None), *shown)


def _find(session: Session, platform: Platform | None, reference: Reference) -> _Image:
    """Find the image for the platform, or where none is asked for, the only one or that for linux/amd64."""
    repository = session.repository(reference)
    manifest = member(repository, reference, repository.get(reference.target), platform)
    with repository.named():
        check_image(manifest, str(reference), "pull it in an OCI format, or its files with oci_artifact_pull")
    return _Image(reference, repository, manifest)


def _blobs(image: _Image) -> list[Descriptor]:
    return [image.config, *parts(image.manifest, "layers")]


def _contents(session: Session, images: t.Sequence[_Image]) -> tuple[list[Json], list[ArchiveMember]]:
    """Return what manifest.json says, and the files that it names; the same image under two names is listed once."""
    listed: dict[tuple[str, ...], Json] = {}
    found: dict[str, ArchiveMember] = {}
    for image, layers in zip(images, session.map(_layers, images)):
        config = _member(image, image.config, ".json")
        for file in (config, *layers):
            found.setdefault(file.name, file)
        names = [layer.name for layer in layers]
        item = listed.setdefault((config.name, *names), {"Config": config.name, "RepoTags": None, "Layers": names})
        if image.reference.familiar:  # an image by its digest alone gets no name
            item["RepoTags"] = [*(item["RepoTags"] or []), image.reference.familiar]
    return list(listed.values()), list(found.values())


def _member(image: _Image, blob: Descriptor, suffix: str) -> ArchiveMember:
    name = blob.digest.split(":")[1] + suffix
    return ArchiveMember(name, blob.digest, blob.size, partial(stream_blob, image.repository, blob))


def _layers(image: _Image) -> list[ArchiveMember]:
    """Return the layers as files: gzip and plain ones as they are, zstd ones, which Docker may not load, unpacked."""
    layers = parts(image.manifest, "layers")
    for layer in layers:
        refuse_encrypted(layer, str(image.reference))
        refuse_undistributed(image.repository, layer, str(image.reference), "an OCI format can be without it")
    diff_ids: list[str] = []
    if any("zstd" in layer.media_type for layer in layers):
        diff_ids = _diff_ids(image, len(layers))
    found = []
    for number, layer in enumerate(layers):
        if "zstd" in layer.media_type:
            name = f"{diff_ids[number].split(':')[-1]}.tar"
            found.append(ArchiveMember(name, diff_ids[number], None, partial(_unpacked, image.repository, layer)))
        else:
            found.append(_member(image, layer, ".tar.gz" if "gzip" in layer.media_type else ".tar"))
    return found


def _diff_ids(image: _Image, count: int) -> list[str]:
    what = f"The config of {image.reference}"
    rootfs = read_config(image.repository, image.manifest, str(image.reference)).get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or len(found) != count or not all(isinstance(item, str) for item in found):
        text = f"{what} does not list the digests of its {int(count)} layers (rootfs.diff_ids)."
        raise ContentError(text, "CONFIG_INVALID", image.reference.registry)
    return found


def _unpacked(repository: Repository, layer: Descriptor) -> t.Iterator[bytes]:
    return unpacked(stream_blob(repository, layer), f"The layer {repository.full(layer.digest)}")


def _held(place: str) -> dict[str, str | None]:
    """Return the names that the file has now, with the digests of their configs."""
    try:
        return _names((entry.names, entry.digest) for entry in DockerArchive(Archive(place)).entries)
    except (ContentError, FileNotFoundError):
        return {}


def _names(listed: t.Iterable[tuple[t.Sequence[str] | None, str]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for names, config in listed:
        digest = config if ":" in config else f"sha256:{config.split('.')[0]}"
        found.update(dict.fromkeys(names or [digest], digest))
    return found
