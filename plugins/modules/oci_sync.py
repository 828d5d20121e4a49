#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_sync
short_description: Keep mirrors of images, repositories, or whole container registries (OCI, Docker), by rules
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Brings images to another place and keeps them up to date there, byte for byte, with all their platforms and, where
    that is asked for, their signatures.
  - What is up to date costs one request on each side for each tag, and a page of the list of tags for a thousand of
    them. Only what differs is looked into; blobs that the destination has are not sent again.
  - What fails does not stop the others, and no tag is written of an image that is not whole. At its end the task then
    fails with the C(error_code) V(PARTIAL), and has all results beside it.
  - Deletes nothing unless O(sources[].delete_extra=true), and then only within limits.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._releases.state_path
options:
  sources:
    description:
      - What goes where. Several of them may lead to one repository; two images with different digests for one tag are
        an error (V(CONFLICT)), and neither is written.
    type: list
    elements: dict
    required: true
    suboptions:
      src:
        description:
          - An image (with a tag or a digest), a repository (without), or all repositories below a prefix, such as
            V(registry.example/team/*) or V(registry.example/*).
          - A prefix needs the registry's catalog, which many registries do not show. What lies below O(sources[].dest)
            in the same registry is not taken for a source.
        type: str
        required: true
      dest:
        description:
          - Where it goes, in the same shape; what follows the prefix stays the same.
          - For one image, a repository alone is enough; the tag is then that of O(sources[].src).
        type: str
        required: true
      tags:
        description:
          - Choose tags by rules; without them, all are taken. Tags that tools make for signatures and the like of a
            digest, such as C(sha256-HEX.sig), belong to their image and are never chosen by a rule.
        type: dict
        suboptions:
          include:
            description: Python regular expressions. Tags in which none of them is found are left out.
            type: list
            elements: str
            default: []
          exclude:
            description: Python regular expressions. Tags in which one of them is found are left out.
            type: list
            elements: str
            default: []
          semver:
            description: Only tags that are versions in this range, such as V(>=1.2 <2), or in one of several (a list).
            type: raw
          newest:
            description: Only so many tags, the newest ones.
            type: int
          sort_by:
            description: What O(sources[].tags.newest) goes by.
            type: str
            default: version
            choices: [version, alphabetical]
          per:
            description:
              - A Python regular expression with one group; O(sources[].tags.newest) counts for each of its values.
            type: str
          omit_digest_tags:
            description:
              - Always true. Such tags are no matter of rules; O(sources[].referrers=true) takes them along.
            type: bool
            default: true
      repositories:
        description: Choose repositories below a prefix, by what follows the prefix in their names.
        type: dict
        suboptions:
          include:
            description: Python regular expressions. Repositories in which none of them is found are left out.
            type: list
            elements: str
            default: []
          exclude:
            description: Python regular expressions. Repositories in which one of them is found are left out.
            type: list
            elements: str
            default: []
      rename_tags:
        description: Other names for tags. The first whose O(sources[].rename_tags[].match) is found in a tag counts.
        type: list
        elements: dict
        suboptions:
          match:
            description: A Python regular expression. What it finds is replaced, once. V(^) and V($) anchor.
            type: str
            required: true
          to:
            description: What takes its place. V(\\1) is what the first group found.
            type: str
            required: true
      platforms:
        description:
          - Copy only these platforms of indexes, such as V(linux/amd64). The result has another digest than the source,
            unless this leaves nothing out, so that the signatures of the whole index stay behind.
          - The index of each tag is then read at every run, which Docker Hub counts as a pull.
        type: list
        elements: str
        default: []
      referrers:
        description:
          - Bring also what refers to the images, such as signatures, attestations, and SBOMs, before their tags. They
            are merged with those that are there.
          - With O(compare=digests) that is done when an image is copied. What is added later comes with
            O(compare=deep).
        type: bool
        default: false
      on_existing:
        description:
          - What to do where a tag exists already and points at another digest.
          - V(replace) moves it. V(keep) leaves it alone (RV(kept)). V(report) also does, and tells that it has drifted
            (RV(drifted)). With V(fail), it counts as failed (RV(failures)).
        type: str
        default: replace
        choices: [replace, keep, fail, report]
      verify:
        description:
          - Copy only images that are signed by whom they should be. The others fail.
          - What is up to date is not looked at again.
        type: dict
        suboptions:
          keys:
            description: Public keys, as PEM texts or as paths of such files on the target. Any one may have signed.
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
                description: The path of the C(trusted_root.json) that all of it must come from.
                type: path
          policy_path:
            description: The path of a C(policy.json) as podman and skopeo read it, instead of all else.
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
            description: Which name a simple signature must claim (V(any), V(repository), V(reference), or names).
            type: list
            elements: str
            default: [any]
          formats:
            description: The formats that count.
            type: list
            elements: str
            choices: [bundle, simple]
            default: [bundle, simple]
      age:
        description:
          - Copy only images that are old enough. Those that are too young are RV(left_out), and come with a later run.
        type: dict
        suboptions:
          duration:
            description: How old, such as V(12h) or V(7d).
            type: str
            required: true
          clock:
            description:
              - Who tells the age; the first that knows counts.
              - V(signed) is the time of a signature that O(sources[].verify) has verified, V(first_seen) when a run
                with the same O(state_path) first saw it, and V(created) what the image says, which its builder sets as
                they like.
            type: list
            elements: str
            choices: [signed, first_seen, created]
            default: [signed, first_seen]
          on_unknown:
            description: Whether an image whose age nobody knows fails, or is left out.
            type: str
            choices: [fail, skip]
            default: fail
      delete_extra:
        description:
          - Delete the tags of the destination that the rule covers and that the source no longer has. What
            O(sources[].tags.newest) merely does not pick any more is kept.
          - Nothing is deleted where a list of a source failed, was cut off, or matched nothing. All sources of the
            destination, also those that delete nothing, are asked again for just what is to go. Repositories that are
            gone from the source stay.
          - A name that O(sources[].rename_tags) made is deleted where its expression can be turned round, which is so
            for one of letters, digits and groups, such as V(^v(.*\)$).
          - Tags for signatures and the like go along with their image, unless something that is kept needs them.
        type: bool
        default: false
  compare:
    description:
      - V(digests) takes for up to date what has the same digest.
      - V(deep) also looks at what is below and, with O(sources[].referrers=true), at signatures and the like, and sends
        what is missing.
    type: str
    default: digests
    choices: [digests, deep]
  max_deletions:
    description:
      - The most tags that one run may delete. Where there are more, none is deleted and the task fails (V(GUARD)).
    type: int
    default: 10
  max_share:
    description:
      - The most tags that may be deleted, in percent of those that a repository of the destination has. Where there
        are more in one, none is deleted anywhere and the task fails (V(GUARD)).
    type: int
    default: 20
  delete_protect:
    description: Tags of the destination that are never deleted.
    type: dict
    suboptions:
      include:
        description: Python regular expressions. Only tags in which one of them is found are protected.
        type: list
        elements: str
        default: []
      exclude:
        description: Python regular expressions. Tags in which one of them is found are not protected.
        type: list
        elements: str
        default: []
      semver:
        description: Only tags that are versions in this range, or in one of several (a list).
        type: raw
      newest:
        description: Only so many tags, the newest ones of the destination.
        type: int
      sort_by:
        description: What O(delete_protect.newest) goes by.
        type: str
        default: version
        choices: [version, alphabetical]
      per:
        description: A Python regular expression with one group; O(delete_protect.newest) counts for each of its values.
        type: str
      omit_digest_tags:
        description: Always true. Tags of signatures and the like of a digest belong to their image, not to a rule.
        type: bool
        default: true
  keep_going:
    description: Go on with the others where an image fails. With V(false), the first failure ends the task.
    type: bool
    default: true
  requests_per_second:
    description:
      - How fast to ask each registry, at most. All O(jobs) share this.
      - What a registry says of its own limit (C(RateLimit-Remaining)) is always obeyed. Where nothing is left, the
        other images are RV(left_out), with a warning.
    type: float
  lock_path:
    description:
      - A file on the target host, to which RV(lock) is written as JSON. It is no change of the registry, and is not
        written in check mode. With O(shard), each host writes its part, so give each a file of its own.
    type: path
  locked:
    description:
      - Do what O(lock_path) says, and nothing else. Images are asked for by their digests, and no lists; nothing is
        deleted. O(sources) says how, such as with which O(sources[].platforms).
    type: bool
    default: false
  shard:
    description:
      - This host's part, where several hosts share the work. Each repository of the destination belongs to exactly one
        of them, so that what its images have in common is sent once.
      - O(max_deletions) is then a limit for each host.
    type: dict
    suboptions:
      index:
        description: Which part, counted from 0.
        type: int
        required: true
      count:
        description: How many parts there are.
        type: int
        required: true
seealso:
  - module: quayside.registry.oci_copy
  - module: quayside.registry.oci_verify
"""

EXAMPLES = r"""
- name: Mirror the three newest patches of each release, and what is called stable
  quayside.registry.oci_sync:
    sources:
      - src: docker.io/library/debian
        dest: localhost:5000/mirror/debian
        tags:
          semver: ">=12"
          newest: 3
          per: '^(\d+)'
      - src: docker.io/library/debian:stable
        dest: localhost:5000/mirror/debian

- name: Mirror all repositories of a team exactly, signatures included, and remove what is gone there
  quayside.registry.oci_sync:
    sources:
      - src: registry.example/team/*
        dest: localhost:5000/team/*
        repositories:
          exclude: ['^scratch/']
        referrers: true
        delete_extra: true
    max_deletions: 20
    delete_protect:
      include: ['^release-']
  register: mirror

- name: Take only what is signed, and has been out for a week
  quayside.registry.oci_sync:
    sources:
      - src: registry.example/vendor/app
        dest: localhost:5000/vendor/app
        rename_tags:
          - match: '^v(\d.*)$'
            to: '\1'
        verify:
          keys: [/etc/containers/vendor.pub]
        age:
          duration: 7d
          on_unknown: skip
    state_path: /var/lib/mirror/seen.json
    requests_per_second: 10

- name: Tell what has changed upstream, but change nothing that is there
  quayside.registry.oci_sync:
    sources:
      - src: registry.example/vendor/app
        dest: localhost:5000/vendor/app
        on_existing: report
  register: drift

- name: Share the work among all hosts of the play
  quayside.registry.oci_sync:
    sources:
      - src: registry.example/*
        dest: localhost:5000/*
    shard:
      index: "{{ ansible_play_hosts_all.index(inventory_hostname) }}"
      count: "{{ ansible_play_hosts_all | length }}"

- name: Write down which images these are
  quayside.registry.oci_sync:
    sources: &sources
      - src: registry.example/team/*
        dest: staging.example/team/*
    lock_path: /srv/releases/team.json

- name: Bring just these again, later, whatever their tags point at by then
  quayside.registry.oci_sync:
    sources: *sources
    lock_path: /srv/releases/team.json
    locked: true
"""

RETURN = r"""
copied:
  description: What was not there.
  type: list
  elements: dict
  returned: success
  contains: &row
    reference: {type: str, description: "The image at the destination, with its tag."}
    digest: {type: str, description: "Its digest, or null if it is not known."}
    reason: {type: str, description: Why.}
  sample:
    - reference: localhost:5000/mirror/debian:12
      digest: sha256:98d6e2...
      reason: it was not there
updated:
  description: Tags that had another digest; with O(compare=deep) also those of which something was missing.
  type: list
  elements: dict
  returned: success
  contains: *row
drifted:
  description: Tags that have another digest than the source and were left so (V(report)), with what they have.
  type: list
  elements: dict
  returned: success
  contains: *row
deleted:
  description: Tags that were deleted.
  type: list
  elements: dict
  returned: success
  contains: *row
kept:
  description: Tags that were not moved (V(keep)) or not deleted, since something forbids it.
  type: list
  elements: dict
  returned: success
  contains: *row
left_out:
  description:
    - What was not copied this time, such as images that are too young, with the digest that the source has. What a
      registry does not allow any more for now (HTTP 429, after all tries) is here too, with a warning.
    - A result called C(skipped) would be taken by Ansible for a task that did not run.
  type: list
  elements: dict
  returned: success
  contains: *row
failures:
  description: What failed, images and lists; the task fails if there are some.
  type: list
  elements: dict
  returned: success
  contains: *row
images:
  description: What became of each image.
  type: list
  elements: dict
  returned: success
  contains:
    src: {type: str, description: The full name of the source.}
    dest: {type: str, description: The full name of the destination.}
    digest: {type: str, description: "What the destination has now, or null."}
    reference: {type: str, description: "The name at the destination with the digest, or null."}
    previous_digest: {type: str, description: "What the destination had, or null."}
    changed: {type: bool, description: Whether the image was copied.}
    status:
      description: V(copied), V(updated), V(current), V(drifted), V(kept), V(left_out), or V(failed).
      type: str
lock:
  description: Which image, by digest, belongs under which name; without what failed or was left out.
  type: list
  elements: dict
  returned: success
  contains:
    src: {type: str, description: "The source, with its tag, if any, and its digest."}
    dest: {type: str, description: The full name of the destination.}
    digest: {type: str, description: "The digest there, another one where O(sources[].platforms) leave something out."}
  sample:
    - src: docker.io/library/debian:12@sha256:98d6e2...
      dest: localhost:5000/mirror/debian:12
      digest: sha256:98d6e2...
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Send the blob sha256:2a3f51... (1470 bytes) to localhost:5000/mirror/debian."]
diff:
  description: The digest of each tag that changes.
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
from ..module_utils._options import AGE, INNER_RULES, PATTERNS, PLATFORMS, RULES, STATE_PATH, TRUST, plans
from ..module_utils._verbs.sync import plan_sync

RENAME = {"match": {"type": "str", "required": True}, "to": {"type": "str", "required": True}}
SOURCE = {
    "src": {"type": "str", "required": True},
    "dest": {"type": "str", "required": True},
    **RULES,
    "repositories": {"type": "dict", "options": PATTERNS},
    "rename_tags": {"type": "list", "elements": "dict", "options": RENAME},
    **PLATFORMS,
    "referrers": {"type": "bool", "default": False},
    "on_existing": {"type": "str", "default": "replace", "choices": ["replace", "keep", "fail", "report"]},
    "verify": {"type": "dict", "options": TRUST},
    "age": {"type": "dict", "options": AGE},
    "delete_extra": {"type": "bool", "default": False},
}
SHARD = {"index": {"type": "int", "required": True}, "count": {"type": "int", "required": True}}

DECLARATION = plans(
    plan_sync,
    {
        "sources": {"type": "list", "elements": "dict", "required": True, "options": SOURCE},
        "compare": {"type": "str", "default": "digests", "choices": ["digests", "deep"]},
        "max_deletions": {"type": "int", "default": 10},
        "max_share": {"type": "int", "default": 20},
        "delete_protect": {"type": "dict", "options": INNER_RULES},
        "keep_going": {"type": "bool", "default": True},
        "requests_per_second": {"type": "float"},
        **STATE_PATH,
        "lock_path": {"type": "path"},
        "locked": {"type": "bool", "default": False},
        "shard": {"type": "dict", "options": SHARD},
    },
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
