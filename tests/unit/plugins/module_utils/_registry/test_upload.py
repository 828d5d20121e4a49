# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending blobs to registries of every manner, and what is left when it goes wrong."""

from __future__ import annotations

import random
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    Denied,
    NotFound,
    OCIError,
    RegistryError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import stream_blob
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.plugins.module_utils._registry.upload import mount_blob, upload_blob
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.fake_registry.sockets import Handler
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, login, make_session, repository, switches

DATA = random.Random(2).randbytes(2_500_000)
BLOB = Descriptor("application/octet-stream", digest_of(DATA), len(DATA))
USERS = {USER: PASSWORD}


def content(data: bytes = DATA) -> Callable[[], Iterator[bytes]]:
    """Opens the data anew, in pieces of odd length."""
    return lambda: (data[at : at + 333_333] for at in range(0, len(data), 333_333))


def uploads(registry: FakeRegistry) -> int:
    """How many uploads were begun and neither finished nor cancelled."""
    return sum(len(content["uploads"]) for content in registry.state().values())


VARIANTS = {
    "absolute": Quirks(),
    "relative": Quirks(upload_location="relative"),
    "relative, with a query": Quirks(upload_location="relative", upload_location_query=True),
    "absolute, with a query": Quirks(upload_location_query=True),
    "on another host": Quirks(upload_location="other_host", upload_location_query=True),
    "PATCH 201": Quirks(patch_status=201),
    "PATCH 204": Quirks(patch_status=204),
    "PATCH 201 finishes": Quirks(patch_201_finishes=True),
    "PATCH alone": Quirks(patch_only=True),
    "PUT alone": Quirks(put_only=True),
    "PUT alone, with a query": Quirks(put_only=True, upload_location_query=True),
    "PUT 204": Quirks(put_blob_status=204),
    "no chunks": Quirks(chunks_refused=True),
    "short chunks": Quirks(chunk_max_length=1 << 20),
    "later chunks are dropped": Quirks(drops_later_chunks=True),
    "Content-Length wanted": Quirks(refuse_transfer_chunked=True),
    "POST finishes nothing": Quirks(single_post_202=True),
    "uploads are kept": Quirks(partial_uploads_kept=True),
}


@pytest.mark.parametrize("data", [DATA, b"x", b""], ids=["large", "small", "empty"])
@pytest.mark.parametrize("quirks", VARIANTS.values(), ids=VARIANTS.keys())
def test_upload(quirks: Quirks, data: bytes) -> None:
    with FakeRegistry(quirks, Auth(users=USERS)) as registry:
        session = make_session(login(registry))
        blob = Descriptor("", digest_of(data), len(data))
        upload_blob(repository(registry, session=session), blob, content(data))
        assert registry.blobs(REPO) == {blob.digest: data}
        assert uploads(registry) == 0
        assert session.transport.counters.bytes_sent == len(data)
        strangers = [request for request in registry.requests if request.server == "storage"]
        assert not any("authorization" in request.headers for request in strangers)


@pytest.mark.parametrize("name", PROFILES)
def test_upload_to_each_profile(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.create_repo(REPO)
        upload_blob(repository(registry, "pull", "push"), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


# --- what breaks under way


@pytest.mark.parametrize(
    ("method", "action"),
    [("POST", "reset"), ("PATCH", "reset"), ("PATCH", "lost_answer"), ("PUT", "reset"), ("PUT", "lost_answer")],
)
@pytest.mark.parametrize("times", [1, 3])
def test_broken_connections(method: str, action: str, times: int) -> None:
    with FakeRegistry() as registry:
        registry.fault(method, action=action, times=times)
        upload_blob(repository(registry), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_errors(method: str, status: int) -> None:
    with FakeRegistry() as registry:
        registry.fault(method, "/uploads/", status=status, times=2)
        upload_blob(repository(registry), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


def test_breaks_that_do_not_end() -> None:
    with FakeRegistry() as registry:
        registry.fault("PATCH", action="reset", times=99)
        target = repository(registry, session=make_session(retries=2))
        with fails(ConnectionFailed, "UNREACHABLE", registry.host, None, "the connection broke"):
            upload_blob(target, BLOB, content())
        assert registry.count("PATCH") == 3


def test_errors_that_do_not_end() -> None:
    with FakeRegistry() as registry:
        registry.fault("PATCH", status=500, times=99)
        with fails(RegistryError, "UNKNOWN", registry.host, 500, f"The upload of {BLOB.digest}"):
            upload_blob(repository(registry, session=make_session(retries=1)), BLOB, content())


def test_a_registry_that_forgets_uploads() -> None:
    with FakeRegistry() as registry:
        registry.fault("PUT", status=404, body={"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "unknown"}]})
        upload_blob(repository(registry), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


def test_token_that_ends_between_two_requests() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        target = repository(registry, "pull", "push")
        opened = content()

        def late() -> Iterator[bytes]:
            if registry.count("POST", "/uploads/") < 2:  # the first try
                registry.expire_tokens()
            return opened()

        upload_blob(target, BLOB, late)
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


def test_refusal_while_the_body_is_sent() -> None:
    with FakeRegistry(Quirks(refuse_before_body=True), Auth(users=USERS)) as registry:
        target = repository(registry, "pull", "push")
        upload_blob(target, BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(401, Denied, "UNAUTHORIZED"), (403, Denied, "DENIED"), (405, Unsupported, "UNSUPPORTED_BY_REGISTRY")],
)
def test_final_refusals(status: int, kind: type[OCIError], code: str) -> None:
    with FakeRegistry() as registry:
        registry.fault("POST", status=status, times=9)
        with fails(kind, code, registry.host, status, f"he upload of {BLOB.digest}"):
            upload_blob(repository(registry), BLOB, content())
        assert registry.count("POST") <= 2


def test_repository_that_must_exist() -> None:
    with FakeRegistry(Quirks(repo_must_exist=True)) as registry:
        target = repository(registry)
        with fails(NotFound, "NAME_UNKNOWN", registry.host, 404, "does not exist"):
            upload_blob(target, BLOB, content())


def test_body_too_large_for_the_registry() -> None:
    with FakeRegistry(Quirks(body_max_bytes=1000)) as registry:
        target = repository(registry)
        with fails(RegistryError, "SIZE_INVALID", registry.host, 413, "request body too large"):
            upload_blob(target, BLOB, content())


def test_location_that_is_missing() -> None:
    with FakeRegistry(Quirks(upload_location="missing")) as registry:
        target = repository(registry)
        with fails(RegistryError, "BLOB_UPLOAD_INVALID", registry.host, 202, "no Location"):
            upload_blob(target, BLOB, content())


def test_location_that_forgets_https_stays_on_https(certificates: Any) -> None:
    """Behind a proxy with TLS that does not say so: the same host and port, as http."""
    with FakeRegistry(Quirks(upload_location="http"), tls=certificates.server) as registry:
        settings = Settings(plain_http=False, ca_path=certificates.ca)
        upload_blob(repository(registry, session=make_session(settings=settings)), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


def test_location_below_https(certificates: Any) -> None:
    with FakeRegistry() as elsewhere, FakeRegistry(tls=certificates.server) as registry:
        settings = Settings(plain_http=False, ca_path=certificates.ca)
        registry.fault("POST", status=202, headers={"Location": f"{elsewhere.url}/v2/x"}, times=9)
        with fails(ContentError, "UNSAFE_URL", registry.host, None, "X-Forwarded-Proto"):
            upload_blob(repository(registry, session=make_session(settings=settings)), BLOB, content())
        assert registry.count("PATCH") == elsewhere.count() == 0


@pytest.mark.parametrize("location", ["file:///x", "http://169.254.169.254/x", "http://[x", "http://a:b@127.0.0.1/"])
def test_location_that_is_unsafe(location: str) -> None:
    with FakeRegistry() as registry:
        registry.fault("POST", status=202, headers={"Location": location}, times=9)
        with fails(ContentError, "UNSAFE_URL", registry.host):
            upload_blob(repository(registry), BLOB, content())


def test_location_at_a_host_that_does_not_answer() -> None:
    """As where a proxy drops the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    with FakeRegistry() as registry:
        registry.fault("POST", status=202, headers={"Location": f"http://{gone}/v2/x"}, times=9)
        target = repository(registry, session=make_session(retries=0))
        with fails(ConnectionFailed, "UNREACHABLE", gone, None, f"{registry.host} sent us there"):
            upload_blob(target, BLOB, content())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_request_that_is_limited_by_rate_is_sent_again_alone(method: str, status: int) -> None:
    with FakeRegistry() as registry:
        registry.fault(method, "/uploads/", status=status, headers={"Retry-After": "1"}, times=2)
        upload_blob(repository(registry), BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}
        assert registry.count("POST") == 1
        assert registry.count(method) == 3


def test_a_rate_limit_that_stays_is_not_multiplied() -> None:
    with FakeRegistry() as registry:
        registry.fault("PATCH", "/uploads/", status=429, times=99)
        with fails(RegistryError, "TOOMANYREQUESTS", registry.host, 429):
            upload_blob(repository(registry), BLOB, content())
        assert registry.count("PATCH") == 4


def test_a_local_file_that_cannot_be_read_is_not_the_registry() -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[:1000]
        raise OSError(5, "Input/output error", "/data/layer.tar")

    with FakeRegistry() as registry:
        with fails(OCIError, "FILE_ERROR", says="/data/layer.tar: Input/output error"):
            upload_blob(repository(registry), BLOB, broken)
        assert registry.count("PATCH") <= 1


# --- content that turns out to be wrong


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(put_only=True), Quirks(upload_location_query=True)], ids=switches)
def test_damaged_source_is_cancelled(quirks: Quirks) -> None:
    with FakeRegistry() as source, FakeRegistry(quirks) as registry:
        source.add_blob(REPO, DATA)
        source.fault(path=BLOB.digest, action="flip", times=99)
        session = make_session()
        opened = partial(stream_blob, repository(source, session=session), BLOB)
        with fails(ContentError, "DIGEST_MISMATCH", source.host, None, BLOB.digest):
            upload_blob(repository(registry, session=session), BLOB, opened)
        assert registry.blobs(REPO) == {}
        assert uploads(registry) == 0


def test_source_that_was_damaged_once() -> None:
    with FakeRegistry() as source, FakeRegistry() as registry:
        source.add_blob(REPO, DATA)
        source.fault(path=BLOB.digest, action="flip")
        session = make_session()
        upload_blob(
            repository(registry, session=session), BLOB, partial(stream_blob, repository(source, session=session), BLOB)
        )
        assert registry.blobs(REPO) == {BLOB.digest: DATA}
        assert uploads(registry) == 0
        assert source.count("GET") == 2


def test_source_that_breaks_is_resumed_within_the_upload() -> None:
    with FakeRegistry() as source, FakeRegistry() as registry:
        source.add_blob(REPO, DATA)
        source.fault(path=BLOB.digest, action="truncate", at=1_500_000)
        session = make_session()
        upload_blob(
            repository(registry, session=session), BLOB, partial(stream_blob, repository(source, session=session), BLOB)
        )
        assert registry.count("PATCH") == 1


def test_source_that_went_away_is_not_tried_for_ever() -> None:
    with FakeRegistry() as source, FakeRegistry() as registry:
        session = make_session(retries=1)
        opened = partial(stream_blob, repository(source, session=session), BLOB)
        with pytest.raises(RegistryError) as caught:
            upload_blob(repository(registry, session=session), BLOB, opened)
        assert (caught.value.registry, caught.value.status) == (source.host, 404)
        assert source.count("GET") == 1


# --- mounts


@pytest.mark.parametrize(
    "quirks", [Quirks(), Quirks(mount_needs_from=True), Quirks(no_automatic_mount=True)], ids=switches
)
def test_mount(quirks: Quirks) -> None:
    with FakeRegistry(quirks, Auth(users=USERS)) as registry:
        registry.add_blob("team/base", DATA)
        assert mount_blob(repository(registry, "pull", "push"), BLOB.digest, "team/base")
        assert registry.blobs(REPO) == {BLOB.digest: DATA}
        assert registry.count("PATCH") == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
@pytest.mark.parametrize("auth", [Auth(mode="none"), Auth(users=USERS)], ids=["open", "bearer"])
def test_mount_refused(status: int, auth: Auth) -> None:
    with FakeRegistry(Quirks(mount_status=status), auth) as registry:
        registry.add_blob("team/base", DATA)
        assert not mount_blob(repository(registry, "pull", "push"), BLOB.digest, "team/base")
        assert uploads(registry) == 0


def test_mount_that_becomes_an_upload_is_cancelled() -> None:
    with FakeRegistry(Quirks(mount_202=True)) as registry:
        registry.add_blob("team/base", DATA)
        assert not mount_blob(repository(registry), BLOB.digest, "team/base")
        assert uploads(registry) == 0


def test_mount_of_what_is_not_there() -> None:
    with FakeRegistry() as registry:
        assert not mount_blob(repository(registry), BLOB.digest, "team/base")
        assert uploads(registry) == 0


@pytest.mark.parametrize("location", [None, "file:///x"])
def test_mount_that_cannot_be_cancelled(location: str | None) -> None:
    with FakeRegistry() as registry:
        registry.fault("POST", status=202, headers={"Location": location} if location else {})
        assert not mount_blob(repository(registry), BLOB.digest, "team/base")


def test_mount_for_which_there_is_no_token() -> None:
    """A token server may refuse the scope of the source instead of granting less."""
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.add_blob("team/base", DATA)
        registry.fault(path=r"/token\?.*team%2Fbase", status=403, times=9)
        assert not mount_blob(repository(registry, "pull", "push"), BLOB.digest, "team/base")


def test_a_mount_that_the_login_does_not_reach_is_asked_for_once() -> None:
    with FakeRegistry(Quirks(mount_status=403), Auth(users=USERS)) as registry:
        target = repository(registry, "pull", "push")
        for number in range(5):
            assert not mount_blob(target, digest_of(b"%d" % number), "team/base")
        assert registry.count("POST") == 1
        assert registry.count(path="/token") == 1


def test_a_mount_for_which_there_is_no_token_is_asked_for_once() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.fault(path=r"/token\?.*team%2Fbase", status=403, times=99)
        target = repository(registry, "pull", "push")
        for number in range(5):
            assert not mount_blob(target, digest_of(b"%d" % number), "team/base")
        assert registry.count(path="/token") == 1


def test_mount_with_a_token_for_the_first_scope_only() -> None:
    with FakeRegistry(auth=Auth(users=USERS, honours_first_scope_only=True)) as registry:
        registry.add_blob("team/base", DATA)
        target = repository(registry, "pull", "push")
        mount_blob(target, BLOB.digest, "team/base")
        upload_blob(target, BLOB, content())
        assert registry.blobs(REPO) == {BLOB.digest: DATA}


# --- memory


class _Swallowed:
    """Makes a fake registry count what is uploaded instead of keeping it."""

    def __init__(self, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0

        def read(handler: Any, limit: int | None, half: bool) -> tuple[bytes, bool]:
            left = int(handler.headers.get("Content-Length") or 0)
            kept = b"" if handler.command == "PATCH" else handler.rfile.read(left)
            while left and handler.command == "PATCH":
                piece = handler.rfile.read(min(left, 1 << 16))
                left -= len(piece)
                self.bytes += len(piece)
            return kept, True

        monkeypatch.setattr(Handler, "_read_body", read)
        monkeypatch.setattr(registry.api, "_store", lambda *dummy: None)


def test_memory_is_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB from one registry to another; the fake ones keep theirs, so only what lies above that is counted."""
    size, piece = 64 << 20, random.Random(3).randbytes(1 << 20)
    data = piece * (size // len(piece))
    blob = Descriptor("", digest_of(data), size)
    with FakeRegistry() as source, FakeRegistry() as registry:
        source.add_blob(REPO, data)
        taken = _Swallowed(registry, monkeypatch)
        session = make_session(timeout=30)
        opened = partial(stream_blob, repository(source, session=session), blob)
        tracemalloc.start()
        try:
            upload_blob(repository(registry, session=session), blob, opened)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert taken.bytes == size
        assert peak < 16 << 20
        assert session.transport.counters.bytes_sent == session.transport.counters.bytes_received == size
