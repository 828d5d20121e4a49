#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_copy
short_description: Copy images between container registries (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Copies an image with all its platforms to another repository or registry, byte for byte; its digest stays the same.
  - Needs no container engine, and stores nothing on the host. Blobs that the destination has are not sent again,
    and within one registry they are mounted instead of sent.
  - What is up to date costs one request on each side. Tags are written last, when everything below them is complete.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image.on_existing
  - quayside.registry._image.rules
options:
  src:
    description:
      - The image to copy. The tag is V(latest) where it has neither tag nor digest.
      - With O(all_tags=true), the repository.
    type: str
  dest:
    description:
      - Where to copy it. The tag is that of O(src) where none is given; where that is a digest alone, no tag is set.
      - With O(all_tags=true), the repository.
    type: str
  images:
    description:
      - Several images to copy, at once. This is much faster than a loop.
      - Nothing is sent unless all of them exist. Tags are set when the content of all is there.
      - Two images with different digests for one tag are an error (V(CONFLICT)).
    type: list
    elements: dict
    suboptions:
      src:
        description: Like O(src).
        type: str
        required: true
      dest:
        description: Like O(dest).
        type: str
        required: true
      platforms:
        description: Like O(platforms), for this image. The default is O(platforms).
        type: list
        elements: str
  platforms:
    description:
      - Copy only these platforms of an index, such as V(linux/amd64) or V(linux/arm/v7). V(linux) alone matches every
        Linux. It is an error if one of them is not there.
      - Where nothing in an index is said to be for one of them, the configs of images without a platform tell, and the
        first that fits is copied.
      - The result is an index of these, with their attestations. Unless this leaves nothing out, its digest is another
        than that of the source.
    type: list
    elements: str
    default: []
  all_tags:
    description: Copy all tags of the repository O(src) to the repository O(dest). Other tags in O(dest) stay.
    type: bool
    default: false
  tags:
    description:
      - With O(all_tags=true), copy only the tags that these rules choose.
      - Tags that tools make for signatures and the like of a digest are then left out; O(referrers=true) takes those
        along.
  repair:
    description:
      - Look also at what is below manifests that the destination has already, and send again what is missing there.
      - For registries that have lost blobs, or whose garbage collection broke indexes.
    type: bool
    default: false
  referrers:
    description:
      - Copy also what refers to the images, or to a platform of them, such as signatures, attestations, and SBOMs.
      - This includes the tags that C(cosign) makes for them, such as C(sha256-HEX.sig), which are merged with what
        the destination has there, and are no images of the result, also with O(all_tags=true). Such tags for what is
        not copied come along then, where the destination has nothing under their names.
    type: bool
    default: false
seealso:
  - module: quayside.registry.oci_tag
"""

EXAMPLES = r"""
- name: Copy an image
  quayside.registry.oci_copy:
    src: localhost:5000/debian:12 # or docker.io/library/debian:12
    dest: localhost:5000/base/debian
  register: debian

- name: Show the name that always means what was copied
  ansible.builtin.debug:
    var: debian.reference

- name: Work with two registries
  module_defaults:
    group/quayside.registry.oci:
      auth_file: /etc/containers/auth.json
      registries:
        - name: localhost:5001
          username: ci
          password: "{{ registry_password }}"
  block:
    - name: Copy two images, one of them with two of its platforms
      quayside.registry.oci_copy:
        images:
          - src: localhost:5000/debian:12
            dest: localhost:5001/base/debian
            platforms: [linux/amd64, linux/arm64]
          - src: localhost:5000/team/app:1.4.2
            dest: localhost:5001/prod/app:1.4.2
      register: copied

    - name: Show pinned names of what is new
      ansible.builtin.debug:
        msg: "{{ copied.images | selectattr('changed') | map(attribute='reference') }}"

- name: Copy the two newest patches of each release of 1.x
  quayside.registry.oci_copy:
    src: localhost:5000/team/app
    dest: localhost:5001/team/app
    all_tags: true
    tags:
      semver: ^1.0
      newest: 2
      per: '^v?(\d+\.\d+)'

- name: Copy a repository with its signatures, but move no tag
  quayside.registry.oci_copy:
    src: localhost:5000/team/app
    dest: localhost:5001/team/app
    all_tags: true
    referrers: true
    on_existing: keep
"""

RETURN = r"""
reference:
  description: The name of the image at its destination with the digest, or null if there are several.
  type: str
  returned: success
  sample: localhost:5000/debian@sha256:98d6e2...
digest:
  description: The digest that the destination has now, or null if there are several images.
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type:
  description: The media type of RV(digest), or null if there are several images.
  type: str
  returned: success
  sample: application/vnd.oci.image.index.v1+json
previous_digest:
  description: What the destination had, or null if it had none or there are several images.
  type: str
  returned: success
  sample: sha256:0b44f0...
images:
  description: What became of each image.
  type: list
  elements: dict
  returned: success
  contains:
    src: {type: str, description: The full name of the source.}
    dest: {type: str, description: The full name of the destination.}
    digest: {type: str, description: What the destination has now.}
    reference: {type: str, description: The name at the destination with the digest.}
    previous_digest: {type: str, description: "What the destination had, or null."}
    changed: {type: bool, description: "Whether the destination's tag was set."}
  sample:
    - src: docker.io/library/debian:12
      dest: localhost:5000/debian:12
      digest: sha256:98d6e2...
      reference: localhost:5000/debian@sha256:98d6e2...
      previous_digest: sha256:0b44f0...
      changed: true
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Send the blob sha256:2a3f51... (1470 bytes) to localhost:5000/debian."]
diff:
  description: The digest of each destination.
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
from ..module_utils._options import ON_EXISTING, PLATFORMS, RULES, plans
from ..module_utils._verbs.copy import plan_copy

DECLARATION = plans(
    plan_copy,
    {
        "src": {"type": "str"},
        "dest": {"type": "str"},
        "images": {
            "type": "list",
            "elements": "dict",
            "options": {
                "src": {"type": "str", "required": True},
                "dest": {"type": "str", "required": True},
                "platforms": {"type": "list", "elements": "str"},
            },
        },
        **PLATFORMS,
        "all_tags": {"type": "bool", "default": False},
        **RULES,
        "repair": {"type": "bool", "default": False},
        "referrers": {"type": "bool", "default": False},
        **ON_EXISTING,
    },
    mutually_exclusive=[("src", "images")],
    required_together=[("src", "dest")],
    required_one_of=[("src", "images")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
