#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_validate
short_description: Check that an image in a container registry or a file is sound (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Reads an image with all its platforms, and tells everything that is wrong with it.
  - Digests, sizes and media types of all manifests, configs and blobs are checked against the descriptors that lead to
    them; platforms, history and the number of layers against the config; and of each layer, its compression, its
    uncompressed digest (diff ID), and that it is a tar which can be unpacked safely. Each layer is looked at by itself;
    that a hard link leads to a file of a layer below is found out by M(quayside.registry.oci_export) alone.
  - Artifacts, signatures and attestations are not expected to be images. Their blobs are checked as they are.
  - Fields of configs must have the types that engines read. A layer in zstd is a problem in Docker's format, which no
    engine reads, and so is something behind the compressed data of a layer.
  - A layer that may not be distributed, and is not there, is reported in RV(notes), as is one that is encrypted, of
    which only the bytes are checked. What a C(subject) points to is not looked at.
  - Nothing is stored. Each blob is read once, in constant memory.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._rootfs
options:
  name:
    description:
      - The image, as V(registry/repository:tag) or V(registry/repository@digest). The tag is V(latest) where neither is
        given.
      - An image that does not exist is an error, as is a registry that cannot be asked.
    type: str
  path:
    description:
      - A C(docker-archive), an C(oci-archive), or the folder of an C(oci-layout) on the target host, instead of
        O(name).
      - All images in it are checked.
    type: path
  fast:
    description:
      - Whether to leave the bodies of layers alone, and to see only whether they are there, with their size.
      - Manifests and configs are read and checked all the same.
    type: bool
    default: false
  platforms:
    description:
      - Check only these platforms of an index, such as V(linux/amd64) or V(linux/arm/v7), with their attestations.
        V(linux) alone matches every Linux.
      - It is an error if one of them is not there.
    type: list
    elements: str
    default: []
  fail_on_invalid:
    description: Whether the task fails where there are problems. The results are returned in both cases.
    type: bool
    default: true
seealso:
  - module: quayside.registry.oci_copy
"""

EXAMPLES = r"""
- name: Make sure that an image is sound in all its platforms
  quayside.registry.oci_validate:
    name: localhost:5000/debian:12

- name: Look at an archive
  quayside.registry.oci_validate:
    path: /srv/images/debian.tar
    fail_on_invalid: false
  register: checked

- name: Show what is wrong with it
  ansible.builtin.debug:
    var: checked.problems
"""

RETURN = r"""
valid: {type: bool, returned: success, description: Whether nothing is wrong with it.}
problems:
  description: All that is wrong, in sentences which name the digest.
  type: list
  elements: str
  returned: success
  sample:
    - The config sha256:2a3f51... of localhost:5000/app:1 lists 3 layers (rootfs.diff_ids), but the manifest has 2.
notes:
  description: What is no problem, but was not checked, such as layers that may not be distributed.
  type: list
  elements: str
  returned: success
digest:
  description: The digest of what was checked, or null if a file has several images or none that can be read.
  type: str
  returned: success
  sample: sha256:98d6e2...
reference:
  description: The name with the digest, or null for a file.
  type: str
  returned: success
  sample: localhost:5000/debian@sha256:98d6e2...
checked:
  description: How many different pieces of content were looked at.
  type: dict
  returned: success
  contains:
    manifests: {type: int, description: Manifests and indexes.}
    configs: {type: int, description: Configs of images.}
    layers: {type: int, description: Layers of images.}
    blobs: {type: int, description: "Other blobs, such as those of attestations."}
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
from ..module_utils._options import LIMITS, PLATFORMS, looks
from ..module_utils._verbs.validate import validate

DECLARATION = looks(
    validate,
    {
        "name": {"type": "str"},
        "path": {"type": "path"},
        "fast": {"type": "bool", "default": False},
        **PLATFORMS,
        **LIMITS,
        "fail_on_invalid": {"type": "bool", "default": True},
    },
    mutually_exclusive=[("name", "path")],
    required_one_of=[("name", "path")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
