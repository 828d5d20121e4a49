# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb wants to do: it reads and plans; the runner shows the plan or applies it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from itertools import groupby

Map = t.Callable[[t.Callable[["Step"], "Cost"], t.Sequence["Step"]], list["Cost"]]


@dataclass(frozen=True)
class Cost:
    """What a step moves: payload bytes in each direction, and blobs by what becomes of them."""

    bytes_sent: int = 0
    bytes_received: int = 0
    blobs_pushed: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(sum, zip(vars(self).values(), vars(other).values())))


class Step(t.NamedTuple):
    """One write still to do: a sentence for people, and what does it; that returns what it moved, if not ``cost``.

    Steps next to each other with the same ``stage`` (not empty) do not depend on one another and may run at once.
    """

    text: str
    run: t.Callable[[], Cost | None]
    cost: Cost = Cost()
    stage: str = ""


class Plan(t.NamedTuple):
    """What is, what should be (in the same shape), and the steps from one to the other, tags last.

    ``result`` holds the module's own results; ``notes`` say what was left alone on purpose.
    """

    result: dict[str, t.Any]
    before: t.Any
    after: t.Any
    steps: tuple[Step, ...] = ()
    spared: Cost = Cost()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    @property
    def actions(self) -> list[str]:
        return [*(step.text for step in self.steps), *self.notes]

    def cost(self) -> Cost:
        """What applying would move."""
        return sum((step.cost for step in self.steps), self.spared)

    def apply(self, map_steps: Map) -> Cost:
        """Do the steps in order, those of a stage through ``map_steps``; return what they moved."""
        total = self.spared
        for stage, steps in groupby(self.steps, key=lambda step: step.stage):
            todo = list(steps)
            total = sum(map_steps(_run, todo) if stage else map(_run, todo), total)
        return total


def _run(step: Step) -> Cost:
    return step.run() or step.cost
