# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers, history and media types of an image become on another base."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Json
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import DOCKER_MANIFEST, OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._oci.rebase import (
    in_family,
    not_based_on,
    rebased_config,
)
from ansible_collections.quayside.registry.tests.unit.kit import fails


def test_not_based_on() -> None:
    assert not_based_on(["a", "b"], ["a"]) is None
    assert not_based_on(["a"], ["a"]) is None
    assert not_based_on(["a"], []) is None
    assert not_based_on(["a"], ["a", "b"]) == "it has 1 layers, and the base has 2"
    assert not_based_on(["a", "x", "c"], ["a", "b"]) == "its layer 2 is x, and that of the base is b (diff IDs)"


OCI, DOCKER = "application/vnd.oci.image.layer", "application/vnd.docker.image.rootfs"


@pytest.mark.parametrize(
    ("oci", "docker"),
    [
        (f"{OCI}.v1.tar", f"{DOCKER}.diff.tar"),
        (f"{OCI}.v1.tar+gzip", f"{DOCKER}.diff.tar.gzip"),
        (f"{OCI}.nondistributable.v1.tar", f"{DOCKER}.foreign.diff.tar"),
        (f"{OCI}.nondistributable.v1.tar+gzip", f"{DOCKER}.foreign.diff.tar.gzip"),
    ],
)
def test_families(oci: str, docker: str) -> None:
    def of(media_type: str, manifest_type: str) -> Any:
        layer = {"mediaType": media_type, "digest": "d", "size": 1, "urls": ["u"]}
        new = in_family(layer, manifest_type)
        assert {**new, "mediaType": ""} == {**layer, "mediaType": ""}
        return new["mediaType"]

    assert of(oci, DOCKER_MANIFEST) == of(docker, DOCKER_MANIFEST) == docker
    assert of(oci, OCI_MANIFEST) == of(docker, OCI_MANIFEST) == oci


def test_zstd_does_not_get_into_an_image_in_the_format_of_docker() -> None:
    layer = {"mediaType": f"{OCI}.v1.tar+zstd", "digest": "d", "size": 1}
    assert in_family(layer, OCI_MANIFEST) == layer
    with fails(InvalidInput, "UNSUPPORTED_COMPRESSION", says="has no layers in zstd"):
        in_family(layer, DOCKER_MANIFEST)


def history(*names: str) -> list[Json]:
    """Entries by their names; those in lower case have no layer."""
    return [{"created_by": name, **({"empty_layer": True} if name.islower() else {})} for name in names]


def config(*names: str, layers: int | None = None, **others: Any) -> Json:
    count = sum(name.isupper() for name in names) if layers is None else layers
    ids = [str(number) for number in range(count)]
    return {**others, "rootfs": {"type": "layers", "x": 1, "diff_ids": ids}, "history": history(*names)}


@pytest.mark.parametrize(
    ("image", "old", "new", "own", "result"),
    [
        ("A b C d", "A b", "E F", 1, "E F C d"),
        ("A b c D", "A b", "E f", 1, "E f c D"),
        ("A", "A", "E F", 0, "E F"),
        # The old base's history is not that of the image (here its command was left out): layers decide.
        ("A C d", "A b", "E", 1, "E C d"),
    ],
)
def test_history(image: str, old: str, new: str, own: int, result: str) -> None:
    base = [f"new {number}" for number in range(sum(name.isupper() for name in new.split()))]
    above = [f"own {number}" for number in range(own)]
    found = rebased_config(config(*image.split()), config(*old.split()), config(*new.split()), base, above)
    assert found["history"] == history(*result.split())
    assert found["rootfs"] == {"type": "layers", "x": 1, "diff_ids": base + above}


def test_history_that_is_missing() -> None:
    bare: Json = {"rootfs": {"diff_ids": ["0", "1"]}}
    assert "history" not in rebased_config(bare, config("A"), config("E"), ["e"], ["1"])
    assert rebased_config(config("A", "B"), bare, config("E"), ["e"], ["1"])["history"] == history("E", "B")
    found = rebased_config(config("A", "B"), config("A"), {"history": None}, ["e", "f"], ["1"])
    assert found["history"] == [*[{"created": "1970-01-01T00:00:00Z"}] * 2, *history("B")]


def test_only_the_windows_build_follows_the_base() -> None:
    image = config("A", "B", os="windows", variant="v1", created="then", author="me", odd=1, config={"Env": ["A=1"]})
    old = {**image, "os.version": "10.0.1.1"}
    new = {"os.version": "10.0.1.2", "os.features": ["win32k"], "os": "x", "variant": "v2", "config": {"Env": ["B=2"]}}
    found = rebased_config(old, old, new, ["e"], ["1"])
    assert {key: value for key, value in found.items() if key not in ("rootfs", "history")} == {
        **{key: value for key, value in image.items() if key not in ("rootfs", "history")},
        "os.version": "10.0.1.2",
        "os.features": ["win32k"],
    }
    assert "os.version" not in rebased_config(old, old, {}, ["e"], ["1"])
