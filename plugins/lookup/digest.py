# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: digest
short_description: Get the digest of an image in a container registry (OCI, Docker), on the controller
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns what tags point at, by one HEAD request for each, or fails where there is no such image. See
    M(quayside.registry.oci_digest_info), which does the same on a target.
  - The registry is asked each time that the template is used. Keep the answer in a variable
    (M(ansible.builtin.set_fact)) to use it twice.
  - Files and logins are those of the controller. Relative paths begin in the folder of the playbook.
extends_documentation_fragment:
  - quayside.registry._registry
  - quayside.registry._image.platform
options:
  _terms:
    description: The images, as C(registry/repository:tag) or C(registry/repository@digest).
    type: list
    elements: str
    required: true
  with_name:
    description: Return the name with the digest, as C(registry/repository@digest).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what a tag points at
  ansible.builtin.debug:
    msg: "{{ lookup('quayside.registry.digest', 'localhost:5000/debian:12', platform='linux/amd64') }}"

- name: Use the same image in all that follows, wherever its tag goes
  ansible.builtin.set_fact:
    base_image: "{{ lookup('quayside.registry.digest', 'localhost:5000/debian:12', with_name=true) }}"
"""

RETURN = r"""
_raw:
  description: The digests, or with O(with_name) the names with their digests, in order.
  type: list
  elements: str
  sample: ["sha256:98d6e2..."]
"""

import typing as t

from ..module_utils._errors import OCIError
from ..module_utils._options import PLATFORM
from ..module_utils._registry.session import Session
from ..module_utils._verbs.digest_info import digest_info
from ..plugin_utils._lookup import RegistryLookup


class LookupModule(RegistryLookup):
    """The lookup `digest`."""

    name = "digest"
    options: t.ClassVar = {**PLATFORM, "with_name": {"type": "bool", "default": False}}

    def look(self, session: Session, terms: list[str], params: dict[str, t.Any]) -> list[str]:
        """Return the digests of images, all of which exist."""

        def one(term: str) -> str:
            found = digest_info(session, name=term, platform=params["platform"])
            if not found["exists"]:
                raise OCIError(f"{term} does not exist.", "MANIFEST_UNKNOWN")
            return str(found["reference" if params["with_name"] else "digest"])

        return session.map(one, terms)
