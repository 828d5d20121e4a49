#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_prune
short_description: Delete old images of a container registry (OCI, Docker), and break none of those that stay
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Deletes the tags that O(select) chooses and no rule in O(keep) or O(protect) keeps, and their manifests where
    nothing that stays needs them. What is kept is whole afterwards, with its members, signatures and other referrers.
  - All that hangs together is looked at before anything is deleted. That is the tags, members of indexes, what refers
    to images (by the referrers API or by tags such as C(sha256-HEX.sig)), and digests that tags share.
  - To keep wins over to delete, always. One rule in O(keep) is enough, and what is not known is kept.
  - Nothing at all is deleted where O(min_keep), O(max_deletions) or O(max_share) does not allow it, or where the list
    of tags could not be read as a whole.
  - With O(undo_path), what is deleted can be put back as long as the registry has not collected its garbage.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._releases.state_path
options:
  name:
    description: The repository, as V(registry/repository), without a tag.
    type: str
  names:
    description: Several repositories, instead of O(name). An empty list is nothing to do.
    type: list
    elements: str
  select:
    description:
      - Which tags may be deleted at all; all that is given must fit. It is compulsory, and must not be empty.
        All tags are V(.*) in O(select.include).
      - Tags that tools make for signatures and the like of a digest, such as C(sha256-HEX.sig), are never chosen. They
        live and die with their image.
    type: dict
    suboptions:
      include:
        description: Python regular expressions. Tags in which none of them is found are left out. V(^) and V($) anchor.
        type: list
        elements: str
        default: []
      exclude:
        description: Python regular expressions. Tags in which one of them is found are left out.
        type: list
        elements: str
        default: []
      semver:
        description: Only tags that are versions in this range, such as V(<2), or in one of several (a list).
        type: raw
      newest:
        description: Only so many tags, the newest ones.
        type: int
      sort_by:
        description: What O(select.newest) goes by.
        type: str
        default: version
        choices: [version, alphabetical]
      per:
        description: A Python regular expression with one group; O(select.newest) counts for each of its values.
        type: str
      omit_digest_tags:
        description: Always true. Tags of signatures and the like of a digest are no matter of rules.
        type: bool
        default: true
      age:
        description:
          - Only images that are at least so old. One whose age is not known is kept.
          - An index is as old as its youngest member. An image that claims to be from before 1990 is of unknown age.
        type: dict
        suboptions:
          duration:
            description: The age, such as V(12h), V(30d) or V(8w).
            type: str
            required: true
          clock:
            description:
              - Which clocks to ask, in this order. The first one that knows counts.
              - V(first_seen) is when a task with this O(state_path) saw the image for the first time, V(created) is
                what the image says itself, which builds set as they like. V(signed) is the time of a signature that was
                verified; here nothing is verified but for O(keep.signed_by), which keeps, so that it never knows.
            type: list
            elements: str
            choices: [signed, first_seen, created]
            default: [signed, first_seen]
          on_unknown:
            description: Without effect here. An image of unknown age is kept.
            type: str
            choices: [fail, skip]
            default: fail
  keep:
    description: Rules that keep what O(select) has chosen. Any one of them keeps.
    type: dict
    suboptions:
      newest:
        description:
          - Keep so many of the selected tags, the highest versions. Tags that are no versions are not among them,
            unless O(keep.sort_by=alphabetical).
        type: int
      per:
        description:
          - A Python regular expression with one group. O(keep.newest) counts for each value of it, so that
            V(^v?(\\d+\\.\\d+\)) keeps so many of each minor version. Tags in which it is not found are a group of their
            own.
        type: str
      sort_by:
        description: What O(keep.newest) goes by. The newest of V(alphabetical) tags is the last one.
        type: str
        default: version
        choices: [version, alphabetical]
      include:
        description: Python regular expressions. Tags in which one of them is found are kept.
        type: list
        elements: str
        default: []
      semver:
        description: Tags that are versions in this range are kept, or in one of several (a list).
        type: raw
      younger_than:
        description: Images that are younger are kept, and those whose age is not known.
        type: dict
        suboptions:
          duration:
            description: The age, such as V(12h), V(30d) or V(8w).
            type: str
            required: true
          clock:
            description: Which clocks to ask, as O(select.age.clock).
            type: list
            elements: str
            choices: [signed, first_seen, created]
            default: [signed, first_seen]
          on_unknown:
            description: Without effect here. An image of unknown age is kept.
            type: str
            choices: [fail, skip]
            default: fail
      in_use:
        description:
          - What runs somewhere, as hosts report it. That may be a digest, the ID of an image, or a reference, short or
            in full, with a tag, a digest or both.
          - The digest of an index and that of one of its members both keep the whole index, under each of its tags.
            An index that has no tag any more is kept whole too; tags of its members may go where that leaves them.
          - Of names, the path and the tag are compared, and not the registry, which may have several addresses.
            V(app:1) is V(registry.example/team/app:1), too.
        type: list
        elements: str
      signed_by:
        description: Images that are signed like this are kept, and indexes of which a member is.
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
                description: Whom the certificate was made for, a mail address or the URI of a workflow, exactly.
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
                description: The path of the C(trusted_root.json) that all that must come from.
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
            description: Which name the payload of a simple signature must claim, as in M(quayside.registry.oci_verify).
            type: list
            elements: str
            default: [any]
          formats:
            description: The formats that count.
            type: list
            elements: str
            choices: [bundle, simple]
            default: [bundle, simple]
      labels:
        description:
          - Images with any one of these labels are kept, and indexes of which a member has one. Null wants a label of
            that name, whatever its value.
        type: dict
      annotations:
        description: The same for annotations of manifests and indexes, and of members in their index.
        type: dict
      referrers:
        description:
          - Artifact types. Images to which something of such a type refers are kept, and indexes of which that is true
            of a member. Of what lies under a tag such as C(sha256-HEX.att), it is the media type of its layers.
        type: list
        elements: str
  protect:
    description: Tags that are kept whatever the rules say.
    type: list
    elements: str
    default: [latest]
  delete_untagged:
    description:
      - What to do with manifests that have no tag.
      - With V(none), members of deleted indexes stay, without a tag, and so do their signatures; no later run knows
        what they belong to. V(freed) is right where indexes are signed together with their members.
      - V(freed) deletes them where nothing that stays needs them.
      - V(all) deletes also others without a tag, which O(select.age) and O(keep) are asked about as well. Only few
        registries list them (those of Google do). Others fail with C(UNSUPPORTED_BY_REGISTRY), and nothing is deleted.
        An image that is being sent has no tag yet, so give O(select.age).
    type: str
    default: none
    choices: [none, freed, all]
  delete_referrers:
    description: Whether signatures, attestations, SBOMs and other referrers go with what they refer to.
    type: bool
    default: true
  min_keep:
    description: How many tags each repository must have left. Tags for signatures and the like do not count.
    type: int
    default: 1
  max_deletions:
    description: How many tags may be deleted at most, in all repositories together.
    type: int
    default: 100
  max_share:
    description: How many percent of its tags each repository may lose at most.
    type: int
    default: 50
  undo_path:
    description:
      - A folder on the target host in which the manifests and tags that are deleted are saved before. It is made where
        it does not exist; what it is in must exist.
      - It is an OCI layout without blobs. C(skopeo inspect --raw oci:FOLDER:registry/repository:tag) reads it. Several
        tasks may save in one folder; of each tag the last one counts.
      - It is compulsory with O(state=restored).
    type: path
  state:
    description:
      - V(absent) deletes.
      - V(restored) puts back what O(undo_path) has of these repositories and is missing. A tag that is another image by
        now is left. A manifest whose blobs the registry has collected fails the task at its end, when the rest is
        restored. The other options have no effect then.
    type: str
    default: absent
    choices: [absent, restored]
notes:
  - Where the registry cannot delete a tag alone, as CNCF distribution before 3.0, a tag stays if something that is kept
    needs its manifest. CNCF distribution wants C(storage.delete.enabled=true) for any deletion.
  - The space of blobs is freed by the registry, when it collects garbage. Do not let it delete untagged manifests by
    itself if indexes are deleted here with O(delete_untagged=none), and they should come back.
  - Manifests that nobody tagged are known only as far as tags lead to them. Name what runs by digest in O(keep.in_use).
seealso:
  - module: quayside.registry.oci_delete
  - module: quayside.registry.oci_tag_info
requirements:
  - cryptography, for O(keep.signed_by)
"""

EXAMPLES = r"""
- name: Keep the newest five of each minor version, and what is younger than a month
  quayside.registry.oci_prune:
    name: localhost:5000/team/app
    select:
      semver: ">=0"
    keep:
      newest: 5
      per: ^v?(\d+\.\d+)
      younger_than: {duration: 30d}
    state_path: /var/lib/retention/seen.json

- name: Ask the hosts what they run
  ansible.builtin.command: podman ps --format {{ '{{.ImageID}}' }}
  delegate_to: "{{ item }}"
  loop: "{{ groups.web }}"
  changed_when: false
  register: running

- name: Delete what branches left behind, unless it runs or was released
  quayside.registry.oci_prune:
    names:
      - localhost:5000/team/app
      - localhost:5000/team/web
    select:
      include: ["^pr-", "^branch-"]
    keep:
      in_use: "{{ running.results | map(attribute='stdout_lines') | flatten }}"
      signed_by:
        keys: [/etc/containers/release.pub]
      labels:
        keep: "true"
    delete_untagged: freed
    undo_path: /var/backups/pruned
  register: pruned

- name: Tell why each tag is still there
  ansible.builtin.debug:
    msg: "{{ item.reference }}: {{ item.reason }}"
  loop: "{{ pruned.kept }}"
  loop_control:
    label: "{{ item.reference }}"

- name: Put everything back
  quayside.registry.oci_prune:
    names:
      - localhost:5000/team/app
      - localhost:5000/team/web
    undo_path: /var/backups/pruned
    state: restored
"""

RETURN = r"""
deleted:
  description: The manifests that were deleted, each after the indexes that contained it.
  type: list
  elements: dict
  returned: success
  contains:
    reference: &reference {type: str, description: "The full name, with the digest or the tag."}
    digest: &digest {type: str, description: The digest.}
    rule:
      description:
        - What it is deleted for. V(select) (its tags go), V(freed) (it was a member of a deleted index), V(referrers)
          (it refers to what is deleted), or V(untagged).
      type: str
    reason: &reason {type: str, description: The same as a sentence.}
untagged:
  description: The tags that were removed, also those that went with their manifest.
  type: list
  elements: dict
  returned: success
  contains:
    reference: *reference
    digest: *digest
    rule:
      description: V(select), or V(referrers) for a tag that belongs to what is deleted, such as a signature's.
      type: str
    reason: *reason
kept:
  description: The tags that are still there, and manifests that lost their tags but are needed.
  type: list
  elements: dict
  returned: success
  contains:
    reference: *reference
    digest: {type: str, description: "The digest, or null where there is no image under a tag."}
    rule:
      description:
        - What it is kept for. V(select) (it is not selected), V(age), V(protect), or the option of O(keep).
        - V(shared) is a tag that cannot be removed alone, V(needed) a manifest that something else needs, V(subject) a
          tag that belongs to another image, V(broken) and V(unreadable) are tags under which no known image is.
        - V(moved) and V(refused) are what turned out otherwise when it was to be deleted, or restored. A warning tells
          of what was refused; RV(actions) leaves out both.
      type: str
    reason: *reason
broken:
  description: The indexes that lack members, whatever became of them.
  type: list
  elements: dict
  returned: success
  contains:
    reference: *reference
    digest: *digest
    tags: {type: list, elements: str, description: The full names with their tags.}
    missing: {type: list, elements: str, description: The digests of the missing members.}
bytes_freed:
  description:
    - The size of the blobs that none of the manifests which stay in these repositories use. The registry frees them
      when it collects garbage, unless another repository has them.
  type: int
  returned: success
undo_path: {type: str, returned: success, description: "Where it was saved, or null where nothing was."}
restored:
  description: The manifests and tags that were put back.
  type: list
  elements: dict
  returned: success
  contains: &row {reference: *reference, digest: *digest, rule: {type: str, description: V(undo).}, reason: *reason}
failures: {type: list, elements: dict, returned: success, description: What could not be put back., contains: *row}
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: ["Remove the tag localhost:5000/team/app:1.3.0.", "Delete the manifest localhost:5000/team/app@sha256:98d6."]
diff:
  description: The digest of each tag and manifest that goes or comes back.
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
from ..module_utils._options import AGE, INNER_RULES, NAMES, ONE_OF_NAMES, STATE_PATH, TAG_RULES, TRUST, plans
from ..module_utils._verbs.prune import plan_prune

KEEP = {
    **{name: TAG_RULES[name] for name in ("newest", "per", "sort_by", "include", "semver")},
    "younger_than": {"type": "dict", "options": AGE},
    "in_use": {"type": "list", "elements": "str"},
    "signed_by": {"type": "dict", "options": TRUST},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    "referrers": {"type": "list", "elements": "str"},
}
DECLARATION = plans(
    plan_prune,
    {
        **NAMES,
        **STATE_PATH,
        "select": {"type": "dict", "options": {**INNER_RULES, "age": {"type": "dict", "options": AGE}}},
        "keep": {"type": "dict", "options": KEEP},
        "protect": {"type": "list", "elements": "str", "default": ["latest"]},
        "delete_untagged": {"type": "str", "default": "none", "choices": ["none", "freed", "all"]},
        "delete_referrers": {"type": "bool", "default": True},
        "min_keep": {"type": "int", "default": 1},
        "max_deletions": {"type": "int", "default": 100},
        "max_share": {"type": "int", "default": 50},
        "undo_path": {"type": "path"},
        "state": {"type": "str", "default": "absent", "choices": ["absent", "restored"]},
    },
    **ONE_OF_NAMES,
    required_if=[("state", "absent", ("select",)), ("state", "restored", ("undo_path",))],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
