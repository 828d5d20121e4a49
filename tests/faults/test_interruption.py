# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies at once to one place, and copies that are stopped in the middle, against real registries."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.quayside.registry.tests.benchmarks.kit.lab import Registry
from ansible_collections.quayside.registry.tests.faults.judge import (
    ABSENT,
    Image,
    listed,
    look,
    push_index,
    push_referrer,
)
from ansible_collections.quayside.registry.tests.faults.plays import Module, Play, command_lines
from ansible_collections.quayside.registry.tests.faults.proxy import Proxy


class Lab(NamedTuple):
    proxy: Proxy
    here: Registry
    there: Registry
    dest: str  # the proxy in front of the destination
    image: Image


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Registry() as here, Registry() as there, Proxy() as proxy:
        yield Lab(proxy, here, there, proxy.listen(there.host), push_index(here.host, "app", "1", (8, 40_000), 1))


@pytest.fixture(autouse=True)
def no_faults(lab: Lab) -> None:
    lab.proxy.set(0)


def copies(lab: Lab, *pairs: tuple[str, str], **options: Any) -> list[dict[str, Any]]:
    """Copy each pair by a module of its own, all at once; return their results."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                Module("oci_copy", {"src": f"{lab.here.host}/{src}", "dest": f"{lab.dest}/{dest}", **options})
            )
            for src, dest in pairs
        ]
        return [module.result() for module in running]


def test_two_copies_of_one_image_to_one_place(lab: Lab) -> None:
    lab.proxy.set(0.5, kinds=["late"], wait=0.02)
    for number in range(3):
        results = copies(lab, *[("app:1", f"twice/n{number}:1")] * 2)
        assert [result.get("changed") for result in results] == [True, True], results
        assert {result["digest"] for result in results} == {lab.image.digest}
        assert look(lab.there.host, f"twice/n{number}", "1") == lab.image.digest


def test_two_plays_at_once(lab: Lab) -> None:
    lab.proxy.set(0.5, kinds=["late"], wait=0.02)
    options = {"src": f"{lab.here.host}/app:1", "dest": f"{lab.dest}/plays:1"}
    task = {"name": "copy", "quayside.registry.oci_copy": options}
    with Play([task]) as one, Play([task]) as other:
        results = [play.results()["copy"] for play in (one, other)]
    assert [result["failed"] for result in results] == [False, False]
    assert look(lab.there.host, "plays", "1") == lab.image.digest


@pytest.mark.parametrize("turn", range(3))
def test_two_lists_of_referrers_at_once(lab: Lab, turn: int) -> None:
    """Both read the list of a digest before either writes it, and both referrers are in it at the end."""
    digest, there = "", f"refer/n{turn}"
    wanted = set()
    for source in ("one", "two"):
        digest = push_index(lab.here.host, f"{source}/n{turn}", "1", (1, 1000), seed=5).digest
        wanted.add(push_referrer(lab.here.host, f"{source}/n{turn}", digest, source.encode()))
    copies(lab, (f"one/n{turn}:1", f"{there}:before"))
    lab.proxy.set(0.5, seed=turn, kinds=["late"], only="(GET|PUT) .*/manifests/sha256-", wait=0.3)
    pairs = [(f"{source}/n{turn}:1", f"{there}:{source}") for source in ("one", "two")]
    results = copies(lab, *pairs, referrers=True)
    assert all(result.get("changed") for result in results), results
    assert listed(lab.there.host, there, digest) == wanted


MOMENTS = (1, 9, 40, 75)  # requests that the destination has seen; a whole copy makes about 80


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_copy_that_is_stopped(lab: Lab, number: signal.Signals, moment: int) -> None:
    """The tag stays where it was, or has all of the image; nothing is left here; the next run completes the copy."""
    name = f"stopped/{number.name.lower()}-{moment}"
    before = push_index(lab.there.host, name, "1", (1, 1000), seed=3).digest if moment % 2 else ABSENT
    options = {"src": f"{lab.here.host}/app:1", "dest": f"{lab.dest}/{name}:1"}
    lab.proxy.set(1, kinds=["late"], wait=0.03)
    with Module("oci_copy", options) as module:
        while lab.proxy.tally().get("all", 0) < moment and module.process.poll() is None:
            time.sleep(0.005)
        module.process.send_signal(number)
        began = time.monotonic()
        code = module.process.wait(20)
        assert time.monotonic() - began < 5
        assert module.left() == []
    assert code != 0 or look(lab.there.host, name, "1") == lab.image.digest
    assert look(lab.there.host, name, "1") in (before, lab.image.digest)
    if moment < 75:
        assert look(lab.there.host, name, "1") == before
    lab.proxy.set(0)
    with Module("oci_copy", options) as again:
        result = again.result()
    assert result.get("digest") == lab.image.digest, result
    assert look(lab.there.host, name, "1") == lab.image.digest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_play_that_is_stopped(lab: Lab, number: signal.Signals) -> None:
    """As somebody does it who presses Ctrl-C, or a runner that has had enough: all processes of the play get it."""
    name = f"play/{number.name.lower()}"
    lab.proxy.set(1, kinds=["late"], wait=0.1)
    options = {"src": f"{lab.here.host}/app:1", "dest": f"{lab.dest}/{name}:1"}
    with Play([{"name": "copy", "quayside.registry.oci_copy": options}]) as play:
        deadline = time.monotonic() + 30
        while lab.proxy.tally().get("all", 0) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
        play.stop(number)
        deadline = time.monotonic() + 5
        while modules_of(play.folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert modules_of(play.folder) == []
        assert [path for path in (play.folder / "tmp").rglob("*") if path.is_file()] == []
    assert look(lab.there.host, name, "1") == ABSENT


def modules_of(folder: Path) -> list[str]:
    """Processes that run something in this folder."""
    lines = (line.decode(errors="replace") for line in command_lines())
    return [line for line in lines if str(folder / "remote") in line]
