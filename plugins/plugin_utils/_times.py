# SPDX-License-Identifier: GPL-3.0-or-later
"""Times among the options of a task. YAML reads ``2024-01-31`` as a date, and what was written is lost.

The controller alone sees them: a module gets the text that Ansible makes of them.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ..module_utils._errors import InvalidInput

# What is a time, or JSON that somebody else reads, gets the text.
_TAKE_TIMES = frozenset(("created", "config_patch", "manifest_patch", "predicate", "attest.metadata"))
# Cores before 2.19 make a text like this of a template whose value has a time in it.
_WRITTEN = re.compile(r"\s*[\[{].*\bdatetime\.date(time)?\(\d", re.DOTALL)


def refuse_times(options: t.Mapping[str, t.Any]) -> None:
    """Refuse times in the options of a task, where strings are meant. Raises InvalidInput, which names the place."""
    for where, what in _times(options, ""):
        raise InvalidInput(f"{where}: YAML reads {what} as a time, and its text is lost; write it in quotes.")


def _times(value: object, where: str) -> t.Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, datetime.date):
                yield where, f"the name {key}"
            yield from _times(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, (list, tuple)):
        for at, inner in enumerate(value):
            yield from _times(inner, f"{where}[{at}]")
    elif isinstance(value, str) and _WRITTEN.match(value) and not where.endswith("content"):
        yield where, "something in it"
    elif isinstance(value, datetime.date) and not _takes_times(where):
        yield where, "this"


def _takes_times(where: str) -> bool:
    return any(where == name or where.startswith((f"{name}.", f"{name}[")) for name in _TAKE_TIMES)
