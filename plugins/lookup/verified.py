# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: verified
short_description: Verify images in a container registry (OCI, Docker), on the controller, and pin them
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the names of images with the digests that were verified, or fails. See M(quayside.registry.oci_verify),
    which does the same on a target.
  - Files, keys and logins are those of the controller. Relative paths begin in the folder of the playbook.
extends_documentation_fragment:
  - quayside.registry._registry
  - quayside.registry._trust
  - quayside.registry._trust.verify
options:
  _terms:
    description: The images, as C(registry/repository:tag) or C(registry/repository@digest).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Deploy what was signed, and nothing else
  ansible.builtin.debug:
    msg: "podman run {{ lookup('quayside.registry.verified', 'localhost:5000/team/app:1.4.2', keys=[key]) }}"
  vars:
    key: /etc/containers/release.pub
"""

RETURN = r"""
_raw:
  description: The names with their digests, in order.
  type: list
  elements: str
"""

import time
import typing as t

from ..module_utils._errors import OCIError
from ..module_utils._kit.verifying import parse_demand, verify
from ..module_utils._oci.reference import Reference
from ..module_utils._options import VERIFY
from ..module_utils._registry.session import Session
from ..plugin_utils._lookup import RegistryLookup


class LookupModule(RegistryLookup):
    """The lookup `verified`."""

    name = "verified"
    options = VERIFY

    def look(self, session: Session, terms: list[str], params: dict[str, t.Any]) -> list[str]:
        """Return the pinned names of images, all of which are verified."""
        references = [Reference.parse(term) for term in terms]
        options = {name: params[name] for name in VERIFY}
        if options["keys"]:
            options["keys"] = [self.path(key) for key in options["keys"]]
        demand = parse_demand(options, time.time())
        found = session.map(lambda reference: verify(session, reference, demand), references)
        for text in (text for verdicts in found for text in verdicts.warnings):
            session.transport.warn(text)
        for verdicts in found:
            if verdicts.pinned is None:
                raise OCIError(f"{verdicts.reference} is not verified: {verdicts.problem}")
        return [str(verdicts.pinned) for verdicts in found]
