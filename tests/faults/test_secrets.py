# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret is seen anywhere: not at -vvv, not in files that are left, not in the arguments of a process.

Every module runs in one real play, with logins of every kind that are right and that are wrong. What a call of each
module needs is what the contract test calls it with, so a new module is in here by itself.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.quayside.registry.tests.faults.plays import Play, command_lines
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth, Token
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.plugins.modules import test_contract as contract

# Of the look that breaks naive masking: a URL with a login, quotes, percent signs, a comma, letters beyond ASCII.
WORDS = (
    "https://u:%s@h/?a=b%%2Bc&d",
    "p'%s\"q",
    "%s, and more",
    "%s:ü€",
    "plain%s",
    "%s+/==",
    "a b %s",
    "$(%s)",
    "%s\\n",
)
KINDS = ("entry", "shorthand", "identity", "bearer", "file", "file identity", "file bearer", "helper", "helper token")
HELPER = '#!/bin/sh\ncat > /dev/null; sleep 0.2\n[ "$1" = get ] && cat "$0.json"\n'


class Everything(dict[str, set[str]]):
    """The access of a token that may do all things."""

    def get(self, resource: str, default: Any = None) -> set[str]:
        return {"*"}


@dataclass
class Login:
    """One kind of login: its secret, and the options and environment that hand it to a module."""

    kind: str
    secret: str
    right: bool
    options: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return "ci-" + self.kind.replace(" ", "-")


def make_login(kind: str, host: str, folder: Path, right: bool) -> Login:
    """Write the files that a login of this kind needs."""
    word = WORDS[KINDS.index(kind)] if "bearer" not in kind and "identity" not in kind else "%s"
    login = Login(kind, word % f"{'right' if right else 'wrong'}{KINDS.index(kind)}secret", right)
    user, secret = login.user, login.secret
    plain = {"username": user, "password": secret}
    entries: dict[str, dict[str, Any]] = {
        "file": {"auths": {host: {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}}},
        "file identity": {"auths": {host: {"identitytoken": secret}}},
        "file bearer": {"auths": {host: {"registrytoken": secret}}},
        "helper": {"credHelpers": {host: "quiet"}},
        "helper token": {"credHelpers": {host: "quiet"}},
    }
    given = {
        "entry": {"registries": [{"name": host, **plain}]},
        "shorthand": plain,
        "identity": {"registries": [{"name": host, "identity_token": secret}]},
        "bearer": {"registries": [{"name": host, "registry_token": secret}]},
    }
    place = folder / f"{kind}-{right}".replace(" ", "-")
    place.mkdir()
    login.options = {"auth_file": str(place / "auth.json"), **given.get(kind, {})}
    (place / "auth.json").write_text(json.dumps(entries.get(kind, {})), encoding="utf-8")
    if kind.startswith("helper"):
        answer = {"ServerURL": host, "Username": "<token>" if "token" in kind else user, "Secret": secret}
        (place / "docker-credential-quiet.json").write_text(json.dumps(answer), encoding="utf-8")
        (place / "docker-credential-quiet").write_text(HELPER, encoding="utf-8")
        (place / "docker-credential-quiet").chmod(0o755)
        login.env = {"PATH": f"{place}:/usr/bin:/bin"}
    return login


def teach(registry: FakeRegistry, logins: list[Login]) -> None:
    """Let the registry know the logins that are right."""
    users = dict(contract.USERS)
    for login in (login for login in logins if login.right):
        users[login.user] = login.secret
        if "bearer" in login.kind:
            registry.gate.tokens[login.secret] = Token(login.user, Everything(), float("inf"))
        if "identity" in login.kind or "token" in login.kind:
            registry.gate.refresh[login.secret] = login.user
    registry.auth = replace(registry.auth, users=users)


class Watch(threading.Thread):
    """Notes the arguments of every process that is seen in /proc until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.01):
            self.seen.update(command_lines())


def forms(secret: str, user: str) -> Iterator[str]:
    """A secret, and what it looks like in JSON, in a URL and in Basic."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")
    for text in (secret, f"{user}:{secret}"):
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            yield code(text.encode()).decode().rstrip("=")


def tasks(place: contract.Place, logins: list[Login]) -> Iterator[tuple[Login, dict[str, Any]]]:
    """Every module with a login that is right, and one that is not; every kind of login, alone and with some module."""
    for number, (module, cases) in enumerate(sorted(contract.CASES.items())):
        # The token of a login that is one is what oci_token_info has to show.
        able = [login for login in logins if module != "oci_token_info" or "bearer" not in login.kind]
        for turn in range(2):
            fitting = [login for login in able if login.right == (turn % 2 == 0)]
            login = fitting[number % len(fitting)]
            own = cases[0].args(place)
            if cases[0].logs_in:
                own |= {"username": login.user, "password": login.secret}
            options = {"retries": 0, "timeout": 5, **login.options, **own}
            task = {"name": f"{number}.{turn} {module}", f"quayside.registry.{module}": options}
            yield login, {**task, "environment": login.env, "ignore_errors": True}
    name = place.name(f"{contract.REPO}:1.2.3")
    for login in (login for login in logins if login.right):
        task = {"name": f"{login.kind} works", "environment": login.env, "ignore_errors": True}
        yield login, {**task, "quayside.registry.oci_digest_info": {"name": name, **login.options}}


def flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[contract.Place]:
    with FakeRegistry(auth=Auth(users=contract.USERS)) as registry:
        found = contract.Place(registry, tmp_path)
        contract.stock(found)
        yield found


def test_no_secret_is_seen(place: contract.Place, tmp_path: Path) -> None:
    registry, watch = place.registry, Watch()
    logins = [make_login(kind, registry.host, tmp_path, right) for kind in KINDS for right in (True, False)]
    teach(registry, logins)
    todo = list(tasks(place, logins))
    watch.start()
    with Play([task for dummy, task in todo], "-vvv", "--diff", env={"ANSIBLE_INJECT_INVOCATION": "true"}) as play:
        results = play.results(timeout=len(todo) * 5)
        output = play.output
        left = {
            str(path): path.read_text(encoding="utf-8", errors="replace")
            for path in play.folder.rglob("*")
            if path.is_file() and path.name not in ("play.json", "output", "lines")
        }
    watch.done.set()
    watch.join()

    # They ran, they failed where they had to, and there was something to see.
    assert len(results) == len(todo)
    assert {login.kind for login, task in todo} == set(KINDS)
    works = {kind: results[f"{kind} works"].get("msg") for kind in KINDS}
    assert works == dict.fromkeys(KINDS), works
    well = [task for login, task in todo if login.right and not results[task["name"]]["failed"]]
    assert len(well) > len(todo) // 3
    denied = [login for login, task in todo if not login.right and results[task["name"]].get("error_code")]
    assert len(denied) > len(todo) // 4
    assert any(b"docker-credential-quiet" in line for line in watch.seen)
    assert "invocation" in output

    # The token that the user asked for by name is in what is registered, and is not shown either.
    assert any("censored" in results[task["name"]] for dummy, task in todo if "token_info" in task["name"])
    shown = flat(results)
    argv = b"\n".join(watch.seen).decode("utf-8", "replace")
    issued = list(registry.gate.tokens)
    assert issued
    secrets = {form for login in logins for form in forms(login.secret, login.user)} | set(issued)
    secrets |= {contract.PASSPHRASE, *contract.SIGNER["key_content"].splitlines()[1:-1]}
    for where, text in {"output": output, "results": shown, "arguments": argv, **left}.items():
        seen = [secret for secret in secrets if secret in text]
        assert not seen, f"{where} shows {seen}: {around(text, seen[0])}"


def around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 300) : at + len(secret) + 100]


PROXIES: Mapping[str, str] = {"http": "http_proxy", "https": "https_proxy"}


@pytest.mark.parametrize("scheme", PROXIES)
def test_the_password_of_a_proxy_is_not_seen(scheme: str) -> None:
    """It is in the environment of the task, so Ansible itself shows it at -vvv; what the module returns does not."""
    options = {"name": "registry.example/team/app:1", "plain_http": scheme == "http", "retries": 0, "timeout": 2}
    task = {"name": "ask", "quayside.registry.oci_digest_info": options, "ignore_errors": True}
    env = {PROXIES[scheme]: "http://someone:proxysecret@127.0.0.1:1"}
    with Play([{**task, "environment": env}]) as play:
        result = play.results()["ask"]
        output = play.output
    assert result["failed"] and "proxy" in result["msg"]
    assert "proxysecret" not in flat(result) + output


def test_the_watch_sees_arguments() -> None:
    """Break it on purpose: a command that is given a secret is caught by the same means."""
    watch = Watch()
    watch.start()
    with Play([{"name": "leak", "ansible.builtin.command": {"argv": ["sleep", "0.2s", "00.1234"]}}]) as play:
        play.results()
    time.sleep(0.01)
    watch.done.set()
    watch.join()
    assert any(b"00.1234" in line for line in watch.seen)
