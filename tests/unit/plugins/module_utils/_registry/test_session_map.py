# SPDX-License-Identifier: GPL-3.0-or-later
"""Work done several items at a time, while the registry has trouble."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import has_blob
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, make_session, repository


def test_what_fails_for_a_moment_is_tried_again_after_the_others(registry: FakeRegistry) -> None:
    digests = [registry.add_blob(REPO, b"%d" % number) for number in range(9)]
    registry.fault("HEAD", digests[3], status=503)
    target = repository(registry, session=make_session(retries=0))
    order: list[str] = []

    def look(digest: str) -> bool:
        order.append(digest)
        return has_blob(target, digest)

    assert make_session(jobs=1).map(look, digests) == [True] * 9
    assert order == [*digests, digests[3]]


@pytest.mark.parametrize("jobs", [1, 4])
def test_where_most_fail_the_rest_is_not_tried(registry: FakeRegistry, jobs: int) -> None:
    registry.fault("*", "blobs", status=503, times=1000)
    target = repository(registry, session=make_session(retries=0))
    with pytest.raises(OCIError):
        make_session(jobs=jobs).map(lambda number: has_blob(target, digest_of(b"%d" % number)), range(40))
    assert registry.count("HEAD", "/blobs/") <= 3 * jobs
