# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: what is tried again, where redirects may lead, what is never sent, and what a broken connection is called."""

from __future__ import annotations

import email.utils
import gzip
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    InvalidInput,
    MissingLibrary,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.retry import retry_after
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import (
    Response,
    Settings,
    Transport,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.messages import Answer
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import DEFAULTS, REPO, fails
from requests.exceptions import InvalidSchema

MANIFEST = f"/v2/{REPO}/manifests/1"


class Client:
    """A transport that does not really sleep."""

    def __init__(self, registry: FakeRegistry | None = None, settings: Settings = DEFAULTS, **options: Any) -> None:
        self.sleeps: list[float] = []
        self.transport = Transport(**{"timeout": 5, **options}, sleep=self.sleeps.append)
        self.settings = settings
        self.url = registry.url if registry else ""

    def __call__(self, path: str, method: str = "GET", **options: Any) -> Response:
        return self.transport.send(method, self.url + path, self.settings, **options)

    @property
    def connections(self) -> int:
        """How many connections were made."""
        made = 0
        for manager in self.transport._managers.values():
            pools = manager.pools
            made += sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it is no dict
        return made


# --- no answer


def test_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = "127.0.0.1:%d" % server.getsockname()[1]
    client = Client(retries=2)
    with fails(ConnectionFailed, "UNREACHABLE", host, None, "the connection was refused"):
        client(f"http://{host}/v2/")
    assert len(client.sleeps) == 2


def test_unknown_host() -> None:
    client = Client()
    with fails(ConnectionFailed, "UNREACHABLE", "registry.invalid", None, "its name does not resolve"):
        client("https://registry.invalid/v2/")


def test_untrusted_certificate(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(registry)
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "set ca_path"):
            client("/v2/")
        assert client.sleeps == []  # another try cannot help
        assert Client(registry, Settings(ca_path=certificates.ca))("/v2/").status == 200
        assert Client(registry, Settings(validate_certs=False))("/v2/").status == 200


def test_ca_path_is_trusted_beside_the_system(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry with a private authority may have a token server or storage with a public one."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca)  # stands for the system's
    with FakeRegistry(tls=certificates.server) as registry:
        assert Client(registry, Settings(ca_path=certificates.other_ca))("/v2/").status == 200


def test_an_authority_that_signed_nothing_here_is_not_enough(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(registry, Settings(ca_path=certificates.other_ca))
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "set ca_path"):
            client("/v2/")


def test_a_client_key_of_another_certificate(certificates: Any) -> None:
    settings = Settings(client_cert=certificates.client.cert, client_key=certificates.server.key)
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(registry, settings)
        with fails(InvalidInput, "INVALID_OPTION", says="are not a certificate and its key in PEM"):
            client("/v2/")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_authorities_from_the_environment(certificates: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, certificates.ca)
    with FakeRegistry(tls=certificates.server) as registry:
        assert Client(registry)("/v2/").status == 200


def test_the_first_authorities_of_the_environment_that_exist_count_alone(
    certificates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificates.ca)
    with FakeRegistry(tls=certificates.server) as registry:
        monkeypatch.setenv("SSL_CERT_FILE", certificates.other_ca)
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "set ca_path"):
            Client(registry)("/v2/")
        monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
        assert Client(registry)("/v2/").status == 200


def test_certificate_for_another_name(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.other_name) as registry:
        client = Client(registry, Settings(ca_path=certificates.ca))
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "its certificate is for another name"):
            client("/v2/")
        assert client.sleeps == []


def test_client_certificate(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server._replace(client_ca=certificates.ca)) as registry:
        with pytest.raises(ConnectionFailed):  # whether its reason comes before the end is the server's to say
            Client(registry, Settings(ca_path=certificates.ca), retries=0)("/v2/")
        cert, key = certificates.client[:2]
        settings = Settings(ca_path=certificates.ca, client_cert=cert, client_key=key)
        assert Client(registry, settings)("/v2/").status == 200


def test_client_certificate_stays_with_the_registry(certificates: Any) -> None:
    cert, key = certificates.client[:2]
    strict = certificates.server._replace(client_ca=certificates.ca)
    with FakeRegistry(tls=certificates.server) as registry, FakeRegistry(tls=strict) as elsewhere:
        registry.fault(path="/v2/", to=f"{elsewhere.url}/v2/")
        client = Client(registry, Settings(ca_path=certificates.ca, client_cert=cert, client_key=key), retries=0)
        with pytest.raises(ConnectionFailed):
            client("/v2/")
        assert elsewhere.requests == []


@pytest.mark.parametrize("option", ["ca_path", "client_cert", "client_key"])
def test_certificate_file_that_does_not_exist(certificates: Any, option: str) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(registry, Settings(**{option: "/no/such.pem"}))
        with fails(InvalidInput, "INVALID_OPTION", says="/no/such.pem does not exist"):
            client("/v2/")
        with fails(InvalidInput, "INVALID_OPTION", says=" does not exist"):
            Client(registry, Settings(**{option: "/no\0such.pem"}))("/v2/")


def test_certificate_file_that_is_none(certificates: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-- not PEM --")
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(registry, Settings(ca_path=str(tmp_path / "ca.pem")))
        with fails(InvalidInput, "INVALID_OPTION", says=f"{tmp_path}/ca.pem does not hold certificates"):
            client("/v2/")


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user to whom files can be closed, as root reads all of them."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def pems(certificates: Any) -> Iterator[Path]:
    """A folder with `open.pem` and `closed.pem`, which nobody can read; both hold a certificate and its key."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's folders, and root's home, are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        for path, mode in ((folder / "open.pem", 0o644), (folder / "closed.pem", 0)):
            path.write_text(Path(certificates.client.cert).read_text() + Path(certificates.client.key).read_text())
            path.chmod(mode)
        yield folder


@pytest.mark.parametrize(
    "options",
    [{"ca_path": "closed.pem"}, {"client_cert": "closed.pem"}, {"client_cert": "open.pem", "client_key": "closed.pem"}],
    ids=["ca_path", "client_cert", "client_key"],
)
def test_certificate_file_that_cannot_be_read(pems: Path, options: dict[str, str]) -> None:
    client = Client(settings=Settings(**{option: str(pems / name) for option, name in options.items()}))
    with (
        somebody_else(),
        fails(InvalidInput, "FILE_ERROR", says=f"{pems}/closed.pem cannot be read: Permission denied."),
    ):
        client("https://registry.invalid/v2/")
    assert client.sleeps == []


def test_certificate_file_below_a_folder_that_cannot_be_read(pems: Path) -> None:
    pems.chmod(0)
    with somebody_else(), fails(InvalidInput, "FILE_ERROR", says="open.pem cannot be read: Permission denied."):
        Client(settings=Settings(ca_path=str(pems / "open.pem")))("https://registry.invalid/v2/")


def test_authorities_of_the_environment_that_cannot_be_read(pems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pems / "closed.pem"))
    with somebody_else(), fails(InvalidInput, "FILE_ERROR", says="closed.pem cannot be read: Permission denied."):
        Client()("https://registry.invalid/v2/")


@pytest.mark.parametrize("option", ["client_cert", "client_key"])
def test_a_folder_is_no_client_certificate(certificates: Any, tmp_path: Path, option: str) -> None:
    settings = Settings(client_cert=certificates.client.cert)._replace(**{option: str(tmp_path)})
    client = Client(settings=settings)
    with fails(InvalidInput, "FILE_ERROR", says=f"{tmp_path} cannot be read: Is a directory."):
        client("https://registry.invalid/v2/")
    assert client.sleeps == []


@pytest.mark.parametrize("variable", ["", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities(certificates: Any, pems: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As files are named by people, beside others that are none of our business."""
    (pems / "company.pem").write_bytes(Path(certificates.ca).read_bytes())
    (pems / "company.key").write_bytes(Path(certificates.client.key).read_bytes())
    (pems / "README").write_text("Authorities of the company.")
    (pems / "old").mkdir()
    for path in pems.iterdir():
        path.chmod(0 if path.suffix == ".key" else 0o755)
    if variable:
        monkeypatch.setenv(variable, str(pems))
    with FakeRegistry(tls=certificates.server) as registry, somebody_else():
        assert Client(registry, Settings(ca_path=None if variable else str(pems)))("/v2/").status == 200


def test_a_folder_of_authorities_with_hashed_names(certificates: Any, tmp_path: Path) -> None:
    """OpenSSL looks up what it needs, so that large folders cost nothing, and other files do not count."""
    openssl = ["openssl", "x509", "-noout", "-subject_hash", "-in", certificates.ca]
    hashed = subprocess.run(openssl, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "0a1b2c3d.0").write_bytes(Path(certificates.other_ca).read_bytes())
    (tmp_path / "company.pem").write_bytes(Path(certificates.ca).read_bytes())
    with FakeRegistry(tls=certificates.server) as registry:
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "set ca_path"):
            Client(registry, Settings(ca_path=str(tmp_path)))("/v2/")
        (tmp_path / "company.pem").rename(tmp_path / f"{hashed}.0")
        assert Client(registry, Settings(ca_path=str(tmp_path)))("/v2/").status == 200


def test_a_folder_without_authorities(certificates: Any, tmp_path: Path) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    client = Client(settings=Settings(ca_path=str(folder)))
    for name in ("nothing", "README", "registry.key"):
        if name != "nothing":
            (folder / name).write_bytes(Path(certificates.client.key).read_bytes() if "key" in name else b"Nothing.")
        with fails(InvalidInput, "INVALID_OPTION", says=f"The folder {folder} holds no certificates of authorities in"):
            client("https://registry.invalid/v2/")


def test_a_folder_whose_authorities_cannot_be_read(pems: Path) -> None:
    (pems / "open.pem").unlink()
    settings = Settings(ca_path=str(pems))
    with somebody_else(), fails(InvalidInput, "FILE_ERROR", says="closed.pem cannot be read: Permission denied."):
        Client(settings=settings)("https://registry.invalid/v2/")
    pems.chmod(0o311)
    with somebody_else(), fails(InvalidInput, "FILE_ERROR", says=f"{pems} cannot be read: Permission denied."):
        Client(settings=settings)("https://registry.invalid/v2/")


def test_https_spoken_to_an_http_port() -> None:
    with FakeRegistry() as registry:
        client = Client()
        with fails(ConnectionFailed, "TLS_ERROR", registry.host, None, "set plain_http: true"):
            client(f"https://{registry.host}/v2/")


def test_http_spoken_to_an_https_port(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        client = Client(retries=0)
        with fails(ConnectionFailed, "UNREACHABLE", registry.host, None, "over http"):
            client(f"http://{registry.host}/v2/")


def test_silence_is_a_timeout() -> None:
    with FakeRegistry() as registry:
        registry.fault(action="stall", seconds=5)
        with fails(ConnectionFailed, "TIMEOUT", registry.host, None, "raise timeout"):
            Client(registry, timeout=0.2, retries=0)("/v2/")


def test_silence_in_the_middle_is_a_timeout() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, b"x" * 1000)
        registry.fault(action="stall", at=100, seconds=5)
        response = Client(registry, timeout=0.2)(f"/v2/{REPO}/blobs/{digest}")
        with fails(ConnectionFailed, "TIMEOUT", registry.host):
            list(response.chunks())


# --- trying again


def test_passing_errors_are_tried_again() -> None:
    with FakeRegistry() as registry:
        registry.fault(status=500, times=3)
        client = Client(registry)
        assert client("/v2/").status == 200
        assert [0.25 * 2**tried <= wait <= 0.25 * 2**tried + 0.25 for tried, wait in enumerate(client.sleeps)] == [
            True
        ] * 3
        assert client.transport.counters.requests == 4


def test_errors_that_stay_are_returned() -> None:
    with FakeRegistry() as registry:
        registry.fault(status=503, times=9)
        client = Client(registry)
        assert client("/v2/").status == 503
        assert registry.count() == 4


@pytest.mark.parametrize("action", ["reset", "lost_answer"])
def test_broken_connections_are_tried_again(action: str) -> None:
    with FakeRegistry() as registry:
        registry.fault(action=action, times=2)
        assert Client(registry)("/v2/").status == 200
        assert registry.count() == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_final_answers_are_not_tried_again(status: int) -> None:
    with FakeRegistry() as registry:
        registry.fault(status=status, times=9)
        client = Client(registry)
        assert client("/v2/").status == status
        assert client.sleeps == []


def test_what_must_not_be_repeated_is_not() -> None:
    with FakeRegistry() as registry:
        registry.fault("POST", status=500, times=9)
        registry.fault("PATCH", action="reset", times=9)
        client = Client(registry)
        assert client(f"/v2/{REPO}/blobs/uploads/", "POST", repeat=False).status == 500
        with pytest.raises(ConnectionFailed):
            client(f"/v2/{REPO}/blobs/uploads/1", "PATCH", body=b"x", repeat=False)
        assert registry.count() == 2


def date_in(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("value", "least", "most"), [("60", 60, 60.25), ("7", 7, 7.25), ("0", 0, 0.25), ("date", 18, 21), ("past", 0, 0.25)]
)
def test_retry_after_is_respected(value: str, least: float, most: float) -> None:
    with FakeRegistry() as registry:
        known = {"date": date_in(20), "past": date_in(-20)}
        registry.fault(status=429, headers={"Retry-After": known.get(value, value)})
        client = Client(registry)
        assert client("/v2/").status == 200
        assert least <= client.sleeps[0] <= most


@pytest.mark.parametrize("value", ["61", "3600", "9" * 400, "date"])
def test_retry_after_beyond_the_limit_ends_the_tries(value: str) -> None:
    with FakeRegistry() as registry:
        registry.fault(status=429, headers={"Retry-After": date_in(900) if value == "date" else value})
        client = Client(registry)
        assert client("/v2/").status == 429
        assert client.sleeps == []


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "\u00b2", "1.5", "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 99 Foo 0000 99:99:99 GMT"]
)
def test_retry_after_that_says_nothing(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None


def test_patience_is_for_the_whole_task() -> None:
    with FakeRegistry() as registry:
        registry.fault(status=429, headers={"Retry-After": "50"}, times=99)
        client = Client(registry)
        assert [client("/v2/").status for dummy in range(4)] == [429] * 4
        assert 200 < sum(client.sleeps) <= 302  # with some jitter


def test_waiting_for_others_costs_no_patience() -> None:
    with FakeRegistry() as registry:
        client = Client(registry)
        for dummy in range(500):
            client.transport.wait(1)
        registry.fault(status=503)
        assert client("/v2/").status == 200


# --- redirects


def test_authorization_never_follows_to_another_host() -> None:
    with FakeRegistry(Quirks(blob_redirect=True)) as registry:
        digest = registry.add_blob(REPO, b"data")
        response = Client(registry)(f"/v2/{REPO}/blobs/{digest}", headers={"Authorization": "Bearer x"})
        assert response.read(100, "") == b"data"
        assert response.url.startswith(f"http://{registry.storage}/")
        assert [("authorization" in request.headers) for request in registry.requests] == [True, False]


def test_authorization_follows_to_another_path() -> None:
    with FakeRegistry() as registry:
        registry.fault(path="/v2/$", to="/v2/_catalog")
        assert Client(registry)("/v2/", headers={"Authorization": "Bearer x"}).status == 200
        assert [request.headers.get("authorization") for request in registry.requests] == ["Bearer x"] * 2


def test_a_body_never_follows_to_another_host() -> None:
    """It may be a form with a password in it."""
    with FakeRegistry() as registry, FakeRegistry() as elsewhere:
        registry.fault("POST", to=f"{elsewhere.url}/token")
        response = Client(registry)("/token", "POST", body=b"grant_type=password&password=secret")
        assert response.status == 307
        assert elsewhere.requests == []


def test_a_body_follows_to_another_path() -> None:
    with FakeRegistry() as registry:
        registry.fault("PUT", path="/old", to=MANIFEST)
        assert Client(registry)("/old", "PUT", body=b"{").status == 400
        assert [request.body for request in registry.requests] == [b"{", b"{"]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_is_not_turned_into_a_get(status: int) -> None:
    with FakeRegistry() as registry:
        registry.fault("POST", status=status, to="/v2/")
        assert Client(registry)("/token", "POST", body=b"x").status == status
        assert registry.count() == 1


def test_a_stream_is_not_sent_twice() -> None:
    with FakeRegistry() as registry:
        registry.fault("PATCH", to="/elsewhere")
        response = Client(registry)("/v2/", "PATCH", headers={"Content-Length": "2"}, body=[b"ab"], repeat=False)
        assert response.status == 307
        assert registry.count() == 1


UNSAFE = {
    "file": "file:///etc/passwd",
    "ftp": "ftp://127.0.0.1/x",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "metadata, mapped": "http://[::ffff:169.254.169.254]/latest/",
    "metadata, a number": "http://2852039166/latest/",
    "metadata, hexadecimal": "http://0xa9fea9fe/latest/",
    "metadata, two parts": "http://169.16689662/latest/",
    "credentials": "http://user:password@127.0.0.1/",
    "bad port": "http://127.0.0.1:99999/",
    "bad address": "http://[::1/",
}


@pytest.mark.parametrize("to", UNSAFE.values(), ids=UNSAFE.keys())
def test_redirects_to_what_is_unsafe_are_refused(to: str) -> None:
    with FakeRegistry() as registry:
        registry.fault(to=to)
        with fails(ContentError, "UNSAFE_URL", registry.host, None, "which is not followed"):
            Client(registry)("/v2/")


def test_redirect_from_https_to_http_is_refused(certificates: Any) -> None:
    with FakeRegistry(tls=certificates.server) as registry, FakeRegistry() as elsewhere:
        registry.fault(to=f"{elsewhere.url}/v2/")
        with fails(ContentError, "UNSAFE_URL", registry.host):
            Client(registry, Settings(ca_path=certificates.ca))("/v2/")
        assert elsewhere.requests == []


def test_who_cannot_be_reached_after_a_redirect_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    with FakeRegistry() as registry:
        registry.fault(to=f"http://{gone}/x", times=9)
        with fails(ConnectionFailed, "UNREACHABLE", gone, None, f"{registry.host} sent us there"):
            Client(registry, retries=0)("/v2/")


def test_redirect_loop_ends() -> None:
    with FakeRegistry() as registry:
        registry.fault(to="{target}", times=99)
        with fails(ContentError, "UNSAFE_URL", registry.host, None, "redirected us more than 5 times"):
            Client(registry)("/v2/")
        assert registry.count() == 6


def test_the_body_of_a_redirect_is_not_read_to_its_end() -> None:
    with FakeRegistry() as registry:
        registry.fault(action="endless")
        registry.api.ping_get = lambda *dummy: Answer(307, [("Location", "/v2/_catalog")])
        assert Client(registry)("/v2/").status == 200


def test_redirect_without_location_is_the_answer() -> None:
    with FakeRegistry() as registry:
        registry.fault(status=307)
        assert Client(registry)("/v2/").status == 307


# --- what is never sent


def test_netrc_is_not_read(clean_environment: Path) -> None:
    netrc = clean_environment / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    with FakeRegistry() as registry:
        Client(registry)("/v2/").discard()
        assert "authorization" not in registry.requests[0].headers


def test_cookies_are_not_kept() -> None:
    with FakeRegistry(Quirks(cookies_set=True)) as registry:
        client = Client(registry)
        assert [client("/v2/").status for dummy in range(3)] == [200] * 3
        assert not any("cookie" in request.headers for request in registry.requests)


def test_headers_say_who_asks_and_want_no_compression() -> None:
    with FakeRegistry(Quirks(reencodes_gzip=True)) as registry:
        response = Client(registry)("/v2/")
        assert response.read(10, "") == b"{}"
        headers = registry.requests[0].headers
        assert (headers["user-agent"], headers["accept-encoding"]) == ("quayside.registry", "identity")


def test_compression_that_nobody_wanted_is_not_undone() -> None:
    """Digests are of the bytes as they are stored, which may be those of a gzip file."""
    packed = gzip.compress(b"data")
    with FakeRegistry() as registry:
        registry.fault(status=200, headers={"Content-Encoding": "gzip"}, body=packed)
        assert Client(registry)("/v2/").read(1000, "") == packed


# --- proxies


def proxied(registry: FakeRegistry) -> list[str]:
    """The absolute URLs that the fake registry was asked for as a proxy."""
    return [request.path for request in registry.requests if request.path.startswith("http://")]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxy_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert Client()("http://registry.invalid/v2/").status == 404
        assert proxied(proxy) == ["http://registry.invalid/v2/"]


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy, FakeRegistry() as registry:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv(variable, "127.0.0.1")
        assert Client(registry)("/v2/").status == 200
        assert proxy.requests == []


def test_requests_is_needed_for_proxies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long to load as all the rest."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "requests.utils", None)
    with FakeRegistry() as registry:
        assert Client(registry)("/v2/").status == 200
        monkeypatch.setenv("https_proxy", "http://proxy.invalid")
        assert Client(registry)("/v2/").status == 200
        with pytest.raises(MissingLibrary, match="requests"):
            Client()("https://registry.invalid/v2/")


def test_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:%d" % server.getsockname()[1])
    with fails(ConnectionFailed, "UNREACHABLE", "registry.invalid", None, "proxy") as caught:
        Client(retries=0)("http://registry.invalid/v2/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://ci:s3cr3tpassw/rd@127.0.0.1:3128",
        "http://ci:s3cr3tpassw#rd@127.0.0.1:3128",
        "http://ci:s3cr3tpassw?rd@127.0.0.1:3128",
        "http://ci:s3cr3tpassw\\rd@127.0.0.1:3128",
        "http://ci:s3cr3t[passw@127.0.0.1:3128",
        "http://ci:12/s3cr3t@127.0.0.1:3128",
        "http://ci:12?s3cr3t@127.0.0.1:3128",
        "http://ci:12#s3cr3t@127.0.0.1:3128",
        "ci:s3cr3tpassw/rd@127.0.0.1:3128",
        "http://ci:s3cr3t@127.0.0.1:port",
        "http://ci:s3cr3t@127.0.0.1:99999",
        "http://ci:s3cr3t@:3128",
        "http://ci:s3cr3t@no host:3128",
        "http://ci:s3cr3t\u20ac@127.0.0.1:3128",
        "http://ci:s3cr3t@127.0.0.1:3128/path",
    ],
)
def test_a_proxy_that_is_no_url_is_not_quoted(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    client = Client()
    with fails(InvalidInput, "INVALID_OPTION", says="HTTP_PROXY is not the URL of a proxy; write http") as caught:
        client("http://registry.invalid/v2/")
    assert "s3cr3t" not in str(caught.value) and "rd@" not in str(caught.value)
    assert client.sleeps == []


@pytest.mark.parametrize("proxy", ["{host}", "{url}/", "http://ci:p%2Fss@{host}", "http://ci:p@ss@{host}"])
def test_what_is_the_url_of_a_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as server:
        monkeypatch.setenv("http_proxy", proxy.format(host=server.host, url=server.url))
        assert Client()("http://registry.invalid/v2/").status == 404
        assert proxied(server) == ["http://registry.invalid/v2/"]


@pytest.mark.parametrize("proxy", ["ftp://ci:s3cr3t@127.0.0.1", "socks9://ci:s3cr3t@127.0.0.1", "s3cr3t://127.0.0.1"])
def test_a_proxy_of_another_kind(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    client = Client()
    with fails(InvalidInput, "INVALID_OPTION", says="all_proxy names a proxy of a kind that is not known") as caught:
        client("https://registry.invalid/v2/")
    assert "s3cr3t" not in str(caught.value) and client.sleeps == []


def test_a_socks_proxy_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def manager(*dummy: Any, **options: Any) -> None:
        raise InvalidSchema("Missing dependencies for SOCKS support.")  # as requests has it in place of the real one

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", manager)
    monkeypatch.setenv("all_proxy", "socks5h://ci:s3cr3t@127.0.0.1:1080")
    client = Client()
    with fails(InvalidInput, "INVALID_OPTION", says="the Python library PySocks; install it") as caught:
        client("https://registry.invalid/v2/")
    assert "s3cr3t" not in str(caught.value) and client.sleeps == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_never_goes_through_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy, FakeRegistry() as registry:
        monkeypatch.setenv("http_proxy", proxy.url)
        port = registry.host.rpartition(":")[2]
        assert Client()(f"http://{host}:{port}/v2/").status == 200
        assert proxy.requests == []


def test_a_proxy_that_wants_a_login_is_not_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy:
        proxy.fault(status=407, times=9)
        monkeypatch.setenv("http_proxy", proxy.url)
        with fails(ConnectionFailed, "UNREACHABLE", "registry.invalid", None, "the proxy that"):
            Client()("http://registry.invalid/v2/")
        assert proxy.count() == 1


def test_a_proxy_that_refuses_the_tunnel_is_not_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy:
        proxy.fault("CONNECT", status=403, times=9)
        monkeypatch.setenv("https_proxy", proxy.url)
        with fails(ConnectionFailed, "UNREACHABLE", "registry.invalid", None, "the proxy"):
            Client(retries=0)("https://registry.invalid/v2/")


# --- bodies


def test_body_shorter_than_promised() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_blob(REPO, b"x" * 1000)
        registry.fault(action="truncate", at=300)
        response = Client(registry)(f"/v2/{REPO}/blobs/{digest}")
        with fails(ConnectionFailed, "UNREACHABLE", registry.host, None, "the connection broke"):
            response.read(10000, "")


@pytest.mark.parametrize("action", ["endless", "status"])
def test_too_large_a_body(action: str) -> None:
    with FakeRegistry() as registry:
        if action == "status":
            registry.fault(status=200, body=b"x" * 200_000)
        else:
            registry.fault(action=action)
        response = Client(registry)("/v2/")
        with fails(ContentError, "TOO_LARGE", says="The list has more than the 100000 bytes"):
            response.read(100_000, "The list")


def test_discard_ends() -> None:
    with FakeRegistry() as registry:
        registry.fault(action="endless")
        assert Client(registry)("/v2/").discard() == b""


def test_connections_are_used_again() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=[b"layer"])
        client = Client(registry)
        for method, path in [("HEAD", MANIFEST), ("GET", MANIFEST), ("HEAD", "/v2/x/manifests/1"), ("GET", "/v2/")] * 3:
            client(path, method, headers={"Accept": "*/*"}).discard()
        client(f"/v2/{REPO}/manifests/{digest}", "DELETE").discard()
        assert registry.count() == 13
        assert client.connections == 1


@pytest.mark.parametrize("make", [iter, list])
def test_a_stream_is_sent_as_it_is(make: Callable[[list[bytes]], Iterable[bytes]]) -> None:
    with FakeRegistry(Quirks(refuse_transfer_chunked=True)) as registry:
        body, headers = make([b"ab", b"cde"]), {"Content-Length": "5"}
        response = Client(registry)("/x", "PUT", headers=headers, body=body, repeat=False)
        assert response.status == 404
        assert (registry.requests[0].body, registry.requests[0].headers["content-length"]) == (b"abcde", "5")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("body", [None, b""])
def test_empty_body_has_a_length(method: str, body: bytes | None) -> None:
    with FakeRegistry() as registry:
        Client(registry)("/x", method, body=body).discard()
        assert registry.requests[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("headers", "told"),
    [({"Warning": '299 - "soon gone"'}, ["soon gone"]), ({"Warning": '199 - "other"'}, []), ({"Warning": "299"}, [])],
)
def test_warnings_are_told_once(headers: Mapping[str, str], told: list[str]) -> None:
    with FakeRegistry() as registry:
        registry.fault(status=200, headers=headers, times=2)
        client = Client(registry)
        for dummy in range(2):
            client("/v2/").discard()
        assert client.transport.warnings == told
