# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stopped while a download stalls ends at once, and leaves nothing behind."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.faults.plays import Module, Play
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

REPO = "team/app"
LAYERS = [tar_of({name: random.Random(name).randbytes(3_000_000)}) for name in ("a", "b", "c")]
STALLED = digest_of(gzipped(LAYERS[1]))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """Its image has a layer of which no more than the first megabyte comes."""
    with FakeRegistry() as found:
        found.add_image(REPO, "1", LAYERS)
        yield found


def options(kind: str, registry: FakeRegistry, folder: Path) -> dict[str, Any]:
    name = f"{registry.host}/{REPO}"
    if kind == "flatten":
        return {"name": f"{name}:1", "dest": f"{name}:flat"}
    if kind == "validate":
        return {"name": f"{name}:1"}
    if kind == "blob":
        return {"name": f"{name}@{STALLED}", "path": str(folder / "blob")}
    if kind == "export":
        return {"name": f"{name}:1", "path": str(folder / "root.tar")}
    return {"name": f"{name}:1", "path": str(folder / "image"), "format": kind.removeprefix("pull ")}


def files(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, but for blobs of a layout that are whole: the next run takes them as they are."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        name: data
        for name, data in found.items()
        if not (Path(name).parent.match("blobs/sha256") and Path(name).name == digest_of(data)[7:])
    }


KINDS = ("pull oci-layout", "pull oci-archive", "pull docker-archive", "blob", "export", "flatten", "validate")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left(kind: str, jobs: int, number: signal.Signals, registry: FakeRegistry, tmp_path: Path) -> None:
    fault = registry.fault("GET", STALLED, action="stall", at=1_000_000, seconds=600, times=9)
    state = registry.state()
    with Module(f"oci_{kind.split()[0]}", {**options(kind, registry, tmp_path), "jobs": jobs}) as module:
        deadline = time.monotonic() + 30
        while not fault.hits and module.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert fault.hits, module.result(1)
        time.sleep(0.3)  # the first megabyte is here by now, and the other layers are whole
        module.process.send_signal(number)
        began = time.monotonic()
        assert module.process.wait(30) != 0
        assert time.monotonic() - began < 3
        assert module.left() == []
    assert files(tmp_path) == {}
    assert registry.state() == state


@pytest.mark.parametrize("kind", ["pull oci-layout", "pull oci-archive", "export"])
def test_what_was_there_stays_and_the_next_run_completes_it(kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add_image(REPO, "0", LAYERS[:1])
    arguments = options(kind, registry, tmp_path)
    with Module(f"oci_{kind.split()[0]}", {**arguments, "name": f"{registry.host}/{REPO}:0"}) as module:
        assert module.result()["changed"]
    before = files(tmp_path)
    fault = registry.fault("GET", STALLED, action="stall", at=1_000_000, seconds=600)
    with Module(f"oci_{kind.split()[0]}", arguments) as module:
        while not fault.hits and module.process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.3)
        module.process.send_signal(signal.SIGTERM)
        assert module.process.wait(30) != 0
        assert module.left() == []
    assert files(tmp_path) == before
    with Module(f"oci_{kind.split()[0]}", arguments) as module:
        assert module.result()["changed"]
    assert files(tmp_path) != before


def pulls(registry: FakeRegistry, folder: Path, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks of which the first never comes to an end."""
    options = {"name": f"{registry.host}/{REPO}:1", "path": str(folder / "image"), "format": "oci-layout"}
    return [{"name": "pull", "quayside.registry.oci_pull": options}, *more]


def test_nothing_is_left_of_many_inside_the_controller(registry: FakeRegistry, tmp_path: Path) -> None:
    """Ansible passes a signal on to its workers, and a second one at once; it does not read what they say any more."""
    fault = registry.fault("GET", STALLED, action="stall", at=1_000_000, seconds=600, times=99)
    hosts = [f"h{at}" for at in range(6)]
    with Play(pulls(registry, tmp_path / "{{ inventory_hostname }}"), hosts=hosts) as play:
        for host in hosts:
            (tmp_path / host).mkdir()
        deadline = time.monotonic() + 60
        while fault.hits < len(hosts) and play.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert fault.hits >= len(hosts), play.output
        time.sleep(0.3)
        play.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert play.process.wait(30) != 0
        assert time.monotonic() - began < 5
        assert "Traceback" not in play.output
    assert files(tmp_path) == {}


def test_nothing_is_left_of_a_task_that_took_too_long(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.fault("GET", STALLED, action="stall", at=1_000_000, seconds=600, times=99)
    (pull,) = pulls(registry, tmp_path)
    after = {"name": "after", "ansible.builtin.command": "true"}
    with Play([{**pull, "timeout": 2, "ignore_errors": True}, after]) as play:
        results = play.results(30)
        assert results["pull"]["failed"] and not results["after"]["failed"], play.output
    assert files(tmp_path) == {}
