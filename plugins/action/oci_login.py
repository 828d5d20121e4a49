# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends the module of the same name, unless its options hold what only the controller can see to be wrong."""

from __future__ import annotations

from ..plugin_utils._in_process import Sent


class ActionModule(Sent):
    pass
