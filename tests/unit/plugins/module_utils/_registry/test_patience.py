# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a registry may ask us to wait."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, make_session, repository


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("turn", range(3))
def test_a_minute_is_not_too_long(registry: FakeRegistry, status: int, turn: int) -> None:
    """Docker Hub and others ask for exactly 60 seconds; the jitter on top of that does not count."""
    registry.add_image(REPO, "1", layers=LAYERS)
    registry.fault("HEAD", "/manifests/1", status=status, headers={"Retry-After": "60"})
    sleeps: list[float] = []
    assert repository(registry, session=make_session(sleeps=sleeps)).head("1") is not None
    assert len(sleeps) == 1
    assert 60 <= sleeps[0] <= 61


def test_more_than_a_minute_is(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    registry.fault("HEAD|GET", "/manifests/1", status=429, headers={"Retry-After": "61"}, times=9)
    sleeps: list[float] = []
    with pytest.raises(OCIError, match="rate"):
        repository(registry, session=make_session(sleeps=sleeps)).head("1")
    assert sleeps == []
