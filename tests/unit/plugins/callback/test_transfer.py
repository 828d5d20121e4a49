# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run moved, in a table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

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


def played(*results: tuple[str, dict[str, Any]], check: bool = False) -> list[str]:
    """What is printed after tasks with these actions and results, in lines."""
    said: list[str] = []
    plugin = transfer.CallbackModule()
    plugin._display = mock.Mock(display=said.append, banner=lambda text: said.append(f"{text} *"))
    host = SimpleNamespace(get_name=lambda: "web")
    for number, (action, result) in enumerate(results):
        names = {"_uuid": str(number), "action": action, "resolved_action": action, "get_name": lambda: "Copy it"}
        task = SimpleNamespace(**names, check_mode=check)
        plugin.v2_runner_on_start(host, task)
        ended = plugin.v2_runner_on_failed if result.get("failed") else plugin.v2_runner_on_ok
        ended(SimpleNamespace(_task=task, _host=host, _result=result))
    plugin.v2_playbook_on_stats(None)
    return said


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


def test_check_mode_is_told() -> None:
    lines = played(("quayside.registry.oci_tag", {"changed": True, "transfer": MOVED}), check=True)
    assert lines[2].startswith("web: Copy it (foretold)  ")


def test_what_is_hidden_is_counted() -> None:
    assert played(("quayside.registry.oci_tag", {"censored": "x"})) == ["TRANSFER *", "not shown: 1 with no_log"]


def test_nothing_of_ours_says_nothing() -> None:
    assert played(("ansible.builtin.debug", {"transfer": MOVED})) == []
