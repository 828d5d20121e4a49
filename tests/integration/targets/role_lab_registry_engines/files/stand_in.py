# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for podman, docker and systemctl, where none of them can start anything.

    python stand_in.py install FOLDER NAME...     puts programs of these names into FOLDER
    python stand_in.py run FOLDER NAME ARGUMENT...   is what they do

It keeps its state in FOLDER, and each call in FOLDER/calls, as JSON. A container or unit is a process of this machine,
the registry of the Debian package, with the user, the environment and the arguments that were asked for. A file
FOLDER/NAME.broken makes a container engine answer, and fail at starting.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

REGISTRY = "/usr/bin/docker-registry"


def install(folder: Path, names: list[str]) -> None:
    """Programs that call this one."""
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        command = " ".join(shlex.quote(word) for word in (sys.executable, str(Path(__file__).resolve()), "run"))
        path.write_text(f'#!/bin/sh\nexec {command} {shlex.quote(str(folder))} {name} "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def spawn(folder: Path, name: str, user: str, environment: dict[str, str], words: list[str]) -> int:
    """Start the registry as somebody, and return its process's number."""
    uid, dummy, gid = user.partition(":")
    argv = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", REGISTRY, *words]
    env = {"PATH": "/usr/bin:/bin", **environment}
    with open(folder / f"{name}.log", "ab") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return subprocess.Popen(argv, env=env, start_new_session=True, **streams).pid


def alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def end(pid: int) -> None:
    """End a process, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while alive(pid):
        time.sleep(0.05)


def variables(path: str) -> dict[str, str]:
    """An environment file, in systemd's or docker's form."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found = dict(line.partition("=")[::2] for line in lines if "=" in line)
    return {key: shlex.split(value)[0] if value.startswith('"') else value for key, value in found.items()}


def container(folder: Path, name: str, words: list[str]) -> int:
    """podman and docker."""
    path = folder / "containers.json"
    state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"images": [], "containers": {}}
    code = 0
    if words[0] == "info" and (folder / f"{name}.down").exists():
        print("Cannot connect to the daemon. Is it running?", file=sys.stderr)
        code = 1
    elif words[:2] == ["image", "inspect"]:
        code = 0 if words[2] in state["images"] else 125
    elif words[0] == "pull":
        state["images"].append(words[1])
    elif words[0] == "rmi":
        state["images"].remove(words[1])
    elif words[0] == "run":
        code = run(folder, name, words[1:], state)
    elif words[:2] == ["container", "inspect"]:
        found = state["containers"].get(words[-1])
        if found:
            print(str(alive(found["pid"])).lower(), found["pid"], found["label"])
        code = 0 if found else 125
    elif words[0] in ("stop", "rm"):
        found = state["containers"].get(words[-1])
        if found:
            end(found["pid"])
        if words[0] == "rm":
            state["containers"].pop(words[-1], None)
    elif words[0] == "logs":
        print((folder / f"{words[-1]}.log").read_text(encoding="utf-8"))
    path.write_text(json.dumps(state), encoding="utf-8")
    return code


def run(folder: Path, name: str, words: list[str], state: dict) -> int:
    """`run` of podman and docker."""
    options = dict(word.lstrip("-").partition("=")[::2] for word in words if word.startswith("--"))
    image = next(position for position, word in enumerate(words) if not word.startswith("--"))
    if (folder / f"{name}.broken").exists():
        print(
            "Error: crun: cannot set up the namespace: Operation not permitted: OCI permission denied", file=sys.stderr
        )
        return 126
    if "version" in options:
        print("/bin/registry github.com/distribution/distribution/v3 v3.1.1")
        return 0
    if "detach" in options:
        label = options["label"].partition("=")[2]
        environment = variables(options["env-file"])
        pid = spawn(folder, options["name"], options["user"], environment, words[image + 1 :])
        state["containers"][options["name"]] = {"pid": pid, "label": label, "image": words[image]}
        return 0
    return subprocess.run([REGISTRY, *words[image + 1 :]], check=False).returncode


def systemctl(folder: Path, words: list[str]) -> int:
    """systemctl, for units in /etc/systemd/system."""
    path = folder / "units.json"
    state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = [word for word in words[1:] if not word.startswith("--")]
    if words[0] == "show":
        pid = state.get(names[0], 0)
        print(f"MainPID={pid if alive(pid) else 0}\nActiveState={'active' if alive(pid) else 'inactive'}")
    for name in names if words[0] in ("restart", "stop", "disable") else []:
        if state.get(name) and (words[0] != "disable" or "--now" in words):
            end(state.pop(name))
        if words[0] == "restart":
            unit = Path(f"/etc/systemd/system/{name}").read_text(encoding="utf-8")
            found = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
            environment = variables(found["EnvironmentFile"])
            environment.update([found["Environment"].partition("=")[::2]])
            ids = [subprocess.check_output(["id", option, found["User"]], text=True).strip() for option in ("-u", "-g")]
            state[name] = spawn(folder, name, ":".join(ids), environment, found["ExecStart"].split()[1:])
    path.write_text(json.dumps(state), encoding="utf-8")
    return 0


def main() -> int:
    """Do as the command that was called would."""
    action, folder, *rest = sys.argv[1:]
    if action == "install":
        install(Path(folder), rest)
        return 0
    with open(Path(folder) / "calls", "a", encoding="utf-8") as calls:
        calls.write(json.dumps(rest) + "\n")
    if rest[0] == "systemctl":
        return systemctl(Path(folder), rest[1:])
    return container(Path(folder), rest[0], rest[1:])


if __name__ == "__main__":
    sys.exit(main())
