# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists in pages: complete, in bounded time, from this registry alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    Denied,
    OCIError,
    RegistryError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry import pages
from ansible_collections.quayside.registry.plugins.module_utils._registry.catalog import catalog
from ansible_collections.quayside.registry.plugins.module_utils._registry.tags import list_tags
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, login, make_session, repository, switches

TAGS = sorted(f"v{number}" for number in range(25))


def stocked(quirks: Quirks, auth: Auth | None = None) -> FakeRegistry:
    registry = FakeRegistry(quirks, auth)
    digest = registry.add_image(REPO)
    with registry.lock:
        registry.api.repos[REPO].tags.update(dict.fromkeys(TAGS, digest))
    return registry


@pytest.mark.parametrize(
    ("quirks", "requests"),
    [
        (Quirks(), 1),
        (Quirks(page_limit=10), 3),
        (Quirks(page_limit=10, link="absolute"), 3),
        (Quirks(page_limit=25, link="loop"), 2),
        (Quirks(tags_unpaginated=True), 1),
        (Quirks(tags_unsorted=True), 1),
        (Quirks(extra_json_in_tags=True), 1),
        (Quirks(page_max=10), 2),
        (Quirks(page_max=1000, page_limit=10), 3),
    ],
    ids=switches,
)
def test_tags(quirks: Quirks, requests: int) -> None:
    with stocked(quirks) as registry:
        session = make_session()
        assert list_tags(repository(registry, session=session)) == TAGS
        assert registry.count() == requests
        assert session.transport.counters.bytes_received > 0


def test_full_pages_without_links_go_on_after_the_last_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_PAGE", 10)
    with stocked(Quirks(link="none")) as registry:
        assert list_tags(repository(registry)) == TAGS
        assert registry.count() == 3


def test_pages_that_go_nowhere_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_PAGE", 25)
    with stocked(Quirks(tags_unpaginated=True)) as registry:
        assert list_tags(repository(registry)) == TAGS
        assert registry.count() == 2


@pytest.mark.parametrize("quirks", [Quirks(tags_null=True), Quirks(tags_missing_404=True), Quirks()], ids=switches)
def test_no_tags(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        registry.create_repo(REPO)
        assert list_tags(repository(registry)) == []
        assert list_tags(repository(registry, name="team/unknown")) == []


def test_pages_on_another_host() -> None:
    with stocked(Quirks(page_limit=10, link="other_host")) as registry:
        with fails(ContentError, "UNSAFE_URL", registry.host, None, "goes on at another host"):
            list_tags(repository(registry))
        assert registry.count(server="storage") == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"tags": {}, "a": 1, "tags": []}', b"<html>"],
)
def test_answers_that_are_no_json(body: bytes) -> None:
    with stocked(Quirks()) as registry:
        registry.fault(status=200, body=body, times=2)
        with fails(
            ContentError, "MANIFEST_INVALID", registry.host, None, f"The list of tags of {registry.host}/{REPO}"
        ):
            list_tags(repository(registry))


@pytest.mark.parametrize("tags", ["text", {"a": 1}, [1], [["a"]], 7])
def test_answers_that_are_no_list(tags: Any) -> None:
    with stocked(Quirks()) as registry:
        registry.fault(status=200, body={"tags": tags})
        with fails(ContentError, "CONTENT_INVALID", registry.host, None, "is not a list of names"):
            list_tags(repository(registry))


def test_endless_list() -> None:
    with stocked(Quirks()) as registry:
        registry.fault(action="endless")
        with fails(ContentError, "TOO_LARGE", registry.host, None, "33554432 bytes"):
            list_tags(repository(registry))


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, RegistryError, "UNKNOWN"),
        (401, Denied, "UNAUTHORIZED"),
        (403, Denied, "DENIED"),
        (404, RegistryError, "NOT_A_REGISTRY"),
        (405, Unsupported, "UNSUPPORTED_BY_REGISTRY"),
        (429, RegistryError, "TOOMANYREQUESTS"),
        (500, RegistryError, "UNKNOWN"),
    ],
)
def test_refusals(status: int, kind: type[OCIError], code: str) -> None:
    with stocked(Quirks()) as registry:
        registry.fault(status=status, times=99)
        with fails(kind, code, registry.host, status):
            list_tags(repository(registry))


@pytest.mark.parametrize("name", PROFILES)
def test_tags_of_each_profile(name: str) -> None:
    quirks, auth = PROFILES[name]
    with stocked(quirks, auth) as registry:
        assert list_tags(repository(registry, "pull")) == TAGS


# --- the catalog


def test_catalog() -> None:
    with FakeRegistry(Quirks(page_limit=2), Auth(users={USER: PASSWORD})) as registry:
        for name in "edcba":
            registry.create_repo(f"team/{name}")
        pages = list(catalog(make_session(login(registry)).registry(registry.host)))
        assert pages == [{"team/a", "team/b"}, {"team/c", "team/d"}, {"team/e"}]
        assert registry.count(path="/token") == 1


def test_catalog_is_read_no_further_than_needed() -> None:
    with FakeRegistry(Quirks(page_limit=1)) as registry:
        for name in "abc":
            registry.create_repo(name)
        assert next(catalog(make_session().registry(registry.host))) == {"a"}
        assert registry.count() == 1


@pytest.mark.parametrize(
    ("quirks", "requests"),
    [
        (Quirks(), 2),
        (Quirks(page_limit=10), 4),
        (Quirks(page_limit=10, link="none"), 4),
        (Quirks(page_limit=10, link="loop"), 7),
        (Quirks(tags_unpaginated=True), 2),
        (Quirks(tags_unsorted=True), 2),
        (Quirks(page_max=10), 4),
        (Quirks(page_max=10, link="none", page_limit=10), 8),
    ],
    ids=switches,
)
def test_whole_lists_end_where_nothing_comes_after_the_last_name(quirks: Quirks, requests: int) -> None:
    with stocked(quirks) as registry:
        assert list_tags(repository(registry), whole=True) == TAGS
        assert registry.count() == requests


def test_whole_lists_go_on_behind_a_page_without_names() -> None:
    with stocked(Quirks(page_limit=10)) as registry:
        registry.fault("GET", "last=", status=200, body={"name": REPO, "tags": None})
        assert list_tags(repository(registry), whole=True) == TAGS


def test_whole_lists_have_no_names_that_are_none() -> None:
    with (
        stocked(Quirks(listed_too=("../x",))) as registry,
        fails(ContentError, "LIST_INCOMPLETE", registry.host, None, f"tags of {registry.host}/{REPO} has '../x' in it"),
    ):
        list_tags(repository(registry), whole=True)


@pytest.mark.parametrize("quirks", [{}, {"page_limit": 10}, {"page_limit": 1, "link": "none"}], ids=str)
def test_null_is_no_name_that_a_whole_list_could_lack(quirks: dict[str, Any]) -> None:
    with stocked(Quirks(listed_too=(None, None), **quirks)) as registry:
        session = make_session()
        assert list_tags(repository(registry, session=session), whole=True) == TAGS
        assert session.transport.warnings == []


def test_no_tags_are_a_whole_list() -> None:
    with FakeRegistry(Quirks(tags_null=True)) as registry:
        registry.create_repo(REPO)
        assert list_tags(repository(registry), whole=True) == []
        assert registry.count() == 1


def test_a_list_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MAX_PAGES", 3)
    with stocked(Quirks(page_limit=10)) as registry:
        assert list_tags(repository(registry)) == TAGS
    with stocked(Quirks(page_limit=5)) as registry, fails(ContentError, "TOO_MANY", registry.host, says="3 pages"):
        list_tags(repository(registry))
