# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for images: what is waited for, what is waited out, what fails at once, and how long all of it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    Denied,
    InvalidInput,
    OCIError,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.wait import wait_for_image
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign

A = "sha256:" + "a" * 64
SBOM = "application/vnd.example.sbom"


class Clock:
    """Time that passes only where somebody waits; what is due then happens."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.due: list[tuple[float, Callable[[], object]]] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        for at, happen in [one for one in self.due if 1000 + one[0] <= self.now]:
            self.due.remove((at, happen))
            happen()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self.due.append((seconds, happen))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


def wait(registry: FakeRegistry, clock: Clock, **options: Any) -> dict[str, Any]:
    session = make_session(login(registry), timeout=options.get("timeout", 60))
    session.transport.clock = lambda: clock.now
    session.transport._sleep = clock.sleep
    return run(session, registry, **options)


def run(session: Session, registry: FakeRegistry, **options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "name": f"{registry.host}/{REPO}:1",
        "platforms": [],
        "signatures": None,
        "referrers": [],
        "digest": None,
        "not_digest": None,
        "timeout": 60,
        "interval": 5,
    }
    return wait_for_image(session, **{**defaults, **options})


def test_what_is_there_takes_one_head(registry: FakeRegistry, clock: Clock) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    assert wait(registry, clock, digest=digest, not_digest=A) == {
        "reference": f"{registry.host}/{REPO}@{digest}",
        "digest": digest,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "elapsed": 0,
    }
    assert [request.method for request in registry.requests] == ["HEAD"]
    assert clock.slept == []


def test_an_image_that_comes(registry: FakeRegistry, clock: Clock) -> None:
    clock.after(12, lambda: registry.add_image(REPO, "1", layers=LAYERS))
    assert 15 <= wait(registry, clock)["elapsed"] <= 16
    assert len(clock.slept) == 3


def test_a_tag_that_moves(registry: FakeRegistry, clock: Clock) -> None:
    old = registry.add_image(REPO, "1", layers=LAYERS)
    clock.after(7, lambda: registry.add_image(REPO, "1", layers=LAYERS[:1]))
    new = wait(registry, clock, not_digest=old)["digest"]
    assert new == registry.tags(REPO)["1"] != old
    clock.after(30, lambda: registry.add_image(REPO, "1", layers=LAYERS))
    assert wait(registry, clock, digest=old)["digest"] == old


def test_platforms(registry: FakeRegistry, clock: Clock) -> None:
    index = add_platforms(registry)
    registry.add_image(REPO, "1", layers=LAYERS, platform="linux/amd64")
    clock.after(8, lambda: registry.api.repos[REPO].tags.update({"1": index}))
    assert wait(registry, clock, platforms=["linux/amd64", "linux/arm64"])["digest"] == index
    assert len(clock.slept) == 2
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, says="has no image for linux/s390x"):
        wait(registry, clock, platforms=["linux/amd64", "linux/s390x"])
    registry.add_image(REPO, "1", layers=LAYERS, platform="linux/amd64")
    assert wait(registry, clock, platforms=["linux/amd64"])["elapsed"] == 0
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, says="none for linux/arm64"):
        wait(registry, clock, platforms=["linux/amd64", "linux/arm64"])


def test_an_image_without_its_signature_is_not_ready(registry: FakeRegistry, clock: Clock, tmp_path: Path) -> None:
    signer = Signer(tmp_path, "ci")
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    clock.after(8, lambda: sign(registry, signer))
    trust = {"keys": [signer.public]}
    assert wait(registry, clock, signatures=trust)["digest"] == digest
    assert len(clock.slept) == 2
    registry.add_image(REPO, "1", layers=LAYERS[:1])
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, says="is not verified"):
        wait(registry, clock, signatures=trust)


def test_referrers(registry: FakeRegistry, clock: Clock) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    registry.add_referrer(REPO, digest, "application/vnd.example.other", b"x")
    clock.after(8, lambda: registry.add_referrer(REPO, digest, SBOM, b"sbom"))
    assert wait(registry, clock, referrers=[SBOM, "application/vnd.example.other"])["digest"] == digest
    assert len(clock.slept) == 2
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, says="nothing of the type a/b refers to"):
        wait(registry, clock, referrers=[SBOM, "a/b"])


def test_all_that_is_missing_is_told(registry: FakeRegistry, clock: Clock, tmp_path: Path) -> None:
    index = add_platforms(registry)
    trust = {"keys": [Signer(tmp_path, "ci").public]}
    types = ["a/b", "c/d"]
    with fails(OCIError, "WAIT_TIMEOUT", registry.host) as caught:
        wait(registry, clock, platforms=["linux/s390x", "linux/ppc64le"], signatures=trust, referrers=types)
    assert str(caught.value) == (
        f"{registry.host}/{REPO}:1 was not ready within 60 s: {registry.host}/{REPO}@{index} has no image for "
        "linux/s390x or linux/ppc64le; it has linux/amd64, linux/arm64; and nothing of the type a/b or c/d refers to "
        f"{index}; and it is not verified: It has no signature."
    )


def test_what_vanishes_during_a_look_is_told_once(registry: FakeRegistry, clock: Clock, tmp_path: Path) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    gone = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
    registry.fault("GET|HEAD", f"/manifests/{digest}", status=404, body=gone, times=999)
    trust = {"keys": [Signer(tmp_path, "ci").public]}
    with fails(OCIError, "WAIT_TIMEOUT", registry.host) as caught:
        wait(registry, clock, platforms=["linux/amd64"], signatures=trust)
    assert str(caught.value).count(digest) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "was not ready within 60 s: it does not exist."),
        ({"name": "2"}, "it is sha256:"),
        ({"name": "2", "digest": None, "not_digest": True}, "it still is sha256:"),
    ],
)
def test_when_the_time_is_over(registry: FakeRegistry, clock: Clock, options: dict[str, Any], says: str) -> None:
    digest = registry.add_image(REPO, "2", layers=LAYERS)
    options = {"digest": A, **options}
    options["name"] = f"{registry.host}/{REPO}:{options.get('name', '1')}"
    options["not_digest"] = digest if options.get("not_digest") else None
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, None, says=says) as caught:
        wait(registry, clock, **options)
    assert 60 <= caught.value.details["elapsed"] <= 61
    assert 60 <= sum(clock.slept) <= 61


def test_the_last_wait_is_what_is_left(registry: FakeRegistry, clock: Clock) -> None:
    with fails(OCIError, "WAIT_TIMEOUT"):
        wait(registry, clock, timeout=12, interval=5)
    assert [round(seconds) for seconds in clock.slept][:2] == [5, 5]
    assert sum(clock.slept) <= 12.3
    clock.slept.clear()
    with fails(OCIError, "WAIT_TIMEOUT"):
        wait(registry, clock, timeout=3, interval=300)
    assert len(clock.slept) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_trouble_is_waited_out(registry: FakeRegistry, clock: Clock, status: int) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    fault = registry.fault("*", status=status, times=999)
    clock.after(20, lambda: setattr(fault, "times", 0))
    assert wait(registry, clock)["elapsed"] >= 20
    fault.times, fault.hits = 9999, 0
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, status, says=f"HTTP {status}"):
        wait(registry, clock)


def test_a_registry_that_is_not_there_yet(clock: Clock) -> None:
    registry = FakeRegistry()
    registry.close()
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, None, says="the connection was refused"):
        wait(registry, clock)


def test_a_last_look_without_an_answer_does_not_hide_what_is_missing(registry: FakeRegistry, clock: Clock) -> None:
    clock.after(59, lambda: registry.fault("*", action="stall", seconds=5, times=99))
    session = make_session(login(registry), timeout=60, retries=0)
    session.transport.clock = lambda: clock.now
    session.transport._sleep = clock.sleep
    with fails(OCIError, "WAIT_TIMEOUT", registry.host, None, says="it does not exist"):
        run(session, registry)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_waited_out(registry: FakeRegistry, clock: Clock, status: int) -> None:
    registry.fault("*", status=status, times=999)
    with pytest.raises(Denied):
        wait(registry, clock)
    assert clock.slept == []


def test_a_certificate_does_not_mend_itself(registry: FakeRegistry, clock: Clock) -> None:
    session = make_session(login(registry, settings=login(registry).settings._replace(plain_http=False)))
    session.transport._sleep = clock.sleep
    with fails(ConnectionFailed, "TLS_ERROR", registry.host):
        run(session, registry)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"interval": 0}, "INVALID_OPTION", "interval"),
        ({"digest": "x"}, "INVALID_OPTION", "digest 'x' names no algorithm"),
        ({"not_digest": "sha256:1"}, "INVALID_OPTION", "not_digest"),
        ({"digest": f"sha256:{'0' * 64}", "not_digest": f"sha256:{'0' * 64}"}, "INVALID_OPTION", "can never be"),
        ({"platforms": ["a b"]}, "INVALID_PLATFORM", "a b"),
        ({"signatures": {}}, "INVALID_OPTION", "trust needs keys"),
        ({"name": "UPPER/x"}, "INVALID_REFERENCE", "lower case"),
    ],
)
def test_options_that_cannot_be_used(
    registry: FakeRegistry, clock: Clock, options: dict[str, Any], code: str, says: str
) -> None:
    with fails(InvalidInput, code, says=says):
        wait(registry, clock, **options)
    assert registry.requests == []


def test_a_request_takes_no_longer_than_what_is_left(registry: FakeRegistry, clock: Clock) -> None:
    session = make_session(login(registry), timeout=300)
    session.transport.clock = lambda: clock.now
    session.transport._sleep = clock.sleep
    seen: list[float] = []
    look = session.transport._manager

    def manager(*args: Any) -> Any:
        found = look(*args)
        request = found.request

        def noted(*args: Any, **options: Any) -> Any:
            seen.append(options["timeout"])
            return request(*args, **options)

        return type("Noted", (), {"request": staticmethod(noted)})()

    session.transport._manager = manager  # type: ignore[method-assign]
    with fails(OCIError, "WAIT_TIMEOUT"):
        run(session, registry, timeout=100, interval=30)
    assert seen[0] == 60
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 1
    assert 5 < seen[-2] < 15
