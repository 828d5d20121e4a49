#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_blob
short_description: Save a blob of a container registry (OCI, Docker) in a file
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Saves a blob, such as a layer, a config or a file of an artifact, byte for byte.
  - The file appears when all of it has come and its digest was found right. If that fails, what was there stays.
  - A file that has the digest already is left alone, and the registry is not asked.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
options:
  name:
    description: The blob, as V(registry/repository@digest).
    type: str
    required: true
  path:
    description:
      - The file to write. Its folder must exist.
      - A new file has the mode V(0644) minus the umask; one that is there keeps its mode and owner.
    type: path
    required: true
seealso:
  - module: quayside.registry.oci_manifest_info
  - module: quayside.registry.oci_pull
"""

EXAMPLES = r"""
- name: Look at an image
  quayside.registry.oci_manifest_info:
    name: localhost:5000/team/app:1.4.2
    platform: linux/amd64
  register: image

- name: Save its first layer
  quayside.registry.oci_blob:
    name: localhost:5000/team/app@{{ image.manifest.layers[0].digest }}
    path: /tmp/layer.tar.gz
"""

RETURN = r"""
path: {type: str, returned: success, description: The file.}
size: {type: int, returned: success, description: Its size in bytes.}
digest: {type: str, returned: success, description: Its digest.}
previous_digest: {type: str, returned: success, description: "The digest that the file had, or null."}
reference: {type: str, returned: success, description: The full name of the blob.}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Write localhost:5000/team/app@sha256:2a3f51... (1470 bytes) to /tmp/layer.tar.gz."]
diff:
  description: The digest of the file, or null.
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
    bytes_sent: {type: int, description: Bytes of content sent.}
    bytes_received: {type: int, description: Bytes of content received.}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs mounted from another repository.}
    blobs_skipped: {type: int, description: Blobs that were there.}
    seconds_waited: {type: int, description: Seconds of waiting that a registry asked for or that followed trouble.}
"""

from ..module_utils._main import run
from ..module_utils._options import NAME, plans
from ..module_utils._verbs.blob import plan_blob

DECLARATION = plans(
    plan_blob,
    {
        **NAME,
        "path": {"type": "path", "required": True},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
