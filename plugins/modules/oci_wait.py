#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_wait
short_description: Wait until an image is in a container registry (OCI, Docker), complete and signed
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Looks at an image again and again, until it exists and has all that is asked for, such as platforms that are built
    one after the other, a signature, or an SBOM.
  - What may pass is waited out, such as a registry that does not answer, a rate limit, or a status of 500 and above.
    What does not pass fails at once, such as a refusal (401, 403), a certificate that is not trusted, or an option that
    cannot be used.
  - When the time is over, the task fails with the code V(WAIT_TIMEOUT) and says what is missing, all of it; where the
    name stands for another image than is waited for, that alone.
  - Nothing is changed, and check mode waits just as long.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._looks.signatures
options:
  platforms:
    description: The platforms that must be there, such as V(linux/amd64).
    type: list
    elements: str
    default: []
  referrers:
    description:
      - Artifact types of what must hang on the image, each of them, such as V(application/spdx+json). See
        M(quayside.registry.oci_referrer_info) for the types that there are. Nothing is verified of these.
    type: list
    elements: str
    default: []
  digest:
    description: The digest that the image must have.
    type: str
  not_digest:
    description: A digest that the image must not have any more, such as that from before a build.
    type: str
  timeout:
    description:
      - How many seconds to wait. The image is looked at once at least, and once more when the time is over.
      - A single request takes at most 60 seconds, or what is left of this, and a second at least.
    type: int
    default: 300
  interval:
    description: How many seconds to wait between two looks.
    type: int
    default: 5
seealso:
  - module: quayside.registry.oci_verify
  - module: quayside.registry.oci_digest_info
"""

EXAMPLES = r"""
- name: Wait until both platforms are built
  quayside.registry.oci_wait:
    name: localhost:5000/team/app:1.4.2
    platforms: [linux/amd64, linux/arm64]
    timeout: 900

- name: Wait until it is signed and has an SBOM
  quayside.registry.oci_wait:
    name: localhost:5000/team/app:1.4.2
    signatures:
      keys: [/etc/containers/release.pub]
    referrers: [application/spdx+json]
  register: app

- name: Wait until the tag has moved on
  quayside.registry.oci_wait:
    name: localhost:5000/team/app:nightly
    not_digest: "{{ app.digest }}"
    interval: 30
"""

RETURN = r"""
elapsed: {type: int, returned: success, description: How many seconds it took; also where the time was over.}
reference: {type: str, returned: success, description: The name with the digest that everything was there for.}
digest: {type: str, returned: success, description: The digest.}
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
from ..module_utils._options import NAME, PLATFORMS, TRUST, looks
from ..module_utils._verbs.wait import wait_for_image

DECLARATION = looks(
    wait_for_image,
    {
        **NAME,
        **PLATFORMS,
        "signatures": {"type": "dict", "options": TRUST},
        "referrers": {"type": "list", "elements": "str", "default": []},
        "digest": {"type": "str"},
        "not_digest": {"type": "str"},
        "timeout": {"type": "int", "default": 300},
        "interval": {"type": "int", "default": 5},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
