#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_delete
short_description: Delete tags and images from a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Removes a tag, or, where O(name) has a digest, a manifest with all its tags.
  - Where the registry cannot remove a tag alone, the manifest is deleted, but only if nothing else uses it. Some
    registries tell this only when they are asked to remove the tag; RV(actions) then names both outcomes.
  - Where the registry turns out to remove the manifest with the tag, it is put back, with its other tags, if these or
    an index need it.
  - What does not exist is no error. The space of blobs is freed by the registry, when it collects garbage.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
options:
  name:
    description:
      - What to delete, as V(registry/repository:tag) or V(registry/repository@digest). No tag is implied.
    type: str
  names:
    description:
      - Several of these, at once. The tags of a repository are then looked at once for all of them.
      - An index and what it contains, or all tags of a manifest, may go together.
    type: list
    elements: str
  force:
    description:
      - Delete a manifest also where other tags point at it, or a tagged index contains it. These are broken then.
      - What goes with a tag is not put back then.
    type: bool
    default: false
notes:
  - Docker Hub, GHCR, and others do not allow deletes this way. CNCF distribution (C(registry), C(docker-registry))
    wants C(storage.delete.enabled=true) for it.
"""

EXAMPLES = r"""
- name: Delete a tag
  quayside.registry.oci_delete:
    name: localhost:5000/team/app:1.3.0

- name: Delete several tags
  quayside.registry.oci_delete:
    names:
      - localhost:5000/team/app:1.1.0
      - localhost:5000/team/app:1.2.0

- name: Delete an image with all its tags
  quayside.registry.oci_delete:
    name: localhost:5000/team/app@{{ old_digest }}
    force: true
"""

RETURN = r"""
reference:
  description: The image's name with the digest, or null if it did not exist or there are several.
  type: str
  returned: success
digest: {type: str, returned: success, description: "The image's digest, or null, as RV(reference)."}
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null."}
previous_digest: {type: str, returned: success, description: "The same as RV(digest), or null."}
deleted:
  description:
    - The digests of deleted manifests.
    - A manifest that goes because its registry turns out to be unable to remove a tag alone is named in RV(actions).
  type: list
  elements: str
  returned: success
untagged: {type: list, elements: str, returned: success, description: "The removed tags, also a deleted manifest's."}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Delete the manifest localhost:5000/team/app@sha256:98d6e2..., and with it the tags 1.3.0."]
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
from ..module_utils._options import plans
from ..module_utils._verbs.delete import plan_delete

DECLARATION = plans(
    plan_delete,
    {
        "name": {"type": "str"},
        "names": {"type": "list", "elements": "str"},
        "force": {"type": "bool", "default": False},
    },
    mutually_exclusive=[("name", "names")],
    required_one_of=[("name", "names")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
