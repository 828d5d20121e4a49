# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run moved, in a table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible_collections.quayside.registry.plugins.callback import transfer

MOVED = {
    "bytes_sent": 12_345_678,
    "bytes_received": 500,
    "blobs_pushed": 3,
    "blobs_mounted": 2,
    "blobs_skipped": 1,
    "requests": 9,
    "seconds_waited": 4,
}


Played = tuple[str, dict[str, Any]]


class Run:
    """A run of a playbook, whose tasks have these actions and results, on one host."""

    def __init__(self, check: bool = False) -> None:
        self.said: list[str] = []
        self._check, self._number = check, 0
        self._plugin = transfer.CallbackModule()
        self._plugin._display = mock.Mock(display=self.said.append, banner=lambda text: self.said.append(f"{text} *"))

    def task(self, action: str, *results: dict[str, Any]) -> None:
        """Run a task; all results but the last are those of tries."""
        self._number += 1
        host = SimpleNamespace(get_name=lambda: "web")
        names = {"_uuid": str(self._number), "action": action, "resolved_action": action, "get_name": lambda: "Copy it"}
        task = SimpleNamespace(**names, check_mode=self._check)
        self._plugin.v2_runner_on_start(host, task)
        for result in results[:-1]:
            self._plugin.v2_runner_retry(SimpleNamespace(_task=task, _host=host, _result=result))
        ended = self._plugin.v2_runner_on_failed if results[-1].get("failed") else self._plugin.v2_runner_on_ok
        ended(SimpleNamespace(_task=task, _host=host, _result=results[-1]))

    def end(self) -> list[str]:
        """End it, and return what is printed, in lines."""
        self._plugin.v2_playbook_on_stats(None)
        return self.said

    def requests(self) -> list[str]:
        """End it, and return the requests of each row."""
        return [line.split()[-3] for line in self.end()[2:] if not line.startswith("changed")]


def played(*results: Played, check: bool = False) -> list[str]:
    """What is printed after tasks with these actions and results, in lines."""
    run = Run(check)
    for action, result in results:
        run.task(action, result)
    return run.end()


def test_one_task() -> None:
    result = {"changed": True, "reference": "h/a@sha256:1", "transfer": MOVED}
    banner, head, line, changed = played(("quayside.registry.oci_tag", result), ("ansible.builtin.debug", result))
    assert banner == "TRANSFER *"
    assert head.split() == list(transfer.HEADINGS)
    assert line.split() == ["web:", "Copy", "it", "12.3", "MB", "500", "B", "3", "2", "1", "9", "4", "0.0"]
    assert changed == "changed: h/a@sha256:1"
    assert len(head) == len(line)


def test_loops_lists_and_failures_are_summed() -> None:
    images = [{"reference": "h/a@sha256:1", "changed": True}, {"reference": "h/b@sha256:2", "changed": False}]
    once = {"changed": True, "images": images, "reference": None, "transfer": MOVED}
    loop = {"results": [once, {"skipped": True}, once]}
    failed = {"failed": True, "msg": "no"}
    lines = played(("quayside.registry.oci_copy", loop), ("quayside.registry.oci_copy", failed))
    assert [line.split()[-3:-1] for line in lines[2:5]] == [["18", "8"], ["0", "0"], ["18", "8"]]
    assert lines[4].startswith("all")
    assert lines[5:] == ["changed: h/a@sha256:1"]


def test_all_tries_of_a_task_count() -> None:
    run = Run()
    first = {"changed": True, "reference": "h/a@sha256:1", "transfer": MOVED}
    run.task("quayside.registry.oci_copy", first, {"msg": "no"}, {"transfer": MOVED})
    run.task("quayside.registry.oci_copy", {"transfer": MOVED}, {"results": [{"transfer": MOVED}] * 2})
    run.task("ansible.builtin.uri", {"transfer": MOVED}, {"transfer": MOVED})
    assert run.requests() == ["18", "27", "45"]
    assert run.said[-1] == "changed: h/a@sha256:1"


def test_tries_that_are_hidden_stay_so() -> None:
    run = Run()
    run.task("quayside.registry.oci_copy", {"censored": "x"}, {"censored": "x"})
    assert run.end() == ["TRANSFER *", "not shown: 1 with no_log"]


STATUS = "ansible.builtin.async_status"


def job(number: int, **result: Any) -> dict[str, Any]:
    return {"ansible_job_id": f"j{number}", "started": 1, **result}


def test_jobs_count_once_where_their_result_is_fetched() -> None:
    run = Run()
    run.task("quayside.registry.oci_copy", job(1, changed=True))
    run.task("quayside.registry.oci_copy", {"results": [job(2), job(3), job(4)]})
    run.task(STATUS, job(1), job(1, finished=1, changed=True, reference="h/a@sha256:1", transfer=MOVED))
    run.task(STATUS, job(1, finished=1, transfer=MOVED))
    run.task(STATUS, {"results": [job(2, finished=1, transfer=MOVED), job(3, failed=True, msg="no"), job(4)]})
    run.task(STATUS, job(4, failed=True, transfer=MOVED))
    run.task(STATUS, job(5, finished=1, transfer=MOVED))
    assert run.requests() == ["9", "18", "27"]
    assert run.said[-1] == "changed: h/a@sha256:1"


def test_a_job_that_was_waited_for_is_not_counted_again() -> None:
    run = Run()
    run.task("quayside.registry.oci_copy", job(1, finished=1, transfer=MOVED))
    run.task(STATUS, job(1, finished=1, transfer=MOVED))
    assert run.requests() == ["9"]


@pytest.mark.parametrize("results", [5, "text", {"a": 1}, [1, None]])
def test_results_of_others_are_of_any_shape(results: Any) -> None:
    run = Run()
    run.task("quayside.registry.oci_copy", job(1))
    run.task("other.things.do", {"results": results})
    assert run.requests() == ["0"]


def test_check_mode_is_told() -> None:
    lines = played(("quayside.registry.oci_tag", {"changed": True, "transfer": MOVED}), check=True)
    assert lines[2].startswith("web: Copy it (foretold)  ")


def test_what_is_hidden_is_counted() -> None:
    assert played(("quayside.registry.oci_tag", {"censored": "x"})) == ["TRANSFER *", "not shown: 1 with no_log"]


def test_nothing_of_ours_says_nothing() -> None:
    assert played(("ansible.builtin.debug", {"transfer": MOVED})) == []
