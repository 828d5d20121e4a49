#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_sign
short_description: Sign images in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Signs images with a key, offline, in the formats that cosign, podman, skopeo and CRI-O read.
  - What is there is verified first, and only what is missing is added, beside what others have signed. The tag of the
    image is not touched.
  - The private key may also be elsewhere, in a hardware module or a cloud's service; see O(payload_path).
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._trust.names
  - quayside.registry._trust.private_key
options:
  formats:
    description:
      - What to write. V(bundle) is what cosign 3 reads, beside the image as a referrer; it signs the digest.
      - V(simple) is what podman, skopeo, CRI-O and cosign 1 and 2 read, under the tag C(sha256-HEX.sig); it signs the
        digest and a name.
    type: list
    elements: str
    choices: [bundle, simple]
    default: [bundle, simple]
  identities:
    description:
      - The names that simple signatures claim, one signature for each. Podman wants the name that it pulls by, with the
        tag, unless its policy says otherwise.
      - The default is each name as given, with its tag, which is V(latest) where it has none. A name by digest claims
        the repository, without a tag.
    type: list
    elements: str
  annotations:
    description: Texts to sign along with the image, such as who built it. What O(state=absent) removes may have any.
    type: dict
    default: {}
  recursive:
    description:
      - Whether the images of an index are signed too, each of them, but not its attestations.
      - Podman reads simple signatures of these alone, and there is a warning where they are not signed.
    type: bool
    default: false
  state:
    description:
      - V(absent) removes the signatures of this key, in O(formats), and nothing else. O(public_key) alone is enough.
      - Bundles that a registry cannot delete are taken off the list of referrers, with a warning.
    type: str
    choices: [present, absent]
    default: present
  payload_path:
    description:
      - Without a key, the payload of one simple signature is written to this file on the target, and nothing is signed.
      - Sign it elsewhere, with SHA-256, and give O(signature) and O(public_key) to a second task with the same name,
        O(identities) and O(annotations). There the file is not looked at.
    type: path
  signature:
    description: A signature of the payload, base64 of its DER form. It is verified before it is stored.
    type: str
  public_key:
    description: The public key to O(signature), as a PEM text or the path of such a file on the target.
    type: str
notes:
  - The same key signs the same with the same bytes where the library C(cryptography) can do that (43 and later, with
    OpenSSL 3.2 and later). Elsewhere the digest of a bundle is null in check mode.
seealso:
  - module: quayside.registry.oci_key
  - module: quayside.registry.oci_verify
  - module: quayside.registry.oci_attest
"""

EXAMPLES = r"""
- name: Sign what was built
  quayside.registry.oci_sign:
    name: localhost:5000/team/app:1.4.2
    key: /etc/keys/release.key
    passphrase: "{{ vault_release_passphrase }}"

- name: Sign all platforms, with the key from a vault, under the names that two sites pull by
  quayside.registry.oci_sign:
    name: localhost:5000/team/app:1.4.2
    key_content: "{{ vault_release_key }}"
    passphrase: "{{ vault_release_passphrase }}"
    recursive: true
    identities:
      - registry.example/team/app:1.4.2
      - mirror.example/team/app:1.4.2

- name: Take back what the old key signed
  quayside.registry.oci_sign:
    name: localhost:5000/team/app:1.4.2
    public_key: /etc/keys/old.pub
    state: absent

- name: Write what a hardware module is to sign
  quayside.registry.oci_sign:
    name: localhost:5000/team/app:1.4.2
    payload_path: /tmp/payload.json
"""

RETURN = r"""
reference: {type: str, returned: success, description: "The name with the digest, or null if there are several."}
digest: {type: str, returned: success, description: "The image's digest, or null if there are several."}
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null if there are several."}
signatures:
  description: What became of each signature.
  type: list
  elements: dict
  returned: success
  contains:
    format: {type: str, description: V(bundle) or V(simple).}
    digest:
      description:
        - The digest of the bundle's manifest, or of the payload of a simple signature.
        - It is null in check mode where it cannot be known.
      type: str
    reference: {type: str, description: The name of what is signed with its digest.}
    claimed_reference: {type: str, description: "The name that a simple signature claims, or null."}
    status: {type: str, description: "V(created), V(current) (it was there), or V(removed)."}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Add a signature under localhost:5000/team/app:sha256-98d6e2....sig."]
diff:
  description: The signatures of this key, by image.
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
from ..module_utils._options import NAMES, PRIVATE_KEY, SIGNATURES, plans
from ..module_utils._verbs.sign import plan_sign

DECLARATION = plans(
    plan_sign,
    {
        **NAMES,
        **PRIVATE_KEY,
        "formats": {"type": "list", "elements": "str", "choices": SIGNATURES, "default": SIGNATURES},
        "identities": {"type": "list", "elements": "str"},
        "annotations": {"type": "dict", "default": {}},
        "recursive": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "payload_path": {"type": "path"},
        "signature": {"type": "str"},
        "public_key": {"type": "str", "no_log": False},
    },
    mutually_exclusive=[("name", "names"), ("key", "key_content", "public_key")],
    required_one_of=[("name", "names"), ("key", "key_content", "public_key", "payload_path")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
