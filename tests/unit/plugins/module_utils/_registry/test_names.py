# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that servers send: only what can be a tag, a repository or a digest comes near a path."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._registry.catalog import catalog
from ansible_collections.quayside.registry.plugins.module_utils._registry.tags import list_tags
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    apply,
    copy_plan,
    fails,
    login,
    make_session,
    repository,
)

CLIMBING = "../../victim/manifests/prod"
NO_TAGS = (CLIMBING, "..", "", "a/b", "a?b", "a#b", "-a", ".a", "a b", "a\nb", "a%2f..", "x" * 129, "1\n")
NO_REPOSITORIES = ("../x", "a/../b", "A", "a//b", "/a", "a/", "", "a?b", "a\x1b[31m", "a" * 256)


def test_tags_that_are_none_are_left_out_with_a_warning() -> None:
    with FakeRegistry(Quirks(listed_too=NO_TAGS)) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session()
        assert list_tags(repository(registry, session=session)) == ["1"]
        (warning,) = session.transport.warnings
        assert f"The list of tags of {registry.host}/{REPO}" in warning
        assert "and 10 more" in warning
        assert warning.isprintable()


def test_repositories_that_are_none_are_left_out_with_a_warning() -> None:
    with FakeRegistry(Quirks(listed_too=NO_REPOSITORIES)) as registry:
        registry.create_repo(REPO)
        session = make_session()
        assert list(catalog(session.registry(registry.host))) == [{REPO}]
        assert len(session.transport.warnings) == 1


def test_null_among_the_tags_is_nothing() -> None:
    """As Nexus lists them; there is nothing to warn of."""
    with FakeRegistry(Quirks(listed_too=(None, None))) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        session = make_session()
        assert list_tags(repository(registry, session=session)) == ["1"]
        assert session.transport.warnings == []


def test_a_copy_of_all_tags_moves_no_tag_of_another_repository() -> None:
    with FakeRegistry(Quirks(listed_too=(CLIMBING,))) as source, FakeRegistry() as dest:
        source.add_image(REPO, "1", layers=LAYERS)
        prod = dest.add_image("victim", "prod", layers=[b"theirs"])
        session = make_session(login(source), login(dest))
        apply(session, copy_plan(session, f"{source.host}/{REPO}", f"{dest.host}/mirror/app", all_tags=True))
        assert dest.tags("victim") == {"prod": prod}
        assert set(dest.tags("mirror/app")) == {"1"}


@pytest.mark.parametrize("name", [CLIMBING, "..", ".", "a/../../b", "a\\b", "a b", "a#b", "", "\u00e4", "a/./b"])
def test_a_name_that_leads_elsewhere_makes_no_path(name: str) -> None:
    with FakeRegistry() as registry:
        with fails(ContentError, "CONTENT_INVALID", registry.host, None, "is not a path that"):
            repository(registry).request("GET", f"manifests/{name}" if name else "")
        assert registry.requests == []
