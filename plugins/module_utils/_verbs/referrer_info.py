# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image: signatures, attestations, SBOMs, and what hangs on these."""

from __future__ import annotations

import typing as t
from functools import partial

from .._errors import InvalidInput
from .._kit.beside import Referrer, look_at_referrers
from .._kit.image import described
from .._oci.manifest import Json
from .._oci.reference import Reference
from .._oci.walk import MAX_DEPTH
from .._registry.client import Repository
from .._registry.referrers import endless
from .._registry.session import Session


def referrer_info(session: Session, *, name: str, artifact_type: list[str], depth: int) -> Json:
    """Return the referrers of an image, ``depth`` levels of them, and what cosign's tags hold.

    With ``artifact_type``, those of these types, and what leads to them.
    """
    if depth < 1:
        raise InvalidInput(f"depth must be at least 1, not {depth}.")
    reference = Reference.parse(name)
    repository = session.repository(reference)
    found = repository.head(reference.target)
    below = _look(session, repository, found.digest, depth) if found else {}
    rows = _rows(found.digest, below, frozenset(artifact_type)) if found else []
    return {**described(reference, found), "referrers": rows}


def _look(session: Session, repository: Repository, digest: str, depth: int) -> dict[str, list[Referrer]]:
    """Return the referrers of a digest, and of each of these, by what they refer to, level by level.

    Raises ContentError below MAX_DEPTH.
    """
    found: dict[str, list[Referrer]] = {}
    level = [digest]
    for above in range(depth):
        if above == MAX_DEPTH and level:
            raise endless(repository, level[0])
        found.update(zip(level, session.map(partial(look_at_referrers, repository), level, "manifests")))
        inner = [one.item.digest for digest in level for one in found[digest]]
        level = [digest for digest in dict.fromkeys(inner) if digest not in found]
    return found


def _rows(digest: str, found: dict[str, list[Referrer]], kinds: frozenset[str]) -> list[dict[str, t.Any]]:
    """Return the rows below a digest, and take them out: a list that lies may name one digest below several."""
    rows = []
    for one in found.pop(digest, ()):
        inner = _rows(one.item.digest, found, kinds)
        if not kinds or one.kind in kinds or inner:
            rows.append(
                {
                    "digest": one.item.digest,
                    "media_type": one.item.media_type,
                    "artifact_type": one.kind,
                    "size": one.item.size,
                    "annotations": one.annotations,
                    "tag": one.tag,
                    "referrers": inner,
                }
            )
    return rows
