# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a release as a user gives them, and what their sources are when the release is planned."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from functools import partial

from .._errors import ContentError, Denied, InvalidInput, NotFound, OCIError
from .._kit.image import choose_platforms
from .._oci.digest import digest_problem
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.moving import breadth, render
from .._oci.platform import Platform
from .._oci.reference import Reference, check_tag
from .._registry.client import Repository
from .._registry.retry import attempt
from .._registry.session import Session
from .requirements import Requirements, parse_requirements

TAG, MOVING, BACKUP = "tag", "moving", "backup"

_UNKNOWN = Descriptor("", "", 0)  # what a source is that does not exist


@dataclass(frozen=True)
class Dest:
    """A repository that an image goes to, and the tags that never move; ``named``: the user wrote the tag with it."""

    repository: Reference
    tags: tuple[str, ...]
    named: bool = False

    def __str__(self) -> str:
        return f"{self.repository.name}:{self.tags[0]}" if self.named else self.repository.name


@dataclass(frozen=True)
class Item:
    """One image of a release; ``moving`` are pairs of a template and the tag that it stands for."""

    src: Reference
    expected: str | None
    dests: tuple[Dest, ...]
    moving: tuple[tuple[str, str], ...]
    version: str | None
    platforms: tuple[Platform, ...]
    required: tuple[Requirements, ...]

    @property
    def targets(self) -> list[Reference]:
        """All tags that it gets."""
        moving = [tag for _template, tag in self.moving]
        return [dest.repository.with_tag(tag) for dest in self.dests for tag in (*dest.tags, *moving)]

    def lock(self, digest: str) -> list[Json]:
        """Return what can be given as images again, to release exactly this; an entry for each set of tags."""
        rest = {
            "moving_tags": [template for template, _tag in self.moving],
            "version": self.version,
            "platforms": [str(platform) for platform in self.platforms],
        }
        src = str(self.src.with_digest(digest))
        by_tags: dict[tuple[str, ...], list[str]] = {}
        for dest in self.dests:
            by_tags.setdefault(dest.tags, []).append(dest.repository.name)
        return [{"src": src, "dest": names, "tags": list(tags), **rest} for tags, names in by_tags.items()]


@dataclass(frozen=True)
class Resolved:
    """An image with what its source is now; ``filtered`` is the index of the platforms that are wanted alone.

    With an ``error`` the source is not what it should be, and ``root`` has an empty digest where there is none.
    """

    item: Item
    source: Repository
    root: Descriptor = _UNKNOWN
    filtered: Manifest | None = None
    error: OCIError | None = None

    @property
    def wanted(self) -> Descriptor:
        return self.filtered.descriptor if self.filtered else self.root

    @property
    def is_smaller(self) -> bool:
        """Is it another image than the source's, on which signatures of that say nothing?"""
        return self.wanted.digest != self.root.digest


@dataclass(frozen=True)
class Failure:
    """Why a release is refused: what is wrong with an image, or with the first of ``names``, which are tags by name.

    All of these are refused for it.
    """

    error: OCIError
    names: tuple[str, ...]
    image: Resolved | None = None

    @classmethod
    def of(cls, image: Resolved, error: OCIError) -> Failure:
        return cls(error, tuple(map(str, image.item.targets)), image)


def parse_items(
    images: t.Sequence[t.Mapping[str, t.Any]], require: t.Mapping[str, t.Any] | None, now: float
) -> list[Item]:
    """Read the options ``images`` and ``require``; nothing is requested. Raises InvalidInput, MissingLibrary."""
    common = parse_requirements(require, "require", now)
    return [_parse(image, common, now) for image in images]


def _parse(image: t.Mapping[str, t.Any], common: Requirements, now: float) -> Item:
    src = Reference.parse(image["src"])
    expected = image.get("digest")
    problem = digest_problem(expected) if expected is not None else None
    if problem:
        raise InvalidInput(f"The digest {expected!r} of {src} {problem}.", "INVALID_REFERENCE")
    if expected and src.digest and src.digest != expected:
        text = f"{src} is asked for by its digest, which is not {expected}."
        raise ContentError(text, "DIGEST_MISMATCH", src.registry)
    version = image.get("version") or src.tag
    templates = image.get("moving_tags") or []
    moving = [(template, render(template, version, str(src))) for template in dict.fromkeys(templates)]
    own = parse_requirements(image.get("require"), f"require of {src}", now)
    dests = tuple(_dest(text, src, image.get("tags"), bool(moving)) for text in dict.fromkeys(image["dest"]))
    if not dests:
        raise InvalidInput(f"dest of {src} is empty; name at least one repository.")
    platforms = tuple(Platform.parse(text) for text in image.get("platforms") or ())
    ordered = tuple(sorted(moving, key=lambda pair: breadth(pair[1])))
    return Item(src, expected, dests, ordered, version, platforms, (common, own))


def _dest(text: str, src: Reference, tags: t.Sequence[str] | None, moves: bool) -> Dest:
    dest = Reference.parse(text)
    if dest.digest:
        raise InvalidInput(f"dest {text!r} has a digest, which follows from what is released; leave it out.")
    bare = replace(dest, tag=None)
    if dest.tag:
        if tags is not None:
            raise InvalidInput(f"dest {text!r} has a tag, and so stands for this one alone; leave out tags, or it.")
        return Dest(bare, (dest.tag,), named=True)
    if tags is None:
        if src.digest and not src.tag:
            raise InvalidInput(f"{src} has no tag that {text} could take; give tags.")
        tags = [src.tag or "latest"]
    if not tags and not moves:
        raise InvalidInput(f"{src} would get no tag in {text}; give tags or moving_tags.")
    return Dest(bare, tuple(check_tag(tag) for tag in dict.fromkeys(tags)))


def raise_denied(outcomes: t.Iterable[tuple[Repository, object]]) -> None:
    """Raise what a registry says that denies all that is asked of it: that is about no single image."""
    found: dict[str, list[object]] = {}
    for repository, outcome in outcomes:
        found.setdefault(repository.registry.host, []).append(outcome)
    for several in found.values():
        denied = [outcome for outcome in several if isinstance(outcome, Denied)]
        if len(denied) == len(several):
            raise denied[0]


def resolve(session: Session, items: t.Sequence[Item]) -> list[Resolved]:
    """Find out what each source is, once. What is wrong with one is told with it. Raises Denied where all are."""
    found = session.map(partial(_resolve, session), items)
    raise_denied((one.source, one.error) for one in found)
    return found


def _resolve(session: Session, item: Item) -> Resolved:
    one = Resolved(item, session.repository(item.src))
    root = attempt(_root, one)
    if isinstance(root, OCIError):
        return replace(one, error=root)
    one = replace(one, root=root)
    if item.expected not in (None, root.digest):
        text = f"{item.src} is {root.digest}, and {item.expected} was expected."
        return replace(one, error=ContentError(text, "DIGEST_MISMATCH", item.src.registry))
    chosen = attempt(_chosen, one)
    return replace(one, error=chosen) if isinstance(chosen, OCIError) else replace(one, filtered=chosen)


def _root(one: Resolved) -> Descriptor:
    src = one.item.src
    found = one.source.head(src.target)
    if found is None:
        raise NotFound(f"The source {src} does not exist.", "MANIFEST_UNKNOWN", src.registry, 404)
    return found


def _chosen(one: Resolved) -> Manifest | None:
    if not one.item.platforms:
        return None
    with one.source.named():
        return choose_platforms(one.source, one.item.src.with_digest(one.root.digest), one.item.platforms)
