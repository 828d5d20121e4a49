# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that choose tags take the same options in every module."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.kit import run_module

ROUTE = {"src": "127.0.0.1:1/x", "dest": "127.0.0.1:1/y"}
WHOLE = {"keep_going": False}


@pytest.mark.parametrize(
    ("module", "option", "args"),
    [
        ("oci_copy", "tags", lambda rules: {**ROUTE, "all_tags": True, "tags": rules}),
        ("oci_sync", "tags", lambda rules: {"sources": [{**ROUTE, "tags": rules}], **WHOLE}),
        ("oci_sync", "delete_protect", lambda rules: {"sources": [ROUTE], **WHOLE, "delete_protect": rules}),
        ("oci_prune", "select", lambda rules: {"name": "127.0.0.1:1/x", "select": {**rules, "include": ["^1"]}}),
    ],
)
def test_digest_tags_are_left_out_of_rules_and_cannot_be_asked_for(module: str, option: str, args: Any) -> None:
    taken = run_module(module, {**args({"omit_digest_tags": True}), "retries": 0})
    assert taken["error_code"] == "UNREACHABLE", taken
    refused = run_module(module, args({"omit_digest_tags": False}))
    assert refused["error_code"] == "INVALID_OPTION", refused
    assert refused["msg"].startswith(f"{option}: omit_digest_tags cannot be false, since tags such as sha256-HEX.sig ")
