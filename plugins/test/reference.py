# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: reference
short_description: Tell whether something is the name of an image
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Reads a name by Docker's rules, as all modules of this collection do. Nothing is requested.
options:
  _input:
    description: What may be the name of an image.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Refuse what is not the name of an image
  ansible.builtin.assert:
    that:
      - app_image is quayside.registry.reference
  vars:
    app_image: localhost:5000/team/app:1.4.2
"""

RETURN = r"""
_value:
  description: Whether it is the name of an image.
  type: bool
"""

import typing as t

from ..module_utils._errors import InvalidInput
from ..module_utils._oci.reference import Reference
from ..plugin_utils._undefined import refuse_undefined


def is_reference(value: object) -> bool:
    """Say whether this is the name of an image."""
    refuse_undefined(value)
    try:
        return isinstance(value, str) and bool(Reference.parse(value))
    except InvalidInput:
        return False


class TestModule:
    """The test `reference`."""

    def tests(self) -> dict[str, t.Callable[..., bool]]:
        """Return the test by its name."""
        return {"reference": is_reference}
