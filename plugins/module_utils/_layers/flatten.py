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
import re
import typing as t
from dataclasses import dataclass

from .._errors import ContentError
from .._oci.digest import hasher, mismatch
from .._threads import pool
from .compression import Writer, cores, decompressed
from .limits import DEFAULT_LIMITS, Budget, Limits
from .spool import PartReader, Spool
from .streams import ChunkStream, Digester, ahead, as_stream
from .tarstream import BLOCK, SeekingTarReader, TarEntry, TarReader, content, header
from .tree import FileNode, FileTree

_PADDING = bytes(BLOCK)
_HIVES = re.compile(r"Hives/[^/]*_Delta", re.IGNORECASE)


@dataclass(frozen=True)
class LayerSource:
    """A layer: a name for messages, and what gives its bytes (gzip, zstd or plain), called once, in a thread."""

    name: str
    open: t.Callable[[], t.Iterable[bytes]]
    diff_id: str | None = None
    """The digest that its uncompressed bytes must have; None: not checked."""


@dataclass(frozen=True)
class Summary:
    """Entries and bytes of the written tar, and the uncompressed bytes of the layers it was made from."""

    entries: int
    size: int
    size_before: int


def plain(source: LayerSource, budget: Budget) -> t.Iterator[bytes]:
    """Yield the uncompressed bytes of a layer; the end is reached only if they have the right digest."""
    size = 0
    with ahead(source.open()) as coming, Digester(hasher(source.diff_id or "sha256:")) as digest:
        packed = ChunkStream(coming)
        for data in decompressed(t.cast(t.BinaryIO, packed), source.name):
            size += len(data)
            budget.spend(source.name, len(data))
            budget.check_ratio(source.name, size, packed.count)
            if source.diff_id:
                digest.update(data)
            yield data
        if source.diff_id:
            found = f"{source.diff_id.partition(':')[0]}:{digest.hexdigest()}"
            if found != source.diff_id:
                raise mismatch(f"{source.name}, uncompressed,", source.diff_id, found)


def counted(reader: TarReader, name: str, budget: Budget) -> t.Iterator[TarEntry]:
    """Yield the entries of a layer, counted against the limits."""
    for entry in reader:
        # Holes count as the zeros they become, and extended headers as the entries whose memory they take.
        holes = 0 if entry.segments is None else entry.size - sum(length for dummy, length in entry.segments)
        budget.spend(name, holes, 1 + reader.extended // 4096)
        yield entry


def _spool_layer(source: LayerSource, spool: Spool, budget: Budget) -> list[TarEntry]:
    """Decompress a layer into its spool and return its entries."""
    for data in plain(source, budget):
        spool.write(data)
    with spool.reader() as file:
        return list(counted(SeekingTarReader(file, source.name, spool.size), source.name, budget))


def _read_headers(source: LayerSource, budget: Budget) -> list[TarEntry]:
    """Read a layer once and return its entries, whose content is lost."""
    stream = as_stream(plain(source, budget))
    return list(counted(TarReader(stream, source.name), source.name, budget))


def _apply(
    layers: t.Sequence[LayerSource],
    read: t.Callable[[int, Budget], list[TarEntry]],
    limits: Limits,
    jobs: int | None,
) -> tuple[FileTree, Budget]:
    """Make the tree of layers, ``jobs`` of which are read at once by their number."""
    tree, budget = FileTree(), Budget(limits)
    readers = pool(jobs or cores())
    try:
        readings = [readers.submit(read, number, budget) for number in range(len(layers))]
        for source, reading in zip(layers, readings):
            found = reading.result()
            if len(layers) > 1:
                _refuse_hives(source, found)
            tree.apply(source.name, found)
    finally:
        budget.stopped = True
        readers.shutdown(cancel_futures=True)
    return tree, budget


def _refuse_hives(source: LayerSource, found: t.Iterable[TarEntry]) -> None:
    """Windows keeps the registry of each layer as what differs from that below; to merge these takes Windows itself."""
    hive = next((entry.path for entry in found if _HIVES.fullmatch(entry.path)), None)
    if hive:
        text = (
            f"{source.name} changes the registry of Windows ({hive}), and such layers can be merged by Windows alone."
        )
        raise ContentError(text, "WINDOWS_LAYER")


def read_tree(layers: t.Sequence[LayerSource], limits: Limits = DEFAULT_LIMITS, jobs: int | None = None) -> FileTree:
    """Return the files that layers (bottom to top) make, without their content. Raises ContentError, as flatten."""
    return _apply(layers, lambda number, budget: _read_headers(layers[number], budget), limits, jobs)[0]


def _write(tree: FileTree, spools: t.Sequence[Spool], out: Writer) -> tuple[int, int]:
    """Write the tree as a tar; return the number of entries and of bytes."""
    size = count = 0
    readers = [PartReader(spool) for spool in spools]
    for path, node in tree.members():
        count += 1
        link = None
        if isinstance(node, FileNode):
            link, node.written = node.written, node.written or path
        size += out.write(header(node.entry, path, link))
        if isinstance(node, FileNode) and node.entry.size and link is None:
            for piece in content(node.entry, readers[node.layer].at(node.entry.offset)):
                size += out.write(piece)
            size += out.write(_PADDING[: -node.entry.size % BLOCK])
    return count, size + out.write(bytes(2 * BLOCK))


def flatten(
    layers: t.Sequence[LayerSource],
    out: Writer,
    limits: Limits = DEFAULT_LIMITS,
    tmp_dir: str | None = None,
    jobs: int | None = None,
    purpose: str = "to unpack an image",
) -> Summary:
    """Write the root file system that layers (bottom to top) make to ``out``, as one uncompressed tar.

    Needs as much space in ``tmp_dir`` (the system's temporary folder by default) as the layers' uncompressed size;
    ``purpose`` goes into the message when it is full. ``jobs`` layers are read at once, by default one for each core.
    ContentError, which names the layer and entry, for a layer that does not parse, would write outside the root, links
    to nothing, does not have its ``diff_id``, goes above the limits, or needs Windows to be merged; OCIError
    (NO_SPACE). ``out`` is written to only when all layers are read, and stays open.
    """
    with contextlib.ExitStack() as stack:
        spools = [stack.enter_context(Spool(purpose, tmp_dir)) for dummy in layers]

        def read(number: int, budget: Budget) -> list[TarEntry]:
            return _spool_layer(layers[number], spools[number], budget)

        tree, budget = _apply(layers, read, limits, jobs)
        entries, size = _write(tree, spools, out)
    return Summary(entries, size, budget.bytes)
