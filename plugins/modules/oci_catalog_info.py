#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_catalog_info
short_description: List the repositories of a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Returns the names of the repositories that a registry shows.
  - Many registries show none, such as Docker Hub and GHCR, or show them to administrators alone. This is an error then.
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
  register: catalog

- name: List the tags of each
  quayside.registry.oci_tag_info:
    name: localhost:5000/{{ item }}
  loop: "{{ catalog.repositories }}"
"""

RETURN = r"""
repositories:
  description: The names, sorted, without the registry.
  type: list
  elements: str
  returned: success
  sample: [team/app, team/web]
query_result:
  description: What O(query) found in RV(repositories), or null.
  type: raw
  returned: success
  sample: ["team/app"]
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
  sample: {requests: 1, bytes_sent: 0, bytes_received: 48, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._verbs.catalog_info import catalog_info


def main() -> None:
    spec = {
        "registry": {"type": "str", "required": True},
        "prefix": {"type": "str"},
        "include": {"type": "list", "elements": "str", "default": []},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "limit": {"type": "int"},
        "query": {"type": "str"},
    }
    run_module(spec, catalog_info)


if __name__ == "__main__":
    main()
