# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs in files."""

from __future__ import annotations

import os
import random
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    NotFound,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Plan
from ansible_collections.quayside.registry.plugins.module_utils._verbs.blob import plan_blob
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, apply, fails, login, make_session

DATA = b"some bytes " * 1000


def run(registry: FakeRegistry, digest: str, path: Path) -> Plan:
    session = make_session(login(registry), retries=0)
    planned = plan_blob(session, name=f"{registry.host}/{REPO}@{digest}", path=str(path))
    apply(session, planned)
    return planned


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_is_saved_once(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    with FakeRegistry() as registry:
        registry.add_blob(REPO, DATA)
        digest = digest_of(DATA, algorithm)
        registry.api.repos[REPO].blobs[digest] = DATA
        planned = run(registry, digest, path)
        assert path.read_bytes() == DATA
        assert planned.result == {
            "path": str(path),
            "size": len(DATA),
            "digest": digest,
            "previous_digest": None,
            "reference": f"{registry.host}/{REPO}@{digest}",
        }
        assert (planned.before, planned.after) == ({str(path): None}, {str(path): digest})
        assert planned.cost() == Cost(bytes_received=len(DATA))
        registry.reset_log()
        again = run(registry, digest, path)
        assert not again.changed
        assert again.result == {**planned.result, "previous_digest": digest}
        assert registry.requests == []


def test_a_file_with_something_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"old")
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        assert run(registry, digest, path).before == {str(path): digest_of(b"old")}
    assert path.read_bytes() == DATA


def test_an_empty_blob(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        run(registry, registry.add_blob(REPO, b""), tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == b""


def test_storage_that_refuses_head(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        registry.fault("HEAD", "/blobs/", status=405, times=9)
        planned = run(registry, digest, tmp_path / "blob")
        assert planned.result["size"] == len(DATA)
    assert (tmp_path / "blob").read_bytes() == DATA


def test_a_name_without_a_digest_is_refused(tmp_path: Path) -> None:
    with FakeRegistry() as registry, fails(InvalidInput, "INVALID_REFERENCE", says="no tags"):
        plan_blob(make_session(), name=f"{registry.host}/{REPO}:1", path=str(tmp_path / "blob"))
    assert registry.requests == []


def test_what_is_not_there(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_blob(REPO, DATA)
        with fails(NotFound, "BLOB_UNKNOWN", registry.host, 404, says="does not exist"):
            run(registry, digest_of(b"other"), tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


@pytest.mark.parametrize("data", [DATA[:-1] + b"x", DATA[:-1]])
def test_what_is_damaged_replaces_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"old")
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        registry.api.repos[REPO].blobs[digest] = data
        with fails(ContentError, "DIGEST_MISMATCH"):
            run(registry, digest, path)
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["blob", "home"]


def test_a_registry_that_hides_the_size(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        registry.fault("HEAD", "/blobs/", status=403, times=9)
        registry.fault("GET", "/blobs/", status=500, times=9)
        with fails(RegistryError, "UNKNOWN", registry.host, 500):
            run(registry, digest, tmp_path / "blob")


def test_places_that_cannot_be(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "blob"):
        with FakeRegistry() as registry, fails(InvalidInput, "FILE_ERROR", says=str(tmp_path)):
            run(registry, digest_of(DATA), path)
        assert registry.requests == []


def test_memory_does_not_grow_with_the_blob(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(1 << 20) * 48
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, data)
        session = make_session(login(registry))
        planned = plan_blob(session, name=f"{registry.host}/{REPO}@{digest}", path=str(tmp_path / "blob"))
        tracemalloc.start()
        apply(session, planned)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert digest_of((tmp_path / "blob").read_bytes()) == digest
    assert peak < len(data) // 3


def test_a_bit_that_flipped_on_the_way_is_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        registry.fault(path=digest, action="flip")
        session = make_session()
        apply(session, plan_blob(session, name=f"{registry.host}/{REPO}@{digest}", path=str(path)))
        assert path.read_bytes() == DATA
        assert registry.count("GET", digest) == 2


def test_damage_that_stays_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, DATA)
        registry.fault(path=digest, action="flip", times=99)
        session = make_session()
        planned = plan_blob(session, name=f"{registry.host}/{REPO}@{digest}", path=str(path))
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, digest):
            apply(session, planned)
        assert not path.exists()
        assert registry.count("GET", digest) == 2
