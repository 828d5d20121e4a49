# SPDX-License-Identifier: GPL-3.0-or-later
"""The config of an image: labels, environment, history, layers (crane config)."""

from __future__ import annotations

import typing as t

from .._errors import ContentError
from .._kit.image import described, find, read_config
from .._oci.parts import parts
from .._oci.query import compile_query
from .._registry.session import Session


def config_info(session: Session, *, name: str, platform: str | None, query: str | None) -> dict[str, t.Any]:
    """Return the parsed config; of an index, that of the platform, ``linux/amd64`` where none is named."""
    search = compile_query(query)
    reference, repository, manifest = find(session, name, "linux/amd64" if platform is None else platform)
    config = None
    if manifest:
        if not parts(manifest, "config"):
            raise ContentError(f"{reference} has no config.", "NOT_AN_IMAGE", reference.registry)
        config = read_config(repository, manifest, str(reference))
    return {**described(reference, manifest), "config": config, "query_result": search(config) if manifest else None}
