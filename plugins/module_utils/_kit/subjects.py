# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of what refers to a subject, where the registry does not keep them.

See distribution-spec, "Referrers Tag Schema".
"""

from __future__ import annotations

import typing as t
from functools import partial

from .._errors import Refused
from .._oci.manifest import Manifest
from .._oci.parts import members, parts
from .._plan import ContentStep, Cost
from .._registry.client import Repository
from .._registry.manifests import put
from .._registry.referrers import digest_tag, merged_index, referrers_by_api, referrers_by_tag

_RACES = 5  # with other writers of one list


def list_steps(referrers: t.Iterable[tuple[Repository, Manifest]]) -> list[ContentStep]:
    """Return the steps that list referrers under their subject's tag, where their repository has no referrers API."""
    by_subject: dict[tuple[str, str], list[Manifest]] = {}
    repositories: dict[str, Repository] = {}
    for dest, manifest in referrers:
        repositories[str(dest)] = dest
        for subject in parts(manifest, "subject"):
            by_subject.setdefault((str(dest), subject.digest), []).append(manifest)
    steps = []
    for (name, digest), found in by_subject.items():
        repository = repositories[name]
        if referrers_by_api(repository, digest) is not None:
            continue
        old = referrers_by_tag(repository, digest)
        new = merged_index(old, found)
        if old is None or new.digest != old.digest:
            tag = digest_tag(digest)
            steps.append(
                ContentStep(
                    f"List {len(members(new))} referrers of {digest} under {repository.full(tag)}.",
                    partial(put_list, repository, digest, found),
                    Cost(bytes_sent=len(new.raw), bytes_received=len(new.raw) + (len(old.raw) if old else 0)),
                    stage="lists of referrers",
                    key=(name, digest),
                    below=[manifest.digest for manifest in found],
                )
            )
    return steps


def put_list(repository: Repository, subject: str, manifests: list[Manifest]) -> None:
    """List manifests as referrers of a digest, beside what others list there at the same time.

    Another writer may have read the same old list and written after us, so it is looked at again a while later.
    Raises Refused where others are faster every time.
    """
    for tried in range(_RACES):
        old = referrers_by_tag(repository, subject)
        new = merged_index(old, manifests)
        if old is not None and new.digest == old.digest:
            return
        put(repository, digest_tag(subject), new)
        repository.registry.transport.wait(0.5 * 2**tried)  # seconds
    old = referrers_by_tag(repository, subject)
    if old is None or merged_index(old, manifests).digest != old.digest:
        text = f"The list of referrers of {repository}@{subject} was overwritten by others {_RACES} times"
        raise Refused(f"{text}; run this task again when they are done.", "TAG_MOVED", repository.registry.host)
