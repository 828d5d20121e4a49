# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image says of its base, and how it stands to what that name points at now."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._kit.bases import Bases, Built, Standing, built_on
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import build
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, login, make_session

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
BASE = "base/os"
BOTH = ("linux/amd64", "linux/arm64")
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def layers(*names: str) -> list[bytes]:
    return [name.encode() * 300 for name in names]


def add_bases(registry: FakeRegistry, tag: str | None, *names: str, platforms: tuple[str, ...] = BOTH) -> str:
    """An index of bases, whose layers are these and one for the platform."""
    images = [registry.add_image(BASE, layers=layers(*names, name), platform=name) for name in platforms]
    return registry.add_index(BASE, tag, images)


def notes(registry: FakeRegistry, digest: str | None, tag: str = "1") -> dict[str, str]:
    return {NAME: f"{registry.host}/{BASE}:{tag}", **({DIGEST: digest} if digest else {})}


def standings(registry: FakeRegistry, tag: str = "1", base: str | None = None) -> list[Standing]:
    session = make_session(login(registry))
    repository = session.repository(Reference(registry.host, REPO))
    root = repository.get(tag)
    registry.reset_log()
    return Bases(session).standings(repository, root, Reference.parse(f"{registry.host}/{base}") if base else None)


def add_app(registry: FakeRegistry, *names: str, **options: Any) -> str:
    return registry.add_image(REPO, "1", layers=layers(*names), **options)


@pytest.mark.parametrize(
    ("own", "listed", "expected"),
    [
        ({}, {}, Built(None, None)),
        ({NAME: "base:1"}, {}, Built(Reference("docker.io", "library/base", "1"), None)),
        ({NAME: "base:1", DIGEST: "x"}, {}, Built(Reference("docker.io", "library/base", "1"), None)),
        ({NAME: "base:1", DIGEST: A}, {NAME: "other:1"}, Built(Reference("docker.io", "library/base", "1"), A)),
        ({NAME: f"base:1@{A}"}, {}, Built(Reference("docker.io", "library/base", "1"), A)),
        ({NAME: f"base:1@{A}", DIGEST: B}, {}, Built(Reference("docker.io", "library/base", "1"), B)),
        ({NAME: f"base@{A}"}, {}, Built(Reference("docker.io", "library/base", None, A), None)),
        ({NAME: "not a name", DIGEST: A}, {NAME: "base", DIGEST: B}, Built(Reference("docker.io", "library/base"), B)),
        ({DIGEST: A}, {}, Built(None, None)),
    ],
)
def test_annotations(own: dict[str, str], listed: dict[str, str], expected: Built) -> None:
    manifest = build({"schemaVersion": 2, "annotations": own} if own else {"schemaVersion": 2}, OCI_MANIFEST)
    assert built_on(manifest, listed) == expected


def test_where_digests_agree_one_head_tells() -> None:
    with FakeRegistry() as registry:
        digest = add_bases(registry, "1", "old")
        add_app(registry, "old", "linux/amd64", "app", annotations=notes(registry, digest))
        (found,) = standings(registry)
        assert (found.built_on, found.latest, found.outdated, found.layers_behind) == (digest, digest, False, 0)
        assert str(found.name) == f"{registry.host}/{BASE}:1"
        assert [request.method for request in registry.requests] == ["HEAD"]


def test_a_newer_base() -> None:
    with FakeRegistry() as registry:
        old = add_bases(registry, "1", "kept", "old", "older")
        add_app(registry, "kept", "old", "older", "linux/amd64", "app", annotations=notes(registry, old))
        new = add_bases(registry, "1", "kept", "new")
        (found,) = standings(registry)
        # Of the old base's four layers, the first and that of the platform are in the new one too.
        assert (found.built_on, found.latest, found.outdated, found.layers_behind) == (old, new, True, 2)


def test_a_new_index_with_the_same_image_is_no_newer_base() -> None:
    with FakeRegistry() as registry:
        old = add_bases(registry, "1", "os", platforms=BOTH[:1])
        add_app(registry, "os", "linux/amd64", "app", annotations=notes(registry, old))
        new = add_bases(registry, "1", "os")
        (found,) = standings(registry)
        assert (found.latest, found.outdated, found.layers_behind) == (new, False, 0)


def test_a_digest_of_the_member_is_as_good() -> None:
    with FakeRegistry() as registry:
        index = add_bases(registry, "1", "os")
        member = registry.manifest(BASE, index)["manifests"][0]["digest"]
        add_app(registry, "os", "linux/amd64", "app", annotations=notes(registry, member))
        assert [found.outdated for found in standings(registry)] == [False]


def test_a_base_that_lost_a_layer_is_newer_though_the_image_begins_with_it() -> None:
    with FakeRegistry() as registry:
        old = registry.add_image(BASE, "1", layers=layers("os", "gone"))
        add_app(registry, "os", "gone", "app", annotations=notes(registry, old))
        registry.add_image(BASE, "1", layers=layers("os"))
        (found,) = standings(registry)
        assert (found.outdated, found.layers_behind) == (True, 1)


@pytest.mark.parametrize(("new", "outdated", "behind"), [("os", False, 0), ("other", True, None)])
@pytest.mark.parametrize("said", [None, A])
def test_layers_tell_where_the_old_base_is_gone_or_was_never_named(
    said: str | None, new: str, outdated: bool, behind: int | None
) -> None:
    with FakeRegistry() as registry:
        registry.add_image(BASE, "1", layers=layers(new))
        add_app(registry, "os", "app", annotations=notes(registry, said))
        (found,) = standings(registry)
        assert (found.built_on, found.outdated, found.layers_behind) == (said, outdated, behind)


def test_each_image_of_an_index_by_its_own_annotations_or_the_index_s() -> None:
    with FakeRegistry() as registry:
        old = add_bases(registry, "1", "old")
        own = registry.add_image(
            REPO, layers=layers("old", "linux/amd64", "app"), annotations=notes(registry, old), platform="linux/amd64"
        )
        new = add_bases(registry, "2", "new")
        other = registry.add_image(REPO, layers=layers("new", "linux/arm64", "app"), platform="linux/arm64")
        listed = {**registry.descriptor(REPO, other), "annotations": notes(registry, new, "2")}
        attestation = registry.add_attestation(REPO, own)
        registry.add_index(REPO, "1", [own, listed, attestation])
        add_bases(registry, "1", "newer")
        found = standings(registry)
        assert [(str(one.platform), one.outdated) for one in found] == [("linux/amd64", True), ("linux/arm64", False)]


@pytest.mark.parametrize("given", [f"{BASE}:1", "mirror/os:1"])
def test_a_base_that_is_given(given: str) -> None:
    """What the image says of its digest counts where it is about the same base, be it in another place."""
    with FakeRegistry() as registry:
        old = registry.add_image(given.partition(":")[0], "1", layers=layers("old"))
        registry.add_image(given.partition(":")[0], "1", layers=layers("new"))
        add_app(registry, "old", "app", annotations={NAME: f"elsewhere.example/{BASE}:1", DIGEST: old})
        (found,) = standings(registry, base=given)
        assert (found.built_on, found.outdated, found.layers_behind) == (old, True, 1)


def test_another_base_that_is_given() -> None:
    with FakeRegistry() as registry:
        registry.add_image("team/middle", "1", layers=layers("old", "middle"))
        add_app(registry, "old", "middle", "app", annotations={NAME: f"elsewhere.example/{BASE}:1", DIGEST: A})
        (found,) = standings(registry, base="team/middle:1")
        assert (found.built_on, found.outdated) == (None, False)


def test_what_is_not_known() -> None:
    with FakeRegistry() as registry:
        add_app(registry, "os", config={"config": {"Labels": notes(registry, A)}})
        with fails(InvalidInput, "BASE_UNKNOWN", says="annotations"):
            standings(registry)
        add_app(registry, "os", annotations=notes(registry, A))
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, says="base"):
            standings(registry)
        add_bases(registry, "1", "os", platforms=BOTH[1:])
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, says="linux/amd64"):
            standings(registry)
        registry.add_manifest(REPO, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, tag="1")
        with fails(ContentError, "NOT_AN_IMAGE", registry.host):
            standings(registry)
