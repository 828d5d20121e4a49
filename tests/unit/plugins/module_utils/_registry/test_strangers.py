# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that show strangers less than they say: where a login is known, it is used from the first request on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    CredentialError,
    Denied,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.catalog import catalog
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.manifests import find_existing
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Entry
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    LOGIN,
    REPO,
    apply,
    copy_plan,
    fails,
    login,
    make_session,
    repository,
)

USERS = {USER: PASSWORD}


def strangers(mode: str, status: int) -> FakeRegistry:
    return FakeRegistry(auth=Auth(mode=mode, users=USERS, stranger_status=status))


@pytest.mark.parametrize("mode", ["basic", "bearer"])
@pytest.mark.parametrize("status", [403, 404])
def test_what_strangers_do_not_see_is_not_absent(mode: str, status: int) -> None:
    with strangers(mode, status) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        found = repository(registry, "pull").head("1")
        assert found is not None
        assert found.digest == digest
        assert registry.count("GET", "/v2/$") == 1


@pytest.mark.parametrize("mode", ["basic", "bearer"])
@pytest.mark.parametrize("status", [403, 404])
def test_a_tag_that_is_to_be_kept_is_kept(mode: str, status: int) -> None:
    with FakeRegistry() as source, strangers(mode, status) as registry:
        source.add_image(REPO, "1", layers=[b"other"])
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session(login(registry))
        images = f"{source.host}/{REPO}:1", f"{registry.host}/{REPO}:1"
        apply(session, copy_plan(session, *images, on_existing="keep"))
        assert registry.tags(REPO) == {"1": digest}


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_the_front_door_is_asked_once_a_task(mode: str) -> None:
    with FakeRegistry(auth=Auth(mode=mode, users=USERS)) as registry:
        session = make_session(login(registry), jobs=8)
        names = [f"team/app{number}" for number in range(16)]
        for name in names:
            registry.add_image(name, "1", layers=LAYERS)
        found = session.map(lambda name: repository(registry, "pull", name=name, session=session).head("1"), names)
        assert all(found)
        assert registry.count("GET", "/v2/$") == 1
        assert registry.count("HEAD") == len(names)


def test_without_a_login_nothing_more_is_asked() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        assert repository(registry, session=make_session()).head("1") is not None
        assert registry.count() == 1


def test_an_open_registry_is_asked_once_about_a_login_that_it_does_not_want() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session(Entry(registry.host, Settings(), LOGIN))
        for dummy in range(3):
            assert repository(registry, session=session).head("1") is not None
        assert registry.count() == 4
        assert not any("authorization" in request.headers for request in registry.requests)


def test_the_catalog_is_the_one_for_the_login() -> None:
    with FakeRegistry(auth=Auth(mode="basic", users=USERS)) as registry:
        registry.create_repo("public")
        registry.create_repo("secret")
        check, whole = registry.gate.check, registry.api.catalog_get

        def half(call: Any, repo: str, ref: str) -> Any:
            hidden = {} if "authorization" in call.headers else {"secret": registry.api.repos.pop("secret")}
            try:
                return whole(call, repo, ref)
            finally:
                registry.api.repos.update(hidden)

        registry.gate.check = lambda call, *rest: None if call.path.endswith("_catalog") else check(call, *rest)  # type: ignore[method-assign]
        registry.api.catalog_get = half  # type: ignore[method-assign]
        seen = list(catalog(make_session(login(registry)).registry(registry.host)))
        assert seen == [{"public", "secret"}]
        assert list(catalog(make_session().registry(registry.host))) == [{"public"}]


def test_trouble_at_the_front_door_is_not_taken_for_an_open_one() -> None:
    with strangers("basic", 404) as registry:
        registry.fault(path="/v2/$", status=503, times=9)
        with fails(RegistryError, "UNKNOWN", registry.host, 503, "The login at"):
            repository(registry).head("1")


def test_no_message_says_that_a_login_was_sent_that_was_not() -> None:
    with FakeRegistry() as registry:  # does not ask for a login
        registry.fault("HEAD|GET", "/manifests/", status=403, times=9)
        session = make_session(Entry(registry.host, Settings(), LOGIN))
        with fails(Denied, "DENIED", registry.host, 403, "anonymously, since") as caught:
            repository(registry, session=session).head("1")
        assert "did not ask for a login" in str(caught.value)


def test_a_broken_helper_is_told_where_a_login_is_wanted_alone(tmp_path: Any) -> None:
    file = tmp_path / "auth.json"
    file.write_text('{"credsStore": "gone"}')
    for auth, wanted in ((Auth(mode="none"), False), (Auth(users=USERS), True)):
        with FakeRegistry(auth=auth) as registry:
            registry.add_image(REPO, "1", layers=LAYERS)
            session = make_session(auth_file=str(file))
            if wanted:
                with fails(CredentialError, "CREDENTIALS_UNUSABLE", says="docker-credential-gone"):
                    repository(registry, session=session).head("1")
            else:
                assert repository(registry, session=session).head("1") is not None


# --- a 403 where something would be overwritten


def test_forbidden_is_not_absent_where_that_must_be_known() -> None:
    with FakeRegistry(Quirks(missing_tag_403=True)) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        target = repository(registry)
        assert find_existing(target, "2") is None  # the list of tags shows it
        assert target.look("2") == (None, False)
        assert target.look("1")[1]
        registry.fault("HEAD|GET", "/manifests/1", status=403, times=9)
        assert target.head("1", writing=True) is None  # the write will tell
        with fails(Denied, "DENIED", registry.host, 403, f"{REPO}:1"):
            find_existing(target, "1")


def test_forbidden_is_not_absent_where_the_tags_cannot_be_listed() -> None:
    with FakeRegistry(Quirks(missing_tag_403=True)) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault(path="/tags/list", status=403, times=9)
        with fails(Denied, "DENIED", registry.host, 403):
            find_existing(repository(registry), "2")


# --- token servers


def test_a_token_server_that_does_not_know_delete() -> None:
    auth = Auth(users=USERS, unknown_actions=("delete",), delete_needs_star=True)
    with FakeRegistry(auth=auth) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        target = repository(registry, "pull", "push", "delete")
        assert target.delete("1").outcome == "deleted"
        assert registry.tags(REPO) == {}


def test_a_token_server_that_knows_only_what_the_registry_demands() -> None:
    auth = Auth(users=USERS, unknown_actions=("delete", "*"))
    with FakeRegistry(auth=auth) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        assert repository(registry, "pull", "delete").head("1") is not None


def test_each_project_has_its_own_token_server() -> None:
    with FakeRegistry(auth=Auth(users=USERS, realm_per_project=True)) as registry:
        session = make_session(login(registry))
        for name in ("red/app", "blue/app", "red/other"):
            registry.add_image(name, "1", layers=LAYERS)
            assert repository(registry, "pull", name=name, session=session).head("1") is not None
        images = f"{registry.host}/red/app:1", f"{registry.host}/blue/new:1"
        assert apply(session, copy_plan(session, *images)) is not None
        assert registry.tags("blue/new") == {"1": registry.tags("red/app")["1"]}


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (
            401,
            {"errors": [{"code": "UNAUTHORIZED", "message": "use a token"}]},
            "UNAUTHORIZED",
            "use a token",
        ),
        (401, {"details": "token has expired"}, "UNAUTHORIZED", "token has expired"),
        (403, {"errors": [{"code": "DENIED", "message": "account is locked"}]}, "DENIED", "account is locked"),
        (400, {"error": "invalid_grant", "error_description": "bad grant"}, "UNAUTHORIZED", "bad grant"),
        (400, {"error": "invalid_scope"}, "UNAUTHORIZED", "invalid_scope"),
        (401, b"", "UNAUTHORIZED", "Check the username and password"),
    ],
)
def test_the_words_of_a_token_server_are_told(status: int, body: Any, code: str, words: str) -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.fault("*", "/token", status=status, body=body, times=9)
        with fails(Denied, code, registry.host, status, words) as caught:
            repository(registry, "pull").head("1")
        assert ("Check the username" in str(caught.value)) is (body == b"")


def test_a_token_server_that_cannot_be_reached_was_named_by_the_registry() -> None:
    with FakeRegistry(auth=Auth(users=USERS, realm="https://tokens.invalid/token")) as registry:
        target = repository(registry, "pull")
        with fails(ConnectionFailed, "UNREACHABLE", "tokens.invalid", None, f" {registry.host} sent us there."):
            target.head("1")


def test_a_token_server_that_breaks_off_was_named_by_the_registry() -> None:
    with FakeRegistry(auth=Auth(users=USERS, realm="other_host")) as registry:
        registry.fault("*", "/token", action="truncate", times=9)
        with fails(ConnectionFailed, "UNREACHABLE", registry.token_host, None, f" {registry.host} sent us there."):
            repository(registry, "pull", session=make_session(login(registry), retries=0)).head("1")


def test_a_registry_with_a_token_server_of_its_own_is_named_once() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.fault("*", "/token", status=401, times=9)
        with fails(
            Denied, "UNAUTHORIZED", registry.host, 401, f"The token server of {registry.host} refused the login"
        ):
            repository(registry, "pull").head("1")


def test_a_token_server_at_another_host_is_named_beside_the_registry() -> None:
    with FakeRegistry(auth=Auth(users=USERS, realm="other_host")) as registry:
        registry.fault("*", "/token", status=401, times=9)
        says = f"The token server {registry.token_host} of {registry.host} refused the login"
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, says):
            repository(registry, "pull").head("1")


def test_tokens_are_fetched_side_by_side() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        names = [f"team/app{number}" for number in range(8)]
        for name in names:
            registry.add_image(name, "1", layers=LAYERS)
        registry.fault(path="/token", action="stall", seconds=0.3, times=99)
        session = make_session(login(registry), jobs=8)
        began = time.monotonic()
        session.map(lambda name: repository(registry, "pull", name=name, session=session).head("1"), names)
        assert time.monotonic() - began < 8 * 0.3 * 0.7
        assert registry.count(path="/token") == 8


def test_one_token_is_fetched_once_for_all_threads() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault(path="/token", action="stall", seconds=0.1, times=99)
        session = make_session(login(registry), jobs=8)
        target = repository(registry, "pull", session=session)
        session.map(lambda dummy: target.head("1"), range(8))
        assert registry.count(path="/token") == 1


def test_identity_tokens_that_are_replaced_at_each_use_are_used_in_turn() -> None:
    auth = Auth(users=USERS, identity_tokens={"first-token": USER}, refresh_rotates=True)
    with FakeRegistry(auth=auth) as registry:
        names = [f"team/app{number}" for number in range(6)]
        for name in names:
            registry.add_image(name, "1", layers=LAYERS)
        session = make_session(login(registry, Credential(identity_token="first-token")), jobs=6)
        found = session.map(lambda name: repository(registry, "pull", name=name, session=session).head("1"), names)
        assert all(found)


# --- what was refused is not asked for again


@pytest.mark.parametrize("status", [401, 403])
def test_a_right_that_is_missing_costs_one_token(status: int) -> None:
    auth = Auth(users=USERS, rights={USER: "push"}, denied_status=status)
    with FakeRegistry(auth=auth) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        target = repository(registry, "pull")
        for dummy in range(3):
            with pytest.raises(Denied):
                target.head("1")
        assert registry.count(path="/token") == 1


def test_a_token_that_never_works_is_replaced_once() -> None:
    """Where the registry does not say what is wrong with it."""
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        challenge = f'Bearer realm="{registry.url}/token",service="fake registry"'
        registry.fault("HEAD|GET", "/manifests/", status=401, headers={"WWW-Authenticate": challenge}, times=99)
        target = repository(registry, "pull")
        for dummy in range(3):
            with pytest.raises(Denied):
                target.head("1")
        assert registry.count(path="/token") == 2


def test_a_login_that_is_refused_is_tried_once() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(login(registry, Credential(USER, "wrong-password")))
        for dummy in range(3):
            with pytest.raises(Denied):
                repository(registry, "pull", session=session).head("1")
        assert registry.count(path="/token") == 1


def test_a_registry_token_that_is_refused_is_sent_once_by_each_method() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(login(registry, Credential(registry_token="not-a-token")))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, "with a token"):
            repository(registry, "pull", session=session).head("1")
        sent = [request.method for request in registry.requests if "authorization" in request.headers]
        assert sent == ["HEAD", "GET"]


def test_secrets_that_may_be_words_mask_nothing() -> None:
    session = make_session(Entry("q.io", Settings(), Credential("ci", "team")))
    session.credential("q.io", "team/app")
    assert "team" not in session.transport.secrets
    assert session.transport.secrets == {Credential("ci", "team").basic}
