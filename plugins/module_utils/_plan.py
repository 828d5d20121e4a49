# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb wants to do: it reads and plans; a runner shows the plan or applies it.

A plan is frozen when it is made. Steps do what they were planned for and return what they did; none of them plans.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from itertools import groupby

from ._errors import OCIError


@dataclass(frozen=True)
class Cost:
    """What a step moves: payload bytes in each direction, and blobs by what becomes of them."""

    bytes_sent: int = 0
    bytes_received: int = 0
    blobs_pushed: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            bytes_sent=self.bytes_sent + other.bytes_sent,
            bytes_received=self.bytes_received + other.bytes_received,
            blobs_pushed=self.blobs_pushed + other.blobs_pushed,
            blobs_mounted=self.blobs_mounted + other.blobs_mounted,
            blobs_skipped=self.blobs_skipped + other.blobs_skipped,
        )


@dataclass(frozen=True)
class Outcome:
    """What a step did, where that is not what was foreseen.

    ``cost`` takes the place of the step's own. ``result`` holds keys of the module's result that turned out otherwise,
    ``after`` what is there now, in the shape of the plan's.
    """

    cost: Cost | None = None
    result: t.Mapping[str, t.Any] = field(default_factory=dict)
    after: t.Any = None


@dataclass(frozen=True)
class Step:
    """One write still to do.

    ``text`` is a sentence for people. ``run`` does it, and returns an Outcome only where something differs from what
    was planned. ``cost`` is what it is expected to move. Steps next to each other with the same ``stage`` (not empty)
    do not depend on one another and may run at once.
    """

    text: str
    run: t.Callable[[], Outcome | None]
    cost: Cost = Cost()
    stage: str = ""


@dataclass(frozen=True)
class ContentStep(Step):
    """A step that completes content, named by its repository and digest (``key``), on top of what is ``below`` it.

    Below are digests in the same repository.
    """

    key: tuple[str, str] = ("", "")
    below: t.Collection[str] = ()


Map = t.Callable[[t.Callable[[Step], Outcome], t.Sequence[Step]], list[Outcome]]


@dataclass(frozen=True)
class Plan:
    """What is, what should be, and the steps from one to the other, tags last.

    ``before`` and ``after`` have the same shape, are made by the same function and are the diff: values that JSON has,
    small enough to be read. ``result`` holds the module's own results, ``notes`` say what was left alone on purpose,
    ``skipped`` counts what is in place already.

    ``recover`` is called where a step fails, with the error and the steps that were done, in order. It may undo them,
    and returns the error that the task ends with. ``judge`` is called at the end with all results, in check mode with
    those that are foreseen; an error that it returns ends the task as failed, and the results stay beside it.
    """

    result: t.Mapping[str, t.Any]
    before: t.Any
    after: t.Any
    steps: tuple[Step, ...] = ()
    skipped: Cost = Cost()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    recover: t.Callable[[OCIError, t.Sequence[Step]], OCIError] | None = None
    judge: t.Callable[[t.Mapping[str, t.Any]], OCIError | None] | None = None

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    @property
    def actions(self) -> list[str]:
        return [*(step.text for step in self.steps), *self.notes]

    def cost(self) -> Cost:
        """Return what applying would move."""
        return sum((step.cost for step in self.steps), self.skipped)

    def apply(self, map_steps: Map, note: t.Callable[[Cost], None] | None = None) -> Outcome:
        """Do the steps in order, those of a stage through ``map_steps``; return what they moved and what they learned.

        What a step raises ends it; the steps after that one are not run, and the error tells which were. ``note`` is
        called with what each has moved that was done, in the thread that did it.
        """
        cost, result, after = self.skipped, dict(self.result), self.after
        done: list[Step] = []

        def run(step: Step) -> Outcome:
            outcome = step.run() or Outcome()
            done.append(step)
            if note:
                note(step.cost if outcome.cost is None else outcome.cost)
            return outcome

        try:
            for stage, steps in groupby(self.steps, key=lambda step: step.stage):
                todo = list(steps)
                for step, outcome in zip(todo, map_steps(run, todo) if stage else map(run, todo)):
                    cost += step.cost if outcome.cost is None else outcome.cost
                    result.update(outcome.result)
                    after = after if outcome.after is None else outcome.after
        except OCIError as exc:
            exc.details = {"changed": bool(done), "actions": [step.text for step in done], **exc.details}
            if not self.recover:
                raise
            raise self.recover(exc, tuple(done)) from exc
        return Outcome(cost, result, after)


class Draft:
    """Collects what a plan is made of, while a verb finds it out, so that no part of it can be dropped."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._skipped = Cost()
        self._notes: list[str] = []
        self._warnings: list[str] = []

    def do(self, *steps: Step) -> None:
        """Add steps, to be done after all that were added before."""
        self._steps += steps

    def skip(self, blobs: int) -> None:
        """Count blobs that are in place already."""
        self._skipped += Cost(blobs_skipped=blobs)

    def note(self, *texts: str) -> None:
        """Say what is left alone on purpose; it becomes one of the ``actions``."""
        self._notes += texts

    def warn(self, *texts: str) -> None:
        """Say what the user should know whatever happens."""
        self._warnings += texts

    def plan(self, result: t.Mapping[str, t.Any], before: t.Any, after: t.Any) -> Plan:
        """Return the plan of all that was collected."""
        return Plan(result, before, after, tuple(self._steps), self._skipped, tuple(self._notes), tuple(self._warnings))
