# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of the same name inside the controller where nobody can tell."""

from __future__ import annotations

from ..modules import oci_export
from ..plugin_utils._in_process import InProcess


class ActionModule(InProcess):
    module = oci_export
