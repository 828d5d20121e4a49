# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of an index: adding, replacing, removing, describing (OCI image-spec, image-index.md)."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError, InvalidInput, Refused
from .image import artifact_type, attests, build, not_image
from .manifest import Descriptor, Json, Manifest
from .mediatype import DOCKER_LIST, DOCKER_MANIFEST, INDEXES
from .parts import members
from .platform import Platform

_PLATFORM_KEYS = ("architecture", "os", "os.version", "os.features", "variant")

Changes = t.Mapping[str, t.Optional[str]]


@dataclass(frozen=True)
class Member:
    """What is to be in an index: a descriptor, and what is to be said of it besides; None removes an annotation."""

    item: Descriptor
    platform: Platform | None = None
    annotations: Changes = field(default_factory=dict)

    def over(self, there: Descriptor | None = None) -> Descriptor:
        """Return the descriptor for the index, made of the one that is ``there`` already, if any."""
        value = dict((there or self.item).json)
        if self.platform and Platform.from_json(value.get("platform")) != self.platform:
            value["platform"] = platform_json(self.platform)
        annotate(value, self.annotations)
        return Descriptor(self.item.media_type, self.item.digest, self.item.size, value)


def annotate(value: Json, changes: Changes) -> None:
    """Set annotations of a descriptor or an index, and remove those that are None."""
    found = {**(value.get("annotations") or {}), **changes}
    if changes:
        value["annotations"] = {key: text for key, text in found.items() if text is not None}
        if not value["annotations"]:
            del value["annotations"]


def platform_json(platform: Platform) -> Json:
    """Write a platform as descriptors have it. Raises InvalidInput where the operating system is all that it says."""
    if not platform.architecture:
        text = f"{platform} names no architecture; the platform of a member is written os/arch or os/arch/variant."
        raise InvalidInput(text, "INVALID_PLATFORM")
    value = {
        "architecture": platform.architecture,
        "os": platform.os,
        "variant": platform.variant,
        "os.version": platform.os_version,
    }
    return {key: text for key, text in value.items() if text}


def describe(manifest: Manifest, config: Json | None) -> Descriptor:
    """Return the descriptor of a manifest: of an image with the platform that its config names.

    Without a config it has none; an artifact's has its type.
    """
    value = dict(manifest.descriptor.json)
    if Platform.from_json(config):
        value["platform"] = {key: item for key, item in (config or {}).items() if key in _PLATFORM_KEYS and item}
    kind = manifest.json.get("artifactType") or (artifact_type(manifest) if not_image(manifest) else None)
    if kind and not manifest.is_index:
        value["artifactType"] = kind
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.raw), value)


Identity = tuple[str, str]
"""The digest and the platform of a member; an index may name one image for several platforms."""


def identity(member: Descriptor) -> Identity:
    """Return what tells a member from the others of its index."""
    return member.digest, str(platform_of(member) or "")


def slot(member: Descriptor) -> tuple[str, ...] | None:
    """Return what an index has only once: an image for a platform, the attestation of an image; None for all else.

    64-bit Arm is v8 whether or not it says so.
    """
    platform, subject = platform_of(member), attests(member)
    if subject:
        return ("attestation", subject)
    if not platform or platform.os == "unknown":
        return None
    variant = platform.variant or ("v8" if platform.architecture == "arm64" else "")
    features = str(member.json["platform"].get("os.features") or "")
    return (platform.os, platform.architecture, variant, platform.os_version, features)


@dataclass(eq=False)
class _Row:
    """A member of an index that is being changed: as it was (None: it is new), and as it is to be."""

    old: Descriptor | None
    item: Descriptor
    wanted: bool = False


def merge(existing: t.Iterable[Descriptor], wanted: t.Iterable[Member], exclusive: bool = False) -> list[Descriptor]:
    """Return the members with the wanted ones among them, in a stable order.

    A new one takes the place of what there is for its platform, else it comes last. What was replaced goes, and with
    it its attestations. With ``exclusive``, all goes that is not wanted.
    """
    rows = [_Row(old, old) for old in _once(existing)]
    wanted = list(wanted)
    for member in wanted:
        hits = _rows_of(member, rows, wanted)
        if not hits:
            hits = [_Row(None, member.item)]
            rows += hits
        for row in hits:
            row.item, row.wanted = member.over(row.item), True
    slots = {slot(row.item) for row in rows if row.wanted} - {None}
    replaced = [row for row in rows if not row.wanted and slot(row.item) in slots]
    gone = {row.item.digest for row in replaced} - {row.item.digest for row in rows if row not in replaced}
    new = [row for row in rows if row.old is None]
    result: list[_Row] = []
    for row in (row for row in rows if row.old):
        if row in replaced:
            heir = next((other for other in new if slot(other.item) == slot(row.item)), None)
            if heir:
                new.remove(heir)
                result.append(heir)
        elif row.wanted or attests(row.item) not in gone:
            result.append(row)
    return _once(row.item for row in [*result, *new] if row.wanted or not exclusive)


def _once(items: t.Iterable[Descriptor]) -> list[Descriptor]:
    """Return descriptors without those that say the very same."""
    return list({json.dumps(item.json, sort_keys=True): item for item in items}.values())


def _rows_of(member: Member, rows: list[_Row], wanted: list[Member]) -> list[_Row]:
    """Return the rows that a member is about, which has its digest: those for its platform, or for none that is named.

    Of an image that is wanted once, that is every row if no platform was given, and the only row there is otherwise,
    whose platform is changed. Of one that is wanted for several platforms, each has a row of its own.
    """
    same = [row for row in rows if row.item.digest == member.item.digest]
    platform = member.platform or platform_of(member.item)
    several = len({identity(each.over()) for each in wanted if each.item.digest == member.item.digest}) > 1
    if platform is None or not (member.platform or several):
        return same
    exact = [row for row in same if platform_of(row.item) == platform]
    silent = [row for row in same if platform_of(row.item) is None]
    return exact or silent or (same if len(same) == 1 and not several else [])


def without(existing: t.Sequence[Descriptor], gone: t.Callable[[Descriptor], bool]) -> list[Descriptor]:
    """Return the members but those that are to go, and the attestations of what is no longer there."""
    staying = [item for item in existing if not gone(item)]
    lost = {item.digest for item in existing if gone(item)} - {item.digest for item in staying}
    return [item for item in staying if attests(item) not in lost]


def make_index(base: Manifest | None, found: t.Sequence[Descriptor], media_type: str, annotations: Changes) -> Manifest:
    """Return an index of these members: ``base`` with all else that is in it, byte for byte where nothing changes."""
    value: Json = {"schemaVersion": 2, "mediaType": media_type}
    if base:
        value = dict(base.json)
        if base.media_type != media_type:
            value["mediaType"] = media_type
    value["manifests"] = [item.json for item in found]
    annotate(value, annotations)
    return base if base and value == base.json and base.media_type == media_type else build(value, media_type)


def check_index(index: Manifest, base: Manifest | None, what: str) -> None:
    """Refuse an index that no registry or client takes: without members, or a Docker list of what that cannot hold."""
    if not members(index):
        text = f"{what} would have no members left; oci_delete deletes an index."
        raise Refused(text, "EMPTY_INDEX")
    if index.media_type != DOCKER_LIST:
        return
    known = {item.digest: item.json for item in members(base)} if base and base.media_type == DOCKER_LIST else {}
    kind = f"{what} would be a manifest list of Docker's format"
    for item in members(index):
        if known.get(item.digest) == item.json:
            continue
        if item.media_type != DOCKER_MANIFEST:
            text = (
                f"{kind}, which holds Docker images alone, and {item.digest} has the type "
                f"{item.media_type}; set format: oci, whose indexes hold both."
            )
            raise InvalidInput(text)
        if item.json.get("annotations"):
            raise InvalidInput(f"{kind}, whose members have no annotations; set format: oci.")
    if index.json.get("annotations") and not (base and base.json.get("annotations") == index.json["annotations"]):
        raise InvalidInput(f"{kind}, which has no annotations; set format: oci.")


def platform_of(member: Descriptor) -> Platform | None:
    """Return the platform that an index gives a member, or None."""
    return Platform.from_json(member.json.get("platform"))


def no_platform(index: Manifest, wanted: Platform | str, what: str) -> ContentError:
    """Return the error for platforms that an index does not have; attestations are none to offer."""
    found = (platform_of(member) for member in members(index))
    have = ", ".join(sorted({str(platform) for platform in found if platform and platform.os != "unknown"}))
    text = f"{what} has no image for {wanted}; it has {have or 'none that names a platform'}."
    return ContentError(text, "PLATFORM_NOT_FOUND")


def filter_index(
    index: Manifest,
    wanted: t.Sequence[Platform],
    what: str,
    get: t.Callable[[Descriptor], Manifest] | None = None,
    own_platform: t.Callable[[Descriptor], Platform | None] = lambda member: None,
) -> Manifest:
    """Return the index with only the members for the wanted platforms, and the attestations of those.

    Order, annotations and unknown fields stay. Every wanted platform must be there (PLATFORM_NOT_FOUND). A member that
    is an index and names no platform counts, as a whole, for those of its own members; ``get`` reads it. Where nothing
    else is for a platform, it is the first of the images without one whose config names it, as ``own_platform`` reads
    it. The same index comes back, byte for byte, when nothing is left out.
    """
    found = [(member, _platforms_of(member, get)) for member in members(index)]
    silent = [item for item in members(index) if not (platform_of(item) or attests(item) or item.media_type in INDEXES)]
    by_config, missing = [], []
    for pattern in wanted:
        if not any(pattern.matches(platform) for dummy, platforms in found for platform in platforms):
            fitting = next((item for item in silent if pattern.matches(own_platform(item))), None)
            if fitting is None:
                missing.append(str(pattern))
            else:
                by_config.append(fitting)
    if missing:
        raise no_platform(index, " or ".join(missing), what)
    chosen = [
        member
        for member, platforms in found
        if any(pattern.matches(platform) for pattern in wanted for platform in platforms)
    ]
    chosen += by_config
    kept = {identity(member) for member in chosen}
    digests = {member.digest for member in chosen}
    keep = [member for member in members(index) if identity(member) in kept or attests(member) in digests]
    if len(keep) == len(members(index)):
        return index
    return build(dict(index.json, manifests=[dict(member.json) for member in keep]), index.media_type)


def _platforms_of(member: Descriptor, get: t.Callable[[Descriptor], Manifest] | None) -> list[Platform | None]:
    own = platform_of(member)
    if own or not get or member.media_type not in INDEXES:
        return [own]
    return [platform_of(inner) for inner in members(get(member)) if not attests(inner)]


def summary(member: Descriptor) -> dict[str, t.Any]:
    """Return a member as the modules show it."""
    platform = platform_of(member)
    return {
        "digest": member.digest,
        "platform": str(platform) if platform else None,
        "media_type": member.media_type,
        "size": member.size,
        "annotations": member.json.get("annotations") or {},
    }
