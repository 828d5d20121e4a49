#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_image_diff_info
short_description: Tell what is different between two images in container registries (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Compares configs, layers and annotations, and on demand the files in two images and the packages that are installed
    in them, without pulling them to a disk.
  - Nothing but manifests is read of images that are the same, and no layer without O(files) or O(packages).
  - A layer is downloaded once, whichever of the images have it. The layers at the bottom that both images share are
    downloaded only if those above cannot tell the difference alone, such as where a file is in the layers above of one
    image only, and it depends on the layers below whether the other one has it.
  - Of a file, type, mode, owner, size, link target, extended attributes and content are compared. Times are not, since
    each build has others.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._rootfs
options:
  other:
    description: The image to compare with. What it alone has is added, what it lacks is removed.
    type: str
    required: true
  platform:
    description:
      - Which image of an index (multi-platform image) to compare, as V(os/architecture) or V(os/architecture/variant).
      - The default is the only one that the index has, else V(linux/amd64). Without effect on what is not an index.
    type: str
  files:
    description: Whether to compare files.
    type: bool
    default: false
  packages:
    description:
      - Whether to compare the packages that are installed, those of dpkg, apk, rpm and Python.
      - The database of rpm is read where it is one of SQLite, as on Fedora and RHEL 9 and later. A warning tells of one
        that cannot be read.
    type: bool
    default: false
seealso:
  - module: quayside.registry.oci_file_info
"""

EXAMPLES = r"""
- name: See what a new version brings
  quayside.registry.oci_image_diff_info:
    name: localhost:5000/debian:12
    other: localhost:5000/debian:13
    packages: true
  register: changes

- name: Show it
  ansible.builtin.debug:
    msg: "{{ changes.differences.packages }}"

- name: Refuse a build that differs from another one of the same source
  quayside.registry.oci_image_diff_info:
    name: localhost:5000/team/app:1.4.2
    other: localhost:5000/team/app:1.4.2-rebuilt
    files: true
  register: rebuilt
  failed_when: rebuilt.differences.files.values() | flatten | length > 0
"""

RETURN = r"""
same: {type: bool, returned: success, description: "Whether the two are one image: whether their digests are the same."}
reference: {type: str, returned: success, description: The name of the image that was compared with its digest.}
digest: {type: str, returned: success, description: The digest of that image.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
other_reference: {type: str, returned: success, description: The name of the other image with its digest.}
other_digest: {type: str, returned: success, description: The digest of the other image.}
differences:
  description:
    - What is different. C(before) is that of O(name), C(after) that of O(other); null stands for nothing.
    - What is not compared is not listed, so images that are not RV(same) may have no differences here. These are media
      types, C(artifactType) and C(subject), annotations of layers, the history and the list of layers in the configs,
      and how their JSON is written.
  type: dict
  returned: success
  contains:
    config:
      description:
        - Settings in the configs, but for the list of layers and the history.
        - Variables are told one by one. Where only their order differs, or one is there twice, C(config.Env) has them
          all.
      type: list
      elements: dict
      contains:
        path: {type: str, description: "The setting, such as C(config.Env.PATH) or C(created)."}
        before: {type: raw, description: "Its value, or null."}
        after: {type: raw, description: "Its value in the other image, or null."}
    layers:
      description: Layers that are not the same at the same place.
      type: list
      elements: dict
      contains:
        path: {type: str, description: "The place, V(1) being the bottom."}
        before: &layer
          description: The layer, or null.
          type: dict
          contains:
            digest: {type: str, description: The digest of the layer.}
            size: {type: int, description: Its size in bytes.}
            created_by: {type: str, description: "What made it, as the history tells, or null."}
        after: *layer
    annotations:
      description: Annotations of the manifests.
      type: list
      elements: dict
      contains:
        name: {type: str, description: The name of the annotation.}
        before: {type: str, description: "Its text, or null."}
        after: {type: str, description: "Its text in the other image, or null."}
    files:
      description: Files, at most 10000 of each list; null without O(files).
      type: dict
      contains:
        added: &files
          description: Files with C(before) or C(after), or with both.
          type: list
          elements: dict
          contains:
            path: {type: str, description: "The path in the image."}
            before: &file
              description: The file, or null.
              type: dict
              contains:
                type: {type: str, description: "V(file), V(directory), V(link), V(character), V(block) or V(fifo)."}
                mode: {type: str, description: "The mode, four octal digits."}
                uid: {type: int, description: The number of its owner.}
                gid: {type: int, description: The number of its group.}
                size: {type: int, description: The size in bytes.}
                target: {type: str, description: "Where a symbolic link leads, or null."}
                major: {type: int, description: "The major number of a device, or null."}
                minor: {type: int, description: "The minor number of a device, or null."}
                xattrs: {type: dict, description: "Extended attributes in base64, such as C(security.capability)."}
                digest: {type: str, description: "The digest of its content, or null for what is no file."}
            after: *file
        removed: *files
        changed: *files
    packages:
      description: Packages, at most 10000 of each list; null without O(packages).
      type: dict
      contains:
        added: &packages
          description: Packages with C(before) or C(after), or with both.
          type: list
          elements: dict
          contains:
            name: {type: str, description: The name of the package.}
            type: {type: str, description: "V(dpkg), V(apk), V(rpm) or V(python)."}
            before: {type: str, description: "Its version, or several with commas between them, or null."}
            after: {type: str, description: "The same in the other image, or null."}
        removed: *packages
        changed: *packages
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
from ..module_utils._verbs.image_diff_info import image_diff_info

DECLARATION = looks(
    image_diff_info,
    {
        **NAME,
        "other": {"type": "str", "required": True},
        **PLATFORM,
        "files": {"type": "bool", "default": False},
        "packages": {"type": "bool", "default": False},
        **LIMITS,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
