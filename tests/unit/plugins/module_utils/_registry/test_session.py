# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task's session hands out: settings and credentials by registry and path, workers, secrets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ConnectionFailed, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Entry
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.tests.unit.kit import fails, make_session

TEAM, WHOLE, SHORT = (Credential(name, "password") for name in ("team", "whole", "short"))
HOST = "registry.example:5000"


@pytest.mark.parametrize(
    ("host", "repository", "user"),
    [
        (HOST, "team/app", "team"),
        (HOST, "team", "team"),
        (HOST, "teams/app", "whole"),
        (HOST, "", "whole"),
        ("short.example", "team/app", "short"),
        ("other.example", "team/app", None),
    ],
)
def test_the_longest_entry_wins(host: str, repository: str, user: str | None) -> None:
    session = make_session(
        Entry(HOST, Settings(), WHOLE),
        Entry(f"{HOST}/team/", Settings(), TEAM),
        shorthand=dict.fromkeys([HOST, "short.example"], SHORT),
    )
    found = session.credential(host, repository)
    assert (found.username if found else None) == user


def test_an_entry_without_a_login_leaves_it_to_the_others(clean_environment: Path) -> None:
    docker = clean_environment / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {HOST: {"username": "file", "password": "x"}}}))
    found = make_session(Entry(HOST, Settings())).credential(HOST, "team/app")
    assert found is not None
    assert (found.username, found.source) == ("file", str(docker / "config.json"))


@pytest.mark.parametrize("name", [f"https://{HOST}", f"{HOST}/team:1", f"{HOST}/Team", f"{HOST}//team", ""])
def test_names_of_entries_that_would_fit_nothing(name: str) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE", says=repr(name)):
        make_session(Entry(name, Settings(), WHOLE))


def test_two_entries_for_one_registry() -> None:
    session = make_session(Entry("index.docker.io", Settings(), TEAM), Entry("docker.io", Settings(), WHOLE))
    assert session.transport.warnings == ["registries has two entries for docker.io that differ; the last one counts."]
    assert session.credential("docker.io", "team/app") == WHOLE
    same = make_session(Entry("a.example", Settings(), TEAM), Entry("A.example", Settings(), TEAM))
    assert same.transport.warnings == []


def test_a_file_of_credentials_that_was_searched_in_vain_is_named(tmp_path: Path) -> None:
    file = str(tmp_path / "tpyo.json")
    session = make_session(auth_file=file)
    assert session.registry(HOST).who("team/app") == f"anonymously, since no credentials for it were found in {file}"


def test_names_of_entries_are_normal() -> None:
    session = make_session(Entry("index.docker.io", Settings(), WHOLE), Entry("HOST.example", Settings(), TEAM))
    assert session.credential("docker.io", "library/debian") is WHOLE
    assert session.credential("host.example", "a") is TEAM


@pytest.mark.parametrize(
    ("host", "settings", "url"),
    [
        ("127.0.0.1:5000", Settings(), "http://127.0.0.1:5000"),
        ("localhost", Settings(), "http://localhost"),
        ("[::1]:5000", Settings(), "http://[::1]:5000"),
        ("localhost", Settings(plain_http=False), "https://localhost"),
        ("quay.io", Settings(), "https://quay.io"),
        ("quay.io", Settings(plain_http=True), "http://quay.io"),
        ("docker.io", Settings(), "https://registry-1.docker.io"),
    ],
)
def test_scheme_and_host(host: str, settings: Settings, url: str) -> None:
    assert make_session(settings=settings).registry(host).base_url == url


def test_one_registry_for_a_task() -> None:
    session = make_session(Entry(f"{HOST}/team", Settings(plain_http=True)))
    one, two = (session.repository(Reference(HOST, name)) for name in ("a", "b"))
    assert one.registry is two.registry
    assert session.repository(Reference(HOST, "team/a")).registry is not one.registry


def test_map_keeps_the_order_and_the_limit() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01 * (number % 2))
        with lock:
            running -= 1
        return number * number

    assert make_session(jobs=3).map(work, range(10)) == [number * number for number in range(10)]
    assert most == 3


@pytest.mark.parametrize("jobs", [1, 4])
def test_map_raises_the_first_error_and_does_not_begin_the_rest(jobs: int) -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise OSError("the third")
        time.sleep(0.01)
        return number

    with pytest.raises(OSError, match="the third"):
        make_session(jobs=jobs).map(work, range(100))
    assert len(begun) < 50


def failing(numbers: set[int], begun: list[int], times: int = 99) -> Callable[[int], int]:
    """A function that fails for these numbers, by trouble that may pass, so many times for each."""

    def work(number: int) -> int:
        begun.append(number)
        if number in numbers and begun.count(number) <= times:
            raise ConnectionFailed("gone")
        return number

    return work


def test_map_tries_again_after_the_others_what_may_pass() -> None:
    begun: list[int] = []
    assert make_session(jobs=1).map(failing({2}, begun, times=1), range(5)) == list(range(5))
    assert begun == [0, 1, 2, 3, 4, 2]


def test_map_stops_when_most_fail() -> None:
    begun: list[int] = []
    with pytest.raises(ConnectionFailed):
        make_session(jobs=1).map(failing(set(range(1, 100)), begun, times=1), range(100))
    assert begun == [0, 1, 2, 3]  # one succeeded, so that two may fail


def test_map_tries_twice_and_not_more() -> None:
    begun: list[int] = []
    with pytest.raises(ConnectionFailed):
        make_session(jobs=1).map(failing({3}, begun), range(10))
    assert begun.count(3) == 2


def test_map_tries_one_alone_once() -> None:
    begun: list[int] = []
    with pytest.raises(ConnectionFailed):
        make_session(jobs=1).map(failing({0}, begun), range(1))
    assert begun == [0]


def test_secrets_are_those_that_were_used() -> None:
    session = make_session(Entry(HOST, Settings(), WHOLE), Entry("other.example", Settings(), TEAM))
    session.registry(HOST).credential("team/app")
    assert session.transport.secrets == {"password", WHOLE.basic}
