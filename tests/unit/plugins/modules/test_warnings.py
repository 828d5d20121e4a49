# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task has to say beside its results, it says where it fails, too."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, run_module


@pytest.mark.parametrize("fails", [False, True])
def test_a_warning(fails: bool) -> None:
    with FakeRegistry(Quirks(no_referrers_api=True)) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        registry.add_image(REPO, digest.replace(":", "-"), layers=LAYERS[:1])  # where the list of its referrers belongs
        if fails:
            registry.fault("PUT", "/other/manifests/2$", status=403, times=1000)
        options = {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/other:2", "referrers": True}
        result = run_module("oci_copy", {**options, "retries": 0})
        assert result.get("failed", False) is fails
        own = [str(text) for text in result["warnings"] if registry.host in str(text)]  # Ansible keeps those of before
        assert len(own) == 1 and "it was left alone" in own[0]


def test_a_warning_that_tells_a_secret() -> None:
    with FakeRegistry() as registry:
        headers = {"Warning": f'299 - "your login is {USER}:{PASSWORD}"'}
        registry.fault("HEAD", status=404, body=b"{}", headers=headers)
        options = {"name": f"{registry.host}/{REPO}:1", "username": USER, "password": PASSWORD}
        warnings = str(run_module("oci_digest_info", options)["warnings"])
        assert "your login is " in warnings and PASSWORD not in warnings


def test_a_task_that_fails_tells_what_it_has_cost() -> None:
    with FakeRegistry() as registry:
        registry.fault("HEAD", status=403)
        result = run_module("oci_copy", {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/other:1"})
        assert result["failed"] and result["transfer"]["requests"] == len(registry.requests) > 0


def test_a_key_in_the_wrong_place_is_not_told() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n"
    result = run_module("oci_digest_info", {"name": "a.example/b", "platform": key})
    assert result["failed"] and "MIGHAgEA" not in str(result)


def test_blobs_count_where_the_tag_is_refused() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault("PUT", "/other/manifests/1$", status=403, times=9)
        result = run_module("oci_copy", {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/other:1"})
        moved = result["transfer"]
        assert result["failed"] and moved["blobs_pushed"] + moved["blobs_mounted"] == len(LAYERS) + 1
