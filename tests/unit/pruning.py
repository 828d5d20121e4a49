# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention with every option as it is by default, and what hangs together in the fake registry, told independently."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import _runner
from ansible_collections.quayside.registry.plugins.module_utils._oci.tagrules import is_digest_tag
from ansible_collections.quayside.registry.plugins.module_utils._options import plans
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.prune import plan_prune
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, login, make_session

ALL: dict[str, Any] = {"include": [".*"]}
FREE = {"min_keep": 0, "max_deletions": 9999, "max_share": 100}


def prune_options(registry: FakeRegistry, select: Any = None, keep: Any = None, **options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "name": f"{registry.host}/{REPO}" if options.get("names") is None else None,
        "names": None,
        "select": ALL if select is None else select,
        "keep": keep,
        "protect": ["latest"],
        "delete_untagged": "none",
        "delete_referrers": True,
        "state_path": None,
        "undo_path": None,
        "state": "absent",
        **FREE,
    }
    return {**defaults, **options}


def prune_plan(registry: FakeRegistry, *args: Any, session: Session | None = None, **options: Any) -> Plan:
    return plan_prune(session or make_session(login(registry)), **prune_options(registry, *args, **options))


def prune(registry: FakeRegistry, *args: Any, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run it as a module does, and return all of its results, with the diff and the warnings."""
    session = make_session(login(registry))
    params = prune_options(registry, *args, **options)
    declaration = plans(plan_prune, {name: {} for name in params})
    result = _runner.run(declaration, session, params, check=check, diff=True)
    return {**result, "warnings": list(session.transport.warnings)}


def names(rows: list[dict[str, Any]]) -> list[str]:
    """The tags, and the digests, that rows of a result are of."""
    return sorted(row["reference"].rpartition("@" if "@" in row["reference"] else ":")[2] for row in rows)


def rules(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {names([row])[0]: row["rule"] for row in rows}


def add_beside(registry: FakeRegistry, digest: str, suffix: str = ".sig", repo: str = REPO) -> str:
    """What cosign stores under a tag that is made of a digest; returns its own digest."""
    layer = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": len(digest + suffix),
        "digest": registry.add_blob(repo, (digest + suffix).encode()),
    }
    config = {"mediaType": OCI_EMPTY, "size": 2, "digest": registry.add_blob(repo, b"{}")}
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    return registry.add_manifest(repo, body, tag=tag_of(digest) + suffix)


def tag_of(digest: str) -> str:
    return digest.replace(":", "-")[:71]


def add_list(registry: FakeRegistry, subject: str, repo: str = REPO) -> None:
    """The tag that lists the referrers of a digest where there is no API, made anew of all that refer to it."""
    found = [digest for digest in registry.manifests(repo) if subject_of(registry, digest, repo) == subject]
    entries = [
        {name: registry.descriptor(repo, each)[name] for name in ("mediaType", "size", "digest")} for each in found
    ]
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    registry.add_manifest(repo, body, tag=tag_of(subject))


def content(registry: FakeRegistry, digest: str, repo: str = REPO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(registry.manifests(repo)[digest].body)
    return found


def subject_of(registry: FakeRegistry, digest: str, repo: str = REPO) -> str:
    return str(content(registry, digest, repo).get("subject", {}).get("digest", ""))


def needed(registry: FakeRegistry, tags: list[str], repo: str = REPO) -> set[str]:
    """All manifests that must stay for these tags: members, referrers, and what lies under the tags of digests."""
    manifests, known = registry.manifests(repo), registry.tags(repo)
    found: set[str] = set()
    todo = [known[tag] for tag in tags]
    while todo:
        digest = todo.pop()
        if digest in found or digest not in manifests:
            continue
        found.add(digest)
        todo += [member["digest"] for member in content(registry, digest, repo).get("manifests", [])]
        todo += [each for each in manifests if subject_of(registry, each, repo) == digest]
        todo += [known[tag] for tag in known if is_digest_tag(tag) and tag.partition(".")[0] == tag_of(digest)]
        todo += [subject for subject in [subject_of(registry, digest, repo)] if subject]
    return found
