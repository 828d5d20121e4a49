# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: transfer
type: aggregate
short_description: Show at the end of a play what its tasks moved to and from container registries (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Prints a table at the end of a run, with a line for each task of this collection on each host, the sum, and the
    images that were changed, by their digests.
  - Of the C(seconds) of a task, C(waited) are those that a registry asked it to wait, or that followed trouble.
  - In check mode it shows what would move, as the plan foretells it. What C(no_log) hides is counted, and not shown.
    Tasks that were skipped are left out.
  - A task with C(until) counts with all its tries. One with C(async) and C(poll=0) counts once
    M(ansible.builtin.async_status) has fetched its result, on its own line; its C(seconds) are those that it took to
    begin it.
  - What no result tells cannot be counted. That is what tasks moved that were killed, what jobs moved whose result
    nobody fetched, or that is hidden by C(no_log), and what lookups ask for.
requirements:
  - C(callbacks_enabled = quayside.registry.transfer) in the section C([defaults]) of C(ansible.cfg), or in the
    environment variable E(ANSIBLE_CALLBACKS_ENABLED)
"""

EXAMPLES = r"""
- name: How to use it
  ansible.builtin.command: ansible-playbook release.yml
  environment:
    ANSIBLE_CALLBACKS_ENABLED: quayside.registry.transfer
"""

import dataclasses
import time
import typing as t

from ansible.plugins.callback import CallbackBase

from ..plugin_utils._progress import in_words

COUNTS = (
    "bytes_sent",
    "bytes_received",
    "blobs_pushed",
    "blobs_mounted",
    "blobs_skipped",
    "requests",
    "seconds_waited",
)
HEADINGS = ("sent", "received", "pushed", "mounted", "skipped", "requests", "waited", "seconds")


@dataclasses.dataclass(frozen=True)
class Row:
    """What a task did on a host: its counts in the order of COUNTS, seconds, and the images that it changed."""

    title: str
    counts: tuple[int, ...]
    seconds: float
    images: tuple[str, ...] = ()

    def cells(self) -> list[str]:
        """Return the row as texts, in the order of HEADINGS, with the title in front."""
        sizes = [in_words(size) for size in self.counts[:2]]
        return [self.title, *sizes, *map(str, self.counts[2:]), f"{self.seconds:.1f}"]

    def plus(self, other: Row) -> Row:
        """Return the row with what another one moved and changed, in its own time."""
        counts = tuple(map(sum, zip(self.counts, other.counts)))
        return dataclasses.replace(self, counts=counts, images=tuple(dict.fromkeys(self.images + other.images)))


def row(title: str, result: t.Mapping[str, t.Any], seconds: float) -> Row:
    """Make a row of a task's result, which may be that of a loop."""
    found = _items(result)
    counts = tuple(sum(int(_moved(item).get(name) or 0) for item in found) for name in COUNTS)
    return Row(title, counts, seconds, tuple(dict.fromkeys(name for item in found for name in _changed(item))))


def _items(result: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the results of a task, of which a loop has several."""
    several = result.get("results")
    found = several if several and isinstance(several, list) else [result]
    return [item for item in found if isinstance(item, dict)]


def _moved(result: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what a result says that was moved; nothing where it does not say so."""
    moved = result.get("transfer")
    return moved if isinstance(moved, dict) else {}


def _changed(result: t.Mapping[str, t.Any]) -> list[str]:
    images = [image for image in result.get("images") or [] if isinstance(image, dict)]
    rows = [image for image in images if image.get("changed")] or ([result] if result.get("changed") else [])
    return [str(image["reference"]) for image in rows if image.get("reference")]


def table(rows: t.Sequence[Row]) -> list[str]:
    """Return the lines that show rows, and their sum where there are several."""
    counts = tuple(map(sum, zip(*(each.counts for each in rows))))
    total = [Row("all", counts, sum(each.seconds for each in rows))] if len(rows) > 1 else []
    cells = [["", *HEADINGS], *(each.cells() for each in [*rows, *total])]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])
        for line in cells
    ]
    return [*lines, *(f"changed: {name}" for name in dict.fromkeys(name for each in rows for name in each.images))]


def _is_ours(task: t.Any) -> bool:
    return str(getattr(task, "resolved_action", None) or task.action).startswith("quayside.registry.")


class CallbackModule(CallbackBase):
    """Collects results, and shows them in the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "quayside.registry.transfer"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[tuple[str, str], float] = {}
        self._tried: dict[tuple[str, str], list[Row]] = {}
        self._jobs: dict[str, int] = {}  # those whose results are not known yet: which row is of the task that began it
        self._rows: list[Row] = []
        self._hidden = 0

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        """Note when a task begins on a host."""
        self._begun[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_retry(self, result: t.Any) -> None:
        """Note what a try did that is not a task's last."""
        if _is_ours(result._task):
            tried = self._tried.setdefault((result._host.get_name(), result._task._uuid), [])
            tried.append(row("", result._result, 0))

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Note what a task did."""
        task, host, found = result._task, result._host.get_name(), result._result
        begun = self._begun.pop((host, task._uuid), time.monotonic())
        tried = self._tried.pop((host, task._uuid), [])
        if not _is_ours(task):
            self._fetch(found)
        elif found.get("censored"):
            self._hidden += 1
        else:
            title = f"{host}: {task.get_name().strip()}{' (foretold)' if task.check_mode else ''}"
            done = row(title, found, time.monotonic() - begun)
            for earlier in tried:
                done = done.plus(earlier)
            began = [item["ansible_job_id"] for item in _items(found) if "ansible_job_id" in item and not _moved(item)]
            self._jobs.update(dict.fromkeys(began, len(self._rows)))
            self._rows.append(done)

    def _fetch(self, found: t.Mapping[str, t.Any]) -> None:
        """Note what jobs did, where this is what async_status tells of some that have ended; once for each."""
        for item in _items(found) if self._jobs else ():
            job = item.get("ansible_job_id")
            if job in self._jobs and _moved(item):
                at = self._jobs.pop(job)
                self._rows[at] = self._rows[at].plus(row("", item, 0))

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Note what a task did before it failed, as far as it says."""
        self.v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Show all of it."""
        if not self._rows and not self._hidden:
            return
        self._display.banner("TRANSFER")
        for line in table(self._rows) if self._rows else []:
            self._display.display(line)
        if self._hidden:
            self._display.display(f"not shown: {self._hidden} with no_log")
