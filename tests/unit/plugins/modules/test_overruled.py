# SPDX-License-Identifier: GPL-3.0-or-later
"""An entry of registries decides alone; a failure that asks for an option which the task has says where it belongs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import run_module


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([{}], True),
        ([{"ca_path": "OTHER"}], False),
        ([{"name": "q.example"}], False),
        ([{"name": "q.example"}, {}], True),
        ([], False),
    ],
)
def test_an_authority_of_the_task_that_an_entry_overrules(
    certificates: Any, entries: list[dict[str, Any]], told: bool
) -> None:
    with FakeRegistry(tls=certificates.server) as registry:
        given = [{"name": registry.host, "plain_http": False, **entry} for entry in entries]
        for entry in given:
            entry.update({"ca_path": certificates.other_ca} if "ca_path" in entry else {})
        task = certificates.ca if told else certificates.other_ca
        name = f"{registry.host}/team/app:1"
        result = run_module(
            "oci_digest_info", {"name": name, "ca_path": task, "plain_http": False, "registries": given, "retries": 0}
        )
        assert result["error_code"] == "TLS_ERROR" and "set ca_path to the authority that signed it" in result["msg"]
        where = f" (ca_path of the task does not count for {registry.host}, which has an entry in registries;"
        assert result["msg"].endswith(f"{where} set it there.)") == told, result["msg"]
