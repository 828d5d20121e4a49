#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_tag
short_description: Tag an image in a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
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
seealso:
  - module: quayside.registry.oci_copy
  - module: quayside.registry.oci_delete
"""

EXAMPLES = r"""
- name: Release an image
  quayside.registry.oci_tag:
    name: localhost:5000/team/app:1.4.2
    tags: ["1.4", latest]
  register: release

- name: Say what has moved
  ansible.builtin.debug:
    msg: "{{ release.actions }}"

- name: Give a digest a name that must never move
  quayside.registry.oci_tag:
    name: "{{ release.reference }}"
    tags: [2025-01-31]
    on_existing: fail
"""

RETURN = r"""
reference:
  description: The image's name with the digest.
  type: str
  returned: success
  sample: localhost:5000/team/app@sha256:98d6e2...
digest:
  description: The image's digest.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest).
  type: str
  returned: success
  sample: application/vnd.oci.image.index.v1+json
previous_digest:
  description: What the tag pointed at, or null if it did not exist or O(tags) has several.
  type: str
  returned: success
  sample: sha256:0b44f0...
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
  sample: [{tag: latest, digest: sha256:98d6e2..., previous_digest: sha256:0b44f0..., changed: true}]
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/team/app:latest as sha256:98d6e2... (was sha256:0b44f0...)."]
diff:
  description: The digest of each tag.
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
    requests: {type: int, description: HTTP requests made.}
    bytes_sent: {type: int, description: Bytes of manifests and blobs sent.}
    bytes_received: {type: int, description: "Bytes of manifests, blobs, and lists received."}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs that the registry took from another of its repositories.}
    blobs_skipped: {type: int, description: Blobs that were there already.}
  sample: {requests: 4, bytes_sent: 1610, bytes_received: 1610, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._runner import finish
from ansible_collections.quayside.registry.plugins.module_utils._verbs.tag import plan_tag


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "tags": {"type": "list", "elements": "str", "required": True},
        "on_existing": {"type": "str", "default": "replace", "choices": ["replace", "keep", "fail"]},
    }
    run_module(spec, plan_tag, finish=finish)


if __name__ == "__main__":
    main()
