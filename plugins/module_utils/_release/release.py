# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a release as a user gives them, and what their sources are when the release is planned."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound
from .._kit.image import choose_platforms
from .._oci.digest import digest_problem
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.moving import breadth, render
from .._oci.platform import Platform
from .._oci.reference import Reference, check_tag
from .._registry.client import Repository
from .._registry.session import Session
from .requirements import Requirements, parse_requirements

TAG, MOVING, BACKUP = "tag", "moving", "backup"


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
    """An image with what its source is now; ``filtered`` is the index of the platforms that are wanted alone."""

    item: Item
    source: Repository
    root: Descriptor
    filtered: Manifest | None = None

    @property
    def wanted(self) -> Descriptor:
        return self.filtered.descriptor if self.filtered else self.root

    @property
    def is_smaller(self) -> bool:
        """Is it another image than the source's, on which signatures of that say nothing?"""
        return self.wanted.digest != self.root.digest


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
        raise _mismatch([f"{src} is asked for by its digest, which is not {expected}"], src.registry)
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


def _mismatch(problems: t.Sequence[str], registry: str) -> ContentError:
    return ContentError(f"{'. '.join(problems)}. Nothing was written.", "DIGEST_MISMATCH", registry)


def resolve(session: Session, items: t.Sequence[Item]) -> list[Resolved]:
    """Find out what each source is, once.

    Raises NotFound, and ContentError where one is not what was expected (DIGEST_MISMATCH, all of them are told) or
    lacks a platform.
    """
    heads = session.map(partial(_head, session), items)
    wrong = [
        (item, head) for item, head in zip(items, heads) if item.expected is not None and item.expected != head.digest
    ]
    if wrong:
        told = [f"{item.src} is {head.digest}, and {item.expected} was expected" for item, head in wrong]
        raise _mismatch(told, wrong[0][0].src.registry)
    return session.map(lambda pair: _resolved(session, *pair), list(zip(items, heads)))


def _head(session: Session, item: Item) -> Descriptor:
    found = session.repository(item.src).head(item.src.target)
    if found is None:
        raise NotFound(f"The source {item.src} does not exist.", "MANIFEST_UNKNOWN", item.src.registry, 404)
    return found


def _resolved(session: Session, item: Item, root: Descriptor) -> Resolved:
    source = session.repository(item.src)
    if not item.platforms:
        return Resolved(item, source, root)
    with source.named():
        chosen = choose_platforms(source, item.src.with_digest(root.digest), item.platforms)
    return Resolved(item, source, root, chosen)
