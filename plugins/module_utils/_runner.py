# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a plan into the writes, ``changed``, a diff and a result, which is the same in check mode."""

from __future__ import annotations

import typing as t

from ._plan import Plan
from ._registry.session import Session


def finish(session: Session, plan: Plan, check: bool, diff: bool) -> dict[str, t.Any]:
    """Apply the plan, unless in check mode, and return the module's result."""
    if check or not plan.changed:
        moved = vars(plan.cost())
    else:  # its bytes were counted on the wire
        moved = {name: count for name, count in vars(plan.apply(session.map)).items() if name.startswith("blobs_")}
    session.transport.count(**moved)
    session.transport.warnings.extend(plan.warnings)
    result = {"changed": plan.changed, **plan.result, "actions": plan.actions}
    if diff:
        result["diff"] = {"before": plan.before, "after": plan.after}
    return result
