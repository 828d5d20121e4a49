# SPDX-License-Identifier: GPL-3.0-or-later
"""Files go into a registry and come out again, under their titles, and nowhere else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    NotFound,
    Refused,
)
from ansible_collections.quayside.registry.plugins.module_utils._kit.artifacts import title_problem
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._verbs.artifact_pull import plan_artifact_pull
from ansible_collections.quayside.registry.plugins.module_utils._verbs.artifact_push import plan_artifact_push
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST, digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    complete,
    fails,
    login,
    make_session,
    twice,
)

TITLE = "org.opencontainers.image.title"
FILES = [{"title": "a.txt", "content": "a"}, {"title": "docs/b.txt", "content": "bb"}]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        found.add_image(REPO, "1", layers=LAYERS)
        yield found


def push(registry: FakeRegistry, name: str = ":f", **options: Any) -> Plan:
    session = make_session(login(registry))
    defaults: dict[str, Any] = {
        "artifact_type": "application/vnd.example",
        "files": FILES,
        "annotations": {},
        "config": None,
        "subject": None,
        "on_existing": "replace",
    }
    given = {**defaults, **options}
    blank = dict.fromkeys(("path", "content", "media_type", "title", "annotations"))
    given["files"] = [{**blank, **file} for file in given["files"]]
    planned = plan_artifact_push(session, name=f"{registry.host}/{REPO}{name}", **given)
    apply(session, planned)
    return planned


def pull(registry: FakeRegistry, path: Path, name: str = ":f", titles: list[str] | None = None) -> Plan:
    session = make_session(login(registry))
    planned = plan_artifact_pull(session, name=f"{registry.host}/{REPO}{name}", path=str(path), titles=titles or [])
    apply(session, planned)
    return planned


def store(registry: FakeRegistry, *titles: str | None, data: bytes = b"evil") -> None:
    """An artifact as somebody else may write it."""
    layer = {"mediaType": "x/y", "digest": registry.add_blob(REPO, data), "size": len(data)}
    layers = [{**layer, "annotations": {TITLE: title}} if title is not None else layer for title in titles]
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add_blob(REPO, b"{}"), "size": 2}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "x/y", "config": config, "layers": layers}
    registry.add_manifest(REPO, value, tag="f")


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- there and back


def test_there_and_back(registry: FakeRegistry, tmp_path: Path) -> None:
    planned = twice(registry, lambda: push(registry), "reference", "digest", "files")
    manifest = registry.manifest(REPO, "f")
    assert manifest["artifactType"] == "application/vnd.example"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert [layer["annotations"] for layer in manifest["layers"]] == [{TITLE: "a.txt"}, {TITLE: "docs/b.txt"}]
    assert [row["title"] for row in planned.result["files"]] == ["a.txt", "docs/b.txt"]
    assert complete(registry, REPO, "f")
    out = tmp_path / "out"
    pulled = twice(registry, lambda: pull(registry, out), "files")
    assert contents(out) == {"a.txt": "a", "docs/b.txt": "bb"}
    assert pulled.result["files"][1] == {
        "path": str(out / "docs/b.txt"),
        "title": "docs/b.txt",
        "digest": digest_of(b"bb"),
        "size": 2,
        "media_type": "application/octet-stream",
    }


def test_files_of_the_target(registry: FakeRegistry, tmp_path: Path) -> None:
    place = tmp_path / "data.bin"
    place.write_bytes(random.Random(1).randbytes(3 << 20))
    file = {"path": str(place), "media_type": "x/data", "annotations": {"b": "2", "a": "1"}}
    twice(registry, lambda: push(registry, files=[file], config={"content": "{}", "path": None, "media_type": "x/c"}))
    (layer,) = registry.manifest(REPO, "f")["layers"]
    assert (layer["mediaType"], layer["annotations"]) == ("x/data", {"a": "1", "b": "2", TITLE: "data.bin"})
    assert registry.manifest(REPO, "f")["config"]["mediaType"] == "x/c"
    pull(registry, tmp_path / "out")
    assert (tmp_path / "out" / "data.bin").read_bytes() == place.read_bytes()


def test_a_config_without_a_type(registry: FakeRegistry) -> None:
    twice(registry, lambda: push(registry, config={"content": "{}", "path": None, "media_type": None}))
    config = registry.manifest(REPO, "f")["config"]
    assert (config["mediaType"], config["size"]) == ("application/vnd.unknown.config.v1+json", 2)


def test_texts_without_a_title(registry: FakeRegistry, tmp_path: Path) -> None:
    """Who looks for media types can read them, and who wants to save them is told how."""
    planned = push(registry, files=[{"content": "a", "media_type": "x/sbom"}])
    assert [(row["title"], row["media_type"]) for row in planned.result["files"]] == [(None, "x/sbom")]
    says = "no file with a title, so there is no name to save one under. oci_blob saves such a layer by its digest"
    with fails(ContentError, "NOT_AN_ARTIFACT", registry.host, None, says):
        pull(registry, tmp_path / "out")


def test_a_file_that_changes_meanwhile(registry: FakeRegistry, tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.write_bytes(b"one")
    session = make_session(login(registry))
    blank = dict.fromkeys(("path", "content", "media_type", "title", "annotations"))
    planned = plan_artifact_push(
        session,
        name=f"{registry.host}/{REPO}:f",
        artifact_type="x/y",
        files=[{**blank, "path": str(place)}],
        annotations={},
        config=None,
        subject=None,
        on_existing="replace",
    )
    place.write_bytes(b"two")
    with fails(ContentError, "DIGEST_MISMATCH", says="changed while it was sent"):
        apply(session, planned)
    assert "f" not in registry.tags(REPO)


def test_no_files(registry: FakeRegistry) -> None:
    twice(registry, lambda: push(registry, files=[]))
    assert registry.manifest(REPO, "f")["layers"] == [registry.manifest(REPO, "f")["config"]]


def test_on_existing(registry: FakeRegistry) -> None:
    old = registry.tags(REPO)["1"]
    with fails(Refused, "TAG_EXISTS", registry.host):
        push(registry, ":1", on_existing="fail")
    kept = push(registry, ":1", on_existing="keep")
    assert (kept.changed, kept.result["digest"], registry.tags(REPO)["1"]) == (False, old, old)
    moved = push(registry, ":1")
    assert (moved.result["previous_digest"], registry.tags(REPO)["1"]) == (old, moved.result["digest"])
    with fails(InvalidInput, "INVALID_OPTION", says="its digest is"):
        push(registry, f"@{old}")


# --- subjects


@pytest.mark.parametrize("api", [True, False])
@pytest.mark.parametrize("name", ["", ":f"])
def test_a_subject(api: bool, name: str) -> None:
    with FakeRegistry(Quirks(no_referrers_api=not api)) as registry:
        image = registry.add_image(REPO, "latest", layers=LAYERS)
        subject = f"{registry.host}/{REPO}"
        planned = twice(registry, lambda: push(registry, name, subject=subject))
        assert registry.manifest(REPO, planned.result["digest"])["subject"]["digest"] == image
        tags = {"latest": image, **({"f": planned.result["digest"]} if name else {})}
        fallback = registry.tags(REPO).pop(image.replace(":", "-"), None)
        assert {tag: digest for tag, digest in registry.tags(REPO).items() if digest != fallback} == tags
        assert (fallback is None) == api
        if not api:
            (entry,) = registry.manifest(REPO, fallback)["manifests"]
            assert (entry["digest"], entry["artifactType"]) == (planned.result["digest"], "application/vnd.example")
            registry.add_index(REPO, image.replace(":", "-"), [])
            assert push(registry, name, subject=subject).changed  # somebody has emptied the list


def test_subjects_that_are_none(registry: FakeRegistry) -> None:
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, "The subject"):
        push(registry, subject=f"{registry.host}/{REPO}:none")
    with fails(InvalidInput, "INVALID_OPTION", says="must be in the repository of the artifact"):
        push(registry, subject=f"{registry.host}/other:1")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"artifact_type": "no type"}, "INVALID_OPTION", "artifact_type must be a media type"),
        ({"files": [{"content": "a", "media_type": "x"}]}, "INVALID_OPTION", "media_type must be"),
        ({"files": [{"title": "a"}]}, "INVALID_OPTION", "needs path or content"),
        ({"files": [{"path": "/nonexistent"}]}, "FILE_ERROR", "does not exist"),
        ({"files": [{"path": "/tmp"}]}, "FILE_ERROR", "regular file"),
        ({"files": [{"content": "a", "title": "../a"}]}, "UNSAFE_TITLE", "leads out of the folder"),
        ({"files": [{"content": "a", "title": "a"}, {"content": "b", "title": "a"}]}, "UNSAFE_TITLE", "two files"),
        ({"annotations": {"n": True}}, "INVALID_OPTION", "the value of n is a boolean"),
        (
            {"files": [{"content": "a", "annotations": {"n": None}}]},
            "INVALID_OPTION",
            "entry 1: annotations: the value of n is null",
        ),
    ],
)
def test_malformed(registry: FakeRegistry, options: dict[str, Any], code: str, words: str) -> None:
    with fails(InvalidInput, code, says=words):
        push(registry, **options)
    assert registry.count("PUT|POST") == 0


# --- titles

HOSTILE = [
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "a/../b",
    "..",
    ".",
    "",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    "a\nb",
    "\u202eevil",
    "..\\evil",
    "x" * 300,
    "/".join("ab" for dummy in range(2000)),
    "\ud800",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_write_nothing(registry: FakeRegistry, tmp_path: Path, title: str) -> None:
    assert title_problem(title)
    if title == "\ud800":
        return  # no registry can send it
    store(registry, "good", title)
    with fails(ContentError, "UNSAFE_TITLE", registry.host, None, "with the title"):
        pull(registry, tmp_path / "out")
    with fails(ContentError, "UNSAFE_TITLE", registry.host):
        pull(registry, tmp_path / "out", titles=["good"])
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


@pytest.mark.parametrize("title", ["a", "a/b/c.txt", ".hidden", "...", "a b", "ü", "a..b/c", "C:x"])
def test_titles_that_are_names(registry: FakeRegistry, tmp_path: Path, title: str) -> None:
    store(registry, title)
    pull(registry, tmp_path / "out")
    assert contents(tmp_path / "out") == {title: "evil"}


@pytest.mark.parametrize("titles", [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]])
def test_titles_that_collide(registry: FakeRegistry, tmp_path: Path, titles: list[str]) -> None:
    store(registry, *titles)
    with fails(ContentError, "UNSAFE_TITLE", registry.host):
        pull(registry, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


def test_links_in_the_folder_are_not_followed(registry: FakeRegistry, tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (outside / "b.txt").write_text("bb")
    (out / "docs").symlink_to(outside)
    push(registry)
    with fails(InvalidInput, "FILE_ERROR", says="has a link on the way to 'docs/b.txt'"):
        pull(registry, out)
    assert contents(out) == {} and contents(outside) == {"b.txt": "bb"}
    (out / "docs").unlink()
    (out / "docs").mkdir()
    (out / "docs" / "b.txt").symlink_to(outside / "b.txt")
    (outside / "b.txt").write_text("mine")
    assert pull(registry, out).changed
    assert contents(outside) == {"b.txt": "mine"}
    assert not (out / "docs" / "b.txt").is_symlink() and contents(out) == {"a.txt": "a", "docs/b.txt": "bb"}


def test_a_link_that_appears_after_planning(registry: FakeRegistry, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    push(registry)
    session = make_session(login(registry))
    planned = plan_artifact_pull(session, name=f"{registry.host}/{REPO}:f", path=str(tmp_path / "out"), titles=[])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "docs").symlink_to(outside)
    with fails(InvalidInput, "FILE_ERROR", says="has a link on the way"):
        apply(session, planned)
    assert contents(outside) == {}


# --- what is there


def test_what_is_right_is_left_alone(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry)
    out = tmp_path / "out"
    (out / "docs").mkdir(parents=True)
    (out / "a.txt").write_text("a")
    (out / "docs" / "b.txt").write_text("xx")
    (out / "mine").write_text("mine")
    old = (out / "a.txt").stat().st_ino
    registry.reset_log()
    planned = pull(registry, out)
    assert [request.path for request in registry.requests if "/blobs/" in request.path] == [
        f"/v2/{REPO}/blobs/{digest_of(b'bb')}"
    ]
    assert len(planned.actions) == 1
    assert (out / "a.txt").stat().st_ino == old
    assert contents(out) == {"a.txt": "a", "docs/b.txt": "bb", "mine": "mine"}


def test_a_file_appears_whole(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry)
    blobs = registry.api.repos[REPO].blobs
    blobs[digest_of(b"bb")] = b"bx"
    with fails(ContentError, "DIGEST_MISMATCH"):
        pull(registry, tmp_path / "out", titles=["docs/b.txt"])
    assert contents(tmp_path / "out") == {}


def test_a_bit_that_flips_on_the_way_is_fetched_again(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry)
    fault = registry.fault(path="/blobs/", action="flip", at=0)
    pull(registry, tmp_path / "out", titles=["docs/b.txt"])  # one, as of several each is tried again after the others
    assert contents(tmp_path / "out") == {"docs/b.txt": "bb"}
    assert fault.hits == 1


def test_some_of_the_files(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry)
    pull(registry, tmp_path / "out", titles=["docs/b.txt"])
    assert contents(tmp_path / "out") == {"docs/b.txt": "bb"}
    with fails(ContentError, "TITLE_NOT_FOUND", registry.host, None, "no file with the title 'c'; it has a.txt"):
        pull(registry, tmp_path / "out", titles=["c"])


def test_an_artifact_without_files(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry, files=[])
    planned = pull(registry, tmp_path / "out")
    assert (planned.changed, planned.result["files"], planned.warnings) == (False, [], ())
    assert not (tmp_path / "out").exists()
    with fails(ContentError, "TITLE_NOT_FOUND", registry.host, None, "no file with the title 'c'; it has none"):
        pull(registry, tmp_path / "out", titles=["c"])


def test_places_that_are_taken(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry)
    (tmp_path / "one" / "a.txt").mkdir(parents=True)
    with fails(InvalidInput, "FILE_ERROR", says="is a folder"):
        pull(registry, tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "docs").write_text("")
    with fails(InvalidInput, "FILE_ERROR", says="is a file"):
        pull(registry, tmp_path / "two")


def test_what_is_no_artifact(registry: FakeRegistry, tmp_path: Path) -> None:
    with fails(ContentError, "NOT_AN_ARTIFACT", registry.host, None, "no file with a title"):
        pull(registry, tmp_path / "out", ":1")
    add_platforms(registry, tag="2")
    with fails(ContentError, "NOT_AN_ARTIFACT", registry.host, None, "is an index"):
        pull(registry, tmp_path / "out", ":2")
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404):
        pull(registry, tmp_path / "out", ":3")
    store(registry, "good", None)
    planned = pull(registry, tmp_path / "out")
    assert "1 layers without a title" in planned.warnings[0]
    assert "oci_blob" in planned.warnings[0]
    assert contents(tmp_path / "out") == {"good": "evil"}


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str, tmp_path: Path) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        image = registry.add_image(REPO, "1", layers=LAYERS)
        twice(registry, lambda: push(registry, subject=f"{registry.host}/{REPO}@{image}"))
        twice(registry, lambda: pull(registry, tmp_path / "out"))
        assert json.dumps(contents(tmp_path / "out")) == '{"a.txt": "a", "docs/b.txt": "bb"}'


def test_an_empty_path_is_not_the_current_folder(registry: FakeRegistry) -> None:
    push(registry)
    with fails(InvalidInput, "FILE_ERROR", says="The path is empty"):
        plan_artifact_pull(make_session(login(registry)), name=f"{registry.host}/{REPO}:f", path="", titles=[])


def test_a_folder_that_oras_has_packed(registry: FakeRegistry, tmp_path: Path) -> None:
    store(registry, "docs")
    manifest = registry.manifest(REPO, "f")
    manifest["layers"][0]["annotations"]["io.deis.oras.content.unpack"] = "true"
    registry.add_manifest(REPO, manifest, tag="2")
    (warning,) = pull(registry, tmp_path / "out", ":2").warnings
    assert "has folders, which ORAS has packed: docs." in warning
