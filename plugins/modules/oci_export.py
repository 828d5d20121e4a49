#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_export
short_description: Write the root file system of an image in a container registry (OCI, Docker) to a tar
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Downloads an image and writes all its files, as a container would see them, to one tar. No container engine is
    needed.
  - The same files give the same bytes, however they are spread over layers. Parents come before what is in them, and
    names are sorted. Owners, modes, times, hard links, extended attributes, devices, and names of any kind are kept.
  - It is an error if a layer is encrypted, is not in the registry since it may not be distributed, or changes the
    registry of Windows (C(Hives/*_Delta)), as Windows alone can merge such layers.
  - The file appears when it is complete, and takes the place of an older one in one step.
  - The file gets an extended attribute, C(user.quayside.export), which says what image it is the export of. While
    that fits, and the file has the digest that it says, nothing is downloaded. Where the file system has no such
    attributes, or the file came here without it, the tar is made again and compared.
extends_documentation_fragment:
  - ansible.builtin.files
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._rootfs
options:
  path:
    description: The tar to write. Its folder must exist, and have space for twice the tar and for the unpacked layers.
    type: path
    required: true
  platform:
    description:
      - Which image of an index (multi-platform image) to export, as V(os/architecture) or V(os/architecture/variant).
      - The default is the only one that the index has, else V(linux/amd64). Without effect on what is not an index.
    type: str
  force:
    description:
      - Download the image and compare, also where the file seems to be up to date.
    type: bool
    default: false
notes:
  - O(unsafe_writes) has no effect. The file is always replaced in one step.
seealso:
  - module: quayside.registry.oci_flatten
"""

EXAMPLES = r"""
- name: Export a root file system
  quayside.registry.oci_export:
    name: localhost:5000/debian:12
    path: /srv/debian.tar
    mode: "0644"
  register: debian

- name: Make a folder for it
  ansible.builtin.file:
    path: /srv/debian
    state: directory
    mode: "0755"

- name: Unpack it
  ansible.builtin.unarchive:
    src: "{{ debian.path }}"
    dest: /srv/debian
    remote_src: true
    extra_opts: [--numeric-owner]
"""

RETURN = r"""
reference: {type: str, returned: success, description: The name of the image that was exported with its digest.}
digest: {type: str, returned: success, description: The digest of the image that was exported.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
path: {type: str, returned: success, description: The tar.}
size: {type: int, returned: success, description: The bytes of the tar.}
checksum: {type: str, returned: success, description: "The digest of the tar, C(sha256:) and 64 hexadecimal digits."}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Write the root file system of localhost:5000/debian@sha256:98d6e2... (199321600 bytes) to /srv/debian.tar."]
diff:
  description: Size and digest of the file.
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
from ..module_utils._options import LIMITS, NAME, PLATFORM, plans
from ..module_utils._verbs.export import plan_export

DECLARATION = plans(
    plan_export,
    {
        **NAME,
        "path": {"type": "path", "required": True},
        **PLATFORM,
        **LIMITS,
        "force": {"type": "bool", "default": False},
    },
    file="path",
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
