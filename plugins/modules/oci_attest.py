#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_attest
short_description: Attest something of an image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Signs a statement about an image, such as its SBOM, how it was built, or the result of a scan, and stores it beside
    the image, as a bundle that cosign 3 reads. The tag of the image is not touched.
  - Where this key has attested the same already, nothing changes.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._trust.private_key
options:
  predicate:
    description: What is said, as a dict, or as the path on the target of a file with a JSON object.
    type: raw
    required: true
  predicate_type:
    description: What kind of statement it is, a URI, or one of V(spdx), V(cyclonedx), V(slsaprovenance1), V(vuln),
      V(openvex).
    type: str
    required: true
  replace:
    description:
      - Whether this key's other attestations of the type are removed from the image, once this one is there; also those
        that cosign 2 has put under the tag C(sha256-HEX.att).
      - Where a registry cannot delete them they are taken off the list of referrers, with a warning.
    type: bool
    default: false
notes:
  - The same key signs the same with the same bytes where the library C(cryptography) can do that (43 and later, with
    OpenSSL 3.2 and later). Elsewhere the digest of an attestation is null in check mode.
seealso:
  - module: quayside.registry.oci_sign
  - module: quayside.registry.oci_verify
"""

EXAMPLES = r"""
- name: Attest what is in an image
  quayside.registry.oci_attest:
    name: localhost:5000/team/app:1.4.2
    predicate: /tmp/app.spdx.json
    predicate_type: spdx
    key: /etc/keys/release.key
    passphrase: "{{ vault_release_passphrase }}"

- name: Say that it was tested, and no longer what was said before
  quayside.registry.oci_attest:
    name: localhost:5000/team/app:1.4.2
    predicate:
      suite: nightly
      passed: true
    predicate_type: https://example.com/tests/v1
    key_content: "{{ vault_release_key }}"
    passphrase: "{{ vault_release_passphrase }}"
    replace: true
"""

RETURN = r"""
reference: {type: str, returned: success, description: The image's name with the digest.}
digest: {type: str, returned: success, description: The image's digest.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
signatures:
  description: What became of each attestation.
  type: list
  elements: dict
  returned: success
  contains:
    format: {type: str, description: "V(bundle), or V(envelope) for what is removed from the tag C(sha256-HEX.att)."}
    digest:
      description:
        - The digest of the bundle's manifest, or of the envelope.
        - It is null in check mode where it cannot be known.
      type: str
    reference: {type: str, description: The name of what is attested with its digest.}
    claimed_reference: {type: str, description: Always null; attestations claim no name.}
    status: {type: str, description: "V(created), V(current) (it was there), or V(removed)."}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Add the attestation of the type https://spdx.dev/Document sha256:793c35... to the referrers of ...."]
diff:
  description: The attestations of this key, by type.
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
from ..module_utils._options import NAME, PRIVATE_KEY, plans
from ..module_utils._verbs.attest import plan_attest

DECLARATION = plans(
    plan_attest,
    {
        **NAME,
        **PRIVATE_KEY,
        "predicate": {"type": "raw", "required": True},
        "predicate_type": {"type": "str", "required": True},
        "replace": {"type": "bool", "default": False},
    },
    mutually_exclusive=[("key", "key_content")],
    required_one_of=[("key", "key_content")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
