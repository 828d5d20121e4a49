# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of a repository, chosen by rules (crane ls)."""

from __future__ import annotations

import typing as t

from .._oci.query import compile_query
from .._oci.reference import Reference
from .._oci.tagrules import tag_chooser
from .._registry.session import Session
from .._registry.tags import list_tags


def tag_info(
    session: Session,
    *,
    name: str,
    include: list[str],
    exclude: list[str],
    semver: t.Any,
    newest: int | None,
    sort_by: str,
    per: str | None,
    omit_digest_tags: bool,
    digests: bool,
    query: str | None,
) -> dict[str, t.Any]:
    """Return the chosen tags, and with ``digests`` what each of them points at (a HEAD for each)."""
    search = compile_query(query)
    choose = tag_chooser(include, exclude, semver, newest, omit_digest_tags, sort_by, per)
    reference = Reference.parse_repository(name)
    repository = session.repository(reference)
    chosen = choose(list_tags(repository))
    found = session.map(repository.head, chosen, "tags") if digests else []
    resolved = {tag: head.digest for tag, head in zip(chosen, found) if head}
    names = [str(reference.with_tag(tag)) for tag in chosen]
    result: dict[str, t.Any] = {"tags": chosen, "references": names, "digests": resolved if digests else None}
    return {**result, "query_result": search(result)}
