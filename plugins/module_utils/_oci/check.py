# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the parts of an image, in sentences (OCI image-spec: descriptor, manifest, config, layer)."""

from __future__ import annotations

import io
import typing as t
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .._errors import ContentError, NotFound
from .compression import decompressor
from .digest import digest_problem, hasher
from .files import ChunkStream, compression_of
from .manifest import Descriptor, Json, Manifest
from .parts import parts
from .platform import Platform
from .select import platform_of
from .tarstream import TarReader

_PIECE = 1 << 20
_BEHIND = 8  # pieces that a thread may lag
_MAX_RATIO, _RATIO_FROM = 1000, 64 << 20  # above so many bytes, what expands more than this is no honest layer

# What reading content raises where the content is at fault, and not the way to it.
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


def descriptor_problems(manifest: Manifest, item: Descriptor, what: str) -> list[str]:
    """Check a manifest against a descriptor that leads to it."""
    found = []
    if item.size != len(manifest.raw):
        found.append("%s is %d bytes long, but its descriptor says %d." % (what, len(manifest.raw), item.size))
    if item.media_type != manifest.media_type:
        found.append("%s has the type %s, but its descriptor says %s." % (what, manifest.media_type, item.media_type))
    return found


def manifest_problems(manifest: Manifest, what: str) -> list[str]:
    """Check the parts of a manifest or index for what is malformed, one problem for each kind of part."""
    found = []
    if manifest.json.get("schemaVersion") != 2:
        found.append("%s has the schemaVersion %r, not 2." % (what, manifest.json.get("schemaVersion")))
    if manifest.json.keys() & ({"layers", "config"} if manifest.is_index else {"manifests"}):
        found.append("%s has the parts of an image and of an index." % what)
    for key in ("manifests", "config", "layers", "blobs", "subject"):
        try:
            parts(manifest, key, what)
        except ContentError as exc:
            found.append(str(exc))
    return found


def readable_parts(manifest: Manifest, key: str) -> list[Descriptor]:
    """Return the descriptors under a key that are well-formed; manifest_problems tells of the others."""
    value = manifest.json.get(key)
    found = []
    for item in value if isinstance(value, list) else [value]:
        try:
            found += parts(Manifest(b"", "", manifest.digest, {"layers": [item]}), "layers")
        except ContentError:
            continue
    return found


def config_problems(config: Json, layers: t.Sequence[Descriptor], what: str) -> list[str]:
    """Check an image's config by itself, and against the number of layers (OCI image-spec, config.md)."""
    found = ["%s names no %s." % (what, key) for key in ("architecture", "os") if not config.get(key)]
    rootfs = config.get("rootfs")
    rootfs = rootfs if isinstance(rootfs, dict) else {}
    if rootfs.get("type") != "layers":
        found.append("%s has the rootfs.type %r, not 'layers'." % (what, rootfs.get("type")))
    ids = diff_ids(config)
    if len(ids) != len(layers):
        found.append("%s lists %d layers (rootfs.diff_ids), but the manifest has %d." % (what, len(ids), len(layers)))
    for diff_id in ids:
        problem = digest_problem(diff_id)
        if problem:
            found.append("%s has the diff ID %r, which %s." % (what, diff_id, problem))
    history = config.get("history")
    if history:
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            found.append("%s has a history that is not a list of objects." % what)
        else:
            count = sum(not entry.get("empty_layer") for entry in history)
            if count != len(layers):
                text = "%s has %d entries with layers in its history, but the manifest has %d layers."
                found.append(text % (what, count, len(layers)))
    return found


def diff_ids(config: Json) -> list[t.Any]:
    """Return the diff IDs that a config lists, whatever they are."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return found if isinstance(found, list) else []


def platform_problems(item: Descriptor, config: Json, what: str) -> list[str]:
    """Check the platform that an index gives a member against its config, where both say something."""
    said, own = platform_of(item), Platform.from_json(config)
    if not said or not own:
        return []
    pairs = zip(("os", "architecture", "variant", "OS version"), vars(said).values(), vars(own).values())
    text = "%s has the %s %r in its config, but its index says %r."
    return [text % (what, name, mine, theirs) for name, theirs, mine in pairs if mine and theirs and mine != theirs]


def blob_problems(chunks: t.Iterable[bytes]) -> list[str]:
    """Read a blob whose chunks verify themselves."""
    try:
        for dummy in chunks:
            pass
    except FAULTS as exc:
        return [str(exc)]
    return []


def read_layer(chunks: t.Iterable[bytes], what: str) -> LayerFacts:
    """Read a layer once: its bytes (which verify themselves), its compression, its tar, its diff ID.

    Fetching and both hashes run in threads of their own; memory stays constant. Raises MissingLibrary for zstd, and
    what ``chunks`` raises where its content is not at fault.
    """
    broken: list[str] = []
    with ThreadPoolExecutor(1) as fetching, ThreadPoolExecutor(1) as hashing:
        ahead = _ahead(_noted(chunks, broken), fetching)
        raw = _Counted(ahead)
        problems, diff_id = _read_content(_Plain(raw, hashing, what), what)
        for dummy in ahead:  # what a broken compression left
            pass
    if broken:  # all else follows from this
        return LayerFacts(tuple(broken))
    return LayerFacts((), tuple(problems), diff_id, compression_of(raw.start))


def layer_problems(item: Descriptor, facts: LayerFacts, diff_id: t.Any, what: str, config: str) -> list[str]:
    """Compare what a layer is with what its descriptor says of it, and the config with this digest."""
    found = list(facts.problems)
    said = next((name for name in ("gzip", "zstd") if item.media_type.endswith(name)), "none")
    if facts.compression not in (None, said):
        found.append("%s has the type %s, but its compression is %s." % (what, item.media_type, facts.compression))
    if facts.diff_id and isinstance(diff_id, str) and diff_id.startswith("sha256:") and facts.diff_id != diff_id:
        text = "%s unpacks to %s, but the config %s says %s (rootfs.diff_ids)."
        found.append(text % (what, facts.diff_id, config, diff_id))
    return found


def _noted(chunks: t.Iterable[bytes], broken: list[str]) -> t.Iterator[bytes]:
    """Yield chunks up to where they turn out to be wrong, which is noted."""
    try:
        yield from chunks
    except FAULTS as exc:
        broken.append(str(exc))


def _read_content(plain: _Plain, what: str) -> tuple[list[str], str | None]:
    """Read the uncompressed content as a tar, and to its end; return the problems, and the diff ID."""
    stream = io.BufferedReader(plain, _PIECE)
    problems: list[str] = []
    try:
        for dummy in TarReader(t.cast(t.BinaryIO, stream), what):
            pass
    except ContentError as exc:
        problems.append(str(exc))
    try:
        while stream.read(_PIECE):
            pass
    except ContentError as exc:  # the same one, where it was this that ended the tar
        return list(dict.fromkeys([*problems, str(exc)])), None
    return problems, plain.digest()


def _ahead(chunks: t.Iterator[bytes], pool: ThreadPoolExecutor) -> t.Iterator[bytes]:
    """Yield what the pool's thread reads, a few pieces ahead. What that raises is raised here."""
    pending = deque(pool.submit(next, chunks, b"") for dummy in range(_BEHIND))
    while chunk := pending.popleft().result():
        pending.append(pool.submit(next, chunks, b""))
        yield chunk


class _Counted(ChunkStream):
    """The compressed bytes as a stream, with their beginning and a count of those that were taken."""

    def __init__(self, chunks: t.Iterator[bytes]) -> None:
        super().__init__(chunks, self._seen)
        self.start, self.count = b"", 0

    def _seen(self, chunk: bytes) -> None:
        self.start = self.start or chunk[:4]
        self.count += len(chunk)


class _Plain(io.RawIOBase):
    """The uncompressed bytes, which a thread hashes as they are read."""

    def __init__(self, raw: _Counted, pool: ThreadPoolExecutor, what: str) -> None:
        super().__init__()
        self._raw, self._pool, self._what, self._size = raw, pool, what, 0
        self._plain = decompressor(t.cast(t.BinaryIO, raw), what)
        self._hash = hasher("sha256:")
        self._pending: deque[Future[None]] = deque()
        self._failed: ContentError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        if self._failed:
            raise self._failed
        try:
            return self._readinto(buffer)
        except ContentError as exc:
            self._failed = exc
            raise

    def _readinto(self, buffer: t.Any) -> int:
        size = self._plain.readinto(buffer)
        self._size += size
        if self._size > _RATIO_FROM and self._size > self._raw.count * _MAX_RATIO:
            text = "%s expands to more than %d times its size."
            raise ContentError(text % (self._what, _MAX_RATIO), "LIMIT_EXCEEDED")
        self._pending.append(self._pool.submit(self._hash.update, bytes(memoryview(buffer)[:size])))
        if len(self._pending) > _BEHIND:
            self._pending.popleft().result()
        return size

    def digest(self) -> str:
        """Return the digest, once all was read."""
        while self._pending:
            self._pending.popleft().result()
        return "sha256:" + self._hash.hexdigest()
