#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_file_info
short_description: Look at one file in an image in a container registry (OCI, Docker), without pulling it
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Says whether a file is in an image, which attributes it has, what is in it, and which layer it is from.
  - Layers are downloaded from the top, one after the other, until it is known what is at the path; those below are not
    downloaded. Each is read to its end, since only then its digest is verified, and nothing of it is stored.
  - The answer is what M(quayside.registry.oci_export) would write. Whiteouts and opaque folders of upper layers hide
    what is below. Folders on the way that are symbolic links are followed, from the root of the image and never out of
    it. A hard link is the file that it is made to.
  - An entry whose folders its layer leaves out may go through a symbolic link of a lower layer to somewhere else. More
    layers are read where that could matter.
  - A file that does not exist is no error; see RV(exists). An image that does not exist is one.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._rootfs
options:
  path:
    description:
      - The path in the image, such as V(/etc/os-release). It counts from the root of the image.
      - A symbolic link at its end is not followed; see RV(stat.target).
    type: str
    required: true
  platform:
    description:
      - Which image of an index (multi-platform image) to look at, as V(os/architecture) or V(os/architecture/variant).
      - The default is the only one that the index has, else V(linux/amd64). Without effect on what is not an index.
    type: str
  content:
    description:
      - Whether to return the content of the file, too. A file with more than 8 MiB fails with the code V(TOO_LARGE);
        use M(quayside.registry.oci_export) for these.
    type: bool
    default: false
seealso:
  - module: quayside.registry.oci_export
  - module: quayside.registry.oci_image_diff_info
"""

EXAMPLES = r"""
- name: Look which system an image is
  quayside.registry.oci_file_info:
    name: localhost:5000/debian:12
    path: /usr/lib/os-release
    content: true
  register: release

- name: Show it
  ansible.builtin.debug:
    msg: "{{ release.content | b64decode }}"

- name: See that a program cannot change its user
  quayside.registry.oci_file_info:
    name: localhost:5000/debian:12
    path: /usr/bin/env
  register: env
  failed_when: not env.exists or env.stat.mode != '0755'
"""

RETURN = r"""
exists: {type: bool, returned: success, description: Whether there is something at O(path).}
stat:
  description: The attributes of what is there, or null if nothing is.
  type: dict
  returned: success
  contains:
    type:
      description: V(file), V(directory), V(link) (a symbolic one), V(character), V(block) or V(fifo).
      type: str
    mode: {type: str, description: "The mode, four octal digits, such as V(0644)."}
    uid: {type: int, description: The number of its owner.}
    gid: {type: int, description: The number of its group.}
    user: {type: str, description: "The name of its owner, or null if the layer has none."}
    group: {type: str, description: "The name of its group, or null if the layer has none."}
    size: {type: int, description: The size in bytes; V(0) for what is no file.}
    mtime: {type: str, description: "When it was changed (RFC 3339), or null for a time that is none."}
    target: {type: str, description: "Where a symbolic link leads, or null."}
    major: {type: int, description: "The major number of a device, or null."}
    minor: {type: int, description: "The minor number of a device, or null."}
content: {type: str, returned: success, description: "The content in base64, or null without O(content) or a file."}
layer:
  description:
    - The digest of the layer that it is from.
    - It is null if nothing is there, or if it is a folder that no layer has by itself.
  type: str
  returned: success
reference: {type: str, returned: success, description: The name of the image that was looked at with its digest.}
digest: {type: str, returned: success, description: The digest of that image.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
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
from ..module_utils._options import LIMITS, NAME, PLATFORM, looks
from ..module_utils._verbs.file_info import file_info

DECLARATION = looks(
    file_info,
    {
        **NAME,
        "path": {"type": "str", "required": True},
        **PLATFORM,
        "content": {"type": "bool", "default": False},
        **LIMITS,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
