# SPDX-License-Identifier: GPL-3.0-or-later
"""The config of an image: labels, environment, history, layers (crane config)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._oci.manifest import parse_json
from .._oci.platform import Platform
from .._oci.query import compile_query
from .._registry.blobs import read_blob
from .._registry.session import Session
from ._image import DEFAULT, described, find, member


def config_info(session: Session, *, name: str, platform: str | None, query: str | None) -> dict[str, t.Any]:
    """Return the parsed config; of an index, that of the platform, ``linux/amd64`` where none is named."""
    search = compile_query(query)
    wanted = Platform.parse(platform) if platform else DEFAULT
    reference, repository, manifest = find(session, name)
    config = None
    if manifest:
        manifest = member(repository, reference, manifest, wanted)
        if manifest.config is None:
            raise ContentError("%s has no config." % reference, code="NOT_AN_IMAGE", registry=reference.registry)
        with repository.registry.named():
            config = parse_json(read_blob(repository, manifest.config), "The config of %s" % reference)
    return {
        **described(reference, manifest),
        "config": config,
        "query_result": search(config) if config is not None else None,
    }
