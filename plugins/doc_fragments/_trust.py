# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose signature counts, and the key that signs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  keys:
    description:
      - Public keys, as PEM texts or as paths of such files on the target. Any one of them may have signed.
      - ECDSA on P-256, P-384 and P-521, RSA, and Ed25519 are known, always with SHA-256.
    type: list
    elements: str
  certificate:
    description:
      - Whose certificates count, for bundles that were signed without a key ("keyless"). Nothing is downloaded.
      - It needs the Python library C(sigstore) on the target host.
    type: dict
    suboptions:
      identity:
        description: Whom the certificate was made for, a mail address or the URI of a workflow, exactly.
        type: str
      identity_regexp:
        description: The same as a Python regular expression, which must match all of it.
        type: str
      issuer:
        description: Who said so, such as V(https://token.actions.githubusercontent.com), exactly.
        type: str
      issuer_regexp:
        description: The same as a Python regular expression, which must match all of it.
        type: str
      trusted_root:
        description: The path of the C(trusted_root.json) that the certificate, the log and the time must come from.
        type: path
  policy_path:
    description:
      - The path of a C(policy.json) as podman and skopeo read it. It stands alone, without O(keys) and the like.
      - C(sigstoreSigned) with keys, C(reject) and C(insecureAcceptAnything) are evaluated. What else it asks for
        (GPG keys, Fulcio, Rekor, PKI) refuses, and the message says so.
      - What the policy accepts without a signature is verified, with an empty list of signatures and a warning.
    type: path
  threshold:
    description: How many different keys or identities must have signed.
    type: int
    default: 1
  annotations:
    description: What the signed payload must say, text by text. Annotations that nobody signed do not count.
    type: dict
    default: {}
  identity:
    description:
      - Which name the payload of a simple signature must claim.
      - V(any) takes each. V(repository) wants the image's repository, V(reference) the image's name with its tag, or
        for a name by digest the repository, as podman does. A list of names takes these alone, whatever their tag
        where they have none.
      - Bundles claim no name, so that they satisfy only V(any).
    type: list
    elements: str
    default: [any]
  formats:
    description:
      - The formats that count. V(bundle) is what cosign 3 writes, beside the image as a referrer. V(simple) is what
        cosign 1 and 2 write, under the tag C(sha256-HEX.sig), and what podman, skopeo and CRI-O read.
    type: list
    elements: str
    choices: [bundle, simple]
    default: [bundle, simple]
requirements:
  - cryptography
"""

    # Beside the section above.
    VERIFY = r"""
options:
  signature:
    description: Whether a signature is asked for. Set V(false) where O(attestations) alone are.
    type: bool
    default: true
  attestations:
    description:
      - Attestations that each image must have, signed by the same O(keys) or O(certificate); bundles, and what cosign 1
        and 2 wrote under the tag C(sha256-HEX.att).
      - What they say is believed only after that, and is returned as RV(ignore:attestations).
      - An empty list asks for none.
    type: list
    elements: dict
    suboptions:
      predicate_type:
        description: A URI, or one of V(spdx), V(cyclonedx), V(slsaprovenance1), V(vuln), V(openvex).
        type: str
        required: true
      query:
        description:
          - A JMESPath expression over the predicate that must be exactly true, such as
            C(runDetails.builder.id == 'https://ci.example').
          - It needs the Python library C(jmespath) on the target host.
        type: str
      max_age:
        description:
          - How old it may be, such as V(12h) or V(7d). Its age is that of the log's entry or of the time stamp, else of
            the time that its predicate has for when it was made. Where none is known, it does not count.
        type: str
  platforms:
    description:
      - The images of an index for these platforms must be signed too, each of them, as podman demands of the one that
        it pulls.
    type: list
    elements: str
    default: []
"""

    # Of what acts on one image or on several.
    NAMES = r"""
options:
  name:
    description:
      - The image, as V(registry/repository:tag) or V(registry/repository@digest).
      - The tag is V(latest) where neither is given.
    type: str
  names:
    description: Several images, instead of O(name). An empty list is nothing to do.
    type: list
    elements: str
"""

    PRIVATE_KEY = r"""
options:
  key:
    description:
      - The path of the private key on the target, as M(quayside.registry.oci_key) or C(cosign generate-key-pair) wrote
        it, or as an unencrypted PEM file.
    type: path
  key_content:
    description: The private key itself, such as from a vault, instead of O(key). It is written nowhere.
    type: str
  passphrase:
    description: The passphrase of an encrypted private key. It may be empty.
    type: str
requirements:
  - cryptography
"""
