#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_tag
short_description: Tag an image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Makes tags point at an image that is in the same repository already. Nothing but the manifest is sent.
  - To tag it in another repository or registry, use M(quayside.registry.oci_copy).
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
options:
  tags:
    description: The tags to set, such as V(latest), without the name of the repository.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Release an image
  quayside.registry.oci_tag:
    name: localhost:5000/team/app:1.4.2
    tags: ["1.4", latest]
  register: release

- name: Give a digest a name that must never move
  quayside.registry.oci_tag:
    name: "{{ release.reference }}"
    tags: ["2025-01-31"]
    on_existing: fail
"""

RETURN = r"""
reference: {type: str, returned: success, description: The image's name with the digest.}
digest: {type: str, returned: success, description: The image's digest.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest:
  description: What the tag pointed at, or null if it did not exist or O(tags) has several.
  type: str
  returned: success
tags:
  description: What became of each tag.
  type: list
  elements: dict
  returned: success
  contains:
    tag: {type: str, description: The tag.}
    digest: {type: str, description: What it points at now.}
    previous_digest: {type: str, description: "What it pointed at, or null."}
    changed: {type: bool, description: Whether it was set.}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/team/app:latest as sha256:98d6e2... (was sha256:0b44f0...)."]
diff:
  description: The digest of each name.
  type: dict
  returned: in diff mode
  contains:
    before: {type: dict, description: What was there.}
    after: {type: dict, description: What is there now.}
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
from ..module_utils._options import NAME, ON_EXISTING, plans
from ..module_utils._verbs.tag import plan_tag

DECLARATION = plans(
    plan_tag,
    {
        **NAME,
        "tags": {"type": "list", "elements": "str", "required": True},
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
