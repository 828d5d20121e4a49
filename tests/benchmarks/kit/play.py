# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tasks through ansible-playbook on this host, and tells how long each took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

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
    """One task: seconds on the controller, and whether it reported a change."""

    name: str
    seconds: float
    changed: bool


@dataclass(frozen=True)
class Report:
    """The tasks of a play, and the module processes where they were watched, in order."""

    tasks: list[Task]
    processes: list[Process]

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
    return Task(name, float(case.attrib["time"]), json.loads(case.findtext("system-out", ""))["changed"])


def oci_copy(name: str, **options: t.Any) -> dict[str, t.Any]:
    """A task that copies."""
    return {"name": name, "quayside.registry.oci_copy": options}


def skopeo_copy(name: str, src: str, dest: str) -> dict[str, t.Any]:
    """The task that people write without this collection."""
    return command(name, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false",
                   f"docker://{src}", f"docker://{dest}")  # fmt: skip


def crane_copy(name: str, src: str, dest: str) -> dict[str, t.Any]:
    """The same with crane."""
    return command(name, "crane", "copy", "--insecure", src, dest)


def command(name: str, *argv: str) -> dict[str, t.Any]:
    """A task that runs a command."""
    return {"name": name, "ansible.builtin.command": {"argv": list(argv)}}
