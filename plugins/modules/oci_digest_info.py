#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_digest_info
short_description: Get the digest of an image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Finds out which digest a tag points at, with one HEAD request, which registries do not count as a pull.
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.platform
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
  until: app is success and app.exists
  retries: 10
  delay: 5
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
from ..module_utils._options import NAME, PLATFORM, looks
from ..module_utils._verbs.digest_info import digest_info

DECLARATION = looks(
    digest_info,
    {
        **NAME,
        **PLATFORM,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
