# SPDX-License-Identifier: GPL-3.0-or-later
"""Platforms: ``os[/arch[/variant]][:os.version]`` (OCI image-spec, image-index.md, "platform")."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_PLATFORM = re.compile(r"([\w.-]+)(?:/([\w.-]+))?(?:/([\w.-]+))?(?::(.+))?", re.ASCII)


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
        match = _PLATFORM.fullmatch(text)
        if not match:
            why = f"{text!r} is not a platform; write os/arch or os/arch/variant, such as linux/amd64."
            raise InvalidInput(why, "INVALID_PLATFORM")
        system, architecture, variant = ((part or "").lower() for part in match.group(1, 2, 3))
        return cls(system, _ALIASES.get(architecture, architecture), variant, match.group(4) or "")

    @classmethod
    def from_json(cls, value: t.Any) -> Platform | None:
        """Read the ``platform`` of a descriptor, or the same keys of an image config; None when there is none."""
        if not isinstance(value, dict) or not value.get("os"):
            return None
        return cls(*(str(value.get(key) or "") for key in ("os", "architecture", "variant", "os.version")))

    def __str__(self) -> str:
        text = "/".join(part for part in (self.os, self.architecture, self.variant) if part)
        return f"{text}:{self.os_version}" if self.os_version else text

    def matches(self, other: Platform | None) -> bool:
        """Does ``other`` satisfy this pattern? 64-bit Arm is v8 whether or not it says so."""
        if other is None:
            return False
        usual = "v8" if "arm64" in (self.architecture, other.architecture) else ""
        return (
            self.os == other.os
            and self.architecture in ("", other.architecture)
            and self.variant in ("", other.variant or usual)
            and self.os_version in ("", other.os_version)
        )
