# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tasks through ansible-playbook on this host, and tells how long each took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .table import CONTROLLER, CRANE, MODULE, STAND_IN

Make = t.Callable[[t.Union[int, str]], dict[str, t.Any]]
"""Makes the task of a round."""

# Stands in for Python where Ansible starts modules: runs it, and notes what the process took.
INTERPRETER = """#!{python}
import json, os, sys, time
began = time.monotonic()
child = os.posix_spawn({python!r}, [{python!r}, *sys.argv[1:]], os.environ)
status, used = os.wait4(child, 0)[1:]
with open({notes!r}, "a") as notes:
    print(json.dumps([time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]), file=notes)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Process:
    """One module process: seconds from start to end, seconds of processor time, and bytes of memory at its peak."""

    seconds: float
    cpu: float
    memory: int


@dataclass(frozen=True)
class Task:
    """One task: seconds on the controller, and its result."""

    name: str
    seconds: float
    result: dict[str, t.Any]

    @property
    def changed(self) -> bool:
        return bool(self.result["changed"])


@dataclass(frozen=True)
class Report:
    """The tasks of a play, and the module processes where they were watched, in order."""

    tasks: list[Task]
    processes: list[Process]

    @property
    def results(self) -> list[dict[str, t.Any]]:
        """The results of all tasks."""
        return [task.result for task in self.tasks]

    def seconds(self, name: str, changed: bool = True) -> list[float]:
        """The seconds of the tasks of this name, of which there must be some, and each must have reported this."""
        found = [task for task in self.tasks if task.name == name]
        if not found or any(task.changed != changed for task in found):
            raise RuntimeError(f"the tasks {name!r} are not as they should be, changed={changed}: {found}")
        return [task.seconds for task in found]


def play(tasks: t.Sequence[t.Mapping[str, t.Any]], watch: bool = False) -> Report:
    """Run tasks on localhost; all have to succeed. To ``watch`` the module processes takes some time of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-play-") as name:
        folder = Path(name)
        notes, python = folder / "notes", folder / "python"
        python.write_text(INTERPRETER.format(python=sys.executable, notes=str(notes)), encoding="utf-8")
        python.chmod(0o755)
        book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}]
        (folder / "play.json").write_text(json.dumps(book), encoding="utf-8")
        env = {
            **os.environ,
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "JUNIT_OUTPUT_DIR": str(folder / "junit"),
            "JUNIT_HIDE_TASK_ARGUMENTS": "true",
        }
        ansible = Path(sys.executable).with_name("ansible-playbook")
        interpreter = f"ansible_python_interpreter={python if watch else sys.executable}"
        command = [str(ansible), "-e", interpreter, str(folder / "play.json")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the play failed:\n{done.stdout}{done.stderr}")
        report = ElementTree.parse(next((folder / "junit").glob("*.xml")))
        lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
        return Report([_task(case) for case in report.iter("testcase")], [Process(*json.loads(line)) for line in lines])


def _task(case: ElementTree.Element) -> Task:
    """Read what the callback plugin writes of a task: its name after host and play, and its result as JSON."""
    name = case.attrib["name"].removeprefix("[localhost] localhost: ")
    return Task(name, float(case.attrib["time"]), json.loads(case.findtext("system-out", "")))


def ours(name: str, module: str, options: t.Mapping[str, t.Any], inside: bool = False) -> dict[str, t.Any]:
    """A task of this collection, as a module that is sent, or inside Ansible's own process."""
    return {
        "name": name,
        f"quayside.registry.{module}": dict(options),
        "vars": {"quayside_registry_in_process": inside},
    }


def command(name: str, *argv: str) -> dict[str, t.Any]:
    """A task that runs a command."""
    return {"name": name, "ansible.builtin.command": {"argv": list(argv)}}


def both_ways(module: str, options: t.Callable[[str], t.Mapping[str, t.Any]]) -> dict[str, Make]:
    """Our entrants in a race: the module, and the same inside the controller; ``options`` gets a name of its own."""

    def make(column: str, inside: bool) -> Make:
        return lambda number: ours(column, module, options(f"{column}-{number}"), inside)

    return {MODULE: make(MODULE, False), CONTROLLER: make(CONTROLLER, True)}


def others(stand_in: t.Callable[[str], list[str]], crane: t.Callable[[str], list[str]]) -> dict[str, Make]:
    """Those who race against us: a stand-in, and crane where it is there; each command gets a name of its own."""

    def make(column: str, argv: t.Callable[[str], list[str]]) -> Make:
        return lambda number: command(column, *argv(f"{column}-{number}"))

    found = {STAND_IN: make(STAND_IN, stand_in)}
    if shutil.which("crane"):
        found[CRANE] = make(CRANE, crane)
    return found


def race(entrants: t.Mapping[str, Make], rounds: int, changed: bool = True) -> dict[str, list[float]]:
    """Let entrants take turns in one play; return the seconds of each. ``changed``: what tasks of ours report."""
    tasks = [make(number) for number in range(rounds) for make in entrants.values()]
    report = play(tasks)
    return {name: report.seconds(name, changed or name in (STAND_IN, CRANE)) for name in entrants}


def skopeo_copy(src: str, dest: str) -> list[str]:
    """What people write without this collection; both are names that skopeo knows."""
    return ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", src, dest]
