# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging the layers of an image into the tar of its root file system (OCI image-spec, layer.md).

The layers are applied, bottom to top, to a tree in memory as a runtime applies them to a disk; the tree is then written
in one fixed order. So the output depends on the resulting files alone, not on how they were spread over layers, and a
hard link keeps the file it was made to, whatever happens to the other name later.

Each layer is decompressed once, into a temporary file without a name (it vanishes with the process), for its content is
needed in another order than it comes. Memory grows with the number of entries, about 0.7 KB each, not with their size.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import typing as t
from concurrent import futures
from dataclasses import dataclass

from .._errors import ContentError
from .._oci.digest import hasher, mismatch
from .compression import cores, decompressor
from .tarstream import BLOCK, DIRECTORY, LINK, SYMLINK, Entry, SeekingTarReader, content, header, printable

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."  # other names like this are AUFS's own, and no files of the image
_PIECE = 1 << 20
_CHUNK = 1 << 18
_MAX_STEPS = 4096
_RATIO_FROM = 64 << 20  # below this many bytes a layer's ratio says nothing
_MAX_LINKS = 40  # in a row, as Linux
_IMPLICIT = Entry("", DIRECTORY, 0o755, 0, 0, 0, 0, "", "", "", 0, 0, {}, 0, None)


@dataclass(frozen=True)
class LayerSource:
    """A layer: a name for messages, and what opens its bytes (gzip, zstd or plain), called once, in a thread."""

    name: str
    open: t.Callable[[], t.BinaryIO]
    diff_id: str | None = None
    """The digest that its uncompressed bytes must have; None: not checked."""


@dataclass(frozen=True)
class Limits:
    """What an image may expand to: entries and uncompressed bytes of all layers, bytes per compressed byte of one."""

    max_entries: int = 2_000_000
    max_bytes: int = 256 << 30
    max_ratio: int = 1000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Summary:
    """Entries and bytes of the written tar, and the uncompressed bytes of the layers it was made from."""

    entries: int
    size: int
    size_before: int


class _Budget:
    """Counts what all threads read against the limits, and stops them when one has failed."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self.entries = self.bytes = 0
        self.stopped = False

    def spend(self, layer: str, size: int = 0, number: int = 0) -> None:
        with self._lock:
            self.bytes += size
            self.entries += number
        for count, limit, name in (
            (self.bytes, self._limits.max_bytes, "bytes (max_bytes)"),
            (self.entries, self._limits.max_entries, "entries (max_entries)"),
        ):
            if count > limit:
                raise self.exceeded(f"{layer} takes the image above {limit} {name}")
        if self.stopped:
            raise ContentError(f"{layer} was not read to its end, since another layer failed.")

    def check_ratio(self, layer: str, size: int, packed: int) -> None:
        if size > _RATIO_FROM and size > packed * self._limits.max_ratio:
            raise self.exceeded(f"{layer} expands to more than {self._limits.max_ratio} times its size (max_ratio)")

    @staticmethod
    def exceeded(what: str) -> ContentError:
        return ContentError(f"{what}; raise that limit if you trust this image.", code="LIMIT_EXCEEDED")


class _Counted:
    """A stream, with a count of the bytes read from it."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream, self.count = stream, 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _spool_layer(source: LayerSource, spool: t.BinaryIO, budget: _Budget) -> int:
    """Decompress a layer into its spool, verified; return the number of bytes."""
    digest, size = hasher(source.diff_id) if source.diff_id else None, 0
    with contextlib.closing(source.open()) as stream:
        packed = _Counted(stream)
        plain = decompressor(t.cast(t.BinaryIO, packed), source.name)
        while data := plain.read1(_CHUNK):
            size += len(data)
            budget.spend(source.name, len(data))
            budget.check_ratio(source.name, size, packed.count)
            spool.write(data)
            if digest:
                digest.update(data)
    if digest and digest.hexdigest() != str(source.diff_id).partition(":")[2]:
        found = f"{str(source.diff_id).partition(':')[0]}:{digest.hexdigest()}"
        raise mismatch(f"The content of {source.name}", str(source.diff_id), found)
    return size


def _read_layer(source: LayerSource, spool: t.BinaryIO, budget: _Budget) -> list[Entry]:
    """Decompress a layer into its spool and return its entries."""
    size = _spool_layer(source, spool, budget)
    spool.seek(0)
    reader = SeekingTarReader(spool, source.name, size)
    found = []
    for entry in reader:
        # Holes count as the zeros they become, and extended headers as the entries whose memory they take.
        holes = 0 if entry.segments is None else entry.size - sum(length for dummy, length in entry.segments)
        budget.spend(source.name, holes, 1 + reader.extended // 4096)
        found.append(entry)
    return found


class _File:
    """Anything but a directory. Hard links are one _File under several names."""

    __slots__ = ("entry", "layer", "written")

    def __init__(self, entry: Entry, layer: int) -> None:
        self.entry, self.layer = entry, layer
        self.written: str | None = None
        """The path under which it was written first."""


class _Directory:
    __slots__ = ("children", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.children: dict[str, _Node] = {}


class _Tree:
    """The root file system, as the layers applied so far make it."""

    def __init__(self) -> None:
        self.root = _Directory(_IMPLICIT)
        self._number, self._layer = -1, ""

    def _bad(self, entry: Entry, problem: str) -> ContentError:
        where = f"{self._layer}: entry {printable(entry.path)}"
        return ContentError(f"{where} {problem}; build the layer again.", code="INVALID_LAYER")

    def apply(self, layer: str, found: list[Entry]) -> None:
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
                if parent and name == _OPAQUE:
                    parent.children.clear()
                elif parent:
                    parent.children.pop(name[len(_WHITEOUT) :], None)
        pending = [place for entry in files for place in self._add(entry, before)]
        if pending:  # links to what comes later in the layer, and links to those; not those that were replaced since
            there = {id(node) for dummy, node in self.members()}
            pending = [place for place in pending if id(place[3]) in there]
        for dummy in range(_MAX_LINKS):
            pending = [place for place in reversed(pending) if not self._settle(*place)]
        for entry in (place[0] for place in pending):
            raise self._bad(entry, f"is a hard link to {printable(entry.target)}, which does not exist")

    def _sort(self, found: list[Entry]) -> tuple[list[Entry], list[Entry], dict[str, _Node | None]]:
        """Tell whiteouts from files, and from AUFS's own files, which are none but can be the target of a hard link."""
        whiteouts: list[Entry] = []
        files: list[Entry] = []
        aufs: dict[str, _Node | None] = {}
        for entry in found:
            parts = entry.path.split("/") if _WHITEOUT in entry.path else [""]
            marked = [part for part in parts if part.startswith(_WHITEOUT)]
            if not marked:
                files.append(entry)
            elif any(part.startswith(_AUFS) for part in marked) and marked != [_OPAQUE]:
                aufs[entry.path] = _File(entry, self._number)
            elif marked != parts[-1:]:
                raise self._bad(entry, "lies below the name of a whiteout")
            elif parts[-1][len(_WHITEOUT) :] in ("", ".", ".."):
                raise self._bad(entry, "is a whiteout of no file")
            else:
                whiteouts.append(entry)
        return whiteouts, files, aufs

    def _find(self, entry: Entry, path: str) -> _Node | None:
        parent = self._parent(entry, path)
        return parent.children.get(_base(path)) if parent else None

    def _add(self, entry: Entry, before: dict[str, _Node | None]) -> list[tuple[Entry, _Directory, str, _File]]:
        """Put an entry in its place. Return that place if it is a link whose target is not there yet, else nothing."""
        if not entry.path:
            if entry.kind != DIRECTORY:
                raise self._bad(entry, "would make the root something else than a directory")
            self.root.entry = entry
            return []
        node: _Node = _File(entry, self._number)
        parent, name = t.cast(_Directory, self._parent(entry, entry.path, make=True)), _base(entry.path)
        if entry.kind == LINK:
            target = self._find(entry, entry.target) or before.get(entry.target)
            if isinstance(target, _Directory):
                raise self._bad(entry, f"is a hard link to the directory {printable(entry.target)}")
            node = target or node
        elif entry.kind == DIRECTORY:
            old = parent.children.get(name)
            if isinstance(old, _Directory):
                old.entry = entry
                return []
            node = _Directory(entry)
        parent.children[name] = node
        return [(entry, parent, name, node)] if isinstance(node, _File) and node.entry.kind == LINK else []

    def _settle(self, entry: Entry, parent: _Directory, name: str, node: _File) -> bool:
        """Put the target of a link in its place, unless that was taken since. Return False while there is none."""
        target = self._find(entry, node.entry.target)
        if isinstance(target, _File) and target.entry.kind != LINK and parent.children.get(name) is node:
            parent.children[name] = target
        return parent.children.get(name) is not node

    def _parent(
        self, entry: Entry, path: str, make: bool = False, replaced: t.Container[str] = ()
    ) -> _Directory | None:
        """Return the directory that holds ``path``, through symbolic links, or None where there is none.

        ``make``: missing ones are made. ``replaced``: paths where a symbolic link no longer counts.
        """
        stack: list[tuple[str, _Directory | None]] = [("", self.root)]
        todo, hops = path.split("/")[-2::-1], 0
        while todo:
            name = todo.pop()
            if name == "..":
                del stack[max(1, len(stack) - 1) :]
            elif name not in ("", "."):
                above = stack[-1][1]
                child = above.children.get(name) if above else None
                if isinstance(child, _File) and child.entry.kind == SYMLINK:
                    hops += 1
                    if hops > _MAX_LINKS or len(todo) > _MAX_STEPS:
                        if make:
                            raise self._bad(entry, "lies below a loop of symbolic links")
                        return None
                    if replaced and "/".join([*(part for part, dummy in stack[1:]), name]) in replaced:
                        return None
                    if child.entry.target.startswith("/"):
                        del stack[1:]
                    todo.extend(reversed(child.entry.target.split("/")))
                else:
                    stack.append((name, child if isinstance(child, _Directory) else None))
        for at, (name, directory) in enumerate(stack):
            if directory is None:
                if not make:
                    return None
                above = t.cast(_Directory, stack[at - 1][1])
                child = above.children.get(name)
                if isinstance(child, _File) and child.layer == self._number:
                    raise self._bad(entry, f"lies below {printable(child.entry.path)}, a file of the same layer")
                directory = above.children[name] = _Directory(_IMPLICIT)
                stack[at] = (name, directory)
        return stack[-1][1]

    def members(self) -> t.Iterator[tuple[str, _Node]]:
        """Yield paths and what is there: parents before children, subtrees in one piece, names sorted.

        Tar programs that set the time of a directory when they leave it (GNU tar) need the subtrees whole.
        """
        todo: list[tuple[str, _Node]] = [("", self.root)]
        while todo:
            path, node = todo.pop()
            if node is not self.root or node.entry is not _IMPLICIT:
                yield path, node
            if isinstance(node, _Directory):
                below = f"{path}/" if path else ""
                todo += [(below + name, node.children[name]) for name in sorted(node.children, reverse=True)]


_Node = t.Union[_Directory, _File]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _write(tree: _Tree, spools: t.Sequence[t.BinaryIO], out: t.BinaryIO) -> tuple[int, int]:
    """Write the tree as a tar; return the number of entries and of bytes."""
    buffer, size, count = bytearray(), 0, 0
    for path, node in tree.members():
        count += 1
        link = None
        if isinstance(node, _File):
            link, node.written = node.written, node.written or path
        buffer += header(node.entry, path, link)
        if isinstance(node, _File) and node.entry.size and link is None:
            spool = spools[node.layer]
            spool.seek(node.entry.offset)
            for piece in content(node.entry, spool.read):
                buffer += piece
                if len(buffer) >= _PIECE:
                    size += out.write(buffer)
                    buffer = bytearray()
            buffer += bytes(-node.entry.size % BLOCK)
    buffer += bytes(2 * BLOCK)
    return count, size + out.write(buffer)


def flatten(
    layers: t.Sequence[LayerSource],
    out: t.BinaryIO,
    limits: Limits = DEFAULT_LIMITS,
    tmp_dir: str | None = None,
    jobs: int | None = None,
) -> Summary:
    """Write the root file system that layers (bottom to top) make to ``out``, as one uncompressed tar.

    Needs as much space in ``tmp_dir`` (the system's temporary folder by default) as the layers' uncompressed size.
    ``jobs`` layers are read at once, by default one for each core.
    ContentError, which names the layer and entry, for a layer that does not parse, would write outside the root, links
    to nothing, does not have its ``diff_id`` or goes above the limits. ``out`` is written to only when all layers are
    read, and stays open.
    """
    tree, budget = _Tree(), _Budget(limits)
    with contextlib.ExitStack() as stack:
        spools = [stack.enter_context(tempfile.TemporaryFile(dir=tmp_dir)) for dummy in layers]
        pool = futures.ThreadPoolExecutor(jobs or cores())
        try:
            readings = [pool.submit(_read_layer, *job, budget) for job in zip(layers, spools)]
            for source, reading in zip(layers, readings):
                tree.apply(source.name, reading.result())
        finally:
            budget.stopped = True
            pool.shutdown(cancel_futures=True)
        entries, size = _write(tree, t.cast("list[t.BinaryIO]", spools), out)
    return Summary(entries, size, budget.bytes)
