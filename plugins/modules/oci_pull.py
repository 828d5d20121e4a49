#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_pull
short_description: Save images of a container registry (OCI, Docker) in a file or folder
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Saves images for C(docker load), C(podman load), C(skopeo), or M(quayside.registry.oci_push) on another host.
  - Needs no container engine. All content is verified, and the same images give the same bytes on every host.
  - What is there is read and hashed; if it is what it should be, nothing is fetched. An archive is replaced as a whole;
    a layout is updated, and other images in it are left alone.
  - A Docker archive has all layers in it. It is an error if one is not in the registry since it may not be distributed;
    it is not fetched from its C(urls).
extends_documentation_fragment:
  - ansible.builtin.files
  - quayside.registry._attributes
  - quayside.registry._registry
options:
  name:
    description:
      - The image, as V(registry/repository:tag) or V(registry/repository@digest).
      - The tag is V(latest) where neither is given.
    type: str
  names:
    description:
      - Several images for one file or layout, instead of O(name). Layers that they share are fetched and stored once.
      - In the OCI formats each is named in full, such as V(localhost:5000/team/app:1.4.2), so that images of several
        repositories can have the same tag. C(skopeo copy oci:FOLDER:localhost:5000/team/app:1.4.2) takes one of them.
    type: list
    elements: str
  path:
    description:
      - The archive, or with O(format=oci-layout) the folder. What it is in must exist.
      - O(mode), O(owner), O(group) and the like are those of the archive, or of the folder of a layout. They are set
        also where nothing has to be fetched. What is in a layout keeps its own, and the user of the task must be able
        to write to the folder.
      - Without them, a new archive has the mode V(0644), and a new folder V(0755), less the umask; what is there keeps
        its mode and owner.
    type: path
    required: true
  format:
    description:
      - V(docker-archive) is what C(docker save) writes and every engine loads. It holds single images. Their manifests,
        annotations and digests are not kept. Layers stay compressed, but for those in zstd, which Docker may not load.
      - V(oci-archive) and V(oci-layout) keep everything, indexes with all their platforms too, and the digest.
        One is a tar of the other.
    type: str
    default: docker-archive
    choices:
      - docker-archive
      - oci-archive
      - oci-layout
  platform:
    description:
      - Which image of an index (multi-platform image) to save, as V(os/architecture) or V(os/architecture/variant).
        It is an error if the index does not have it. Without effect on what is not an index.
      - The default is the whole index. With O(format=docker-archive) it is V(linux/amd64), or the only image where
        there is one.
    type: str
  force:
    description: Fetch everything again, also if what is there is right. The task then always reports a change.
    type: bool
    default: false
notes:
  - O(unsafe_writes) has no effect. An archive, and each file of a layout, is always replaced in one step.
seealso:
  - module: quayside.registry.oci_push
  - module: quayside.registry.oci_blob
"""

EXAMPLES = r"""
- name: Save an image for docker load
  quayside.registry.oci_pull:
    name: localhost:5000/debian:12
    path: /tmp/debian.tar

- name: Take two images with all their platforms to a place without a network
  quayside.registry.oci_pull:
    names:
      - localhost:5000/debian:12
      - localhost:5000/team/app:1.4.2
    path: /tmp/images.tar
    format: oci-archive
    mode: "0600"

- name: Keep a layout up to date
  quayside.registry.oci_pull:
    name: localhost:5000/debian:12
    path: /tmp/layout
    format: oci-layout
    platform: linux/arm64
    mode: "0700" # of the folder, so that nobody else sees what is in it
"""

RETURN = r"""
path: {type: str, returned: success, description: The file or folder.}
reference: {type: str, returned: success, description: "The name with the digest, or null if there are several."}
digest:
  description:
    - The digest of what was saved, or null if there are several images.
    - With O(platform), it is that of the image for the platform.
  type: str
  returned: success
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null if there are several."}
previous_digest:
  description:
    - What the file had under the same name, or null if it had none or there are several images.
    - It is always null for V(docker-archive), which has no digests of images.
  type: str
  returned: success
images:
  description: The images in it that were asked for.
  type: list
  elements: dict
  returned: success
  contains:
    name: {type: str, description: The full name that was asked for.}
    reference: {type: str, description: The name with the digest.}
    digest: {type: str, description: The digest of what was saved.}
    media_type: {type: str, description: The media type of that.}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Write /tmp/debian.tar with localhost:5000/debian:12 (48233181 bytes to fetch)."]
diff:
  description:
    - The names in the file, with the digests of their configs, or in the OCI formats of their manifests.
    - The mode, owner and group, too, where they change.
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
from ..module_utils._options import FORMATS, PLATFORM, plans
from ..module_utils._verbs.pull import plan_pull

DECLARATION = plans(
    plan_pull,
    {
        "name": {"type": "str"},
        "names": {"type": "list", "elements": "str"},
        "path": {"type": "path", "required": True},
        "format": {"type": "str", "default": "docker-archive", "choices": FORMATS},
        **PLATFORM,
        "force": {"type": "bool", "default": False},
    },
    file="path",
    mutually_exclusive=[("name", "names")],
    required_one_of=[("name", "names")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
