# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names a simple signature may claim (containers-policy.json(5), "signedIdentity"); compared normalised."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._errors import InvalidInput
from .._oci.reference import Reference, check_repository, parse_host

ANY = "any"
MATCH_DEFAULT, MATCH_EXACT, MATCH_REPOSITORY = "matchRepoDigestOrExact", "matchExact", "matchRepository"
EXACT_REFERENCE, EXACT_REPOSITORY, REMAP = "exactReference", "exactRepository", "remapIdentity"


@dataclass(frozen=True)
class Identity:
    """One rule about the name that is claimed. ``named`` goes with exact..., the prefixes with remapIdentity."""

    kind: str
    named: Reference | None = None
    prefix: str = ""
    signed_prefix: str = ""

    def accepts(self, image: Reference, claim: str) -> bool:
        """Say whether a signature of the image may claim this name; what is no name is accepted by `any` alone."""
        if self.kind == ANY:
            return True
        try:
            claimed = Reference.parse(claim)
            wanted = self._wanted(image)
        except InvalidInput:
            return False
        if self.kind in (MATCH_REPOSITORY, EXACT_REPOSITORY):
            return claimed.name == wanted.name
        if not claimed.tag and not claimed.digest:
            return False
        if self.kind in (MATCH_DEFAULT, REMAP) and wanted.digest:  # the digest in the payload is compared elsewhere
            return claimed.name == wanted.name
        return claimed == wanted

    def _wanted(self, image: Reference) -> Reference:
        if self.named:
            return self.named
        image = settled(image)
        if self.kind != REMAP or not f"{image.name}/".startswith(f"{self.prefix}/"):
            return image
        name = self.signed_prefix + image.name[len(self.prefix) :]
        signed = Reference.parse_repository(name)
        if signed.name != name:  # a prefix without a host would lead to Docker Hub
            raise InvalidInput(f"{name!r} is not a name in full.", "INVALID_REFERENCE")
        return replace(image, registry=signed.registry, repository=signed.repository)


def settled(image: Reference) -> Reference:
    """Return a reference as Docker's tools take it: the tag latest where it has none, no tag beside a digest."""
    return image.with_digest(image.digest) if image.digest else image.with_tag(image.tag or "latest")


def exact_reference(text: str) -> Identity:
    """Only this name, which has a tag or a digest; InvalidInput otherwise."""
    named = Reference.parse(text)
    if not named.tag and not named.digest:
        raise InvalidInput(f"{text!r} has neither a tag nor a digest.", "INVALID_REFERENCE")
    return Identity(EXACT_REFERENCE, named)


def exact_repository(text: str) -> Identity:
    """Any tag or digest of this repository, or its name alone."""
    return Identity(EXACT_REPOSITORY, Reference.parse(text))


def remapped(prefix: str, signed_prefix: str) -> Identity:
    """What lies under one prefix (a host, or a host and part of a path) was signed as what lies under the other."""
    for text in (prefix, signed_prefix):
        host, slash, path = text.partition("/")
        parse_host(host)
        if slash:
            check_repository(path, text)
    return Identity(REMAP, None, prefix, signed_prefix)


def parse_identity(value: t.Any) -> tuple[Identity, ...]:
    """Read the option ``identity`` of a trust: `any`, `repository`, `reference`, or names of which one is claimed."""
    words = {ANY: ANY, "repository": MATCH_REPOSITORY, "reference": MATCH_DEFAULT}
    listed = [value] if isinstance(value, str) and value in words else value
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise InvalidInput(f"identity must be any, repository, reference, or a list of names, not {value!r}.")
    if len(listed) == 1 and listed[0] in words:  # Ansible gives a word to a list option in a list
        return (Identity(words[listed[0]]),)
    if words.keys() & set(listed):
        raise InvalidInput(f"identity: any, repository and reference stand alone, not in a list such as {value!r}.")
    found = [Reference.parse(name) for name in listed]
    return tuple(Identity(EXACT_REFERENCE if name.tag or name.digest else EXACT_REPOSITORY, name) for name in found)
