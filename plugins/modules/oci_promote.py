#!/usr/bin/python
# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: oci_promote
short_description: Release images of container registries (OCI, Docker), all or none
version_added: 0.1.0
author: Quayside contributors (@quayside)
description:
  - Copies several images to where they are released, and moves their tags there in one go.
  - Nothing is written unless all sources are what they should be, all requirements hold, and all tags may be written.
    What is wrong with any image or tag is told at once, all of it.
  - Then come blobs and manifests, what refers to them, signatures and records of one's own, and only then tags, moving
    ones such as V(latest) last. So no tag is ever seen before what it points at is complete and signed.
  - Where something fails, the tags that were moved go back, each only if it still is what was written here.
  - What an earlier run did not finish is finished by the next one.
extends_documentation_fragment:
  - quayside.registry._attributes
  - quayside.registry._registry
  - quayside.registry._releases.state_path
options:
  images:
    description:
      - The images of the release. An empty list is nothing to do.
      - Compulsory unless O(state=restored).
    type: list
    elements: dict
    suboptions:
      src:
        description: The image to release. The tag is V(latest) where it has neither tag nor digest.
        type: str
        required: true
      digest:
        description: The digest that O(images[].src) must have, such as from the build; nothing is released otherwise.
        type: str
      dest:
        description:
          - Where it goes, one repository or several.
          - A name with a tag stands for this tag alone; then O(images[].tags) must be absent.
        type: list
        elements: str
        required: true
      tags:
        description:
          - The tags that it gets and that do not move; see O(on_existing).
          - The default is the tag of O(images[].src). An empty list is for moving tags alone.
        type: list
        elements: str
      moving_tags:
        description:
          - Tags that move from release to release, such as V(latest); see O(moving).
          - V({major}), V({minor}) and V({patch}) stand for the numbers of O(images[].version), V({version}) for all of
            it, as in V({major}.{minor}).
        type: list
        elements: str
      version:
        description: The version, for moving tags. The default is the tag of O(images[].src).
        type: str
      platforms:
        description:
          - Release only these platforms of an index, such as V(linux/amd64).
          - This makes another index, with another digest. What refers to the whole one, such as its signatures, does
            not cover it and is left out, with a warning.
        type: list
        elements: str
      require:
        description: What this image must fulfil beside O(require), which holds for it too.
        type: dict
        suboptions: &require
          labels:
            description: Labels that each of its images must have, in all platforms that are released.
            type: dict
          annotations:
            description:
              - Annotations that each of its images must have, in all platforms that are released. What an index says of
                an image, or of all of them, counts where the image itself does not say otherwise.
            type: dict
          platforms:
            description: Platforms that it must have.
            type: list
            elements: str
          signatures:
            description: Whose signatures it must have. With several entries, each of them must hold.
            type: list
            elements: dict
            suboptions: &trust
              keys:
                description: Public keys, as PEM texts or as paths of such files on the target. Any one may have signed.
                type: list
                elements: str
              certificate:
                description:
                  - Whose certificates count, for bundles that were signed without a key. Nothing is downloaded.
                  - It needs the Python library C(sigstore) on the target host.
                type: dict
                suboptions: &certificate
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
                    description: The path of the C(trusted_root.json) that certificate, log and time must come from.
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
                  - Which name the payload of a simple signature must claim. V(any), V(repository), V(reference), or a
                    list of names, as in M(quayside.registry.oci_verify). The image is the source.
                type: list
                elements: str
                default: [any]
              formats:
                description: The formats that count.
                type: list
                elements: str
                choices: [bundle, simple]
                default: [bundle, simple]
          attestations:
            description:
              - Attestations that it must have, as in M(quayside.registry.oci_verify).
              - Where an entry says nothing about who must have signed it, those count whose signatures are asked for.
            type: list
            elements: dict
            suboptions:
              predicate_type:
                description: A URI, or one of V(spdx), V(cyclonedx), V(slsaprovenance1), V(vuln), V(openvex).
                type: str
                required: true
              query:
                description:
                  - A JMESPath expression over the predicate that must be exactly true.
                  - It needs the Python library C(jmespath) on the target host.
                type: str
              max_age:
                description: How old it may be, such as V(12h) or V(7d).
                type: str
              keys:
                description: Public keys of which any one may have signed it.
                type: list
                elements: str
              certificate:
                description: Whose certificates count.
                type: dict
                suboptions: *certificate
              threshold:
                description: How many different keys or identities must have signed it.
                type: int
                default: 1
              trust:
                description: Who must have signed it, as an entry of the signatures that are required.
                type: dict
                suboptions: *trust
          referrers:
            description:
              - Artifact types of which something must refer to it, such as V(application/spdx+json). That proves only
                that it is there; anybody who can push can attach it.
            type: list
            elements: str
          age:
            description: How old it must be, at least.
            type: dict
            suboptions:
              duration:
                description: The age, such as V(12h) or V(7d).
                type: str
                required: true
              clock:
                description:
                  - What tells its age; the first that knows counts. V(signed) is the time of a log or a time stamp of a
                    required signature, V(first_seen) is in O(state_path), V(created) is what the build says of itself.
                type: list
                elements: str
                choices: [signed, first_seen, created]
                default: [signed, first_seen]
              on_unknown:
                description: Whether the requirement fails where no clock knows its age, or is skipped.
                type: str
                choices: [fail, skip]
                default: fail
          base_current:
            description: Whether the base that its annotations name must still be the newest under that name.
            type: bool
            default: false
  require:
    description:
      - What each image must fulfil before anything is written. All failures of all images are told at once. An image
        whose source does not exist, has another digest than it should, or lacks a platform is not looked at for this.
      - It is checked at each run, also where all is in place.
    type: dict
    suboptions: *require
  on_existing:
    description:
      - What to do where one of O(images[].tags) exists with another digest. V(fail) refuses the whole release before
        anything is written, V(keep) leaves the tag alone and says so, V(replace) moves it.
    type: str
    choices: [fail, keep, replace]
    default: fail
  moving:
    description:
      - V(forward) never moves a moving tag to a version below the one that it shows. That is what its image says
        (C(org.opencontainers.image.version), an annotation or a label), else the newest of the destination's tags that
        the same template fits and that are not of this release, also where the tag does not exist yet. A tag that would
        go back is kept, and the task succeeds and says so.
      - Pre-releases among these tags hold back a pre-release alone.
      - Where the image to release says another version than it is released as, such as that of its base, labels are not
        believed, and the tags tell.
      - A pre-release such as V(1.5.0-rc.1) moves only what shows a pre-release, or is called like one; a tag that
        does not exist shows none.
      - V(any) moves them to whatever is released.
    type: str
    choices: [forward, any]
    default: forward
  referrers:
    description:
      - Whether what refers to the images goes along, such as signatures, attestations and SBOMs, also under cosign's
        tags. It is merged with what is there, and is there before any tag.
    type: bool
    default: true
  sign:
    description: Sign what is released with a key of one's own, unless it is, before any tag.
    type: dict
    suboptions:
      key: &key
        description: The path of the private key on the target.
        type: path
      key_content: &key_content
        description: The private key itself, such as from a vault. It is written nowhere.
        type: str
      passphrase: &passphrase
        description: The passphrase of an encrypted private key. It may be empty.
        type: str
      formats:
        description: The formats to write, as in M(quayside.registry.oci_sign).
        type: list
        elements: str
        choices: [bundle, simple]
        default: [bundle, simple]
      identities:
        description: The names that simple signatures claim. The default is each name that the image gets.
        type: list
        elements: str
      annotations:
        description: Texts to sign along with the image.
        type: dict
        default: {}
      recursive:
        description: Whether the images of an index are signed too.
        type: bool
        default: false
  attest:
    description:
      - Attest the promotion before any tag, unless it is - the source, the digests, the destinations and tags that were
        asked for, and the requirements that were met. The record holds no time, so that it is the same at each run.
      - It is an in-toto attestation, beside the image in each destination. Where it names no key, that of O(sign) is
        taken.
    type: dict
    suboptions:
      key: *key
      key_content: *key_content
      passphrase: *passphrase
      predicate_type:
        description: The URI of its predicate's type.
        type: str
        default: https://github.com/quayside/registry/promotion/v1
      metadata:
        description:
          - What else to tell, such as a commit or the URL of a job. What differs from run to run makes another record
            each time.
        type: dict
        default: {}
  backup:
    description:
      - A tag for what a tag had before it moves, with V({tag}) for that tag, such as V({tag}-previous). It is replaced
        where it exists, and goes back in a roll-back.
    type: str
  expect_previous:
    description:
      - What the tags of the destination must be, by name, with null for one that must not exist; RV(previous) of a run
        in check mode can be given. The release is refused where one has changed since, unless it is right already.
    type: dict
  repair:
    description:
      - Look at children, blobs, referrers, signatures and record also where a tag has the right digest already, and
        add what is missing there.
      - V(false) costs no more than a request for each source and for each tag where all is in place.
    type: bool
    default: true
  rollback:
    description: Whether tags go back where something fails. V(false) leaves them, and RV(ignore:left) names them.
    type: bool
    default: true
  journal_path:
    description:
      - A file on the target host that tells what each tag was. It is written before the first tag moves, so that
        O(state=restored) can undo a release, also one that was killed.
      - Without it there is no journal, and what a killed task has done stays until the next run completes it.
      - What earlier runs of the same release have written stays in it.
    type: path
  state:
    description:
      - V(restored) takes back what O(journal_path) tells, the last tag first, each only if it still is what was
        written. It needs nothing else. The journal stays, and is marked as used, so that it cannot be used twice.
    type: str
    choices: [present, restored]
    default: present
  verify_after:
    description: Whether each tag that was written is read back.
    type: bool
    default: true
notes:
  - A registry that cannot remove a tag alone keeps a new tag in a roll-back where another tag has the same digest;
    it is then in RV(ignore:left).
  - A task that fails after it has looked at the tags returns RV(images), RV(failures), RV(rolled_back), RV(left) and
    RV(journal) too, which tell what each tag is then.
  - Where a release is refused, RV(failures) come in the order in which they are looked for - sources, tags that two
    images are to get, requirements, versions, O(expect_previous), and tags that exist. C(error_code) is the code of
    the first, so that V(TAG_EXISTS) means that nothing else is wrong. A registry that does not answer, or that denies
    all that is asked of it, ends the task at once.
  - It needs the Python library C(cryptography) for signatures and attestations.
seealso:
  - module: quayside.registry.oci_copy
  - module: quayside.registry.oci_sign
  - module: quayside.registry.oci_verify
"""

EXAMPLES = r"""
- name: Release two images, signed by the build, under their version, and move the tags that follow it
  quayside.registry.oci_promote:
    images:
      - src: localhost:5000/staging/api:1.4.2
        dest: localhost:5001/prod/api
        moving_tags: ["{major}.{minor}", "{major}", latest]
      - src: localhost:5000/staging/web:1.4.2
        dest: localhost:5001/prod/web
        moving_tags: ["{major}.{minor}", "{major}", latest]
    require:
      signatures:
        - keys: [/etc/keys/build.pub]
    journal_path: /var/lib/releases/1.4.2.json
  register: release

- name: Show the pinned names
  ansible.builtin.debug:
    var: release.references

- name: Plan a release that somebody approves
  quayside.registry.oci_promote:
    images: "{{ release_images }}"
  check_mode: true
  register: planned

- name: Do what was approved, if the destination has not changed since
  quayside.registry.oci_promote:
    images: "{{ planned.lock }}"
    expect_previous: "{{ planned.previous }}"

- name: Release to two sites, with gates, an own signature and a record
  quayside.registry.oci_promote:
    images:
      - src: localhost:5000/staging/api:build-77
        digest: sha256:98d6e2a1f7f5b4c6f4c43b7a5c0a2b1d8e9f00112233445566778899aabbccdd
        dest:
          - localhost:5001/prod/api
          - localhost:5002/prod/api
        tags: [1.5.0]
        version: 1.5.0
        moving_tags: [latest]
    require:
      labels:
        stage: tested
      attestations:
        - predicate_type: vuln
          max_age: 7d
          query: "length(scanner.result.Results[?Vulnerabilities]) == `0`"
          keys: [/etc/keys/scanner.pub]
      age:
        duration: 2h
    state_path: /var/lib/releases/seen.json
    sign:
      key: /etc/keys/release.key
      passphrase: "{{ vault_release_passphrase }}"
    attest:
      metadata:
        commit: 0b44f0c
    backup: "{tag}-previous"

- name: Undo a release
  quayside.registry.oci_promote:
    state: restored
    journal_path: /var/lib/releases/1.4.2.json
"""

RETURN = r"""
images:
  description: What became of each tag. A task that fails returns it too.
  type: list
  elements: dict
  returned: success
  contains:
    src: {type: str, description: "The full name of the source; of a backup, what it keeps; null if it is not known."}
    dest: {type: str, description: The repository.}
    tag: {type: str, description: The tag.}
    kind: {type: str, description: "V(tag), V(moving) or V(backup)."}
    digest: {type: str, description: "What the tag points at now, or null if it does not exist or that is not known."}
    previous_digest: {type: str, description: "What it pointed at before this task, or null."}
    status:
      description:
        - V(created), V(moved), V(current) (it was right), V(repaired) (it was right, and what was missing below or
          beside it was added), or V(kept) (as it is, also where it does not exist).
        - In a task that fails also V(refused), V(planned) (not reached), V(restored), V(removed), and V(left) (it could
          not go back).
      type: str
    reason: {type: str, description: "Why it was kept, refused or left, or null."}
  sample:
    - src: localhost:5000/staging/api:1.4.2
      dest: localhost:5001/prod/api
      tag: latest
      kind: moving
      digest: sha256:98d6e2...
      previous_digest: sha256:0b44f0...
      status: moved
      reason: null
references:
  description: The pinned name of each tag that exists now, by its name.
  type: dict
  returned: success
  sample:
    localhost:5001/prod/api:latest: localhost:5001/prod/api@sha256:98d6e2...
previous:
  description: What each tag was, by its name, with null for none. It can be given as O(expect_previous).
  type: dict
  returned: success
lock:
  description:
    - The images with their digests, which can be given as O(images).
    - With O(state=restored), those that the journal was written for.
  type: list
  elements: dict
  returned: success
  contains:
    src: {type: str, description: The source by its digest.}
    dest: {type: list, elements: str, description: The repositories.}
    tags: {type: list, elements: str, description: The tags.}
    moving_tags: {type: list, elements: str, description: The moving tags as they were given.}
    version: {type: str, description: "The version, or null."}
    platforms: {type: list, elements: str, description: The platforms; empty for all.}
failures:
  description:
    - All that is wrong with a release that is refused, of which nothing was written; else empty. A task that fails
      returns it too.
  type: list
  elements: dict
  returned: success
  contains:
    reference: {type: str, description: "The source, or the tag in the destination."}
    digest: {type: str, description: "What that points at now, or null if it does not exist or that is not known."}
    reason: {type: str, description: Why the release is refused.}
    code: {type: str, description: "The C(error_code) of this alone, such as V(REQUIREMENT_NOT_MET)."}
  sample:
    - reference: localhost:5000/staging/api:1.4.2
      digest: sha256:98d6e2...
      reason: "localhost:5000/staging/api:1.4.2 is not signed as required: It has no signature."
      code: REQUIREMENT_NOT_MET
rolled_back:
  description: Whether tags had moved and are all what they were before. A task that fails returns it too.
  type: bool
  returned: success
left:
  description: The names of tags that could not go back. A task that fails returns it too.
  type: list
  elements: str
  returned: success
journal:
  description: The path of the journal, or null. A task that fails returns it too, null where it was not written.
  type: str
  returned: success
reference: {type: str, returned: success, description: "The name with the digest, or null if there are several."}
digest: {type: str, returned: success, description: "The digest, or null if there are several images or repositories."}
media_type: {type: str, returned: success, description: "The media type of RV(digest), or null if there are several."}
previous_digest: {type: str, returned: success, description: "What the only tag was, or null."}
actions:
  description: What was done, or would be done in check mode, and what was kept.
  type: list
  elements: str
  returned: success
  sample: ["Tag localhost:5001/prod/api:1.4.2 as sha256:98d6e2...."]
diff:
  description: The digest of each tag; what is incomplete is marked as such.
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
from ..module_utils._options import AGE, PRIVATE_KEY, SIGNATURES, STATE_PATH, TRUST, plans
from ..module_utils._verbs.promote import plan_promote

_ATTESTATION = {
    "predicate_type": {"type": "str", "required": True},
    "query": {"type": "str"},
    "max_age": {"type": "str"},
    **{name: TRUST[name] for name in ("keys", "certificate", "threshold")},
    "trust": {"type": "dict", "options": TRUST},
}
_REQUIRE = {
    "type": "dict",
    "options": {
        "labels": {"type": "dict"},
        "annotations": {"type": "dict"},
        "platforms": {"type": "list", "elements": "str"},
        "signatures": {"type": "list", "elements": "dict", "options": TRUST},
        "attestations": {"type": "list", "elements": "dict", "options": _ATTESTATION},
        "referrers": {"type": "list", "elements": "str"},
        "age": {"type": "dict", "options": AGE},
        "base_current": {"type": "bool", "default": False},
    },
}
_IMAGE = {
    "src": {"type": "str", "required": True},
    "digest": {"type": "str"},
    "dest": {"type": "list", "elements": "str", "required": True},
    "tags": {"type": "list", "elements": "str"},
    "moving_tags": {"type": "list", "elements": "str"},
    "version": {"type": "str"},
    "platforms": {"type": "list", "elements": "str"},
    "require": _REQUIRE,
}
_SIGN = {
    **PRIVATE_KEY,
    "formats": {"type": "list", "elements": "str", "choices": SIGNATURES, "default": SIGNATURES},
    "identities": {"type": "list", "elements": "str"},
    "annotations": {"type": "dict", "default": {}},
    "recursive": {"type": "bool", "default": False},
}
_ATTEST = {
    **PRIVATE_KEY,
    "predicate_type": {"type": "str", "default": "https://github.com/quayside/registry/promotion/v1"},
    "metadata": {"type": "dict", "default": {}},
}

DECLARATION = plans(
    plan_promote,
    {
        "images": {"type": "list", "elements": "dict", "options": _IMAGE},
        "require": _REQUIRE,
        "on_existing": {"type": "str", "choices": ["fail", "keep", "replace"], "default": "fail"},
        "moving": {"type": "str", "choices": ["forward", "any"], "default": "forward"},
        "referrers": {"type": "bool", "default": True},
        "sign": {"type": "dict", "options": _SIGN, "mutually_exclusive": [("key", "key_content")]},
        "attest": {"type": "dict", "options": _ATTEST, "mutually_exclusive": [("key", "key_content")]},
        "backup": {"type": "str"},
        "expect_previous": {"type": "dict"},
        "repair": {"type": "bool", "default": True},
        "rollback": {"type": "bool", "default": True},
        "journal_path": {"type": "path"},
        **STATE_PATH,
        "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
        "verify_after": {"type": "bool", "default": True},
    },
    required_if=[("state", "present", ["images"]), ("state", "restored", ["journal_path"])],
)


def main() -> None:
    run(DECLARATION)


if __name__ == "__main__":
    main()
