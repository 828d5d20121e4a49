# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different between two images: config, layers, annotations, files, packages."""

from __future__ import annotations

import base64
import hashlib
import typing as t
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from .._kit.headers import read_entries
from .._kit.image import Image, find_one, read_image
from .._kit.rootfs import parse_limits
from .._layers.limits import Budget
from .._layers.packages import Found, Packages, kind_of, merged, read_packages
from .._layers.stat import stat_of, text_of
from .._layers.tarstream import FILE, LINK, TarEntry
from .._layers.tree import WHITEOUT, FileNode, FileTree, Node
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.reference import Reference
from .._registry.client import Repository
from .._registry.session import Session

MAX_LISTED = 10_000  # entries of one list

_DEPTH = 4  # of the settings in a config that are told one by one
_XATTR = "SCHILY.xattr."

Row = dict[str, t.Any]
Table = t.Mapping[t.Any, t.Any]
Files = t.Mapping[str, tuple[Node, str]]


def image_diff_info(
    session: Session,
    *,
    name: str,
    other: str,
    platform: str | None,
    files: bool,
    packages: bool,
    limits: dict[str, int | None] | None,
) -> Json:
    """Compare an image with another one; of indexes, the images for one platform.

    Images with the same digest cost no more than their manifests. Raises NotFound for either, ContentError for layers
    that are damaged, hostile or encrypted.
    """
    budget = Budget(parse_limits(limits))
    Reference.parse(other)  # before anything is asked for
    (one, first), (two, second) = (_find(session, text, platform) for text in (name, other))
    differences: Json = {
        "config": [],
        "layers": [],
        "annotations": [],
        "files": {"added": [], "removed": [], "changed": []} if files else None,
        "packages": {"added": [], "removed": [], "changed": []} if packages else None,
    }
    if first.manifest.digest != second.manifest.digest:
        before, after = first.image(), second.image()
        differences["config"] = _config_changes(before.config, after.config)
        differences["layers"] = _layers(before, after)
        one_notes, two_notes = (image.manifest.json.get("annotations") or {} for image in (before, after))
        differences["annotations"] = _changes(one_notes, two_notes, "name")
        if files or packages:
            content = _Content(session, before, after, budget, files, packages)
            differences.update(content.compare())
    return {
        "same": first.manifest.digest == second.manifest.digest,
        "reference": str(one.with_digest(first.manifest.digest)),
        "digest": first.manifest.digest,
        "media_type": first.manifest.media_type,
        "other_reference": str(two.with_digest(second.manifest.digest)),
        "other_digest": second.manifest.digest,
        "differences": differences,
    }


@dataclass(frozen=True)
class _Side:
    """One of the images, before its config is read."""

    repository: Repository
    manifest: Manifest

    def image(self) -> Image:
        return read_image(self.repository, self.manifest, self.repository.full(self.manifest.digest))


def _find(session: Session, name: str, platform: str | None) -> tuple[Reference, _Side]:
    reference, repository, manifest = find_one(session, name, platform)
    return reference, _Side(repository, manifest)


def _changes(before: Table, after: Table, key: str) -> list[Row]:
    """Return a row for each name that has another value, None standing for none."""
    names = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    return [{key: name, "before": before.get(name), "after": after.get(name)} for name in names]


def _config_changes(before: Json, after: Json) -> list[Row]:
    """Return a row for each setting that has another value, and one for variables that differ in order or number."""
    rows = _changes(_settings(before), _settings(after), "path")
    one, two = ((config.get("config") or {}).get("Env") for config in (before, after))
    if one != two and not any(row["path"].startswith("config.Env") for row in rows):
        rows.append({"path": "config.Env", "before": one, "after": two})
    return sorted(rows, key=lambda row: str(row["path"]))


def _settings(config: Json) -> dict[str, t.Any]:
    """Return what a config says, by its path; the layers and their history are told as layers."""
    found: dict[str, t.Any] = {}

    def add(value: t.Any, path: str) -> None:
        if path.endswith("config.Env") and isinstance(value, list):
            value = dict(str(item).partition("=")[::2] for item in value)
        if isinstance(value, dict) and value and path.count(".") < _DEPTH:
            for name, inner in value.items():
                add(inner, f"{path}.{name}" if path else str(name))
        elif path:
            found[path] = value

    add({name: value for name, value in config.items() if name not in ("rootfs", "history")}, "")
    return found


def _layers(before: Image, after: Image) -> list[Row]:
    """Return a row for each place, counted from the bottom, where the layers are not the same."""
    rows = []
    for number, pair in enumerate(zip_longest(_described(before), _described(after)), 1):
        one, two = pair
        if (one or {}).get("digest") != (two or {}).get("digest"):
            rows.append({"path": str(number), "before": one, "after": two})
    return rows


def _described(image: Image) -> list[Row]:
    entries = [entry for entry in image.config.get("history") or [] if isinstance(entry, dict)]
    said = [entry.get("created_by") for entry in entries if not entry.get("empty_layer")]
    said = said if len(said) == len(image.layers) else [None] * len(image.layers)
    return [
        {"digest": layer.digest, "size": layer.size, "created_by": text if isinstance(text, str) else None}
        for layer, text in zip(image.layers, said)
    ]


class _Content:
    """The comparison of what is in the layers of two images. Each layer is read once, whichever have it."""

    def __init__(
        self, session: Session, before: Image, after: Image, budget: Budget, files: bool, packages: bool
    ) -> None:
        self._session, self._budget = session, budget
        self._images = before, after
        self._files, self._packages = files, packages
        self._entries: dict[str, list[TarEntry]] = {}
        self._hashes: dict[tuple[str, int], str] = {}
        self._found: dict[tuple[str, int], Found] = {}
        """What was seen in files, by the digest of the layer and the place in it."""

    def compare(self) -> Json:
        pairs = zip(*(image.layers for image in self._images))
        shared = sum(1 for dummy in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
        self._read(image_and_layer for image in self._images for image_and_layer in _from(image, shared))
        if shared and self._depends_on_shared(shared):
            self._read(_from(self._images[0], 0)[:shared])
            shared = 0
        before, after = (self._tree(image, shared) for image in self._images)
        result: Json = {}
        if self._files:
            result["files"] = self._compare_files(before, after)
        if self._packages:
            result["packages"] = self._limited("packages", *self._compare_packages(before, after))
        return result

    def _read(self, wanted: t.Iterable[tuple[Image, Descriptor]]) -> None:
        """Read layers, several at a time, those that were not read before."""
        todo = {layer.digest: (image, layer) for image, layer in wanted if layer.digest not in self._entries}

        def read(pair: tuple[Image, Descriptor]) -> None:
            image, layer = pair
            see = _Sight(layer.digest, self._files, self._packages, self._hashes, self._found)
            self._entries[layer.digest] = read_entries(image.repository, layer, image.what, self._budget, see)

        self._session.map(read, todo.values())

    def _depends_on_shared(self, shared: int) -> bool:
        """Can the layers above those that both images share not tell what is different?

        They can where they have the same files, and remove none: whatever is below is the same for both.
        """
        touched = []
        for image in self._images:
            entries = [entry for dummy, layer in _from(image, shared) for entry in self._entries[layer.digest]]
            paths = {entry.path for entry in entries}
            if any(_is_mark(entry) or (entry.kind == LINK and entry.target not in paths) for entry in entries):
                return True
            touched.append(paths if self._files else {path for path in paths if kind_of(path)})
        return touched[0] != touched[1]

    def _tree(self, image: Image, start: int) -> dict[str, tuple[Node, str]]:
        """Return what the layers from a number on make: by path, with the digest of the layer that a file is from."""
        tree = FileTree()
        with image.repository.named():
            for dummy, layer in _from(image, start):
                tree.apply(f"The layer {layer.digest} of {image.what}", self._entries[layer.digest])
        return {
            path: (node, image.layers[start + node.layer].digest if isinstance(node, FileNode) else "")
            for path, node in tree.members()
        }

    def _compare_files(self, before: Files, after: Files) -> Json:
        one, two = ({path: self._place(*node) for path, node in side.items()} for side in (before, after))
        added = sorted(path for path in two if path not in one)
        removed = sorted(path for path in one if path not in two)
        both = sorted(path for path, place in one.items() if path in two and two[path] != place)
        rows = [(path, self._look(*before[path]), self._look(*after[path])) for path in both]
        changed = [(path, old, new) for path, old, new in rows if old != new]
        return self._limited(
            "files",
            [{"path": _shown(path), "before": None, "after": self._look(*after[path])} for path in added],
            [{"path": _shown(path), "before": self._look(*before[path]), "after": None} for path in removed],
            [{"path": _shown(path), "before": old, "after": new} for path, old, new in changed],
        )

    @staticmethod
    def _place(node: Node, layer: str) -> t.Any:
        """Return what two files have in common only where they are one and the same."""
        return (layer, node.entry.offset, node.entry.kind) if isinstance(node, FileNode) else node.entry

    def _look(self, node: Node, layer: str) -> Row:
        """Return what is compared of a file: all but its times, and the names that its owner had where it was built."""
        found = stat_of(node.entry)
        for name in ("mtime", "user", "group"):
            del found[name]
        xattrs = {key[len(_XATTR) :]: value for key, value in node.entry.pax.items() if key.startswith(_XATTR)}
        found["xattrs"] = {text_of(name): base64.b64encode(value).decode("ascii") for name, value in xattrs.items()}
        found["digest"] = self._hashes.get((layer, node.entry.offset)) if node.entry.kind == FILE else None
        return found

    def _compare_packages(self, before: Files, after: Files) -> tuple[list[Row], list[Row], list[Row]]:
        one, two = (self._installed(side) for side in (before, after))
        rows = [
            {"name": name, "type": kind, "before": one.get((kind, name)), "after": two.get((kind, name))}
            for kind, name in sorted({**one, **two}, key=lambda key: (key[1], key[0]))
        ]
        return (
            [row for row in rows if row["before"] is None],
            [row for row in rows if row["after"] is None],
            [row for row in rows if None not in (row["before"], row["after"]) and row["before"] != row["after"]],
        )

    def _installed(self, files: Files) -> dict[tuple[str, str], str]:
        found: list[Packages] = []
        for node, layer in files.values():
            one = self._found.get((layer, node.entry.offset)) if isinstance(node, FileNode) else None
            if one:
                found.append(one.packages)
                if one.problem:
                    self._session.transport.warn(f"{one.problem}, so packages may be missing from the comparison.")
        return merged(found)

    def _limited(self, what: str, added: list[Row], removed: list[Row], changed: list[Row]) -> Json:
        result = {"added": added, "removed": removed, "changed": changed}
        for name, rows in result.items():
            if len(rows) > MAX_LISTED:
                text = f"{len(rows)} {what} were {name}; the first {MAX_LISTED} of them are listed."
                self._session.transport.warn(text)
                del rows[MAX_LISTED:]
        return result


@dataclass(frozen=True)
class _Sight:
    """Looks at the files of a layer as they come: hashes them, and reads what package managers wrote."""

    layer: str
    files: bool
    packages: bool
    hashes: dict[tuple[str, int], str]
    found: dict[tuple[str, int], Found]

    def __call__(self, entry: TarEntry, content: t.Iterator[bytes]) -> None:
        if entry.kind != FILE:
            return
        digest, key = hashlib.sha256(), (self.layer, entry.offset)
        pieces = _hashed(content, digest) if self.files else content
        kind = kind_of(entry.path) if self.packages else None
        if kind:
            self.found[key] = read_packages(kind, entry.path, pieces)
        if self.files:
            for dummy in pieces:
                pass
            self.hashes[key] = f"sha256:{digest.hexdigest()}"


def _hashed(content: t.Iterator[bytes], digest: hashlib._Hash) -> t.Iterator[bytes]:
    for piece in content:
        digest.update(piece)
        yield piece


def _from(image: Image, start: int) -> list[tuple[Image, Descriptor]]:
    return [(image, layer) for layer in image.layers[start:]]


def _is_mark(entry: TarEntry) -> bool:
    return entry.path.rpartition("/")[2].startswith(WHITEOUT)


def _shown(path: str) -> str:
    return f"/{text_of(path)}"
