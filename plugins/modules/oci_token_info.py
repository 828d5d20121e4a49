#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_token_info
short_description: Get a bearer token for a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Asks the token server of a registry for a token for one repository, for use with other tools. Where a
    C(registry_token) is set for the registry, in O(registries) or in a file, that is the token.
  - It is an error if the registry works without tokens, as those with a plain user name and password do.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
options:
  name:
    description: The repository, as V(registry/repository), without a tag or a digest.
  access:
    description: The actions that the token should allow. The registry may grant less.
    type: list
    elements: str
    default: [pull]
    choices: [pull, push, delete]
notes:
  - The token is a secret. A result with a token is neither shown nor logged, as if the task had C(no_log=true), and
    what is registered is whole. A failure is shown.
  - What uses the token later shows it, C(debug) as well as any module that repeats its options, and so does
    C(async_status), for a task with C(async) and C(poll=0). Set C(no_log=true) there.
  - Of a task with C(async), a failure is hidden too. Leave C(async) out to read it.
"""

EXAMPLES = r"""
- name: Get a token to read and write a repository
  quayside.registry.oci_token_info:
    name: localhost:5001/team/app
    access: [pull, push]
  register: access

- name: Ask the registry something that no module asks
  ansible.builtin.uri:
    url: http://localhost:5001/v2/team/app/tags/list
    headers:
      Authorization: Bearer {{ access.token }}
  no_log: true
"""

RETURN = r"""
token: {type: str, returned: success, description: The token. It is a secret.}
expires_at:
  description: When the token ends, by RFC 3339, in UTC; null where that is not known, as of a C(registry_token).
  type: str
  returned: success
  sample: "2025-01-31T12:05:00Z"
transfer:
  description: What went over the wire.
  type: dict
  returned: success
  contains:
    requests: {type: int, description: HTTP requests.}
    bytes_sent: {type: int, description: Content sent.}
    bytes_received: {type: int, description: Content received.}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs mounted.}
    blobs_skipped: {type: int, description: Blobs that were there.}
    seconds_waited: {type: int, description: Seconds of waiting that a registry asked for or that followed trouble.}
"""

from ..module_utils._main import run
from ..module_utils._options import NAME, looks
from ..module_utils._verbs.token_info import token_info

DECLARATION = looks(
    token_info,
    {
        **NAME,
        "access": {"type": "list", "elements": "str", "default": ["pull"], "choices": ["pull", "push", "delete"]},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
