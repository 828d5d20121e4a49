#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_append
short_description: Append layers to an image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Puts layers on top of an image, from tars, folders, or single files, or makes an image of them alone. Needs no
    container engine.
  - The layers of the image are not downloaded for O(layers). For O(files) they are read once, to see which folders and
    links the image has, and nothing of them is stored; when the files are there already, they are not read.
  - Of an index, each image gets the layers; it stays an index. Attestations of the old images would no longer be
    true, so they are dropped, and RV(actions) says so.
  - Where O(layers) and O(files) are empty, there is nothing to do, but to store the image of O(name) as O(dest) too.
  - An image that has these layers is left as it is, so a second run changes nothing. Layers are compared by their
    uncompressed content. They are packed and sent only when they are needed.
  - Several tasks may append to one tag in place, each its own layers. A layer counts wherever this module has put it,
    as the history of the image tells, as long as nothing but layers of this module is above it, and none of these
    has the same files, or comes from a tar or folder of the same name. So what is changed back is appended again.
    Two tasks that write the same file into one image, or name their tars alike, therefore change it at every run.
  - In place, an old layer is never taken away. It is better to append from one O(name) to another O(dest), whose
    layers are then exactly those of O(name) and the new ones. Do not mix both for one tag, as a task with O(dest) drops
    what others have appended there.
  - Windows images get layers as Windows wants them, with the files below C(Files). Archives that have C(Files)
    and C(Hives) at their top already are taken as they are. Their O(files) go exactly where their paths say.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image.on_existing
  - quayside.registry._rootfs
options:
  name:
    description:
      - The image to append to, as V(registry/repository:tag) or V(registry/repository@digest).
      - Without it, the image O(dest) is made of the layers alone.
    type: str
  dest:
    description:
      - Where to write the result. The tag is that of O(name) where none is given. The default is O(name) itself.
      - Where O(name) is a digest without a tag, the result is stored by its own digest, in O(dest) as well, and no tag
        is set; see RV(reference). Where it has both, the digest tells what is read, and the tag is written.
    type: str
  layers:
    description:
      - Paths on the target host, each of which becomes a layer, the first one lowest.
      - A tar that is compressed with gzip or zstd is used byte for byte; a plain one is compressed.
      - Of a folder, all that is in it is packed, sorted, with its owners, modes, times (whole seconds), hard links,
        devices, and capabilities. Sockets are left out, and so are owner and mode of the folder itself. Links are
        packed as links. It is an error if a file is replaced while it is packed.
    type: list
    elements: path
  files:
    description:
      - Single files, which together become one layer, on top of O(layers).
      - They go where C(buildah copy) would put them. Links in their paths are followed, so V(/bin/tool) becomes
        C(/usr/bin/tool) where C(/bin) is a link to C(usr/bin). Folders that the image has keep owner, mode, and times.
      - Missing folders are made, with the mode V(0755) and owner root, but for C(/tmp), C(/var/tmp), and C(/root),
        which get their usual modes.
      - A file or link that has the name already is replaced. It is an error if a folder has it.
      - The time of all of them is O(created), in whole seconds, else the epoch.
    type: list
    elements: dict
    suboptions:
      path:
        description: The path in the image.
        type: str
        required: true
      content:
        description: The text of the file.
        type: str
      src:
        description: A file on the target host to take the content from. Either this or O(files[].content) is needed.
        type: path
      mode:
        description:
          - The permissions, as an octal string such as V('0640').
          - The default is V('0755') for a O(files[].src) that its owner may execute, else V('0644').
        type: raw
      uid:
        description: The owner, a number.
        type: int
        default: 0
      gid:
        description: The group, a number.
        type: int
        default: 0
  format:
    description: The media types of an image from scratch. Any other image keeps its own.
    type: str
    default: oci
    choices:
      - oci
      - docker
  base_annotations:
    description:
      - Annotate the result with name and digest of the image that it was made from, as
        C(org.opencontainers.image.base.name) and C(org.opencontainers.image.base.digest).
      - The digest is that of the image itself, also in an index. M(quayside.registry.oci_rebase) uses both.
    type: bool
    default: false
  platforms:
    description:
      - Append only to these platforms of an index, such as V(linux/amd64). The others stay as they are.
      - The default is all. It is an error if one of them is not there.
      - Without O(name), the platforms that the image is for; several make an index. The default is V(linux/amd64).
    type: list
    elements: str
    default: []
  created:
    description:
      - The time that the config and the history of the result say, such as V(2024-01-31T12:00:00Z) (RFC 3339), with
        or without a fraction of a second, in any time zone.
      - The default is what the image says. The clock is never asked, so that the same input gives the same image.
    type: str
  compression:
    description:
      - How to compress what is not compressed. Engines older than 2022 do not know V(zstd).
      - It is an error to add a layer in zstd to an image in Docker's format, which has no name for it.
        Where the image has one already, from elsewhere, the task warns.
    type: str
    default: gzip
    choices:
      - gzip
      - zstd
seealso:
  - module: quayside.registry.oci_mutate
  - module: quayside.registry.oci_flatten
"""

EXAMPLES = r"""
- name: Add a configuration to an image
  quayside.registry.oci_append:
    name: localhost:5000/team/app:1.4.2
    dest: localhost:5000/team/app:1.4.2-lab
    files:
      - path: /etc/app/app.conf
        content: |
          listen = 8080
        mode: "0640"
        gid: 1000

- name: Make an image of a folder, for two platforms
  quayside.registry.oci_append:
    dest: localhost:5000/team/site:1
    layers: [/srv/site]
    platforms: [linux/amd64, linux/arm64]
    created: "2024-01-31T12:00:00Z"
"""

RETURN = r"""
reference: {type: str, returned: success, description: The name of the result with its digest.}
digest: {type: str, returned: success, description: The digest that the destination has now.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What the destination had before, or null."}
layers:
  description: The layers that were asked for, as the result has them; of an index, as its first image has them.
  type: list
  elements: dict
  returned: success
  contains:
    digest: {type: str, description: The digest of the layer as it is stored.}
    size: {type: int, description: Its size as it is stored.}
    diff_id: {type: str, description: "The digest of the uncompressed layer, which does not depend on the encoder."}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5000/team/app:1.4.2-lab as sha256:98d6e2..."]
diff:
  description: The images that the name stands for.
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
    bytes_sent: {type: int, description: Bytes of content sent.}
    bytes_received: {type: int, description: Bytes of content received.}
    blobs_pushed: {type: int, description: Blobs sent.}
    blobs_mounted: {type: int, description: Blobs mounted from another repository.}
    blobs_skipped: {type: int, description: Blobs that were there.}
    seconds_waited: {type: int, description: Seconds of waiting that a registry asked for or that followed trouble.}
"""

from ..module_utils._main import run
from ..module_utils._options import LIMITS, ON_EXISTING, PLATFORMS, plans
from ..module_utils._verbs.append import plan_append

_FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "src": {"type": "path"},
    "mode": {"type": "raw"},
    "uid": {"type": "int", "default": 0},
    "gid": {"type": "int", "default": 0},
}
DECLARATION = plans(
    plan_append,
    {
        "name": {"type": "str"},
        "dest": {"type": "str"},
        "layers": {"type": "list", "elements": "path"},
        "files": {
            "type": "list",
            "elements": "dict",
            "options": _FILE,
            "mutually_exclusive": [("content", "src")],
            "required_one_of": [("content", "src")],
        },
        "format": {"type": "str", "default": "oci", "choices": ["oci", "docker"]},
        "base_annotations": {"type": "bool", "default": False},
        **PLATFORMS,
        "created": {"type": "str"},
        "compression": {"type": "str", "default": "gzip", "choices": ["gzip", "zstd"]},
        **LIMITS,
        **ON_EXISTING,
    },
    required_one_of=[("name", "dest"), ("layers", "files")],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
