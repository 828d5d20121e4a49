# SPDX-License-Identifier: GPL-3.0-or-later
"""Save images in a file or a folder (crane pull)."""

from __future__ import annotations

from .._archives.atomic import Prepare
from .._archives.layout import DOCKER_ARCHIVE
from .._kit.saved import result
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._plan import Draft, Plan
from .._registry.session import Session


def plan_pull(
    session: Session,
    *,
    name: str | None,
    names: list[str] | None,
    path: str,
    format: str,
    platform: str | None,
    force: bool,
    prepare: Prepare = lambda temporary: None,
) -> Plan:
    """Plan what brings images to ``path``; what is there and right is left alone without a download.

    ``prepare`` gets the finished archive before that has its name, and the folder of a new layout.
    """
    wanted = None if platform is None else Platform.parse(platform)
    found = [Reference.parse(text) for text in (names or [] if name is None else [name])]
    references = list({str(reference): reference for reference in found}.values())
    if not references:
        return Draft().plan(result(path, [], None), {}, {})
    if format == DOCKER_ARCHIVE:
        from .._kit.save_archive import plan_docker_archive

        return plan_docker_archive(session, references, path, wanted, force, prepare)
    from .._kit.save_layout import plan_oci

    return plan_oci(session, references, path, format, wanted, force, prepare)
