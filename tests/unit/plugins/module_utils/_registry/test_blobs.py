# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading blobs: every byte verified, broken connections resumed, memory constant."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    NotFound,
    OCIError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import has_blob, read_blob, stream_blob
from ansible_collections.quayside.registry.plugins.module_utils._registry.client import Repository
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, make_session, repository, switches

DATA = random.Random(1).randbytes(3_000_000)
BLOB = Descriptor("application/octet-stream", digest_of(DATA), len(DATA))
PATH = "/blobs/sha256"


def stocked(quirks: Quirks = Quirks(), data: bytes = DATA) -> FakeRegistry:  # noqa: B008 - it is frozen
    registry = FakeRegistry(quirks)
    registry.add_blob(REPO, data)
    return registry


def fetch(target: Repository, blob: Descriptor = BLOB) -> bytes:
    return b"".join(stream_blob(target, blob))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(blob_redirect=True),
        Quirks(blob_redirect=True, storage_url_single_use=True),
        Quirks(no_digest_header=True),
        Quirks(reencodes_gzip=True),
    ],
    ids=switches,
)
def test_whole(quirks: Quirks) -> None:
    with stocked(quirks) as registry:
        session = make_session()
        assert fetch(repository(registry, session=session)) == DATA
        assert session.transport.counters.bytes_received == len(DATA)


RESUMED: dict[str, tuple[Quirks, int]] = {
    "resumed": (Quirks(), 2),
    "resumed at the storage": (Quirks(blob_redirect=True, storage_url_single_use=True), 2),
    "sent again as a whole": (Quirks(range_ignored=True), 2),
    "Range refused": (Quirks(range_unsupported=True), 3),
    "another range sent": (Quirks(range_wrong=True), 3),
}


@pytest.mark.parametrize("action", ["truncate", "stall"])
@pytest.mark.parametrize(("quirks", "gets"), RESUMED.values(), ids=RESUMED.keys())
def test_broken_connection(quirks: Quirks, gets: int, action: str) -> None:
    with stocked(quirks) as registry:
        server = "storage" if quirks.blob_redirect else "registry"
        registry.fault(path=BLOB.digest, action=action, at=2_500_000, seconds=3, server=server)
        target = repository(registry, session=make_session(timeout=0.3))
        assert fetch(target) == DATA
        assert registry.count("GET", BLOB.digest, server) == gets
        if gets == 2 and not quirks.range_ignored:
            assert int(registry.requests[-1].headers["range"][6:-1]) > 1_000_000


def test_many_breaks_that_each_brought_something() -> None:
    with stocked() as registry:
        registry.fault(path=PATH, action="truncate", at=1_200_000, times=2)
        assert fetch(repository(registry, session=make_session(retries=1))) == DATA


def test_breaks_that_bring_nothing_end() -> None:
    with stocked() as registry:
        registry.fault(path=PATH, action="truncate", at=0, times=99)
        target, sleeps = repository(registry, session=make_session(retries=2)), []
        with fails(ConnectionFailed, "UNREACHABLE", registry.host):
            fetch(target)
        assert registry.count(path=PATH) == 3
        assert sleeps == []


def test_nothing_is_yielded_that_is_not_there_twice() -> None:
    """What was yielded before the break was of another blob than what comes afterwards."""
    with stocked(Quirks(range_ignored=True)) as registry:
        registry.fault(path=PATH, action="truncate", at=2_500_000)
        registry.fault(path=PATH, action="flip", at=10, times=9)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, "changed between two tries"):
            fetch(repository(registry))


@pytest.mark.parametrize("at", [0, 1_500_000, len(DATA) - 1])
def test_flipped_bit(at: int) -> None:
    """The last piece comes only when all was right, so that nobody takes a damaged blob for whole."""
    with stocked() as registry:
        registry.fault(path=PATH, action="flip", at=at)
        got = 0
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, BLOB.digest):
            for chunk in stream_blob(repository(registry), BLOB):
                got += len(chunk)
        assert got < len(DATA)


@pytest.mark.parametrize("wrong", [-1, 1, -1_500_000])
def test_size_that_is_wrong(wrong: int) -> None:
    with stocked() as registry:
        blob = Descriptor(BLOB.media_type, BLOB.digest, BLOB.size + wrong)
        with fails(ContentError, "SIZE_MISMATCH", registry.host, None, f"should be {blob.size} bytes long"):
            fetch(repository(registry), blob)


def test_endless() -> None:
    with stocked() as registry:
        registry.fault(path=PATH, action="endless")
        with fails(ContentError, "SIZE_MISMATCH", registry.host, None, "but more came"):
            fetch(repository(registry))


@pytest.mark.parametrize("data", [b"", b"x"])
def test_small(data: bytes) -> None:
    with stocked(data=data) as registry:
        blob = Descriptor("", digest_of(data), len(data))
        assert fetch(repository(registry), blob) == read_blob(repository(registry), blob) == data


def test_sha512() -> None:
    with stocked() as registry:
        long = digest_of(DATA, "sha512")
        registry.api.repos[REPO].blobs[long] = DATA
        assert fetch(repository(registry), Descriptor("", long, len(DATA))) == DATA


def test_absent() -> None:
    with FakeRegistry() as registry:
        registry.create_repo(REPO)
        with fails(NotFound, "BLOB_UNKNOWN", registry.host, 404, f"{REPO}@{BLOB.digest} does not exist"):
            fetch(repository(registry))


def test_too_large_to_be_read_whole() -> None:
    with FakeRegistry() as registry:
        blob = Descriptor("", BLOB.digest, 1 << 40)
        with fails(ContentError, "TOO_LARGE", registry.host, None, "at most 33554432 are read"):
            read_blob(repository(registry), blob)
        assert registry.requests == []


@pytest.mark.parametrize(
    ("quirks", "error"),
    [
        (Quirks(), None),
        (Quirks(blob_head_redirect=True, blob_redirect=True), None),
        (Quirks(blob_head_redirect=True, blob_redirect=True, storage_head_403=True), None),
        (Quirks(head_blob_status=405), Unsupported),
    ],
)
def test_is_it_there(quirks: Quirks, error: type[OCIError] | None) -> None:
    with stocked(quirks) as registry:
        target = repository(registry)
        if error:
            with fails(error, "UNSUPPORTED_BY_REGISTRY", registry.host, 405):
                has_blob(target, BLOB.digest)
        else:
            assert has_blob(target, BLOB.digest)
            assert not has_blob(target, digest_of(b"another"))


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_trouble_is_never_absence(status: int) -> None:
    with stocked() as registry:
        registry.fault("HEAD", status=status, times=9)
        with pytest.raises(OCIError) as caught:
            has_blob(repository(registry), BLOB.digest)
        assert caught.value.status == status


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}])
def test_content_encoding_changes_nothing(headers: Mapping[str, Any]) -> None:
    """The digest is that of the bytes as they are stored and sent."""
    with FakeRegistry() as registry:
        registry.fault(path=PATH, status=200, headers=headers, body=DATA)
        assert fetch(repository(registry)) == DATA
