# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Layers in the plainest way: a dict from path to file, searched from end to end for every question.

Slow, and written from the image specification alone, to be compared with the code that ships.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, LINK, SYMLINK, Item


class Invalid(Exception):
    """The layers make no root file system."""


@dataclass(eq=False)
class Inode:
    """A file; hard links are one object under several paths."""

    item: Item
    layer: int


Root = dict[tuple[str, ...], Inode]


def split(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def resolve(
    root: Root, path: tuple[str, ...], stop: frozenset[tuple[str, ...]] = frozenset(), hops: int = 0
) -> tuple[str, ...] | None:
    """Follow all symbolic links in a path, which cannot leave the root; None in a loop, or if one is in ``stop``."""
    done: tuple[str, ...] = ()
    for at, part in enumerate(path):
        if part == "..":
            done = done[:-1]
            continue
        here = (*done, part)
        if here in root and root[here].item.kind == SYMLINK:
            if here in stop or hops == 40:
                return None
            target = root[here].item.target
            start = () if target.startswith("/") else done
            return resolve(root, (*start, *split(target), *path[at + 1 :]), stop, hops + 1)
        done = here
    return done


def remove(root: Root, path: tuple[str, ...], itself: bool = True) -> None:
    for other in list(root):
        if other[: len(path)] == path and (itself or other != path):
            del root[other]


def real_path(root: Root, path: tuple[str, ...]) -> tuple[str, ...] | None:
    parent = resolve(root, path[:-1])
    return None if parent is None else (*parent, path[-1])


def apply(root: Root, items: list[Item], layer: int) -> None:
    lower = dict(root)
    own = frozenset(split(item.name) for item in items if item.kind != SYMLINK and ".wh." not in item.name)
    for item in items:
        *above, name = split(item.name) or ("",)
        if name.startswith(".wh."):
            parent = resolve(root, tuple(above), own)
            if parent is None:
                continue
            if name == ".wh..wh..opq":
                if not parent or (parent in root and root[parent].item.kind == DIRECTORY):
                    remove(root, parent, itself=False)
            elif all(p not in root or root[p].item.kind == DIRECTORY for p in prefixes(parent)):
                remove(root, (*parent, name[4:]))
    links: list[tuple[tuple[str, ...], Inode]] = []
    for item in items:
        path = split(item.name)
        if path and path[-1].startswith(".wh."):
            continue
        inode = Inode(item, layer)
        if not path:
            root[()] = inode
            continue
        path = real_path(root, path)
        if path is None:
            raise Invalid("loop")
        for parent in prefixes(path[:-1]):
            if parent not in root or root[parent].item.kind != DIRECTORY:
                if parent in root and root[parent].layer == layer:
                    raise Invalid("below a file of the same layer")
                remove(root, parent)
                root[parent] = Inode(Item("", DIRECTORY, mode=0o755), -1)
        if item.kind == LINK:
            found = root.get(real_path(root, split(item.target))) or lower.get(real_path(lower, split(item.target)))
            if found and found.item.kind == DIRECTORY:
                raise Invalid("link to a directory")
            inode = found or inode
        if item.kind != DIRECTORY or path not in root or root[path].item.kind != DIRECTORY:
            remove(root, path)
        root[path] = inode
        if inode.item.kind == LINK:
            links.append((path, inode))
    for dummy in range(len(links) + 1):
        for path, inode in links:
            if root.get(path) is inode:
                found = root.get(real_path(root, split(inode.item.target)))
                if found and found.item.kind not in (DIRECTORY, LINK):
                    root[path] = found
    if any(inode.item.kind == LINK for inode in root.values()):
        raise Invalid("link to nothing")


def prefixes(path: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [path[:size] for size in range(1, len(path) + 1)]


def merge(layers: list[list[Item]]) -> Root:
    """Return the root file system of layers, bottom to top."""
    root: Root = {}
    for number, items in enumerate(layers):
        apply(root, items, number)
    return root
