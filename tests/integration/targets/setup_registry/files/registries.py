# SPDX-License-Identifier: GPL-3.0-or-later
"""Start registries for one run of tests, and stop them again.

    python registries.py start a b htpasswd tls nodelete
    python registries.py stop FOLDER

`start` makes a folder, starts a docker-registry process for each kind, waits until all answer, and prints as JSON the
folder and their addresses. With `REGISTRY3`, the path of a distribution 3, that is what `b` runs; Debian's, which the
others run, is 2.8. `stop` ends the processes and removes the folder. (The role lab_registry is slower, and has
tests of its own.)
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LOGIN = "alice:$2y$05$tMO5zu..nZYEX4SBAj/YR.YoaV3DGM3dQEDf6Ys5s2b78Xae2m2ii\n"
PATIENCE = 60  # seconds


def free_ports() -> list[int]:
    """Some ports below those that the kernel gives to outgoing connections, so that none takes one before us."""
    found = []
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket() as server, contextlib.suppress(OSError):
            server.bind(("127.0.0.1", port))
            found.append(port)
    return found


def settings(kind: str, folder: Path, port: int) -> dict[str, Any]:
    """The configuration of a registry; JSON is YAML too."""
    found: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "test"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / f"data-{kind}")},
            "delete": {"enabled": kind != "nodelete"},
        },
    }
    if kind == "htpasswd":
        found["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if kind == "tls":
        found["http"]["tls"] = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}
    return found


def launch(kind: str, folder: Path, port: int) -> int:
    """Start a registry, and return its process's number."""
    config = folder / f"{kind}.yml"
    config.write_text(json.dumps(settings(kind, folder, port)), encoding="utf-8")
    with open(folder / f"{kind}.log", "wb") as log:
        program = (kind == "b" and os.environ.get("REGISTRY3")) or "docker-registry"
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        command = [program, "serve", str(config)]
        return subprocess.Popen(command, start_new_session=True, env=environment, **streams).pid


def wait(kind: str, folder: Path, port: int) -> None:
    """Wait until something listens at the port."""
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            log = (folder / f"{kind}.log").read_text(encoding="utf-8", errors="replace")
            sys.exit(f"The registry {kind} does not answer: {log[-2000:]}")
        time.sleep(0.02)


def start(folder: Path, kinds: list[str]) -> None:
    """Start one registry of each kind, and print where they are."""
    if "tls" in kinds:
        subprocess.run(["sh", str(HERE / "certificates.sh"), str(folder)], check=True, capture_output=True)
    (folder / "htpasswd").write_text(LOGIN, encoding="utf-8")
    ports = dict(zip(kinds, free_ports()))
    processes = [launch(kind, folder, port) for kind, port in ports.items()]
    (folder / "processes").write_text(json.dumps(processes), encoding="utf-8")
    for kind, port in ports.items():
        wait(kind, folder, port)
    address = {kind: f"127.0.0.1:{port}" for kind, port in ports.items()}
    print(json.dumps({"folder": str(folder), "address": address}))


def stop(folder: Path) -> None:
    """End what was started there, and remove all of it."""
    if (folder / "processes").exists():
        for process in json.loads((folder / "processes").read_text(encoding="utf-8")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1] == "stop":
        stop(Path(sys.argv[2]))
    else:
        made = Path(tempfile.mkdtemp(prefix="quayside-test-"))
        try:
            start(made, sys.argv[2:])
        except BaseException:
            stop(made)
            raise
