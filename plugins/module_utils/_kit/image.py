# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that was opened: where it lies, its manifest and its config; and finding one by name and platform."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._errors import ContentError, NotFound
from .._oci.digest import digest_problem
from .._oci.image import check_image, not_image
from .._oci.index import filter_index
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.mediatype import MANIFESTS
from .._oci.parts import parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import Get, find_image
from .._registry.blobs import read_blob
from .._registry.client import Repository
from .._registry.session import Session


@dataclass(frozen=True)
class Image:
    """One image: where it lies, its manifest and config, and a name for messages.

    ``listed`` is the platform that its index gives it, if any, and ``notes`` are the annotations that it gives it.
    """

    repository: Repository
    manifest: Manifest
    config: Json
    what: str
    listed: Platform | None = None
    notes: Json = field(default_factory=dict)

    @property
    def layers(self) -> list[Descriptor]:
        """The layers, bottom to top."""
        return parts(self.manifest, "layers")

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the uncompressed layers, bottom to top. Raises ContentError for others, or too few."""
        found = (self.config.get("rootfs") or {}).get("diff_ids") or []
        if len(found) != len(self.layers):
            count = f"{self.what} has {len(self.layers)} layers, but its config lists {len(found)} of them"
            raise ContentError(f"{count} (rootfs.diff_ids).", "CONFIG_INVALID")
        for diff_id in found:
            problem = digest_problem(diff_id)
            if problem:
                text = f"The config of {self.what} names the layer {diff_id!r} (rootfs.diff_ids), which {problem}."
                raise ContentError(text, "CONFIG_INVALID")
        return list(found)

    @property
    def platform(self) -> Platform | None:
        """The platform that the index or else the config names."""
        return self.listed or Platform.from_json(self.config)


def read_config(repository: Repository, manifest: Manifest, what: str) -> Json:
    """Return the config of a manifest, which has one, parsed. Raises ContentError (CONFIG_INVALID), NotFound."""
    with repository.named():
        config = parts(manifest, "config")[0]
        return parse_json(read_blob(repository, config), f"The config {config.digest} of {what}", "CONFIG_INVALID")


def read_image(repository: Repository, manifest: Manifest, what: str, instead: str = "") -> Image:
    """Read the config of an image. Raises ContentError (NOT_AN_IMAGE) for anything else; see ``check_image``."""
    with repository.named():
        check_image(manifest, what, instead)
        config = read_config(repository, manifest, what)
        rootfs, named = config.get("rootfs") or {}, f"The config {parts(manifest, 'config')[0].digest} of {what}"
        if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids") or [], list):
            raise ContentError(f"{named} is not that of an image (rootfs).", "CONFIG_INVALID")
        if not isinstance(config.get("config") or {}, dict) or not isinstance(config.get("history") or [], list):
            raise ContentError(f"{named} is not that of an image (config, history).", "CONFIG_INVALID")
    return Image(repository, manifest, config, what)


def find(session: Session, name: str, platform: str | None = None) -> tuple[Reference, Repository, Manifest | None]:
    """Return what a name means, its manifest or None when it is absent; with a platform, that member of an index."""
    reference = Reference.parse(name)
    wanted = None if platform is None else Platform.parse(platform)
    repository = session.repository(reference)
    try:
        manifest = repository.get(reference.target)
    except NotFound:
        return reference, repository, None
    return reference, repository, member(repository, reference, manifest, wanted) if wanted else manifest


def find_one(session: Session, name: str, platform: str | None) -> tuple[Reference, Repository, Manifest]:
    """Return what a name means, and its image: of an index that for a platform, else its only one or linux/amd64.

    Raises NotFound where it is absent, ContentError (NOT_AN_IMAGE, PLATFORM_NOT_FOUND).
    """
    wanted = None if platform is None else Platform.parse(platform)
    reference, repository, manifest = find(session, name)
    if manifest is None:
        raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404)
    chosen = member(repository, reference, manifest, wanted)
    with repository.named():
        check_image(chosen, repository.full(chosen.digest))
    return reference, repository, chosen


def member(
    repository: Repository, reference: Reference, manifest: Manifest, wanted: Platform | None, get: Get | None = None
) -> Manifest:
    """Return the image of an index for a platform; see ``find_image``. ``get`` may know manifests from elsewhere."""

    def own(image: Manifest) -> Platform | None:
        return Platform.from_json(read_config(repository, image, repository.full(image.digest)))

    with repository.named():
        getter = get or (lambda item: repository.get(item.digest))
        return find_image(manifest, wanted, getter, own, str(reference))


def own_platform(repository: Repository, item: Descriptor) -> Platform | None:
    """Return the platform that the config of a member of an index names; None for what is no image."""
    image = repository.get(item.digest) if item.media_type in MANIFESTS else None
    if image is None or not_image(image):
        return None
    return Platform.from_json(read_config(repository, image, repository.full(image.digest)))


def described(reference: Reference, manifest: Descriptor | Manifest | None) -> dict[str, t.Any]:
    """Return the results that every module which reads one image has in common."""
    return {
        "exists": manifest is not None,
        "reference": str(reference.with_digest(manifest.digest)) if manifest else None,
        "digest": manifest.digest if manifest else None,
        "media_type": manifest.media_type if manifest else None,
    }


def choose_platforms(source: Repository, reference: Reference, platforms: t.Sequence[Platform]) -> Manifest:
    """Return an index with the wanted platforms alone; a single image is as good if it is of one of them.

    Raises ContentError (PLATFORM_NOT_FOUND), NotFound.
    """
    manifest = source.get(reference.target)
    if manifest.is_index:
        own = partial(own_platform, source)
        return filter_index(manifest, platforms, str(reference), lambda item: source.get(item.digest), own)
    has_config = bool(parts(manifest, "config"))
    found = Platform.from_json(read_config(source, manifest, str(reference))) if has_config else None
    if not any(wanted.matches(found) for wanted in platforms):
        asked = ", ".join(map(str, platforms))
        text = f"{reference} is a single image for {found or 'no platform'}, and {asked} was asked for."
        raise ContentError(text, "PLATFORM_NOT_FOUND", reference.registry)
    return manifest
