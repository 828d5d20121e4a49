# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays as processes of their own: what their tasks returned, and a way to stop them in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from contextlib import suppress
from pathlib import Path

# Ansible writes one line of JSON for each result, with the task's name; the plugin lives only as long as the play.
CALLBACK = '''
DOCUMENTATION = """
name: lines
type: aggregate
short_description: one line of JSON for each result
description: As it says.
"""
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "aggregate", "lines"
    CALLBACK_NEEDS_ENABLED = True

    def note(self, result, failed):
        task = getattr(result, "task_name", None) or result._task_fields["name"]
        value = json.loads(self._dump_results(getattr(result, "result", None) or result._result))
        with open(os.environ["LINES"], "a") as lines:
            lines.write(json.dumps([task, {**value, "failed": failed}]) + "\\n")

    def v2_runner_on_ok(self, result):
        self.note(result, False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.note(result, True)
'''


class Play:
    """`with Play(tasks) as play: results = play.results()`. All that it writes is in `folder`, until it is left."""

    def __init__(
        self,
        tasks: t.Sequence[t.Mapping[str, t.Any]],
        *arguments: str,
        env: t.Mapping[str, str] | None = None,
        hosts: t.Sequence[str] = ("localhost",),
    ) -> None:
        self._tasks, self._arguments, self._env, self._hosts = list(tasks), arguments, env or {}, hosts

    def __enter__(self) -> Play:
        self.folder = Path(tempfile.mkdtemp(prefix="play-"))
        (self.folder / "callback").mkdir()
        (self.folder / "callback" / "lines.py").write_text(CALLBACK, encoding="utf-8")
        (self.folder / "tmp").mkdir()
        book = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": self._tasks}]
        (self.folder / "play.json").write_text(json.dumps(book), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.folder / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "lines",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "LINES": str(self.folder / "lines"),
            "TMPDIR": str(self.folder / "tmp"),
            **self._env,
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), *self._arguments]
        command += ["-i", ",".join([*self._hosts, ""]), "-f", str(len(self._hosts))]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", str(self.folder / "play.json")]
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
        return self

    def __exit__(self, *dummy: object) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)

    def stop(self, number: int) -> None:
        """Send a signal to the play and all that it started, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait(60)

    def results(self, timeout: float = 120) -> dict[str, dict[str, t.Any]]:
        """Wait for the end; return what each task returned that came to its end, by the task's name."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        lines = self.folder / "lines"
        return dict(map(json.loads, lines.read_text(encoding="utf-8").splitlines() if lines.exists() else []))

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")


class Module:
    """A module as a process, without Ansible around it: `with Module("oci_copy", {...}) as module: module.result()`."""

    def __init__(self, name: str, options: t.Mapping[str, t.Any]) -> None:
        self._name, self._options = name, options

    def __enter__(self) -> Module:
        self.folder = Path(tempfile.mkdtemp(prefix="module-"))
        (self.folder / "tmp").mkdir()
        arguments = self.folder / "arguments.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": dict(self._options)}), encoding="utf-8")
        module = f"ansible_collections.quayside.registry.plugins.modules.{self._name}"
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(arguments)],
                env={**os.environ, "TMPDIR": str(self.folder / "tmp")},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *dummy: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        shutil.rmtree(self.folder)

    def result(self, timeout: float = 60) -> dict[str, t.Any]:
        """Wait for the end and return the result; empty where it printed none."""
        self.process.wait(timeout)
        output = (self.folder / "output").read_text(encoding="utf-8")
        last = output.strip().splitlines()[-1:]
        return dict(json.loads(last[0])) if last and last[0].startswith("{") else {}

    def left(self) -> list[str]:
        """The files that are in its temporary folder."""
        return sorted(str(path) for path in (self.folder / "tmp").rglob("*"))


def command_lines() -> t.Iterator[bytes]:
    """The arguments of every process there is now, each ended by a zero."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it may have ended
            yield Path(f"/proc/{process}/cmdline").read_bytes()


def skopeo_copy(src: str, dest: str, timeout: float) -> int | None:
    """Copy with skopeo; return its exit status, or None where it took too long."""
    options = ["--all", "--quiet", "--retry-times", "3", "--src-tls-verify=false", "--dest-tls-verify=false"]
    command = ["skopeo", "copy", *options, f"docker://{src}", f"docker://{dest}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode
    except subprocess.TimeoutExpired:
        return None
