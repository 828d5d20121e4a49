#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_artifact_pull
short_description: Save the files of an artifact in a container registry (OCI, Docker) in a folder
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Saves what M(quayside.registry.oci_artifact_push) or ORAS stored, each file under its title.
  - A file appears whole or not at all, and one that is right already is left alone. All content is verified.
  - What has no title is not saved; M(quayside.registry.oci_blob) saves it by its digest, as
    M(quayside.registry.oci_manifest_info) tells it. Helm charts, for instance, are stored like that.
  - A title never leads out of the folder, whatever it says; the task fails before anything is written.
  - A folder that ORAS has packed is saved as the tar.gz that it is, with a warning.
  - Files of any size take the same memory.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
options:
  path:
    description: The folder, which is made where it is missing. What it is in must exist. Other files in it stay.
    type: path
    required: true
  titles:
    description: Save these files alone.
    type: list
    elements: str
    default: []
seealso:
  - module: quayside.registry.oci_artifact_push
  - module: quayside.registry.oci_blob
"""

EXAMPLES = r"""
- name: Save policies
  quayside.registry.oci_artifact_pull:
    name: localhost:5000/team/policies:1.0
    path: /etc/policies

- name: Save just the readme
  quayside.registry.oci_artifact_pull:
    name: localhost:5000/team/policies:1.0
    path: /tmp/policies
    titles: [docs/README.txt]
"""

RETURN = r"""
reference: {type: str, returned: success, description: The artifact's name with the digest.}
digest: {type: str, returned: success, description: The artifact's digest.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
path: {type: str, returned: success, description: The folder.}
files:
  description: The files, in order.
  type: list
  elements: dict
  returned: success
  contains:
    path: {type: str, description: Where it is.}
    title: {type: str, description: Its title.}
    digest: {type: str, description: Its digest.}
    size: {type: int, description: Its size in bytes.}
    media_type: {type: str, description: What it is.}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Write /etc/policies/network.rego (1024 bytes)."]
diff:
  description: The digest of each file.
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
from ..module_utils._options import NAME, plans
from ..module_utils._verbs.artifact_pull import plan_artifact_pull

DECLARATION = plans(
    plan_artifact_pull,
    {
        **NAME,
        "path": {"type": "path", "required": True},
        "titles": {"type": "list", "elements": "str", "default": []},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
