# SPDX-License-Identifier: GPL-3.0-or-later
"""Options about images that several modules have."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The image, as V(registry/repository:tag) or V(registry/repository@digest).
      - The tag is V(latest) where neither is given.
    type: str
    required: true
"""

    PLATFORM = r"""
options:
  platform:
    description:
      - Which image of an index (multi-platform image) to look at, as V(os/architecture) or V(os/architecture/variant),
        such as V(linux/amd64) or V(linux/arm/v7). A part that is left out matches anything.
      - It is an error if the index does not have it. Without effect on what is not an index.
    type: str
"""

    ON_EXISTING = r"""
options:
  on_existing:
    description:
      - What to do where a tag exists already and points at another digest.
      - V(replace) moves it.
      - V(keep) leaves it alone, and says so in RV(actions).
      - V(fail) fails before anything is sent.
    type: str
    default: replace
    choices:
      - replace
      - keep
      - fail
"""

    PATTERNS = r"""
options:
  include:
    description: Python regular expressions. Names in which none of them is found are left out. V(^) and V($) anchor.
    type: list
    elements: str
    default: []
  exclude:
    description: Python regular expressions. Names in which one of them is found are left out, also if O(include) fits.
    type: list
    elements: str
    default: []
"""

    # Beside PATTERNS.
    TAG_RULES = r"""
options:
  semver:
    description:
      - Keep only tags that are versions in this range, or in one of several (a list). C(1.4), C(v1.4.2), and
        C(1.4.2-rc.1) are versions; a whole number above 9999 is a date or a build, and no version.
      - V(>=1.2 <2), V(^1.4) (below 2), V(~1.4) (below 1.5), V(1.x), and V(||) between alternatives are understood.
      - Pre-releases are in a range only if it names one of the same version, such as V(>=1.4.0-0 <2).
    type: raw
  newest:
    description:
      - Keep only this many tags, the highest versions, highest first. Tags that are no versions are left out, unless
        O(sort_by=alphabetical).
    type: int
  sort_by:
    description: What O(newest) goes by. The newest of V(alphabetical) tags is the last one.
    type: str
    default: version
    choices:
      - version
      - alphabetical
  per:
    description:
      - A Python regular expression with one group. O(newest) counts for each value of that group by itself, so
        V(^v?(\\d+\\.\\d+\)) keeps so many of each minor version. Tags in which it is not found are a group of their
        own.
    type: str
  omit_digest_tags:
    description: Leave out the tags that tools make for signatures and the like of a digest, such as C(sha256-HEX.sig).
    type: bool
    default: false
"""

    RULES = r"""
options:
  tags:
    description:
      - Choose tags by rules. Tags that tools make for signatures and the like of a digest, such as C(sha256-HEX.sig),
        belong to their image and are never chosen by a rule.
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
        description: Only tags that are versions in this range, such as V(>=1.2 <2), or in one of several (a list).
        type: raw
      newest:
        description: Only so many tags, the newest ones.
        type: int
      sort_by:
        description: What O(tags.newest) goes by.
        type: str
        default: version
        choices:
          - version
          - alphabetical
      per:
        description: A Python regular expression with one group; O(tags.newest) counts for each of its values.
        type: str
      omit_digest_tags:
        description: Always true. Such tags are no matter of rules; O(referrers=true) takes them along.
        type: bool
        default: true
"""

    QUERY = r"""
options:
  query:
    description:
      - A JMESPath expression (U(https://jmespath.org)). What it finds is returned as RV(query_result).
      - It needs the Python library C(jmespath) on the target host.
    type: str
requirements:
  - jmespath, for O(query)
"""
