# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing: what the verbs that change an image share. An index is edited image by image and stays an index."""

from __future__ import annotations

import base64
import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound
from .._oci.digest import digest_of
from .._oci.image import attests, build, check_image, not_image
from .._oci.index import no_platform, platform_of
from .._oci.manifest import Descriptor, Json, Manifest, canonical_json
from .._oci.mediatype import INDEXES, MANIFESTS
from .._oci.parts import members, parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.client import Repository
from .._registry.session import Session
from .._registry.upload import Open
from .content import Wanted, plan_content
from .image import Image, read_image
from .target import Target, destination

_MAX_DEPTH = 8


@dataclass(frozen=True)
class Edited:
    """An image after an edit, with the blobs that are new: made here (``local``) or lying ``elsewhere``.

    ``retold``: the files of the image changed, so attestations of the old one would lie about it.
    """

    manifest: Manifest
    config: Json
    local: t.Mapping[str, Open] = field(default_factory=dict)
    elsewhere: t.Mapping[str, Repository] = field(default_factory=dict)
    retold: bool = False


# Given the image, and what the destination has for it now (the image itself when it is edited in place).
Edit = t.Callable[[Image, t.Optional[Image]], Edited]


def rewrite(image: Image, config: Json, layers: list[Json] | None = None, **manifest: t.Any) -> Edited:
    """Return the image with another config, and other layers or keys of its manifest; None removes a key.

    Unknown fields, the family of media types and the order of keys stay. What changes nothing gives the same bytes.
    """
    value, local = dict(image.manifest.json), {}
    if layers is not None:
        value["layers"] = layers
    if config != image.config:
        raw = canonical_json(config)
        old = value["config"]
        value["config"] = {**old, "digest": digest_of(raw), "size": len(raw)}
        if "data" in old:
            value["config"]["data"] = base64.b64encode(raw).decode("ascii")
        local[digest_of(raw)] = lambda: [raw]
    for key, item in manifest.items():
        value[key] = item
        if item is None:
            del value[key]
    same = value == image.manifest.json
    return Edited(image.manifest if same else build(value, image.manifest.media_type), config, local)


def as_it_is(edited: Edited, there: Image) -> Edited:
    """Return what is there already if it says the same as the edited image, however its JSON was written."""
    found = [
        {**manifest.json, "config": parts(manifest, "config")[0].media_type}
        for manifest in (edited.manifest, there.manifest)
    ]
    if found[0] != found[1] or edited.config != there.config:
        return edited
    return replace(edited, manifest=there.manifest, config=there.config, local={}, elsewhere={})


@dataclass
class Tree:
    """An image or index with all manifests below it, and the images among these."""

    repository: Repository
    root: Manifest
    manifests: dict[str, Manifest]
    images: dict[str, Image]
    what: str

    @classmethod
    def read(cls, session: Session, repository: Repository, target: str) -> Tree:
        """Read a manifest, all below it, and the configs of the images."""
        what = repository.full(target)
        root = repository.get(target)
        tree = cls(repository, root, {root.digest: root}, {}, what)
        level = members(root)
        for dummy in range(_MAX_DEPTH):
            wanted = [item for item in level if item.digest not in tree.manifests]
            found = session.map(partial(_get, repository), wanted)
            tree.manifests.update({manifest.digest: manifest for manifest in found if manifest})
            level = [item for manifest in found if manifest for item in members(manifest)]
            if not level:
                break
        images = [manifest for manifest in tree.manifests.values() if not not_image(manifest)]
        read = session.map(lambda item: read_image(repository, item, tree.name(item.digest)), images)
        tree.images = {image.manifest.digest: image for image in read}
        return tree

    def name(self, digest: str) -> str:
        """Name a member in messages."""
        return self.what if digest == self.root.digest else f"{digest} in {self.what}"

    def leaves(self) -> list[tuple[Platform | None, Image]]:
        """Return the images in order, each with the platform that its index or else its config gives it."""
        found: list[tuple[Platform | None, Image]] = []

        def visit(manifest: Manifest, platform: Platform | None) -> None:
            for item in members(manifest):
                if item.digest in self.manifests:
                    visit(self.manifests[item.digest], platform_of(item))
            image = self.images.get(manifest.digest)
            if image:
                found.append((platform or image.platform, image))

        visit(self.root, None)
        return found


def _get(repository: Repository, item: Descriptor) -> Manifest | None:
    """Return a member; None for what is no manifest, or is not there (sparse indexes are usual in mirrors)."""
    if item.media_type not in INDEXES | MANIFESTS:
        return None
    try:
        return repository.get(item.digest)
    except NotFound:
        return None


@dataclass
class _Editor:
    """Applies an edit to the images of a tree, and rebuilds the indexes above them."""

    tree: Tree
    edits: dict[str, Edited]
    known: dict[str, Manifest] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def manifest(self, manifest: Manifest) -> Manifest:
        """Return what a manifest becomes."""
        if manifest.digest in self.edits:
            new = self.edits[manifest.digest].manifest
        elif manifest.is_index:
            new = self.index(manifest)
        else:
            new = manifest
        self.known[new.digest] = new
        return new

    def index(self, index: Manifest) -> Manifest:
        """Return an index of the edited members; attestations follow the image that they describe."""
        edited: list[Json] = []
        for member in members(index):
            old = self.tree.manifests.get(member.digest)
            subject = attests(member)
            if subject in self.edits and old:
                described = self.edits[subject]
                if described.manifest.digest == subject:
                    edited.append(member.json)
                elif described.retold:
                    text = f"Drop the attestation {member.digest}: it describes files that {subject} no longer has."
                    self.notes.append(text)
                else:
                    edited.append(self.attestation(member, old, described.manifest))
            elif old:
                edited.append(self.member(member, self.manifest(old)))
            else:
                edited.append(member.json)
        value = dict(index.json, manifests=edited)
        return index if value == index.json else build(value, index.media_type)

    def member(self, member: Descriptor, new: Manifest) -> Json:
        """Return the descriptor of an edited member: its platform follows the config where that changed."""
        if new.digest == member.digest:
            return member.json
        value = {**member.json, "mediaType": new.media_type, "digest": new.digest, "size": len(new.raw)}
        value.pop("data", None)
        edit, image = self.edits.get(member.digest), self.tree.images.get(member.digest)
        if edit and image and "platform" in value:
            keys = ("architecture", "os", "os.version", "os.features", "variant")
            changed = {key: edit.config.get(key) for key in keys if edit.config.get(key) != image.config.get(key)}
            merged = {**value["platform"], **changed}
            value["platform"] = {key: item for key, item in merged.items() if item}
        return value

    def attestation(self, member: Descriptor, old: Manifest, image: Manifest) -> Json:
        """Return the descriptor of an attestation for the image that took the place of the one it was made for."""
        new = old
        if "subject" in old.json:
            subject = {**old.json["subject"], **image.descriptor.json}
            new = build({**old.json, "subject": subject}, old.media_type)
        self.known[new.digest] = new
        annotations = {**member.json["annotations"], "vnd.docker.reference.digest": image.digest}
        return {**member.json, "digest": new.digest, "size": len(new.raw), "annotations": annotations}


def plan_edit(
    session: Session,
    *,
    name: str,
    dest: str | None,
    platforms: t.Sequence[str],
    on_existing: str,
    edit: Edit,
    edit_index: t.Callable[[Manifest], Manifest] = lambda index: index,
    extra: t.Callable[[list[Edited]], dict[str, t.Any]] = lambda edited: {},
    made: Tree | None = None,
) -> Plan:
    """Plan an edit of an image, or of the images of an index for ``platforms`` (all where empty).

    ``edit_index`` may change the index itself, ``extra`` makes the verb's own results of the edited images, in the
    index's order. Only manifests, configs and what ``edit`` itself asks for are read. ``made`` takes the place of what
    the registry has under ``name``.
    """
    source = Reference.parse(name)
    where = destination(source, dest)
    patterns = [Platform.parse(text) for text in platforms]
    in_place = made is None and where.name == source.name and where.target == source.target
    repository = session.repository(source, *(("pull", "push") if where.name == source.name else ("pull",)))
    tree = made or Tree.read(session, repository, source.target)
    chosen = _choose(tree, patterns)
    target = None if where.digest else Target.look(session.repository(where, "pull", "push"), where)
    there = _there(session, tree, target, in_place)
    old = {str(platform): image for platform, image in there.leaves()} if there else {}
    alone = there.leaves()[0][1] if there and not there.root.is_index and there.images else None
    edits: dict[str, Edited] = {}
    for platform, found in chosen:
        image = replace(found, listed=platform)
        existing = image if in_place else (old.get(str(platform)) if tree.root.is_index else alone)
        edits[image.manifest.digest] = edit(image, existing)
    editor = _Editor(tree, edits)
    root = editor.manifest(tree.root)
    root = edit_index(root) if root.is_index else root
    editor.known[root.digest] = root
    if target is None:
        where = where.with_digest(root.digest) if in_place else where
        target = Target.look(session.repository(where, "pull", "push"), where)
        if where.digest != root.digest:
            text = (
                f"The result cannot be stored as {where}: its digest is {root.digest}, and a digest cannot be chosen."
            )
            raise InvalidInput(text)
    settled = target.settles(root.digest, on_existing)
    after = _summary(target.reference, root, editor.known, tree, edits)
    before = after if target.previous == root.digest else _old_summary(target, there)
    after = before if settled else after
    steps = () if settled else _steps(session, tree, target, root, editor.known, edits)
    digest = target.previous if settled else root.digest
    result = {
        "reference": str(where.with_digest(str(digest))),
        "digest": digest,
        "media_type": target.found.media_type if settled and target.found else root.media_type,
        "previous_digest": target.previous,
        **extra(list(edits.values())),
    }
    notes = tuple(target.notes(root.digest)) if settled else tuple(editor.notes)
    return Plan(result, before, after, steps, notes=notes)


def _choose(tree: Tree, patterns: list[Platform]) -> list[tuple[Platform | None, Image]]:
    """Return the images to edit. Every platform that was asked for must be there."""
    leaves = tree.leaves()
    if not tree.root.is_index:
        with tree.repository.named():
            check_image(tree.root, tree.what)
    for pattern in patterns:
        if not any(pattern.matches(platform) for platform, dummy in leaves):
            if tree.root.is_index:
                raise no_platform(tree.root, pattern, tree.what)
            text = f"{tree.what} is a single image for {leaves[0][0]}, and {pattern} was asked for."
            raise ContentError(text, "PLATFORM_NOT_FOUND", tree.repository.registry.host)
    chosen = [leaf for leaf in leaves if not patterns or any(pattern.matches(leaf[0]) for pattern in patterns)]
    if not chosen:
        raise ContentError(f"{tree.what} is an index without images.", "NOT_AN_IMAGE", tree.repository.registry.host)
    return chosen


def _there(session: Session, tree: Tree, target: Target | None, in_place: bool) -> Tree | None:
    """Return what the destination has now; nothing where that is no image."""
    if in_place or (target and target.previous == tree.root.digest):
        return tree
    if target is None or target.found is None:
        return None
    try:
        return Tree.read(session, target.repository, target.found.digest)
    except ContentError:
        return None


def _steps(
    session: Session,
    tree: Tree,
    target: Target,
    root: Manifest,
    known: dict[str, Manifest],
    edits: dict[str, Edited],
) -> tuple[t.Any, ...]:
    local: dict[str, Open] = {}
    elsewhere: dict[str, Repository] = {}
    for edited in edits.values():
        local.update(edited.local)
        elsewhere.update(edited.elsewhere)
    wanted = Wanted(tree.repository, target.repository, root.descriptor, known, local, elsewhere=elsewhere)
    content = plan_content(session, [wanted])
    return (*content.steps, target.step(root))


def image_summary(manifest: Manifest, config: Json) -> Json:
    """Return what a diff shows of an image."""
    return {
        "digest": manifest.digest,
        "platform": str(Platform.from_json(config) or ""),
        "created": config.get("created"),
        "config": config.get("config") or {},
        "annotations": manifest.json.get("annotations") or {},
        "layers": [layer.digest for layer in parts(manifest, "layers")],
    }


def _summary(
    reference: Reference, root: Manifest, known: t.Mapping[str, Manifest], tree: Tree, edits: t.Mapping[str, Edited]
) -> Json:
    configs = {edited.manifest.digest: edited.config for edited in edits.values()}
    configs = {**{digest: image.config for digest, image in tree.images.items()}, **configs}
    found = [known[item.digest] for item in members(root) if item.digest in known] if root.is_index else [root]
    images = [image_summary(manifest, configs[manifest.digest]) for manifest in found if manifest.digest in configs]
    shown: Json = {"reference": str(reference), "digest": root.digest, "images": images}
    if root.json.get("annotations") and root.is_index:
        shown["annotations"] = root.json["annotations"]
    return shown


def _old_summary(target: Target, there: Tree | None) -> Json:
    if there is None or target.previous is None:
        return {"reference": str(target.reference), "digest": target.previous, "images": []}
    return _summary(target.reference, there.root, there.manifests, there, {})
