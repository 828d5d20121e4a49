# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that layers make, as a tree in memory (OCI image-spec, layer.md, "Applying Changesets").

About 0.7 KB an entry; the content of files stays where it is.
"""

from __future__ import annotations

import typing as t

from .._errors import ContentError, InvalidInput
from .tarstream import DIRECTORY, LINK, SYMLINK, TarEntry, printable

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
AUFS = ".wh..wh."  # other names like this are AUFS's own, and no files of the image
_MAX_STEPS = 4096
MAX_LINKS = 40  # in a row, as Linux
IMPLICIT = TarEntry(kind=DIRECTORY, mode=0o755)


class FileNode:
    """Anything but a folder. Hard links are one FileNode under several names; ``layer`` is its number, from 0."""

    __slots__ = ("entry", "layer", "written")

    def __init__(self, entry: TarEntry, layer: int) -> None:
        self.entry, self.layer = entry, layer
        self.written: str | None = None
        """The path under which it was written first."""


class FolderNode:
    """A folder and what is in it, by name; its entry is IMPLICIT where no layer says what it is like."""

    __slots__ = ("children", "entry")

    def __init__(self, entry: TarEntry) -> None:
        self.entry = entry
        self.children: dict[str, Node] = {}


class Slot(t.NamedTuple):
    """Where a new file goes: its path without links, and the folders above it, top down, with their entries; None for
    one that is to be made.
    """

    path: str
    folders: tuple[tuple[str, TarEntry | None], ...]


class _Unsettled(t.NamedTuple):
    """A hard link whose target is not there yet: its entry, and the folder and name where it stands."""

    entry: TarEntry
    folder: FolderNode
    name: str
    node: FileNode


class FileTree:
    """The root file system, as the layers applied so far make it.

    ContentError (INVALID_LAYER), which names layer and entry, for what cannot be applied.
    """

    def __init__(self) -> None:
        self.root = FolderNode(IMPLICIT)
        self._number, self._layer = -1, ""

    def _bad(self, entry: TarEntry, problem: str) -> ContentError:
        where = f"{self._layer}: entry {printable(entry.path)}"
        return ContentError(f"{where} {problem}; build the layer again.", code="INVALID_LAYER")

    def apply(self, layer: str, found: list[TarEntry]) -> None:
        """Apply the entries of the next layer: first its whiteouts, wherever they stand in it, then its files."""
        self._number += 1
        self._layer = layer
        whiteouts, files, aufs = self._sort(found)
        # A link to a file of a lower layer is good although this layer also removes or replaces that file.
        before = {**{e.target: self._find(e, e.target) for e in files if e.kind == LINK}, **aufs}
        if whiteouts:
            replaced = {e.path for e in files if e.kind != SYMLINK}
            for entry in whiteouts:
                parent, name = self._parent(entry, entry.path, replaced=replaced), _base(entry.path)
                if parent and name == OPAQUE:
                    parent.children.clear()
                elif parent:
                    parent.children.pop(name[len(WHITEOUT) :], None)
        self._settle_all([link for entry in files for link in self._add(entry, before)])

    def _settle_all(self, links: list[_Unsettled]) -> None:
        """Settle links to what comes later in the layer, and links to those; not those that were replaced since."""
        if not links:
            return
        there = {id(node) for dummy, node in self.members()}
        links = [link for link in links if id(link.node) in there]
        for dummy in range(MAX_LINKS):
            links = [link for link in reversed(links) if not self._settle(link)]
        for link in links:
            target = printable(link.entry.target)
            raise self._bad(link.entry, f"is a hard link to {target}, which does not exist")

    def _sort(self, found: list[TarEntry]) -> tuple[list[TarEntry], list[TarEntry], dict[str, Node | None]]:
        """Tell whiteouts from files, and from AUFS's own files, which are none but can be the target of a hard link."""
        whiteouts: list[TarEntry] = []
        files: list[TarEntry] = []
        aufs: dict[str, Node | None] = {}
        for entry in found:
            parts = entry.path.split("/") if WHITEOUT in entry.path else [""]
            marked = [part for part in parts if part.startswith(WHITEOUT)]
            if not marked:
                files.append(entry)
            elif any(part.startswith(AUFS) for part in marked) and marked != [OPAQUE]:
                aufs[entry.path] = FileNode(entry, self._number)
            elif marked != parts[-1:]:
                raise self._bad(entry, "lies below the name of a whiteout")
            elif parts[-1][len(WHITEOUT) :] in ("", ".", ".."):
                raise self._bad(entry, "is a whiteout of no file")
            else:
                whiteouts.append(entry)
        return whiteouts, files, aufs

    def _find(self, entry: TarEntry, path: str) -> Node | None:
        parent = self._parent(entry, path)
        return parent.children.get(_base(path)) if parent else None

    def _add(self, entry: TarEntry, before: dict[str, Node | None]) -> list[_Unsettled]:
        """Put an entry where it belongs. Return it if it is a link whose target is not there yet, else nothing."""
        if not entry.path:
            if entry.kind != DIRECTORY:
                raise self._bad(entry, "would make the root something else than a directory")
            self.root.entry = entry
            return []
        node: Node = FileNode(entry, self._number)
        parent, name = t.cast(FolderNode, self._parent(entry, entry.path, make=True)), _base(entry.path)
        if entry.kind == LINK:
            target = self._find(entry, entry.target) or before.get(entry.target)
            if isinstance(target, FolderNode):
                raise self._bad(entry, f"is a hard link to the directory {printable(entry.target)}")
            node = target or node
        elif entry.kind == DIRECTORY:
            old = parent.children.get(name)
            if isinstance(old, FolderNode):
                old.entry = entry
                return []
            node = FolderNode(entry)
        parent.children[name] = node
        is_open = isinstance(node, FileNode) and node.entry.kind == LINK
        return [_Unsettled(entry, parent, name, t.cast(FileNode, node))] if is_open else []

    def _settle(self, link: _Unsettled) -> bool:
        """Put the target of a link where it stands, unless that was taken since. Return False while there is none."""
        siblings, name = link.folder.children, link.name
        target = self._find(link.entry, link.node.entry.target)
        if isinstance(target, FileNode) and target.entry.kind != LINK and siblings.get(name) is link.node:
            siblings[name] = target
        return siblings.get(name) is not link.node

    def _follow(self, path: str, replaced: t.Container[str] = ()) -> list[tuple[str, FolderNode | None]] | None:
        """Return the folders above ``path`` by name, the root first, symbolic links followed; None for a loop.

        A folder that is not there, or not one, is None. ``replaced``: paths where a symbolic link no longer counts; one
        that leads there gives None too.
        """
        stack: list[tuple[str, FolderNode | None]] = [("", self.root)]
        todo, hops = path.split("/")[-2::-1], 0
        while todo:
            name = todo.pop()
            if name == "..":
                del stack[max(1, len(stack) - 1) :]
            elif name not in ("", "."):
                above = stack[-1][1]
                child = above.children.get(name) if above else None
                if isinstance(child, FileNode) and child.entry.kind == SYMLINK:
                    hops += 1
                    if hops > MAX_LINKS or len(todo) > _MAX_STEPS:
                        return None
                    if replaced and _join(stack, name) in replaced:
                        return None
                    if child.entry.target.startswith("/"):
                        del stack[1:]
                    todo.extend(reversed(child.entry.target.split("/")))
                else:
                    stack.append((name, child if isinstance(child, FolderNode) else None))
        return stack

    def _parent(
        self, entry: TarEntry, path: str, make: bool = False, replaced: t.Container[str] = ()
    ) -> FolderNode | None:
        """Return the folder that holds ``path``, through symbolic links, or None where there is none.

        ``make``: missing ones are made. ``replaced``: see _follow.
        """
        stack = self._follow(path, replaced)
        if stack is None:
            if make:
                raise self._bad(entry, "lies below a loop of symbolic links")
            return None
        for at, (name, folder) in enumerate(stack):
            if folder is None:
                if not make:
                    return None
                above = t.cast(FolderNode, stack[at - 1][1])
                child = above.children.get(name)
                if isinstance(child, FileNode) and child.layer == self._number:
                    raise self._bad(entry, f"lies below {printable(child.entry.path)}, a file of the same layer")
                folder = above.children[name] = FolderNode(IMPLICIT)
                stack[at] = (name, folder)
        return stack[-1][1]

    def find(self, path: str) -> Node | None:
        """Return what is at a path, links in its folders followed, and none at its end; None where nothing is."""
        names = [name for name in path.split("/") if name not in ("", ".")]
        if not names or names[-1] == "..":
            stack = self._follow("/".join([*names, ""]))
            return stack[-1][1] if stack else None
        stack = self._follow("/".join(names))
        above = stack[-1][1] if stack else None
        return above.children.get(names[-1]) if above else None

    def slot(self, path: str) -> Slot:
        """Return where a new file at ``path`` goes, links in its folders followed. Raises InvalidInput."""
        stack = self._follow(path)
        if stack is None:
            raise InvalidInput(f"{printable('/' + path)} lies below a loop of symbolic links in the image.")
        names = [name for name, dummy in stack[1:]]
        folders: list[tuple[str, TarEntry | None]] = []
        above: FolderNode | None = self.root
        for end, (name, folder) in enumerate(stack[1:], 1):
            if folder is None and above and name in above.children:
                file = printable("/" + "/".join(names[:end]))
                raise InvalidInput(f"{printable('/' + path)} cannot be made: {file} is no folder in the image.")
            folders.append(("/".join(names[:end]), folder.entry if folder else None))
            above = folder
        inside = self._follow(f"{path}/x")
        if inside is None or inside[-1][1]:
            raise InvalidInput(
                f"{printable('/' + path)} is a folder in the image, or a link to one; name a file in it."
            )
        return Slot("/".join([*names, _base(path)]), tuple(folders))

    def members(self) -> t.Iterator[tuple[str, Node]]:
        """Yield paths and what is there: parents before children, subtrees in one piece, names sorted.

        Tar programs that set the time of a directory when they leave it (GNU tar) need the subtrees whole.
        """
        todo: list[tuple[str, Node]] = [("", self.root)]
        while todo:
            path, node = todo.pop()
            if node is not self.root or node.entry is not IMPLICIT:
                yield path, node
            if isinstance(node, FolderNode):
                below = f"{path}/" if path else ""
                todo += [(below + name, node.children[name]) for name in sorted(node.children, reverse=True)]


Node = t.Union[FolderNode, FileNode]


def _join(stack: t.Iterable[tuple[str, FolderNode | None]], name: str) -> str:
    return "/".join([*(part for part, dummy in stack), name]).lstrip("/")


def _base(path: str) -> str:
    return path.rpartition("/")[2]
