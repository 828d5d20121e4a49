# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: pinned
short_description: Tell whether the name of an image has a digest
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Only a digest says which image is meant; a tag can be moved. What is no name of an image is not pinned either.
  - Nothing is requested.
options:
  _input:
    description: What may be the name of an image.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Refuse an image that can change
  ansible.builtin.assert:
    that:
      - app_image is quayside.registry.pinned
  vars:
    app_image: localhost:5000/team/app@sha256:98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4
"""

RETURN = r"""
_value:
  description: Whether it is the name of an image, with a digest.
  type: bool
"""

import typing as t

from ..module_utils._errors import InvalidInput
from ..module_utils._oci.reference import Reference
from ..plugin_utils._undefined import refuse_undefined


def is_pinned(value: object) -> bool:
    """Say whether this is the name of an image with a digest."""
    refuse_undefined(value)
    try:
        return isinstance(value, str) and bool(Reference.parse(value).digest)
    except InvalidInput:
        return False


class TestModule:
    """The test `pinned`."""

    def tests(self) -> dict[str, t.Callable[..., bool]]:
        """Return the test by its name."""
        return {"pinned": is_pinned}
