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
