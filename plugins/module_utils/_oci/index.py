# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of an index: adding, replacing, removing, describing (OCI image-spec, image-index.md)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError, InvalidInput, Refused
from .image import artifact_type, attests, build, not_image
from .manifest import Descriptor, Json, Manifest
from .mediatype import DOCKER_LIST, DOCKER_MANIFEST
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


def place(member: Descriptor) -> tuple[str, ...] | None:
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


def merge(existing: t.Iterable[Descriptor], wanted: t.Iterable[Member]) -> list[Descriptor]:
    """Return the members with the wanted ones among them, each digest once, in a stable order.

    A new one takes the place of what there is for its platform, else it comes last. What was replaced goes, and with
    it its attestations.
    """
    there: dict[str, Descriptor] = {}
    for old in existing:
        there.setdefault(old.digest, old)
    made: dict[str, Descriptor] = {}
    for member in wanted:
        digest = member.item.digest
        made[digest] = member.over(made.get(digest) or there.get(digest))
    fresh = [item for item in made.values() if item.digest not in there]
    spots = {place(item) for item in made.values()} - {None}
    replaced = {old.digest for old in there.values() if old.digest not in made and place(old) in spots}
    result: list[Descriptor] = []
    for old in there.values():
        if old.digest in made:
            result.append(made[old.digest])
        elif old.digest in replaced:
            heirs = [item for item in fresh if place(item) == place(old)][:1]
            result += heirs
            fresh = [item for item in fresh if item not in heirs]
        elif attests(old) not in replaced:
            result.append(old)
    return result + fresh


def without(existing: t.Sequence[Descriptor], gone: t.Callable[[Descriptor], bool]) -> list[Descriptor]:
    """Return the members but those that are to go, and the attestations of these."""
    digests = {item.digest for item in existing if gone(item)}
    return [item for item in existing if item.digest not in digests and attests(item) not in digests]


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
    kind = f"{what} is a manifest list of Docker's format"
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


def select_member(index: Manifest, wanted: Platform, what: str) -> Descriptor:
    """Return the first member of an index for a platform, or raise ContentError that lists those it has."""
    for member in members(index):
        if wanted.matches(platform_of(member)):
            return member
    raise no_platform(index, wanted, what)


def no_platform(index: Manifest, wanted: Platform, what: str) -> ContentError:
    """Return the error for a platform that an index does not have; attestations are none to offer."""
    found = (platform_of(member) for member in members(index))
    have = ", ".join(sorted({str(platform) for platform in found if platform and platform.os != "unknown"}))
    text = f"{what} has no image for {wanted}; it has {have or 'none that names a platform'}."
    return ContentError(text, "PLATFORM_NOT_FOUND")


def filter_index(index: Manifest, wanted: t.Sequence[Platform], what: str) -> Manifest:
    """Return the index with only the members for the wanted platforms, and the attestations of those.

    Order, annotations and unknown fields stay. Every wanted platform must be there (PLATFORM_NOT_FOUND).
    The same index comes back, byte for byte, when nothing is left out.
    """
    for platform in wanted:
        select_member(index, platform, what)
    chosen = [member for member in members(index) if any(one.matches(platform_of(member)) for one in wanted)]
    digests = {member.digest for member in chosen}
    keep = [member for member in members(index) if member.digest in digests or attests(member) in digests]
    if len(keep) == len(members(index)):
        return index
    return build(dict(index.json, manifests=[dict(member.json) for member in keep]), index.media_type)


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
