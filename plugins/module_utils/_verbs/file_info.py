# SPDX-License-Identifier: GPL-3.0-or-later
"""One file in an image: its attributes, its content, and the layer that it is from."""

from __future__ import annotations

import base64
import typing as t
from functools import partial

from .._errors import ContentError, InvalidInput
from .._kit.headers import read_entries
from .._kit.image import described, find_one
from .._kit.rootfs import parse_limits
from .._layers.limits import Budget
from .._layers.lookup import ABSENT, Hit, Lookup
from .._layers.stat import stat_of
from .._layers.tarstream import FILE, TarEntry, printable
from .._oci.manifest import Descriptor, Json
from .._oci.parts import parts
from .._registry.client import Repository
from .._registry.session import Session

MAX_CONTENT = 8 << 20  # bytes; it goes through Ansible as base64
_MAX_HELD = 32 << 20  # bytes of files of that name that are kept while it is not known which one counts


def file_info(
    session: Session,
    *,
    name: str,
    path: str,
    platform: str | None,
    content: bool,
    limits: dict[str, int | None] | None,
) -> Json:
    """Return what is at a path in an image. Layers are read from the top, to where it is known.

    Raises NotFound for an image that does not exist, ContentError (TOO_LARGE) for more content than MAX_CONTENT, and
    for layers that are damaged, hostile or encrypted.
    """
    if not path.strip("/") or "\0" in path:
        raise InvalidInput(f"path must name a file in the image, such as /etc/os-release, not {path!r}.")
    budget = Budget(parse_limits(limits))
    reference, repository, manifest = find_one(session, name, platform)
    what = repository.full(manifest.digest)
    with repository.named():
        layers = parts(manifest, "layers")
        search = _Search(repository, layers, what, path, content, budget)
        hit = search.run()
        data = search.content(hit) if content and hit.entry and hit.entry.kind == FILE else None
    return {
        **described(reference, manifest),
        "exists": hit.entry is not None,
        "stat": stat_of(hit.entry) if hit.entry else None,
        "content": None if data is None else base64.b64encode(data).decode("ascii"),
        "layer": None if hit.layer is None else layers[hit.layer].digest,
    }


class _Search:
    """The search for one path in the layers of an image."""

    def __init__(
        self, repository: Repository, layers: list[Descriptor], what: str, path: str, content: bool, budget: Budget
    ) -> None:
        self._repository, self._layers, self._what, self._budget = repository, layers, what, budget
        self._path, self._wants_content = path, content
        self._held: dict[tuple[int, int], bytes] = {}
        """Content by the number of the layer and the place in it."""

    def run(self) -> Hit:
        lookup = Lookup(self._path, len(self._layers))
        names = [f"The layer {layer.digest} of {self._what}" for layer in self._layers]
        for number in reversed(range(len(self._layers))):
            hit = lookup.add(self._read(number, self._hold), names)
            if hit is not None:
                return hit
        return ABSENT

    def content(self, hit: Hit) -> bytes:
        """Return the content of what was found; the layer is read again where it was not known to be that."""
        entry, number = t.cast(TarEntry, hit.entry), t.cast(int, hit.layer)
        if entry.size > MAX_CONTENT:
            text = f"{printable(self._path)} in {self._what} has {int(entry.size)} bytes; the content of a file is "
            text += f"returned up to {MAX_CONTENT} bytes. Leave content out, or use oci_export."
            raise ContentError(text, "TOO_LARGE")
        key = number, entry.offset
        if key not in self._held:
            self._read(number, partial(self._hold, only=entry.offset))
        return self._held[key]

    def _read(self, number: int, see: t.Callable[[int, TarEntry, t.Iterator[bytes]], None]) -> list[TarEntry]:
        return read_entries(self._repository, self._layers[number], self._what, self._budget, partial(see, number))

    def _hold(self, number: int, entry: TarEntry, content: t.Iterator[bytes], only: int | None = None) -> None:
        """Keep the content of a file that may be the one: it has its name, as links at its end are not followed."""
        if only is None:
            room = _MAX_HELD - sum(map(len, self._held.values()))
            is_wanted = self._wants_content and _base(entry.path) == _base(self._path.rstrip("/"))
        else:
            room, is_wanted = MAX_CONTENT, entry.offset == only
        if is_wanted and entry.kind == FILE and entry.size <= min(room, MAX_CONTENT):
            self._held[number, entry.offset] = b"".join(content)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
