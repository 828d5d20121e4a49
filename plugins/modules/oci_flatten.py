#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_flatten
short_description: Turn the layers of an image in a container registry (OCI, Docker) into one
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Merges the layers of an image into one, without what upper layers replaced or removed. Its files stay the same.
  - Of an index, each image is flattened; it stays an index, and attestations follow their images.
  - The config stays as it is, but for the list of layers and the history. That has one entry afterwards, which names
    the digest of the manifest that was flattened, and keeps the old history as its comment. No time is taken from the
    clock.
  - An image of one layer is left as it is, unless its compression is not the one that O(compression) names. Where the
    destination has what was made of the same image before, nothing is downloaded.
  - The same image gives the same config, and so the same image ID, on every host. The bytes of the layer, and so its
    digest, depend on the library that compresses (RV(encoder)). They are not compared, so hosts with other libraries
    agree that an image is up to date.
  - It is an error if a layer is encrypted, is not in the registry since it may not be distributed, or changes the
    registry of Windows (C(Hives/*_Delta)), as Windows alone can merge such layers.
  - Layers are unpacked in the folder for temporary files (E(TMPDIR)) of the host, which needs space for the image
    without compression. Memory stays below 200 MB.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
  - quayside.registry._rootfs
options:
  dest:
    description:
      - Where to write the result. The tag is that of O(name) where none is given. The default is O(name) itself.
      - Where O(name) is a digest without a tag, the result is stored by its own digest, in O(dest) as well, and no tag
        is set; see RV(reference). Where it has both, the digest tells what is read, and the tag is written.
    type: str
  platforms:
    description:
      - Edit only these platforms of an index, such as V(linux/amd64). The others stay as they are.
      - The default is all. It is an error if one of them is not there.
    type: list
    elements: str
    default: []
  compression:
    description:
      - How to compress the layer. Engines older than 2022 do not know V(zstd).
      - It is an error to ask for V(zstd) for an image in Docker's format, which has no name for it.
    type: str
    default: gzip
    choices:
      - gzip
      - zstd
  compression_level:
    description:
      - From V(1) to V(9), or to V(19) for V(zstd). The default is a fast one.
      - Used only when a layer is created. An image that is flattened already is not packed again for it.
    type: int
seealso:
  - module: quayside.registry.oci_export
"""

EXAMPLES = r"""
- name: Flatten an image
  quayside.registry.oci_flatten:
    name: localhost:5000/team/app:1.4.2
    dest: localhost:5000/team/app:1.4.2-flat
  register: flat

- name: Show what it brought
  ansible.builtin.debug:
    msg: "{{ flat.layers_before }} layers of {{ flat.size_before }} bytes became one of {{ flat.size }}"

- name: Flatten one platform in place, and pack it well
  quayside.registry.oci_flatten:
    name: localhost:5000/team/app:1.4.2
    platforms: [linux/amd64]
    compression_level: 9
"""

RETURN = r"""
reference: {type: str, returned: success, description: The name of the result with its digest.}
digest: {type: str, returned: success, description: The digest that the destination has now.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What the destination had before, or null."}
layers_before: {type: int, returned: success, description: "The number of layers of the images, of an index the sum."}
size_before:
  description: The bytes of all layers of the images before, as they are stored; of an index, the sum.
  type: int
  returned: success
size: {type: int, returned: success, description: "The same, after."}
encoder:
  description: The library that compressed, such as C(isal), C(zlib_ng), or C(zlib), or null if none did.
  type: str
  returned: success
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/team/app:1.4.2-flat as sha256:98d6e2..."]
diff:
  description: The images that the name stands for.
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
from ..module_utils._options import LIMITS, NAME, ON_EXISTING, PLATFORMS, plans
from ..module_utils._verbs.flatten import plan_flatten

DECLARATION = plans(
    plan_flatten,
    {
        **NAME,
        "dest": {"type": "str"},
        **PLATFORMS,
        "compression": {"type": "str", "default": "gzip", "choices": ["gzip", "zstd"]},
        "compression_level": {"type": "int"},
        **LIMITS,
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
