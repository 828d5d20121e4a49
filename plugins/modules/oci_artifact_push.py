#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_artifact_push
short_description: Store files in a container registry (OCI, Docker) as an artifact
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Stores any files, such as charts, policies, SBOMs or firmware, in the layout that ORAS reads and writes.
  - The same files give the same digest on every host, and what is there is not sent again.
  - Files of any size take the same memory.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
options:
  name:
    description:
      - The artifact, as V(registry/repository:tag). The tag is V(latest) where there is none.
      - With O(subject) and no tag it gets none, and is found as a referrer.
  artifact_type:
    description: What it is, as a media type.
    type: str
    required: true
  files:
    description: The files, in order.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path of a file on the target. Folders are not taken; pack them first.
        type: path
      content:
        description: The text itself, instead of O(files[].path).
        type: str
      media_type:
        description: What it is. The default is C(application/octet-stream).
        type: str
      title:
        description:
          - The name under which it is saved again, which may have folders in it, but never leads out of one.
          - The default is the last part of O(files[].path). A text has none, as suits those who look for its media
            type; M(quayside.registry.oci_artifact_pull) and C(oras pull) then do not save it.
        type: str
      annotations:
        description: More annotations of the file.
        type: dict
  annotations:
    description: Annotations of the artifact.
    type: dict
    default: {}
  config:
    description: The config of the artifact, where its kind has one. The default is an empty one.
    type: dict
    suboptions:
      path:
        description: The path of a file on the target.
        type: path
      content:
        description: The text itself, instead of O(config.path).
        type: str
      media_type:
        description: What it is. The default is that of ORAS, C(application/vnd.unknown.config.v1+json).
        type: str
  subject:
    description:
      - What the artifact is about, such as the image that an SBOM describes, in the same repository.
      - It becomes one of its referrers, through the registry's API or the tag that stands in for it.
    type: str
seealso:
  - module: quayside.registry.oci_artifact_pull
  - module: quayside.registry.oci_referrer_info
"""

EXAMPLES = r"""
- name: Store a policy and its readme
  quayside.registry.oci_artifact_push:
    name: localhost:5000/team/policies:1.0
    artifact_type: application/vnd.example.policies
    files:
      - path: /etc/policies/network.rego
        media_type: text/x-rego
      - title: docs/README.txt
        content: Apply these before the first deployment.
        media_type: text/plain

- name: Hang an SBOM on an image
  quayside.registry.oci_artifact_push:
    name: localhost:5000/team/app
    artifact_type: application/spdx+json
    subject: localhost:5000/team/app:1.4.2
    files:
      - path: /tmp/app.spdx.json
        media_type: application/spdx+json
"""

RETURN = r"""
reference: {type: str, returned: success, description: The artifact's name with the digest.}
digest: {type: str, returned: success, description: The artifact's digest.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What the tag pointed at, or null."}
files:
  description: The files of the artifact, in order.
  type: list
  elements: dict
  returned: success
  contains:
    title: {type: str, description: "The name under which it is saved again, or null."}
    digest: {type: str, description: Its digest.}
    size: {type: int, description: Its size in bytes.}
    media_type: {type: str, description: What it is.}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/team/policies:1.0 as sha256:98d6e2...."]
diff:
  description: The digest of the name.
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
from ..module_utils._verbs.artifact_push import plan_artifact_push

DECLARATION = plans(
    plan_artifact_push,
    {
        **NAME,
        "artifact_type": {"type": "str", "required": True},
        "files": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "path"},
                "content": {"type": "str"},
                "media_type": {"type": "str"},
                "title": {"type": "str"},
                "annotations": {"type": "dict"},
            },
        },
        "annotations": {"type": "dict", "default": {}},
        "config": {
            "type": "dict",
            "options": {
                "path": {"type": "path"},
                "content": {"type": "str"},
                "media_type": {"type": "str"},
            },
        },
        "subject": {"type": "str"},
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
