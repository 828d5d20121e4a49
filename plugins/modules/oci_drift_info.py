#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_drift_info
short_description: Compare what runs with what a container registry (OCI, Docker) has now
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Says of each image that runs somewhere whether its name still points at it, and on demand whether it is signed and
    whether its base has moved on.
  - What runs comes from facts, such as the C(RepoDigests) of C(community.docker.docker_host_info) and
    C(containers.podman.podman_container_info), or the C(imageID) of pods. The identifier that Docker gives an image is
    the digest of its config, and no digest that a registry knows the image by.
  - A host may run an image of an index by its own digest, or by that of the index. Both are current if the name points
    at that index.
  - Each name is asked for once, whatever number of hosts run it, and names are asked for side by side. Where digests
    agree, that takes one request, and no pull is counted.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._looks.verify
options:
  images:
    description: What runs. An empty list is nothing to do.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name that it was started by, such as V(registry/repository:tag).
        type: str
        required: true
      digest:
        description: The digest that it runs with. What stands before an C(@) in it is left out.
        type: str
        required: true
      where:
        description: Where it runs, such as the name of a host. It is returned as it is.
        type: str
  base:
    description:
      - Whether to look for newer bases, too, as M(quayside.registry.oci_base_info) does. Of an index that runs by its
        own digest, each image counts.
      - An image that does not tell its base fails the task with the code V(BASE_UNKNOWN); the results are the same.
    type: bool
    default: false
seealso:
  - module: quayside.registry.oci_base_info
  - module: quayside.registry.oci_verify
"""

EXAMPLES = r"""
- name: Compare what runs with the registry
  quayside.registry.oci_drift_info:
    images:
      - name: localhost:5000/team/app:stable
        digest: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
        where: web1.example.com
      - name: localhost:5000/team/app:stable
        digest: sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35
        where: web2.example.com
    verify:
      keys: [/etc/containers/release.pub]
  register: fleet

- name: Show what has drifted
  ansible.builtin.debug:
    msg: "{{ fleet.images | rejectattr('state', 'equalto', 'current') }}"
  when: fleet.drifted
"""

RETURN = r"""
drifted: {type: bool, returned: success, description: Whether any state is another one than V(current).}
images:
  description: What was given, with what was found out, in the same order.
  type: list
  elements: dict
  returned: success
  contains:
    name: {type: str, description: The name as it was given.}
    digest: {type: str, description: The digest as it was given.}
    where: {type: str, description: "Where it runs as it was given, or null."}
    state:
      description:
        - The first of these that holds. V(missing), the name does not exist any more. V(outdated), it points at
          another image. V(unsigned), the image is not signed as O(verify) demands. V(outdated_base), there is a newer
          base. Else V(current).
      type: str
    latest_digest: {type: str, description: "What the name points at now, or null if it does not exist."}
    reference: {type: str, description: "The name with that digest, or null."}
    verified:
      description: Whether it is signed as demanded; null without O(verify), and where it is missing or outdated.
      type: bool
    base: {type: str, description: "The name of its base; null without O(base), and where it is missing or outdated."}
    base_digest: {type: str, description: "The digest of the base that it was built on, or null."}
    latest_base_digest: {type: str, description: "What the name of the base points at now, or null."}
    problem: {type: str, description: "Why it is not verified, or why nothing is known of its base, or null."}
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
from ..module_utils._options import TRUST, looks
from ..module_utils._verbs.drift_info import drift_info

DECLARATION = looks(
    drift_info,
    {
        "images": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "digest": {"type": "str", "required": True},
                "where": {"type": "str"},
            },
        },
        "verify": {"type": "dict", "options": TRUST},
        "base": {"type": "bool", "default": False},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
