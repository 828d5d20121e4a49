# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: when they change something, what they promise, and the order in which they are applied."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError, Refused
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Draft, Outcome, Plan, Step


def plan(*steps: Step, **more) -> Plan:
    return Plan(result={}, before=None, after=None, steps=steps, **more)


def test_costs_add_up_field_by_field():
    assert Cost(1, 2, 3, 4, 5) + Cost(10, 20, 30, 40, 50) == Cost(11, 22, 33, 44, 55)
    assert Cost(bytes_sent=1, blobs_skipped=2) == Cost(1, 0, 0, 0, 2)
    assert Cost() == Cost(0, 0, 0, 0, 0)


@pytest.mark.parametrize(("texts", "notes"), [([], []), ([], ["Keep x."]), (["Put x."], []), (["a", "b"], ["c"])])
def test_changed_is_having_a_step(texts, notes):
    planned = plan(*(Step(text, lambda: None) for text in texts), notes=tuple(notes), warnings=("w",))
    assert planned.changed is bool(texts)
    assert planned.actions == texts + notes


def test_cost_promises_without_running():
    planned = plan(
        Step("a", lambda: pytest.fail("planning never writes"), Cost(bytes_sent=5, blobs_pushed=1)),
        Step("b", lambda: pytest.fail("planning never writes"), Cost(bytes_sent=7)),
        skipped=Cost(blobs_skipped=2),
    )
    assert planned.cost() == Cost(bytes_sent=12, blobs_pushed=1, blobs_skipped=2)
    assert plan(skipped=Cost(blobs_skipped=2)).cost() == Cost(blobs_skipped=2)


def test_apply_keeps_the_order_and_maps_what_shares_a_stage():
    done: list[str] = []
    batches: list[list[str]] = []

    def step(text: str, stage: str = "", moved: Cost | None = None) -> Step:
        return Step(text, lambda: done.append(text) or (moved and Outcome(moved)), Cost(bytes_sent=1), stage)

    def map_steps(run, steps):
        batches.append([one.text for one in steps])
        return [run(one) for one in steps]

    planned = plan(
        step("blob 1", "blobs", Cost(blobs_mounted=1)),
        step("blob 2", "blobs"),
        step("child", "children", Cost(blobs_pushed=0)),
        step("index"),
        step("tag 1"),
        step("again", "blobs"),
        skipped=Cost(blobs_skipped=3),
    )
    moved = planned.apply(map_steps).cost
    assert done == ["blob 1", "blob 2", "child", "index", "tag 1", "again"]
    assert batches == [["blob 1", "blob 2"], ["child"], ["again"]]
    assert moved == Cost(bytes_sent=4, blobs_mounted=1, blobs_skipped=3), "what really moved counts, else the promise"


def test_nothing_after_a_step_that_fails_is_run():
    def fail() -> None:
        raise ValueError("no")

    planned = plan(Step("a", fail), Step("tag", lambda: pytest.fail("a tag must not move")))
    with pytest.raises(ValueError, match="no"):
        planned.apply(lambda run, steps: [run(one) for one in steps])


def one_by_one(run, steps):
    return [run(step) for step in steps]


def test_what_a_step_learns_takes_the_place_of_what_was_planned():
    before, after = {"tag": "old"}, {"tag": "new"}
    learned = Outcome(result={"digest": "theirs"}, after={"tag": "theirs"})
    planned = Plan({"digest": "new", "name": "x"}, before, after, (Step("a", lambda: learned), Step("b", lambda: None)))
    done = planned.apply(one_by_one)
    assert done.result == {"digest": "theirs", "name": "x"}
    assert done.after == {"tag": "theirs"}


def test_plans_are_frozen():
    """Applying changes nothing in a plan, whatever its steps learn: a second time it does and tells the same."""
    learned = Outcome(Cost(blobs_mounted=1), {"digest": "theirs"}, {"tag": "theirs"})
    planned = plan(Step("a", lambda: learned), skipped=Cost(blobs_skipped=1), notes=("n",), warnings=("w",))
    asked = copy.deepcopy((planned.result, planned.before, planned.after, planned.actions, planned.cost()))
    first = planned.apply(one_by_one)
    assert (planned.result, planned.before, planned.after, planned.actions, planned.cost()) == asked
    assert planned.apply(one_by_one) == first
    for name in ("result", "before", "after", "steps", "skipped", "notes", "warnings", "recover", "judge"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(planned, name, None)
    for name in ("text", "run", "cost", "stage", "undo"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(planned.steps[0], name, None)


def test_a_draft_drops_nothing():
    draft = Draft()
    first, second = Step("a", lambda: None, Cost(bytes_sent=1)), Step("b", lambda: None)
    draft.do(first)
    draft.skip(2)
    draft.note("n", "m")
    draft.warn("w")
    draft.do(second)
    draft.skip(1)
    assert draft.plan({"x": 1}, "old", "new") == Plan(
        {"x": 1}, "old", "new", (first, second), Cost(blobs_skipped=3), ("n", "m"), ("w",)
    )


def failing(step: str) -> Step:
    def fail() -> None:
        raise Refused(f"{step} cannot be done")

    return Step(step, fail)


def test_a_plan_that_can_recover_is_told_what_was_done():
    told = []

    def recover(error: OCIError, done: Sequence[Step]) -> OCIError:
        told.extend([str(error), *(step.text for step in done)])
        return Refused("taken back", details={"left": []})

    steps = (Step("a", lambda: None, stage="s"), Step("b", lambda: None, stage="s"), failing("c"), failing("d"))
    with pytest.raises(Refused, match="taken back") as caught:
        plan(*steps, recover=recover).apply(one_by_one)
    assert told == ["c cannot be done", "a", "b"]
    assert caught.value.details == {"left": []}


@pytest.mark.parametrize("first", [(), ("a",), ("a", "b")], ids=len)
def test_an_error_tells_what_was_done_before(first: tuple[str, ...]) -> None:
    steps = (*(Step(text, lambda: None) for text in first), failing("c"), failing("d"))
    with pytest.raises(OCIError, match="c cannot be done") as caught:
        plan(*steps).apply(one_by_one)
    assert caught.value.details == {"changed": bool(first), "actions": list(first)}
