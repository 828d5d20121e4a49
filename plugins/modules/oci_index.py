#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_index
short_description: Manage multi-platform images in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Makes an index (also called manifest list, or multi-platform image) of images that a registry has, adds members to
    one, replaces or removes them, and chooses them by platform.
  - Images of other repositories and registries are brought along. Within one registry their blobs are mounted.
  - An index has one image for a platform. A new image for a platform that is there already takes the place of that
    member, and attestations of the old one go. The order of the others stays. Members are told apart by digest and
    platform, as one image may serve several.
  - What else is in an index, such as its C(subject) or fields of other tools, stays.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
options:
  name:
    description:
      - The index, as V(registry/repository:tag) or V(registry/repository@digest). The tag is V(latest) where neither is
        given.
      - It is made where it does not exist. A single image is an error, unless O(exclusive=true).
  dest:
    description:
      - Where to write the result. The tag is that of O(name) where none is given. O(name) has to exist then, and stays
        as it is.
      - The default is O(name) itself.
      - Where O(name) is a digest without a tag, the result is stored by its own digest, in O(dest) as well, and no tag
        is set; see RV(reference). Where it has both, the digest tells what is read, and the tag is written.
    type: str
  state:
    description:
      - V(present) adds the members in O(manifests).
      - V(absent) removes them. What is not there is no error. To delete the index itself, use
        M(quayside.registry.oci_delete).
    type: str
    default: present
    choices:
      - present
      - absent
  manifests:
    description:
      - The members, each as V(registry/repository:tag), V(registry/repository@digest), a digest alone for an image of
        the same repository, or a dictionary.
      - "The keys of a dictionary are C(name), such a reference; C(platform), as V(os/architecture[/variant]); and
        C(annotations), a dictionary, where null removes one."
      - For an image, C(platform) is what the index says in place of what the config of the image says.
      - For an index that is taken member by member, C(platform) chooses which of them, and of those of indexes in it.
        Where none is said to be for it, the configs of those without a platform tell.
      - With O(state=absent), a dictionary may have C(platform) without C(name), which removes all that are for it.
      - A member that is there already keeps its descriptor, except for what is given here.
      - An image that is listed several times, for several platforms, is there for each of them. Where it is listed once
        with C(platform) and is there for one other platform alone, it changes that one.
      - An artifact has no platform; its type is kept.
    type: list
    elements: raw
    default: []
  exclusive:
    description: Whether to remove all members that O(manifests) does not list, attestations too.
    type: bool
    default: false
  platforms:
    description:
      - Keep only the members for these platforms, such as V(linux/amd64) or V(linux/arm/v7), and their attestations.
        V(linux) alone matches every Linux.
      - Members without a platform go. It is an error if one of the platforms is not there.
    type: list
    elements: str
    default: []
  flatten:
    description:
      - Whether to take an index in O(manifests) member by member, with attestations and as they are described there.
      - Otherwise it becomes one nested member, which few clients can read.
    type: bool
    default: true
  format:
    description:
      - The format of the index. An OCI index holds OCI and Docker images, a Docker manifest list holds Docker images
        alone, and no annotations.
      - The default is that of the index which is there, or of the first member of a new one. The members stay as they
        are.
    type: str
    choices:
      - oci
      - docker
  annotations:
    description: Annotations of the index itself. Null removes one; others stay.
    type: dict
    default: {}
seealso:
  - module: quayside.registry.oci_index_info
  - module: quayside.registry.oci_copy
  - module: quayside.registry.oci_delete
"""

EXAMPLES = r"""
- name: Make one name of images that were built apart
  quayside.registry.oci_index:
    name: localhost:5000/team/app:1.4.2
    manifests:
      - localhost:5000/team/app:1.4.2-amd64
      - localhost:5000/build/app:1.4.2-arm64
      - name: localhost:5000/build/app:1.4.2-armv7
        platform: linux/arm/v7
    annotations:
      org.opencontainers.image.version: "1.4.2"

- name: Replace the image for one platform
  quayside.registry.oci_index:
    name: localhost:5000/team/app:1.4.2
    manifests:
      - localhost:5000/build/app:1.4.2-arm64-fixed

- name: Remove a platform
  quayside.registry.oci_index:
    name: localhost:5000/team/app:1.4.2
    manifests:
      - platform: linux/arm/v7
    state: absent

- name: Make a smaller index of two of its platforms
  quayside.registry.oci_index:
    name: localhost:5000/debian:12
    dest: localhost:5000/debian:12-small
    platforms: [linux/amd64, linux/arm64]
"""

RETURN = r"""
reference:
  description: The name of the index with the digest. It is null if nothing was to be removed and there is no index.
  type: str
  returned: success
  sample: localhost:5000/team/app@sha256:98d6e2...
digest:
  description: The digest that the name has now, or null like RV(reference).
  type: str
  returned: success
  sample: sha256:98d6e2...
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null."}
previous_digest: {type: str, returned: success, description: "What the name had, or null if it had none."}
manifests:
  description: The members of the index, as M(quayside.registry.oci_index_info) shows them.
  type: list
  elements: dict
  returned: success
  contains:
    digest: {type: str, description: The digest of the member.}
    platform: {type: str, description: "Its platform, or null. Attestations have V(unknown/unknown)."}
    media_type: {type: str, description: Its media type.}
    size: {type: int, description: The size of its manifest in bytes.}
    annotations: {type: dict, description: Its annotations in the index.}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Add the member linux/arm64 sha256:0b44f0..."]
diff:
  description: Digest, annotations and members of the index.
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
from ..module_utils._options import NAME, ON_EXISTING, PLATFORMS, plans
from ..module_utils._verbs.index import plan_index

DECLARATION = plans(
    plan_index,
    {
        **NAME,
        "dest": {"type": "str"},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "manifests": {"type": "list", "elements": "raw", "default": []},
        "exclusive": {"type": "bool", "default": False},
        **PLATFORMS,
        "flatten": {"type": "bool", "default": True},
        "format": {"type": "str", "choices": ["oci", "docker"]},
        "annotations": {"type": "dict", "default": {}},
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
