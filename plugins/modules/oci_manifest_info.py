#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_manifest_info
short_description: Read a manifest from a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Returns the manifest of an image, or the index of a multi-platform image, parsed and as the exact text.
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.platform
  - quayside.registry._image.query
seealso:
  - module: quayside.registry.oci_config_info
  - module: quayside.registry.oci_index_info
"""

EXAMPLES = r"""
- name: Read the manifest for one platform
  quayside.registry.oci_manifest_info:
    name: localhost:5000/debian:12
    platform: linux/amd64
  register: debian

- name: Show how much there is to download
  ansible.builtin.debug:
    msg: "{{ debian.manifest.layers | sum(attribute='size') }} bytes"

- name: Get the digests of the layers alone
  quayside.registry.oci_manifest_info:
    name: localhost:5000/debian:12
    platform: linux/amd64
    query: layers[].digest
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
  description: The digest of the manifest, or null if it does not exist.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null if it does not exist.
  type: str
  returned: success
  sample: application/vnd.oci.image.manifest.v1+json
manifest:
  description: The manifest or index, or null if it does not exist.
  type: dict
  returned: success
  sample: {schemaVersion: 2, config: {digest: sha256:2a3f51..., size: 1470}, layers: []}
raw:
  description: The exact text, whose SHA-256 is the digest, or null if it does not exist.
  type: str
  returned: success
  sample: '{"schemaVersion":2}'
size:
  description: The length of RV(raw) in bytes, or null if it does not exist.
  type: int
  returned: success
  sample: 1042
query_result:
  description: What O(query) found in RV(manifest), or null.
  type: raw
  returned: success
  sample: ["sha256:2a3f51..."]
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
  sample: {requests: 1, bytes_sent: 0, bytes_received: 1042, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._verbs.manifest_info import manifest_info


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "platform": {"type": "str"},
        "query": {"type": "str"},
    }
    run_module(spec, manifest_info)


if __name__ == "__main__":
    main()
