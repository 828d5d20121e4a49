# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs that only look."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    Denied,
    InvalidInput,
    NotFound,
    OCIError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Entry, Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.plugins.module_utils._verbs.catalog_info import catalog_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.config_info import config_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.digest_info import digest_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.index_info import index_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.login_info import login_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.manifest_info import manifest_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.tag_info import tag_info
from ansible_collections.quayside.registry.plugins.module_utils._verbs.token_info import token_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    fails,
    login,
    make_session,
)

TOKENS = Auth(users={USER: PASSWORD})
ABSENT = {"exists": False, "reference": None, "digest": None, "media_type": None}
ONE_IMAGE: dict[str, Callable[[Session, str], dict[str, Any]]] = {
    "digest": lambda session, name: digest_info(session, name=name, platform=None),
    "manifest": lambda session, name: manifest_info(session, name=name, platform=None, query=None),
    "config": lambda session, name: config_info(session, name=name, platform=None, query=None),
    "index": lambda session, name: index_info(session, name=name),
}


def tags(session: Session, name: str, **options: Any) -> dict[str, Any]:
    rules: dict[str, Any] = {"include": [], "exclude": [], "semver": None, "newest": None, "omit_digest_tags": False}
    rules.update(sort_by="version", per=None)
    return tag_info(session, name=name, **{**rules, "digests": False, "query": None, **options})


def catalog(registry: FakeRegistry, session: Session | None = None, **options: Any) -> dict[str, Any]:
    rules: dict[str, Any] = {"prefix": None, "include": [], "exclude": [], "limit": None, "query": None}
    return catalog_info(session or make_session(login(registry)), registry=registry.host, **{**rules, **options})


# --- one image


@pytest.mark.parametrize("verb", ONE_IMAGE.values(), ids=ONE_IMAGE.keys())
@pytest.mark.parametrize("repo", [REPO, "team/unknown"])
def test_absent(verb: Any, repo: str) -> None:
    with FakeRegistry() as registry:
        registry.create_repo(REPO)
        result = verb(make_session(), f"{registry.host}/{repo}:2")
        assert {key: result[key] for key in ABSENT} == ABSENT
        assert not any(value for key, value in result.items() if key not in ABSENT)


@pytest.mark.parametrize("verb", ONE_IMAGE.values(), ids=ONE_IMAGE.keys())
@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_trouble_is_not_absence(verb: Any, status: int) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        registry.fault("*", status=status, times=99)
        with pytest.raises(OCIError) as caught:
            verb(make_session(retries=0), f"{registry.host}/{REPO}:1")
        assert (caught.value.registry, caught.value.status) == (registry.host, status)


@pytest.mark.parametrize("verb", ONE_IMAGE.values(), ids=ONE_IMAGE.keys())
@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile(verb: Any, profile: str) -> None:
    with FakeRegistry(*PROFILES[profile]) as registry:
        digest = add_platforms(registry)
        result = verb(make_session(login(registry)), f"{registry.host}/{REPO}:1")
        assert result["exists"]
        if verb is ONE_IMAGE["config"]:
            digest = registry.manifest(REPO, digest)["manifests"][0]["digest"]
        assert result["reference"] == f"{registry.host}/{REPO}@{digest}"


@pytest.mark.parametrize("verb", ONE_IMAGE.values(), ids=ONE_IMAGE.keys())
@pytest.mark.parametrize("name", ["", "UPPER/x", "a b", "x:y:z", "http://x/y", "x@sha256:1"])
def test_malformed(verb: Any, name: str) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE"):
        verb(make_session(), name)


@pytest.mark.parametrize("body", [{"layers": 1}, {"layers": [], "manifests": []}, {"layers": [], "annotations": [1]}])
@pytest.mark.parametrize("verb", [ONE_IMAGE[name] for name in ("manifest", "config", "index")])
def test_manifest_with_parts_that_are_none(verb: Any, body: dict[str, Any]) -> None:
    with FakeRegistry() as registry:
        registry.add_manifest(REPO, body, OCI_MANIFEST, tag="1")
        with fails(ContentError, "MANIFEST_INVALID", registry.host, None, f"{REPO}:1"):
            verb(make_session(), f"{registry.host}/{REPO}:1")


def test_digest_is_one_head() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        result = digest_info(make_session(), name=f"{registry.host}/{REPO}:1", platform=None)
        assert result["digest"] == digest
        assert [request.method for request in registry.requests] == ["HEAD"]


def test_digest_of_a_platform() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        found = digest_info(make_session(), name=f"{registry.host}/{REPO}:1", platform="linux/arm64")
        assert found["digest"] == registry.manifest(REPO, "1")["manifests"][1]["digest"]


@pytest.mark.parametrize("verb", [digest_info, manifest_info, config_info])
def test_platform_that_is_not_there(verb: Any) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        options = {} if verb is digest_info else {"query": None}
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "it has linux/amd64, linux/arm64"):
            verb(make_session(), name=f"{registry.host}/{REPO}:1", platform="linux/s390x", **options)
        with fails(InvalidInput, "INVALID_PLATFORM"):
            verb(make_session(), name=f"{registry.host}/{REPO}:1", platform="a/b/c/d", **options)


def test_manifest_as_it_is() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        result = manifest_info(
            make_session(), name=f"{registry.host}/{REPO}:1", platform=None, query="manifests[].platform.os"
        )
        assert "sha256:" + hashlib.sha256(result["raw"].encode()).hexdigest() == digest
        assert result["size"] == len(result["raw"].encode())
        assert result["manifest"] == json.loads(result["raw"])
        assert result["query_result"] == ["linux", "linux", "unknown"]


def test_config() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS, config={"config": {"Labels": {"a": "b"}}})
        result = config_info(make_session(), name=f"{registry.host}/{REPO}:1", platform=None, query="config.Labels.a")
        assert (result["query_result"], result["config"]["architecture"]) == ("b", "amd64")


def test_config_that_is_damaged_or_no_json() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault(path="/blobs/", action="flip", times=2)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host):
            config_info(make_session(), name=f"{registry.host}/{REPO}:1", platform=None, query=None)
        blob = {"mediaType": "text/plain", "digest": registry.add_blob(REPO, b"text"), "size": 4}
        manifest = {**registry.manifest(REPO, "1"), "config": blob}
        registry.add_manifest(REPO, manifest, tag="2")
        says = f"The config {blob['digest']} of {registry.host}/{REPO}:2 is not valid JSON"
        with fails(ContentError, "CONFIG_INVALID", registry.host, None, says):
            config_info(make_session(), name=f"{registry.host}/{REPO}:2", platform=None, query=None)


@pytest.mark.parametrize("query", ["[", "a b", "foo(", "length(`1`)"])
@pytest.mark.parametrize("verb", [manifest_info, config_info])
def test_query_that_is_malformed(verb: Any, query: str) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        with fails(InvalidInput, "INVALID_QUERY", says="is not valid JMESPath"):
            verb(make_session(), name=f"{registry.host}/{REPO}:1", platform=None, query=query)
        assert query == "length(`1`)" or registry.requests == []


def test_members_of_an_index() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        members = index_info(make_session(), name=f"{registry.host}/{REPO}:1")["manifests"]
        assert [member["platform"] for member in members] == ["linux/amd64", "linux/arm64", "unknown/unknown"]
        assert members[2]["annotations"]["vnd.docker.reference.digest"] == members[0]["digest"]


def test_members_of_an_image() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(ContentError, "NOT_AN_INDEX", registry.host, None, "is a single image, not an index"):
            index_info(make_session(), name=f"{registry.host}/{REPO}:1")


# --- tags and the catalog


def test_tags() -> None:
    with FakeRegistry() as registry:
        for tag in ("1.2.0", "1.10.0", "1.9.0", "latest", "sha256-" + "a" * 64 + ".sig"):
            registry.add_image(REPO, tag, layers=[tag.encode()])
        name, session = f"{registry.host}/{REPO}", make_session()
        assert tags(session, name)["tags"] == sorted(registry.tags(REPO))
        assert tags(session, name, newest=2)["tags"] == ["1.10.0", "1.9.0"]
        assert tags(session, name, omit_digest_tags=True, exclude=["^1"])["tags"] == ["latest"]
        found = tags(session, name, semver="<1.10", digests=True, query="digests.*")
        assert found["digests"] == {tag: registry.tags(REPO)[tag] for tag in ("1.2.0", "1.9.0")}
        assert sorted(found["query_result"]) == sorted(found["digests"].values())


def test_no_tags() -> None:
    with FakeRegistry() as registry:
        result = tags(make_session(), f"{registry.host}/{REPO}")
        assert result == {"tags": [], "references": [], "digests": None, "query_result": None}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"include": ["("]}, "INVALID_PATTERN"),
        ({"newest": 0}, "INVALID_OPTION"),
        ({"query": "["}, "INVALID_QUERY"),
    ],
)
def test_rules_that_are_malformed(options: dict[str, Any], code: str) -> None:
    with FakeRegistry() as registry:
        with fails(InvalidInput, code):
            tags(make_session(), f"{registry.host}/{REPO}", **options)
        assert registry.requests == []


@pytest.mark.parametrize("profile", PROFILES)
def test_tags_of_each_profile(profile: str) -> None:
    with FakeRegistry(*PROFILES[profile]) as registry:
        digest = add_platforms(registry)
        result = tags(make_session(login(registry)), f"{registry.host}/{REPO}", digests=True)
        assert (result["tags"], result["digests"]) == (["1"], {"1": digest})


def test_catalog() -> None:
    with FakeRegistry(Quirks(page_limit=2), TOKENS) as registry:
        for name in ("team/b", "team/a", "other", "team/cache"):
            registry.create_repo(name)
        assert catalog(registry)["repositories"] == ["other", "team/a", "team/b", "team/cache"]
        assert catalog(registry, prefix="team/", exclude=["cache$"])["repositories"] == ["team/a", "team/b"]
        registry.reset_log()
        assert catalog(registry, limit=1)["repositories"] == ["other"]
        assert registry.count(path="_catalog") == 1
        with fails(InvalidInput, "INVALID_OPTION", says="limit must be at least 1"):
            catalog(registry, limit=0)


@pytest.mark.parametrize("profile", PROFILES)
def test_catalog_of_each_profile(profile: str) -> None:
    with FakeRegistry(*PROFILES[profile]) as registry:
        registry.create_repo(REPO)
        if registry.quirks.catalog_status:
            status = registry.quirks.catalog_status
            with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, status, "does not show its catalog"):
                catalog(registry)
        else:
            assert catalog(registry)["repositories"] == [REPO]


# --- logins


def test_where_a_login_comes_from(clean_environment: Path) -> None:
    session = make_session()
    assert login_info(session, registry="a.example") == {"source": None, "username": None}
    file = clean_environment / ".docker" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"auths": {"a.example": {"username": "me", "password": PASSWORD}}}))
    assert login_info(session, registry="a.example") == {"source": str(file), "username": "me"}
    assert login_info(session, registry="a.example/team/app") == {"source": str(file), "username": "me"}


@pytest.mark.parametrize(
    ("registry", "user"),
    [
        ("docker.io/alpine", "library"),
        ("docker.io/library/alpine:3", "library"),
        ("index.docker.io/team/app", None),
        (f"q.example/team/app:1.0@sha256:{'0' * 64}", "team"),
        ("plain/team/app", "plain"),
        ("Q.example/team/app/", "team"),
    ],
)
def test_a_login_is_the_one_that_modules_use_for_the_name(
    clean_environment: Path, registry: str, user: str | None
) -> None:
    entries = {"library": "docker.io/library", "team": "q.example/team/app", "plain": "plain/team"}
    session = make_session(*(Entry(name, Settings(), Credential(who, PASSWORD)) for who, name in entries.items()))
    assert login_info(session, registry=registry)["username"] == user
    for name in ("q.example/Team", "q.example//team"):
        with fails(InvalidInput, "INVALID_REFERENCE", says=name):
            login_info(session, registry=name)


def test_token() -> None:
    with FakeRegistry(auth=TOKENS) as registry:
        registry.create_repo(REPO)
        session = make_session(login(registry))
        result = token_info(session, name=f"{registry.host}/{REPO}", access=["pull", "push"])
        assert registry.gate.tokens[result["token"]].access[f"repository:{REPO}"] == {"pull", "push"}
        assert result["expires_at"].endswith("Z")
        assert result["token"] in session.transport.secrets


def test_token_where_the_front_door_is_open() -> None:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD}, ping_200_without_auth=True)) as registry:
        registry.create_repo(REPO)
        result = token_info(make_session(login(registry)), name=f"{registry.host}/{REPO}", access=["pull"])
        assert result["token"] in registry.gate.tokens


@pytest.mark.parametrize(("mode", "wants"), [("none", "no login"), ("basic", "a username and password")])
def test_no_token(mode: str, wants: str) -> None:
    with FakeRegistry(auth=Auth(mode=mode, users={USER: PASSWORD})) as registry:
        with pytest.raises(Unsupported, match=f"it uses {wants}") as caught:
            token_info(make_session(login(registry)), name=f"{registry.host}/{REPO}", access=["pull"])
        assert caught.value.registry == registry.host


def test_token_for_a_wrong_password() -> None:
    with FakeRegistry(auth=TOKENS) as registry:
        session = make_session(login(registry, Credential(USER, "wrong")))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401):
            token_info(session, name=f"{registry.host}/{REPO}", access=["pull"])


def test_absent_in_every_wording() -> None:
    with FakeRegistry(Quirks(not_found_code="NOT_FOUND", head_manifest_405=True)) as registry:
        assert not ONE_IMAGE["digest"](make_session(), f"{registry.host}/{REPO}:1")["exists"]
    with FakeRegistry(Quirks(error_body="text", head_manifest_405=True)) as registry:
        assert not ONE_IMAGE["manifest"](make_session(), f"{registry.host}/{REPO}:1")["exists"]


def test_hidden_repository_is_an_error() -> None:
    with FakeRegistry(Quirks(repo_missing_401=True), TOKENS) as registry:
        with pytest.raises(Denied):
            tags(make_session(login(registry)), f"{registry.host}/{REPO}")
        with pytest.raises((Denied, NotFound)):
            ONE_IMAGE["digest"](make_session(login(registry)), f"{registry.host}/{REPO}:1")


def test_a_registry_token_is_the_token() -> None:
    with FakeRegistry(auth=TOKENS) as registry:
        token = registry.issue_token(USER, f"repository:{REPO}:pull")
        session = make_session(login(registry, Credential(registry_token=token)))
        result = token_info(session, name=f"{registry.host}/{REPO}", access=["pull"])
        assert result == {"token": token, "expires_at": None}
        assert registry.count(path="/token") == 0


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_the_catalog_with_a_wrong_password(mode: str) -> None:
    with FakeRegistry(auth=Auth(mode=mode, users={USER: PASSWORD})) as registry:
        session = make_session(login(registry, Credential(USER, "wrong-password")))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401):
            catalog(registry, session)
