# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of the same name inside the controller where nobody can tell, and keeps the token out of logs."""

from __future__ import annotations

import typing as t

from ..modules import oci_token_info
from ..plugin_utils._in_process import InProcess


class ActionModule(InProcess):
    module = oci_token_info

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Let Ansible show the result as if the task had ``no_log``, unless it failed; what is registered is whole."""
        result = super().run(tmp, task_vars)
        if not result.get("failed"):
            result["_ansible_no_log"] = True
            self._task.no_log = True  # or cores before 2.19 would show the token with the result of a whole loop
        return result
