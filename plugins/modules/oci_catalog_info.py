#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_catalog_info
short_description: List the repositories of a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the names of the repositories that a registry shows.
  - Many registries show none, such as Docker Hub and GHCR, or show them to administrators alone. This is an error then.
  - What a registry lists that cannot be the name of a repository is left out, with a warning.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image.patterns
  - quayside.registry._image.query
options:
  registry:
    description: The registry, as V(host) or V(host:port).
    type: str
    required: true
  prefix:
    description: Keep only names that start with this.
    type: str
  limit:
    description: Stop when there are this many that fit.
    type: int
"""

EXAMPLES = r"""
- name: List the repositories of a team
  quayside.registry.oci_catalog_info:
    registry: localhost:5000
    prefix: team/
    exclude: ["-cache$"]
"""

RETURN = r"""
repositories: {type: list, elements: str, returned: success, description: "The names, sorted.", sample: [team/app]}
query_result: {type: raw, returned: success, description: "What O(query) found in RV(repositories), or null."}
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
from ..module_utils._options import PATTERNS, QUERY, looks
from ..module_utils._verbs.catalog_info import catalog_info

DECLARATION = looks(
    catalog_info,
    {
        "registry": {"type": "str", "required": True},
        "prefix": {"type": "str"},
        **PATTERNS,
        "limit": {"type": "int"},
        **QUERY,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
