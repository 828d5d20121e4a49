#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_push
short_description: Send an image from a file to a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Sends what M(quayside.registry.oci_pull), C(docker save), C(podman save), C(skopeo) or a build tool wrote.
  - An OCI layout or oci-archive is sent as it is, indexes with all their platforms, and keeps its digest.
  - A docker-archive has no manifest, so one is made, in Docker's format. Layers that are not compressed are compressed.
    Whether the registry has the image already is told by its config, so it does not depend on how this is done.
  - Blobs that the repository has are not sent again. The tag is written last.
  - What is sent of an OCI layout is verified while it is sent. Check mode reads its manifests and looks at the sizes
    of its blobs; M(quayside.registry.oci_validate) reads all of it.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image.on_existing
options:
  path:
    description: The archive, which may be compressed with gzip, bzip2, xz, or zstd, or the folder of an OCI layout.
    type: path
    required: true
  name:
    description:
      - What the image becomes, as V(registry/repository:tag). The tag is V(latest) where none is given.
      - With a digest, the image must have that one.
    type: str
    required: true
  format:
    description:
      - How to read O(path). The default is what it is.
      - C(docker save) writes both archive formats in one since Docker 25. Then it is read as V(oci-archive), unless
        content that its index names is missing, or its layers are not compressed. It is an error if the file then has
        images that its C(manifest.json) does not name, such as other platforms; V(docker-archive) leaves them behind.
    type: str
    choices:
      - docker-archive
      - oci-archive
      - oci-layout
  source_reference:
    description:
      - Which image to send where the file has several, by its full name, its tag, or a digest.
      - The digest is that of the manifest or index, in a docker-archive that of the config (the image ID).
      - V(index.json) sends that file of a layout itself, with all that it names, as one index. Some tools write an
        image of several platforms in this way.
    type: str
seealso:
  - module: quayside.registry.oci_pull
  - module: quayside.registry.oci_copy
"""

EXAMPLES = r"""
- name: Send an image that a build left in a file
  quayside.registry.oci_push:
    path: /tmp/debian.tar
    name: localhost:5000/base/debian:12

- name: Send one of the images of a file
  quayside.registry.oci_push:
    path: /tmp/images.tar
    source_reference: 1.4.2
    name: localhost:5000/team/app:1.4.2
    on_existing: fail
  register: app

- name: Show the pinned reference
  ansible.builtin.debug:
    var: app.reference
"""

RETURN = r"""
reference: {type: str, returned: success, description: The image's name with the digest.}
digest: {type: str, returned: success, description: The digest that O(name) has now.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What O(name) pointed at, or null if it did not exist."}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/base/debian:12 as sha256:98d6e2... (was sha256:0b44f0...)."]
diff:
  description: The digest of the name, or null.
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
from ..module_utils._options import NAME, ON_EXISTING, plans
from ..module_utils._verbs.push import plan_push

DECLARATION = plans(
    plan_push,
    {
        "path": {"type": "path", "required": True},
        **NAME,
        "format": {"type": "str", "choices": ["docker-archive", "oci-archive", "oci-layout"]},
        "source_reference": {"type": "str"},
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
