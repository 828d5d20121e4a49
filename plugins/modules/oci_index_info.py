#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_index_info
short_description: List the images of an index in a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Returns the members of an index (also called manifest list, or multi-platform image) in their order.
  - An index that does not exist is no error; see RV(exists). An image that is no index is one.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
seealso:
  - module: quayside.registry.oci_manifest_info
"""

EXAMPLES = r"""
- name: List what a multi-platform image has
  quayside.registry.oci_index_info:
    name: localhost:5000/debian:12
  register: debian

- name: Show its platforms, without its attestations
  ansible.builtin.debug:
    msg: "{{ debian.manifests | map(attribute='platform') | select | reject('eq', 'unknown/unknown') }}"
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
  description: The digest of the index, or null if it does not exist.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null if it does not exist.
  type: str
  returned: success
  sample: application/vnd.oci.image.index.v1+json
manifests:
  description: The members; none if the index does not exist.
  type: list
  elements: dict
  returned: success
  contains:
    digest: {type: str, description: The digest of the member.}
    platform: {type: str, description: "Its platform, or null. Attestations have V(unknown/unknown)."}
    media_type: {type: str, description: Its media type.}
    size: {type: int, description: The size of its manifest in bytes.}
    annotations: {type: dict, description: Its annotations in the index.}
  sample:
    - digest: sha256:0b44f0...
      platform: linux/amd64
      media_type: application/vnd.oci.image.manifest.v1+json
      size: 1042
      annotations: {}
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
  sample: {requests: 1, bytes_sent: 0, bytes_received: 1610, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._verbs.index_info import index_info


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
    }
    run_module(spec, index_info)


if __name__ == "__main__":
    main()
