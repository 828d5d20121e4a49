# SPDX-License-Identifier: GPL-3.0-or-later
"""What runners of a declaration share: turns a plan into writes, ``changed``, a diff and a result.

Check mode is the same plan, not applied, so its result is that of the run.
"""

from __future__ import annotations

import typing as t
from contextlib import suppress
from dataclasses import replace

from ._errors import OCIError
from ._options import Declaration, Params
from ._plan import Cost, Outcome, Plan, Step
from ._registry.session import Session

Result = dict[str, t.Any]


class FileAttributes(t.Protocol):
    """Mode, owner, group and the like that the user wants a file to have."""

    flags: str | None
    """Those that a file gets once it has its name: an immutable one could not get it any more."""

    def differences(self, path: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return those in which the file at ``path`` differs, as they are (None: no file yet) and as they should be."""

    def prepare(self, path: str) -> None:
        """Give all but the flags to the temporary file at ``path``."""

    def set(self, path: str) -> None:
        """Give them to the file at ``path``."""


def run(
    declaration: Declaration,
    session: Session,
    params: Params,
    *,
    check: bool,
    diff: bool,
    attributes: FileAttributes | None = None,
) -> Result:
    """Run a module's verb with these options and return the module's result. Raises OCIError, OSError.

    An error tells what was transferred, too. What is to be written down for later tasks is, also where the verb failed,
    but not in check mode.
    """
    try:
        result = _run(declaration, session, params, check, diff, attributes)
    except OCIError as exc:
        exc.details = _with_transfer(session, {**exc.details})
        with suppress(OSError):  # what failed before is what has to be told
            _write_down(session, check)
        raise
    try:
        _write_down(session, check)
    except OSError as exc:
        text = f"All was done, but {exc.filename or 'a file'} could not be written: {exc.strerror or exc}."
        raise OCIError(text, "FILE_ERROR", details=result) from None
    except OCIError as exc:
        exc.details = {**result, **exc.details}
        raise
    return result


def _write_down(session: Session, check: bool) -> None:
    for record in () if check else session.records:
        record()


def _run(
    declaration: Declaration,
    session: Session,
    params: Params,
    check: bool,
    diff: bool,
    attributes: FileAttributes | None,
) -> Result:
    options = {name: params[name] for name in declaration.options}
    if declaration.look:
        result = {"changed": False, **declaration.look(session, **options)}
    elif declaration.plan:
        if attributes:
            options["prepare"] = attributes.prepare
        plan = declaration.plan(session, **options)
        if attributes:
            plan = with_attributes(plan, params[declaration.file], attributes)
        result = finish(session, plan, check, diff)
    else:
        raise ValueError("a declaration has a verb")
    return _with_transfer(session, result)


def _with_transfer(session: Session, result: Result) -> Result:
    waited = round(session.transport.progress.paused())
    return {**result, "transfer": {**vars(session.transport.counters), "seconds_waited": waited}}


def _apply(session: Session, plan: Plan) -> Outcome:
    """Apply a plan, and let it be known how far that is."""
    progress = session.transport.progress
    costs = [step.cost for step in plan.steps]
    images = sum(isinstance(row, dict) and bool(row.get("changed")) for row in plan.result.get("images") or ())
    size = sum(cost.bytes_sent for cost in costs if _blobs(cost))
    to_fetch = sum(cost.bytes_received for cost in costs)
    progress.plan(images, len(costs), sum(map(_blobs, costs)), size, to_fetch)

    def note(cost: Cost) -> None:
        progress.step(_blobs(cost))
        # The bytes are counted on the wire.
        session.transport.count(**{name: count for name, count in vars(cost).items() if name.startswith("blobs_")})

    return plan.apply(session.map, note)


def _blobs(cost: Cost) -> int:
    return cost.blobs_pushed + cost.blobs_mounted


def finish(session: Session, plan: Plan, check: bool, diff: bool) -> Result:
    """Apply a plan, unless in check mode, and return the module's result."""
    result, after = plan.result, plan.after
    applies = plan.changed and not check
    session.transport.count(**vars(plan.skipped if applies else plan.cost()))
    if applies:
        done = _apply(session, plan)
        result, after = done.result, done.after
    session.transport.warnings.extend(plan.warnings)
    shown: Result = {"changed": plan.changed, "actions": plan.actions, **result}
    if diff:
        shown["diff"] = {"before": plan.before, "after": after}
    error = plan.judge(shown) if plan.judge else None
    if error:
        error.details = {**shown, **error.details}
        raise error
    return shown


def with_attributes(plan: Plan, path: str, attributes: FileAttributes) -> Plan:
    """Add to a plan for a file, or a folder, what gives it the attributes that it should have.

    A plan for which nothing is to be there is left as it is.
    """
    if not plan.after:
        return plan
    before, after = attributes.differences(path)
    is_new = all(value is None for value in before.values())
    later = {} if is_new else after  # the step that makes a file gives it the others
    if plan.steps and attributes.flags:
        later = {**later, "attributes": attributes.flags}
    steps = plan.steps
    if later:
        old = {name: "" if before.get(name) is None else f" (was {before[name]})" for name in later}
        wanted = ", ".join(f"{name} to {value}{old[name]}" for name, value in later.items())
        steps = (*steps, Step(f"Set the {wanted} of {path}.", lambda: attributes.set(path)))
    return replace(plan, before={**plan.before, **before}, after={**plan.after, **after}, steps=steps)
