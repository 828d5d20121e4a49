# SPDX-License-Identifier: GPL-3.0-or-later
"""What all lookups do alike with options, files and secrets, whatever the version of ansible-core."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.quayside.registry.plugins.lookup import digest, tags
from ansible_collections.quayside.registry.plugins.module_utils._options import VERIFY
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.plugin_utils import _lookup
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, LOGIN, REPO

PASSWORD = "supersecret99"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"
BASIC = b64encode(f"ci:{PASSWORD}".encode()).decode()


class Probe(_lookup.RegistryLookup):
    """Finds nothing but how it was called."""

    name = "probe"
    options = VERIFY

    def look(self, session: Session, terms: list[str], params: dict[str, Any]) -> list[str]:
        self.params = params
        return terms


class Vaulted:
    """A text as ansible-core 2.16 hands it over that was written with !vault."""

    __ENCRYPTED__ = True

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(_lookup.display, "warning", said.append)
    return said


def with_entry(host: str, **login: Any) -> dict[str, Any]:
    return {"registries": [{"name": host, **login}]}


@pytest.mark.parametrize(
    "options",
    [
        lambda host: {"username": "ci", "password": PASSWORD},
        lambda host: with_entry(host, username="ci", password=PASSWORD),
        lambda host: with_entry(host, registry_token=PASSWORD),
        lambda host: {"username": "ci", "password": PASSWORD, **with_entry("other.example", identity_token=BASIC)},
    ],
    ids=["its own", "of an entry", "a token", "of another"],
)
def test_what_a_server_tells_of_a_login_is_masked(registry: FakeRegistry, warned: list[str], options: Any) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    words = f"bad login ci:{PASSWORD} hdr Basic {BASIC}"
    refusal = {"errors": [{"code": "DENIED", "message": words}]}
    registry.fault("*", "", times=9, status=403, headers={"Warning": f'299 - "{words}"'}, body=refusal)
    with pytest.raises(AnsibleLookupError) as failed:
        tags.LookupModule().run([f"{registry.host}/{REPO}"], {}, **options(registry.host))
    for text in (str(failed.value), *warned):
        assert "bad login ci:********" in text
        assert PASSWORD not in text
    assert len(warned) == 1


def test_the_header_and_logins_of_files_are_masked(registry: FakeRegistry, warned: list[str], tmp_path: Path) -> None:
    registry.auth = Auth("basic", users={"ci": PASSWORD})
    path = tmp_path / "auth.json"
    path.write_text(f'{{"auths": {{"{registry.host}": {{"auth": "{BASIC}"}}}}}}')
    registry.add_image(REPO, "1", layers=LAYERS)
    registry.fault("GET", "tags/list", status=403, body=f"ci:{PASSWORD}, Basic {BASIC}".encode())
    with pytest.raises(AnsibleLookupError, match=r"ci:\*{8}, Basic \*{8}\)"):
        tags.LookupModule(DataLoader()).run([f"{registry.host}/{REPO}"], {}, auth_file=str(path))


@pytest.mark.parametrize(
    "options",
    [
        {"platform": KEY},
        {"client_cert": "c", "client_key": KEY},
        {"auth_file": KEY},
        {"timeout": PASSWORD, "username": "ci", "password": PASSWORD},
    ],
)
def test_secrets_in_the_wrong_place_are_masked(registry: FakeRegistry, options: dict[str, Any]) -> None:
    with pytest.raises(AnsibleLookupError) as failed:
        digest.LookupModule(DataLoader()).run([f"{registry.host}/a:1"], {}, **options)
    assert PASSWORD not in str(failed.value)
    assert "MIIE" not in str(failed.value)


def test_vaulted_texts_are_texts(registry: FakeRegistry) -> None:
    registry.auth = Auth("basic", users={"ci": PASSWORD})
    registry.add_image(REPO, "1", layers=LAYERS)
    name, password = Vaulted(f"{registry.host}/{REPO}"), Vaulted(PASSWORD)
    for options in (
        {"username": "ci", "password": password},
        with_entry(registry.host, username="ci", password=password),
    ):
        assert tags.LookupModule().run([name], {}, **options) == ["1"]


def test_a_loop_says_that_it_wants_a_list(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    assert tags.LookupModule().run([f"{registry.host}/{REPO}"], {}, wantlist=True) == ["1"]


@pytest.mark.parametrize(
    ("terms", "options"),
    [
        ([jinja2.StrictUndefined(name="nopevar")], {}),
        (["h/a:1"], {"auth_file": jinja2.StrictUndefined(name="nopevar")}),
        (["h/a:1"], with_entry("h", username="ci", password=jinja2.StrictUndefined(name="nopevar"))),
    ],
)
def test_what_is_not_defined_says_so(terms: list[Any], options: dict[str, Any]) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'nopevar' is undefined"):
        digest.LookupModule().run(terms, {}, **options)


def test_relative_paths_begin_in_the_playbooks_folder(tmp_path: Path, clean_environment: Path) -> None:
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    probe = Probe(loader)
    tls = {"ca_path": "ca.pem", "client_cert": "/etc/client.pem", "client_key": "~/client.key"}
    options = {"certificate": {"trusted_root": "root.json"}, "policy_path": "../policy.json", "authfile": "auth.json"}
    probe.run(["h/a:1"], {}, **tls, **options, **with_entry("h", **tls))
    found = {
        "ca_path": f"{tmp_path}/ca.pem",
        "client_cert": "/etc/client.pem",
        "client_key": f"{clean_environment}/client.key",
    }
    assert {name: probe.params[name] for name in tls} == found
    assert {name: probe.params["registries"][0][name] for name in tls} == found
    assert probe.params["certificate"]["trusted_root"] == f"{tmp_path}/root.json"
    assert probe.params["policy_path"] == f"{tmp_path}/../policy.json"
    assert probe.params["auth_file"] == f"{tmp_path}/auth.json"


def test_what_is_no_path_stays_as_it_is() -> None:
    loader = DataLoader()
    loader.set_basedir("/play")
    assert [Probe(loader).path(text) for text in ("", "a\nb", "a", "/a")] == ["", "a\nb", "/play/a", "/a"]


def test_a_login_beside_the_playbook_is_used(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.auth = Auth("basic", users={LOGIN.username or "": LOGIN.password or ""})
    registry.add_image(REPO, "1", layers=LAYERS)
    play = tmp_path / "play"
    play.mkdir()
    (play / "auth.json").write_text(f'{{"auths": {{"{registry.host}": {{"auth": "{LOGIN.basic}"}}}}}}')
    loader = DataLoader()
    loader.set_basedir(str(play))
    monkeypatch.chdir(tmp_path)
    assert tags.LookupModule(loader).run([f"{registry.host}/{REPO}"], {}, auth_file="auth.json") == ["1"]
