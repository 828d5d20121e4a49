#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_key
short_description: Make a key that signs images of container registries (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Makes a key pair (ECDSA on P-256) for M(quayside.registry.oci_sign) and for cosign, which keeps the private key in
    the same form, encrypted with a passphrase.
  - A key that is there and opens with the passphrase is left alone, whoever made it.
  - Talks to no registry; the options about registries have no effect.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - ansible.builtin.files
options:
  path:
    description: The file of the private key. The folder that it is in must exist.
    type: path
    required: true
  public_path:
    description: The file of the public key. Without it the public key is only returned.
    type: path
  passphrase:
    description: The passphrase of the private key. It may be empty.
    type: str
    required: true
  force:
    description:
      - Whether what is at O(path) is replaced if it is no key, or one that does not open with O(passphrase). What was
        signed with it stays signed, and the new key does not verify it.
    type: bool
    default: false
  mode:
    description: The mode of the private key, which nobody but its owner should read.
    type: raw
    default: "0600"
requirements:
  - cryptography
seealso:
  - module: quayside.registry.oci_sign
"""

EXAMPLES = r"""
- name: Make a key that signs releases
  quayside.registry.oci_key:
    path: /etc/keys/release.key
    public_path: /etc/keys/release.pub
    passphrase: "{{ vault_release_passphrase }}"
  register: release_key

- name: Show what verifies its signatures
  ansible.builtin.debug:
    var: release_key.public_key
"""

RETURN = r"""
path: {type: str, returned: success, description: The file of the private key.}
public_key:
  description: The public key as a PEM text. It is null in check mode where the key would be made.
  type: str
  returned: success
key_fingerprint:
  description:
    - Base64 of the SHA-256 of the public key's DER form, which is cosign's hint.
    - It is null in check mode where the key would be made.
  type: str
  returned: success
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: [Make a key at /etc/keys/release.key.]
diff:
  description: The fingerprint of the key, and the content of the public file.
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
from ..module_utils._options import plans
from ..module_utils._verbs.key import plan_key

DECLARATION = plans(
    plan_key,
    {
        "path": {"type": "path", "required": True},
        "public_path": {"type": "path"},
        "passphrase": {"type": "str", "required": True, "no_log": True},
        "force": {"type": "bool", "default": False},
        "mode": {"type": "raw", "default": "0600"},
    },
    file="path",
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
