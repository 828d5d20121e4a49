# SPDX-License-Identifier: GPL-3.0-or-later
"""Send images from files to a registry (crane push)."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from functools import partial

from .._archives.dockerarchive import DockerArchive, docker_manifest
from .._archives.images import formats_of, left_out, open_files, open_images
from .._archives.layout import DOCKER_ARCHIVE, OCI_ARCHIVE, Entry, Layout
from .._errors import ContentError, InvalidInput
from .._kit.content import Wanted, plan_content
from .._kit.target import Target, refers
from .._oci.image import blobs as blobs_of
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import MANIFESTS
from .._oci.parts import members, parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._plan import Draft, Plan
from .._registry.session import Session
from .._registry.upload import Open

_SHOWN = 20
_TOP = "index.json"
_Test = t.Callable[[str], bool]


def plan_push(
    session: Session,
    *,
    path: str,
    name: str,
    format: str | None,
    source_reference: str | None,
    on_existing: str,
) -> Plan:
    """Plan what makes the registry have an image of a file; one HEAD settles what is up to date."""
    reference = Reference.parse(name)
    images, entry = _choose_side(path, format, source_reference)
    target = Target.open(session, reference)
    if isinstance(images, DockerArchive):
        return _plan_docker(session, images, entry, target, on_existing)
    return _plan_oci(session, images, entry, target, on_existing)


def _choose_side(path: str, kind: str | None, wanted: str | None) -> tuple[Layout | DockerArchive, Entry]:
    """Open the file and find the image in it.

    ``docker save`` (25 and later) writes an OCI layout and a docker-archive in one. The layout keeps the digest, but
    its index may name platforms that are not in the file, or its layers may be uncompressed; then it is the latter.
    """
    files = open_files(path)
    images = t.cast("Layout | DockerArchive", open_images(path, kind, files))
    if kind or isinstance(images, DockerArchive) or formats_of(files) != [OCI_ARCHIVE, DOCKER_ARCHIVE]:
        return images, _choose_in(images, wanted)
    docker = t.cast(DockerArchive, open_images(path, DOCKER_ARCHIVE, files))
    with suppress(ContentError, InvalidInput):
        entry = _choose_in(images, wanted)
        found, missing = _contents(images, entry)
        layers = [layer for manifest in found.values() for layer in parts(manifest, "layers")]
        if not missing and not any(layer.media_type.endswith(".tar") for layer in layers):
            return images, entry
    chosen = _choose(docker.entries, wanted, path)
    others = ", ".join(str(Platform.from_json(images.config(item)) or item.digest) for item in left_out(images, docker))
    if others:
        text = f"{path} has images for {others} too, which its manifest.json does not name; to send only {chosen}, "
        raise ContentError(f"{text}set format: {DOCKER_ARCHIVE}.", "SEVERAL_PLATFORMS")
    return docker, chosen


def _choose_in(images: Layout | DockerArchive, wanted: str | None) -> Entry:
    """Return the one image, or the one that is named; ``index.json`` is that file itself, as one index."""
    if isinstance(images, Layout) and wanted in (_TOP, images.top.digest):
        return images.top
    whole = f", or {_TOP} to send all as one index" if isinstance(images, Layout) else ""
    return _choose(images.entries, wanted, images.path, whole)


def _choose(entries: t.Sequence[Entry], wanted: str | None, path: str, whole: str = "") -> Entry:
    """Return the one image, or the one that is named: by a digest, as the file names it, in full, or by its tag."""
    have = "; ".join(str(entry) for entry in entries[:_SHOWN]) + ("; ..." if len(entries) > _SHOWN else "")
    if not entries:
        raise ContentError(f"{path} holds no images.", "ARCHIVE_INVALID")
    tests = _tests(wanted) if wanted else [bool]
    found: list[Entry] = next(filter(None, (_named(entries, test) for test in tests)), [])
    if not found:
        text = f"{path} has no image {wanted}; it has: {have}."
        raise InvalidInput(text, "SOURCE_NOT_FOUND")
    if len({entry.digest for entry in found}) > 1:
        named = f" named {wanted}" if wanted else ""
        text = f"{path} has several images{named}; say which with source_reference: {have}{whole}."
        raise InvalidInput(text, "AMBIGUOUS_SOURCE")
    return found[0]


def _named(entries: t.Sequence[Entry], test: _Test) -> list[Entry]:
    return [entry for entry in entries if any(map(test, (entry.digest, *entry.names)))]


def _tests(wanted: str) -> list[_Test]:
    """Return the ways in which a name may mean an image of a file, the strictest first."""
    full, tag = _full(wanted), wanted.rpartition(":")[2] if "/" in wanted or ":" in wanted else wanted
    return [
        lambda name: name == wanted,
        lambda name: full is not None and _full(name) == full,
        # A layout knows tags alone; and a tag alone may stand for a full name.
        lambda name: ("/" not in name and name == tag) or (tag == wanted and name.rpartition(":")[2] == tag),
    ]


def _full(name: str) -> str | None:
    """Return a full name in its normal form; None where it is no more than a tag, or no name at all."""
    if "/" not in name and ":" not in name:
        return None
    with suppress(InvalidInput):
        return str(Reference.parse(name))
    return None


def _contents(images: Layout, entry: Entry) -> tuple[dict[str, Manifest], list[Descriptor]]:
    """Return every manifest of an image by digest, and what is named and is not in the file."""
    root = t.cast(Descriptor, entry.item)
    found: dict[str, Manifest] = {}
    missing: dict[str, Descriptor] = {}

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        inside = []
        for item in level:
            manifests: list[Descriptor] = []
            if images.has(item):
                found[item.digest] = images.manifest(item)
                manifests, blobs = below(found[item.digest])
                lost = [blob for blob in blobs if not images.has(blob) and not is_foreign(blob.media_type)]
                missing.update((blob.digest, blob) for blob in lost)
            else:
                missing[item.digest] = item
            inside.append(manifests)
        return inside

    walk([root], children, lambda item: item.digest, f"{root.digest} in {images.path}")
    return found, list(missing.values())


def _plan_oci(session: Session, images: Layout, entry: Entry, target: Target, on_existing: str) -> Plan:
    """Plan to send an image or index as it is, with the digest that it has."""
    root = t.cast(Descriptor, entry.item)
    target.check_digest(root.digest, images.path)
    if target.is_settled(root.digest, on_existing):
        return _settled(target, target.notes(root.digest))
    manifests, missing = _contents(images, entry)
    if missing:
        listed = ", ".join(item.digest for item in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        text = f"{images.path} is not complete: its {entry} names content that is not there (or has another size)"
        raise ContentError(f"{text}: {listed}.", "SOURCE_INCOMPLETE")
    blobs = [item for manifest in manifests.values() for item in (*members(manifest), *blobs_of(manifest))]
    local = {item.digest: partial(images.chunks, item) for item in blobs if images.has(item)}
    return _plan_content(session, target, manifests[root.digest], manifests, local)


def _plan_docker(session: Session, images: DockerArchive, entry: Entry, target: Target, on_existing: str) -> Plan:
    """Plan to send an image of a docker-archive, which has no manifest, so that one is made.

    Its layers are compressed where they are not. What that gives depends on the encoder, so the image is up to date
    where the registry has one with the same config, which has the digests of the uncompressed layers.
    """
    target.check_certain(on_existing)
    found = target.found
    if found and found.media_type in MANIFESTS and not target.reference.digest:
        there = target.repository.get_raw(found.digest)
        configs = [config.digest for config in parts(there, "config")]
        if configs == [entry.digest] and len(parts(there, "layers")) == len(images.layers(entry)):
            return _settled(target, [])
    if found and not target.reference.digest and target.is_settled(_becomes(images, entry), on_existing):
        return _settled(target, target.notes(_becomes(images, entry)))
    config = images.config_descriptor(entry)
    stored = images.layers(entry)
    different = list(dict.fromkeys(stored))
    packed = dict(zip(different, session.map(images.packed, different)))
    layers = [packed[layer] for layer in stored]
    manifest = docker_manifest(config, [layer.item for layer in layers])
    local: dict[str, Open] = {layer.item.digest: layer.open for layer in layers}
    local[config.digest] = partial(images.chunks, config)
    target.check_digest(manifest.digest, images.path)
    if target.previous == manifest.digest:  # a name with a digest
        return _settled(target, [])
    return _plan_content(session, target, manifest, {manifest.digest: manifest}, local)


def _becomes(images: DockerArchive, entry: Entry) -> str:
    """Name what an image of a docker-archive becomes, whose digest is not known until its layers are compressed."""
    return f"the image {entry.digest} of {images.path}"


def _plan_content(
    session: Session,
    target: Target,
    root: Manifest,
    known: t.Mapping[str, Manifest],
    local: t.Mapping[str, Open],
) -> Plan:
    """Plan to send what the repository lacks, and then the tag."""
    here, draft = target.repository, Draft()
    plan_content(session, draft, [Wanted(here, here, root.descriptor, known, local, by_digest=refers(root))])
    target.plan(draft, root)
    return _planned(draft, target, root.descriptor)


def _settled(target: Target, notes: list[str]) -> Plan:
    """Return the plan to leave alone what is there."""
    draft = Draft()
    draft.note(*notes)
    return _planned(draft, target, t.cast(Descriptor, target.found))


def _planned(draft: Draft, target: Target, now: Descriptor) -> Plan:
    result = {
        "reference": str(target.reference.with_digest(now.digest)),
        "digest": now.digest,
        "media_type": now.media_type,
        "previous_digest": target.previous,
    }
    return draft.plan(result, {str(target.reference): target.previous}, {str(target.reference): now.digest})
