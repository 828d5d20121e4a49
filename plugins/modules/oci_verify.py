#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_verify
short_description: Verify the signatures of images in a container registry (OCI, Docker), and pin what was verified
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Says whether images are signed by whom they should be, and returns their names with the digest that was verified.
    Deploy these, so that nobody can put another image under the tag in between.
  - Reads what cosign 1 to 3, podman and skopeo write, offline. Nothing is asked but the registry.
  - An image that is not verified has no RV(reference), and fails the task unless O(fail_on_unverified=false). That it
    does not exist, lacks one of O(platforms) or is damaged is such a verdict, beside those of the other images; a
    registry that cannot be asked is an error.
extends_documentation_fragment:
  - quayside.registry._attributes.info_module
  - quayside.registry._registry
  - quayside.registry._trust
  - quayside.registry._trust.names
  - quayside.registry._trust.verify
options:
  fail_on_unverified:
    description:
      - Whether the task fails where an image is not verified. The results are the same.
      - The failure has the code C(NOT_VERIFIED), or C(MANIFEST_UNKNOWN), C(PLATFORM_NOT_FOUND) and the like where
        nothing else is wrong than that one image does not exist, or lacks a platform.
    type: bool
    default: true
seealso:
  - module: quayside.registry.oci_sign
  - module: quayside.registry.oci_attest
"""

EXAMPLES = r"""
- name: Verify what is to be deployed
  quayside.registry.oci_verify:
    name: localhost:5000/team/app:1.4.2
    keys: [/etc/containers/release.pub]
  register: app

- name: Deploy just that
  ansible.builtin.debug:
    msg: "podman run {{ app.reference }}"

- name: Ask two of three people, and a scan that is not older than a week
  quayside.registry.oci_verify:
    names:
      - localhost:5000/team/app:1.4.2
      - localhost:5000/team/web:2.0.0
    keys: [/etc/keys/ada.pub, /etc/keys/grace.pub, /etc/keys/mary.pub]
    threshold: 2
    attestations:
      - predicate_type: vuln
        max_age: 7d
        query: length(scanner.result.Results[].Vulnerabilities[?Severity == 'CRITICAL'][]) == `0`

- name: Ask the policy that podman has on this host
  quayside.registry.oci_verify:
    name: localhost:5000/team/app:1.4.2
    policy_path: /etc/containers/policy.json
    fail_on_unverified: false
  register: policy
"""

RETURN = r"""
verified: {type: bool, returned: success, description: Whether all images are verified; V(false) where there are none.}
reference:
  description:
    - The image's name with the digest that was verified.
    - It is null where it is not verified, and where there are several images.
  type: str
  returned: success
  sample: localhost:5000/team/app@sha256:98d6e2...
digest:
  description: The image's digest, or null if it does not exist, cannot be read, or there are several images.
  type: str
  returned: success
signatures:
  description: What was found beside the image and, with O(platforms), beside its members; empty for several images.
  type: list
  elements: dict
  returned: success
  contains: &signature
    format: {type: str, description: V(bundle) or V(simple).}
    verified: {type: bool, description: Whether it counts.}
    location: {type: str, description: Where it is stored.}
    key_fingerprint:
      description: "The key that made it: base64 of the SHA-256 of its DER form, which is cosign's hint; or null."
      type: str
    identity: {type: str, description: "Whom its certificate was made for, or null."}
    issuer: {type: str, description: "Who said so, or null."}
    claimed_reference: {type: str, description: "The name that it claims, or null; told only where the key is trusted."}
    problem: {type: str, description: "Why it does not count, or null."}
attestations:
  description: What was found of the types in O(attestations); empty for several images.
  type: list
  elements: dict
  returned: success
  contains: &attestation
    predicate_type: {type: str, description: The type that was asked for.}
    verified: {type: bool, description: Whether it counts.}
    location: {type: str, description: Where it is stored.}
    predicate: {type: dict, description: "What it says, or null where nobody trusted has signed it."}
    key_fingerprint: {type: str, description: "The key that made it, or null."}
    identity: {type: str, description: "Whom its certificate was made for, or null."}
    issuer: {type: str, description: "Who said so, or null."}
    problem: {type: str, description: "Why it does not count, or null."}
problem: {type: str, returned: success, description: "Why the image is not verified, or null."}
images:
  description: The same for each image.
  type: list
  elements: dict
  returned: success
  contains:
    name: {type: str, description: The name as it was given.}
    verified: {type: bool, description: Whether it is verified.}
    reference: {type: str, description: "The name with the digest that was verified, or null."}
    digest: {type: str, description: "The digest, or null if it does not exist or cannot be read."}
    signatures: {type: list, elements: dict, description: What was found., contains: *signature}
    attestations: {type: list, elements: dict, description: What was found., contains: *attestation}
    problem: {type: str, description: "Why it is not verified, or null."}
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
from ..module_utils._options import NAMES, ONE_OF_NAMES, VERIFY, looks
from ..module_utils._verbs.verify import verify_images

DECLARATION = looks(
    verify_images,
    {
        **NAMES,
        **VERIFY,
        "fail_on_unverified": {"type": "bool", "default": True},
    },
    **ONE_OF_NAMES,
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
