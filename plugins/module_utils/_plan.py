# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb wants to do: it reads and plans; the runner shows the plan or applies it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
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
        return Cost(*(mine + theirs for mine, theirs in zip(self.values(), other.values())))

    def values(self) -> tuple[int, ...]:
        """The figures in the order of the fields."""
        return tuple(vars(self).values())


@dataclass(frozen=True)
class Step:
    """One write still to do. ``text`` is a sentence for people; ``run`` does it.

    Steps next to each other with the same ``stage`` (not empty) do not depend on one another and may run at once.
    ``run`` returns what it really moved where that may differ from ``cost``, else None.
    """

    text: str
    run: t.Callable[[], Cost | None] = field(repr=False)
    cost: Cost = Cost()
    stage: str = ""


@dataclass(frozen=True)
class Plan:
    """What is, what should be (in the same shape), and the steps from one to the other, tags last.

    ``result`` holds the module's own results, ``notes`` say what was left alone on purpose.
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
        """True exactly when there is something to do."""
        return bool(self.steps)

    @property
    def actions(self) -> list[str]:
        """What is done, or would be, in sentences."""
        return [step.text for step in self.steps] + list(self.notes)

    def cost(self) -> Cost:
        """Return what applying would move."""
        return sum((step.cost for step in self.steps), self.spared)

    def apply(self, map_steps: Map) -> Cost:
        """Do the steps in order, those of one stage through ``map_steps``; return what they moved."""
        total = self.spared
        for stage, steps in groupby(self.steps, key=lambda step: step.stage):
            todo = list(steps)
            done = map_steps(_run, todo) if stage else [_run(step) for step in todo]
            total = sum(done, total)
        return total


def _run(step: Step) -> Cost:
    return step.run() or step.cost
