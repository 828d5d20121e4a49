# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks found, as one table: a row a task, a column a way to do it, and the figures of every run below."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import typing as t
from dataclasses import dataclass, field

MODULE, CONTROLLER, STAND_IN, CRANE = "module", "controller", "other", "crane"
COLUMNS = (MODULE, CONTROLLER, STAND_IN, CRANE)

Figures = t.Mapping[str, t.Sequence[float]]


@dataclass(frozen=True)
class Row:
    """One task: the figures of each run by column, of which the least counts; of memory and requests, the most.

    ``other`` says what was run in the column of that name, where crane may be missing. ``aim`` is in words.
    """

    task: str
    figures: Figures
    other: str = ""
    aim: str = ""
    unit: str = "s"
    notes: tuple[str, ...] = field(default_factory=tuple)

    def best(self, column: str) -> float | None:
        """The figure that counts; None where nothing was measured."""
        found = self.figures.get(column)
        return (min if self.unit == "s" else max)(found) if found else None

    def ratio(self, ours: str, theirs: str) -> str:
        """How many times as long as another one of our ways takes, as text."""
        mine, other = self.best(ours), self.best(theirs)
        return f"{mine / other:.2f}" if self.unit == "s" and mine is not None and other else ""


def show(rows: t.Sequence[Row]) -> None:
    """Print the table, what was compared, each run's figures, and the machine."""
    print("\n".join(["", *table(rows), "", *compared(rows), "", *runs(rows), "", *machine()]), flush=True)


def table(rows: t.Sequence[Row]) -> list[str]:
    """Return the lines of the table."""
    head = ["task", "", *COLUMNS, "module/other", "controller/other", "module/crane", "controller/crane", "aim"]
    lines = [head]
    for row in rows:
        figures = ["" if row.best(column) is None else _number(row, column) for column in COLUMNS]
        ratios = [row.ratio(ours, theirs) for theirs in (STAND_IN, CRANE) for ours in (MODULE, CONTROLLER)]
        lines.append([row.task, row.unit, *figures, *ratios, row.aim])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    return ["  ".join(_aligned(line, widths)).rstrip() for line in lines]


def _aligned(line: t.Sequence[str], widths: t.Sequence[int]) -> list[str]:
    """Words to the left, numbers to the right."""
    last = len(line) - 1
    pairs = enumerate(zip(line, widths))
    return [text.ljust(width) if at in (0, 1, last) else text.rjust(width) for at, (text, width) in pairs]


def _number(row: Row, column: str) -> str:
    value = row.best(column) or 0.0
    return f"{value:.3f}" if row.unit == "s" and value < 1 else f"{value:.2f}" if row.unit == "s" else f"{value:.0f}"


def compared(rows: t.Sequence[Row]) -> list[str]:
    """Return what the columns are, what stood in the column ``other`` of each row, and what else there is to say."""
    lines = [
        f"{MODULE}: sent as a module; {CONTROLLER}: in Ansible's own process; seconds: a whole task, the best run.",
    ]
    for row in rows:
        said = [f"{STAND_IN} is {row.other}"] if row.other else []
        lines += [f"{row.task}: {text}." for text in (*said, *row.notes)]
    return lines


def runs(rows: t.Sequence[Row]) -> list[str]:
    """Return the figures of every run."""
    lines = ["Each run:"]
    for row in rows:
        for column, found in row.figures.items():
            figures = " ".join(f"{value:.3f}" if row.unit == "s" else f"{value:.0f}" for value in found)
            lines.append(f"{row.task}, {column}, {row.unit}: {figures}")
    return lines


def machine() -> list[str]:
    """Return what it was measured on, and with which versions."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    packages = [f"{name} {_package(name)}" for name in ("ansible-core", "requests", "isal", "zlib-ng", "zstandard")]
    programs = [f"{name} {_program(*command)}" for name, command in _PROGRAMS.items() if shutil.which(command[0])]
    return [
        f"machine: {cores} cores of {_processor()}, {memory:.0f} GB, {platform.system()} {platform.release()}",
        f"load at the end, of 1, 5 and 15 minutes: {load}",
        f"versions: Python {platform.python_version()}, {', '.join(packages + programs)}",
    ]


_PROGRAMS = {
    "skopeo": ("skopeo", "--version"),
    "umoci": ("umoci", "--version"),
    "docker-registry": ("docker-registry", "--version"),
    "crane": ("crane", "version"),
}


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _program(*command: str) -> str:
    """Return the first word of what a program says of itself that looks like a version."""
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((word for word in words if any(map(str.isdigit, word))), "unknown")


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, platform.machine())
