#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_rebase
short_description: Put an image on a newer base image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Exchanges the layers of the base that an image was built on for those of another, such as the same base with
    security updates. The image is not built again, and its own layers are not downloaded.
  - It fits images whose own layers stand on their own, such as a program in its folder. It does not fit where they were
    made by running the base's package manager, as the package database is part of them.
  - The config of the image, such as its environment, entrypoint and labels, its annotations and its time of creation
    stay its own, whatever the new base has. C(os.version) and C(os.features) are those of the new base.
  - An index (multi-platform image) stays one. Each of its images is put on the base for its platform.
  - The annotations C(org.opencontainers.image.base.name) and C(org.opencontainers.image.base.digest) of the image are
    set, so the next run needs neither O(old_base) nor O(new_base). Where an index says the same of its images, those of
    the index count for an image that has none, and are kept right.
  - An image that is on the new base already stays as it is, also if it is no longer on O(old_base).
  - BuildKit's attestations describe the files of the old image, so they are dropped.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
options:
  dest:
    description:
      - Where the result goes, as V(registry/repository:tag). The tag is that of O(name) where none is given.
      - The default is O(name), which is changed in place.
      - Where O(name) is a digest without a tag, the result is stored by its own digest, in O(dest) as well, and no tag
        is set; see RV(reference). Where it has both, the digest tells what is read, and the tag is written.
    type: str
  old_base:
    description:
      - The base that the image was built on. It may be in another registry.
      - The default is the image of the annotations C(org.opencontainers.image.base.name) and
        C(org.opencontainers.image.base.digest).
    type: str
  new_base:
    description:
      - The base to put it on. It may be in another registry.
      - The default is what the annotation C(org.opencontainers.image.base.name) names by now.
      - It is an error if it is the tag that the result is written to, which would be its own base at the next run.
    type: str
  platforms:
    description:
      - Rebase only the images of an index for these platforms, such as V(linux/amd64) or V(linux/arm/v7). V(linux)
        alone matches every Linux. It is an error if one of them is not there. The other images of the index stay in it.
      - Without it, all images of an index are put on the new base.
    type: list
    elements: str
    default: []
seealso:
  - module: quayside.registry.oci_mutate
"""

EXAMPLES = r"""
- name: Put an image on a newer base
  quayside.registry.oci_rebase:
    name: localhost:5000/team/app:1.4.2
    old_base: localhost:5000/base/debian:12.4
    new_base: localhost:5000/base/debian:12
  register: rebased

- name: Show what it is based on now
  ansible.builtin.debug:
    var: rebased.new_base

- name: Follow the base from now on, whatever its tag points at
  quayside.registry.oci_rebase:
    name: localhost:5000/team/app:1.4.2
"""

RETURN = r"""
reference: {type: str, returned: success, description: The image's name with the digest.}
digest: {type: str, returned: success, description: The digest that the name has now.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What the name had before, or null if it did not exist."}
old_base:
  description:
    - The base that the image was on, with its digest. It is RV(new_base) if there was nothing to exchange.
    - Of an index, this and the following are about the first image that was to be rebased.
  type: str
  returned: success
  sample: localhost:5000/base/debian@sha256:0b44f0...
new_base:
  description: The base that the image is on now, with its digest.
  type: str
  returned: success
  sample: localhost:5000/base/debian@sha256:5166ac...
base_digest:
  description: The digest of RV(new_base), which is that of its index where it is one.
  type: str
  returned: success
  sample: sha256:5166ac...
actions:
  description: What was done, or would be done in check mode, and what was kept or dropped.
  type: list
  elements: str
  returned: success
  sample:
    - Send the blob sha256:5bd5c6... (823 bytes) to localhost:5000/team/app.
    - Mount the blob sha256:b4efe3... from base/debian in localhost:5000/team/app.
    - Tag localhost:5000/team/app:1.4.2 as sha256:98d6e2... (was sha256:0b44f0...).
diff:
  description: The images at the destination, with their configs, annotations and layers.
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
from ..module_utils._verbs.rebase import plan_rebase

DECLARATION = plans(
    plan_rebase,
    {
        **NAME,
        "dest": {"type": "str"},
        "old_base": {"type": "str"},
        "new_base": {"type": "str"},
        **PLATFORMS,
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
