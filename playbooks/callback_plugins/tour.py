# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tour as a page to read: a heading for each chapter, a line for each step, and the second round as a table.

What Ansible would print goes to its log file (ANSIBLE_LOG_PATH). A step is a task of one of the collection's modules,
or one with the tag `step`; a chapter is an entry of tasks/walk.yml; what a debug task says is printed.
"""

from __future__ import annotations

DOCUMENTATION = """
name: tour
type: stdout
short_description: The tour as a page to read
description:
  - Prints a heading for each chapter of the tour, a line for each step, and a table of the second round.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

import dataclasses
import shutil
import textwrap
import time
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default

INCLUDES = ("ansible.builtin.include_tasks", "include_tasks")
ROLES = ("ansible.builtin.include_role", "include_role")
DEBUG = ("ansible.builtin.debug", "debug")
COLUMNS = min(100, shutil.get_terminal_size((100, 24)).columns)
TITLE = COLUMNS - 53
WORDS = {"changed": C.COLOR_CHANGED, "refused": C.COLOR_SKIP, "failed": C.COLOR_ERROR}


@dataclasses.dataclass
class Count:
    """What a step, a chapter or a round did."""

    title: str
    steps: int = 0
    changed: int = 0
    requests: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0

    def add(self, other: Count) -> None:
        """Count what another did."""
        for field in dataclasses.fields(self)[1:]:
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclasses.dataclass
class Step:
    """The step that runs: its place among the tasks, and whether a role does it."""

    title: str
    module: str
    begin: float
    is_role: bool
    is_plan: bool
    has_changed: bool = False


class LogOnly:
    """Ansible's display, of which nothing but the log is written."""

    def __init__(self, display: t.Any) -> None:
        self._display = display

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._display, name)

    def display(self, msg: str, *args: t.Any, **options: t.Any) -> None:
        """Write a line to the log, unless it is written in another way too, for the screen."""
        if not options.get("screen_only"):
            self._display.display(msg, log_only=True)

    def banner(self, msg: str, *args: t.Any, **options: t.Any) -> None:
        """Write a headline to the log."""
        self._display.display(f"{msg} {'*' * 20}", log_only=True)

    def _error(self, *args: t.Any, **options: t.Any) -> None:
        """Leave out what ansible-core 2.19 and newer say of a failed task beside its result."""


class CallbackModule(Default):
    """Prints the page."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "tour"

    def __init__(self) -> None:
        super().__init__()
        self._screen = self._display
        self._display = LogOnly(self._display)
        self._step: Step | None = None
        self._chapter: Count | None = None
        self._chapters = 0
        self._is_again = False
        self._rounds = (Count("The first time"), Count("Again"))
        self._modules: set[str] = set()

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Begin a chapter or a step, where the task is one."""
        super().v2_playbook_on_task_start(task, is_conditional)
        if self._step and self._step.is_role and task._role:
            return
        self._end_role()
        place = Path(task.get_path().rpartition(":")[0]).name
        if task.action in INCLUDES and place == "tour.yml":
            self._end_chapter()
            self._begin_round(task)
        elif task.action in INCLUDES and place == "walk.yml":
            self._end_chapter()
            self._begin_chapter(task.get_name())
        elif task.action.startswith("quayside.registry.") or "step" in task.tags:
            module = "lab_registry" if task.action in ROLES else task.action.rpartition(".")[2]
            self._step = Step(task.get_name(), module, time.monotonic(), task.action in ROLES, bool(task.check_mode))
            if not self._is_again:
                title = textwrap.shorten(task.get_name(), TITLE, placeholder="...")
                self._write(f"   {title:{TITLE}} {module:18}")

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """End the step, or print what a debug task says."""
        super().v2_runner_on_ok(result)
        found = result._result
        if self._step and self._step.is_role:
            self._step.has_changed |= bool(found.get("changed"))
        elif result._task.action in DEBUG and result._task._role is None and not self._is_again:
            said = found.get("msg")
            for sentence in said if isinstance(said, list) else [said]:
                self._say(str(sentence))
        elif self._step:
            self._end_step(self._word(found), found.get("transfer"))

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """End a step that had nothing to do."""
        super().v2_runner_on_skipped(result)
        if self._step and not self._step.is_role:
            self._end_step("kept")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Print a failure in full."""
        super().v2_runner_on_failed(result, ignore_errors)
        if ignore_errors:
            return
        self._end_step("failed")
        found = result._result
        text = [str(found.get("msg") or "It says nothing.")]
        text += [line for stream in ("stderr_lines", "module_stderr") for line in list(found.get(stream) or ())[-5:]]
        self._print(f"   The task {result._task.get_name()!r} failed:", C.COLOR_ERROR)
        for line in text:
            self._say(line, C.COLOR_ERROR)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Print the summary."""
        super().v2_playbook_on_stats(stats)
        self._end_role()
        self._end_chapter()
        first, again = self._rounds
        if any(stats.summarize(host)["failures"] for host in stats.processed):
            self._print(
                "\nThe tour did not come to its end. What it had started is stopped and removed.", C.COLOR_ERROR
            )
        elif again.steps:
            self._print("\nIn short", C.COLOR_HIGHLIGHT)
            self._say(
                f"{first.steps} steps with {len(self._modules)} modules: {first.changed} changed something, "
                f"in {first.requests} requests, {size(first.sent)} sent, {size(first.received)} received, "
                f"{first.seconds:.0f} s"
            )
            verdict = "nothing changed" if not again.changed else f"{again.changed} CHANGED SOMETHING"
            self._say(
                f"the same {again.steps} steps again: {verdict}, in {again.requests} requests, "
                f"{size(again.sent)} sent, {size(again.received)} received, {again.seconds:.0f} s"
            )
        if C.DEFAULT_LOG_PATH:
            self._say(f"all that Ansible printed is in {C.DEFAULT_LOG_PATH}")

    def _begin_round(self, task: t.Any) -> None:
        """Print the heading of what tour.yml includes, except of the chapters, which have their own."""
        again = task.vars.get("tour_again")
        self._is_again = bool(again)
        if again:
            self._print("\nAgain, the same steps", C.COLOR_HIGHLIGHT)
            columns = f"{'requests':>9}{'sent':>11}{'received':>11}{'time':>8}"
            self._print(f"   {'chapter':{COLUMNS - 68}}{'steps':>6}  {'result':17}{columns}")
        elif again is None and "tour_moment" not in task.vars:
            self._print(f"\n{task.get_name()}", C.COLOR_HIGHLIGHT)

    def _begin_chapter(self, title: str) -> None:
        """Print its heading, with what the columns are."""
        self._chapter = Count(title)
        if not self._is_again:
            self._chapters += 1
            heading = f"{self._chapters}. {title}"
            columns = f"{'result':9}{'moved':>13}{'time':>8}" if self._chapters == 1 else ""
            self._print(f"\n{heading:{TITLE + 22}}{columns}", C.COLOR_HIGHLIGHT)

    def _end_chapter(self) -> None:
        """Count it in, and print its row in the second round; the last row is the sum."""
        if self._chapter is None:
            return
        self._rounds[self._is_again].add(self._chapter)
        if self._is_again:
            self._row(self._chapter)
            if self._rounds[1].steps == self._rounds[0].steps:
                self._row(dataclasses.replace(self._rounds[1], title="all"))
        self._chapter = None

    def _row(self, count: Count) -> None:
        """Print a row of the second round."""
        word = f"{count.changed} changed" if count.changed else "nothing changed"
        self._print(
            f"   {count.title:{COLUMNS - 68}}{count.steps:>6}  {word:17}{count.requests:>9}{size(count.sent):>11}"
            f"{size(count.received):>11}{count.seconds:>6.1f} s"
        )

    def _word(self, found: dict[str, t.Any]) -> str:
        """What became of the step."""
        if found.get("censored"):
            return "hidden"
        if found.get("error_code"):
            return "refused"
        if self._step and self._step.is_plan:
            return "planned"
        if found.get("changed"):
            return "changed"
        return "read" if self._step and self._step.module.endswith(("_info", "_validate")) else "ok"

    def _end_role(self) -> None:
        """End a step that a role did, of which nothing but its tasks is told."""
        if self._step and self._step.is_role:
            self._end_step("changed" if self._step.has_changed else "ok")

    def _end_step(self, word: str, transfer: t.Mapping[str, int] | None = None) -> None:
        """Complete the line of the step, and count it."""
        step, self._step = self._step, None
        if step is None:
            return
        done = Count(step.title, 1, word == "changed", seconds=time.monotonic() - step.begin)
        if transfer:
            done.requests = transfer["requests"]
            done.sent, done.received = transfer["bytes_sent"], transfer["bytes_received"]
        if self._chapter:
            self._chapter.add(done)
            self._modules.add(step.module)
        if not self._is_again:
            moved = f"{size(done.sent)} out" if done.sent else f"{size(done.received)} in"
            self._write(f"{word:9}", WORDS.get(word))
            self._print(f"{moved if done.requests else '':>13}{done.seconds:>6.1f} s")
        elif word in ("changed", "failed"):
            self._say(f"{step.title}: {word}", C.COLOR_ERROR)

    def _say(self, sentence: str, color: str | None = None) -> None:
        """Print a sentence in lines that fit."""
        for line in textwrap.wrap(
            sentence, COLUMNS - 2, initial_indent="   - ", subsequent_indent="     ", break_on_hyphens=False
        ):
            self._print(line, color)

    def _print(self, line: str, color: str | None = None) -> None:
        self._screen.display(line.rstrip(), color=color, screen_only=True)

    def _write(self, part: str, color: str | None = None) -> None:
        self._screen.display(part, color=color, screen_only=True, newline=False)


def size(count: int) -> str:
    """A number of bytes for people, as the filter human_readable counts them."""
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, ["kB", "MB", "GB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.1f} {units[0]}"
