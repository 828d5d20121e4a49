# SPDX-License-Identifier: GPL-3.0-or-later
"""Use the role's program as if systemd were the service manager: `python under_systemd.py FOLDER PORT`.

A stand-in for systemctl starts what the unit says. The last line of the output is `all is well`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).resolve().parents[1]
ROLE = TARGET.parents[3] / "roles" / "lab_registry"
sys.path.insert(0, str(ROLE / "files"))

from lab_registry import instance, main, services  # the program's own path comes first


def defaults() -> dict[str, Any]:
    """The role's defaults, without their prefix."""
    found = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    return {name.replace("lab_registry_", ""): value for name, value in found.items()}


def use(port: int, check: bool = False, **given: Any) -> dict[str, Any]:
    """What the program answers."""
    settings = {**defaults(), "name": f"unit-{port}", "port": port, "metrics_port": port + 1, **given}
    settings["data"] = f"/var/lib/lab-registry-unit-{port}"
    request = {"step": "apply", "check": check, "settings": settings, "names": [], "known": [], "installed": False}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main.main(request)
    return json.loads(output.getvalue())


def check(what: Any, answer: Any) -> None:
    """Fail with the answer where it is not as it should be."""
    if not what:
        sys.exit(f"not as it should be: {json.dumps(answer, indent=2)}")


def work(port: int) -> None:
    """Set up, look, change, crash, upgrade, remove."""
    unit = Path(f"/etc/systemd/system/lab-registry-unit-{port}.service")
    started = f"The registry unit-{port} was started."
    restarted = started.replace("started", "restarted")

    answer = use(port, check=True)
    check(not unit.exists() and started.replace("was", "would be") in answer["actions"], answer)
    answer = use(port)
    check("failed" not in answer and started in answer["actions"] and unit.exists(), answer)
    answer = use(port)
    check(answer["actions"] == [] and answer["up"], answer)
    answer = use(port, environment={"A": 'with "quotes" and \\'})
    check(restarted in answer["actions"], answer)
    answer = use(port, environment={"A": 'with "quotes" and \\'})
    check(answer["actions"] == [], answer)
    answer = use(port, state="stopped")
    check(answer["actions"] == [f"The registry unit-{port} was stopped."], answer)
    answer = use(port, environment={"A": 'with "quotes" and \\'})
    check(answer["actions"] == [started], answer)
    answer = use(port, config={"http": {"tls": {"certificate": "/nonexistent", "key": "/nonexistent"}}})
    check("it runs on with its previous configuration" in answer["msg"], answer)
    answer = use(port, state="absent", purge=True)
    check(answer["changed"] and not unit.exists() and not os.path.exists(f"/etc/lab-registry-unit-{port}"), answer)
    answer = use(port, state="absent", purge=True)
    check(answer["actions"] == [], answer)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    command = [sys.executable, str(TARGET / "files/stand_in.py"), "install", str(folder), "systemctl", "journalctl"]
    subprocess.run(command, check=True)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    services.booted_systemd = lambda: True
    instance.PATIENCE = 60
    try:
        work(int(sys.argv[2]))
    finally:
        use(int(sys.argv[2]), state="absent", purge=True)
    print("all is well")
