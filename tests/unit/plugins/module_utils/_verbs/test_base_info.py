# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a newer base? What a verb makes of how images stand to their bases; see test_bases.py for that."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._verbs.base_info import base_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, login, make_session

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
BASE = "base/os"
BOTH = ("linux/amd64", "linux/arm64")


def look(registry: FakeRegistry, **options: Any) -> dict[str, Any]:
    registry.reset_log()
    defaults: dict[str, Any] = {"name": f"{registry.host}/{REPO}:1", "base": None, "platforms": []}
    return base_info(make_session(login(registry)), **{**defaults, **options})


def layers(*names: str) -> list[bytes]:
    return [name.encode() * 300 for name in names]


def add_app(registry: FakeRegistry) -> tuple[str, list[str]]:
    """An index of two images, each on its own tag of the base; the digest of the index, and those of the bases."""
    bases, images = [], []
    for tag, platform in zip("12", BOTH):
        bases.append(registry.add_image(BASE, tag, layers=layers("os", platform), platform=platform))
        notes = {NAME: f"{registry.host}/{BASE}:{tag}", DIGEST: bases[-1]}
        images.append(
            registry.add_image(REPO, layers=layers("os", platform, "app"), platform=platform, annotations=notes)
        )
    return registry.add_index(REPO, "1", images), bases


def test_nothing_is_newer() -> None:
    with FakeRegistry() as registry:
        digest, bases = add_app(registry)
        found = look(registry)
        rows = found.pop("images")
        assert found == {
            "reference": f"{registry.host}/{REPO}@{digest}",
            "digest": digest,
            "media_type": "application/vnd.oci.image.index.v1+json",
            "outdated": False,
            "base": f"{registry.host}/{BASE}:1",
            "base_digest": bases[0],
            "latest_digest": bases[0],
            "layers_behind": 0,
        }
        assert [row["platform"] for row in rows] == list(BOTH)
        assert (registry.count("HEAD"), registry.count("GET")) == (2, 3)  # no base is read, and no config


def test_an_index_is_outdated_if_any_image_is() -> None:
    with FakeRegistry() as registry:
        dummy, bases = add_app(registry)
        new = registry.add_image(BASE, "2", layers=layers("newer", "linux/arm64"), platform="linux/arm64")
        found = look(registry)
        assert [row["outdated"] for row in found["images"]] == [False, True]
        assert (found["outdated"], found["base"]) == (True, f"{registry.host}/{BASE}:2")
        assert (found["base_digest"], found["latest_digest"], found["layers_behind"]) == (bases[1], new, 1)
        assert registry.count("GET", "/blobs/") == 3  # configs: of the image, the new base, and the old one
        found = look(registry, platforms=["linux/amd64"])
        assert (found["outdated"], len(found["images"])) == (False, 1)


def test_a_base_that_is_given() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=layers("os", "app"))
        registry.add_image(BASE, "1", layers=layers("new"))
        with fails(InvalidInput, "BASE_UNKNOWN", says="give base"):
            look(registry)
        found = look(registry, base=f"{registry.host}/{BASE}:1")
        assert (found["outdated"], found["base_digest"], found["layers_behind"]) == (True, None, None)


def test_what_cannot_be_asked_about() -> None:
    with FakeRegistry() as registry:
        with fails(NotFound, "NAME_UNKNOWN", registry.host, 404):
            look(registry)
        registry.add_index(REPO, "1", [])
        with fails(ContentError, "NOT_AN_IMAGE", registry.host):
            look(registry)
        add_app(registry)
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, says="linux/s390x"):
            look(registry, platforms=["linux/s390x"])
