# SPDX-License-Identifier: GPL-3.0-or-later
"""Put an image on a newer base, without building it again (crane rebase)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from .._errors import ContentError, InvalidInput, NotFound
from .._kit.edit import Edited, plan_edit, rewrite
from .._kit.image import Image, read_image
from .._oci.digest import digest_problem
from .._oci.index import no_platform, platform_of
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.mediatype import INDEXES, is_docker
from .._oci.parts import members
from .._oci.platform import Platform
from .._oci.rebase import BASE_DIGEST, BASE_NAME, in_family, not_based_on, rebased_config
from .._oci.reference import Reference
from .._oci.walk import walk
from .._plan import Plan
from .._registry.client import Repository
from .._registry.session import Session


@dataclass(frozen=True)
class _Base:
    """A base as its reference points at it (the index, where it is one), and its image for one platform."""

    reference: Reference
    digest: str
    image: Image

    @property
    def pinned(self) -> str:
        return str(self.reference.with_digest(self.digest))


class _Bases:
    """Reads bases, each manifest and config once for the whole task."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._root = lru_cache(maxsize=None)(self._read_root)
        self._image = lru_cache(maxsize=None)(self._read_image)

    def read(self, reference: Reference, platform: Platform | None) -> _Base:
        """Return the base for a platform. Raises ContentError (PLATFORM_NOT_FOUND), NotFound."""
        repository, root = self._root(reference)
        with repository.named():
            digest = _choose(repository, root, platform, str(reference)) if root.is_index else root.digest
            image = self._image(reference, digest)
            found = image.platform
            if platform and found and not root.is_index and not _fits(platform, found):
                text = f"{reference} is a single image for {found}, which is no base for {platform}."
                raise ContentError(text, "PLATFORM_NOT_FOUND")
        return _Base(reference, root.digest, image)

    def _read_root(self, reference: Reference) -> tuple[Repository, Manifest]:
        repository = self._session.repository(reference)
        return repository, repository.get(reference.target)

    def _read_image(self, reference: Reference, digest: str) -> Image:
        repository, root = self._root(reference)
        what = str(reference.with_digest(digest))
        return read_image(repository, root if digest == root.digest else repository.get(digest), what)


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
    fit = [(platform, item) for platform, item in _images(repository, index, what) if _fits(wanted, platform)]
    if not fit:
        raise no_platform(index, replace(wanted, os_version=""), what)

    def nearness(candidate: tuple[Platform, Descriptor]) -> tuple[bool, int]:
        pairs = zip(candidate[0].os_version.split("."), wanted.os_version.split("."))
        same = [mine == theirs for mine, theirs in pairs]
        return candidate[0].variant == wanted.variant, [*same, False].index(False)

    return max(fit, key=nearness)[1].digest


def _images(repository: Repository, index: Manifest, what: str) -> list[tuple[Platform, Descriptor]]:
    """Return the images below an index with the platforms that it or an index in it gives them."""
    found: list[tuple[Platform, Descriptor]] = []

    def children(level: list[tuple[Descriptor, Platform | None]]) -> list[list[tuple[Descriptor, Platform | None]]]:
        nested = []
        for item, above in level:
            inner = index if item.digest == index.digest else repository.get(item.digest)
            named = [(member, platform_of(member) or above) for member in members(inner)]
            nested.append([pair for pair in named if pair[0].media_type in INDEXES])
            found.extend((said, member) for member, said in named if said and member.media_type not in INDEXES)
        return nested

    root: tuple[Descriptor, Platform | None] = (index.descriptor, None)
    walk([root], children, lambda pair: pair[0].digest, what)
    return found


def plan_rebase(
    session: Session,
    *,
    name: str,
    dest: str | None,
    old_base: str | None,
    new_base: str | None,
    platforms: list[str],
    on_existing: str,
) -> Plan:
    """Plan the exchange of the layers of one base for those of another, in an image or in the images of an index."""
    old_given, new_given = (Reference.parse(text) if text else None for text in (old_base, new_base))
    bases = _Bases(session)
    rows: list[Json] = []

    def edit(image: Image, existing: Image | None) -> Edited:
        old_named, new_named = _annotated(image)
        wanted = new_given or new_named
        if wanted is None:
            raise _unknown(image, "new_base")
        new = bases.read(wanted, image.platform)
        notes = {BASE_NAME: _base_name(wanted, new_named), BASE_DIGEST: new.digest}
        try:
            old = _old(image, new, notes, old_given or old_named, bases)
        except NotFound as exc:
            if old_given:
                raise
            text = f"{exc} It is what the annotations of {image.what} name; give the old_base that it was built on."
            raise NotFound(text, exc.code, exc.registry, exc.status) from None
        rows.append({"old_base": (old or new).pinned, "new_base": new.pinned, "base_digest": new.digest})
        annotations = {**(image.manifest.json.get("annotations") or {}), **notes}
        if old is None:
            return rewrite(image, image.config, annotations=annotations)
        return _rebased(image, old.image, new.image, annotations)

    return plan_edit(
        session,
        name=name,
        dest=dest,
        platforms=platforms,
        on_existing=on_existing,
        edit=edit,
        extra=lambda edited: rows[0],
    )


def _annotated(image: Image) -> tuple[Reference | None, Reference | None]:
    """Return the base that the image says it was built on, by digest, and by the name that may have moved on since."""
    annotations = image.manifest.json.get("annotations") or {}
    digest = annotations.get(BASE_DIGEST)
    try:
        name = Reference.parse(annotations.get(BASE_NAME) or "")
    except InvalidInput:
        return None, None
    return None if digest_problem(digest) else name.with_digest(str(digest)), name


def _base_name(base: Reference, annotated: Reference | None) -> str:
    """Return the name to find newer bases by: one with a tag, where there is any."""
    if base.digest and not base.tag:
        same = annotated and not annotated.digest and annotated.name == base.name
        return str(annotated if same else base)
    return str(base.with_tag(base.tag or "latest"))


def _old(image: Image, new: _Base, notes: Json, named: Reference | None, bases: _Bases) -> _Base | None:
    """Return the base that the image has and that is to be exchanged; None where it has the new one already.

    An image can begin with both, where one base was made from the other: then it is on the one with more layers,
    unless its annotations say that it is on the new one. Raises ContentError (NOT_BASED_ON).
    """
    annotations = image.manifest.json.get("annotations") or {}
    done = not not_based_on(image.diff_ids, new.image.diff_ids)
    if done and all(annotations.get(key) == value for key, value in notes.items()):
        return None
    if named is None:
        if done:
            return None
        raise _unknown(image, "old_base")
    old = bases.read(named, image.platform)
    why = not_based_on(image.diff_ids, old.image.diff_ids)
    if done and (why or len(new.image.diff_ids) >= len(old.image.diff_ids)):
        return None
    if why:
        text = f"{image.what} is not based on {old.pinned}: {why}. Give the old_base that it was built on."
        raise ContentError(text, "NOT_BASED_ON", image.repository.registry.host)
    return old


def _unknown(image: Image, option: str) -> InvalidInput:
    text = f"{image.what} has no annotations ({BASE_NAME}, {BASE_DIGEST}) that tell its base; give {option}."
    return InvalidInput(text, "BASE_UNKNOWN")


def _rebased(image: Image, old: Image, new: Image, annotations: Json) -> Edited:
    """Return the image on the new base; its layers come from where the base is."""
    above, media_type = len(old.layers), image.manifest.media_type
    packed = next((layer for layer in new.layers if layer.media_type.endswith("zstd")), None)
    if packed and is_docker(media_type):
        text = f"{image.what} is in Docker's format, which has no layers in zstd, and {new.what} has one"
        raise ContentError(f"{text} ({packed.digest}); build the image in the OCI format.", "UNSUPPORTED_MEDIA_TYPE")
    config = rebased_config(image.config, old.config, new.config, new.diff_ids, image.diff_ids[above:])
    layers = [in_family(layer.json, media_type) for layer in new.layers]
    layers += [layer.json for layer in image.layers[above:]]
    elsewhere = {layer.digest: new.repository for layer in new.layers}
    return replace(rewrite(image, config, layers, annotations=annotations), elsewhere=elsewhere, files_changed=True)
