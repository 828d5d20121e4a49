#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_tag_info
short_description: List the tags of a repository in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the tags of a repository, chosen by regular expressions and version ranges, or the newest of these.
  - A repository that does not exist has no tags, which is no error. What a registry lists that cannot be a tag is left
    out, with a warning.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.patterns
  - quayside.registry._image.tag_rules
  - quayside.registry._image.query
options:
  name:
    description: The repository, as V(registry/repository), without a tag or a digest.
  digests:
    description: Find out what each tag points at, with one request for each.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Find the newest release below 2.0, and its digest
  quayside.registry.oci_tag_info:
    name: localhost:5000/team/app
    semver: ">=1.2 <2"
    newest: 1
    digests: true
  register: app

- name: Call it stable
  quayside.registry.oci_tag:
    name: localhost:5000/team/app@{{ app.digests[app.tags[0]] }}
    tags: [stable]
  when: app.tags | length > 0

- name: Find the two newest patches of each minor version
  quayside.registry.oci_tag_info:
    name: localhost:5000/team/app
    newest: 2
    per: '^v?(\d+\.\d+)'
"""

RETURN = r"""
tags: {type: list, elements: str, returned: success, description: "The tags by name, or with O(newest) by version."}
references:
  description: The same tags as full names.
  type: list
  elements: str
  returned: success
  sample: ["localhost:5000/team/app:1.4.2"]
digests:
  description: The digest of each tag, or null without O(digests).
  type: dict
  returned: success
  sample: {1.4.2: sha256:98d6e2...}
query_result:
  description: What O(query) found in a dictionary of RV(tags), RV(references), and RV(digests), or null.
  type: raw
  returned: success
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
from ..module_utils._options import NAME, QUERY, TAG_RULES, looks
from ..module_utils._verbs.tag_info import tag_info

DECLARATION = looks(
    tag_info,
    {
        **NAME,
        **TAG_RULES,
        "digests": {"type": "bool", "default": False},
        **QUERY,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
