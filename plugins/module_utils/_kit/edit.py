# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing images: one, or those of an index, which is rebuilt above them, with the attestations that still hold.

Four stages, a function each: observe what is there, wish what should be, decide whether that is to be written, plan it.
"""

from __future__ import annotations

import base64
import typing as t
from dataclasses import dataclass, field, replace

from .._errors import ContentError, NotFound
from .._oci.digest import digest_of
from .._oci.image import attests, build, check_image, not_image
from .._oci.index import Identity, identity, no_platform, platform_of
from .._oci.manifest import Descriptor, Json, Manifest, canonical_json
from .._oci.mediatype import DOCKER_ZSTD
from .._oci.parts import members, parts
from .._oci.platform import Platform
from .._oci.rebase import BASE_DIGEST, BASE_NAME
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._plan import Draft, Plan
from .._registry.client import Repository
from .._registry.session import Session
from .._registry.upload import Open
from .content import Wanted, plan_content
from .image import Image, read_image
from .target import Target, destination, open_for, refers

_PLATFORM_KEYS = ("architecture", "os", "os.version", "os.features", "variant")


@dataclass(frozen=True)
class Edited:
    """An image after an edit, with the blobs that are new: made here (``local``) or lying ``elsewhere``.

    ``files_changed``: the files of the image are others, so attestations of the old one would lie about it.
    """

    manifest: Manifest
    config: Json
    local: t.Mapping[str, Open] = field(default_factory=dict)
    elsewhere: t.Mapping[str, Repository] = field(default_factory=dict)
    files_changed: bool = False


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


class Leaf(t.NamedTuple):
    """An image below a root: the descriptor that leads to it, and its manifest."""

    item: Descriptor
    manifest: Manifest


def leaves(root: Manifest, manifests: t.Mapping[str, Manifest]) -> list[Leaf]:
    """Return what is below a root and no index, in order; attestations are none, whatever their layers look like."""
    if not root.is_index:
        return [Leaf(root.descriptor, root)]
    found = []
    for item in members(root):
        manifest = manifests.get(item.digest)
        if manifest is None or attests(item):
            continue
        found += leaves(manifest, manifests) if manifest.is_index else [Leaf(item, manifest)]
    return found


@dataclass(frozen=True)
class Tree:
    """An image or index with all manifests below it, and the images among these, by digest.

    ``absent`` are members that the index names and the repository does not have, as in mirrors of some platforms.
    """

    repository: Repository
    root: Manifest
    manifests: t.Mapping[str, Manifest]
    images: t.Mapping[str, Image]
    what: str
    absent: tuple[Descriptor, ...] = ()

    @classmethod
    def read(cls, session: Session, repository: Repository, target: str) -> Tree:
        """Read a manifest, all below it, and the configs of the images. Raises NotFound, ContentError."""
        what, root = repository.full(target), repository.get(target)
        manifests = {root.digest: root}
        absent: list[Descriptor] = []

        def children(level: list[Descriptor]) -> list[list[Descriptor]]:
            unread = [item for item in level if item.digest not in manifests]
            for item, manifest in zip(unread, session.map(lambda item: _get(repository, item), unread)):
                if manifest:
                    manifests[item.digest] = manifest
                else:
                    absent.append(item)
            return [below(manifests[item.digest])[0] if item.digest in manifests else [] for item in level]

        walk([root.descriptor], children, lambda item: item.digest, what)
        wanted = {leaf.manifest.digest: leaf.manifest for leaf in leaves(root, manifests)}
        images = [manifest for manifest in wanted.values() if not not_image(manifest)]
        names = [what if image.digest == root.digest else f"{image.digest} in {what}" for image in images]
        read = session.map(lambda pair: read_image(repository, *pair), zip(images, names), "images")
        return cls(repository, root, manifests, {image.manifest.digest: image for image in read}, what, tuple(absent))

    def leaves(self) -> list[tuple[Identity, Image]]:
        """Return the images in order, each with what identifies it, and what its index says of it."""
        found = []
        for item, manifest in leaves(self.root, self.manifests):
            image = self.images.get(manifest.digest)
            if image:
                notes = item.json.get("annotations") or {}
                found.append((identity(item), replace(image, listed=platform_of(item), notes=notes)))
        return found


def _get(repository: Repository, item: Descriptor) -> Manifest | None:
    try:
        return repository.get(item.digest)
    except NotFound:
        return None


@dataclass(frozen=True)
class _Seen:
    """What is there: the image or index to edit, and what the destination has; ``where`` may have no tag to look at."""

    tree: Tree
    where: Reference
    in_place: bool
    target: Target | None
    there: Tree | None

    def existing(self, leaf: Image) -> Image | None:
        """Return the image that the destination has for one that is edited."""
        if self.in_place:
            return leaf
        found = self.there.leaves() if self.there else []
        if not self.tree.root.is_index:
            return found[0][1] if self.there and not self.there.root.is_index and found else None
        same = [image for dummy, image in found if str(image.platform) == str(leaf.platform)]
        return same[-1] if same else None


@dataclass(frozen=True)
class _Wish:
    """What should be there: a root, the manifests below it, and the edits that made them."""

    root: Manifest
    known: t.Mapping[str, Manifest]
    edits: t.Mapping[Identity, Edited]
    notes: tuple[str, ...]


def plan_edit(
    session: Session,
    *,
    name: str,
    dest: str | None,
    platforms: t.Sequence[str],
    on_existing: str,
    edit: Edit,
    edit_index: t.Callable[[Manifest], Manifest] = lambda index: index,
    edit_artifact: t.Callable[[Manifest], Manifest] | None = None,
    extra: t.Callable[[list[Edited]], dict[str, t.Any]] = lambda edited: {},
    made: Tree | None = None,
) -> Plan:
    """Plan an edit of an image, or of the images of an index for ``platforms`` (all where empty).

    ``edit_index`` may change the index itself, ``edit_artifact`` a manifest that is no image, ``extra`` makes the
    verb's own results of the edited images, in the index's order. Only manifests, configs and what ``edit`` itself asks
    for are read. ``made`` takes the place of what the registry has under ``name``. Raises NotFound, ContentError,
    InvalidInput, Refused.
    """
    seen = _observe(session, name, dest, made)
    if edit_artifact and not seen.tree.root.is_index and not_image(seen.tree.root):
        wish = _wish_artifact(seen.tree, edit_artifact)
    else:
        chosen = _choose(seen.tree, [Platform.parse(text) for text in platforms])
        wish = _wish(seen, chosen, edit, edit_index)
    edited = None if made else Reference.parse(name)
    target = seen.target or open_for(session, seen.where, edited, wish.root.digest)
    settled = target.is_settled(wish.root.digest, on_existing)
    return _plan(session, seen, wish, target, settled, extra(list(wish.edits.values())))


def _observe(session: Session, name: str, dest: str | None, made: Tree | None) -> _Seen:
    """Read the image or index, and what the destination has."""
    source = Reference.parse(name)
    where = destination(source, dest)
    here = where.name == source.name
    in_place = made is None and here and where.target == source.target
    repository = session.repository(source, *(("pull", "push") if here else ("pull",)))
    tree = made or Tree.read(session, repository, source.target)
    target = None if where.digest else Target.open(session, where)
    return _Seen(tree, where, in_place, target, _there(session, tree, target, in_place))


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


def _choose(tree: Tree, patterns: list[Platform]) -> list[tuple[Identity, Image]]:
    """Return the images to edit. Every platform that was asked for must be there."""
    found, host = tree.leaves(), tree.repository.registry.host
    if not tree.root.is_index:
        with tree.repository.named():
            check_image(tree.root, tree.what)
    for pattern in patterns:
        if any(pattern.matches(image.platform) for dummy, image in found):
            continue
        lost = next((item for item in tree.absent if pattern.matches(platform_of(item))), None)
        if lost:
            text = f"{tree.what} names {lost.digest} for {pattern}, which is not in {tree.repository}."
            raise NotFound(text, "MANIFEST_UNKNOWN", host)
        if tree.root.is_index:
            with tree.repository.named():
                raise no_platform(tree.root, pattern, tree.what)
        text = f"{tree.what} is a single image for {found[0][1].platform}, and {pattern} was asked for."
        raise ContentError(text, "PLATFORM_NOT_FOUND", host)
    chosen = [leaf for leaf in found if not patterns or any(one.matches(leaf[1].platform) for one in patterns)]
    if not chosen:
        raise ContentError(f"{tree.what} is an index without images.", "NOT_AN_IMAGE", host)
    return chosen


def _wish(
    seen: _Seen, chosen: list[tuple[Identity, Image]], edit: Edit, edit_index: t.Callable[[Manifest], Manifest]
) -> _Wish:
    """Edit the chosen images, and rebuild what is above them."""
    edits = {slot: edit(image, seen.existing(image)) for slot, image in chosen}
    editor = _Editor(seen.tree, edits)
    root = editor.rebuilt(seen.tree.root.descriptor, seen.tree.root)
    root = edit_index(root) if root.is_index else root
    editor.known[root.digest] = root
    left = [f"Leave {item.digest} as it is: it is not in {seen.tree.repository}." for item in seen.tree.absent]
    return _Wish(root, editor.known, edits, (*editor.notes, *left))


def _wish_artifact(tree: Tree, edit: t.Callable[[Manifest], Manifest]) -> _Wish:
    root = edit(tree.root)
    return _Wish(root, {root.digest: root}, {identity(root.descriptor): Edited(root, {})}, ())


@dataclass
class _Editor:
    """Rebuilds the indexes above images that were edited."""

    tree: Tree
    edits: t.Mapping[Identity, Edited]
    known: dict[str, Manifest] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rebuilt(self, item: Descriptor, manifest: Manifest) -> Manifest:
        """Return what the manifest that a descriptor leads to becomes."""
        edited = self.edits.get(identity(item))
        new = edited.manifest if edited else self.index(manifest) if manifest.is_index else manifest
        self.known[new.digest] = new
        return new

    def index(self, index: Manifest) -> Manifest:
        """Return an index of the edited members; attestations follow the image that they describe."""
        found: list[Json] = []
        for member in members(index):
            old, subject = self.tree.manifests.get(member.digest), attests(member)
            if old is None:
                found.append(member.json)
            elif subject:
                found += self.attestation(member, old, subject)
            else:
                found.append(self.member(member, old))
        value = dict(index.json, manifests=found)
        return index if value == index.json else build(value, index.media_type)

    def member(self, member: Descriptor, old: Manifest) -> Json:
        """Return the descriptor of a member after the edit: what it says of platform and base follows the image."""
        new = self.rebuilt(member, old)
        if new.digest == member.digest:
            return member.json
        value = {**member.json, "mediaType": new.media_type, "digest": new.digest, "size": len(new.raw)}
        value.pop("data", None)
        if isinstance(value.get("platform"), dict):
            merged = {**value["platform"], **self.platform_changes(member, old)}
            value["platform"] = {key: item for key, item in merged.items() if item}
        if value.get("annotations"):
            said = new.json.get("annotations") or {}
            both = {key: said[key] for key in (BASE_NAME, BASE_DIGEST) if key in said and key in value["annotations"]}
            value["annotations"] = {**value["annotations"], **both}
        return value

    def platform_changes(self, member: Descriptor, old: Manifest) -> Json:
        """Return what the edit changed in the platform of an image, or of all images of an index alike."""
        found = []
        for item, dummy in leaves(old, self.tree.manifests) if old.is_index else [(member, old)]:
            edit, image = self.edits.get(identity(item)), self.tree.images.get(item.digest)
            if edit and image:
                before, after = image.config, edit.config
                found.append({key: after.get(key) for key in _PLATFORM_KEYS if after.get(key) != before.get(key)})
        return found[0] if found and all(each == found[0] for each in found) else {}

    def attestation(self, member: Descriptor, old: Manifest, subject: str) -> list[Json]:
        """Return the descriptor of an attestation of what its image has become; none where it would not be true."""
        described = [edit for (digest, dummy), edit in self.edits.items() if digest == subject]
        every = [
            identity(item) for item, dummy in leaves(self.tree.root, self.tree.manifests) if item.digest == subject
        ]
        stays = any(slot not in self.edits or self.edits[slot].manifest.digest == subject for slot in every)
        if not described or stays:
            self.known[old.digest] = old
            return [member.json]
        if any(edit.files_changed for edit in described):
            text = f"Drop the attestation {member.digest}: it describes files that {subject} no longer has."
            self.notes.append(text)
            return []
        return [self.reattached(member, old, described[0].manifest)]

    def reattached(self, member: Descriptor, old: Manifest, image: Manifest) -> Json:
        """Return the descriptor of an attestation for the image that took the place of the one it was made for."""
        new = old
        if "subject" in old.json:
            subject = {**old.json["subject"], **image.descriptor.json}
            new = build({**old.json, "subject": subject}, old.media_type)
        self.known[new.digest] = new
        annotations = {**member.json["annotations"], "vnd.docker.reference.digest": image.digest}
        value = {**member.json, "digest": new.digest, "size": len(new.raw), "annotations": annotations}
        if new is not old:
            value.pop("data", None)
        return value


def _plan(session: Session, seen: _Seen, wish: _Wish, target: Target, settled: bool, extra: dict[str, t.Any]) -> Plan:
    draft, tree = Draft(), seen.tree
    after = _summary(target.reference, wish.root, wish.known, tree, wish.edits)
    before = after if target.previous == wish.root.digest else _old_summary(target, seen.there)
    if settled:
        draft.note(*target.notes(wish.root.digest))
        after = before
    else:
        draft.note(*wish.notes)
        if seen.in_place:
            from .beside import left_signatures

            draft.warn(*left_signatures(target))
        draft.warn(*_unreadable(tree, wish))
        plan_content(session, draft, [_wanted(tree, wish, target)])
        target.plan(draft, wish.root)
    digest = str(target.previous if settled else wish.root.digest)
    result = {
        "reference": str(seen.where.with_digest(digest)),
        "digest": digest,
        "media_type": target.found.media_type if settled and target.found else wish.root.media_type,
        "previous_digest": target.previous,
        **extra,
    }
    return draft.plan(result, before, after)


def _unreadable(tree: Tree, wish: _Wish) -> t.Iterator[str]:
    """Say which edited images keep layers that no engine reads, as the images that they were made of have them."""
    for edited in wish.edits.values():
        if edited.manifest.digest in tree.manifests:
            continue
        for layer in parts(edited.manifest, "layers"):
            if layer.media_type == DOCKER_ZSTD:
                text = f"{tree.what} has the layer {layer.digest} in zstd, which the format of Docker does not have and"
                yield f"{text} no engine reads, and so has the result; oci_flatten makes one of it that can be read."


def _wanted(tree: Tree, wish: _Wish, target: Target) -> Wanted:
    local: dict[str, Open] = {}
    elsewhere: dict[str, Repository] = {}
    for edited in wish.edits.values():
        local.update(edited.local)
        elsewhere.update(edited.elsewhere)
    absent = {item.digest for item in tree.absent}
    root, by_digest = wish.root.descriptor, refers(wish.root)
    return Wanted(tree.repository, target.repository, root, wish.known, local, by_digest, elsewhere, absent)


def _image_summary(manifest: Manifest, config: Json) -> Json:
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
    reference: Reference,
    root: Manifest,
    known: t.Mapping[str, Manifest],
    tree: Tree,
    edits: t.Mapping[Identity, Edited],
) -> Json:
    configs = {digest: image.config for digest, image in tree.images.items()}
    configs.update({edited.manifest.digest: edited.config for edited in edits.values()})
    found = [leaf.manifest for leaf in leaves(root, known) if leaf.manifest.digest in configs]
    images = [_image_summary(manifest, configs[manifest.digest]) for manifest in found]
    shown: Json = {"reference": str(reference), "digest": root.digest, "images": images}
    if root.json.get("annotations") and root.is_index:
        shown["annotations"] = root.json["annotations"]
    return shown


def _old_summary(target: Target, there: Tree | None) -> Json:
    if there is None or target.previous is None:
        return {"reference": str(target.reference), "digest": target.previous, "images": []}
    return _summary(target.reference, there.root, there.manifests, there, {})
