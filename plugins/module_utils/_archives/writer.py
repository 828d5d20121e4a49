# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing tar archives of images: the bytes are a pure function of names and content, members are filled at once."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._errors import ContentError
from .._layers.spool import Spool, write_at, write_chunks
from .._layers.streams import Sink
from .._layers.tarstream import BLOCK, TarEntry, header
from .._oci.digest import digest_of, hasher, mismatch
from .atomic import Prepare, atomic_write
from .files import Archive


class MapItems(t.Protocol):
    """Applies a function to items, some of them at once; see Session.map."""

    def __call__(self, function: t.Callable[[t.Any], t.Any], items: t.Iterable[t.Any], /) -> list[t.Any]: ...


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive: name, digest and size of its content, and what opens that (and verifies it).

    Without a size, the content comes from another place than its digest, and is verified here.
    """

    name: str
    digest: str
    size: int | None
    open: t.Callable[[], t.Iterable[bytes]]


def small(name: str, raw: bytes) -> ArchiveMember:
    """Return a member whose content is in memory."""
    return ArchiveMember(name, digest_of(raw), len(raw), lambda: [raw])


def holds(path: str, members: t.Sequence[ArchiveMember], map_all: MapItems) -> bool:
    """Has an archive these members and no others? All content is hashed."""
    try:
        archive = Archive(path)
        sizes = {name: archive.size(name) for name in archive.names}
        if list(sizes) != sorted(member.name for member in members):
            return False
        if any(member.size not in (None, sizes[member.name]) for member in members):
            return False
        return all(map_all(lambda member: _digest(archive.chunks(member.name), member) == member.digest, members))
    except (ContentError, FileNotFoundError):
        return False


def _digest(chunks: t.Iterable[bytes], member: ArchiveMember, *sinks: Sink) -> str:
    """Return the digest of what ``sinks`` get, with the algorithm of the member's."""
    digest = hasher(member.digest)
    for chunk in chunks:
        digest.update(chunk)
        for sink in sinks:
            sink(chunk)
    return f"{member.digest.split(':')[0]}:{digest.hexdigest()}"


def write_archive(
    path: str, members: t.Iterable[ArchiveMember], map_all: MapItems, prepare: Prepare = lambda temporary: None
) -> None:
    """Write an archive of members, sorted by name; ``path`` appears when it is complete, and ``prepare`` had it."""
    ordered = sorted(members, key=lambda member: member.name)
    folder = os.path.dirname(path)
    spools = map_all(lambda member: None if member.size is not None else _spooled(member, folder), ordered)
    with atomic_write(path, prepare) as handle:
        at, slots = 0, []
        for member, spool in zip(ordered, spools):
            size = spool.size if spool else t.cast(int, member.size)
            head = header(TarEntry(size=size), member.name)
            write_at(handle, head, at)
            at += len(head)
            slots.append((at, spool.chunks if spool else member.open))
            at += size + -size % BLOCK

        def fill(slot: tuple[int, t.Callable[[], t.Iterable[bytes]]]) -> None:
            offset, content = slot
            write_chunks(handle, content(), offset)

        map_all(fill, slots)
        os.truncate(handle, at + 2 * BLOCK)  # what was not written is zeros


def _spooled(member: ArchiveMember, folder: str) -> Spool:
    spool = Spool(f"to unpack the layer {member.name}", folder)
    found = _digest(member.open(), member, spool.write)
    if found != member.digest:
        raise mismatch(f"The uncompressed layer {member.name}", member.digest, found)
    return spool
