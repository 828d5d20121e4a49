# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and certificates, made and kept."""

from __future__ import annotations

import datetime
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lab_registry import tls
from lab_registry.passwords import bcrypt, fits, password_file
from lab_registry.settings import Refused, User

Make = Callable[..., Any]
DAY = datetime.timedelta(days=1)


def test_a_known_hash() -> None:
    known = "$2y$05$tMO5zu..nZYEX4SBAj/YR.YoaV3DGM3dQEDf6Ys5s2b78Xae2m2ii"
    assert fits("wonderland-7", known)
    assert not fits("wonderland-8", known)
    assert not fits("wonderland-7", "")
    assert bcrypt("x", "$6$salt") == ""


def test_a_hash_that_still_fits_is_kept() -> None:
    users = [User("alice", "one"), User("bob", "zwölf")]
    first, changed = password_file(users, None)
    assert changed == ["alice", "bob"]
    assert password_file(users, first) == (first, [])
    again, changed = password_file([users[0], User("bob", "other")], first)
    assert changed == ["bob"]
    assert again.splitlines()[0] == first.splitlines()[0] and again.splitlines()[1] != first.splitlines()[1]
    assert password_file(users[1:], first) == (first.splitlines(keepends=True)[1], [])


def test_two_users_with_one_password_have_two_hashes() -> None:
    lines = password_file([User("a", "same"), User("b", "same")], None)[0].decode().split()
    assert lines[0].partition(":")[2] != lines[1].partition(":")[2]


@pytest.fixture
def made(settings: Make, tmp_path: Path) -> tls.Files:
    """A CA and a certificate, in `tmp_path`."""
    files = tls.self_signed(settings(tls="self_signed", tls_names=["localhost", "127.0.0.1", "::1"]), "/nonexistent")
    assert files and files.what == "The CA with its certificate"
    write(files, tmp_path)
    return files


def write(files: tls.Files, folder: Path) -> None:
    (folder / "ca.pem").write_bytes(files.ca)
    (folder / "ca.key").write_bytes(files.ca_key)
    (folder / "server.pem").write_bytes(files.server.certificate)
    (folder / "server.key").write_bytes(files.server.key)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_strict_client_takes_it(made: tls.Files, tmp_path: Path, name: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN  # as Python 3.13 does by itself
    ends = [ssl.MemoryBIO() for dummy in range(2)]
    sides = [
        server.wrap_bio(ends[0], ends[1], server_side=True),
        client.wrap_bio(ends[1], ends[0], server_hostname=name),
    ]
    waiting = [sides[1], sides[0]]
    for dummy in range(6):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert waiting == []


def test_it_is_made_once(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    given = settings(tls="self_signed", tls_names=["localhost", "127.0.0.1", "::1"])
    again = tls.self_signed(given, str(tmp_path))
    assert again == tls.Files(made.server, made.ca, made.ca_key, "")


def test_other_names_take_another_certificate_of_the_same_ca(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    again = tls.self_signed(settings(tls="self_signed", tls_names=["registry.example"]), str(tmp_path))
    assert again and again.what == "The certificate" and again.ca == made.ca
    assert tls.alternative_names(again.server.certificate) == {"registry.example"}


@pytest.mark.parametrize(
    ("constant", "what"), [("DAYS", "The certificate"), ("CA_DAYS", "The CA with its certificate")]
)
def test_it_is_renewed_a_month_before_its_end(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, what: str
) -> None:
    given = settings(tls="self_signed")
    for days, wanted in (("31", ""), ("29", what)):
        with monkeypatch.context() as context:
            context.setattr(tls, constant, days)
            files = tls.self_signed(given, "/nonexistent")
            assert files
            write(files, tmp_path)
        again = tls.self_signed(given, str(tmp_path))
        assert again and again.what == wanted


def test_a_damaged_file_is_made_anew(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    (tmp_path / "server.key").write_bytes(b"")
    again = tls.self_signed(settings(tls="self_signed", tls_names=["localhost", "127.0.0.1", "::1"]), str(tmp_path))
    assert again and again.what == "The certificate" and tls.belongs(again.server)


def given(made: tls.Files, **changes: str) -> dict[str, str]:
    texts = {"tls_cert": made.server.certificate, "tls_key": made.server.key, "tls_ca": made.ca}
    return {"tls": "provided", **{key: value.decode() for key, value in texts.items()}, **changes}


def test_provided_as_texts_and_as_paths(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    texts = tls.provided(settings(**given(made)))
    names = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_ca": "ca.pem"}
    paths = tls.provided(settings(tls="provided", **{key: str(tmp_path / name) for key, name in names.items()}))
    assert texts.server == paths.server == made.server
    assert texts.ca == paths.ca == made.ca and texts.ca_key == b""


def test_provided_ones_that_do_not_fit(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    other = tls.self_signed(settings(tls="self_signed"), "/nonexistent")
    assert other
    for changes, words in (
        ({"tls_key": other.server.key.decode()}, "lab_registry_tls_key is not the key of the certificate"),
        ({"tls_ca": other.ca.decode()}, "does not lead to the CA"),
        ({"tls_cert": made.server.key.decode()}, "lab_registry_tls_cert holds no certificate"),
        ({"tls_key": made.ca.decode()}, "lab_registry_tls_key holds no private key"),
        ({"tls_key": "server.key"}, "neither a text in PEM form nor an absolute path"),
        ({"tls_key": str(tmp_path / "none")}, "does not exist on the target"),
        ({"tls_key": str(tmp_path)}, "cannot be read"),
    ):
        with pytest.raises(Refused, match=words) as caught:
            tls.provided(settings(**given(made, **changes)))
        assert "PRIVATE" not in str(caught.value)


def test_a_key_beside_the_certificate_goes_no_further(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    both = (made.server.key + made.server.certificate).decode().replace("\n", "\r\n")
    found = tls.provided(settings(**given(made, tls_cert=both, tls_key=both, tls_ca=f"A comment\n{made.ca.decode()}")))
    assert found.server.certificate == made.server.certificate and found.ca == made.ca
    assert tls.belongs(found.server)


def test_what_is_not_pem_is_refused(settings: Make, made: tls.Files, tmp_path: Path) -> None:
    for name, command, words in (
        ("tls_cert", ["x509", "-in", "server.pem"], "lab_registry_tls_cert holds no certificate in PEM form"),
        ("tls_key", ["pkey", "-in", "server.key"], "lab_registry_tls_key holds no private key in PEM form"),
        ("tls_ca", ["x509", "-in", "ca.pem"], "lab_registry_tls_ca holds no certificate in PEM form"),
    ):
        subprocess.run(["openssl", *command, "-outform", "DER", "-out", "der"], cwd=tmp_path, check=True)
        with pytest.raises(Refused, match=words):
            tls.provided(settings(**given(made, **{name: str(tmp_path / "der")})))
    broken = made.ca.decode().replace("\nMII", "\nAAA")
    with pytest.raises(Refused, match="lab_registry_tls_ca holds no certificate that openssl can read"):
        tls.provided(settings(**given(made, tls_ca=broken)))


def test_a_key_with_a_passphrase_is_refused(settings: Make, made: tls.Files) -> None:
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:secret"]
    locked = subprocess.run(command, input=made.server.key, capture_output=True, check=True).stdout.decode()
    with pytest.raises(Refused, match="a passphrase"):
        tls.provided(settings(**given(made, tls_key=locked)))


def test_an_expired_certificate_is_refused(settings: Make, made: tls.Files) -> None:
    """It is not made with openssl, which makes none for the past since 3.5."""
    key, name = load_pem_private_key(made.server.key, None), x509.Name([])
    now = datetime.datetime.now(datetime.timezone.utc)
    begun = x509.CertificateBuilder(name, name, key.public_key(), 1, now - 2 * DAY, now - DAY)
    expired = begun.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    texts = {"tls_cert": expired.decode(), "tls_key": made.server.key.decode(), "tls_ca": ""}
    with pytest.raises(Refused, match="has expired"):
        tls.provided(settings(**given(made, **texts)))


def test_no_key_is_in_a_command_line(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    genuine = tls.run
    guard = threading.Lock()

    def watched(argv: list[str], stdin: bytes = b"", timeout: int = 60) -> Any:
        with guard:
            seen.append(" ".join(argv))
        return genuine(argv, stdin, timeout)

    monkeypatch.setattr(tls, "run", watched)
    assert tls.self_signed(settings(tls="self_signed"), "/nonexistent")
    assert seen and not [line for line in seen if "PRIVATE" in line]
