# SPDX-License-Identifier: GPL-3.0-or-later
"""A password that is wrong is tried once: accounts are locked after a few tries."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import Denied
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import login, make_session, repository


def test_a_token_server_hears_it_once() -> None:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD}, oauth2_status=404)) as registry:
        registry.add_image("team/app", "1")
        target = repository(registry, "pull", session=make_session(login(registry, Credential(USER, "wrong"))))
        for dummy in range(3):
            with pytest.raises(Denied):
                target.head("1")
        assert registry.count("GET", "/token") == 1
