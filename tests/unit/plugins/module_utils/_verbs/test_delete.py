# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting a tag or a manifest, and nothing that others use, on registries that differ in all of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    Denied,
    InvalidInput,
    Refused,
    RegistryError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.delete import plan_delete
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
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
    switches,
)

OLD = Quirks(tag_delete_400=True, tags_unpaginated=True, no_referrers_api=True, accept_ignored_rewrites=True)


def plan(registry: FakeRegistry, name: str = ":1", force: bool = False) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    return session, plan_delete(session, name=f"{registry.host}/{REPO}{name}", names=None, force=force)


def run(registry: FakeRegistry, *args: Any, **options: Any) -> Plan:
    session, planned = plan(registry, *args, **options)
    apply(session, planned)
    return planned


def test_a_tag_alone() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        registry.api.repos[REPO].tags["2"] = digest
        state = registry.state()
        plan(registry)
        assert registry.state() == state
        planned = run(registry)
        assert registry.tags(REPO) == {"2": digest}
        assert digest in registry.manifests(REPO)
        assert (planned.result["untagged"], planned.result["deleted"]) == (["1"], [])
        assert planned.result["digest"] == planned.result["previous_digest"] == digest
        assert planned.before == {f"{registry.host}/{REPO}:1": digest}
        assert planned.after == {f"{registry.host}/{REPO}:1": None}


@pytest.mark.parametrize("name", [":1", "@sha256:" + "0" * 64])
def test_absent_is_good(name: str) -> None:
    with FakeRegistry() as registry:
        registry.create_repo(REPO)
        planned = run(registry, name)
        assert not planned.changed
        assert planned.result["digest"] is None
        assert planned.before == planned.after
        assert [request.method for request in registry.requests] == ["HEAD"]


def test_absent_repository_is_good() -> None:
    with FakeRegistry() as registry:
        assert not run(registry).changed


def test_a_manifest_with_its_tag() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        planned = run(registry, "@" + digest)
        assert registry.manifests(REPO) == registry.tags(REPO) == {}
        assert (planned.result["untagged"], planned.result["deleted"]) == (["1"], [digest])
        assert not run(registry, "@" + digest).changed


def test_a_manifest_that_several_tags_share() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        with fails(Refused, "MANIFEST_SHARED", registry.host, None, "is used by 1, 2"):
            run(registry, "@" + digest)
        assert registry.count("DELETE") == 0
        planned = run(registry, "@" + digest, force=True)
        assert registry.manifests(REPO) == {}
        assert planned.result["untagged"] == ["1", "2"]


def test_a_member_of_a_tagged_index() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        member = registry.manifest(REPO, "1")["manifests"][0]["digest"]
        with fails(Refused, "MANIFEST_SHARED", registry.host, None, "is used by 1"):
            run(registry, "@" + member)
        run(registry, "@" + member, force=True)
        assert member not in registry.manifests(REPO)


def test_registry_that_cannot_remove_tags() -> None:
    """Planned as what it is, so that check mode says what happens."""
    with FakeRegistry(OLD) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        session, planned = plan(registry)
        assert (planned.result["untagged"], planned.result["deleted"]) == (["1"], [digest])
        apply(session, planned)
        assert registry.tags(REPO) == registry.manifests(REPO) == {}


@pytest.mark.parametrize("quirks", [OLD, Quirks(tag_delete_400=True), Quirks(tag_delete_405=True)], ids=switches)
def test_registry_that_cannot_remove_tags_and_others_share_it(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, "cannot be removed alone"):
            run(registry)
        assert registry.tags(REPO) == {"1": digest, "2": digest}
        run(registry, force=True)
        assert registry.tags(REPO) == {}


@pytest.mark.parametrize("quirks", [Quirks(tag_delete_400=True), Quirks(tag_delete_405=True)], ids=switches)
def test_registry_that_turns_out_not_to_remove_tags(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        planned = run(registry)
        assert registry.tags(REPO) == registry.manifests(REPO) == {}
        (action,) = planned.actions
        assert action.startswith(f"Remove the tag {registry.host}/{REPO}:1; where its registry cannot do that")
        assert f"delete {digest}, unless something else uses it" in action
        assert planned.result["untagged"] == ["1"]


def test_harbor_would_delete_the_other_tags_as_well() -> None:
    with FakeRegistry(*PROFILES["harbor"]) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, "would also break 2"):
            run(registry)
        assert registry.tags(REPO) == {"1": digest, "2": digest}


@pytest.mark.parametrize("by_digest", [False, True])
def test_registry_that_deletes_nothing(by_digest: bool) -> None:
    with FakeRegistry(Quirks(delete_405=True)) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, 405, "storage.delete.enabled: true"):
            run(registry, "@" + digest if by_digest else ":1")
        assert registry.tags(REPO) == {"1": digest}


def test_registry_that_takes_its_time() -> None:
    with FakeRegistry(Quirks(delete_lag=2)) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry)
        assert registry.tags(REPO) == {}
        registry.quirks = Quirks(delete_lag=99)
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(RegistryError, "UNKNOWN", registry.host, None, "but still serves it"):
            run(registry)


def test_what_somebody_else_deleted_meanwhile() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        session, planned = plan(registry)
        del registry.api.repos[REPO].tags["1"]
        apply(session, planned)


def test_rights_that_do_not_reach() -> None:
    user, password = "reader", "secret"
    auth = Auth(users={user: password}, rights={user: "pull,push"}, denied_status=403)
    with FakeRegistry(auth=auth) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session(login(registry, Credential(user, password)))
        with fails(Denied, "DENIED", registry.host, 403, "requested access to the resource is denied"):
            apply(session, plan_delete(session, name=f"{registry.host}/{REPO}:1", names=None, force=False))
        assert registry.tags(REPO) == {"1": digest}


def test_forbidden_is_absent_only_where_the_list_says_so() -> None:
    with FakeRegistry(Quirks(missing_tag_403=True)) as registry:
        registry.add_image(REPO, "2", layers=LAYERS)
        assert not run(registry).changed
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault("HEAD|GET", "/manifests/1", status=403, times=9)
        with fails(Denied, "DENIED", registry.host, 403, "was denied (HTTP 403)"):
            run(registry)


# What each profile does with a tag that shares its manifest with another: None means that the tag alone goes.
SHARED: dict[str, str | None] = {
    "docker_hub": "cannot be removed alone",
    "ecr": None,
    "ghcr": "cannot be removed alone",
    "quay": None,
    "harbor": "cannot be removed alone",
    "artifactory": None,
    "gar": None,
    "distribution_2_8": "cannot be removed alone",
    "zot": None,
}


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_with_a_shared_manifest(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        if SHARED[name]:
            with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, str(SHARED[name])):
                run(registry)
            assert registry.tags(REPO) == {"1": digest, "2": digest}
        else:
            run(registry)
            assert registry.tags(REPO) == {"2": digest}
            assert digest in registry.manifests(REPO)


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_with_a_manifest_of_its_own(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        if registry.quirks.delete_405:
            with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, 405, "does not allow deletes"):
                run(registry)
        else:
            assert run(registry).changed
            assert registry.tags(REPO) == {}
            assert not run(registry).changed


def many(registry: FakeRegistry, names: list[str], force: bool = False) -> Plan:
    session = make_session(login(registry))
    planned = plan_delete(session, name=None, names=[f"{registry.host}/{REPO}{name}" for name in names], force=force)
    apply(session, planned)
    return planned


def test_a_member_of_an_index_in_a_tagged_index() -> None:
    with FakeRegistry() as registry:
        image = registry.add_image(REPO, layers=LAYERS)
        inner = registry.add_index(REPO, "inner", [image])
        registry.add_index(REPO, "outer", [inner])
        for digest in (image, inner):
            with fails(Refused, "MANIFEST_SHARED", registry.host, None, "outer"):
                run(registry, "@" + digest)
        assert registry.count("DELETE") == 0


@pytest.mark.parametrize("quirks", [Quirks(), OLD], ids=switches)
def test_several_at_once_look_at_the_tags_once(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        for number in range(30):
            registry.add_image(REPO, f"v{number}", layers=[str(number).encode()])
        registry.reset_log()
        planned = many(registry, [f":v{number}" for number in range(10)])
        assert sorted(planned.result["untagged"]) == sorted(f"v{number}" for number in range(10))
        assert len(registry.tags(REPO)) == 20
        # How it deletes; the list, and that this is all of it, before and again when the first one goes.
        assert registry.count("GET", "/tags/list") <= 5
        looks = registry.count("HEAD", "/manifests/")
        assert looks <= 10 + 2 * 30 + 2 * 10


@pytest.mark.parametrize("what", ["moved", "needed", "in an index"])
def test_what_became_of_tags_meanwhile(what: str) -> None:
    """Where a manifest goes with its tags, all tags are looked at, which takes a while."""
    with FakeRegistry(OLD) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session(login(registry))
        planned = plan_delete(session, name=f"{registry.host}/{REPO}:1", names=None, force=False)
        tags = registry.api.repos[REPO].tags
        if what == "moved":
            tags["1"] = registry.add_image(REPO, None, layers=LAYERS[:1])
        elif what == "needed":
            tags["prod"] = digest
        else:
            registry.add_index(REPO, "all", [digest])
        state = registry.state()
        says = "has become" if what == "moved" else f"needed by {'prod' if what == 'needed' else 'all'} meanwhile"
        with fails(Refused, "TAG_MOVED", registry.host, None, says):
            apply(session, planned)
        assert registry.state() == state


def test_what_went_before_it_failed_is_told() -> None:
    with FakeRegistry() as registry:
        for tag in ("1", "2", "3"):
            registry.add_image(REPO, tag, layers=[tag.encode()])
        session = make_session(login(registry))
        name = f"{registry.host}/{REPO}"
        planned = plan_delete(session, name=None, names=[f"{name}:1", f"{name}:2", f"{name}:3"], force=False)
        registry.add_image(REPO, "2", layers=LAYERS)
        with fails(Refused, "TAG_MOVED", registry.host, None, f"{name}:2 has become") as caught:
            apply(session, planned)
        assert caught.value.details["changed"] is True
        assert [text.split(";")[0] for text in caught.value.details["actions"]] == [f"Remove the tag {name}:1"]
        assert sorted(registry.tags(REPO)) == ["2", "3"]


def test_an_index_and_what_it_holds_go_together() -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry)
        member = registry.manifest(REPO, "1")["manifests"][0]["digest"]
        planned = many(registry, [f"@{member}", f"@{index}"])
        assert planned.result["deleted"] == [index, member]
        assert index not in registry.manifests(REPO)
        assert member not in registry.manifests(REPO)


def test_all_tags_of_a_manifest_go_together_where_none_goes_alone() -> None:
    with FakeRegistry(OLD) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        assert many(registry, [":1", ":2"]).result["deleted"] == [digest]
        assert registry.tags(REPO) == {}


UNKNOWN = pytest.mark.parametrize("quirks", [Quirks(tag_delete_400=True), Quirks(tag_delete_405=True)], ids=switches)


@UNKNOWN
def test_all_tags_of_a_manifest_go_together_where_it_shows_late_that_none_goes_alone(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = digest
        assert many(registry, [":1", ":2"]).result["untagged"] == ["1", "2"]
        assert registry.tags(REPO) == registry.manifests(REPO) == {}
        assert not many(registry, [":1", ":2"]).changed


@UNKNOWN
def test_indexes_go_before_what_they_hold_where_it_shows_late_that_no_tag_goes_alone(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        image = registry.add_image(REPO, "image", layers=LAYERS)
        inner = registry.add_index(REPO, "inner", [image])
        outer = registry.add_index(REPO, "outer", [inner])
        many(registry, [":image", ":inner", ":outer"])
        assert registry.tags(REPO) == {}
        gone = [request.path.rpartition("/")[2] for request in registry.requests if request.method == "DELETE"]
        assert [name for name in gone if ":" in name] == [outer, inner, image]


@UNKNOWN
def test_an_index_that_was_moved_meanwhile_keeps_what_it_holds(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        member = registry.add_image(REPO, "member", layers=LAYERS)
        other = registry.add_image(REPO, "other", layers=LAYERS[:1])
        session = make_session(login(registry))
        names = [f"{registry.host}/{REPO}:{tag}" for tag in ("member", "other")]
        planned = plan_delete(session, name=None, names=names, force=False)
        registry.add_index(REPO, "other", [member])
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, None, "would also break other"):
            apply(session, planned)
        assert {member, other} <= registry.manifests(REPO).keys()


@UNKNOWN
def test_the_tags_are_looked_at_once_where_it_shows_late_that_none_goes_alone(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        for number in range(103):
            registry.add_image(REPO, f"v{number}", layers=[str(number).encode()])
        registry.reset_log()
        many(registry, [f":v{number}" for number in range(10)])
        assert len(registry.tags(REPO)) == 93
        assert registry.count("GET", "/tags/list") <= 5
        # Each name; all tags, when the first manifest goes; each name before it goes, and after.
        assert registry.count("HEAD", "/manifests/") == 10 + 103 + 2 * 10


def test_what_it_takes_to_remove_tags_alone() -> None:
    with FakeRegistry() as registry:
        for number in range(30):
            registry.add_image(REPO, f"v{number}", layers=[str(number).encode()])
        registry.reset_log()
        many(registry, [":v1", ":v2"])
        # Each name; each before it goes, and after; each manifest that may have gone with its tag.
        assert registry.count("HEAD", "/manifests/") == 2 + 2 * 2 + 2
        assert registry.count("GET", "/manifests/") == 2
        assert registry.count("GET", "/tags/list") <= 2
        registry.reset_log()
        many(registry, [":v3", ":v4"], force=True)
        assert registry.count("HEAD", "/manifests/") == 2 + 2 * 2


TAKES_ALL = Quirks(tag_delete_removes_manifest=True)
WITH_THE_MANIFEST = pytest.mark.parametrize(
    "quirks", [TAKES_ALL, Quirks(last_tag_delete_removes_manifest=True)], ids=switches
)


@WITH_THE_MANIFEST
def test_what_goes_with_a_tag_is_put_back_where_others_need_it(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags.update({"2": digest, "keep": digest})
        member = registry.add_image(REPO, "member", layers=LAYERS[:1])
        index = registry.add_index(REPO, "index", [digest, member])
        many(registry, [":1", ":2", ":member"])
        assert registry.tags(REPO) == {"keep": digest, "index": index}
        assert {digest, member, index} <= registry.manifests(REPO).keys()


@WITH_THE_MANIFEST
def test_what_goes_with_a_tag_is_gone_where_nobody_needs_it(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        member = registry.add_image(REPO, "member", layers=LAYERS)
        registry.add_index(REPO, "index", [member])
        many(registry, [":member", ":index"])
        assert registry.tags(REPO) == registry.manifests(REPO) == {}
        assert registry.count("PUT") == 0


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(tag_delete_400=True), TAKES_ALL], ids=switches)
def test_an_index_by_its_digest_goes_before_a_member_by_its_tag(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        member = registry.add_image(REPO, "member", layers=LAYERS)
        index = registry.add_index(REPO, "index", [member])
        registry.fault("DELETE", f"manifests/{index}", status=403, times=9)
        with fails(Denied, "DENIED", registry.host, 403):
            many(registry, [":member", f"@{index}"])
        assert registry.tags(REPO) == {"member": member, "index": index}
        assert member in registry.manifests(REPO)


@pytest.mark.parametrize("keep", [False, True])
def test_what_goes_with_a_tag_of_a_list_that_may_not_be_read(keep: bool) -> None:
    with FakeRegistry(TAKES_ALL if keep else Quirks()) as registry:
        member = registry.add_image(REPO, "1", layers=LAYERS)
        index = registry.add_index(REPO, "index", [member])
        registry.fault("GET", "/tags/list", status=403, times=9)
        session = make_session(login(registry))
        planned = plan_delete(session, name=f"{registry.host}/{REPO}:1", names=None, force=False)
        apply(session, planned)
        assert registry.tags(REPO) == {"index": index}
        assert member in registry.manifests(REPO)
        assert ["cannot be listed" in text for text in session.transport.warnings] == [True] * keep


def test_what_cannot_be_put_back_is_named() -> None:
    with FakeRegistry(TAKES_ALL) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["keep"] = digest
        registry.fault("PUT", "/manifests/", status=403, times=9)
        says = f"{digest} went with one of its tags, although others need it, and {digest}, keep could not be put back"
        with fails(RegistryError, "DENIED", registry.host, 403, says):
            run(registry)


def test_what_goes_with_a_tag_is_not_put_back_by_force() -> None:
    with FakeRegistry(TAKES_ALL) as registry:
        registry.api.made(REPO).tags["2"] = registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, force=True)
        assert registry.tags(REPO) == registry.manifests(REPO) == {}


def test_no_names_are_nothing_to_do() -> None:
    with FakeRegistry() as registry:
        planned = many(registry, [])
        assert (planned.changed, planned.result["deleted"]) == (False, [])
        assert registry.requests == []


def test_a_name_without_a_tag_or_digest_is_not_taken_for_latest() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "latest", layers=LAYERS)
        with fails(InvalidInput, "INVALID_REFERENCE", says="names neither a tag nor a digest"):
            run(registry, "")
        assert registry.requests == []


def test_many_users_are_not_all_listed() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "t0", layers=LAYERS)
        registry.api.repos[REPO].tags.update({f"t{number}": digest for number in range(600)})
        with fails(Refused, "MANIFEST_SHARED", says="and 595 more"):
            run(registry, "@" + digest)


def test_signatures_that_are_left_are_told() -> None:
    with FakeRegistry(OLD) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        tag = digest.replace(":", "-") + ".sig"
        registry.add_image(REPO, tag, layers=LAYERS[:1])
        registry.add_image(REPO, "sha256-" + "0" * 64 + ".sig", layers=LAYERS[1:])
        planned = run(registry, "@" + digest)
        kept = [text for text in planned.actions if text.startswith("Keep ")]
        assert len(kept) == 1 and tag in kept[0]
        assert tag in registry.tags(REPO)
