#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_config_info
short_description: Read an image's config from a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
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
"""

EXAMPLES = r"""
- name: Get the labels of an image
  quayside.registry.oci_config_info:
    name: localhost:5000/team/app:1.4.2
    query: config.Labels
  register: app

- name: Show when it was made
  ansible.builtin.debug:
    msg: "{{ app.query_result['org.opencontainers.image.created'] }}"
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
config:
  description: The config, or null if the image does not exist.
  type: dict
  returned: success
  sample: {os: linux, architecture: amd64, config: {Cmd: [bash]}}
query_result: {type: raw, returned: success, description: "What O(query) found in RV(config), or null."}
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
from ..module_utils._verbs.config_info import config_info

DECLARATION = looks(
    config_info,
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
