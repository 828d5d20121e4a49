# SPDX-License-Identifier: GPL-3.0-or-later
"""More tags for an image."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    Denied,
    InvalidInput,
    NotFound,
    Refused,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.tag import plan_tag
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    fails,
    login,
    make_session,
)


def plan(registry: FakeRegistry, *tags: str, name: str = ":1", on_existing: str = "replace") -> tuple[Session, Plan]:
    session = make_session(login(registry))
    return session, plan_tag(session, name=f"{registry.host}/{REPO}{name}", tags=list(tags), on_existing=on_existing)


def run(registry: FakeRegistry, *tags: str, **options: Any) -> Plan:
    session, planned = plan(registry, *tags, **options)
    apply(session, planned)
    return planned


@pytest.mark.parametrize("by_digest", [False, True])
def test_new_tags(by_digest: bool) -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        planned = run(registry, "2", "3", name=f"@{digest}" if by_digest else ":1")
        assert registry.tags(REPO) == dict.fromkeys(("1", "2", "3"), digest)
        assert [entry["changed"] for entry in planned.result["tags"]] == [True, True]
        assert registry.count("POST|PATCH") == 0


def test_right_already_costs_a_head_for_each() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        run(registry, "2")
        registry.reset_log()
        planned = run(registry, "2")
        assert not planned.changed
        assert planned.before == planned.after
        assert [request.method for request in registry.requests] == ["HEAD", "HEAD"]


def test_only_what_differs_is_written() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        old = registry.add_image(REPO, "3", layers=LAYERS)
        run(registry, "2")
        registry.reset_log()
        planned = run(registry, "2", "3", "3")
        assert [(r.method, r.path[-1]) for r in registry.requests if r.method == "PUT"] == [("PUT", "3")]
        assert planned.result["tags"] == [
            {"tag": "2", "digest": digest, "previous_digest": digest, "changed": False},
            {"tag": "3", "digest": digest, "previous_digest": old, "changed": True},
        ]
        assert planned.result["previous_digest"] is None


def test_on_existing() -> None:
    with FakeRegistry() as registry:
        digest, old = add_platforms(registry), registry.add_image(REPO, "2", layers=LAYERS)
        with fails(Refused, "TAG_EXISTS", registry.host, None, f"{REPO}:2 exists already"):
            run(registry, "3", "2", on_existing="fail")
        assert registry.count("PUT") == 0
        planned = run(registry, "2", "3", on_existing="keep")
        assert registry.tags(REPO) == {"1": digest, "2": old, "3": digest}
        assert planned.result["tags"][0] == {"tag": "2", "digest": old, "previous_digest": old, "changed": False}
        assert planned.actions[-1].startswith(f"Keep {registry.host}/{REPO}:2 at {old}")
        assert planned.before[f"{registry.host}/{REPO}:2"] == planned.after[f"{registry.host}/{REPO}:2"] == old


def test_planning_writes_nothing() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        state = registry.state()
        assert plan(registry, "2")[1].changed
        assert registry.state() == state


def test_absent() -> None:
    with FakeRegistry() as registry:
        registry.create_repo(REPO)
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, f"{registry.host}/{REPO}:1 does not exist"):
            plan(registry, "2")


@pytest.mark.parametrize("tag", ["", "-x", "a/b", "a:b", "sha256:" + "a" * 64, "a" * 129, "\u00e4"])
def test_malformed(tag: str) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        with fails(InvalidInput, "INVALID_REFERENCE", says="is not a tag"):
            plan(registry, "ok", tag)
        assert registry.requests == []


def test_immutable_and_read_only() -> None:
    with FakeRegistry(Quirks(immutable_tags="409")) as registry:
        add_platforms(registry)
        registry.add_image(REPO, "2", layers=LAYERS)
        with fails(RegistryError, "DENIED", registry.host, 409, "immutable"):
            run(registry, "2")
        registry.quirks = Quirks(push_status=403)
        with fails(Denied, "DENIED", registry.host, 403, "this registry is read-only"):
            run(registry, "3")


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        digest = add_platforms(registry)
        run(registry, "2")
        assert registry.tags(REPO) == {"1": digest, "2": digest}
        assert not run(registry, "2").changed


@pytest.mark.parametrize("times", [1, 99])
def test_who_refuses_head_alone_still_tells_what_is_there(times: int) -> None:
    """A registry, or what stands before it, may answer 403 to HEAD and 200 to GET; nobody's tag is taken for none."""
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        old = registry.add_image(REPO, "2", layers=LAYERS)

        def refuse() -> None:
            registry.fault("HEAD", "/manifests/2$", status=403, times=times)

        refuse()
        assert not run(registry, "2", on_existing="keep").changed
        refuse()
        with fails(Refused, "TAG_EXISTS", says=f"exists already with the digest {old}"):
            run(registry, "2", on_existing="fail")
        refuse()
        planned = run(registry, "2")
        assert planned.result["tags"][0]["previous_digest"] == old
        assert registry.tags(REPO)["2"] == digest


def test_a_tag_that_is_seen_late_is_not_overwritten() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        registry.add_image(REPO, "2", layers=LAYERS)
        for method in ("HEAD", "GET"):
            registry.fault(method, "/manifests/2$", status=403, times=1)
        with fails(Refused, "TAG_MOVED", says="could not be looked at first, and then had the digest"):
            run(registry, "2", on_existing="keep")


@pytest.mark.parametrize("kind", ["400", "403", "409", "412", "ecr"])
def test_a_tag_that_may_not_move_and_whose_answer_was_lost(kind: str) -> None:
    """The first try has set it, so the second is refused by some registries, although all is as it should be."""
    with FakeRegistry(Quirks(immutable_tags=kind)) as registry:
        digest = add_platforms(registry)
        registry.fault("PUT", "/manifests/2$", action="lost_answer")
        run(registry, "2")
        assert registry.tags(REPO)["2"] == digest
        session, planned = plan(registry, "2", name=":1")
        assert not planned.changed
        registry.fault("PUT", "/manifests/4$", status=403, times=9)
        registry.fault("HEAD", "/manifests/4$", skip=2, action="reset", times=9)
        session, planned = plan(registry, "4")
        with fails(Denied, "DENIED", registry.host, 403):
            apply(session, planned)
        session, planned = plan(registry, "3")
        registry.api.repos[REPO].tags["3"] = registry.add_image(REPO, None, layers=LAYERS)
        with fails(Refused, "TAG_MOVED"):
            apply(session, planned)
