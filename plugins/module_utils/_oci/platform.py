# SPDX-License-Identifier: GPL-3.0-or-later
"""Platforms: ``os[/arch[/variant]][:os.version]`` (OCI image-spec, image-index.md, "platform")."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_PART = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Platform:
    """A platform, or a pattern for platforms: a part that is empty matches anything."""

    os: str
    architecture: str = ""
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse what a user typed: ``linux``, ``linux/arm64``, ``linux/arm/v7``, ``windows/amd64:10.0.17763``."""
        body, colon, version = text.partition(":")
        parts = body.split("/")
        if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts) or (colon and not version):
            raise InvalidInput(
                "%r is not a platform; write os/arch or os/arch/variant, such as linux/amd64." % text,
                code="INVALID_PLATFORM",
            )
        parts = [part.lower() for part in parts] + ["", ""]
        return cls(parts[0], _ALIASES.get(parts[1], parts[1]), parts[2], version)

    @classmethod
    def from_json(cls, value: t.Mapping[str, t.Any] | None) -> Platform | None:
        """Read the ``platform`` of a descriptor, or the same keys of an image config; None when there is none."""
        if not isinstance(value, t.Mapping) or not value.get("os"):
            return None
        keys = ("os", "architecture", "variant", "os.version")
        return cls(*(str(value.get(key) or "") for key in keys))

    def __str__(self) -> str:
        text = "/".join(part for part in (self.os, self.architecture, self.variant) if part)
        return "%s:%s" % (text, self.os_version) if self.os_version else text

    @property
    def unknown(self) -> bool:
        """Is it ``unknown/unknown``, the mark of an attestation?"""
        return self.os == "unknown"

    def matches(self, other: Platform | None) -> bool:
        """Does ``other`` satisfy this pattern? 64-bit Arm is v8 whether or not it says so."""
        if other is None:
            return False
        variants = {self.variant, other.variant}
        same_variant = not self.variant or len(variants) == 1
        if not same_variant and "arm64" in (self.architecture, other.architecture):
            same_variant = variants <= {"", "v8"}
        return (
            self.os == other.os
            and self.architecture in ("", other.architecture)
            and same_variant
            and self.os_version in ("", other.os_version)
        )
