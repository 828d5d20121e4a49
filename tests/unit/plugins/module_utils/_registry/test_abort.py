# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that is interrupted: what waits for a registry in other threads ends at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import stream_blob
from ansible_collections.quayside.registry.plugins.module_utils._registry.client import Repository
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings, Transport
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO

DATA = bytes(3_000_000)
BLOB = Descriptor("", digest_of(DATA), len(DATA))


def target(registry: FakeRegistry, settings: Settings = Settings()) -> Repository:  # noqa: B008 - it is frozen
    """A repository whose waits are real."""
    session = Session(Transport(timeout=30, retries=3), settings, lambda command, text: (127, ""))
    return session.repository(Reference(registry.host, REPO))


def abort_during(repository: Repository, registry: FakeRegistry, work: Callable[[], Any]) -> OCIError:
    """Abort what is done in another thread, once the registry has heard of it; return how it failed."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        while not registry.faults.injected:
            time.sleep(0.01)
        time.sleep(0.2)
        began = time.monotonic()
        repository.registry.transport.abort()
        failed = doing.exception(timeout=20)
        assert time.monotonic() - began < 2
    assert isinstance(failed, OCIError)
    return failed


@pytest.mark.parametrize("at", [None, 0, 1_500_000])
def test_a_download_that_stalls(registry: FakeRegistry, at: int | None) -> None:
    registry.add_blob(REPO, DATA)
    registry.fault("GET", "/blobs/", action="stall", at=at, seconds=60, times=9)
    repository = target(registry)
    abort_during(repository, registry, lambda: list(stream_blob(repository, BLOB)))
    assert registry.count("GET", "/blobs/") <= 1


def test_with_tls(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        registry.add_blob(REPO, DATA)
        registry.fault("GET", "/blobs/", action="stall", at=1_500_000, seconds=60, times=9)
        repository = target(registry, Settings(plain_http=False, ca_path=certificates.ca))
        abort_during(repository, registry, lambda: list(stream_blob(repository, BLOB)))


def test_a_wait_before_the_next_try(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1")
    registry.fault("HEAD|GET", "/manifests/", status=429, headers={"Retry-After": "50"}, times=9)
    repository = target(registry)
    abort_during(repository, registry, lambda: repository.head("1"))


def test_nothing_is_asked_afterwards(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1")
    repository = target(registry)
    assert repository.head("1")
    repository.registry.transport.abort()
    registry.reset_log()
    with pytest.raises(OCIError):
        repository.head("1")
    assert registry.count() == 0
