# SPDX-License-Identifier: GPL-3.0-or-later
"""Find all that is wrong with an image, in a registry or in a file (crane validate)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._archives.images import open_images
from .._errors import ContentError
from .._kit.rootfs import parse_limits
from .._layers.inspect import FAULTS, LayerFacts, blob_problems, layer_problems, read_layer
from .._layers.limits import Limits
from .._oci.check import (
    config_problems,
    descriptor_problems,
    diff_ids,
    manifest_problems,
    platform_problems,
    readable_parts,
)
from .._oci.image import attests, is_foreign
from .._oci.index import no_platform, platform_of
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.mediatype import CONFIGS, INDEXES, MANIFESTS, is_encrypted
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import walk
from .._registry.blobs import read_blob, stream_blob
from .._registry.client import Repository
from .._registry.session import Session

Key = tuple[str, int]


class _Source(t.Protocol):
    """Where the image is. What is asked for by a descriptor has its digest, or an error says so."""

    def manifest(self, item: Descriptor) -> Manifest: ...

    def read(self, item: Descriptor) -> bytes: ...

    def chunks(self, item: Descriptor) -> t.Iterator[bytes]: ...

    def has(self, item: Descriptor) -> bool: ...


@dataclass(frozen=True)
class _Remote:
    """A repository."""

    repository: Repository

    def manifest(self, item: Descriptor) -> Manifest:
        return self.repository.get_raw(item.digest)

    def read(self, item: Descriptor) -> bytes:
        return read_blob(self.repository, item)

    def chunks(self, item: Descriptor) -> t.Iterator[bytes]:
        return stream_blob(self.repository, item)

    def has(self, item: Descriptor) -> bool:
        """Is the blob here, with its size? Storage behind a redirect may refuse HEAD, which says yes all the same."""
        response = self.repository.request("HEAD", f"blobs/{item.digest}")
        if response.status not in (200, 404) and self.repository.owns(response.url):
            raise self.repository.refusal(response, f"The blob {self.repository.full(item.digest)}")
        response.discard()
        size = response.headers.get("Content-Length", "")
        return response.status != 404 and (response.status != 200 or not size.isdecimal() or int(size) == item.size)


class _Image:
    """A manifest that is no index: of an image, or of an artifact."""

    def __init__(self, manifest: Manifest, what: str) -> None:
        self.manifest, self.what = manifest, what
        self.configs, self.layers = readable_parts(manifest, "config"), readable_parts(manifest, "layers")
        types = {config.media_type for config in self.configs}
        self.is_image = bool(types & CONFIGS) and all(".tar" in layer.media_type for layer in self.layers)
        """Artifacts, signatures and attestations are none; their blobs are checked as they are."""

    @property
    def blobs(self) -> list[Descriptor]:
        return self.layers if self.is_image else [*self.configs, *self.layers, *readable_parts(self.manifest, "blobs")]


@dataclass
class _Check:
    """One check of one source, and what it found."""

    session: Session
    source: _Source
    where: str
    fast: bool
    patterns: list[Platform]
    limits: Limits
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    manifests: dict[str, tuple[Manifest, str]] = field(default_factory=dict)
    named: dict[str, list[Descriptor]] = field(default_factory=dict)
    odd: list[Descriptor] = field(default_factory=list)
    matched: set[Platform] = field(default_factory=set)
    checked: dict[str, int] = field(default_factory=dict)

    def name(self, kind: str, item: Descriptor) -> str:
        return f"The {kind} {item.digest} of {self.where}"

    def run(self, roots: list[tuple[Manifest, str]]) -> None:
        """Check everything."""
        try:
            self.tree(roots)
        except ContentError as exc:
            self.problems.append(str(exc))
        for manifest, what in self.manifests.values():
            self.problems += manifest_problems(manifest, what)
            for item in self.named.get(manifest.digest, ()):
                self.problems += descriptor_problems(manifest, item, what)
        images = [_Image(manifest, what) for manifest, what in self.manifests.values() if not manifest.is_index]
        configs = self.configs(images)
        if self.patterns:
            self.check_platforms(roots, configs)
        facts = self.content(images)
        for image in images:
            if image.is_image:
                self.image(image, configs.get(image.manifest.digest), facts)
        self.checked["manifests"] = len(self.manifests)

    def tree(self, roots: list[tuple[Manifest, str]]) -> None:
        """Read all manifests, each once. Raises ContentError for an index that is nested too deeply."""

        def children(level: list[Descriptor]) -> list[list[Descriptor]]:
            unread = [item for item in level if item.digest not in self.manifests]
            for item, got in zip(unread, self.session.map(self.fetch, unread)):
                if isinstance(got, str):
                    self.problems.append(got)
                else:
                    self.manifests[item.digest] = got, self.name("manifest", item)
            return [self.below(item) for item in level]

        self.manifests.update((manifest.digest, (manifest, what)) for manifest, what in roots)
        walk([manifest.descriptor for manifest, dummy in roots], children, lambda item: item.digest, self.where)

    def below(self, item: Descriptor) -> list[Descriptor]:
        """Return the manifests that an index names, and remember what it says of all its members."""
        manifest = self.manifests[item.digest][0] if item.digest in self.manifests else None
        inside = self.members(manifest) if manifest and manifest.is_index else []
        for member in inside:
            self.named.setdefault(member.digest, []).append(member)
        self.odd += [member for member in inside if member.media_type not in INDEXES | MANIFESTS]
        return [member for member in inside if member.media_type in INDEXES | MANIFESTS]

    def members(self, index: Manifest) -> list[Descriptor]:
        """Return the members of an index that are to be checked."""
        found = readable_parts(index, "manifests")
        if not self.patterns:
            return found
        chosen = set()
        for item in found:
            hits = [pattern for pattern in self.patterns if pattern.matches(platform_of(item))]
            self.matched.update(hits)
            if hits or (item.media_type in INDEXES and not platform_of(item)):
                chosen.add(item.digest)
        return [item for item in found if item.digest in chosen or attests(item) in chosen]

    def fetch(self, item: Descriptor) -> Manifest | str:
        """Return a manifest, or why there is none."""
        try:
            return self.source.manifest(item)
        except FAULTS as exc:
            return str(exc)

    def configs(self, images: list[_Image]) -> dict[str, Json]:
        """Read the configs of images; return them by the digests of the manifests."""
        wanted = {image.configs[0].digest: image.configs[0] for image in images if image.is_image}
        read = dict(zip(wanted, self.session.map(self.config, wanted.values())))
        self.problems += [got for got in read.values() if isinstance(got, str)]
        self.checked["configs"] = len(wanted)
        found: dict[str, Json] = {}
        for image in images:
            got = read.get(image.configs[0].digest) if image.is_image else None
            if isinstance(got, dict):
                found[image.manifest.digest] = got
        return found

    def config(self, item: Descriptor) -> Json | str:
        """Return a config, or why there is none."""
        what = self.name("config", item)
        try:
            raw = self.source.read(item)
            if len(raw) != item.size:
                return f"{what} is {len(raw)} bytes long, but its descriptor says {int(item.size)}."
            return parse_json(raw, what)
        except FAULTS as exc:
            return str(exc)

    def check_platforms(self, roots: list[tuple[Manifest, str]], configs: dict[str, Json]) -> None:
        """Raise ContentError (PLATFORM_NOT_FOUND) where a platform that was asked for is not there."""
        for manifest, dummy in roots:
            own = Platform.from_json(configs.get(manifest.digest))
            self.matched.update(pattern for pattern in self.patterns if pattern.matches(own))
        for pattern in self.patterns:
            if pattern not in self.matched and len(roots) == 1 and roots[0][0].is_index:
                raise no_platform(roots[0][0], pattern, self.where)
            if pattern not in self.matched:
                raise ContentError(f"{self.where} has no image for {pattern}.", "PLATFORM_NOT_FOUND")

    def content(self, images: list[_Image]) -> dict[Key, LayerFacts]:
        """Read or look for every blob once, those that take longest first; return what layers are."""
        layers: dict[Key, Descriptor] = {}
        blobs = {(item.digest, item.size): item for item in self.odd}
        for image in images:
            kind = layers if image.is_image else blobs
            kind.update({(item.digest, item.size): item for item in image.blobs})
        self.checked["layers"], self.checked["blobs"] = len(layers), len(blobs.keys() - layers.keys())
        wanted = {**blobs, **layers}
        order = sorted(wanted, key=lambda key: -key[1])
        read = dict(zip(order, self.session.map(lambda key: self.blob(wanted[key], key in layers), order, "blobs")))
        self.problems += [problem for key in wanted for problem in read[key].broken]
        return read

    def blob(self, item: Descriptor, is_layer: bool) -> LayerFacts:
        if is_encrypted(item.media_type):
            self.notes.append(f"{self.name('layer', item)} is encrypted, so its files were not checked.")
        facts = self.read_blob(item, is_layer)
        remote = isinstance(self.source, _Remote) and self.session.transport.retries
        return self.read_blob(item, is_layer) if facts.broken and remote else facts  # bits flip on the way, but once

    def read_blob(self, item: Descriptor, is_layer: bool) -> LayerFacts:
        what = self.name("layer" if is_layer else "blob", item)
        try:
            if self.fast or is_foreign(item.media_type):
                there = self.source.has(item)
                if not there and is_foreign(item.media_type):
                    self.notes.append(f"{what} is not here; it may not be distributed.")
                    return LayerFacts()
                if self.fast:
                    text = f"{what} is not here, or not {int(item.size)} bytes long."
                    return LayerFacts(() if there else (text,))
            if is_layer and not is_encrypted(item.media_type):
                return read_layer(self.source.chunks(item), what, self.limits)
        except FAULTS as exc:
            return LayerFacts((str(exc),))
        return LayerFacts(tuple(blob_problems(self.source.chunks(item))))

    def image(self, image: _Image, config: Json | None, facts: t.Mapping[Key, LayerFacts]) -> None:
        """Check an image: its config, its platform, and its layers against the config."""
        what, ids = self.name("config", image.configs[0]), []
        if config is not None:
            ids = diff_ids(config)
            self.problems += config_problems(config, image.layers, what)
            for item in self.named.get(image.manifest.digest, ()):
                self.problems += platform_problems(item, config, image.what)
        for number, item in enumerate(image.layers):
            diff_id = ids[number] if len(ids) == len(image.layers) else None
            layer = self.name("layer", item)
            known = facts[item.digest, item.size]
            self.problems += layer_problems(item, known, diff_id, layer, image.configs[0].digest)


def validate(
    session: Session,
    *,
    name: str | None,
    path: str | None,
    fast: bool,
    platforms: list[str],
    limits: dict[str, int | None] | None,
    fail_on_invalid: bool,
) -> dict[str, t.Any]:
    """Check an image in full, or without its layers' bodies (``fast``).

    What is wrong with it never raises: each is a sentence in ``problems``. An absent image does, and what keeps us from
    reading it.
    """
    patterns, allowed = [Platform.parse(text) for text in platforms], parse_limits(limits)
    if name is not None:
        check, digest = _check_registry(session, name, fast, patterns, allowed)
    else:
        check, digest = _check_file(session, str(path), fast, patterns, allowed)
    problems = list(dict.fromkeys(check.problems))
    reference = Reference.parse(name).with_digest(digest) if name is not None and digest else None
    found: dict[str, t.Any] = {
        "valid": not problems,
        "problems": problems,
        "notes": sorted(check.notes),
        "digest": digest,
        "reference": str(reference) if reference else None,
        "checked": {kind: check.checked.get(kind, 0) for kind in ("manifests", "configs", "layers", "blobs")},
    }
    if problems and fail_on_invalid:
        text = f"{check.where} is not valid: {problems[0]}"
        text += f" (The first of {len(problems)} problems.)" if problems[1:] else ""
        raise ContentError(text, "INVALID_IMAGE", Reference.parse(name).registry if name else None, details=found)
    return found


def _check_registry(
    session: Session, name: str, fast: bool, patterns: list[Platform], limits: Limits
) -> tuple[_Check, str | None]:
    reference = Reference.parse(name)
    repository = session.repository(reference)
    check = _Check(session, _Remote(repository), str(reference), fast, patterns, limits)
    try:
        root = repository.get_raw(reference.target)
    except ContentError as exc:
        check.problems.append(str(exc))
        return check, reference.digest
    with repository.named():
        check.run([(root, f"The manifest {root.digest} of {reference}")])
    return check, root.digest


def _check_file(
    session: Session, path: str, fast: bool, patterns: list[Platform], limits: Limits
) -> tuple[_Check, str | None]:
    roots: list[tuple[Manifest, str]] = []
    try:
        images = open_images(path)
    except ContentError as exc:
        return _Check(session, t.cast(_Source, None), path, fast, patterns, limits, [str(exc)]), None
    check = _Check(session, images, path, fast, patterns, limits)
    if not images.entries:
        check.problems.append(f"{path} holds no images.")
    for entry in images.entries:
        try:
            root = images.root(entry)
            roots.append((root, f"The manifest {root.digest} of {path}"))
            if entry.item:
                check.named.setdefault(root.digest, []).append(entry.item)
        except FAULTS as exc:
            check.problems.append(str(exc))
    check.run(roots)
    return check, roots[0][0].digest if len(images.entries) == len(roots) == 1 else None
