#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_index_info
short_description: List the images of an index in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the members of an index (also called manifest list, or multi-platform image) in their order.
  - An index that does not exist is no error; see RV(exists). An image that is no index is one.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
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
exists: {type: bool, returned: success, description: Whether there is such an image.}
reference:
  description: The name with the digest, or null if it does not exist.
  type: str
  returned: success
  sample: localhost:5000/debian@sha256:98d6e2...
digest: {type: str, returned: success, description: "The digest, or null."}
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null."}
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
from ..module_utils._verbs.index_info import index_info

DECLARATION = looks(
    index_info,
    {
        **NAME,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
