# SPDX-License-Identifier: GPL-3.0-or-later
"""Single requests that break, as a test says or drawn at random."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .messages import Call, target_of

ACTIONS = ("status", "reset", "lost_answer", "truncate", "flip", "stall", "redirect", "endless")


@dataclass
class Fault:
    """What happens to the requests it matches, after `skip` of them, `times` times; `hits` counts those.

    status: this answer, the request is not carried out. reset: RST when `at` bytes of the request's body were read
    (default half). lost_answer: carried out, then RST. truncate: closed after `at` bytes of the answer's body (default
    half). flip: one bit of the answer's body at `at` (default the middle). stall: waits `seconds`, before the answer
    or after `at` bytes of it. redirect: to `to`, where {target} stands for the path and query. endless: never ends.
    """

    action: str
    method: str = "GET"
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at: int | None = None
    seconds: float = 0.0
    to: str = ""
    server: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action must be one of {ACTIONS}")

    def matches(self, call: Call) -> bool:
        return (
            self.hits < self.times
            and (self.method == "*" or re.fullmatch(self.method, call.method) is not None)
            and self.server in ("", call.server)
            and re.search(self.path, target_of(call.path, call.query)) is not None
        )


@dataclass(frozen=True)
class RandomFaults:
    seed: int
    rate: float
    kinds: Sequence[str]
    path: str
    limit: int | None
    in_a_row: int


class Faults:
    """The one place that decides which request breaks."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []
        self.random: RandomFaults | None = None
        self.injected: list[tuple[str, str, str]] = []
        self._seen: Counter[str] = Counter()
        self._row: Counter[str] = Counter()

    def next(self, call: Call) -> Fault | None:
        fault = self._queued(call) or self._drawn(call)
        if fault is not None:
            fault.hits += 1
            name = str(fault.status) if fault.action == "status" else fault.action
            self.injected.append((name, call.method, target_of(call.path, call.query)))
        return fault

    def _queued(self, call: Call) -> Fault | None:
        for fault in self.queue:
            if fault.matches(call):
                if not fault.skip:
                    return fault
                fault.skip -= 1
        return None

    def _drawn(self, call: Call) -> Fault | None:
        """Drawn from what the request is and how often it came: parallel clients get the same faults in any order."""
        plan = self.random
        if plan is None or not re.search(plan.path, call.path):
            return None
        key = f"{call.server} {call.method} {re.sub(r'/uploads/.+', '/uploads/*', call.path)}"
        self._seen[key] += 1
        dice = random.Random(f"{plan.seed} {key} {self._seen[key]}")
        spent = plan.limit is not None and len(self.injected) >= plan.limit
        if spent or self._row[key] >= plan.in_a_row or dice.random() >= plan.rate:
            self._row[key] = 0
            return None
        self._row[key] += 1
        kind = dice.choice(plan.kinds)
        if not kind.isdigit():
            return Fault(kind, seconds=0.05)
        return Fault("status", status=int(kind), headers={"Retry-After": "0"} if kind in ("429", "503") else {})
