# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases of images: what an image says that it was built on, and what the same name points at now.

An image tells by annotations of its manifest (OCI image-spec, annotations.md), or its index tells by those of the
member. Labels with these names do not count: an image inherits them from its base, whose own base they name.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._errors import ContentError, InvalidInput, NotFound
from .._oci.digest import digest_problem
from .._oci.image import attests, check_image, not_image
from .._oci.index import no_platform, platform_of
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES, MANIFESTS
from .._oci.parts import members
from .._oci.platform import Platform
from .._oci.rebase import BASE_DIGEST, BASE_NAME, not_based_on
from .._oci.reference import Reference
from .._oci.walk import walk
from .._registry.client import Repository
from .._registry.flights import Flights
from .._registry.session import Session
from .image import Image, read_image

_ADVICE = "build it with them, or put it on a base with oci_rebase, which writes them"

Outcome = t.TypeVar("Outcome")


@dataclass(frozen=True)
class Base:
    """A base as its reference points at it (the index, where it is one), and its image for one platform."""

    reference: Reference
    digest: str
    image: Image

    @property
    def pinned(self) -> str:
        return str(self.reference.with_digest(self.digest))


@dataclass(frozen=True)
class Built:
    """What an image says of its base: the name that newer ones have, and the digest of the one it was built on.

    Each is None where it does not say so.
    """

    name: Reference | None
    digest: str | None

    @property
    def old(self) -> Reference | None:
        """The base that the image was built on."""
        return self.name.with_digest(self.digest) if self.name and self.digest else None


@dataclass(frozen=True)
class Standing:
    """How one image stands to its base.

    ``digest`` is the image's; ``name`` is the base's name, ``built_on`` the digest that the image says it was built on
    (None: it does not say), ``latest`` what the name points at now: an index, where it is one. ``layers_behind`` are
    the layers of the base that the image has and the newest base does not have, None where they are unknown, since the
    old base is not there any more.
    """

    digest: str
    platform: Platform | None
    name: Reference
    built_on: str | None
    latest: str
    outdated: bool = False
    layers_behind: int | None = 0


def built_on(manifest: Manifest, listed: t.Mapping[str, t.Any] | None = None) -> Built:
    """Read what annotations tell: the manifest's, else ``listed``, those that an index gives it."""
    for notes in (manifest.json.get("annotations") or {}, listed or {}):
        try:
            name = Reference.parse(notes.get(BASE_NAME) or "")
        except InvalidInput:
            continue
        digest = notes.get(BASE_DIGEST)
        if name.tag and name.digest:  # the tag has newer ones, the digest is what it was
            digest, name = digest or name.digest, replace(name, digest=None)
        return Built(name, None if digest_problem(digest) else digest)
    return Built(None, None)


def _given(base: Reference, said: Built) -> Built:
    """Return what the user says of a base, and of what the image says that which is about it, or about its mirror."""
    name, digest = (replace(base, digest=None), base.digest) if base.tag else (base, None)
    ends = {one.repository.rpartition("/")[2] for one in (base, said.name or base)}
    return Built(name, digest or (said.digest if len(ends) == 1 else None))


def unknown_base(what: str, advice: str) -> InvalidInput:
    """Return the error for an image that does not tell its base; ``advice`` ends the sentence."""
    text = f"{what} has no annotations ({BASE_NAME}, {BASE_DIGEST}) that tell its base; {advice}."
    return InvalidInput(text, "BASE_UNKNOWN")


class Bases:
    """Reads bases, each manifest and config once for the whole task; by several threads, where they like."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._head = _once(self._read_head)
        self._root = _once(self._read_root)
        self._image = _once(self._read_image)

    def read(self, reference: Reference, platform: Platform | None) -> Base:
        """Return the base for a platform. Raises ContentError (PLATFORM_NOT_FOUND), NotFound."""
        repository, root = self._root(reference)
        with repository.named():
            digest = _choose(repository, root, platform, str(reference)) if root.is_index else root.digest
            image = self._image(reference, digest)
            found = image.platform
            if platform and found and not root.is_index and not _fits(platform, found):
                text = f"{reference} is a single image for {found}, which is no base for {platform}."
                raise ContentError(text, "PLATFORM_NOT_FOUND")
        return Base(reference, root.digest, image)

    def standings(
        self, repository: Repository, root: Manifest, base: Reference | None = None, advice: str = _ADVICE
    ) -> list[Standing]:
        """Say how an image, or each image of an index, stands to its base; ``base`` names it in place of annotations.

        ``advice`` tells what to do where neither does. Costs a HEAD for each base where digests agree; layers are
        compared only where they do not. Raises InvalidInput (BASE_UNKNOWN), NotFound for a base that is gone,
        ContentError (NOT_AN_IMAGE, PLATFORM_NOT_FOUND).
        """
        if not root.is_index:
            return [self._standing(repository, root, None, root.descriptor, base, advice)]
        found = []
        for platform, item in images_below(repository, root, repository.full(root.digest)):
            manifest = repository.get(item.digest)
            if not not_image(manifest):
                found.append(self._standing(repository, manifest, platform, item, base, advice))
        return found

    def _standing(
        self,
        repository: Repository,
        manifest: Manifest,
        listed: Platform | None,
        item: Descriptor,
        base: Reference | None,
        advice: str,
    ) -> Standing:
        what = repository.full(manifest.digest)
        with repository.named():
            check_image(manifest, what)
        built = built_on(manifest, item.json.get("annotations"))
        if base:
            built = _given(base, built)
        if built.name is None:
            raise unknown_base(what, advice)
        latest = self._head(built.name)
        standing = Standing(manifest.digest, listed, built.name, built.digest, latest)
        if built.digest == latest:
            return standing
        image = replace(read_image(repository, manifest, what), listed=listed)
        standing = replace(standing, platform=image.platform)
        new = self.read(built.name.with_digest(latest), image.platform).image
        if built.digest == new.manifest.digest:
            return standing
        return self._compared(standing, image, new)

    def _compared(self, standing: Standing, image: Image, new: Image) -> Standing:
        """Compare layers, as the digest that the image was built on is not that of the newest base."""
        is_on_it = not not_based_on(image.diff_ids, new.diff_ids)
        if standing.built_on is None:
            return standing if is_on_it else replace(standing, outdated=True, layers_behind=None)
        try:
            old = self.read(standing.name.with_digest(standing.built_on), image.platform).image
        except NotFound:
            return standing if is_on_it else replace(standing, outdated=True, layers_behind=None)
        if old.manifest.digest == new.manifest.digest:
            return standing
        behind = sum(diff_id not in new.diff_ids for diff_id in old.diff_ids)
        return replace(standing, outdated=True, layers_behind=behind)

    def _read_head(self, reference: Reference) -> str:
        found = self._session.repository(reference).head(reference.target)
        if found is None:
            text = f"The base {reference} does not exist."
            raise NotFound(text, "MANIFEST_UNKNOWN", reference.registry, 404)
        return found.digest

    def _read_root(self, reference: Reference) -> tuple[Repository, Manifest]:
        repository = self._session.repository(reference)
        return repository, repository.get(reference.target)

    def _read_image(self, reference: Reference, digest: str) -> Image:
        repository, root = self._root(reference)
        what = str(reference.with_digest(digest))
        return read_image(repository, root if digest == root.digest else repository.get(digest), what)


def _once(work: t.Callable[..., Outcome]) -> t.Callable[..., Outcome]:
    """Return a function that does the work of some arguments once, whoever asks for it, and how many at a time."""
    flights, done = Flights(), t.cast("dict[t.Any, Outcome]", {})

    def call(*key: t.Any) -> Outcome:
        def first() -> Outcome:
            if key not in done:
                done[key] = work(*key)
            return done[key]

        return done[key] if key in done else flights.join(key, first)

    return call


def _fits(wanted: Platform, found: Platform) -> bool:
    """Can an image for ``found`` be below one for ``wanted``? Their builds of Windows (os.version) may differ."""
    plain = replace(wanted, os_version="")
    return plain.matches(found) or (replace(plain, variant="").matches(found) and not found.variant)


def _choose(repository: Repository, index: Manifest, wanted: Platform | None, what: str) -> str:
    """Return the digest of the image of a base for a platform: of the same variant, and the nearest build of Windows.

    Raises ContentError (PLATFORM_NOT_FOUND).
    """
    if wanted is None:
        text = f"The image does not say what platform it is for, so no member of its base {what} can be chosen."
        raise ContentError(text, "PLATFORM_NOT_FOUND")
    found = images_below(repository, index, what)
    fit = [(platform, item) for platform, item in found if platform and _fits(wanted, platform)]
    if not fit:
        raise no_platform(index, replace(wanted, os_version=""), what)

    def nearness(candidate: tuple[Platform, Descriptor]) -> tuple[bool, int]:
        pairs = zip(candidate[0].os_version.split("."), wanted.os_version.split("."))
        same = [mine == theirs for mine, theirs in pairs]
        return candidate[0].variant == wanted.variant, [*same, False].index(False)

    return max(fit, key=nearness)[1].digest


def images_below(repository: Repository, index: Manifest, what: str) -> list[tuple[Platform | None, Descriptor]]:
    """Return what is below an index but attestations, with the platforms that it or an index in it gives them."""
    found: list[tuple[Platform | None, Descriptor]] = []

    def children(level: list[tuple[Descriptor, Platform | None]]) -> list[list[tuple[Descriptor, Platform | None]]]:
        nested = []
        for item, above in level:
            inner = index if item.digest == index.digest else repository.get(item.digest)
            named = [(member, platform_of(member) or above) for member in members(inner) if not attests(member)]
            nested.append([pair for pair in named if pair[0].media_type in INDEXES])
            found.extend((said, member) for member, said in named if member.media_type in MANIFESTS)
        return nested

    root: tuple[Descriptor, Platform | None] = (index.descriptor, None)
    walk([root], children, lambda pair: pair[0].digest, what)
    return found
