# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests against the fake registry share: an environment without logins or proxies, and certificates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.fake_registry.sockets import TLS


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No login, proxy or certificate of the machine's own; returns the empty home directory."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry without anything in it, that everybody may write to."""
    with FakeRegistry() as found:
        yield found


class Certificates(NamedTuple):
    """Paths of PEM files. `server` is for 127.0.0.1, `other_name` for another host, both signed by `ca`.

    `other_ca` is an authority that signed none of them.
    """

    ca: str
    other_ca: str
    server: TLS
    other_name: TLS
    client: TLS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other_ca.pem"))

    def issue(name: str) -> TLS:
        issued, cert, key = authority.issue_cert(name), str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(cert, append=number > 0)
        issued.private_key_pem.write_to_path(key)
        return TLS(cert, key)

    authorities = str(folder / "ca.pem"), str(folder / "other_ca.pem")
    return Certificates(*authorities, issue("127.0.0.1"), issue("other.example"), issue("client.example"))
