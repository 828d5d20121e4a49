# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: tags
short_description: List the tags of a repository in a container registry (OCI, Docker), on the controller
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the tags of repositories, chosen by the same rules as in M(quayside.registry.oci_tag_info), which lists them
    on a target.
  - A repository that does not exist has no tags, which is no error.
  - C(lookup) joins them with commas where there are several; use C(query) for a list.
  - Files and logins are those of the controller. Relative paths begin in the folder of the playbook.
extends_documentation_fragment:
  - quayside.registry._registry
  - quayside.registry._image.patterns
  - quayside.registry._image.tag_rules
options:
  _terms:
    description: The repositories, as C(registry/repository), without a tag or a digest.
    type: list
    elements: str
    required: true
  with_name:
    description: Return full names, as C(registry/repository:tag).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the three newest releases below 2.0
  ansible.builtin.debug:
    var: query('quayside.registry.tags', 'localhost:5000/team/app', semver='<2', newest=3)
"""

RETURN = r"""
_raw:
  description: The tags of each repository, in the order of the rules, or with O(with_name) full names.
  type: list
  elements: str
  sample: ["1.4.2"]
"""

import typing as t

from ..module_utils._options import TAG_RULES
from ..module_utils._registry.session import Session
from ..module_utils._verbs.tag_info import tag_info
from ..plugin_utils._lookup import RegistryLookup


class LookupModule(RegistryLookup):
    """The lookup `tags`."""

    name = "tags"
    options: t.ClassVar = {**TAG_RULES, "with_name": {"type": "bool", "default": False}}

    def look(self, session: Session, terms: list[str], params: dict[str, t.Any]) -> list[str]:
        """Return the chosen tags of repositories, one repository after another."""
        rules = {name: params[name] for name in TAG_RULES}
        key = "references" if params["with_name"] else "tags"
        found = [tag_info(session, name=term, digests=False, query=None, **rules) for term in terms]
        return [name for each in found for name in each[key]]
