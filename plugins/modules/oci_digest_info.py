#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_digest_info
short_description: Get the digest of an image in a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Finds out which digest a tag points at, with one HEAD request, which registries do not count as a pull.
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.platform
seealso:
  - module: quayside.registry.oci_manifest_info
"""

EXAMPLES = r"""
- name: Look up the digest of an image
  quayside.registry.oci_digest_info:
    name: localhost:5000/debian:12
  register: debian

- name: Use exactly that image from now on
  ansible.builtin.set_fact:
    base_image: "{{ debian.reference }}"

- name: Wait until the build has pushed its image
  quayside.registry.oci_digest_info:
    name: localhost:5000/team/app:1.4.2
  register: app
  until: app.exists
  retries: 10
  delay: 5

- name: Look up the image for arm64
  quayside.registry.oci_digest_info:
    name: localhost:5000/debian:12
    platform: linux/arm64
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
  description: The digest of the image, or of its index, or null if it does not exist.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null if it does not exist.
  type: str
  returned: success
  sample: application/vnd.oci.image.index.v1+json
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
  sample: {requests: 1, bytes_sent: 0, bytes_received: 0, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._verbs.digest_info import digest_info


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "platform": {"type": "str"},
    }
    run_module(spec, digest_info)


if __name__ == "__main__":
    main()
