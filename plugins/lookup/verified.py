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
  - Files, keys and logins are those of the controller.
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
    msg: "podman run {{ lookup('quayside.registry.verified', 'localhost:5000/team/app:1.4.2', keys=['release.pub']) }}"
"""

RETURN = r"""
_raw:
  description: The names with their digests, in order.
  type: list
  elements: str
"""

import subprocess
import time
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._errors import MissingLibrary, OCIError
from ..module_utils._kit.verifying import parse_demand, verify
from ..module_utils._oci.reference import Reference
from ..module_utils._options import SHARED, TOGETHER, VERIFY, check_strings, session_from

display = Display()


class LookupModule(LookupBase):
    """The lookup `verified`."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        """Return the pinned names of images, all of which are verified."""
        spec = {**SHARED, **VERIFY}
        checked = ArgumentSpecValidator(spec, required_together=TOGETHER).validate(kwargs)
        if checked.error_messages:
            raise AnsibleLookupError(f"verified: {' '.join(checked.error_messages)}")
        try:
            check_strings(spec, kwargs)
            return _pinned(checked.validated_parameters, terms)
        except MissingLibrary as exc:
            raise AnsibleLookupError(f"verified needs the Python library {exc} on the controller.") from None
        except OCIError as exc:
            raise AnsibleLookupError(str(exc)) from None


def _pinned(params: dict[str, t.Any], terms: list[str]) -> list[str]:
    references = [Reference.parse(term) for term in terms]
    demand = parse_demand({name: params[name] for name in VERIFY}, time.time())
    session = session_from({**params, "names": terms}, _run_command)
    found = session.map(lambda reference: verify(session, reference, demand), references)
    for warning in [*session.transport.warnings, *(text for verdicts in found for text in verdicts.warnings)]:
        display.warning(warning)
    for verdicts in found:
        if verdicts.pinned is None:
            raise AnsibleLookupError(f"{verdicts.reference} is not verified: {verdicts.problem}")
    return [str(verdicts.pinned) for verdicts in found]


def _run_command(command: list[str], text: str) -> tuple[int, str]:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError:
        return 127, "it is not on PATH"
    return done.returncode, done.stdout
