# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: reference
short_description: Take the name of an image apart
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Reads a name by Docker's rules, as all modules of this collection do, and returns its parts. Nothing is requested.
options:
  _input:
    description: The name, as C(registry/repository:tag), C(registry/repository@digest), or shorter.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write the tag of an image into a file's name
  ansible.builtin.debug:
    msg: "app-{{ ('localhost:5000/team/app:1.4.2' | quayside.registry.reference).tag }}.tar"
"""

RETURN = r"""
_value:
  description: The parts of the name.
  type: dict
  contains:
    registry: {type: str, description: The registry; Docker Hub is C(docker.io)., sample: "localhost:5000"}
    repository: {type: str, description: The repository., sample: team/app}
    tag:
      description: The tag. Without one it is C(latest), or null where there is a digest.
      type: str
      sample: 1.4.2
    digest: {type: str, description: The digest; or null.}
    name: {type: str, description: Registry and repository., sample: localhost:5000/team/app}
    familiar: {type: str, description: The whole name as short as Docker has it., sample: "debian:12"}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import InvalidInput
from ..module_utils._oci.reference import Reference
from ..plugin_utils._undefined import refuse_undefined


def reference(name: object) -> dict[str, str | None]:
    """Return the parts of a name. Raises AnsibleFilterError."""
    refuse_undefined(name)
    try:
        found = Reference.parse(name) if isinstance(name, str) else None
    except InvalidInput as exc:
        raise AnsibleFilterError(str(exc)) from None
    if found is None:
        raise AnsibleFilterError(f"{name!r} is not an image reference: it is no string.")
    tag = found.tag or (None if found.digest else "latest")
    parts = [found.short_name, f":{tag}" if tag else "", f"@{found.digest}" if found.digest else ""]
    return {
        "registry": found.registry,
        "repository": found.repository,
        "tag": tag,
        "digest": found.digest,
        "name": found.name,
        "familiar": "".join(parts),
    }


class FilterModule:
    """The filter `reference`."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by its name."""
        return {"reference": reference}
