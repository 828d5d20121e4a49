#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_mutate
short_description: Change labels, environment, command and more of an image in a container registry (OCI, Docker)
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Changes the config and the annotations of an image, or adds layers to it, without building or even downloading it.
    Only the config and the manifest are sent, and the layers of O(append).
  - An index (multi-platform image) stays one. All its images are changed, or those for O(platforms).
  - What is not asked for stays as it is, fields that no specification knows included. If nothing is to change, nothing
    is written, and the digest stays the same.
  - BuildKit's attestations follow their image. They are dropped where O(append) changed the files that they describe.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._image
  - quayside.registry._image.on_existing
options:
  dest:
    description:
      - Where the result goes, as V(registry/repository:tag). The tag is that of O(name) where none is given.
      - The default is O(name), which is changed in place.
      - Where O(name) is a digest without a tag, the result is stored by its own digest, in O(dest) as well, and no tag
        is set; see RV(reference). Where it has both, the digest tells what is read, and the tag is written.
    type: str
  labels:
    description:
      - Labels to set. V(null) removes a label, and labels that are not named stay.
      - Values are strings. A whole number is taken as one; put booleans, numbers with a fraction and times in quotes,
        as YAML does not keep how they were written.
      - Put in quotes, too, names and values that YAML reads as something else, such as V(on), V(1.10), V(0644) and
        V(12:30:45). Names and whole numbers cannot be told from what was meant any more.
    type: dict
  annotations:
    description: Annotations of the image's manifest to set, in the way of O(labels).
    type: dict
  env:
    description:
      - Environment variables to set, in the way of O(labels). One that is there is set in its place, others are added
        at the end. An empty string is a value.
      - In a Windows image, names that differ in case alone are the same, and the spelling that is there stays.
    type: dict
  cmd:
    description:
      - The command, or the arguments of the entrypoint, as a list of words. V([]) clears it.
      - Words are strings, as values of O(labels) are.
      - One string is split as a shell would split it, so V(nginx -g 'daemon off;') is three words. It is not run by a
        shell in the container.
    type: raw
  entrypoint:
    description:
      - The entrypoint, as a list of words or one string, like O(cmd). V([]) clears it.
      - The image's command, which was made for another entrypoint, is cleared with it unless O(cmd) is given too.
        Building an image does so, too.
    type: raw
  user:
    description: The user (and group) to run as, such as V(1000:1000). An empty string clears it.
    type: str
  workdir:
    description: The working directory, an absolute path. An empty string clears it.
    type: str
  exposed_ports:
    description:
      - The ports that the image exposes, such as V(8080), V(8080/tcp), V(53/udp), or V(7000-7010). TCP is the default.
      - They replace those of the image. V([]) clears them.
    type: list
    elements: str
  volumes:
    description: The volumes of the image, absolute paths. They replace those that it has. V([]) clears them.
    type: list
    elements: str
  stop_signal:
    description: The signal that stops a container, such as V(SIGTERM). An empty string clears it.
    type: str
  set_platform:
    description:
      - The platform to set, as V(os/architecture), V(os/architecture/variant), or with a Windows build
        V(windows/amd64:10.0.17763.1). What is left out is removed. The files of the image stay as they are.
      - In an index, choose the one image to set it for with O(platforms).
    type: str
  created:
    description: The time of creation to set (RFC 3339). Without it, the time that the image has stays.
    type: str
  append:
    description:
      - Layers to add on top, as the paths of tar archives or folders, bottom layer first.
      - Files that are compressed (gzip, zstd) are sent byte for byte; others are compressed with gzip.
      - Layers that were added before are not added again, as in M(quayside.registry.oci_append), so a second run
        changes nothing. Where the content of the files changes from run to run, take the image to add to from O(name)
        and put the result at O(dest).
      - Windows images get layers as Windows wants them, as in M(quayside.registry.oci_append).
      - It is an error to add a layer in zstd to an image in Docker's format, which has no name for it.
        Where the image has one already, from elsewhere, the task warns.
    type: list
    elements: path
    default: []
  index_annotations:
    description:
      - Annotations of the index itself to set, in the way of O(labels). It is an error if O(name) is a single image.
      - A manifest list of Docker's format has no annotations, so none can be set in one.
    type: dict
  config_patch:
    description:
      - A JSON merge patch (RFC 7386) for the config, applied after everything else. V(null) removes a key.
      - It may not change C(rootfs), which must fit the layers.
    type: dict
  manifest_patch:
    description:
      - A JSON merge patch (RFC 7386) for the manifest of each image, applied after everything else.
      - It may not change which config and layers the image has, nor its media type.
    type: dict
  platforms:
    description:
      - Change only the images of an index for these platforms, such as V(linux/amd64) or V(linux/arm/v7). V(linux)
        alone matches every Linux. It is an error if one of them is not there. The other images of the index stay in it.
      - Without it, all images of an index are changed.
    type: list
    elements: str
    default: []
seealso:
  - module: quayside.registry.oci_append
  - module: quayside.registry.oci_rebase
  - module: quayside.registry.oci_config_info
"""

EXAMPLES = r"""
- name: Mark a release
  quayside.registry.oci_mutate:
    name: localhost:5000/team/app:1.4.2
    labels:
      org.opencontainers.image.version: 1.4.2
      com.example.draft: null
    annotations:
      com.example.approved-by: release team
  register: app

- name: Show its labels
  ansible.builtin.debug:
    var: app.config.config.Labels

- name: Make a variant of it, with a proxy, and as another user
  quayside.registry.oci_mutate:
    name: localhost:5000/team/app:1.4.2
    dest: localhost:5000/team/app:1.4.2-proxy
    env:
      HTTPS_PROXY: http://proxy.example.com:3128
    user: "1000"
    entrypoint: [/usr/bin/app]
    cmd: [--verbose]

- name: Add a health check, which has no option of its own
  quayside.registry.oci_mutate:
    name: localhost:5000/team/app:1.4.2
    platforms: [linux/amd64]
    config_patch:
      config:
        Healthcheck:
          Test: [CMD, /usr/bin/app, --check]
"""

RETURN = r"""
reference: {type: str, returned: success, description: The image's name with the digest.}
digest: {type: str, returned: success, description: The digest that the name has now.}
media_type: {type: str, returned: success, description: The media type of RV(digest).}
previous_digest: {type: str, returned: success, description: "What the name had before, or null if it did not exist."}
config:
  description:
    - The config of the image after the change. Of an index, it is that of the first image that was to be changed.
    - Where O(on_existing=keep) kept another image, it is what its config would have become.
  type: dict
  returned: success
  sample: {architecture: amd64, os: linux, config: {Labels: {com.example.team: web}}}
actions:
  description: What was done, or would be done in check mode, and what was kept or dropped.
  type: list
  elements: str
  returned: success
  sample:
    - Send the blob sha256:5bd5c6... (823 bytes) to localhost:5000/team/app.
    - Tag localhost:5000/team/app:1.4.2 as sha256:98d6e2... (was sha256:0b44f0...).
diff:
  description: The images at the destination, with their configs, annotations and layers.
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
from ..module_utils._options import NAME, ON_EXISTING, PLATFORMS, plans
from ..module_utils._verbs.mutate import plan_mutate

DECLARATION = plans(
    plan_mutate,
    {
        **NAME,
        "dest": {"type": "str"},
        "labels": {"type": "dict"},
        "annotations": {"type": "dict"},
        "env": {"type": "dict"},
        "cmd": {"type": "raw"},
        "entrypoint": {"type": "raw"},
        "user": {"type": "str"},
        "workdir": {"type": "str"},
        "exposed_ports": {"type": "list", "elements": "str"},
        "volumes": {"type": "list", "elements": "str"},
        "stop_signal": {"type": "str"},
        "set_platform": {"type": "str"},
        "created": {"type": "str"},
        "append": {"type": "list", "elements": "path", "default": []},
        "index_annotations": {"type": "dict"},
        "config_patch": {"type": "dict"},
        "manifest_patch": {"type": "dict"},
        **PLATFORMS,
        **ON_EXISTING,
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
