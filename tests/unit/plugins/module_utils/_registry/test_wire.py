# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the wire, in ways that no single file of the client answers for alone."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    Denied,
    OCIError,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry import upload
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import read_blob
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.manifests import put
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import referrers_by_api
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.tags import list_tags
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.plugins.module_utils._registry.upload import upload_blob
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    complete,
    copy_plan,
    fails,
    is_sentence,
    login,
    make_session,
    repository,
)

USERS = {USER: PASSWORD}
MEBI = 1 << 20
BIG = bytes(range(256)) * 4 * 1024 * 9  # 9 MiB
BLOB = Descriptor("application/octet-stream", digest_of(BIG), len(BIG))


def content() -> Iterator[bytes]:
    return (BIG[at : at + 700_001] for at in range(0, len(BIG), 700_001))


def add_image(registry: FakeRegistry) -> str:
    return registry.add_image(REPO, "1", layers=LAYERS)


# --- small answers that come damaged are fetched again, and reported where that does not help


def read_by_tag(registry: FakeRegistry) -> Any:
    return repository(registry, "pull").get("1").digest


def read_by_digest(registry: FakeRegistry) -> Any:
    return repository(registry, "pull").get(registry.tags(REPO)["1"]).digest


def read_config(registry: FakeRegistry) -> Any:
    found = registry.manifest(REPO, "1")["config"]
    return read_blob(repository(registry, "pull"), Descriptor(found["mediaType"], found["digest"], found["size"]))


def read_tags(registry: FakeRegistry) -> Any:
    return list_tags(repository(registry, "pull"))


def read_referrers(registry: FakeRegistry) -> Any:
    return referrers_by_api(repository(registry, "pull"), registry.tags(REPO)["1"])


READS: dict[str, tuple[Callable[[FakeRegistry], Any], str]] = {
    "a manifest by tag": (read_by_tag, "/manifests/"),
    "a manifest by digest": (read_by_digest, "/manifests/"),
    "a config": (read_config, "/blobs/"),
    "a list of tags": (read_tags, "/tags/list"),
    "a list of referrers": (read_referrers, "/referrers/"),
    "a token": (read_by_tag, "/token"),
}
# Where in the body a bit is another: JSON ends to be JSON with its first byte, a digest differs with any.
each_read = pytest.mark.parametrize(("read", "path"), READS.values(), ids=READS.keys())


def asking(path: str) -> FakeRegistry:
    """A registry that wants a token where the token is what is looked at, and else nothing that would be in the way."""
    return FakeRegistry(auth=Auth(users=USERS) if path == "/token" else None)


@each_read
@pytest.mark.parametrize("damage", [[("truncate", None)], [("flip", 0)], [("truncate", 1), ("flip", 0), ("flip", 1)]])
def test_damage_that_passes(read: Callable[..., Any], path: str, damage: list[tuple[str, int | None]]) -> None:
    with asking(path) as registry:
        add_image(registry)
        wanted = read(registry)
        faults = [registry.fault("GET", path, action=action, at=at) for action, at in damage]
        assert read(registry) == wanted
        assert all(fault.hits for fault in faults)


@each_read
@pytest.mark.parametrize("action", ["truncate", "flip"])
def test_damage_that_stays(read: Callable[..., Any], path: str, action: str) -> None:
    """Flipped bits would not be the same ones again; a connection may break each time."""
    with asking(path) as registry:
        add_image(registry)
        fault = registry.fault("GET", path, action=action, at=0 if action == "flip" else None, times=99)
        with pytest.raises(OCIError) as caught:
            read(registry)
        known = ("UNREACHABLE",) if action == "truncate" else ("DIGEST_MISMATCH", "MANIFEST_INVALID")
        assert caught.value.code in known
        assert is_sentence(str(caught.value))
        assert fault.hits == (2 if action == "flip" else 4)


def test_an_error_of_the_registry_is_not_damage() -> None:
    """Whoever really serves something else is not asked for ever."""
    with FakeRegistry(Quirks(wrong_digest_header=True)) as registry:
        add_image(registry)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host):
            repository(registry).get("1")
        assert registry.count("GET", "/manifests/") == 2


def test_bits_that_flip_on_the_way_to_the_registry() -> None:
    """It says that the digest is another; the upload is made again."""
    with FakeRegistry() as registry:
        error = {"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match uploaded content"}]}
        registry.fault("PUT", "digest=", status=400, body=error, times=2)
        upload_blob(repository(registry), BLOB, content)
        assert registry.blobs(REPO) == {BLOB.digest: BIG}


def test_a_manifest_that_was_damaged_on_its_way_is_put_again() -> None:
    """A tag takes whatever came, so what the registry says that it stored has to be right."""
    with FakeRegistry() as registry:
        manifest = repository(registry).get(add_image(registry))
        for stored in (b"something else", b"something else again"):
            registry.fault("PUT", status=201, headers={"Docker-Content-Digest": digest_of(stored)})
        put(repository(registry), "2", manifest)
        assert registry.tags(REPO)["2"] == manifest.digest


@pytest.mark.parametrize("damaged", [0, 1, 9])
def test_a_registry_that_does_not_say_what_it_stored(damaged: int) -> None:
    with FakeRegistry() as registry:
        manifest = repository(registry).get(add_image(registry))
        registry.add_image(REPO, "2", layers=LAYERS[:1])  # what is there if nothing was stored
        registry.fault("PUT", status=201, times=damaged or 1)
        if damaged == 0:
            registry.add_manifest(REPO, manifest.raw, tag="2")
        if damaged == 9:
            with fails(ContentError, "DIGEST_MISMATCH", registry.host):
                put(repository(registry), "2", manifest)
        else:
            put(repository(registry), "2", manifest)
            assert registry.tags(REPO)["2"] == manifest.digest


# --- tokens


@pytest.mark.parametrize("rotates", [True, False])
def test_a_refresh_token_that_comes_with_a_token_is_used(rotates: bool) -> None:
    auth = Auth(users=USERS, identity_tokens={"first-token": USER}, refresh_rotates=rotates)
    with FakeRegistry(auth=auth) as registry:
        digest = add_image(registry)
        session = make_session(login(registry, Credential(identity_token="first-token")))
        target = repository(registry, "pull", session=session)
        for dummy in range(3):
            assert target.get("1").digest == digest
            registry.expire_tokens()
        assert session.transport.secrets >= {"first-token", *(token for token in registry.gate.refresh if rotates)}


@pytest.mark.parametrize("status", [404, 405])
def test_an_identity_token_gives_way_to_a_password(status: int) -> None:
    """Where the token server knows no OAuth2, and both were given."""
    auth = Auth(users=USERS, identity_tokens={"first-token": USER}, oauth2_status=status)
    with FakeRegistry(auth=auth) as registry:
        digest = add_image(registry)
        both = Credential(USER, PASSWORD, identity_token="first-token")
        assert repository(registry, "pull", session=make_session(login(registry, both))).get("1").digest == digest


def test_a_long_password() -> None:
    """ECR's are tokens of some thousand letters."""
    credential = Credential("AWS", "eyJ" + "x" * 4000)
    with FakeRegistry(auth=Auth(mode="basic", users={"AWS": "eyJ" + "x" * 4000})) as registry:
        digest = add_image(registry)
        session = make_session(login(registry, credential))
        assert repository(registry, session=session).get("1").digest == digest


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_token_server_with_passing_trouble(status: int) -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        digest = add_image(registry)
        registry.fault("GET", "/token", status=status, times=3)
        assert repository(registry).get("1").digest == digest


def test_open_front_door_and_a_login_behind_it() -> None:
    with FakeRegistry(auth=Auth(users=USERS, ping_200_without_auth=True)) as registry:
        target = repository(registry, "pull", "push")
        upload_blob(target, BLOB, content)
        assert registry.blobs(REPO) == {BLOB.digest: BIG}


def test_the_token_ends_between_the_parts_of_a_copy() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as here, FakeRegistry(auth=Auth(users=USERS)) as there:
        add_platforms(here)
        session = make_session(login(here), login(there), jobs=1)
        plan = a_copy(session, here, there)
        for step in plan.steps:
            here.expire_tokens()
            there.expire_tokens()
            step.run()
        assert complete(there, REPO, "1")


def a_copy(session: Session, here: FakeRegistry, there: FakeRegistry) -> Plan:
    return copy_plan(session, f"{here.host}/{REPO}:1", f"{there.host}/{REPO}:1")


# --- uploads in parts, for those who take no large request


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("status", [413, 416])
def test_a_registry_that_takes_no_large_request(status: int, query: bool) -> None:
    with FakeRegistry(Quirks(body_max_bytes=5 * MEBI, upload_location_query=query)) as registry:
        if status == 416:
            registry.quirks = Quirks(upload_location_query=query)
            registry.fault("PATCH", status=416, times=1)
        upload_blob(repository(registry), BLOB, content)
        assert registry.blobs(REPO) == {BLOB.digest: BIG}
        sizes = [request.body_length for request in registry.requests if request.method == "PATCH"]
        assert sizes[1:] == [4 * MEBI, 4 * MEBI, MEBI]
        assert not registry.api.repos[REPO].uploads


@pytest.mark.parametrize("least", [1, 5 * MEBI])
def test_parts_have_the_least_length_that_a_registry_wants(least: int) -> None:
    with FakeRegistry(Quirks(body_max_bytes=6 * MEBI, chunk_min_length=least)) as registry:
        upload_blob(repository(registry), BLOB, content)
        assert registry.blobs(REPO) == {BLOB.digest: BIG}


def test_parts_that_break_are_begun_again() -> None:
    with FakeRegistry(Quirks(body_max_bytes=5 * MEBI)) as registry:
        registry.fault("PATCH", action="reset", skip=2)
        registry.fault("PATCH", action="lost_answer", skip=4)
        upload_blob(repository(registry), BLOB, content)
        assert registry.blobs(REPO) == {BLOB.digest: BIG}


def test_parts_become_smaller_where_they_are_refused_as_well() -> None:
    """nginx takes requests of 1 MiB by itself."""
    with FakeRegistry(Quirks(body_max_bytes=MEBI)) as registry:
        upload_blob(repository(registry), BLOB, content)
        assert list(registry.blobs(REPO)) == [BLOB.digest]


def test_a_limit_below_all_parts_is_told() -> None:
    with FakeRegistry(Quirks(body_max_bytes=MEBI - 1)) as registry:
        with fails(RegistryError, "SIZE_INVALID", registry.host, 413, "client_max_body_size"):
            upload_blob(repository(registry), BLOB, content)
        assert registry.count("PATCH") == 3


def test_parts_need_no_more_memory_than_one_of_them() -> None:
    assert upload.PART_SIZES == (4 * MEBI, MEBI)


# --- addresses


def test_http_where_the_registry_redirects_to_https() -> None:
    """A front that redirects everything to https; what to change is said."""
    with FakeRegistry() as registry:
        target = repository(registry)
        registry.fault("POST", to="https://registry.example{target}", status=301, times=9)
        with fails(RegistryError, "UNKNOWN", registry.host, 301, "plain_http"):
            upload_blob(target, BLOB, content)


# --- hostile


@contextmanager
def raw_server(answer: bytes, endless: bool = False) -> Iterator[str]:
    """A server that answers every request with these bytes; `endless`: again and again."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(1 << 16)
            client.sendall(answer)
            while endless and not done.is_set():
                client.sendall(answer)

    def accept() -> None:
        while True:
            client = server.accept()[0]
            if done.is_set():
                return client.close()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        done.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 No\r\nWWW-Authenticate: "
RAW = {
    "nothing": b"",
    "no HTTP": b"\x00\x01\x02 hello\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "status is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "status is negative": b"HTTP/1.1 -20 OK\r\n\r\n",
    "status is large": b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
    "a header without end": HEAD + b"X: " + b"x" * 200_000,
    "too many headers": HEAD + b"X: x\r\n" * 5000 + b"\r\n",
    "a length that is negative": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a length that is no number": HEAD + b"Content-Length: ten\r\n\r\n{}",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 200\r\n\r\n{}",
    "chunks that are none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk that is negative": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "chunks that are cut": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
    "a folded header": HEAD + b"Docker-Content-Digest: sha256:\r\n aa\r\nContent-Length: 2\r\n\r\n{}",
    "a header with control characters": HEAD + b"Content-Type: \x1b[31m\x07\r\nContent-Length: 2\r\n\r\n{}",
    "a warning with control characters": HEAD + b'Warning: 299 - "\x1b]0;x\x07"\r\nContent-Length: 2\r\n\r\n{}',
    "a redirect with a newline": b"HTTP/1.1 307 No\r\nLocation: /a\x0bSet-Cookie: x\r\nContent-Length: 0\r\n\r\n",
    "a redirect to a file": b"HTTP/1.1 307 No\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "a challenge that is odd": UNAUTHORIZED + b'Bearer realm="http://[", x\r\nContent-Length: 0\r\n\r\n',
    "a challenge for a file": UNAUTHORIZED + b'Bearer realm="file:///x"\r\nContent-Length: 0\r\n\r\n',
    "a body in gzip": HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(MEBI), mtime=0),
    "deep JSON": HEAD + b"Content-Length: 20000\r\n\r\n" + b"[" * 20000,
    "NaN": HEAD + b'Content-Length: 17\r\n\r\n{"tags": [NaN]}  ',
    "a key twice": HEAD + b'Content-Length: 24\r\n\r\n{"tags": [], "tags": []}',
    "tags that are none": HEAD + b'Content-Length: 13\r\n\r\n{"tags": [1]}',
}


@pytest.mark.parametrize("answer", RAW.values(), ids=RAW.keys())
def test_answers_that_no_registry_gives(answer: bytes) -> None:
    """Each ends soon, in a value or in a sentence."""
    with raw_server(answer) as host:
        for ask in ASKS:
            session = make_session(retries=1, timeout=2)
            target = session.repository(Reference(host, REPO), "pull", "push")
            began = time.monotonic()
            try:
                ask(target)
            except OCIError as exc:
                assert is_sentence(str(exc)), ascii(str(exc))
            assert time.monotonic() - began < 15
            assert all(warning.isprintable() for warning in session.transport.warnings)


ASKS: list[Callable[[Any], Any]] = [
    lambda target: target.head("1"),
    lambda target: target.get("1"),
    list_tags,
    lambda target: referrers_by_api(target, "sha256:" + "a" * 64),
    lambda target: upload_blob(target, Descriptor("", digest_of(b"x"), 1), lambda: [b"x"]),
]


@pytest.mark.parametrize(
    "answer", [HEAD + b"\r\n" + b"x" * 100_000, HEAD + b"X: x\r\n" * 1000], ids=["body", "headers"]
)
def test_answers_without_end(answer: bytes) -> None:
    with raw_server(answer, endless=True) as host:
        session = make_session(retries=0, timeout=2)
        target = session.repository(Reference(host, REPO))
        for ask in (target.head, target.get, lambda dummy: list_tags(target)):
            with pytest.raises(OCIError) as caught:
                ask("1")
            assert is_sentence(str(caught.value))


def test_what_a_server_says_cannot_forge_a_terminal() -> None:
    """Neither in an error nor in a warning; and it is not endless."""
    warning = {"Warning": '299 - "\x1b[31mred\x07"'}
    said = "\x1b[2J\x1b[31mFAKE\x07\r\nok: [localhost]\u202e\u2028" + "x" * 5000
    with FakeRegistry() as registry:
        body = json.dumps({"errors": [{"code": "\x1b[0m", "message": said}]}).encode()
        registry.fault("*", "manifests", status=400, body=body, headers=warning, times=9)
        session = make_session()
        with fails(RegistryError, "UNKNOWN", registry.host, 400, "FAKE"):
            repository(registry, session=session).get("1")
        assert session.transport.warnings
        assert all(warning.isprintable() for warning in session.transport.warnings)


def test_an_error_body_without_end() -> None:
    with FakeRegistry() as registry:
        registry.create_repo(REPO)
        registry.fault("GET", "/manifests/absent", action="endless")
        with pytest.raises(OCIError) as caught:
            repository(registry).get("absent")
        assert is_sentence(str(caught.value))


# --- how much at once


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_no_more_requests_at_once_than_jobs(jobs: int) -> None:
    layers = [b"%d" % number * 500 for number in range(12)]
    with FakeRegistry() as here, FakeRegistry() as there:
        here.add_image(REPO, "1", layers=layers)
        for registry in (here, there):
            count_at_once(registry)
        session = make_session(jobs=jobs)
        apply(session, a_copy(session, here, there))
        assert complete(there, REPO, "1")
        assert there.most == jobs  # type: ignore[attr-defined]
        assert here.most <= jobs  # type: ignore[attr-defined]


def count_at_once(registry: Any) -> None:
    """Let a registry note how many requests it has at once, and take its time."""
    lock, answer = threading.Lock(), registry.answer
    registry.now = registry.most = 0

    def counted(*arguments: Any) -> Any:
        with lock:
            registry.now += 1
            registry.most = max(registry.most, registry.now)
        time.sleep(0.01)
        try:
            return answer(*arguments)
        finally:
            with lock:
                registry.now -= 1

    registry.answer = counted


# --- interruption


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let SIGINT be what it is at a terminal: shells start what runs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_copy_ends_at_once() -> None:
    """What is under way is broken off instead of finished, and no tag is written."""
    with FakeRegistry() as here, FakeRegistry() as there:
        here.add_image(REPO, "1", layers=[bytes([number]) * 3000 for number in range(8)])
        session = make_session(jobs=3, timeout=30)
        plan = a_copy(session, here, there)
        there.fault("PATCH", action="stall", seconds=20, times=2, skip=1)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            apply(session, plan)
        assert time.monotonic() - began < 5
        assert there.tags(REPO) == {}


# --- settings of the connection


def test_a_login_that_is_refused_names_who_we_are(certificates: Any) -> None:
    with FakeRegistry(auth=Auth(users=USERS), tls=certificates.server) as registry:
        settings = Settings(ca_path=certificates.ca, plain_http=False)
        wrong = login(registry, Credential(USER, "wrong"), settings)
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, f"as {USER}"):
            repository(registry, session=make_session(wrong)).get("1")


def test_silence_of_one_side_does_not_stop_the_other() -> None:
    with FakeRegistry() as registry:
        registry.fault("HEAD", action="stall", seconds=3)
        session = make_session(timeout=1, retries=0)
        with fails(ConnectionFailed, "TIMEOUT", registry.host):
            repository(registry, session=session).head("1")
