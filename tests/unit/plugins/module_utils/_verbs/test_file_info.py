# SPDX-License-Identifier: GPL-3.0-or-later
"""One file of an image: what is told of it, what is downloaded for it, and what is refused. See test_lookup.py."""

from __future__ import annotations

import base64
import gzip
import random
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._verbs import file_info as verb
from ansible_collections.quayside.registry.plugins.module_utils._verbs.file_info import file_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, add_platforms, fails, login, make_session
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, FIFO, LINK, SYMLINK, Item, pack, tar_of


def look(registry: FakeRegistry, path: str, **options: Any) -> dict[str, Any]:
    registry.reset_log()
    defaults: dict[str, Any] = {"name": f"{registry.host}/{REPO}:1", "platform": None, "content": False, "limits": None}
    session = make_session(login(registry))
    found = file_info(session, path=path, **{**defaults, **options})
    assert "changed" not in found
    return {**found, "received": session.transport.counters.bytes_received}


def big(name: str, size: int = 50_000) -> bytes:
    return pack([Item(name, content=random.Random(name).randbytes(size))])


def d(name: str) -> Item:
    return Item(name, DIRECTORY, mode=0o755)


TOP = pack(
    [
        d("etc"),
        Item("etc/version", content=b"2\n", mode=0o4755, uid=7, mtime=1700000000),
        Item("etc/link", SYMLINK, target="version"),
        Item("etc/hard", LINK, target="etc/version"),
        Item("etc/pipe", FIFO),
        Item("etc/.wh.old"),
    ]
)
LAYERS = (
    big("base/big"),
    pack([d("etc"), Item("etc/version", content=b"1\n"), Item("etc/old"), Item("etc/.keep")]),
    TOP,
)


def test_what_is_told_and_that_no_more_is_downloaded() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        found = look(registry, "/etc/version", content=True)
        manifest = len(registry.manifests(REPO)[digest].body)
        assert found == {
            "exists": True,
            "reference": f"{registry.host}/{REPO}@{digest}",
            "digest": digest,
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "stat": {
                "type": "file",
                "mode": "4755",
                "uid": 7,
                "gid": 0,
                "user": None,
                "group": None,
                "size": 2,
                "mtime": "2023-11-14T22:13:20Z",
                "target": None,
                "major": None,
                "minor": None,
            },
            "content": base64.b64encode(b"2\n").decode(),
            "layer": digest_of(gzipped(TOP)),
            "received": manifest + len(gzipped(TOP)),
        }
        assert registry.count("GET", "/blobs/") == 1


@pytest.mark.parametrize(
    ("path", "kind", "layer", "layers"),
    [
        ("/etc/link", "link", 2, 1),
        ("/etc/hard", "file", 2, 1),
        ("/etc/pipe", "fifo", 2, 1),
        ("/etc", "directory", 2, 1),
        ("/etc/.keep", "file", 1, 2),
        ("/base/big", "file", 0, 3),
        ("/etc/old", None, None, 1),
        ("/etc/none", None, None, 3),
        ("/etc/link/x", None, None, 1),
    ],
)
def test_from_the_top(path: str, kind: str | None, layer: int | None, layers: int) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        found = look(registry, path)
        assert (found["exists"], found["stat"] and found["stat"]["type"]) == (kind is not None, kind)
        assert found["layer"] == (None if layer is None else digest_of(gzipped(LAYERS[layer])))
        assert found["content"] is None
        assert registry.count("GET", "/blobs/") == layers


def test_the_target_of_a_link_is_told_and_not_followed() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        found = look(registry, "/etc/link", content=True)
        assert (found["stat"]["target"], found["content"], found["stat"]["size"]) == ("version", None, 0)


def test_the_content_of_a_hard_link_and_of_an_empty_file() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        assert base64.b64decode(look(registry, "/etc/hard", content=True)["content"]) == b"2\n"
        assert registry.count("GET", "/blobs/") == 2  # its name was not known before, so the layer was read again
        assert look(registry, "/etc/.keep", content=True)["content"] == ""


def test_the_platform_of_an_index() -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        found = look(registry, "/platform", content=True, platform="linux/arm64")
        assert base64.b64decode(found["content"]).startswith(b"linux/arm64")
        assert base64.b64decode(look(registry, "/platform", content=True)["content"]).startswith(b"linux/amd64")
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host):
            look(registry, "/platform", platform="linux/s390x")
        registry.add_index(REPO, "1", [registry.add_image(REPO, layers=LAYERS, platform="linux/s390x")])
        assert look(registry, "/etc/version")["exists"]  # the only one that there is


@pytest.mark.parametrize("path", ["", "/", "//", "/a\0b"])
def test_a_path_that_is_none(path: str) -> None:
    with FakeRegistry() as registry, fails(InvalidInput, "INVALID_OPTION", says="path"):
        look(registry, path)


def test_an_image_that_does_not_exist() -> None:
    with FakeRegistry() as registry, fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404):
        look(registry, "/etc/version")


def test_what_is_no_image() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, layers=LAYERS)
        artifact = registry.add_referrer(REPO, digest, "application/vnd.example", b"x")
        with fails(ContentError, "NOT_AN_IMAGE", registry.host):
            look(registry, "/x", name=f"{registry.host}/{REPO}@{artifact}")


def test_content_has_a_limit_and_attributes_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "MAX_CONTENT", 1000)
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[tar_of({"x/a": "1" * 1000, "x/b": "1" * 1001})])
        assert len(base64.b64decode(look(registry, "/x/a", content=True)["content"])) == 1000
        assert look(registry, "/x/b")["stat"]["size"] == 1001
        with fails(ContentError, "TOO_LARGE", registry.host, says="1001 bytes"):
            look(registry, "/x/b", content=True)


def test_many_files_of_that_name_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that had no room are read again, if it turns out that they are asked for."""
    monkeypatch.setattr(verb, "_MAX_HELD", 25)
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[tar_of({f"{name}/x": f"{name}" * 10 for name in "abcd"})])
        for name, layers in (("a", 1), ("b", 1), ("c", 2), ("d", 2)):
            assert base64.b64decode(look(registry, f"/{name}/x", content=True)["content"]) == name.encode() * 10
            assert registry.count("GET", "/blobs/") == layers


def test_limits_and_damage() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[tar_of(dict.fromkeys("abcd", ""))])
        with fails(ContentError, "LIMIT_EXCEEDED", registry.host, says="max_entries"):
            look(registry, "/a", limits={"max_entries": 3})
        registry.add_image(REPO, "1", layers=[b"no tar " * 1000])
        with fails(ContentError, "INVALID_LAYER", registry.host, says="is not a tar archive"):
            look(registry, "/a")
        layer, other = (gzip.compress(tar_of({"a": text}), 0, mtime=0) for text in "xy")
        registry.add_image(REPO, "1", layers=[layer])
        registry.api.repos[REPO].blobs[digest_of(layer)] = other
        with fails(ContentError, "DIGEST_MISMATCH", registry.host):
            look(registry, "/a", content=True)


def test_a_layer_that_comes_damaged_once() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[big("a")])
        registry.fault("GET", "/blobs/", action="flip", at=40_000)
        assert len(base64.b64decode(look(registry, "/a", content=True)["content"])) == 50_000


def test_names_and_times_that_are_none() -> None:
    with FakeRegistry() as registry:
        items = [Item("a", SYMLINK, target="\udcff"), Item("b", mtime=1 << 60)]
        registry.add_image(REPO, "1", layers=[pack(items)])
        assert look(registry, "/a")["stat"]["target"] == "\ufffd"
        assert look(registry, "/b")["stat"]["mtime"] is None
