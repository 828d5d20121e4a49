#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_config_info
short_description: Read an image's config from a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Returns labels, environment, command, history, and all else that the config of an image holds, without pulling it.
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.platform
  - quayside.registry._image.query
options:
  platform:
    description:
      - Which image of an index (multi-platform image) to read, such as V(linux/arm64) or V(linux/arm/v7).
      - Without it, V(linux/amd64) is read. It is an error if the index does not have it.
seealso:
  - module: quayside.registry.oci_manifest_info
"""

EXAMPLES = r"""
- name: Read the config of an image
  quayside.registry.oci_config_info:
    name: localhost:5000/team/app:1.4.2
  register: app

- name: Show its labels
  ansible.builtin.debug:
    msg: "{{ app.config.config.Labels | default({}) }}"

- name: Get the environment of the arm64 image alone
  quayside.registry.oci_config_info:
    name: localhost:5000/team/app:1.4.2
    platform: linux/arm64
    query: config.Env
"""

RETURN = r"""
exists:
  description: Whether there is such an image.
  type: bool
  returned: success
  sample: true
reference:
  description: The image's name with the digest, or null if it does not exist.
  type: str
  returned: success
  sample: localhost:5000/debian@sha256:98d6e2...
digest:
  description: The digest of the image's manifest, or null if it does not exist.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null if it does not exist.
  type: str
  returned: success
  sample: application/vnd.oci.image.manifest.v1+json
config:
  description: The config, or null if the image does not exist.
  type: dict
  returned: success
  sample: {os: linux, architecture: amd64, config: {Cmd: [bash]}, rootfs: {type: layers, diff_ids: []}}
query_result:
  description: What O(query) found in RV(config), or null.
  type: raw
  returned: success
  sample: ["PATH=/usr/bin:/bin"]
transfer:
  description: What went over the wire.
  type: dict
  returned: success
  contains:
    requests: {type: int, description: HTTP requests made.}
    bytes_sent: {type: int, description: Bytes of manifests and blobs sent.}
    bytes_received: {type: int, description: "Bytes of manifests, blobs, and lists received."}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs that the registry took from another of its repositories.}
    blobs_skipped: {type: int, description: Blobs that were there already.}
  sample: {requests: 3, bytes_sent: 0, bytes_received: 3512, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._verbs.config_info import config_info


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "platform": {"type": "str"},
        "query": {"type": "str"},
    }
    run_module(spec, config_info)


if __name__ == "__main__":
    main()
