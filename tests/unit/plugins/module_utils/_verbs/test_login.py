# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing and removing credentials."""

from __future__ import annotations

import base64
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    CredentialError,
    Denied,
    InvalidInput,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.login import plan_login
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import apply, fails, login, make_session

USERS = {USER: PASSWORD}
ENTRY = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


def plan(registry: str, file: Path | None, session: Session | None = None, **options: Any) -> Plan:
    defaults = {"username": USER, "password": PASSWORD, "state": "present", "verify": True}
    path = str(file) if file else None
    return plan_login(session or make_session(), registry=registry, auth_file=path, **{**defaults, **options})


def logout(registry: str, file: Path | None, **options: Any) -> Plan:
    return plan(registry, file, username=None, password=None, state="absent", **options)


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_login_and_logout(tmp_path: Path, mode: str) -> None:
    file, session = tmp_path / "auth.json", make_session()
    with FakeRegistry(auth=Auth(mode=mode, users=USERS)) as registry:
        planned = plan(registry.host, file)
        assert not file.exists()
        assert planned.after == {"registry": registry.host, "stored_in": str(file), "username": USER}
        apply(session, planned)
        assert json.loads(file.read_text()) == {"auths": {registry.host: ENTRY}}
        assert file.stat().st_mode & 0o777 == 0o600
        again = plan(registry.host, file)
        assert not again.changed
        assert again.before == again.after == planned.after
        gone = logout(registry.host, file)
        assert gone.changed
        apply(session, gone)
        assert json.loads(file.read_text()) == {"auths": {}}
        assert not logout(registry.host, file).changed


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_wrong_password_is_not_stored(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "auth.json"
    with FakeRegistry(auth=Auth(mode=mode, users=USERS)) as registry:
        with fails(Denied, "UNAUTHORIZED", registry.host, 401) as caught:
            plan(registry.host, file, password="wrong-one")
        assert "wrong-one" not in str(caught.value)
        assert not file.exists()


def test_what_is_verified_is_what_will_be_stored(tmp_path: Path) -> None:
    """Not the login that the task has for the registry otherwise."""
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(login(registry))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401):
            plan(registry.host, tmp_path / "auth.json", session, password="wrong-one")
        stale = make_session(login(registry, Credential(USER, "old")))
        assert plan(registry.host, tmp_path / "auth.json", stale).changed
        assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() in stale.transport.secrets


@pytest.mark.parametrize("given", [{"password": ""}, {"password": None}, {"username": ""}, {"username": None}])
def test_half_a_login_is_none(tmp_path: Path, given: dict[str, Any]) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says="one that is empty is none"):
        plan("registry.invalid", tmp_path / "auth.json", verify=False, **given)


def test_who_asks_for_something_else_was_sent_no_password(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    with FakeRegistry(auth=Auth(users=USERS)) as registry, FakeRegistry() as other:
        refused = {"status": 401, "headers": {"WWW-Authenticate": "Negotiate"}, "times": 9}
        registry.fault("GET", "/v2/$", **refused)
        says = "asked for no username and password but for Negotiate (HTTP 401); nothing was stored"
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, says):
            plan(registry.host, file)
        other.fault("GET", "/v2/$", to=f"http://{registry.host}/v2/", times=9)
        with fails(RegistryError, "UNKNOWN", says=f"{registry.host}, where {other.host} sent us, answered HTTP 401"):
            plan(other.host, file)
        assert not file.exists()


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    apply(make_session(), plan("registry.invalid", file, verify=False))
    assert plan("registry.invalid", file, verify=False).warnings == ()
    file.chmod(0o644)
    (warning,) = plan("registry.invalid", file, verify=False).warnings
    assert warning == f"{file} can be read by others than its owner; set its mode to 0600."


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth.json"
    apply(make_session(), plan("registry.invalid", file, verify=False))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for refused in (partial(plan, verify=False, password="new"), logout):
        with fails(CredentialError, "CREDENTIALS_UNUSABLE", says=f"{file} cannot be written"):
            refused("registry.invalid", file)


def test_registry_that_does_not_ask(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        planned = plan(registry.host, tmp_path / "auth.json")
        assert "could not be verified" in planned.warnings[0]
        assert planned.changed


def test_unverified_makes_no_request(tmp_path: Path) -> None:
    planned = plan("registry.invalid", tmp_path / "auth.json", verify=False)
    apply(make_session(), planned)
    assert "registry.invalid" in (tmp_path / "auth.json").read_text()


def test_no_answer(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        host = registry.host
    with fails(ConnectionFailed, "UNREACHABLE", host):
        plan(host, tmp_path / "auth.json")


def test_not_a_registry(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.fault(status=404, body=b"<html>", times=9)
        with fails(RegistryError, "NOT_A_REGISTRY", registry.host, 404):
            plan(registry.host, tmp_path / "auth.json")


def test_a_web_page_is_no_registry(tmp_path: Path) -> None:
    """A login page answers 200 whatever it is asked, and must not be given a password for good."""
    file = tmp_path / "auth.json"
    with FakeRegistry() as registry:
        page = {"status": 200, "body": b"<html>Log in", "headers": {"Content-Type": "text/html"}}
        registry.fault("GET", "/v2/$", times=9, **page)
        with fails(ContentError, "NOT_A_REGISTRY", says="answered with a web page"):
            plan(registry.host, file)
        assert not file.exists()


def test_a_scheme_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE", says="'https://quay.io/' is not a registry"):
        plan("https://quay.io/", tmp_path / "auth.json")


def test_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    other = {"auths": {"other.example": ENTRY}, "psFormat": "x", "credHelpers": {"gcr.io": "gcloud"}}
    file.write_text(json.dumps(other))
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        apply(make_session(), plan(registry.host, file))
        stored = json.loads(file.read_text())
        assert stored.pop("auths") == {"other.example": ENTRY, registry.host: ENTRY}
        del other["auths"]
        assert stored == other


def test_file_is_the_one_that_has_the_entry(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker, podman = clean_environment / ".docker", clean_environment / ".config" / "containers"
    for folder, host in ((docker, "a.example"), (podman, "b.example")):
        folder.mkdir(parents=True)
        name = "config.json" if folder is docker else "auth.json"
        (folder / name).write_text(json.dumps({"auths": {host: ENTRY}}))
    found = {
        host: plan(host, None, verify=False).result["auth_file"] for host in ("a.example", "b.example", "c.example")
    }
    assert found["a.example"] == str(docker / "config.json")
    assert found["b.example"] == found["c.example"] == str(podman / "auth.json")


def test_new_file_in_a_home_without_any(clean_environment: Path) -> None:
    planned = plan("a.example", None, verify=False)
    assert planned.result["auth_file"] == str(clean_environment / ".config" / "containers" / "auth.json")
    apply(make_session(), planned)
    assert Path(planned.result["auth_file"]).is_file()


def test_path_and_docker_hub(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    for name in ("quay.io/team", "docker.io"):
        apply(make_session(), plan(name, file, verify=False))
        assert not plan(name, file, verify=False).changed
    assert set(json.loads(file.read_text())["auths"]) == {"quay.io/team", "https://index.docker.io/v1/"}


@pytest.mark.parametrize("name", ["", "https://quay.io", "quay.io:0", "a b", "quay.io/UPPER", "quay.io:port"])
def test_malformed(tmp_path: Path, name: str) -> None:
    with fails(InvalidInput, "INVALID_REFERENCE"):
        plan(name, tmp_path / "auth.json")


def test_broken_file(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text("{broken")
    with fails(CredentialError, "CREDENTIALS_UNUSABLE", says=f"{file} is not valid JSON"):
        plan("a.example", file, verify=False)
    assert file.read_text() == "{broken"


def test_helper(tmp_path: Path) -> None:
    file, store = tmp_path / "auth.json", dict[str, str]()
    file.write_text(json.dumps({"credsStore": "pass"}))

    def helper(command: list[str], text: str) -> tuple[int, str]:
        assert command[0] == "docker-credential-pass"
        assert PASSWORD not in " ".join(command)
        if command[1] == "store":
            store[json.loads(text)["ServerURL"]] = text
        elif command[1] == "erase":
            del store[text]
        elif text not in store:
            return 1, "credentials not found in native keychain"
        return 0, store.get(text, "")

    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(run=helper)
        planned = plan(registry.host, file, session)
        assert planned.after["stored_in"] == "docker-credential-pass"
        apply(session, planned)
        assert json.loads(store[registry.host])["Secret"] == PASSWORD
        assert not plan(registry.host, file, session).changed
        apply(session, logout(registry.host, file, session=session))
        assert store == {}
        assert json.loads(file.read_text()) == {"credsStore": "pass"}


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(tmp_path: Path, name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        file = tmp_path / "auth.json"
        apply(make_session(), plan(registry.host, file))
        assert not plan(registry.host, file).changed


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (403, {"errors": [{"code": "DENIED", "message": "account locked"}]}, "DENIED", "account locked"),
        (403, b"<html>Blocked by the firewall</html>", "DENIED", "refused the username and password (HTTP 403)"),
        (401, {"errors": [{"code": "UNAUTHORIZED", "message": "expired"}]}, "UNAUTHORIZED", "expired"),
    ],
)
def test_what_is_refused_is_not_stored(tmp_path: Path, status: int, body: Any, code: str, says: str) -> None:
    file = tmp_path / "auth.json"
    with FakeRegistry(auth=Auth(mode="basic", users=USERS)) as registry:
        registry.fault(path="/v2/$", skip=1, status=status, body=body, times=9)
        with fails(Denied, code, registry.host, status, says):
            plan(registry.host, file)
        assert not file.exists()


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder / name


class Helper:
    """A credential helper that keeps what it is given."""

    def __init__(self, **kept: str) -> None:
        self.kept = {host: (USER, password) for host, password in kept.items()}

    def __call__(self, command: list[str], text: str) -> tuple[int, str]:
        if command[1] == "store":
            entry = json.loads(text)
            self.kept[entry["ServerURL"]] = entry["Username"], entry["Secret"]
        elif text not in self.kept:
            return 1, "credentials not found in native keychain"
        elif command[1] == "erase":
            del self.kept[text]
        else:
            return 0, json.dumps(dict(zip(("Username", "Secret"), self.kept[text])))
        return 0, ""


def test_logout_removes_the_login_from_every_file_at_once(clean_environment: Path) -> None:
    docker = write(clean_environment / ".docker", "config.json", {"auths": {"https://a.example/v2/": ENTRY}})
    podman = write(
        clean_environment / ".config/containers", "auth.json", {"auths": {"a.example": ENTRY, "b.example": ENTRY}}
    )
    planned = logout("a.example", None)
    assert len(planned.steps) == 2
    assert planned.before == {"registry": "a.example", "stored_in": f"{podman}, {docker}", "username": USER}
    assert planned.after == {"registry": "a.example", "stored_in": None, "username": None}
    apply(make_session(), planned)
    assert json.loads(docker.read_text())["auths"] == {}
    assert set(json.loads(podman.read_text())["auths"]) == {"b.example"}
    assert make_session().credential("a.example", "") is None
    again = logout("a.example", None)
    assert not again.changed
    assert again.before == again.after == planned.after


@pytest.mark.parametrize("kind", ["the same path", "a link"])
def test_logout_removes_once_what_two_names_lead_to(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = write(clean_environment / ".docker", "config.json", {"auths": {"a.example": ENTRY}})
    folder = clean_environment / ".docker"
    if kind == "a link":
        folder = clean_environment / "link"
        folder.symlink_to(".docker")
    monkeypatch.setenv("DOCKER_CONFIG", f"{folder}")
    planned = logout("a.example", None)
    assert [step.text for step in planned.steps] == [
        f"Remove the credentials for a.example from {folder / 'config.json'}."
    ]
    assert planned.before["stored_in"] == planned.result["auth_file"] == str(folder / "config.json")
    apply(make_session(), planned)
    assert json.loads(file.read_text())["auths"] == {}


def test_logout_removes_once_what_two_files_leave_to_a_helper(clean_environment: Path) -> None:
    for folder, name in ((".docker", "config.json"), (".config/containers", "auth.json")):
        write(clean_environment / folder, name, {"credsStore": "pass"})
    helper = Helper(**{"a.example": PASSWORD})
    planned = logout("a.example", None, session=make_session(run=helper))
    assert len(planned.steps) == 1
    apply(make_session(run=helper), planned)
    assert helper.kept == {}


def test_logout_removes_what_lies_beside_a_helper(clean_environment: Path) -> None:
    content = {"credsStore": "pass", "auths": {"a.example": ENTRY}}
    file = write(clean_environment / ".docker", "config.json", content)
    helper = Helper(**{"a.example": PASSWORD})
    session = make_session(run=helper)
    planned = logout("a.example", None, session=session)
    assert [step.text.rpartition(" ")[2] for step in planned.steps] == ["docker-credential-pass.", f"{file}."]
    apply(session, planned)
    assert helper.kept == {}
    assert json.loads(file.read_text())["auths"] == {}
    assert make_session(run=helper).credential("a.example", "team/app") is None
    assert not logout("a.example", None, session=make_session(run=helper)).changed


def test_login_changes_what_would_be_found_first(clean_environment: Path) -> None:
    """A file that comes first has a helper with an old password, and a later one a plain entry."""
    write(clean_environment / ".config/containers", "auth.json", {"credsStore": "pass"})
    write(clean_environment / ".docker", "config.json", {"auths": {"a.example": ENTRY}})
    helper = Helper(**{"a.example": "old-password"})
    session = make_session(run=helper)
    apply(session, plan("a.example", None, session, verify=False))
    assert helper.kept == {"a.example": (USER, PASSWORD)}
    found = make_session(run=helper).credential("a.example", "")
    assert found is not None
    assert found.password == PASSWORD


@pytest.mark.parametrize("in_helper", ["", "old-password", PASSWORD], ids=["nothing", "old", "same"])
def test_login_leaves_no_password_beside_a_helper(clean_environment: Path, in_helper: str) -> None:
    """As docker does it: the helper gets it, whatever plain entry there was before the helper was set up."""
    content = {"credsStore": "pass", "auths": {"https://a.example/v1/": ENTRY, "b.example": ENTRY}}
    file = write(clean_environment / ".docker", "config.json", content)
    helper = Helper(**({"a.example": in_helper} if in_helper else {}))
    session = make_session(run=helper)
    planned = plan("a.example", None, session, verify=False)
    stored = [] if in_helper == PASSWORD else ["Store the credentials of robot$team+ci for a.example in"]
    texts = [step.text.rpartition(" ")[0] for step in planned.steps]
    assert texts == [*stored, "Remove the credentials for a.example from"]
    where = f"docker-credential-pass, {file}" if in_helper else str(file)
    assert planned.before == {"registry": "a.example", "stored_in": where, "username": USER}
    assert planned.after == {"registry": "a.example", "stored_in": "docker-credential-pass", "username": USER}
    apply(session, planned)
    assert helper.kept == {"a.example": (USER, PASSWORD)}
    assert json.loads(file.read_text())["auths"] == {"b.example": ENTRY}
    again = plan("a.example", None, make_session(run=helper), verify=False)
    assert not again.changed
    assert again.before == again.after == planned.after


def test_a_plain_password_stays_where_the_helper_does_not_take_it(tmp_path: Path) -> None:
    file = write(tmp_path, "config.json", {"credsStore": "pass", "auths": {"a.example": ENTRY}})
    before = file.read_text()

    def broken(command: list[str], text: str) -> tuple[int, str]:
        return 1, "credentials not found in native keychain" if command[1] == "get" else "locked"

    session = make_session(run=broken)
    with fails(CredentialError, "CREDENTIALS_UNUSABLE", says="locked"):
        apply(session, plan("a.example", file, session, verify=False))
    assert file.read_text() == before


def test_a_path_stays_in_the_file_that_has_it(tmp_path: Path) -> None:
    """Helpers know whole registries alone."""
    file = write(tmp_path, "auth.json", {"credsStore": "pass", "auths": {"a.example/team": {"auth": "b2xkOm9sZA=="}}})
    session = make_session(run=Helper())
    apply(session, plan("a.example/team", file, session, verify=False))
    assert json.loads(file.read_text())["auths"] == {"a.example/team": ENTRY}


def test_a_path_is_not_stored_where_it_would_not_be_found(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"credsStore": "pass"}))
    session = make_session(run=Helper())
    with fails(InvalidInput, "INVALID_OPTION", says="keeps credentials for a.example alone, not for a.example/team"):
        plan("a.example/team", file, session, verify=False)


def test_a_path_that_is_stored_is_found(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    apply(make_session(), plan("a.example/team", file, verify=False))
    session = make_session(auth_file=str(file))
    assert session.credential("a.example", "team/app") is not None
    assert session.credential("a.example", "other/app") is None
