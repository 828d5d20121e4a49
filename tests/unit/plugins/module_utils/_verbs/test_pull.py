# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in files."""

from __future__ import annotations

import gzip
import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.images import open_images
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    MissingLibrary,
    NotFound,
    OCIError,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers import compression
from ansible_collections.quayside.registry.plugins.module_utils._oci.walk import below
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.pull import plan_pull
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_LAYER, Layer, digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.image_files import REF_NAME, save
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.tars import read_tar

FORMATS = ["docker-archive", "oci-archive", "oci-layout"]
OCI = FORMATS[1:]
ARCHIVES = FORMATS[:2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an image is saved, in a folder of its own."""
    (tmp_path / "files").mkdir()
    return tmp_path / "files" / "saved"


def plan(registry: FakeRegistry, path: Path, *names: str, retries: int = 0, **options: Any) -> tuple[Session, Plan]:
    """Names are those of images in the repository, such as ``:1``, or full ones."""
    full = [name if "/" in name else f"{registry.host}/{REPO}{name}" for name in names or [":1"]]
    session = make_session(login(registry), retries=retries)
    known = {"format": "docker-archive", "platform": None, "force": False, **options}
    single = full[0] if len(full) == 1 else None
    return session, plan_pull(session, name=single, names=None if single else full, path=str(path), **known)


def run(registry: FakeRegistry, path: Path, *names: str, make: bool = False, **options: Any) -> Plan:
    if make:
        path.parent.mkdir()
    session, planned = plan(registry, path, *names, **options)
    apply(session, planned)
    return planned


def listed(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(read_tar(path)["manifest.json"])
    return found


def entries(path: Path) -> list[tuple[str | None, str]]:
    """The tags, without the names before them, and the digests in index.json of a layout or archive."""
    raw = (path / "index.json").read_bytes() if path.is_dir() else read_tar(path)["index.json"]
    found = [(item.get("annotations") or {}, item["digest"]) for item in json.loads(raw)["manifests"]]
    return [(notes[REF_NAME].rpartition(":")[2] if REF_NAME in notes else None, digest) for notes, digest in found]


def files(path: Path) -> dict[str, bytes]:
    """All that is below a folder, or beside a file."""
    top = path.parent
    return {str(found.relative_to(top)): found.read_bytes() for found in sorted(top.rglob("*")) if found.is_file()}


# --- all formats


@pytest.mark.parametrize("kind", FORMATS)
def test_the_second_time_nothing_is_fetched(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        add_platforms(registry)
        registry.add_image(REPO, "2", layers=LAYERS, media="docker")
        first = run(registry, path, ":1", ":2", format=kind)
        before, times = files(path), path.stat().st_mtime_ns
        assert first.changed
        assert first.before != first.after
        assert {first.result[key] for key in ("reference", "digest", "media_type", "previous_digest")} == {None}
        registry.reset_log()
        again = run(registry, path, ":1", ":2", format=kind)
        assert (again.changed, again.before, again.after) == (False, first.after, first.after)
        assert again.result == first.result
        assert registry.count("GET", "/blobs/") == 0
        assert registry.count("GET", "/manifests/") == (3 if kind == "docker-archive" else 0)
    assert (files(path), path.stat().st_mtime_ns) == (before, times)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_bytes_depend_on_the_images_alone(kind: str, path: Path) -> None:
    found = []
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        for name in ("a", "b"):
            run(registry, path.parent / name / "saved", ":1", f"@{digest}", format=kind, make=True)
            found.append(files(path.parent / name / "saved"))
    assert found[0] == found[1] != {}


@pytest.mark.parametrize("kind", FORMATS)
def test_force_fetches_again(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path, format=kind)
        before = files(path)
        registry.reset_log()
        assert run(registry, path, format=kind, force=True).changed
        assert registry.count("GET", "/blobs/") == 3
    assert files(path) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_results(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        index = add_platforms(registry)
        amd64 = registry.manifest(REPO, index)["manifests"][0]["digest"]
        digest = amd64 if kind == "docker-archive" else index
        planned = run(registry, path, format=kind)
        assert planned.result["path"] == str(path)
        (image,) = planned.result["images"]
        assert image["name"] == f"{registry.host}/{REPO}:1"
        assert image["reference"] == f"{registry.host}/{REPO}@{digest}"
        assert image["digest"] == digest
        assert {**image, "path": str(path), "previous_digest": None, "images": [image]} == {
            **planned.result,
            "name": image["name"],
        }
        assert len(planned.actions) == 1
        assert planned.cost().bytes_received == sum(
            len(registry.blobs(REPO)[item])
            for item in registry.blobs(REPO)
            if kind != "docker-archive" or item in str(registry.manifest(REPO, amd64))
        )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_made_right(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[random.Random(1).randbytes(4000)])
        run(registry, path, format=kind)
        before = files(path)
        name = max(before, key=lambda name: len(before[name]))
        for damage in (lambda data: data[:1500] + b"?" + data[1501:], lambda data: data[:2000]):
            (path.parent / name).write_bytes(damage(before[name]))
            planned = run(registry, path, format=kind)
            assert planned.changed
            assert planned.before != planned.after
            assert files(path) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_tag_that_moved(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS[:1])
        old = run(registry, path, format=kind).after
        new = registry.add_image(REPO, "1", layers=LAYERS)
        planned = run(registry, path, format=kind)
        assert planned.before == old != planned.after
        assert planned.result["previous_digest"] == (
            None if kind == "docker-archive" else old[f"{registry.host}/{REPO}:1"]
        )
        assert planned.result["images"][0]["digest"] == new
        assert not run(registry, path, format=kind).changed


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_in_the_middle_leaves_nothing(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        layer = digest_of(gzipped(LAYERS[1]))
        registry.fault("GET", layer, action="truncate", at=10)
        registry.fault("GET", layer, status=500, times=9)
        with pytest.raises(OCIError):
            run(registry, path, format=kind)
    assert os.listdir(path.parent) == []


def test_a_failure_leaves_what_another_task_needs_by_then(path: Path) -> None:
    """Two tasks save images in one layout; the second finds a layer there that the first has fetched, which fails."""
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.add_image(REPO, "2", layers=LAYERS[:1])
        session, first = plan(registry, path, ":1", format="oci-layout")
        bad = digest_of(gzipped(LAYERS[1]))
        registry.fault("GET", bad, status=500, times=9)
        own = session.map
        second: list[Plan] = []

        def then_the_other(function: Any, items: Any, kind: str = "") -> Any:
            try:
                return own(function, items, kind)
            finally:  # the first task has failed, and has not removed anything yet
                if not second:
                    second.append(run(registry, path, ":2", format="oci-layout"))

        session.map = then_the_other  # type: ignore[method-assign]
        with pytest.raises(OCIError):
            apply(session, first)
        assert second and second[0].changed
        images = open_images(str(path))
        (entry,) = images.entries
        root = images.root(entry)
        assert entry.digest == digest_of(root.raw)
        assert all(images.has(item) for item in below(root)[1])
        assert [name for name in files(path) if bad[7:] in name] == []


def test_what_another_task_took_away_again_is_not_named(path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path, ":1", format="oci-layout")
        before = files(path)
        registry.add_image(REPO, "2", layers=LAYERS[:1])
        session, second = plan(registry, path, ":2", format="oci-layout")
        name = f"blobs/sha256/{digest_of(gzipped(LAYERS[0]))[7:]}"
        (path / name).unlink()
        with fails(ContentError, "ARCHIVE_INVALID", says="Another task, which failed, has removed"):
            apply(session, second)
        assert {**files(path), **{key: value for key, value in before.items() if key.endswith(name)}} == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_that_cannot_be_written_is_known_before(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path, format=kind)
        monkeypatch.setattr(os, "access", lambda place, mode: False)
        assert not plan(registry, path, format=kind)[1].changed
        with fails(InvalidInput, "FILE_ERROR", says="may not write to the folder"):
            plan(registry, path, format=kind, force=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_leaves_what_was_there(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS[:1])
        run(registry, path, format=kind)
        before = files(path)
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault("GET", digest_of(gzipped(LAYERS[1])), status=500, times=9)
        with pytest.raises(OCIError):
            run(registry, path, format=kind, force=True)
    assert files(path) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_content_that_is_not_what_its_digest_says(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        digest = digest_of(gzipped(LAYERS[0]))
        registry.api.repos[REPO].blobs[digest] = b"x" * len(gzipped(LAYERS[0]))
        with fails(ContentError, "DIGEST_MISMATCH", says=digest):
            run(registry, path, format=kind)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_what_does_not_exist(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, says=":absent"):
            plan(registry, path, ":1", ":absent", format=kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_platforms(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        index = registry.manifest(REPO, add_platforms(registry))
        planned = run(registry, path, format=kind, platform="linux/arm64")
        assert planned.result["images"][0]["digest"] == index["manifests"][1]["digest"]
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="linux/amd64, linux/arm64"):
            plan(registry, path, format=kind, platform="linux/s390x")
        registry.add_image(REPO, "single", layers=LAYERS)
        assert run(registry, path, ":single", format=kind, platform="linux/s390x").changed


@pytest.mark.parametrize("kind", FORMATS)
def test_places_that_cannot_be(kind: str, path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("mine")
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        for place in (path, path / "file", path.parent / "absent" / "x"):
            if (kind != "oci-layout" and place == path / "file") or place.parent == path.parent / "absent":
                continue
            with fails(InvalidInput, "FILE_ERROR", says=str(place)):
                plan(registry, place, format=kind)
        with fails(InvalidInput, "FILE_ERROR", says="absent does not exist; create it"):
            plan(registry, path.parent / "absent" / "x", format=kind)
    assert (path / "file").read_text() == "mine"


def test_names_that_are_malformed_or_none(path: Path) -> None:
    with FakeRegistry() as registry:
        with fails(InvalidInput, "INVALID_REFERENCE"):
            plan(registry, path, "x/UPPER")
        with fails(InvalidInput, "INVALID_PLATFORM"):
            plan(registry, path, platform="a b")
        nothing = plan_pull(
            make_session(), name=None, names=[], path=str(path), format="oci-layout", platform=None, force=False
        )
        assert (nothing.changed, nothing.result["images"]) == (False, [])
    assert registry.requests == []


def test_a_folder_that_cannot_get_its_owner_is_not_left_behind(path: Path) -> None:
    """Nor is anything fetched for it: what comes into it may be for nobody else's eyes."""

    def refuse(place: str) -> None:
        assert os.listdir(place) == []
        raise InvalidInput(f"{place} cannot get its owner or mode: never mind.", "FILE_ERROR")

    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        session, planned = plan(registry, path, format="oci-layout", prepare=refuse)
        with fails(InvalidInput, "FILE_ERROR"):
            apply(session, planned)
        assert not path.exists()
        assert not [request for request in registry.requests if "/blobs/" in request.path]


def test_the_same_name_twice_is_one(path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "latest", layers=LAYERS)
        planned = run(registry, path, "", ":latest")
        assert len(planned.result["images"]) == 1


# --- docker-archive


def test_a_docker_archive(path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path)
        config = registry.manifest(REPO, "1")["config"]["digest"][7:] + ".json"
        layers = [digest_of(gzipped(layer))[7:] + ".tar.gz" for layer in LAYERS]
        assert listed(path) == [{"Config": config, "RepoTags": [f"{registry.host}/{REPO}:1"], "Layers": layers}]
        assert sorted(read_tar(path)) == sorted([config, *layers, "manifest.json"])
        assert [gzip.decompress(read_tar(path)[name]) for name in layers] == list(LAYERS)
    images = open_images(str(path))
    assert images.root(images.entries[0]).digest == digest_of(images.root(images.entries[0]).raw)


def test_images_share_layers_and_an_image_has_several_tags(path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.api.repos[REPO].tags["2"] = registry.tags(REPO)["1"]
        registry.add_image(REPO, "base", layers=LAYERS[:1])
        run(registry, path, ":1", ":base", ":2")
        assert [item["RepoTags"] for item in listed(path)] == [
            [f"{registry.host}/{REPO}:1", f"{registry.host}/{REPO}:2"],
            [f"{registry.host}/{REPO}:base"],
        ]
        assert registry.count("GET", "/blobs/") == 4


def test_an_image_by_digest_has_no_tag(path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path, f"@{digest}")
        assert [item["RepoTags"] for item in listed(path)] == [None]
        run(registry, path, f":1@{digest}")  # the digest decides what is read, the tag what it is called
        assert [item["RepoTags"] for item in listed(path)] == [[f"{registry.host}/{REPO}:1"]]


def test_tags_of_docker_hub_are_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        registry.add_image("library/debian", "12", layers=LAYERS)
        registry.add_image("team/app", "12", layers=LAYERS[:1])
        monkeypatch.setattr(Session, "repository", _at(registry))
        run(registry, path, "docker.io/library/debian:12", "docker.io/team/app:12")
        assert [item["RepoTags"] for item in listed(path)] == [["debian:12"], ["team/app:12"]]


def _at(registry: FakeRegistry) -> Any:
    """Let every reference be one of the fake registry."""
    real = Session.repository

    def repository(self: Session, reference: Any, *actions: str) -> Any:
        from dataclasses import replace

        return real(self, replace(reference, registry=registry.host), *actions)

    return repository


def test_without_a_platform_it_is_the_usual_or_the_only_one(path: Path) -> None:
    with FakeRegistry() as registry:
        amd64 = registry.manifest(REPO, add_platforms(registry))["manifests"][0]["digest"]
        assert run(registry, path).result["images"][0]["digest"] == amd64
        arm = registry.add_image(REPO, layers=LAYERS, platform="linux/arm64")
        registry.add_index(REPO, "arm", [arm, registry.add_attestation(REPO, arm)])
        assert run(registry, path, ":arm").result["images"][0]["digest"] == arm
        others = [registry.add_image(REPO, layers=LAYERS, platform=f"linux/{name}") for name in ("arm64", "386")]
        registry.add_index(REPO, "others", others)
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="linux/386, linux/arm64"):
            plan(registry, path, ":others")


def zstd_image(registry: FakeRegistry) -> bytes:
    zstd = pytest.importorskip("zstandard", reason="there is no zstd codec to test with")
    data = b"unpacked " * 1000
    layer = Layer(zstd.ZstdCompressor().compress(data), OCI_LAYER.replace("gzip", "zstd"), digest_of(data))
    registry.add_image(REPO, "1", layers=[LAYERS[0], layer])
    return data


def test_zstd_layers_are_unpacked(path: Path) -> None:
    with FakeRegistry() as registry:
        data = zstd_image(registry)
        run(registry, path)
        name = digest_of(data)[7:] + ".tar"
        assert listed(path)[0]["Layers"][1] == name
        assert read_tar(path)[name] == data
        registry.reset_log()
        assert not run(registry, path).changed
        assert registry.count("GET", "/blobs/") == 1  # the config


def test_zstd_without_a_codec_is_told_before_anything_is_fetched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        zstd_image(registry)
        monkeypatch.setattr(compression, "_module", lambda *dummy: None)
        with pytest.raises(MissingLibrary):
            plan(registry, path)


@pytest.mark.parametrize("config", [{"rootfs": {}}, {"rootfs": {"diff_ids": ["x"]}}, {"rootfs": []}])
def test_zstd_needs_the_digests_in_the_config(config: Any, path: Path) -> None:
    with FakeRegistry() as registry:
        layer = Layer(b"x", OCI_LAYER.replace("gzip", "zstd"), digest_of(b"x"))
        registry.add_image(REPO, "1", layers=[LAYERS[0], layer], config=config)
        with fails(ContentError, "CONFIG_INVALID", says="2 layers"):
            plan(registry, path)


def test_plain_layers_stay_plain(path: Path) -> None:
    with FakeRegistry() as registry:
        layer = Layer(b"plain", OCI_LAYER.replace("+gzip", ""), digest_of(b"plain"))
        registry.add_image(REPO, "1", layers=[layer])
        run(registry, path)
        assert read_tar(path)[digest_of(b"plain")[7:] + ".tar"] == b"plain"


def test_an_artifact_is_no_image(path: Path) -> None:
    with FakeRegistry() as registry:
        image = registry.add_image(REPO, "1", layers=LAYERS)
        artifact = registry.add_referrer(REPO, image, "application/vnd.example", b"x")
        with fails(ContentError, "NOT_AN_IMAGE", says="pull it in an OCI format, or its files with oci_artifact_pull"):
            plan(registry, path, f"@{artifact}")
        run(registry, path, f"@{artifact}", format="oci-archive")
        assert entries(path) == [(None, artifact)]


def test_a_link_is_followed(path: Path) -> None:
    target = path.parent / "target"
    path.symlink_to("target")
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path)
    assert path.is_symlink()
    assert tarfile.is_tarfile(target)


# --- OCI formats


@pytest.mark.parametrize("kind", OCI)
def test_a_whole_index(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        run(registry, path, format=kind)
        assert entries(path) == [("1", digest)]
        images = open_images(str(path))
        root = images.root(images.entries[0])
        assert root.raw == registry.manifests(REPO)[digest].body
        content = {**registry.blobs(REPO), **{name: made.body for name, made in registry.manifests(REPO).items()}}
        saved = read_tar(path) if kind == "oci-archive" else {name[6:]: data for name, data in files(path).items()}
        for name, data in content.items():
            assert saved["blobs/" + name.replace(":", "/")] == data
        assert json.loads(saved["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        assert images.entries[0].names == (f"{registry.host}/{REPO}:1",)


@pytest.mark.parametrize("kind", OCI)
def test_two_repositories_with_one_tag(kind: str, path: Path) -> None:
    """In one task, and in one after the other: entries have full names, so neither takes the other's place."""
    with FakeRegistry() as registry:
        digests = [registry.add_image(name, "1", layers=LAYERS) for name in (REPO, "team/other")]
        both = (":1", f"{registry.host}/team/other:1")
        run(registry, path, *both, format=kind)
        assert entries(path) == [("1", digest) for digest in digests]
        names = [entry.names for entry in open_images(str(path)).entries]
        assert names == [(f"{registry.host}/{REPO}:1",), (f"{registry.host}/team/other:1",)]
        if kind == "oci-layout":
            assert not run(registry, path, both[0], format=kind).changed
            assert not run(registry, path, both[1], format=kind).changed
        assert not run(registry, path, *both, format=kind).changed


def test_a_layout_is_updated(path: Path) -> None:
    with FakeRegistry() as registry:
        first = registry.add_image(REPO, "1", layers=LAYERS[:1])
        other = registry.add_image(REPO, "other", layers=LAYERS[:1], platform="linux/arm64")
        run(registry, path, ":1", format="oci-layout")
        run(registry, path, ":other", format="oci-layout")
        assert entries(path) == [("1", first), ("other", other)]
        new = registry.add_image(REPO, "1", layers=LAYERS)
        registry.reset_log()
        planned = run(registry, path, format="oci-layout")
        assert entries(path) == [("1", new), ("other", other)]
        assert planned.cost().blobs_skipped == 1
        assert registry.count("GET", "/blobs/") == 2
        assert (path / "blobs" / first.replace(":", "/")).exists()  # what is no longer named is left alone
        assert planned.before == {f"{registry.host}/{REPO}:1": first}


def test_a_layout_with_other_content_is_kept(path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        run(registry, path, format="oci-layout")
        index = json.loads((path / "index.json").read_bytes())
        (found,) = index["manifests"]
        mine = {**found, "annotations": {**found["annotations"], "org.example": "x"}}
        twice = {**found, "digest": digest_of(b"x"), "size": 1}
        others = [{**found, "annotations": {REF_NAME: "mine"}}, {**found, "annotations": {}}]
        for manifests, right in (([*others, mine], True), ([twice, *others, mine], False)):
            (path / "index.json").write_text(json.dumps({**index, "manifests": manifests, "annotations": {"a": "b"}}))
            assert run(registry, path, format="oci-layout").changed is not right
            read = json.loads((path / "index.json").read_bytes())
            assert read["annotations"] == {"a": "b"}
            assert [item for item in read["manifests"] if item in others] == others
            assert [pair for pair in entries(path) if pair[0] == "1"] == [("1", digest)]
        assert not run(registry, path, f"@{digest}", format="oci-layout").changed


def test_an_empty_folder_and_one_of_an_interrupted_run(path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        path.mkdir()
        run(registry, path, format="oci-layout")
        (path / "index.json").unlink()
        registry.reset_log()
        assert run(registry, path, format="oci-layout").changed
        assert registry.count("GET", "/blobs/") == 0
        assert not run(registry, path, format="oci-layout").changed


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"index.json": b"{"}, "ARCHIVE_INVALID"),
        ({"index.json": b"{", "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}, "MANIFEST_INVALID"),
    ],
)
def test_a_broken_layout_is_not_touched(content: dict[str, bytes], code: str, path: Path) -> None:
    save(path, content)
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(ContentError, code):
            plan(registry, path, format="oci-layout")
    assert files(path) == {f"saved/{name}": data for name, data in content.items()}


def test_a_layout_does_not_write_through_links(path: Path) -> None:
    outside = path.parent / "outside"
    outside.mkdir()
    path.mkdir()
    (path / "blobs").symlink_to("../outside")
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        with fails(ContentError, "ARCHIVE_INVALID", says="leads out of it"):
            run(registry, path, format="oci-layout")
    assert os.listdir(outside) == []


def test_two_tasks_that_write_one_layout(path: Path) -> None:
    """The other's image came in after the plan was made."""
    with FakeRegistry() as registry:
        for tag in ("1", "2"):
            registry.add_image(REPO, tag, layers=LAYERS, platform=f"linux/{tag}")
        session, planned = plan(registry, path, ":1", format="oci-layout")
        run(registry, path, ":2", format="oci-layout")
        apply(session, planned)
        assert {tag for tag, dummy in entries(path)} == {"1", "2"}


@pytest.mark.parametrize("kind", OCI)
def test_foreign_layers_may_be_left_out(kind: str, path: Path) -> None:
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": digest_of(b"elsewhere"),
        "size": 9,
    }
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[LAYERS[0], foreign])
        planned = run(registry, path, format=kind)
        assert planned.warnings == (
            f"The layer {foreign['digest']} is not in {registry.host}/{REPO} (it may not be distributed), "
            "so it is left out.",
        )
        assert not run(registry, path, format=kind).changed
        registry.add_blob(REPO, b"elsewhere")
        planned = run(registry, path, format=kind)
        assert (planned.changed, planned.warnings) == (True, ())


def test_a_foreign_layer_is_none_that_docker_could_load(path: Path) -> None:
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    foreign = {"mediaType": kind, "digest": digest_of(b"elsewhere"), "size": 9}
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[LAYERS[0], foreign])
        with fails(ContentError, "LAYER_NOT_DISTRIBUTED", says="may not be distributed"):
            plan(registry, path, format="docker-archive")


@pytest.mark.parametrize("kind", OCI)
def test_an_index_without_one_of_its_members(kind: str, path: Path) -> None:
    with FakeRegistry() as registry:
        index = registry.manifest(REPO, add_platforms(registry))
        gone = index["manifests"][1]["digest"]
        del registry.api.repos[REPO].manifests[gone]
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, says=gone):
            plan(registry, path, format=kind)


def test_nested_indexes_have_an_end(path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, layers=LAYERS)
        for dummy in range(9):
            item = {**registry.descriptor(REPO, digest), "platform": {"os": "linux", "architecture": "amd64"}}
            digest = registry.add_index(REPO, "1", [item])
        for kind, platform in (("oci-archive", None), ("oci-archive", "linux/amd64"), ("docker-archive", None)):
            with fails(ContentError, "MANIFEST_INVALID", says="more than 8 deep"):
                plan(registry, path, format=kind, platform=platform)
