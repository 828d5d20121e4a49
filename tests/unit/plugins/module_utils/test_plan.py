# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: when they change something, what they promise, and the order in which they are applied."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Plan, Step


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
        spared=Cost(blobs_skipped=2),
    )
    assert planned.cost() == Cost(bytes_sent=12, blobs_pushed=1, blobs_skipped=2)
    assert plan(spared=Cost(blobs_skipped=2)).cost() == Cost(blobs_skipped=2)


def test_apply_keeps_the_order_and_maps_what_shares_a_stage():
    done: list[str] = []
    batches: list[list[str]] = []

    def step(text: str, stage: str = "", moved: Cost | None = None) -> Step:
        return Step(text, lambda: done.append(text) or moved, Cost(bytes_sent=1), stage)

    def map_steps(run, steps):
        batches.append([one.text for one in steps])
        return [run(one) for one in steps]

    planned = plan(
        step("blob 1", "blobs", Cost(blobs_mounted=1)),
        step("blob 2", "blobs"),
        step("child", "children", Cost()),
        step("index"),
        step("tag 1"),
        step("again", "blobs"),
        spared=Cost(blobs_skipped=3),
    )
    moved = planned.apply(map_steps)
    assert done == ["blob 1", "blob 2", "child", "index", "tag 1", "again"]
    assert batches == [["blob 1", "blob 2"], ["child"], ["again"]]
    assert moved == Cost(bytes_sent=4, blobs_mounted=1, blobs_skipped=3), "what really moved counts, else the promise"


def test_nothing_after_a_step_that_fails_is_run():
    def fail() -> None:
        raise ValueError("no")

    planned = plan(Step("a", fail), Step("tag", lambda: pytest.fail("a tag must not move")))
    with pytest.raises(ValueError, match="no"):
        planned.apply(lambda run, steps: [run(one) for one in steps])
