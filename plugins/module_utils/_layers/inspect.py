# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a layer once, for all that can be wrong with it (OCI image-spec, layer.md)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import ContentError, NotFound
from .._oci.manifest import Descriptor
from .._oci.mediatype import compression_in
from .compression import SNIFFED, compression_of, decompressed
from .limits import DEFAULT_LIMITS, Budget, Limits
from .streams import ChunkStream, Digester, ahead, as_stream, pieces_of
from .tarstream import TarReader

FAULTS = (ContentError, NotFound)


@dataclass(frozen=True)
class LayerFacts:
    """What reading a layer told.

    ``broken``: why its bytes are not those that were asked for; all else is unknown then. ``problems``: of its content.
    ``diff_id``: the digest of its uncompressed bytes, None where they cannot be read to their end.
    """

    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    diff_id: str | None = None
    compression: str | None = None


def blob_problems(chunks: t.Iterable[bytes]) -> list[str]:
    """Read a blob whose chunks verify themselves."""
    try:
        for dummy in chunks:
            pass
    except FAULTS as exc:
        return [str(exc)]
    return []


def read_layer(chunks: t.Iterable[bytes], what: str, limits: Limits = DEFAULT_LIMITS) -> LayerFacts:
    """Read a layer once: its bytes (which verify themselves), its compression, its tar, its diff ID.

    Fetching and both hashes run in threads of their own; memory stays constant. What is above ``limits`` is a problem.
    Raises MissingLibrary for zstd, and what ``chunks`` raises where its content is not at fault.
    """
    broken: list[str] = []
    start = bytearray()
    with ahead(_noted(chunks, broken)) as coming, Digester() as digest:
        raw = ChunkStream(coming, lambda chunk: start.extend(chunk[: SNIFFED - len(start)]))
        problems, diff_id = _read_content(raw, what, Budget(limits), digest)
        for dummy in coming:  # what a broken compression left
            pass
    if broken:  # all else follows from this
        return LayerFacts(tuple(broken))
    return LayerFacts((), tuple(problems), diff_id, compression_of(bytes(start)))


def layer_problems(item: Descriptor, facts: LayerFacts, diff_id: t.Any, what: str, config: str) -> list[str]:
    """Compare what a layer is with what its descriptor says of it, and the config with this digest."""
    found = list(facts.problems)
    said = compression_in(item.media_type)
    if facts.compression not in (None, said):
        found.append(f"{what} has the type {item.media_type}, but its compression is {facts.compression}.")
    if facts.diff_id and isinstance(diff_id, str) and diff_id.startswith("sha256:") and facts.diff_id != diff_id:
        text = f"{what} unpacks to {facts.diff_id}, but the config {config} says {diff_id} (rootfs.diff_ids)."
        found.append(text)
    return found


def _noted(chunks: t.Iterable[bytes], broken: list[str]) -> t.Iterator[bytes]:
    """Yield chunks up to where they turn out to be wrong, which is noted."""
    try:
        yield from chunks
    except FAULTS as exc:
        broken.append(str(exc))


def _read_content(raw: ChunkStream, what: str, budget: Budget, digest: Digester) -> tuple[list[str], str | None]:
    """Read the uncompressed content as a tar, and to its end; return the problems, and the diff ID."""
    cut: list[str] = []
    stream = as_stream(_noted(_plain(raw, what, budget), cut), digest.update)
    problems: list[str] = []
    try:
        reader = TarReader(stream, what)
        for dummy in reader:
            budget.spend(what, number=1 + reader.extended // 4096)
    except ContentError as exc:
        if not cut:  # else the tar only ends where the compressed data does
            problems.append(str(exc))
    for dummy_piece in pieces_of(stream):
        pass
    return [*problems, *cut], None if cut else f"sha256:{digest.hexdigest()}"


def _plain(raw: ChunkStream, what: str, budget: Budget) -> t.Iterator[bytes]:
    """Yield the uncompressed content, as far as it is within the limits."""
    size = 0
    for data in decompressed(t.cast(t.BinaryIO, raw), what):
        size += len(data)
        budget.spend(what, len(data))
        budget.check_ratio(what, size, raw.count)
        yield data
