# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: pin
short_description: Put a digest on the name of an image
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the name with the digest in place of its tag, or of the digest that it had. Nothing is requested.
positional: digest
options:
  _input:
    description: The name, as C(registry/repository:tag), C(registry/repository@digest), or shorter.
    type: str
    required: true
  digest:
    description: The digest, as C(sha256:HEX).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Find out what a tag points at
  quayside.registry.oci_digest_info:
    name: localhost:5000/team/app:1.4.2
  register: app

- name: Show a mirror's name of the same image
  ansible.builtin.debug:
    msg: "{{ 'localhost:5001/mirror/app:1.4.2' | quayside.registry.pin(app.digest) }}"
"""

RETURN = r"""
_value:
  description: The name with the digest.
  type: str
  sample: localhost:5001/mirror/app@sha256:98d6e2...
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import InvalidInput
from ..module_utils._oci.digest import digest_problem
from ..module_utils._oci.reference import Reference
from ..plugin_utils._undefined import refuse_undefined


def pin(name: object, digest: object) -> str:
    """Return `registry/repository@digest`. Raises AnsibleFilterError."""
    refuse_undefined(name, digest)
    for value, what in ((name, "an image reference"), (digest, "a digest")):
        if not isinstance(value, str):
            raise AnsibleFilterError(f"{value!r} is not {what}: it is no string.")
    problem = digest_problem(str(digest))
    if problem:
        raise AnsibleFilterError(f"{digest!r} is not a digest: it {problem}.")
    try:
        return str(Reference.parse(str(name)).with_digest(str(digest)))
    except InvalidInput as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """The filter `pin`."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by its name."""
        return {"pin": pin}
