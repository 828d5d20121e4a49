# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that run inside the controller return what they return when they are sent, and leave no trace there."""

from __future__ import annotations

import copy
import datetime
import importlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.module_utils import basic
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.quayside.registry.plugins.module_utils._options import FORMATS
from ansible_collections.quayside.registry.plugins.plugin_utils import _in_process, _progress
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, run_module
from ansible_collections.quayside.registry.tests.unit.plugins.modules.test_contract import (
    CASES,
    PASSWORD,
    USERS,
    Case,
    Place,
    pull_args,
    stock,
)

ROOT = Path(__file__).resolve().parents[4]
PYTHON = "/a/venv/bin/python"
ACTIONS = {
    path.stem: importlib.import_module(f"ansible_collections.quayside.registry.plugins.action.{path.stem}").ActionModule
    for path in sorted((ROOT / "plugins" / "action").glob("oci_*.py"))
}
ROUTED = [name for name, found in ACTIONS.items() if hasattr(found, "module")]
CALLS = [pytest.param(name, case, id=f"{name}-{at}") for name in ROUTED for at, case in enumerate(CASES[name])]


def action(name: str, options: dict[str, Any], **task: Any) -> _in_process.InProcess:
    """The plugin as a worker process has it."""
    values = {
        "action": f"quayside.registry.{name}",
        "args": dict(options),
        "async_val": 0,
        "check_mode": False,
        "collections": [],
        "delegate_to": None,
        "diff": False,
        "environment": [],
        "no_log": False,
        "resolved_action": f"quayside.registry.{name}",
    }
    shell = SimpleNamespace(tmpdir=None, get_option=lambda option: "/tmp")
    connection = SimpleNamespace(transport="local", become=None, socket_path=None, has_native_async=False, _shell=shell)
    play = SimpleNamespace(become=False, executable="/bin/sh")
    loader = DataLoader()
    task_like = SimpleNamespace(**{**values, **task})
    return ACTIONS[name](task_like, connection, play, loader, Templar(loader=loader), None)


def here(name: str, options: dict[str, Any], **task: Any) -> dict[str, Any]:
    found = action(name, options, **task)._run_here(name, {})
    return {key: value for key, value in found.items() if not key.startswith("_ansible")}


def plain(value: dict[str, Any]) -> dict[str, Any]:
    """Without what no two runs have in common, and what Ansible adds to either."""
    found = json.loads(json.dumps(value, default=str))
    for key in ("invocation", "exception", "warnings", "deprecations"):
        found.pop(key, None)
    if not found.get("failed", True):
        del found["failed"]
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        found = Place(registry, tmp_path)
        stock(found)
        yield found


def test_each_has_its_module() -> None:
    assert list(ACTIONS) == sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("oci_*.py"))
    assert len(ROUTED) > 10
    assert [ACTIONS[name].module.__name__.rpartition(".")[2] for name in ROUTED] == ROUTED
    assert "oci_sign" not in ROUTED


@pytest.mark.parametrize(("name", "case"), CALLS)
@pytest.mark.parametrize("mode", ["check", "run"])
def test_the_same_in_both_ways(
    name: str, case: Case, mode: str, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Key by key, in check mode and in a run, on a registry and a disk with the same content."""
    case.stock(place)
    content = copy.deepcopy(place.registry.api.repos)
    shutil.copytree(place.folder, aside := tmp_path_factory.mktemp("aside"), symlinks=True, dirs_exist_ok=True)
    results = []
    for way in ("sent", "here"):
        place.registry.api.repos = copy.deepcopy(content)
        shutil.rmtree(place.folder)
        shutil.copytree(aside, place.folder, symlinks=True)
        options, check = case.options(place), mode == "check"
        if way == "sent":
            result = run_module(name, options, check=check, diff=True)
        else:
            result = here(name, options, check_mode=check, diff=True)
        assert PASSWORD not in json.dumps(result, default=str)
        results.append(plain(result))
    for key in case.volatile:
        assert {key in result for result in results} == {True}
        for result in results:
            del result[key]
    assert results[0] == results[1]


@pytest.mark.parametrize("mode", ["0600", "u=rw,g=,o=r", "preserve", "0999"])
@pytest.mark.parametrize("owner", [None, "nobody", "no-such-user"])
def test_owner_and_mode_of_a_file_are_set_alike(mode: str, owner: str | None, place: Place) -> None:
    """As Ansible's own modules set them: a new file, one that has another mode, and one that is right."""
    CASES["oci_export"][0].stock(place)
    path = place.folder / "root.tar"
    options = {**CASES["oci_export"][0].options(place), "path": str(path), "mode": mode}
    same_attributes("oci_export", {**options, "owner": owner} if owner else options, path)


@pytest.mark.parametrize("mode", ["0700", "u=rwx,g=,o=r", "0999"])
@pytest.mark.parametrize("kind", FORMATS)
def test_owner_and_mode_of_what_is_pulled_are_set_alike(mode: str, kind: str, place: Place) -> None:
    """Those of the archive, or of the folder of a layout, in which files keep theirs."""
    path = place.folder / kind
    same_attributes("oci_pull", {**place.entry(), **pull_args(place, kind), "mode": mode, "owner": "nobody"}, path)
    inside = [found for found in path.rglob("*") if found.is_file()]
    assert {found.stat().st_mode & 0o777 for found in inside} <= {0o644 & ~umask()}
    assert {found.stat().st_uid for found in inside} <= {os.geteuid()}
    assert bool(inside) == (kind == "oci-layout" and mode != "0999")


def test_where_no_image_is_asked_for_the_folder_is_left_alone(place: Place) -> None:
    options = {**place.entry(), "names": [], "path": str(place.folder), "format": "oci-layout", "mode": "0711"}
    found = here("oci_pull", options, diff=True)
    assert (found["changed"], found["actions"], found["diff"]["before"], found["diff"]["after"]) == (False, [], {}, {})
    assert place.folder.stat().st_mode & 0o777 != 0o711


def umask() -> int:
    os.umask(found := os.umask(0))
    return found


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def same_attributes(module: str, options: dict[str, Any], path: Path) -> None:
    """Run a module both ways, in check mode and without, where there is no file, a wrong one and a right one."""
    mode, owner = options["mode"], options.get("owner")
    seen = []
    ways = (
        lambda check: run_module(module, options, check=check, diff=True),
        lambda check: here(module, options, check_mode=check, diff=True),
    )
    for way in ways:
        remove(path)
        rounds = []
        for wrong, check in ((False, True), (False, False), (True, True), (True, False), (False, False)):
            if wrong and path.exists():
                path.chmod(0o666)
            found = way(check)
            facts = path.stat() if path.exists() else None
            rounds.append((plain(found), facts and (facts.st_mode, facts.st_uid)))
        seen.append(rounds)
    for sent, inside in zip(*seen):
        for side in (sent, inside):
            side[0].pop("transfer", None)
            side[0].setdefault("changed", False)  # Ansible itself adds it where a module fails
        assert sent == inside
    changed = [found["changed"] for found, dummy in seen[0]]
    refused = mode in ("preserve", "0999") or owner == "no-such-user"
    assert [found.get("failed", False) for found, dummy in seen[0]] == [refused] * 5, "check mode knows as well"
    if not refused:
        assert changed == [True, True, True, True, False]
        assert len({seen[0][at][1] for at in (1, 3, 4)}) == 1, "a new file has the mode and owner at once"
        assert seen[0][0][0] == seen[0][1][0] and seen[0][2][0] == seen[0][3][0], "check mode tells what the run does"
    if refused:
        assert {found["error_code"] for found, dummy in seen[0]} == {"FILE_ERROR"}
        assert seen[0][0][0]["msg"].startswith(f"{path} cannot get its owner or mode: ")


def test_a_bug_ends_the_task_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With older cores, other items of a loop would be lost to an error that comes out of the plugin."""

    def fail(*dummy: object, **options: object) -> None:
        raise ValueError("never mind")

    monkeypatch.setattr(_in_process._module._runner, "run", fail)
    found = here("oci_tag", {"name": place.name(f"{REPO}:1"), "tags": ["2"]})
    assert (found["failed"], found["error_code"]) == (True, "INTERNAL_ERROR")
    assert found["msg"] == "This is a bug of quayside.registry; please report it: ValueError: never mind."


def test_relative_paths_begin_at_the_playbook(place: Place) -> None:
    """As Ansible has it where it starts modules through a local connection."""
    plugin = action("oci_pull", {"name": place.name("team/app:1"), "path": "app.tar", **place.entry()})
    plugin._loader.set_basedir(str(place.folder))
    before = os.getcwd()
    assert plugin._run_here("oci_pull", {})["changed"]
    assert (place.folder / "app.tar").exists()
    assert os.getcwd() == before


@pytest.mark.parametrize("name", ROUTED)
def test_failures_are_the_same_in_both_ways(name: str, place: Place) -> None:
    case = CASES[name][0]
    options = {**case.options(place), **case.malformed}
    sent, inside = (plain(result) for result in (run_module(name, options), here(name, options)))
    assert inside.pop("changed", False) is False
    sent.pop("changed", None)
    assert inside == sent
    assert sent["error_code"] == "INVALID_REFERENCE"


def test_unknown_options_are_refused_by_ansible_itself(place: Place) -> None:
    found = here("oci_tag", {"name": place.name(f"{REPO}:1"), "tags": ["2"], "tag": "x"})
    assert found["failed"]
    assert "Unsupported parameters" in found["msg"]


def test_nothing_is_left_behind(place: Place) -> None:
    before = {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "handlers": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
        "options": (basic._ANSIBLE_ARGS, getattr(basic, "_ANSIBLE_PROFILE", None)),
    }
    case = CASES["oci_copy"][0]
    assert here("oci_copy", case.options(place))["changed"]
    after = {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "handlers": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
        "options": (basic._ANSIBLE_ARGS, getattr(basic, "_ANSIBLE_PROFILE", None)),
    }
    assert after == before


def test_warnings_of_one_item_of_a_loop_are_not_told_again_with_the_next(place: Place) -> None:
    options = {**place.entry(), "name": place.name(f"{REPO}:1")}
    place.registry.quirks = Quirks(warning_header="old registry")
    first = here("oci_manifest_info", options)
    place.registry.quirks = Quirks()
    second = here("oci_manifest_info", options)
    assert "old registry" in str(first["warnings"])
    assert second.get("warnings", []) == []


REASONS = {
    "quayside_registry_in_process is false": ({}, {"quayside_registry_in_process": False}, {}),
    "the connection is not local": ({}, {}, {"transport": "ssh"}),
    "the task becomes another user": ({}, {}, {"become": object()}),
    "the task is asynchronous": ({"async_val": 10}, {}, {}),
    "the task has an environment": ({"environment": [{"HTTPS_PROXY": "x"}]}, {}, {}),
    "its interpreter is not the controller's": ({}, {"ansible_python_interpreter": "/usr/bin/python3.9"}, {}),
}


@pytest.mark.parametrize("why", REASONS)
def test_what_could_be_told_apart_is_sent(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_in_process.sys, "executable", PYTHON)
    task, variables, connection = REASONS[why]
    made = action("oci_tag", {}, **task)
    vars(made._connection).update(connection)
    assert made._why_not({"ansible_python_interpreter": PYTHON, **variables}) == why


def test_where_nobody_can_tell_it_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_in_process.sys, "executable", PYTHON)
    variables = {"ansible_python_interpreter": PYTHON}
    assert action("oci_tag", {})._why_not(variables) == ""
    there = {"ansible_python_interpreter": "/other", "ansible_delegated_vars": {"localhost": variables}}
    assert action("oci_tag", {}, delegate_to="localhost")._why_not(there) == ""
    assert action("oci_tag", {})._why_not({}) == "its interpreter is not the controller's"


@pytest.mark.parametrize("why", ["", "the connection is not local"])
def test_it_says_which_way_a_task_goes(why: str, place: Place) -> None:
    said: list[str] = []
    options = {**place.entry(), "name": place.name(f"{REPO}:1")}
    made = action("oci_digest_info", options)
    with (
        mock.patch.object(_in_process.display, "vvv", lambda text, host=None: said.append(text)),
        mock.patch.object(made, "_why_not", lambda variables: why),
        mock.patch.object(made, "_execute_module", lambda **given: {"sent": given["module_name"]}),
        mock.patch.object(made, "_remove_tmp_path", lambda path: None),
    ):
        result = made.run(None, {"inventory_hostname": "localhost"})
    if why:
        assert said == [f"quayside.registry.oci_digest_info is sent as a module: {why}"]
        assert result["sent"] == "quayside.registry.oci_digest_info"
    else:
        assert said == ["quayside.registry.oci_digest_info runs inside the controller"]
        assert result["exists"]


# --- what only the controller sees


def outcome(name: str, options: dict[str, Any], way: str = "", **task: Any) -> tuple[dict[str, Any], Any]:
    """What the plugin returns, and the task as it is then; ``way`` says why it is sent."""
    made = action(name, options, **task)
    sent = {"sent": name, "changed": True, **({"failed": True} if "bad" in way else {})}
    with (
        mock.patch.object(made, "_execute_module", lambda **given: dict(sent)),
        mock.patch.object(made, "_remove_tmp_path", lambda path: None),
        mock.patch.object(made, "_why_not", lambda variables: way),
    ):
        return made.run(None, {"inventory_hostname": "localhost"}), made._task


@pytest.mark.parametrize("way", ["", "the connection is not local"])
@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_a_time_is_refused_whichever_way_a_task_goes(name: str, way: str) -> None:
    found, dummy = outcome(name, {"name": datetime.date(2024, 1, 31)}, way)
    assert (found["failed"], found["error_code"]) == (True, "INVALID_OPTION")
    assert found["msg"] == "name: YAML reads this as a time, and its text is lost; write it in quotes."
    assert "sent" not in found


def test_without_times_all_are_sent_that_are_not_run_here() -> None:
    for name in ACTIONS.keys() - set(ROUTED):
        made = action(name, {"name": "2024-01-31"})
        assert made._why_not({}) == "it always is"
        assert outcome(name, {"name": "2024-01-31"}, "it always is")[0]["sent"] == name


@pytest.mark.parametrize("way", ["", "it is sent", "it is sent, and bad"])
def test_a_token_is_hidden_as_if_by_no_log_but_a_failure_is_not(way: str, place: Place) -> None:
    options = {**place.entry(), "name": place.name(REPO), **({} if way else {"access": ["pull", "push"]})}
    found, task = outcome("oci_token_info", options, way)
    assert way or len(found["token"]) > 5, "what is registered has it"
    assert (found.get("_ansible_no_log", False), task.no_log) == (("bad" not in way),) * 2


def test_a_failure_to_get_a_token_can_be_read(place: Place) -> None:
    found, task = outcome("oci_token_info", {**place.entry(), "name": "UPPER/x"})
    assert found["error_code"] == "INVALID_REFERENCE"
    assert not found.get("_ansible_no_log") and not task.no_log


# --- how far a long task is


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What is told, and whether that goes to standard error, when a task takes long as soon as it asks for anything."""
    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(_in_process.display, "verbosity", 0)
    monkeypatch.setattr(_in_process, "_TERMINAL", False)
    monkeypatch.setattr(
        _in_process.display, "display", lambda text, color=None, stderr=False: told.append((text, stderr))
    )
    monkeypatch.setattr(_progress, "FIRST", 0.0)
    return told


def tell(place: Place, variables: dict[str, Any], **task: Any) -> dict[str, Any]:
    """Run a task that a registry throttles for a second."""
    place.registry.fault("HEAD", "/manifests/", status=429, headers={"Retry-After": "1"})
    options = {**place.entry(), "name": place.name(f"{REPO}:1"), "retries": 1}
    made = action("oci_digest_info", options, **task)
    found = made._run_here("oci_digest_info", {"inventory_hostname": "h1", **variables})
    assert found["exists"]
    assert PASSWORD not in json.dumps(found, default=str)
    return found


SHOWN = {
    "true": (True, False, 0, True),
    "yes, as a word": ("yes", False, 0, True),
    "false": (False, True, 3, False),
    "auto, no terminal": ("auto", False, 0, False),
    "auto, a terminal": ("auto", True, 0, True),
    "auto, -v": ("auto", False, 1, True),
    "not set, no terminal": (None, False, 0, False),
    "not set, a terminal": (None, True, 0, True),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_long_task_says_where_it_is(
    case: str, place: Place, lines: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish, terminal, verbosity, shown = SHOWN[case]
    monkeypatch.setattr(_in_process, "_TERMINAL", terminal)
    monkeypatch.setattr(_in_process.display, "verbosity", verbosity)
    found = tell(place, {} if wish is None else {"quayside_registry_progress": wish})
    assert found["transfer"]["seconds_waited"] == 1
    assert bool(lines) == shown
    assert all(text.startswith("oci_digest_info [h1]: ") and error for text, error in lines)
    assert PASSWORD not in str(lines)


def test_who_hides_results_hides_that_too(place: Place, lines: list[tuple[str, bool]]) -> None:
    tell(place, {"quayside_registry_progress": True}, no_log=True)
    assert lines == []


def test_the_host_that_it_is_delegated_to_is_named(place: Place, lines: list[tuple[str, bool]]) -> None:
    tell(place, {"quayside_registry_progress": True}, delegate_to="localhost")
    assert lines[0][0].startswith("oci_digest_info [h1 -> localhost]: ")


def test_a_wish_that_is_none_is_told(place: Place) -> None:
    with pytest.raises(AnsibleActionFail, match="is 'some'; set it to true, false or auto"):
        tell(place, {"quayside_registry_progress": "some"})
