# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """What the modules of releases share: the ledger of ages."""

    STATE_PATH = r"""
options:
  state_path:
    description:
      - A file on the target host in which the task keeps when it first saw an image, for the clock V(first_seen) of
        ages. It is made where it does not exist; several tasks may share it.
      - It is written whether or not the task fails, but not in check mode, and is no change of the registry.
    type: path
"""
