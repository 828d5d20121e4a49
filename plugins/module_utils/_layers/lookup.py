# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding one file in the layers of an image, from the top, without those below (OCI image-spec, layer.md).

A layer holds what it changes, with the folders above it, so that the topmost layer which says something of a path
decides. That is so only as long as the folders are what their names say: an entry whose folders its layer leaves out
may go through a symbolic link of a lower layer, to another place. Where such an entry could matter, the next layer is
read too; when all are, the whole tree is made of them, which settles everything (see tree.py).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .tarstream import DIRECTORY, LINK, SYMLINK, TarEntry
from .tree import AUFS, MAX_LINKS, OPAQUE, WHITEOUT, FileNode, FileTree


class Hit(t.NamedTuple):
    """What is at a path: its entry, and the number of the layer that it is from (0 is the bottom).

    An entry of None means that nothing is there; a layer of None, that a folder is in no layer by itself.
    """

    entry: TarEntry | None
    layer: int | None


ABSENT = Hit(None, None)


class _Place(t.NamedTuple):
    """An entry, and its position in its layer."""

    at: int
    entry: TarEntry


@dataclass
class _Layer:
    """The entries of one layer by their paths."""

    number: int
    entries: list[TarEntry]
    files: dict[str, _Place] = field(default_factory=dict)
    whiteouts: dict[str, _Place] = field(default_factory=dict)
    opaque: dict[str, _Place] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    implied: set[str] = field(default_factory=set)
    """The folders above all files, be they in the layer themselves or not."""
    is_odd: bool = False
    """Does something in it take the place of something of another kind in it, or lie where nothing can?"""

    def __post_init__(self) -> None:
        for at, entry in enumerate(self.entries):
            self._sort(_Place(at, entry))

    def _sort(self, place: _Place) -> None:
        parts = place.entry.path.split("/")
        marked = [part for part in parts if part.startswith(WHITEOUT)]
        if not marked:
            self._put(place)
        elif marked == [OPAQUE] and parts[-1] == OPAQUE:
            self.opaque["/".join(parts[:-1])] = place
        elif any(part.startswith(AUFS) for part in marked):
            pass
        elif marked == parts[-1:]:
            self.whiteouts["/".join([*parts[:-1], parts[-1][len(WHITEOUT) :]])] = place
        else:
            self.is_odd = True

    def _put(self, place: _Place) -> None:
        path = place.entry.path
        above = _parent(path)
        while above and above not in self.implied:
            self.implied.add(above)
            above = _parent(above)
        old = self.files.get(path)
        if old:
            self.twice.add(path)
            self.is_odd |= (old.entry.kind == DIRECTORY) != (place.entry.kind == DIRECTORY)
            if old.entry.kind == place.entry.kind == DIRECTORY:
                place = _Place(old.at, place.entry)
        self.files[path] = place

    def knows_folder(self, path: str, before: int) -> bool:
        """Are a folder and all above it in this layer, before a position in it?"""
        while path:
            found = self.files.get(path)
            if not found or found.entry.kind != DIRECTORY or found.at >= before:
                return False
            path = _parent(path)
        return True

    def at(self, entry: TarEntry) -> int:
        """Return the position of an entry, of a folder the first; whiteouts are applied before, so theirs is none."""
        place = self.files.get(entry.path)
        return place.at if place else len(self.entries)

    def hides(self, path: str) -> _Place | None:
        """Return what hides from view what lower layers have at a path, if anything does."""
        above = path
        while above:
            found = self.whiteouts.get(above)
            above = _parent(above)
            found = found or self.opaque.get(above)
            file = self.files.get(above)
            if not found and file and above and file.entry.kind != DIRECTORY:
                found = file
            if found:
                return found
        return None


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[len(WHITEOUT) :] if name.startswith(WHITEOUT) else name


class Lookup:
    """Looks for one path, in layers that are added from the top: ``height`` of them there are."""

    def __init__(self, path: str, height: int) -> None:
        self._path, self._height = path, height
        self._layers: list[_Layer] = []

    def add(self, entries: list[TarEntry], names: t.Sequence[str]) -> Hit | None:
        """Add the entries of the next lower layer; return what is at the path, as soon as that is known.

        ``names`` name all layers, bottom to top, in errors. Raises ContentError (INVALID_LAYER) where a tree cannot be
        made of them.
        """
        self._layers.append(_Layer(self._height - len(self._layers) - 1, entries))
        found = _Walk(self._layers, self._path).run()
        return self._in_tree(names) if found is None and len(self._layers) == self._height else found

    def _in_tree(self, names: t.Sequence[str]) -> Hit:
        tree = FileTree()
        for layer in reversed(self._layers):
            tree.apply(names[layer.number], layer.entries)
        node = tree.find(self._path)
        if node is None:
            return ABSENT
        if isinstance(node, FileNode):
            return Hit(node.entry, node.layer)
        entry = node.entry
        return Hit(entry, next((one.number for one in self._layers if any(e is entry for e in one.entries)), None))


class _Walk:
    """One walk along a path through the layers that are known, the topmost first."""

    def __init__(self, layers: list[_Layer], path: str) -> None:
        self._layers = layers
        self._todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        self._names = set(self._todo)
        self._ahead: str | None = None
        """The path of an entry that was found with the whole rest of the way."""
        self._known = {"": -1}
        """Folders that were reached, each with the number of the layer that it is known from."""
        self._hops = 0
        self._folders = [""]
        """Those on the way, the root first."""

    def run(self) -> Hit | None:
        """Return what is at the path, None where these layers cannot tell."""
        if not self._todo or any(layer.is_odd for layer in self._layers):
            return None
        while self._todo:
            name = self._todo.pop()
            if name == "..":
                del self._folders[max(1, len(self._folders) - 1) :]
                continue
            path = f"{self._folders[-1]}/{name}".lstrip("/")
            layer, place, hidden = self._look(path)
            if layer is None or place is None:
                return self._look_ahead(path)
            if hidden:
                return ABSENT if self._is_sure(absent=True) else None
            if not self._todo:
                return self._settle(layer, place)
            kind = place.entry.kind
            if kind == DIRECTORY:
                self._folders.append(path)
                self._known[path] = layer.number
            elif kind == SYMLINK and self._hops < MAX_LINKS:
                self._turn(place.entry.target)
            else:
                return ABSENT if kind not in (LINK, SYMLINK) and self._is_sure(absent=True) else None
        return None

    def _turn(self, target: str) -> None:
        """Go on along a symbolic link."""
        self._hops += 1
        names = [name for name in reversed(target.split("/")) if name not in ("", ".")]
        self._names.update(names)
        self._todo += names
        if target.startswith("/"):
            del self._folders[1:]

    def _look(self, path: str) -> tuple[_Layer | None, _Place | None, bool]:
        """Return the topmost layer that says something of a path, and what: an entry, or what hides those below.

        A folder that is only implied may be what lower layers say; where these have none, it is made.
        """
        is_implied = False
        for layer in self._layers:
            is_implied |= path in layer.implied
            found, hidden = layer.files.get(path), layer.hides(path)
            place = found or hidden
            if place:
                is_made = is_implied and (not found or found.entry.kind not in (DIRECTORY, SYMLINK))
                return (None, None, False) if is_made else (layer, place, not found)
        return None, None, False

    def _is_located(self, layer: _Layer, entry: TarEntry) -> bool:
        """Does an entry lie where its path says, and not where a link of a lower layer leads?"""
        folder = _parent(entry.path)
        return self._known.get(folder, layer.number) < layer.number or layer.knows_folder(folder, layer.at(entry))

    def _look_ahead(self, path: str) -> Hit | None:
        """Look for the whole rest of the path, where no layer so far says what the next name is.

        Whatever that is, the entry that goes along the same names ends where this walk does, unless something changed
        on the way since.
        """
        rest = list(reversed(self._todo))
        full = "/".join([path, *rest])
        if not rest or ".." in rest or rest[-1] in full.split("/")[:-1]:
            return None
        for layer in self._layers:
            place = layer.files.get(full)
            if place:
                self._ahead = full
                return self._settle(layer, place) if self._is_untouched(layer, place) else None
            if layer.whiteouts or layer.opaque:
                return None
        return None

    def _is_untouched(self, layer: _Layer, place: _Place) -> bool:
        if self._known[self._folders[-1]] >= layer.number:
            return False
        later = [layer.entries[place.at + 1 :], *(one.entries for one in self._layers if one.number > layer.number)]
        return not any(_name(entry.path) in self._names for entries in later for entry in entries)

    def _settle(self, layer: _Layer, place: _Place) -> Hit | None:
        entry = place.entry
        if entry.kind == LINK:
            target = layer.files.get(entry.target)
            if not target or target.entry.kind in (LINK, DIRECTORY) or entry.target in layer.twice:
                return None
            if target.at > place.at:  # then it may be to a file of a lower layer
                return None
            self._names.add(_name(entry.target))
            if not layer.knows_folder(_parent(entry.target), target.at):
                return None
            entry = target.entry
        return Hit(entry, layer.number) if self._is_sure() else None

    def _is_sure(self, absent: bool = False) -> bool:
        """Is there no entry that may have gone, through a link of a lower layer, to something on this way?

        Where nothing is there, also none that may have made a folder there.
        """
        for layer in self._layers:
            for entry in layer.entries:
                matters = absent or entry.path.endswith(OPAQUE) or _name(entry.path) in self._names
                if matters and entry.path != self._ahead and not self._is_located(layer, entry):
                    return False
        return True
