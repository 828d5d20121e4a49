# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the EXAMPLES of the plugins, as they stand, against registries of their own.

examples_world.yml says in which world they run. Each plugin's examples are a play that begins in that world. Each task
runs twice: the first time it changes something, if it is there for that, and the second time nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml

TOOLS = Path(__file__).parent
TARGETS = TOOLS.parent / "integration" / "targets"
REGISTRIES = TARGETS / "setup_registry" / "files" / "registries.py"
TOKENS = TARGETS / "oci_token_info" / "files" / "bearer_registry.py"

# Which registry of the test stands for which one; the names are the kinds of registries.py, or "tokens".
STAND_INS = {
    "localhost:5000": "a",
    "localhost:5001": "htpasswd",
    "localhost:5002": "b",
    "staging.example": "b",
    "registry.example": "far",
    "docker.io": "far",
    "tokens.example": "tokens",
}
MOVED = re.compile(r"(?<![\w.~/])/(?:etc/(?:keys|policies|containers)|srv|tmp|var/(?:lib(?!/dpkg)|backups)|opt)\b")
VARIABLES = {"registry_password": "wonderland-7", "vault_release_passphrase": "of the release"}
# A digest that an example tells, and the variable that has the real one.
DIGESTS = {"sha256:98d6e2a1f7f5b4c6f4c43b7a5c0a2b1d8e9f00112233445566778899aabbccdd": "{{ build_77 }}"}

FOLDERS = (
    *("etc/containers", "etc/keys", "etc/policies", "home", "opt/bin", "srv/images", "srv/releases", "srv/site", "tmp"),
    *("var/backups", "var/lib/mirror", "var/lib/releases", "var/lib/retention"),
)
BEFORE = {"oci_key": "rm files/etc/keys/release.*"}  # what is done to the world for the examples of one plugin
VERB = re.compile(r"quayside\.registry\.oci_(?!\w+_info$|validate$|verify$|wait$)")  # modules that change something
# Examples that find their work done already, and why.
DONE = {
    "Prepare the login for podman, while the registry is not up yet": "the first login is in the same file",
    "Follow the base from now on, whatever its tag points at": "it points at the base that the image is on by then",
    "Send one of the images of a file": "the registry has it",
    "Bring just these again, later, whatever their tags point at by then": "no tag has moved",
}
AGAIN = " (again)"
BEGIN = "Begin in the world"
STATUS = re.compile(r"^(ok|changed|skipping|failed|fatal): \[", re.MULTILINE)


class Outcome(t.NamedTuple):
    """What came of a task: the words that Ansible has for it, one for each item of a loop, and all it printed."""

    statuses: set[str]
    text: str


def run_examples(examples: dict[str, str]) -> int:
    """Run tasks, as YAML by the name of their plugin; return how many ran. What is wrong ends it, all told at once."""
    with world() as (folder, addresses):
        plays: list[dict[str, t.Any]] = []
        for plugin, text in examples.items():
            own = {**addresses, "localhost:5001": addresses["tokens.example"]} if "token" in plugin else addresses
            is_new = not plays or not any(is_verb(task) for task in leaves(plays[-1]["tasks"]))
            plays.append(play_of(plugin, yaml.safe_load(move(text, own, folder)), folder, is_new))
        playbook = folder / "examples.yml"
        playbook.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
        outcomes = outcomes_of(ansible(playbook, folder).stdout)
    tasks = [(play["name"], task) for play in plays for task in leaves(play["tasks"])]
    complaints = [text for plugin, task in tasks for text in judge(plugin, task, outcomes)]
    complaints += [
        f"{name!r} is in DONE, and no example." for name in set(DONE) - {task["name"] for dummy, task in tasks}
    ]
    if complaints:
        raise SystemExit("\n".join(complaints))
    return len(tasks)


@contextlib.contextmanager
def world() -> t.Iterator[tuple[Path, dict[str, str]]]:
    """Start the registries, make the world, and keep a copy; yield the folder of all this, and the addresses."""
    command = [sys.executable, str(REGISTRIES)]
    kinds = sorted(set(STAND_INS.values()) - {"tokens"})
    started = json.loads(subprocess.run([*command, "start", *kinds], check=True, stdout=subprocess.PIPE).stdout)
    folder = Path(started["folder"])
    try:
        logins = (folder / "htpasswd").read_text(encoding="utf-8")
        (folder / "htpasswd").write_text(logins + logins.replace("alice", "ci"), encoding="utf-8")
        with tokens(folder / "tokens") as address:
            hosts = {**started["address"], "tokens": address}
            addresses = {name: hosts[kind] for name, kind in STAND_INS.items()}
            make(folder, addresses)
            yield folder, addresses
    finally:
        subprocess.run([*command, "stop", str(folder)], check=True)


@contextlib.contextmanager
def tokens(file: Path) -> t.Iterator[str]:
    """Run a registry with bearer tokens, as long as there is this file; yield its address."""
    arguments = [str(TOOLS.parent / "unit"), str(file), "alice", VARIABLES["registry_password"]]
    with subprocess.Popen([sys.executable, str(TOKENS), *arguments]) as server:
        try:
            while not (file.exists() and file.read_text(encoding="ascii")):
                if server.poll() is not None:
                    raise SystemExit("The registry with tokens does not start.")
                time.sleep(0.02)
            yield file.read_text(encoding="ascii")
        finally:
            file.unlink(missing_ok=True)


def make(folder: Path, addresses: dict[str, str]) -> None:
    """Make the world, and keep a copy of the registries and files in the folder `start`."""
    for name in FOLDERS:
        (folder / "files" / name).mkdir(parents=True)
    playbook = folder / "world.yml"
    text = (TOOLS / "examples_world.yml").read_text(encoding="utf-8")
    playbook.write_text(move(text, addresses, folder), encoding="utf-8")
    done = ansible(playbook, folder)
    if done.returncode:
        raise SystemExit("The world of the examples cannot be made.")
    for path in [*folder.glob("data-*"), folder / "files"]:
        shutil.copytree(path, folder / "start" / path.name, symlinks=True)


def move(text: str, addresses: dict[str, str], folder: Path) -> str:
    """Put the test's registries, folder and digests in the place of those of an example."""
    for name, address in addresses.items():
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?=/|\s|$|\\n)", address, text)
    for digest, variable in DIGESTS.items():
        text = text.replace(digest, f'"{variable}"')
    return MOVED.sub(lambda found: f"{folder}/files{found[0]}", text)


def play_of(plugin: str, tasks: list[dict[str, t.Any]], folder: Path, is_new: bool) -> dict[str, t.Any]:
    """A play that does each task twice, in the world as it began. Where one fails, the next play goes on."""
    begin = [f"cd {folder}", *(() if is_new else ("rm -rf data-* files/*", "cp -a start/. ."))]
    begin += [BEFORE[plugin]] if plugin in BEFORE else []
    first = {"name": BEGIN, "ansible.builtin.shell": " && ".join(begin)}
    block = {"block": twice(tasks), "rescue": [{"ansible.builtin.meta": "clear_host_errors"}]}
    firsts = [first] if len(begin) > 1 else []
    return {"name": plugin, "hosts": "localhost", "gather_facts": False, "tasks": [*firsts, block]}


def twice(tasks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Each task followed by itself, in blocks too."""
    found = []
    for task in tasks:
        if "block" in task:
            found.append({**task, "block": twice(task["block"])})
        else:
            found += [task, {**task, "name": task["name"] + AGAIN}]
    return found


def leaves(tasks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The tasks, without their repetitions, and those in blocks."""
    found = [task for entry in tasks for task in (leaves(entry["block"]) if "block" in entry else [entry])]
    return [task for task in found if task["name"] != BEGIN and not task["name"].endswith(AGAIN)]


def is_verb(task: dict[str, t.Any]) -> bool:
    """Is it there to change something?"""
    return any(VERB.match(key) for key in task)


def ansible(playbook: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a playbook on two hosts, both of which are this machine, and show what it prints."""
    hosts = "localhost\n[web]\nweb1\n[all:vars]\nansible_connection=local\n"
    python = "ansible_python_interpreter={{ ansible_playbook_python }}\n"
    inventory = folder / "inventory"
    inventory.write_text(hosts + python, encoding="utf-8")
    variables = [json.dumps(VARIABLES)]
    if (folder / "files/opt/variables.json").exists():
        variables.append(f"@{folder}/files/opt/variables.json")
    options = [option for text in variables for option in ("-e", text)]
    command = ["ansible-playbook", "-i", str(inventory), str(playbook), *options]
    elsewhere = ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG")
    env = {name: value for name, value in os.environ.items() if name not in elsewhere}
    env.update({"HOME": f"{folder}/files/home", "PATH": f"{folder}/files/opt/bin:{env['PATH']}"})
    env.update({"ANSIBLE_HOME": f"{folder}/ansible", "ANSIBLE_REMOTE_TEMP": f"{folder}/ansible/tmp"})
    env.update({"ANSIBLE_NOCOLOR": "true", "ANSIBLE_PIPELINING": "true"})
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=env)
    print(done.stdout)
    return done


def outcomes_of(output: str) -> dict[tuple[str, str], Outcome]:
    """What Ansible printed of each task, by the names of play and task."""
    found = {}
    for play in re.split(r"^PLAY \[", output, flags=re.MULTILINE)[1:]:
        for text in re.split(r"^TASK \[", play, flags=re.MULTILINE)[1:]:
            name = text.partition("\n")[0].rstrip("*").rstrip().removesuffix("]")
            found[play.partition("]")[0], name] = Outcome(set(STATUS.findall(text)), text)
    return found


def judge(plugin: str, task: dict[str, t.Any], outcomes: dict[tuple[str, str], Outcome]) -> list[str]:
    """Say what is wrong with how a task went, both times."""
    name = task["name"]
    first, second = (outcomes.get((plugin, text), Outcome(set(), "")) for text in (name, name + AGAIN))
    for outcome in (first, second):
        if not outcome.statuses or outcome.statuses - {"ok", "changed"}:
            return [f"{plugin}, {name!r} does not succeed. {outcome.text}"]
    if task.get("check_mode"):
        return []
    complaints = []
    if is_verb(task) and ("changed" in first.statuses) == (name in DONE):
        complaints.append(
            f"{plugin}, {name!r} changes " + ("something, and is in DONE." if name in DONE else "nothing.")
        )
    if "changed" in second.statuses:
        complaints.append(f"{plugin}, {name!r} changes something when it runs again. {second.text}")
    return complaints
