# SPDX-License-Identifier: GPL-3.0-or-later
"""Send images from files to a registry (crane push)."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from functools import partial

from .._archives.dockerarchive import DockerArchive, docker_manifest
from .._archives.layout import DOCKER_ARCHIVE, OCI_ARCHIVE, Entry, Layout, formats_of, open_files, open_images
from .._errors import ContentError, InvalidInput
from .._kit.content import Content, Wanted, plan_content
from .._kit.target import Target
from .._oci.image import blobs as blobs_of
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES, MANIFESTS
from .._oci.parts import members, parts
from .._oci.reference import Reference
from .._plan import Plan, Step
from .._registry.session import Session
from .._registry.upload import Open

_MAX_DEPTH = 8
_SHOWN = 20
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
    target = Target.look(session.repository(reference, "pull", "push"), reference)
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
        return images, _choose(images.entries, wanted, path)
    docker = t.cast(DockerArchive, open_images(path, DOCKER_ARCHIVE, files))
    with suppress(ContentError, InvalidInput):
        entry = _choose(images.entries, wanted, path)
        found, missing = _below(images, entry)
        layers = [layer for manifest in found.values() for layer in parts(manifest, "layers")]
        if not missing and not any(layer.media_type.endswith(".tar") for layer in layers):
            return images, entry
    return docker, _choose(docker.entries, wanted, path)


def _choose(entries: t.Sequence[Entry], wanted: str | None, path: str) -> Entry:
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
        text = f"{path} has several images{named}; say which with source_reference: {have}."
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


def _below(images: Layout, entry: Entry) -> tuple[dict[str, Manifest], list[Descriptor]]:
    """Return every manifest of an image by digest, and what is named and is not in the file."""
    root = t.cast(Descriptor, entry.item)
    found, missing, level = {}, [], [root]
    for dummy in range(_MAX_DEPTH):
        below = []
        for item in level:
            if item.digest in found:
                continue
            if not images.has(item):
                missing.append(item)
                continue
            manifest = found[item.digest] = images.manifest(item)
            for part in members(manifest) + blobs_of(manifest):
                if part.media_type in INDEXES | MANIFESTS:
                    below.append(part)
                elif not images.has(part) and not is_foreign(part.media_type):
                    missing.append(part)
        level = below
        if not level:
            return found, list({item.digest: item for item in missing}.values())
    raise ContentError(f"{root.digest} in {images.path} nests its indexes too deeply.", "MANIFEST_INVALID")


def _plan_oci(session: Session, images: Layout, entry: Entry, target: Target, on_existing: str) -> Plan:
    """Plan to send an image or index as it is, with the digest that it has."""
    root = t.cast(Descriptor, entry.item)
    _check_digest(target, root.digest, images.path)
    if target.settles(root.digest, on_existing):
        return _plan(target, t.cast(Descriptor, target.found), Content(), [], target.notes(root.digest))
    manifests, missing = _below(images, entry)
    if missing:
        listed = ", ".join(item.digest for item in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        text = (
            f"{images.path} is not complete: its {entry} names content that is not there (or has "
            f"another size): {listed}."
        )
        raise ContentError(text, "SOURCE_INCOMPLETE")
    blobs = [item for manifest in manifests.values() for item in (*members(manifest), *blobs_of(manifest))]
    local = {item.digest: partial(images.chunks, item) for item in blobs if images.has(item)}
    return _plan_content(session, target, manifests[root.digest], manifests, local)


def _plan_docker(session: Session, images: DockerArchive, entry: Entry, target: Target, on_existing: str) -> Plan:
    """Plan to send an image of a docker-archive, which has no manifest, so that one is made.

    Its layers are compressed where they are not. What that gives depends on the encoder, so the image is up to date
    where the registry has one with the same config, which has the digests of the uncompressed layers.
    """
    found = target.found
    if found and found.media_type in MANIFESTS and not target.reference.digest:
        there = target.repository.get_raw(found.digest)
        configs = [config.digest for config in parts(there, "config")]
        if configs == [entry.digest] and len(parts(there, "layers")) == len(images.layers(entry)):
            return _plan(target, found, Content(), [], [])
    if found and not target.reference.digest and target.settles(_said(images, entry), on_existing):
        return _plan(target, found, Content(), [], target.notes(_said(images, entry)))
    config = images.config_descriptor(entry)
    stored = images.layers(entry)
    different = list(dict.fromkeys(stored))
    packed = dict(zip(different, session.map(images.packed, different)))
    layers = [packed[layer] for layer in stored]
    manifest = docker_manifest(config, [layer.item for layer in layers])
    local: dict[str, Open] = {layer.item.digest: layer.open for layer in layers}
    local[config.digest] = partial(images.chunks, config)
    _check_digest(target, manifest.digest, images.path)
    if target.previous == manifest.digest:  # a name with a digest
        return _plan(target, t.cast(Descriptor, found), Content(), [], [])
    return _plan_content(session, target, manifest, {manifest.digest: manifest}, local)


def _said(images: DockerArchive, entry: Entry) -> str:
    """Name what an image of a docker-archive becomes, whose digest is not known until its layers are compressed."""
    return f"the image {entry.digest} of {images.path}"


def _check_digest(target: Target, digest: str, path: str) -> None:
    if target.reference.digest not in (None, digest):
        text = f"{path} cannot become {target.reference}: its digest is {digest}, and a digest cannot be chosen."
        raise InvalidInput(text)


def _plan_content(
    session: Session,
    target: Target,
    root: Manifest,
    known: t.Mapping[str, Manifest],
    local: t.Mapping[str, Open],
) -> Plan:
    """Plan to send what the repository lacks, and then the tag."""
    here = target.repository
    content = plan_content(session, [Wanted(here, here, root.descriptor, known, local)])
    return _plan(target, root.descriptor, content, [target.step(root)], [])


def _plan(target: Target, now: Descriptor, content: Content, tag: list[Step], notes: list[str]) -> Plan:
    return Plan(
        result={
            "reference": str(target.reference.with_digest(now.digest)),
            "digest": now.digest,
            "media_type": now.media_type,
            "previous_digest": target.previous,
        },
        before={str(target.reference): target.previous},
        after={str(target.reference): now.digest},
        steps=tuple(content.steps + tag),
        spared=content.spared,
        notes=tuple(notes),
        warnings=tuple(content.warnings),
    )
