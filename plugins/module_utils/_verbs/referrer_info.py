# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image: signatures, attestations, SBOMs, and what hangs on these."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import InvalidInput, NotFound
from .._kit.image import described
from .._oci.image import artifact_type as type_of
from .._oci.manifest import Descriptor, Json
from .._oci.parts import parts
from .._oci.reference import Reference
from .._oci.walk import MAX_DEPTH
from .._registry.client import Repository
from .._registry.referrers import COSIGN_SUFFIXES, digest_tag, endless, get_tagged, referrers
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


@dataclass(frozen=True)
class _Referrer:
    item: Descriptor
    kind: str | None
    tag: str | None
    annotations: Json


def _look(session: Session, repository: Repository, digest: str, depth: int) -> dict[str, list[_Referrer]]:
    """Return the referrers of a digest, and of each of these, by what they refer to, level by level.

    Raises ContentError below MAX_DEPTH.
    """
    found: dict[str, list[_Referrer]] = {}
    level = [digest]
    for above in range(depth):
        if above == MAX_DEPTH and level:
            raise endless(repository, level[0])
        found.update(zip(level, session.map(partial(_referrers, repository), level)))
        inner = [one.item.digest for digest in level for one in found[digest]]
        level = [digest for digest in dict.fromkeys(inner) if digest not in found]
    return found


def _referrers(repository: Repository, digest: str) -> list[_Referrer]:
    listed = [_listed(repository, item) for item in referrers(repository, digest)]
    tagged = [_tagged(repository, digest_tag(digest) + suffix) for suffix in COSIGN_SUFFIXES]
    return [*listed, *(one for one in tagged if one)]


def _listed(repository: Repository, item: Descriptor) -> _Referrer:
    """Read what a list says of a referrer; some lists leave the type out, and the referrer has it."""
    kind: str | None = item.json.get("artifactType")
    if not isinstance(kind, str) or not kind:
        try:
            kind = type_of(repository.get(item.digest))
        except NotFound:  # a list may name what is gone
            kind = None
    return _Referrer(item, kind, None, item.json.get("annotations") or {})


def _tagged(repository: Repository, tag: str) -> _Referrer | None:
    manifest = get_tagged(repository, tag)
    if manifest is None:
        return None
    layers = parts(manifest, "layers")
    kind = layers[0].media_type if layers else None
    return _Referrer(manifest.descriptor, kind, tag, manifest.json.get("annotations") or {})


def _rows(digest: str, found: dict[str, list[_Referrer]], kinds: frozenset[str]) -> list[dict[str, t.Any]]:
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
