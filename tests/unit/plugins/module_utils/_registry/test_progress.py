# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a task is: what its threads write, and what a real transfer, a throttled one and a broken one look like."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._registry.progress import Amount, Figures, Progress
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.upload import upload_blob
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, copy_plan, make_session, repository

DATA = bytes(range(256)) * 4000
BLOB = Descriptor("", digest_of(DATA), len(DATA))


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock)


def pieces() -> Iterator[bytes]:
    for at in range(0, len(DATA), 100_000):
        yield DATA[at : at + 100_000]


def at_each_sleep(session: Session) -> list[Figures]:
    """What could be told while the session waits before another try."""
    told: list[Figures] = []
    session.transport._sleep = lambda seconds: told.append(session.transport.progress.figures())
    return told


def test_nothing_is_known_at_first(progress: Progress, clock: Clock) -> None:
    clock.now += 4
    nothing = Amount()
    assert progress.figures() == Figures(100, 104, 0, "", nothing, 0, nothing, nothing, nothing, nothing, None)


def test_what_is_fetched(progress: Progress) -> None:
    """Of a look, as much as it is; of a plan, so much of so much, and not what was fetched to make it."""
    progress.fetch().at = 70
    progress.fetch().at = 30
    assert progress.figures().fetched == Amount(100, 0)
    progress.plan(images=0, steps=1, blobs=0, size=0, to_fetch=500)
    assert progress.figures().fetched == Amount(0, 500)
    progress.fetch().at = 20
    assert progress.figures().fetched == Amount(20, 500)


def test_looks_are_forgotten_when_there_is_a_plan(progress: Progress) -> None:
    progress.look("images", 3)
    progress.looked()
    assert (progress.figures().kind, progress.figures().looked) == ("images", Amount(1, 3))
    progress.plan(images=2, steps=5, blobs=3, size=1000)
    progress.step(1)
    progress.step(0)
    now = progress.figures()
    assert (now.kind, now.looked, now.images) == ("", Amount(), 2)
    assert (now.steps, now.blobs, now.bytes) == (Amount(2, 5), Amount(1, 3), Amount(0, 1000))


def test_a_try_from_the_beginning_counts_from_the_beginning(progress: Progress) -> None:
    progress.plan(images=1, steps=2, blobs=2, size=25)
    first, second = progress.stream(), progress.stream()
    broken = first.watch([b"x" * 10, b"y" * 10])
    next(broken), next(broken)
    assert progress.figures().bytes == Amount(10, 25)
    list(first.watch([b"x" * 10, b"y" * 10]))
    list(second.watch([b"z" * 7]))
    assert progress.figures().bytes == Amount(27, 27), "more than was foreseen is never more than all"


def test_of_several_waits_the_longest_that_was_set_is_told(progress: Progress, clock: Clock) -> None:
    def among(words: str, seconds: float | None, look: Callable[[], None]) -> None:
        def other() -> None:
            with progress.waiting(words, seconds):
                look()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    told: list[str | None] = []

    def tell() -> None:
        wait = progress.figures().wait
        told.append(wait.words if wait else None)

    with progress.asking("first"):
        tell()
        clock.now += 1
        among("for an answer of second", None, tell)
        among("as third asked", 5, tell)
        with progress.waiting("for more of fourth"):  # what the same thread waits for within it
            tell()
    tell()
    first = "for an answer of first"
    assert told == [first, first, "as third asked", "for more of fourth", None]
    assert progress.figures().requests == 1


def test_waits_side_by_side_count_once(progress: Progress, clock: Clock) -> None:
    assert progress.paused() == 0
    with progress.waiting("as one asked", 30):
        clock.now += 2
        with progress.waiting("as other asked", 30):
            clock.now += 3
        clock.now += 1
        assert progress.paused() == 6
    clock.now += 100
    with progress.waiting("for an answer"):
        clock.now += 100
    assert progress.paused() == 6
    with progress.waiting("as one asked", 30):
        clock.now += 4
    assert progress.paused() == 10


def test_a_registry_that_throttles_is_waited_for_by_name(registry: FakeRegistry) -> None:
    session = make_session()
    told = at_each_sleep(session)
    registry.fault("HEAD", "/manifests/", status=429, headers={"Retry-After": "30"})
    registry.fault("HEAD", "/manifests/", status=503)
    repository(registry, session=session).head("1")
    assert [(now.wait.words, now.wait.seconds) for now in told if now.wait] == [
        (f"as {registry.host} asked with HTTP 429", 30),
        (f"as {registry.host} answered HTTP 503", 0.5),
    ]
    assert session.transport.progress.figures().wait is None


def test_a_connection_that_breaks_is_waited_for_by_name(registry: FakeRegistry) -> None:
    session = make_session()
    told = at_each_sleep(session)
    registry.fault("HEAD", "/manifests/", action="lost_answer")
    repository(registry, session=session).head("1")
    assert [now.wait.words for now in told if now.wait] == [f"after trouble with {registry.host}"]


def test_other_writers_are_no_trouble(registry: FakeRegistry) -> None:
    session = make_session()
    told = at_each_sleep(session)
    session.transport.wait(3)
    assert [(now.wait.words, now.wait.seconds) for now in told if now.wait] == [("to look again", None)]
    assert session.transport.progress.paused() == 0


def test_an_upload_is_counted_while_it_goes(registry: FakeRegistry) -> None:
    session = make_session()
    told: list[int] = []

    def content() -> Iterator[bytes]:
        for piece in pieces():
            told.append(session.transport.progress.figures().bytes.done)
            yield piece

    upload_blob(repository(registry, "pull", "push", session=session), BLOB, content)
    assert told == list(range(0, len(DATA), 100_000))
    assert session.transport.progress.figures().bytes.done == len(DATA)


@pytest.mark.parametrize("status", [429, 500])
def test_an_upload_that_is_made_again_counts_once(registry: FakeRegistry, status: int) -> None:
    session = make_session()
    told = at_each_sleep(session)
    registry.fault("PATCH", "/blobs/uploads/", status=status, headers={"Retry-After": "7"})
    upload_blob(repository(registry, "pull", "push", session=session), BLOB, pieces)
    assert len(told) == 1
    assert session.transport.progress.figures().bytes.done == len(DATA)


def test_who_waits_for_a_body_waits_for_who_sends_it(registry: FakeRegistry) -> None:
    session = make_session()
    digest = registry.add_blob(REPO, DATA)
    response = repository(registry, session=session).request("GET", f"blobs/{digest}")
    seen: list[str | None] = []
    read = response._raw.read

    def watched(size: int) -> bytes:
        wait = session.transport.progress.figures().wait
        seen.append(wait.words if wait else None)
        return bytes(read(size))

    response._raw.read = watched
    assert b"".join(response.chunks()) == DATA
    assert set(seen) == {f"for more of an answer of {registry.host}"}


def test_a_failure_leaves_no_wait(registry: FakeRegistry) -> None:
    session = make_session()
    for action in ("reset", "lost_answer"):
        registry.fault("GET", "/manifests/", action=action, times=4)
        with pytest.raises(OCIError):
            repository(registry, session=session).get("1")
    assert session.transport.progress.figures().wait is None


def test_images_that_are_looked_at_are_counted(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1")
    session = make_session()
    name = f"{registry.host}/{REPO}"
    copy_plan(session, images=[{"src": f"{name}:1", "dest": f"{name}:{tag}"} for tag in "1234"])
    now = session.transport.progress.figures()
    assert (now.kind, now.looked) == ("manifests", Amount(1, 1))
    copy_plan(session, images=[{"src": f"{name}:1", "dest": f"{name}:1"}])
    now = session.transport.progress.figures()
    assert (now.kind, now.looked) == ("images", Amount(1, 1))
