# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose signature counts, as suboptions of the modules that look whether images are signed."""

from __future__ import annotations


class ModuleDocFragment:
    SIGNATURES = r"""
options:
  signatures:
    description:
      - Whose signature the image must have. Without this, signatures are not looked at.
      - The suboptions are those of M(quayside.registry.oci_verify), which describes them in full.
    type: dict
    suboptions:
      keys:
        description: Public keys, as PEM texts or as paths of such files. Any one of them may have signed.
        type: list
        elements: str
      certificate:
        description: Whose certificates count, for bundles that were signed without a key.
        type: dict
        suboptions:
          identity:
            description: Whom the certificate was made for, exactly.
            type: str
          identity_regexp:
            description: The same as a Python regular expression, which must match all of it.
            type: str
          issuer:
            description: Who said so, exactly.
            type: str
          issuer_regexp:
            description: The same as a Python regular expression, which must match all of it.
            type: str
          trusted_root:
            description: The path of the C(trusted_root.json) that the certificate, the log and the time must come from.
            type: path
      policy_path:
        description: The path of a C(policy.json) as podman and skopeo read it. It stands alone.
        type: path
      threshold:
        description: How many different keys or identities must have signed.
        type: int
        default: 1
      annotations:
        description: What the signed payload must say, text by text.
        type: dict
        default: {}
      identity:
        description:
          - Which name the payload of a simple signature must claim, V(any), V(repository), V(reference), or a list of
            names.
        type: list
        elements: str
        default: [any]
      formats:
        description: The formats that count.
        type: list
        elements: str
        choices: [bundle, simple]
        default: [bundle, simple]
requirements:
  - cryptography, where signatures are asked for
"""

    VERIFY = r"""
options:
  verify:
    description:
      - Whose signature each image must have. Without this, signatures are not looked at.
      - The suboptions are those of M(quayside.registry.oci_verify), which describes them in full.
    type: dict
    suboptions:
      keys:
        description: Public keys, as PEM texts or as paths of such files. Any one of them may have signed.
        type: list
        elements: str
      certificate:
        description: Whose certificates count, for bundles that were signed without a key.
        type: dict
        suboptions:
          identity:
            description: Whom the certificate was made for, exactly.
            type: str
          identity_regexp:
            description: The same as a Python regular expression, which must match all of it.
            type: str
          issuer:
            description: Who said so, exactly.
            type: str
          issuer_regexp:
            description: The same as a Python regular expression, which must match all of it.
            type: str
          trusted_root:
            description: The path of the C(trusted_root.json) that the certificate, the log and the time must come from.
            type: path
      policy_path:
        description: The path of a C(policy.json) as podman and skopeo read it. It stands alone.
        type: path
      threshold:
        description: How many different keys or identities must have signed.
        type: int
        default: 1
      annotations:
        description: What the signed payload must say, text by text.
        type: dict
        default: {}
      identity:
        description:
          - Which name the payload of a simple signature must claim, V(any), V(repository), V(reference), or a list of
            names.
        type: list
        elements: str
        default: [any]
      formats:
        description: The formats that count.
        type: list
        elements: str
        choices: [bundle, simple]
        default: [bundle, simple]
requirements:
  - cryptography, where signatures are asked for
"""
