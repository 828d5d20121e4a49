#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_login_info
short_description: Find out which login is used for a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Tells whose credentials the modules of this collection would use for a registry, and where these come from, but
    not the credentials themselves.
  - No request is made. To try them, use M(quayside.registry.oci_login) or M(quayside.registry.oci_token_info).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
options:
  registry:
    description: The registry, as V(host) or V(host:port), or a repository of it, as V(host/repository).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See who we are at a registry
  quayside.registry.oci_login_info:
    registry: localhost:5001
  register: login

- name: Refuse to work anonymously
  ansible.builtin.assert:
    that: login.source is not none
    fail_msg: Nobody is logged in to localhost:5001 on {{ inventory_hostname }}.
"""

RETURN = r"""
source:
  description: The file or credential helper that has the credentials, V(the task's options), or null if there are none.
  type: str
  returned: success
  sample: /home/ci/.docker/config.json
username: {type: str, returned: success, description: "The user, or null if there is none, as with tokens."}
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
from ..module_utils._options import looks
from ..module_utils._verbs.login_info import login_info

DECLARATION = looks(
    login_info,
    {
        "registry": {"type": "str", "required": True},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
