# SPDX-License-Identifier: GPL-3.0-or-later
"""Which claimed names are accepted for which image."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust import names

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ANY, EXACT, DEFAULT = (names.Identity(kind) for kind in (names.ANY, names.MATCH_EXACT, names.MATCH_DEFAULT))
REPOSITORY = names.Identity(names.MATCH_REPOSITORY)
REMAP = names.remapped("mirror.example:5000/hub", "docker.io")
HOSTS = names.remapped("m.example", "r.example")


@pytest.mark.parametrize(
    ("identity", "image", "claim", "accepted"),
    [
        (ANY, "r.example/a:1", "", True),
        (ANY, "r.example/a:1", "UPPER CASE", True),
        (EXACT, "r.example/a:1", "r.example/a:1", True),
        (EXACT, "r.example/a:1", "R.Example/a:1", True),
        (EXACT, "r.example/a:1", "r.example/a:2", False),
        (EXACT, "r.example/a", "r.example/a:latest", True),  # what Docker's tools take it for
        (EXACT, "r.example/a", "r.example/a", False),
        (EXACT, f"r.example/a@{A}", f"r.example/a@{A}", True),
        (EXACT, f"r.example/a@{A}", f"r.example/a@{B}", False),
        (EXACT, f"r.example/a@{A}", "r.example/a:1", False),
        (EXACT, "r.example/a:1", f"r.example/a:1@{A}", False),
        (EXACT, "r.example/a:1", "", False),
        (EXACT, "r.example/a:1", "https://r.example/a:1", False),
        (DEFAULT, "r.example/a:1", "r.example/a:1", True),
        (DEFAULT, "r.example/a:1", "r.example/a:2", False),
        (DEFAULT, "r.example/a:1", "r.example/a", False),
        (DEFAULT, f"r.example/a@{A}", "r.example/a:2", True),
        (DEFAULT, f"r.example/a:1@{A}", "r.example/a:2", True),  # the digest decides, as in podman
        (DEFAULT, f"r.example/a@{A}", "r.example/b:2", False),
        (DEFAULT, f"r.example/a@{A}", "r.example/a", False),
        (REPOSITORY, "r.example/a:1", "r.example/a", True),
        (REPOSITORY, "r.example/a:1", "r.example/a:2", True),
        (REPOSITORY, "r.example/a:1", "r.example/a/b:1", False),
        (REPOSITORY, "r.example/a:1", "r.example:5000/a:1", False),
        (REPOSITORY, "app:1", "index.docker.io/library/app", True),
        (REPOSITORY, "app:1", "docker.io/app", True),
        (REPOSITORY, "app:1", "r.example/library/app", False),
        (names.exact_reference("app:1"), "r.example/a:9", "docker.io/library/app:1", True),
        (names.exact_reference("app:1"), "r.example/a:9", "app", False),
        (names.exact_repository("app"), "r.example/a:9", "app", True),
        (names.exact_repository("app"), "r.example/a:9", "app:7", True),
        (names.exact_repository("app"), "r.example/a:9", "apps:7", False),
        (REMAP, "mirror.example:5000/hub/library/app:1", "app:1", True),
        (REMAP, "mirror.example:5000/hub/library/app:1", "mirror.example:5000/hub/library/app:1", False),
        (REMAP, "mirror.example:5000/hubs/app:1", "docker.io/app:1", False),
        (REMAP, "mirror.example:5000/hubs/app:1", "mirror.example:5000/hubs/app:1", True),
        (REMAP, f"mirror.example:5000/hub/library/app@{A}", "app:1", True),
        (REMAP, "mirror.example:5000/hub/library/app:1", "app", False),
        (HOSTS, "m.example/a:1", "r.example/a:1", True),
        (HOSTS, "m.example.evil/a:1", "r.example/a:1", False),
        (HOSTS, "m.example/a:1", "m.example/a:1", False),
    ],
)
def test_claims(identity, image, claim, accepted):
    assert identity.accepts(Reference.parse(image), claim) is accepted


@pytest.mark.parametrize(
    ("prefix", "signed_prefix"),
    [
        ("", "a.example"),
        ("a.example", ""),
        ("a.example/", "b.example"),
        ("a.example", "b.example/A"),
        ("a b", "b.example"),
    ],
)
def test_no_prefix(prefix, signed_prefix):
    with pytest.raises(InvalidInput):
        names.remapped(prefix, signed_prefix)


def test_a_prefix_that_leads_nowhere_accepts_nothing() -> None:
    identity = names.remapped("m.example/a", "nohost")
    assert not identity.accepts(Reference.parse("m.example/a:1"), "nohost:1")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("any", (ANY,)),
        (["any"], (ANY,)),
        ("repository", (REPOSITORY,)),
        (["reference"], (DEFAULT,)),
        (["app", "app:1"], (names.exact_repository("app"), names.exact_reference("app:1"))),
    ],
)
def test_the_option(value, found):
    assert names.parse_identity(value) == found


@pytest.mark.parametrize(
    "value", ["", "app:1", [], [1], None, {}, 7, [None], ["A B"], ["any", "app:1"], ["app", "repository"]]
)
def test_no_option(value):
    with pytest.raises(InvalidInput):
        names.parse_identity(value)
