#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_referrer_info
short_description: List what hangs on an image in a container registry (OCI, Docker), such as signatures and SBOMs
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Returns the referrers of an image, from the registry's API or from the tag that stands in for it, and what lies
    under cosign's tags C(sha256-HEX.sig), C(.att) and C(.sbom).
  - Nothing is verified here; see M(quayside.registry.oci_verify).
  - An image that does not exist is no error; see RV(exists).
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
options:
  artifact_type:
    description: Return those of these types alone, and what leads to them.
    type: list
    elements: str
    default: []
  depth:
    description: How many levels to look at. V(2) returns what hangs on the referrers too, such as an SBOM's signature.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Look for SBOMs
  quayside.registry.oci_referrer_info:
    name: localhost:5000/team/app:1.4.2
    artifact_type: application/spdx+json
  register: sboms

- name: Show where they are
  ansible.builtin.debug:
    msg: "{{ sboms.referrers | map(attribute='digest') }}"
"""

RETURN = r"""
exists: {type: bool, returned: success, description: Whether there is such an image.}
reference: {type: str, returned: success, description: "The name with the digest, or null if it does not exist."}
digest: {type: str, returned: success, description: "The digest, or null."}
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null."}
referrers:
  description: What refers to the image.
  type: list
  elements: dict
  returned: success
  contains:
    digest: {type: str, description: The digest of the referrer's manifest.}
    media_type: {type: str, description: The media type of its manifest.}
    artifact_type:
      description: What it is. Under cosign's tags it is the media type of a layer; null where nothing says.
      type: str
    size: {type: int, description: The size of its manifest in bytes.}
    annotations: {type: dict, description: Its annotations. Nobody signed them.}
    tag: {type: str, description: "The one of cosign's tags that it lies under, or null."}
    referrers: {type: list, elements: dict, description: "The same of what refers to it, as far as O(depth) goes."}
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
from ..module_utils._options import NAME, looks
from ..module_utils._verbs.referrer_info import referrer_info

DECLARATION = looks(
    referrer_info,
    {
        **NAME,
        "artifact_type": {"type": "list", "elements": "str", "default": []},
        "depth": {"type": "int", "default": 1},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
