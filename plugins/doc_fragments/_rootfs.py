# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that unpack images."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  limits:
    description:
      - What an image may unpack to, as a guard against the absurd. Above that the task fails with the code
        V(LIMIT_EXCEEDED); raise the limit for an image that you trust.
    type: dict
    suboptions:
      max_bytes:
        description: The most uncompressed bytes of all layers of an image. The default is 256 GiB.
        type: int
      max_entries:
        description: The most entries (files, folders, links) in all layers of an image. The default is 2 million.
        type: int
      max_ratio:
        description:
          - The most times its compressed size that a layer may unpack to, from 1 GiB on.
          - The default is 1100, which gzip cannot reach. Only zstd can.
        type: int
requirements:
  - To pack faster, one of the Python libraries C(isal) and C(zlib-ng) (optional).
  - For layers in zstd, the Python library C(zstandard) or C(backports.zstd), before Python 3.14.
"""
