#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_base_info
short_description: Say whether an image in a container registry (OCI, Docker) has a newer base
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Compares the base that an image was built on with what the name of that base points at now.
  - The name and the digest of the base are read from the image's annotations C(org.opencontainers.image.base.name) and
    C(org.opencontainers.image.base.digest), or from those that its index gives it. C(buildah),
    M(quayside.registry.oci_append) and M(quayside.registry.oci_rebase) write them, other builders where they are told
    to. Labels with these names do not count, since an image inherits them from its base.
  - Where the digests differ, the images of both bases for the platform are compared, so that a new index with the same
    image in it is no newer base. Where the old base is not known, or not in the registry any more, layers decide.
    Layers are compared by what the configs say of them, and never downloaded.
  - Each image of an index is looked at. The index is outdated if any of them is.
  - An image that does not tell its base fails with the code V(BASE_UNKNOWN), unless O(base) is given.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
options:
  base:
    description:
      - The name of the base, such as V(docker.io/library/debian:12), where the annotations do not tell, or tell
        another one, such as that of a mirror.
      - With a tag and a digest, the digest is that of the base which the image was built on.
    type: str
  platforms:
    description: Look only at the images of an index for these platforms. Each must be there.
    type: list
    elements: str
    default: []
seealso:
  - module: quayside.registry.oci_rebase
  - module: quayside.registry.oci_drift_info
"""

EXAMPLES = r"""
- name: Look for a newer base
  quayside.registry.oci_base_info:
    name: localhost:5000/team/app:1.4.2
  register: app

- name: Put the image on it
  quayside.registry.oci_rebase:
    name: localhost:5000/team/app:1.4.2
  when: app.outdated

- name: Ask about a base that the image does not name
  quayside.registry.oci_base_info:
    name: localhost:5000/team/app:1.4.2
    base: localhost:5000/base/debian:12
    platforms: [linux/amd64]
"""

RETURN = r"""
outdated: {type: bool, returned: success, description: "Whether there is a newer base; of an index, for any image."}
base: {type: str, returned: success, description: The name of the base.}
base_digest:
  description:
    - The digest of the base that the image was built on, as it says, or null if it does not say.
    - Of an index, this and RV(base), RV(latest_digest) and RV(layers_behind) are those of the image which is furthest
      behind.
  type: str
  returned: success
latest_digest:
  description: The digest that the name of the base points at now; that of the index, where it is one.
  type: str
  returned: success
layers_behind:
  description:
    - How many layers of the base that the image was built on the newest base does not have.
    - It is V(0) if the image is not outdated, or if only the config of the base has changed, and null if the image does
      not say what it was built on, or that base is not in the registry any more.
  type: int
  returned: success
reference: {type: str, returned: success, description: The image's name with its digest.}
digest: {type: str, returned: success, description: The image's digest.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
images:
  description: The same for each image of an index, or for the only image.
  type: list
  elements: dict
  returned: success
  contains:
    platform: {type: str, description: "The platform that the index or the config names; null where neither was read."}
    outdated: {type: bool, description: Whether there is a newer base.}
    base: {type: str, description: The name of the base.}
    base_digest: {type: str, description: "The digest of the base that it was built on, or null."}
    latest_digest: {type: str, description: The digest that the name of the base points at now.}
    layers_behind: {type: int, description: "How many layers of its base the newest one does not have, or null."}
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
from ..module_utils._options import NAME, PLATFORMS, looks
from ..module_utils._verbs.base_info import base_info

DECLARATION = looks(base_info, {**NAME, **PLATFORMS, "base": {"type": "str"}})


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
