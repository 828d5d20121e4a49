# SPDX-License-Identifier: GPL-3.0-or-later
"""What a runner does beside applying a plan: it writes down what is for later tasks, and may fail with results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils import _runner
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError, Refused
from ansible_collections.quayside.registry.plugins.module_utils._options import looks, plans
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Outcome, Plan, Step
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.tests.unit.kit import make_session


def test_what_is_for_later_tasks_is_written_down_but_not_in_check_mode():
    written = []

    def look(session: Session) -> dict[str, Any]:
        session.records.append(lambda: written.append("seen"))
        return {}

    _runner.run(looks(look, {}), make_session(), {}, check=True, diff=False)
    assert written == []
    _runner.run(looks(look, {}), make_session(), {}, check=False, diff=False)
    assert written == ["seen"]


@pytest.mark.parametrize("full", [False, True], ids=["", "disk full"])
def test_it_is_written_down_where_the_task_fails_and_the_failure_is_what_is_told(full):
    written = []

    def record() -> None:
        written.append("seen")
        if full:
            raise OSError(28, "No space left on device")

    def look(session: Session) -> dict[str, Any]:
        session.records.append(record)
        raise Refused("It is too young.")

    with pytest.raises(Refused, match="too young"):
        _runner.run(looks(look, {}), make_session(), {}, check=False, diff=False)
    assert written == ["seen"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [(OSError(13, "Permission denied", "lock"), "FILE_ERROR"), (OCIError("Full.", "NO_SPACE"), "NO_SPACE")],
)
def test_what_was_done_is_told_where_it_cannot_be_written_down(failure, code):
    def record() -> None:
        raise failure

    def plan(session: Session) -> Plan:
        session.records.append(record)
        return Plan({"copied": ["a"]}, "old", "new", (Step("Copy.", lambda: None),))

    with pytest.raises(OCIError) as caught:
        _runner.run(plans(plan, {}), make_session(), {}, check=False, diff=False)
    told = caught.value.fields()
    assert (told["error_code"], told["changed"], told["copied"], told["actions"]) == (code, True, ["a"], ["Copy."])
    assert "transfer" in told


@pytest.mark.parametrize("check", [True, False])
def test_a_task_may_fail_at_its_end_with_all_its_results(check):
    def judge(result: Mapping[str, Any]) -> OCIError | None:
        return Refused("One failed.", "PARTIAL", details={"more": 1}) if result["failures"] else None

    def plan(session: Session) -> Plan:
        learned = Outcome(result={"failures": ["b"]})
        step = Step("Copy.", lambda: learned, Cost(blobs_pushed=1))
        return Plan({"failures": ["b"]}, "old", "new", (step,), judge=judge)

    with pytest.raises(Refused) as caught:
        _runner.run(plans(plan, {}), make_session(), {}, check=check, diff=True)
    shown = dict(caught.value.fields())
    assert shown.pop("transfer")["blobs_pushed"] == 1
    assert shown == {
        "msg": "One failed.",
        "error_code": "PARTIAL",
        "registry": None,
        "status": None,
        "changed": True,
        "failures": ["b"],
        "actions": ["Copy."],
        "diff": {"before": "old", "after": "new"},
        "more": 1,
    }


def test_how_far_it_is_can_be_told_while_a_plan_is_applied():
    session = make_session(jobs=1)
    told = []

    def tell() -> None:
        now = session.transport.progress.figures()
        told.append((now.images, now.steps, now.blobs, now.bytes.total))

    def plan(session: Session) -> Plan:
        session.transport.progress.look("images", 2)
        steps = (
            Step("Send.", tell, Cost(bytes_sent=70, blobs_pushed=1), "blobs"),
            Step("Mount.", tell, Cost(blobs_mounted=1), "blobs"),
            Step("Tag.", tell, Cost(bytes_sent=5)),
        )
        return Plan({"images": [{"changed": True}, {"changed": False}]}, "old", "new", steps)

    result = _runner.run(plans(plan, {}), session, {}, check=False, diff=False)
    assert told == [(1, (done, 3), (done, 2), 70) for done in (0, 1, 2)]
    assert session.transport.progress.figures().steps == (3, 3)
    assert result["transfer"]["seconds_waited"] == 0
