# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast registries are asked, and that nothing is asked for that they do not allow any more."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils._registry.pace import Pace
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, fails, make_session, repository

MANIFEST, BLOB = "http://a.example/v2/x/manifests/1", "http://a.example/v2/x/blobs/sha256:0"
OTHER = "http://b.example/v2/x/manifests/1"


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.warnings: list[str] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def pace(self, per_second: float | None = None) -> Pace:
        return Pace(per_second, self.wait, self.warnings.append, lambda: self.now)


def ask(pace: Pace, url: str = MANIFEST, method: str = "GET", **headers: str) -> None:
    """One request, and what its answer tells."""
    turn = pace.begin(method, url)
    told: Mapping[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
    pace.end(turn, told)


def test_requests_are_spread() -> None:
    clock = Clock()
    pace = clock.pace(4)
    for dummy in range(9):
        ask(pace)
    assert clock.now == 1002.0
    assert clock.waits == [0.25] * 8


def test_time_that_has_passed_anyway_counts() -> None:
    clock = Clock()
    pace = clock.pace(2)
    ask(pace)
    clock.now += 0.4
    ask(pace)
    assert clock.waits == [pytest.approx(0.1)]
    clock.now += 60
    ask(pace)
    assert len(clock.waits) == 1  # what was not used is not saved up


def test_each_registry_has_its_own_budget() -> None:
    clock = Clock()
    pace = clock.pace(1)
    for url in (MANIFEST, OTHER, MANIFEST, OTHER):
        ask(pace, url)
    assert clock.now == 1001.0


def test_threads_share_the_budget() -> None:
    """Each gets a turn of its own, whoever comes first."""
    turns: list[float] = []
    pace = Pace(10, turns.append, [].append, lambda: 0.0)
    threads = [threading.Thread(target=ask, args=(pace,)) for dummy in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == pytest.approx([number / 10 for number in range(1, 20)])


def test_nothing_is_pulled_where_nothing_is_left() -> None:
    clock = Clock()
    pace = clock.pace()
    ask(pace, RateLimit_Remaining="2;w=21600")
    ask(pace, RateLimit_Remaining="1;w=21600")
    ask(pace, RateLimit_Remaining="0;w=21600")
    with fails(RegistryError, "TOOMANYREQUESTS", "a.example", None, "allows no more manifests"):
        pace.begin("GET", MANIFEST)
    for method, url in (("HEAD", MANIFEST), ("GET", BLOB), ("GET", OTHER)):
        ask(pace, url, method)
    assert clock.waits == []
    assert clock.warnings
    assert "run this task again later" in clock.warnings[0]


def left(pace: Pace) -> int:
    """How many manifests may still be pulled."""
    for number in range(99):
        try:
            pace.begin("GET", MANIFEST)
        except RegistryError:
            return number
    raise AssertionError("there is no end")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_answers_that_overtake_each_other(order: tuple[int, ...]) -> None:
    """Three of five are under way; in whatever order their answers come, two are left."""
    pace = Clock().pace()
    ask(pace, method="HEAD", RateLimit_Remaining="5;w=21600")
    turns = [pace.begin("GET", MANIFEST) for dummy in range(3)]
    for at in order:
        pace.end(turns[at], {"RateLimit-Remaining": f"{4 - at};w=21600"})
    assert left(pace) == 2


def test_what_others_pull_counts() -> None:
    pace = Clock().pace()
    ask(pace, RateLimit_Remaining="50;w=21600")
    ask(pace, RateLimit_Remaining="3;w=21600")
    assert left(pace) == 3


def test_what_is_not_counted_there_is_not_counted_here() -> None:
    """Images of some publishers are free."""
    pace = Clock().pace()
    for dummy in range(9):
        ask(pace, RateLimit_Remaining="2;w=21600")
    assert left(pace) == 2


def test_the_first_answer_of_several() -> None:
    """Nobody knows whether the others are in it."""
    pace = Clock().pace()
    turns = [pace.begin("GET", MANIFEST) for dummy in range(3)]
    pace.end(turns[1], {"RateLimit-Remaining": "4;w=21600"})
    assert left(pace) == 2


@pytest.mark.parametrize(
    "headers", [{"RateLimit_Remaining": "0", "RateLimit_Reset": "20"}, {"RateLimit_Remaining": "0;w=20"}]
)
def test_a_short_wait_is_waited(headers: dict[str, str]) -> None:
    clock = Clock()
    pace = clock.pace()
    ask(pace, **headers)
    ask(pace)
    assert clock.waits == [20.0]
    ask(pace)
    assert clock.waits == [20.0]


def test_what_counts_every_request_is_obeyed_for_every_request() -> None:
    pace = Clock().pace()
    ask(pace, BLOB, RateLimit_Remaining="0", RateLimit_Reset="3000")
    for method, url in (("HEAD", MANIFEST), ("GET", BLOB)):
        with pytest.raises(RegistryError, match="no more requests"):
            pace.begin(method, url)


@pytest.mark.parametrize("text", ["", "many", "-1", "1e9"])
def test_what_is_no_number_is_no_limit(text: str) -> None:
    pace = Clock().pace()
    ask(pace, RateLimit_Remaining=text if text != "1e9" else "x1e9", RateLimit_Reset=text)
    ask(pace)


def test_on_the_wire() -> None:
    """The fake registry refuses the pull after the last with 429; it never comes to that."""
    with FakeRegistry(Quirks(pull_quota=3, rate_limit_headers=True)) as registry:
        for number in range(5):
            registry.add_image(REPO, str(number), layers=LAYERS)
        session = make_session()
        transport = session.transport
        transport.pace = Pace(None, transport.rest, transport.warn)
        source = repository(registry, session=session)
        for tag in ("0", "1", "2"):
            source.get(tag)
        with fails(RegistryError, "TOOMANYREQUESTS"):
            source.get("3")
        assert source.head("3")
        assert {request.status for request in registry.requests} == {200}
        assert transport.counters.requests == len(registry.requests)
