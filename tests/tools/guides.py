# SPDX-License-Identifier: GPL-3.0-or-later
"""Try what the documentation shows: `python guides.py` at the root of the collection, in an ansible_collections folder.

Ansible parses each block of YAML in the guides and in the plugins' EXAMPLES, and every option in them must be one that
the module has. The playbooks of "Getting started" are run as they stand: twice, the second time nothing changes, then
in check mode, and what removes it all; between, those of "Sign and verify" and of "Release, mirror, and tidy up".
Extra variables make the port, the registry's name and the file others. The EXAMPLES are run, too; see examples.py.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import typing as t
from pathlib import Path

import yaml
from examples import run_examples

ROOT = Path.cwd()
GUIDES = ROOT / "docs" / "docsite" / "rst"
NAMESPACE = "quayside.registry."
BLOCK = re.compile(r"^\.\. code-block:: yaml(?:\+jinja)?\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def main() -> None:
    """Check all, and print how many; a complaint ends it."""
    docs = docs_of("module")
    examples = {name.removeprefix(NAMESPACE): entry["examples"] for name, entry in docs.items()}
    for kind in ("lookup", "filter", "test"):
        found = docs_of(kind).items()
        examples.update({f"{kind} {name.removeprefix(NAMESPACE)}": entry["examples"] for name, entry in found})
    guides = sorted(GUIDES.glob("*.rst"))
    blocks = [(path.name, block) for path in guides for block in blocks_of(path)]
    blocks += [(f"{name}, EXAMPLES", text) for name, text in examples.items()]
    complaints: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        plays = [file for where, block in blocks if (file := parse(where, block, docs, Path(name), complaints))]
        if not plays or complaints:
            raise SystemExit("\n".join(complaints) or "The guides hold no playbook.")
        subprocess.run(("ansible-playbook", "--syntax-check", *map(str, plays)), check=True)
        ran = follow(blocks_of(GUIDES / "getting_started.rst"), Path(name))
    tried = run_examples(examples)
    result = f"{len(blocks)} blocks of YAML are right, the first playbook ran {ran} tasks twice, the EXAMPLES {tried}"
    print(f"result: {result}")


def docs_of(kind: str) -> dict[str, t.Any]:
    """What ansible-doc tells of all plugins of a kind, by their full names."""
    folder = ROOT / "plugins" / ("modules" if kind == "module" else kind)
    names = sorted(NAMESPACE + path.stem for path in folder.glob("*.py"))
    command = ("ansible-doc", "--type", kind, "--json", *names)
    found: dict[str, t.Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def blocks_of(path: Path) -> list[str]:
    """The blocks of YAML in a guide, as they would be saved in a file."""
    return [textwrap.dedent(block) for block in BLOCK.findall(path.read_text(encoding="utf-8"))]


def parse(where: str, block: str, docs: dict[str, t.Any], folder: Path, complaints: list[str]) -> Path | None:
    """Write a block as a playbook and return that; nothing if it is neither plays nor tasks."""
    found = yaml.safe_load(block)
    if not isinstance(found, list):
        return None
    is_playbook = any("hosts" in entry for entry in found)
    plays = found if is_playbook else [{"name": where, "hosts": "localhost", "gather_facts": False, "tasks": found}]
    for task in (task for play in plays for task in tasks_of(play)):
        for name in (name for name in task if name.startswith(NAMESPACE)):
            known = docs[name]["doc"]["options"] if name in docs else None
            names = {alias for option, entry in (known or {}).items() for alias in (option, *entry.get("aliases", ()))}
            if known is None or not set(task[name] or ()) <= names:
                complaints.append(f"{where}: {name} has no {sorted(set(task[name] or ()) - names)}")
    file = folder / f"{len(list(folder.iterdir()))}.yml"
    file.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
    return file


def tasks_of(entry: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The tasks of a play or block, those in blocks too."""
    lists = (
        entry.get(key) or [] for key in ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")
    )
    children = [child for tasks in lists for child in tasks]
    return [*children, *(task for child in children for task in tasks_of(child))]


def follow(blocks: list[str], folder: Path) -> int:
    """Do what "Getting started" says, and return how many tasks its playbook ran."""
    first, last = folder / "first.yml", folder / "last.yml"
    first.write_text(blocks[0], encoding="utf-8")
    last.write_text(blocks[1], encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"registry_port": port, "image_file": str(folder / "hello.tar"), "lab_registry_name": "guides"}
    try:
        tasks, changed = run(first, variables)
        if not changed:
            raise SystemExit("The first playbook changed nothing when it ran the first time.")
        for options in ([], ["--check", "--diff"]):
            if run(first, variables, *options)[1]:
                raise SystemExit(f"The first playbook changed something when it ran again, with {options}.")
        sign(folder, f"127.0.0.1:{port}/prod/hello:1.0")
        release(folder, port)
    finally:
        run(last, variables)
    left = [str(path) for path in Path("/").glob("etc/lab-registry-guides*")] + [str(p) for p in folder.glob("*.tar")]
    if left:
        raise SystemExit(f"What removes the first playbook's registry leaves {left}.")
    return tasks


def sign(folder: Path, image: str) -> None:
    """Do what "Sign and verify" says: make a key, sign, and deploy, twice; another image must be refused."""
    variables = {"signing_folder": str(folder), "signing_image": image, "vault_release_passphrase": "of the guide"}
    blocks = blocks_of(GUIDES / "signing.rst")[:3]
    for number, (block, changes) in enumerate(zip(blocks, (True, True, False))):
        playbook = folder / f"sign{number}.yml"
        playbook.write_text(block, encoding="utf-8")
        if bool(run(playbook, variables)[1]) != changes or run(playbook, variables)[1]:
            raise SystemExit(f"{playbook.name} does not change what it should, once.")
    other = {**variables, "signing_image": image.replace("prod/hello", "team/hello").replace(":1.0", ":built")}
    command = ("ansible-playbook", str(folder / "sign2.yml"), "-e", json.dumps(other))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not done.returncode or "is not verified: It has no signature." not in done.stdout:
        raise SystemExit(f"{other['signing_image']} was not refused:\n{done.stdout}")


def release(folder: Path, port: int) -> None:
    """Do what "Release, mirror, and tidy up" says, each play twice: the second time, nothing changes."""
    variables = {"signing_folder": str(folder), "registry_port": port, "vault_release_passphrase": "of the guide"}
    plays = {yaml.safe_load(block)[0]["name"]: block for block in blocks_of(GUIDES / "releases.rst")}
    newer = {"version": "1.1.0"}
    steps: list[tuple[str, dict[str, t.Any]]] = [
        ("Build and sign two versions", {}),
        ("Release", {}),
        ("Release", newer),
        ("Roll back", {}),
        ("Release by a role", {}),
        ("Roll back", {}),
        ("Release", newer),
        ("Mirror", {}),
        ("Tidy up", {}),
        ("Think better of it", {}),
        ("Look", {}),
    ]
    for number, (name, more) in enumerate(steps):
        playbook = folder / f"release{number}.yml"
        playbook.write_text(plays[name], encoding="utf-8")
        changed = [bool(run(playbook, {**variables, **more})[1]) for dummy in range(2)]
        if changed != [name != "Look", False]:
            raise SystemExit(f"The play {name!r} does not change what it should, once.")
    left = set(plays) - {step[0] for step in steps} - {"Share the work among the hosts of a group"}
    if left:
        raise SystemExit(f"Nobody runs the plays {left}.")


def run(playbook: Path, variables: dict[str, t.Any], *options: str) -> tuple[int, int]:
    """Run a playbook that must succeed, and return how many tasks it ran and how many changed something."""
    command = ("ansible-playbook", str(playbook), "-e", json.dumps(variables), *options)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    counts = re.search(r"ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0", done.stdout)
    if done.returncode or not counts:
        raise SystemExit(f"{playbook.name} failed.")
    return int(counts[1]), int(counts[2])


if __name__ == "__main__":
    sys.exit(main())
