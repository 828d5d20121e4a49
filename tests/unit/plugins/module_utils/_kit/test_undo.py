# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking back the move of a tag, as long as nobody else has moved it since."""

from __future__ import annotations

from ansible_collections.quayside.registry.plugins.module_utils._kit.target import Target
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._plan import Step
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, make_session


def moved(registry: FakeRegistry, tag: str = "1") -> Step:
    """Point a tag at the image `2`; the step is done."""
    session = make_session()
    target = Target.open(session, Reference(registry.host, REPO, tag))
    step = target.step(target.repository.get("2"))
    step.run()
    assert registry.tags(REPO)[tag] == registry.tags(REPO)["2"]
    return step


def stock(registry: FakeRegistry) -> dict[str, str]:
    for number, tag in enumerate(("1", "2", "3"), 1):
        registry.add_image(REPO, tag, layers=[LAYERS[0], b"x" * number])
    return registry.tags(REPO)


def test_a_tag_goes_back(registry: FakeRegistry) -> None:
    before = stock(registry)
    step = moved(registry)
    assert step.undo is not None
    assert step.undo()
    assert registry.tags(REPO) == before


def test_a_tag_that_somebody_has_moved_since_stays(registry: FakeRegistry) -> None:
    before = stock(registry)
    step = moved(registry)
    registry.api.repos[REPO].tags["1"] = before["3"]
    assert step.undo is not None
    assert not step.undo()
    assert registry.tags(REPO)["1"] == before["3"]


def test_a_tag_that_somebody_has_deleted_stays_away(registry: FakeRegistry) -> None:
    stock(registry)
    step = moved(registry)
    del registry.api.repos[REPO].tags["1"]
    assert step.undo is not None
    assert not step.undo()
    assert "1" not in registry.tags(REPO)


def test_a_new_tag_has_nothing_to_go_back_to(registry: FakeRegistry) -> None:
    stock(registry)
    assert moved(registry, "new").undo is None
