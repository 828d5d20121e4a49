# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules promise: check mode, diff mode, idempotency, and the action group."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode), and tells what it would do without changing anything.
    support: full
    details:
      - The result is that of the real run. Figures in RV(ignore:transfer) other than C(requests) and C(seconds_waited)
        are a forecast.
  diff_mode:
    description: Tells what has changed, or would change, when in diff mode.
    support: full
  idempotent:
    description: A second run with the same options does nothing and reports no change.
    support: full
  action_group:
    description: Use C(group/quayside.registry.oci) in C(module_defaults) to set options for this module.
    support: full
    membership:
      - quayside.registry.oci
"""

    # For modules that only read; comes instead of the section above.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode), and tells what it would do without changing anything.
    support: full
    details: This module changes nothing.
  diff_mode:
    description: Tells what has changed, or would change, when in diff mode.
    support: N/A
    details: This module changes nothing.
  idempotent:
    description: A second run with the same options does nothing and reports no change.
    support: full
    details: This module changes nothing.
  action_group:
    description: Use C(group/quayside.registry.oci) in C(module_defaults) to set options for this module.
    support: full
    membership:
      - quayside.registry.oci
"""
