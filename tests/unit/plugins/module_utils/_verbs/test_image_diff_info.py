# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different between two images, and what is downloaded to tell it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._verbs import image_diff_info as verb
from ansible_collections.quayside.registry.plugins.module_utils._verbs.image_diff_info import image_diff_info
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, add_platforms, fails, login, make_session
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, LINK, SYMLINK, Item, pack, tar_of

NONE: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}
DPKG = "Package: {}\nStatus: install ok installed\nVersion: {}\n\n"


def look(registry: FakeRegistry, first: str = "1", second: str = "2", **options: Any) -> dict[str, Any]:
    registry.reset_log()
    defaults: dict[str, Any] = {"platform": None, "files": False, "packages": False, "limits": None}
    names = {"name": f"{registry.host}/{REPO}:{first}", "other": f"{registry.host}/{REPO}:{second}"}
    session = make_session(login(registry))
    found = image_diff_info(session, **{**defaults, **names, **options})
    return {**found, "warnings": session.transport.warnings}


def files(registry: FakeRegistry, **options: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = look(registry, files=True, **options)["differences"]["files"]
    return found


def paths(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {name: [row["path"] for row in rows] for name, rows in found.items()}


def add(registry: FakeRegistry, tag: str, *layers: bytes, **options: Any) -> str:
    return registry.add_image(REPO, tag, layers=layers, **options)


def fetched(registry: FakeRegistry, layer: bytes) -> int:
    return registry.count("GET", f"/blobs/{digest_of(gzipped(layer))}")


def test_one_image_costs_its_manifests() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1", tar_of({"a": "1"}))
        registry.api.repos[REPO].tags["2"] = digest
        found = look(registry, files=True, packages=True)
        assert found == {
            "same": True,
            "reference": f"{registry.host}/{REPO}@{digest}",
            "digest": digest,
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "other_reference": f"{registry.host}/{REPO}@{digest}",
            "other_digest": digest,
            "differences": {"config": [], "layers": [], "annotations": [], "files": NONE, "packages": NONE},
            "warnings": [],
        }
        assert [request.path for request in registry.requests] == [f"/v2/{REPO}/manifests/{tag}" for tag in "12"]


def test_config_layers_and_annotations() -> None:
    one, two, three = (tar_of({name: name}) for name in "abc")
    settings = {"Env": ["PATH=/bin", "A=1"], "Cmd": ["/a"], "Labels": {"x": "1", "y": "2"}, "User": "me"}
    with FakeRegistry() as registry:
        add(registry, "1", one, two, config={"config": settings, "author": "me"}, annotations={"a": "1", "b": "2"})
        changed = {"Env": ["PATH=/bin", "A=2"], "Cmd": ["/a", "b"], "Labels": {"x": "1"}, "User": "me"}
        add(registry, "2", one, three, two, config={"config": changed}, annotations={"b": "3"})
        found = look(registry)
        assert not found["same"]
        assert found["differences"]["files"] is None
        assert found["differences"]["packages"] is None
        assert found["differences"]["config"] == [
            {"path": "author", "before": "me", "after": None},
            {"path": "config.Cmd", "before": ["/a"], "after": ["/a", "b"]},
            {"path": "config.Env.A", "before": "1", "after": "2"},
            {"path": "config.Labels.y", "before": "2", "after": None},
        ]
        layer = {"digest": digest_of(gzipped(two)), "size": len(gzipped(two))}
        assert found["differences"]["layers"] == [
            {
                "path": "2",
                "before": {**layer, "created_by": "layer 1"},
                "after": {
                    "digest": digest_of(gzipped(three)),
                    "size": len(gzipped(three)),
                    "created_by": "layer 1",
                },
            },
            {"path": "3", "before": None, "after": {**layer, "created_by": "layer 2"}},
        ]
        assert found["differences"]["annotations"] == [
            {"name": "a", "before": "1", "after": None},
            {"name": "b", "before": "2", "after": "3"},
        ]
        assert registry.count("GET", "/blobs/") == 2  # the configs


BASE = pack(
    [
        Item("etc", DIRECTORY, mode=0o755),
        Item("etc/old", content=b"old"),
        Item("etc/same", content=b"same"),
        Item("etc/text", content=b"one", mode=0o600, uid=3),
    ]
)


def test_files() -> None:
    with FakeRegistry() as registry:
        add(registry, "1", BASE)
        top = [
            Item("etc", DIRECTORY, mode=0o755, mtime=99),
            Item("etc/.wh.old"),
            Item("etc/new", SYMLINK, target="same"),
            Item("etc/same", content=b"same", mtime=99),
            Item("etc/text", content=b"two", mode=0o4755, xattrs=(("security.capability", "cap"),)),
        ]
        add(registry, "2", BASE, pack(top))
        found = files(registry)
        assert paths(found) == {"added": ["/etc/new"], "removed": ["/etc/old"], "changed": ["/etc/text"]}
        common = {"gid": 0, "target": None, "major": None, "minor": None, "type": "file", "size": 3}
        assert found["changed"][0] == {
            "path": "/etc/text",
            "before": {**common, "mode": "0600", "uid": 3, "xattrs": {}, "digest": digest_of(b"one")},
            "after": {
                **common,
                "mode": "4755",
                "uid": 0,
                "xattrs": {"security.capability": "Y2Fw"},
                "digest": digest_of(b"two"),
            },
        }
        assert found["added"][0]["before"] is None
        assert (found["added"][0]["after"]["type"], found["added"][0]["after"]["target"]) == ("link", "same")
        assert found["removed"][0]["after"] is None
        back = files(registry, first="2", second="1")
        assert paths(back) == {"added": ["/etc/old"], "removed": ["/etc/new"], "changed": ["/etc/text"]}
        assert back["changed"][0]["before"] == found["changed"][0]["after"]


def test_the_same_size_and_another_content_is_a_change() -> None:
    with FakeRegistry() as registry:
        add(registry, "1", tar_of({"a": "x", "b": "x"}))
        add(registry, "2", tar_of({"a": "y", "b": "x"}))
        assert paths(files(registry)) == {"added": [], "removed": [], "changed": ["/a"]}


def test_shared_layers_are_not_downloaded_where_those_above_tell() -> None:
    with FakeRegistry() as registry:
        tops = [tar_of({"app/a": text, "app/b": "same"}) for text in ("1", "2")]
        add(registry, "1", BASE, tops[0])
        add(registry, "2", BASE, tops[1])
        assert paths(files(registry)) == {"added": [], "removed": [], "changed": ["/app/a"]}
        assert (fetched(registry, BASE), [fetched(registry, top) for top in tops]) == (0, [1, 1])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"etc/text": "two"}, {}, {"added": [], "removed": [], "changed": ["/etc/text"]}),
        ({"etc/.wh.old": ""}, {"etc/.wh.same": ""}, {"added": ["/etc/old"], "removed": ["/etc/same"], "changed": []}),
        ({}, {"etc/more": ""}, {"added": ["/etc/more"], "removed": [], "changed": []}),
    ],
)
def test_shared_layers_are_downloaded_once_where_it_depends_on_them(
    first: dict[str, str], second: dict[str, str], expected: dict[str, list[str]]
) -> None:
    with FakeRegistry() as registry:
        add(registry, "1", BASE, tar_of(first), annotations={"a": "1"})
        add(registry, "2", BASE, tar_of(second))
        assert paths(files(registry)) == expected
        assert fetched(registry, BASE) == 1


def test_hard_links() -> None:
    with FakeRegistry() as registry:
        for tag, text in (("1", b"1"), ("2", b"2")):
            add(registry, tag, BASE, pack([Item("a", content=text), Item("b", LINK, target="a")]))
        assert paths(files(registry))["changed"] == ["/a", "/b"]
        add(registry, "2", BASE, pack([Item("a", content=b"1"), Item("b", LINK, target="etc/old")]))
        assert paths(files(registry))["changed"] == ["/b"]


def test_the_same_files_in_other_layers_are_no_difference() -> None:
    with FakeRegistry() as registry:
        add(registry, "1", tar_of({"a": "1", "b": "2"}))
        add(registry, "2", tar_of({"a": "0"}), tar_of({"b": "2"}), tar_of({"a": "1"}))
        found = look(registry, files=True)
        assert not found["same"]
        assert found["differences"]["files"] == NONE
        assert found["differences"]["layers"]


def test_packages() -> None:
    status = [DPKG.format("bash", "1") + DPKG.format("vim", "9"), DPKG.format("bash", "2") + DPKG.format("curl", "8")]
    with FakeRegistry() as registry:
        base = tar_of({"var/lib/dpkg/status": status[0], "usr/lib/foo-1.dist-info/METADATA": "Name: foo\nVersion: 1\n"})
        add(registry, "1", base)
        add(registry, "2", base, tar_of({"var/lib/dpkg/status": status[1], "lib/apk/db/installed": "P:m\nV:1\n"}))
        found = look(registry, packages=True)
        assert found["differences"]["packages"] == {
            "added": [
                {"name": "curl", "type": "dpkg", "before": None, "after": "8"},
                {"name": "m", "type": "apk", "before": None, "after": "1"},
            ],
            "removed": [{"name": "vim", "type": "dpkg", "before": "9", "after": None}],
            "changed": [{"name": "bash", "type": "dpkg", "before": "1", "after": "2"}],
        }
        assert found["differences"]["files"] is None
        assert fetched(registry, base) == 1
        both = look(registry, packages=True, files=True)["differences"]
        assert both["packages"] == found["differences"]["packages"]
        assert paths(both["files"])["changed"] == ["/var/lib/dpkg/status"]


def test_layers_without_packages_tell_without_those_below() -> None:
    with FakeRegistry() as registry:
        base = tar_of({"var/lib/dpkg/status": DPKG.format("bash", "1")})
        add(registry, "1", base, tar_of({"app": "1"}))
        add(registry, "2", base, tar_of({"other": "1"}))
        assert look(registry, packages=True)["differences"]["packages"] == NONE
        assert fetched(registry, base) == 0


def test_a_database_that_cannot_be_read_is_said() -> None:
    with FakeRegistry() as registry:
        add(registry, "1", tar_of({"var/lib/rpm/Packages": "x"}))
        add(registry, "2", tar_of({"var/lib/rpm/Packages.db": "x"}))
        found = look(registry, packages=True)
        assert found["differences"]["packages"] == NONE
        assert ["Berkeley DB" in text or "ndb" in text for text in found["warnings"]] == [True, True]


def test_long_lists_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "MAX_LISTED", 3)
    with FakeRegistry() as registry:
        add(registry, "1", tar_of({}))
        add(registry, "2", tar_of(dict.fromkeys("abcde", "")))
        found = look(registry, files=True)
        assert paths(found["differences"]["files"])["added"] == ["/a", "/b", "/c"]
        assert found["warnings"] == ["5 files were added; the first 3 of them are listed."]


def test_indexes_and_other_registries() -> None:
    with FakeRegistry() as registry, FakeRegistry() as elsewhere:
        add_platforms(registry, tag="1")
        add_platforms(elsewhere, tag="1")
        found = look(registry, other=f"{elsewhere.host}/{REPO}:1", platform="linux/arm64")
        assert found["same"]
        found = look(registry, second="1", other=f"{elsewhere.host}/{REPO}:1")
        assert found["same"]
        assert found["digest"] == registry.manifest(REPO, "1")["manifests"][0]["digest"]
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host):
            look(registry, second="1", platform="linux/s390x")


def test_what_cannot_be_compared() -> None:
    with FakeRegistry() as registry:
        digest = add(registry, "1", BASE)
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, says=":2 does not exist"):
            look(registry)
        with fails(InvalidInput, "INVALID_REFERENCE"):
            look(registry, other="UPPER/x")
        artifact = registry.add_referrer(REPO, digest, "x/y", b"x")
        with fails(ContentError, "NOT_AN_IMAGE", registry.host):
            look(registry, other=f"{registry.host}/{REPO}@{artifact}")
        add(registry, "2", b"no tar " * 1000)
        with fails(ContentError, "INVALID_LAYER", registry.host, says="is not a tar archive"):
            look(registry, files=True)
        add(registry, "2", tar_of(dict.fromkeys("abcde", "")))
        with fails(ContentError, "LIMIT_EXCEEDED", registry.host, says="max_entries"):
            look(registry, files=True, limits={"max_entries": 6})


@pytest.mark.parametrize("env", [["B=2", "A=1"], ["A=1", "B=2", "A=1"]])
def test_variables_that_differ_in_order_or_number_alone(env: list[str]) -> None:
    with FakeRegistry() as registry:
        add(registry, "1", tar_of({"a": "1"}), config={"config": {"Env": ["A=1", "B=2"], "User": "me"}})
        add(registry, "2", tar_of({"a": "1"}), config={"config": {"Env": env}, "author": "you"})
        assert look(registry)["differences"]["config"] == [
            {"path": "author", "before": None, "after": "you"},
            {"path": "config.Env", "before": ["A=1", "B=2"], "after": env},
            {"path": "config.User", "before": "me", "after": None},
        ]
