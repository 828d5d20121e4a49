# SPDX-License-Identifier: GPL-3.0-or-later
"""What refers to images that are copied: signatures, attestations and SBOMs, by the API or by tags."""

from __future__ import annotations

import typing as t
from functools import partial

from .._oci.manifest import Manifest
from .._oci.mediatype import INDEXES
from .._oci.parts import members, parts
from .._plan import Cost, Step
from .._registry.client import Repository
from .._registry.referrers import (
    COSIGN_SUFFIXES,
    add_to_list,
    digest_tag,
    merged_index,
    referrers_by_api,
    referrers_by_tag,
)
from .._registry.referrers import referrers as list_referrers
from .._registry.tags import list_tags
from .content import Content, Wanted

if t.TYPE_CHECKING:
    from .._verbs.copy import Copy


def find_referrers(copies: list[Copy]) -> tuple[list[Wanted], list[tuple[Copy, str]]]:
    """Return what refers to the images, their members and to those again, and cosign's tags for all of these."""
    wanted: dict[tuple[str, str], Wanted] = {}
    tagged: list[tuple[Copy, str]] = []
    tags_of = {str(copy.source): frozenset(list_tags(copy.source)) for copy in copies}
    for copy in copies:
        manifest = copy.filtered
        if manifest is None and copy.wanted.media_type in INDEXES:
            manifest = copy.source.get(copy.wanted.digest)
        subjects = [copy.wanted.digest, *(member.digest for member in (members(manifest) if manifest else []))]
        seen: set[str] = set()
        while subjects:
            digest = subjects.pop(0)
            if digest in seen:
                continue
            seen.add(digest)
            dest = copy.target.repository
            for item in list_referrers(copy.source, digest):
                wanted[str(dest), item.digest] = Wanted(copy.source, dest, item, put=True)
                subjects.append(item.digest)
            tags = (digest_tag(digest) + suffix for suffix in COSIGN_SUFFIXES)
            tagged += [(copy, tag) for tag in tags if tag in tags_of[str(copy.source)]]
    return list(wanted.values()), tagged


def list_steps(referrers: list[Wanted], content: Content) -> list[Step]:
    """Return the steps that list referrers under their subject's tag, where the destination has no referrers API."""
    by_subject: dict[tuple[str, str], list[Manifest]] = {}
    repositories = {str(want.dest): want.dest for want in referrers}
    for want in referrers:
        manifest = content.manifests[str(want.dest), want.root.digest]
        for subject in parts(manifest, "subject"):
            by_subject.setdefault((str(want.dest), subject.digest), []).append(manifest)
    steps = []
    for (name, digest), manifests in by_subject.items():
        repository = repositories[name]
        if referrers_by_api(repository, digest) is not None:
            continue
        old = referrers_by_tag(repository, digest)
        new = merged_index(old, manifests)
        if old is None or new.digest != old.digest:
            tag = digest_tag(digest)
            steps.append(
                Step(
                    f"List {len(members(new))} referrers of {digest} under {repository.full(tag)}.",
                    partial(add_to_list, repository, digest, manifests),
                    Cost(bytes_sent=len(new.raw), bytes_received=len(new.raw) + (len(old.raw) if old else 0)),
                    stage="lists of referrers",
                )
            )
    return steps
