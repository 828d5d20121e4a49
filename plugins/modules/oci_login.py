#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_login
short_description: Log in to or out of a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Stores a username and password for a registry in the file, or through the credential helper, that C(docker),
    C(podman), C(skopeo), C(crane), and the modules of this collection read; or removes them from all of these.
  - Nothing is written if the same credentials are stored already. Other entries and settings in the file are kept.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
options:
  registry:
    description:
      - The registry, as V(host) or V(host:port). Docker Hub is V(docker.io).
      - With a path behind it, as in V(quay.io/team), the credentials are for the repositories below that path, which
        C(podman) and this collection understand and C(docker) does not.
    type: str
    required: true
  username:
    description: The user. Required when O(state=present).
    type: str
  password:
    description:
      - The password, or an access token that the registry takes as one. Required when O(state=present).
      - It is stored as it is, only encoded, in a file that none but its owner can read, unless a credential helper is
        set up in that file. Where it is stored already, in a file that others can read, the task warns.
    type: str
  state:
    description:
      - V(present) stores the credentials.
      - V(absent) removes them from every file and helper in which they would be found, so that no older ones are used
        from then on. With O(auth_file), that file alone is searched.
    type: str
    default: present
    choices: [present, absent]
  auth_file:
    description:
      - The file to change, in the format that C(docker login) and C(podman login) write. It is created if needed.
      - "Without it, it is one of these: the file that E(REGISTRY_AUTH_FILE) names; C(containers/auth.json) in
        E(XDG_RUNTIME_DIR); C(containers/auth.json) in E(XDG_CONFIG_HOME) or C(~/.config); C(config.json) in
        E(DOCKER_CONFIG); C(~/.docker/config.json). The first that has credentials for the registry is taken, else the
        first that exists, else the first."
      - Where the file names a credential helper for the registry, in C(credHelpers) or C(credsStore), the program
        C(docker-credential-NAME) stores the credentials instead, and an entry for the registry that is in the file
        from earlier days is removed from it. Helpers know whole registries alone, so that a path behind O(registry) is
        refused for such a file, unless the file has an entry for it already.
    type: path
    aliases: [authfile]
  verify:
    description: Try the credentials at the registry before they are stored, and fail if it does not let them in.
    type: bool
    default: true
seealso:
  - module: quayside.registry.oci_login_info
"""

EXAMPLES = r"""
- name: Log in to a registry
  quayside.registry.oci_login:
    registry: localhost:5001
    username: ci
    password: "{{ registry_password }}"
  register: login

- name: Use the login with another tool
  ansible.builtin.command:
    argv: [skopeo, list-tags, --tls-verify=false, --authfile, "{{ login.auth_file }}", "docker://localhost:5001/team/app"]
  changed_when: false

- name: Prepare the login for podman, while the registry is not up yet
  quayside.registry.oci_login:
    registry: localhost:5001
    username: ci
    password: "{{ registry_password }}"
    auth_file: ~/.config/containers/auth.json
    verify: false

- name: Log out
  quayside.registry.oci_login:
    registry: localhost:5001
    state: absent
"""

RETURN = r"""
auth_file:
  description: The file that has, or had, the credentials, or that names the credential helper.
  type: str
  returned: success
  sample: /home/ci/.docker/config.json
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Store the credentials of ci for localhost:5001 in /home/ci/.docker/config.json."]
diff:
  description: Whose credentials are stored, and where. A new password for the same user shows no difference.
  type: dict
  returned: in diff mode
  contains:
    before: {type: dict, description: What was there.}
    after: {type: dict, description: What is there now.}
  sample:
    before: {registry: "localhost:5001", stored_in: /home/ci/.docker/config.json, username: null}
    after: {registry: "localhost:5001", stored_in: /home/ci/.docker/config.json, username: ci}
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
from ..module_utils._options import plans
from ..module_utils._verbs.login import plan_login

DECLARATION = plans(
    plan_login,
    {
        "registry": {"type": "str", "required": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "auth_file": {"type": "path", "aliases": ["authfile"]},
        "verify": {"type": "bool", "default": True},
    },
    required_if=[("state", "present", ["username", "password"])],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
