# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of an image that is for some platforms."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._oci.filter import filter_index
from .._oci.manifest import Manifest, parse_json
from .._oci.parts import checked, parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._registry.client import Repository
from .._registry.read import read_blob


def filtered(source: Repository, reference: Reference, platforms: t.Sequence[Platform]) -> Manifest:
    """Return an index with the wanted platforms alone; a single image is as good if it is of one of them."""
    manifest = checked(source.get(reference.target), str(reference))
    if manifest.is_index:
        return filter_index(manifest, platforms, str(reference))
    configs = parts(manifest, "config")
    config = parse_json(read_blob(source, configs[0]), f"The config of {reference}") if configs else None
    own = Platform.from_json(config)
    for wanted in platforms:
        if not wanted.matches(own):
            text = f"{reference} is a single image for {own or 'no platform'}, and {wanted} was asked for."
            raise ContentError(text, "PLATFORM_NOT_FOUND", reference.registry)
    return manifest
