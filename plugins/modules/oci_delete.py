#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: oci_delete
short_description: Delete a tag or an image from a container registry (OCI, Docker)
version_added: 0.1.0
author:
  - Quayside contributors (@quayside)
description:
  - Removes a tag, or, where O(name) has a digest, a manifest with all its tags.
  - Where the registry cannot remove a tag alone, the manifest is deleted, but only if nothing else uses it.
  - What does not exist is no error. The space of blobs is freed by the registry, when it collects garbage.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
options:
  force:
    description:
      - Delete a manifest also where other tags point at it, or a tagged index contains it. These are broken then.
    type: bool
    default: false
notes:
  - Docker Hub, GHCR, and others do not allow deletes this way. CNCF distribution (C(registry), C(docker-registry))
    wants C(storage.delete.enabled=true) for it.
seealso:
  - module: quayside.registry.oci_tag
"""

EXAMPLES = r"""
- name: Delete a tag
  quayside.registry.oci_delete:
    name: localhost:5000/team/app:1.3.0
  register: gone

- name: Say what is no longer there
  ansible.builtin.debug:
    msg: "Tags {{ gone.untagged }}, manifests {{ gone.deleted }}"

- name: Look up another
  quayside.registry.oci_digest_info:
    name: localhost:5000/team/app:1.2.0
  register: old

- name: Delete that image with all its tags
  quayside.registry.oci_delete:
    name: "{{ old.reference }}"
    force: true
  when: old.exists
"""

RETURN = r"""
reference:
  description: The image's name with the digest, or null if it did not exist.
  type: str
  returned: success
  sample: localhost:5000/team/app@sha256:98d6e2...
digest:
  description: The image's digest, or null if it did not exist.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null as RV(digest) is.
  type: str
  returned: success
  sample: application/vnd.oci.image.index.v1+json
previous_digest:
  description: The same as RV(digest), or null.
  type: str
  returned: success
  sample: sha256:0b44f0...
deleted:
  description: The digests of deleted manifests.
  type: list
  elements: str
  returned: success
  sample: []
untagged:
  description: The removed tags, those of a deleted manifest included.
  type: list
  elements: str
  returned: success
  sample: [1.3.0]
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Remove the tag localhost:5000/team/app:1.3.0."]
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
    requests: {type: int, description: HTTP requests made.}
    bytes_sent: {type: int, description: Bytes of manifests and blobs sent.}
    bytes_received: {type: int, description: "Bytes of manifests, blobs, and lists received."}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs that the registry took from another of its repositories.}
    blobs_skipped: {type: int, description: Blobs that were there already.}
  sample: {requests: 5, bytes_sent: 0, bytes_received: 0, blobs_pushed: 0, blobs_mounted: 0, blobs_skipped: 0}
"""

from ansible_collections.quayside.registry.plugins.module_utils._module import run_module
from ansible_collections.quayside.registry.plugins.module_utils._runner import finish
from ansible_collections.quayside.registry.plugins.module_utils._verbs.delete import plan_delete


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "force": {"type": "bool", "default": False},
    }
    run_module(spec, plan_delete, finish=finish)


if __name__ == "__main__":
    main()
