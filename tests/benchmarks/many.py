# SPDX-License-Identifier: GPL-3.0-or-later
"""Many images that are up to date: 100 in one task and in as many tasks; all tags of a repository, 1,000 and 10,000."""

from __future__ import annotations

from kit.lab import Registry
from kit.play import ours, play
from kit.table import CONTROLLER, MODULE, Row, show

IMAGES = 100
TAGS = (1000, 10_000)


def measure() -> list[Row]:
    """Copy what is there; tell time and requests."""
    with Registry() as here, Registry() as there:
        return [*together(here, there), *tags(here, there)]


def together(here: Registry, there: Registry) -> list[Row]:
    """The same images in one task, and in a task each."""
    for number in range(IMAGES):
        here.push(f"app{number}", "1.0", [1000], seed=number)
    names = [f"app{number}:1.0" for number in range(IMAGES)]
    images = [{"src": f"{here.host}/{name}", "dest": f"{there.host}/{name}"} for name in names]
    play([ours("first", "oci_copy", {"images": images})])
    found: dict[str, dict[str, list[float]]] = {"one task": {}, "a task each": {}}
    for column, inside in ((MODULE, False), (CONTROLLER, True)):
        tasks = [ours("one task", "oci_copy", {"images": images}, inside)]
        tasks += [ours("a task each", "oci_copy", image, inside) for image in images]
        report = play(tasks)
        for way, figures in found.items():
            figures[column] = [sum(report.seconds(way, changed=False))]
    rows = [Row(f"{IMAGES} current images, {way}", figures) for way, figures in found.items()]
    times = {column: (rows[1].best(column) or 0) / (rows[0].best(column) or 1) for column in (MODULE, CONTROLLER)}
    told = ", ".join(f"{value:.0f} times in the column {column}" for column, value in times.items())
    aim = f"one task 40 times as fast as {IMAGES} tasks that are modules"
    return [Row(rows[0].task, rows[0].figures, aim="40 times", notes=(f"{aim}: {told}",)), rows[1]]


def tags(here: Registry, there: Registry) -> list[Row]:
    """All tags of a repository that the other has already."""
    rows = []
    for count in TAGS:
        for registry in (here, there):
            registry.push_tags(f"tags{count}", count)
        options = {"src": f"{here.host}/tags{count}", "dest": f"{there.host}/tags{count}", "all_tags": True}
        seconds: dict[str, list[float]] = {}
        requests: dict[str, list[float]] = {}
        for column, inside in ((MODULE, False), (CONTROLLER, True)):
            report = play([ours(column, "oci_copy", options, inside)])
            seconds[column] = report.seconds(column, changed=False)
            requests[column] = [float(report.results[-1]["transfer"]["requests"])]
        aim = "a HEAD a tag on each side"
        rows += [
            Row(f"{count} current tags", seconds, aim="linear"),
            Row(f"{count} current tags, requests", requests, aim=aim, unit="requests"),
        ]
    return rows


if __name__ == "__main__":
    show(measure())
