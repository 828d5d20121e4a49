# SPDX-License-Identifier: GPL-3.0-or-later
"""The one walk over what is below a manifest, for registries and for files (OCI image-spec, image-index.md)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .image import attests, blobs, not_image
from .index import no_platform, platform_of
from .manifest import Descriptor, Manifest
from .mediatype import INDEXES, MANIFESTS
from .parts import members
from .platform import Platform

MAX_DEPTH = 8
"""Manifests from the root to the lowest image, both included. No tool writes more than three."""
USUAL = Platform("linux", "amd64")

Node = t.TypeVar("Node")
Get = t.Callable[[Descriptor], Manifest]


def too_deep(what: str) -> ContentError:
    """Return the error for an index of indexes of indexes without an end; ``what`` names the root."""
    return ContentError(f"{what} nests its indexes more than {MAX_DEPTH} deep.", "MANIFEST_INVALID")


def below(manifest: Manifest) -> tuple[list[Descriptor], list[Descriptor]]:
    """Return what a manifest needs beside it: the manifests and indexes, and the blobs, each in order.

    A member of an index that is neither a manifest nor an index by its media type is a blob.
    """
    found = members(manifest)
    manifests = [item for item in found if item.media_type in INDEXES | MANIFESTS]
    return manifests, [item for item in found if item.media_type not in INDEXES | MANIFESTS] + blobs(manifest)


def walk(
    roots: t.Iterable[Node],
    children: t.Callable[[list[Node]], t.Sequence[t.Iterable[Node]]],
    key: t.Callable[[Node], t.Hashable],
    what: str,
) -> list[Node]:
    """Visit nodes level by level, each key once; return them all, every one after its children.

    ``children`` is given a whole level, so that it can ask for many at once, and returns the children of each node of
    it: none where the walk need not go on. ``what`` names the roots. Raises ContentError below MAX_DEPTH.
    """
    nodes: dict[t.Hashable, Node] = {}
    under: dict[t.Hashable, list[t.Hashable]] = {}
    level = {key(node): node for node in roots}
    top = list(level)
    for dummy in range(MAX_DEPTH):
        nodes.update(level)
        following: dict[t.Hashable, Node] = {}
        for each, found in zip(level, children(list(level.values()))):
            named = {key(node): node for node in found}
            under[each] = list(named)
            following.update({name: node for name, node in named.items() if name not in nodes})
        level = following
        if not level:
            return [nodes[name] for name in _children_first(top, under)]
    raise too_deep(what)


def _children_first(top: list[t.Hashable], under: t.Mapping[t.Hashable, list[t.Hashable]]) -> list[t.Hashable]:
    ordered: dict[t.Hashable, None] = {}

    def visit(name: t.Hashable) -> None:
        if name not in ordered:
            for child in under.get(name, ()):
                visit(child)
            ordered[name] = None

    for name in top:
        visit(name)
    return list(ordered)


def find_image(
    root: Manifest,
    wanted: Platform | None,
    get: Get,
    own_platform: t.Callable[[Manifest], Platform | None],
    what: str,
) -> Manifest:
    """Return the image of an index for a platform, through nested indexes; anything else is its own only image.

    Without a platform: the only image where there is one, else that for linux/amd64. ``own_platform`` reads the
    platform of a config, and is asked only about members that their index gives none, when no other fits. Raises
    ContentError (PLATFORM_NOT_FOUND), and what ``get`` raises.
    """
    manifest = root
    for dummy in range(MAX_DEPTH):
        if not manifest.is_index:
            return manifest
        inside = [member for member in members(manifest) if not attests(member)]
        if wanted or len(inside) != 1 or inside[0].media_type not in INDEXES | MANIFESTS:
            break
        manifest = get(inside[0])
    else:
        raise too_deep(what)
    found = _search(manifest, wanted or USUAL, get, own_platform, what, 1)
    if found is None:
        raise no_platform(root, wanted or USUAL, what)
    return found


def _search(
    index: Manifest,
    wanted: Platform,
    get: Get,
    own: t.Callable[[Manifest], Platform | None],
    what: str,
    depth: int,
) -> Manifest | None:
    """Return the first image below an index that fits; its platform is its descriptor's, else its config's."""
    if depth >= MAX_DEPTH:
        raise too_deep(what)
    silent = []
    for member in members(index):
        said = platform_of(member)
        if (attests(member) and wanted.os != "unknown") or (said and not wanted.matches(said)):
            continue
        if member.media_type in INDEXES:
            found = _search(get(member), wanted, get, own, what, depth + 1)
            if found:
                return found
        elif said:
            return get(member)
        elif member.media_type in MANIFESTS:
            silent.append(member)
    for member in silent:
        manifest = get(member)
        if not not_image(manifest) and wanted.matches(own(manifest)):
            return manifest
    return None
