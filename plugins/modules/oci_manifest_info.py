#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_manifest_info
short_description: Read a manifest from a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the manifest of an image, or the index of a multi-platform image, parsed and as the exact text.
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.platform
  - quayside.registry._image.query
"""

EXAMPLES = r"""
- name: Read the manifest for one platform
  quayside.registry.oci_manifest_info:
    name: localhost:5000/debian:12
    platform: linux/amd64
    query: sum(layers[].size)
  register: debian

- name: Show how much there is to download
  ansible.builtin.debug:
    msg: "{{ debian.query_result }} bytes"
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
manifest:
  description: The manifest or index, or null if it does not exist.
  type: dict
  returned: success
  sample: {schemaVersion: 2, config: {digest: sha256:2a3f51..., size: 1470}, layers: []}
raw: {type: str, returned: success, description: "The exact text, whose hash is the digest, or null."}
size: {type: int, returned: success, description: "The length of RV(raw) in bytes, or null."}
query_result: {type: raw, returned: success, description: "What O(query) found in RV(manifest), or null."}
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
from ..module_utils._options import NAME, PLATFORM, QUERY, looks
from ..module_utils._verbs.manifest_info import manifest_info

DECLARATION = looks(
    manifest_info,
    {
        **NAME,
        **PLATFORM,
        **QUERY,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
