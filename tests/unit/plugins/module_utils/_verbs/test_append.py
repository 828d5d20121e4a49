# SPDX-License-Identifier: GPL-3.0-or-later
"""Appending layers, once."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    NotFound,
    OCIError,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers import newlayer
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.append import plan_append
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    digest_of,
)
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
)
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, SYMLINK, Item, pack, save_tar, tar_of

MOTD = [{"path": "/etc/motd", "content": "hello"}]
TIME = "2024-05-06T07:08:09Z"


def plan(
    registry: FakeRegistry, name: str | None = ":1", dest: str | None = None, **options: Any
) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    defaults: dict[str, Any] = {
        "layers": None,
        "files": None,
        "format": "oci",
        "base_annotations": False,
        "platforms": [],
        "created": None,
        "compression": "gzip",
        "limits": None,
        "on_existing": "replace",
    }
    source = None if name is None else f"{registry.host}/{REPO}{name}"
    arguments = {"dest": f"{registry.host}/{dest}" if dest else None, **defaults, **options}
    return session, plan_append(session, name=source, **arguments)


def run(registry: FakeRegistry, *args: Any, **options: Any) -> Plan:
    session, planned = plan(registry, *args, **options)
    apply(session, planned)
    return planned


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    return Path(save_tar(tmp_path / "app.tar", {"app": b"x" * 3000}))


@pytest.mark.parametrize(("media", "kind"), [("oci", OCI_LAYER), ("docker", DOCKER_LAYER)])
def test_layers_and_history(registry: FakeRegistry, layer: Path, media: str, kind: str) -> None:
    config = {"moby.unknown": 1, "config": {"Labels": {"a": "b"}}}
    registry.add_image(REPO, "1", LAYERS, media=media, config=config, annotations={"x": "y"})
    old, manifest = registry.config(REPO, "1"), registry.manifest(REPO, "1")
    planned = run(registry, layers=[str(layer)], files=MOTD)
    new, grown = registry.config(REPO, "1"), registry.manifest(REPO, "1")
    assert grown["layers"][:2] == manifest["layers"]
    assert [item["mediaType"] for item in grown["layers"]] == [kind] * 4
    assert grown["annotations"] == {"x": "y"}
    assert {**new, "rootfs": 0, "history": 0} == {**old, "rootfs": 0, "history": 0}
    assert new["history"][:2] == old["history"]
    assert [entry["created_by"] for entry in new["history"][2:]] == ["oci_append app.tar", "oci_append /etc/motd"]
    assert {entry["created"] for entry in new["history"][2:]} == {old["created"]}
    assert [item["diff_id"] for item in planned.result["layers"]] == new["rootfs"]["diff_ids"][2:]
    for told, stored in zip(planned.result["layers"], grown["layers"][2:]):
        assert (told["digest"], told["size"]) == (stored["digest"], stored["size"])
        assert digest_of(gzip.decompress(registry.blobs(REPO)[told["digest"]])) == told["diff_id"]
    assert new["rootfs"]["diff_ids"][2] == digest_of(layer.read_bytes())
    assert registry.count("GET", "/blobs/") == 3  # the config, and the layers once, for where the files go


@pytest.mark.parametrize("dest", [None, "team/new:1", f"{REPO}:new"])
def test_the_second_time_nothing_is_packed_or_sent(
    registry: FakeRegistry, layer: Path, dest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_image(REPO, "1", LAYERS)
    first = run(registry, dest=dest, layers=[str(layer)], files=MOTD)
    packed: list[str] = []
    real = newlayer.compressor
    monkeypatch.setattr(newlayer, "compressor", lambda out, kind, *rest: packed.append(kind) or real(out, kind, *rest))
    registry.reset_log()
    again = run(registry, dest=dest, layers=[str(layer)], files=MOTD)
    assert not again.changed
    assert again.result == {**first.result, "previous_digest": first.result["digest"]}
    assert packed == []
    assert registry.count("GET", "/blobs/") == (2 if dest else 1)


def test_what_another_encoder_packed_is_up_to_date(registry: FakeRegistry, layer: Path) -> None:
    registry.add_image(REPO, "1", LAYERS)
    run(registry, dest="team/new:1", layers=[str(layer)])
    manifest = registry.manifest("team/new", "1")
    packed = gzip.compress(layer.read_bytes(), 1, mtime=9)
    manifest["layers"][2].update(digest=registry.add_blob("team/new", packed), size=len(packed))
    registry.add_manifest("team/new", manifest, tag="1")
    planned = run(registry, dest="team/new:1", layers=[str(layer)])
    assert not planned.changed
    assert planned.result["layers"][0]["digest"] == digest_of(packed)


def test_an_index_and_its_attestations(registry: FakeRegistry) -> None:
    add_platforms(registry)
    old = registry.manifest(REPO, "1")["manifests"]
    planned = run(registry, files=MOTD)
    new = registry.manifest(REPO, "1")["manifests"]
    assert [member["platform"] for member in new] == [member["platform"] for member in old[:2]]
    assert [len(registry.manifest(REPO, member["digest"])["layers"]) for member in new] == [3, 3]
    assert planned.actions[-1].startswith(f"Drop the attestation {old[2]['digest']}")
    assert complete(registry, REPO, "1")
    assert not run(registry, files=MOTD).changed


def test_one_platform(registry: FakeRegistry) -> None:
    add_platforms(registry)
    old = registry.manifest(REPO, "1")["manifests"]
    run(registry, dest="team/new:1", files=MOTD, platforms=["linux/arm64"])
    new = registry.manifest("team/new", "1")["manifests"]
    assert (new[0], new[2]) == (old[0], old[2])
    assert len(registry.manifest("team/new", new[1]["digest"])["layers"]) == 3
    assert not run(registry, dest="team/new:1", files=MOTD, platforms=["linux/arm64"]).changed


@pytest.mark.parametrize(
    ("family", "types"),
    [("oci", (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)), ("docker", (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER))],
)
def test_from_scratch(registry: FakeRegistry, family: str, types: tuple[str, ...]) -> None:
    planned = run(registry, None, "team/new:1", files=MOTD, format=family, created=TIME)
    manifest, config = registry.manifest("team/new", "1"), registry.config("team/new", "1")
    found = (manifest["mediaType"], manifest["config"]["mediaType"], manifest["layers"][0]["mediaType"])
    assert found == types
    assert (config["os"], config["architecture"], config["created"]) == ("linux", "amd64", TIME)
    assert [(entry["created"], entry["created_by"]) for entry in config["history"]] == [(TIME, "oci_append /etc/motd")]
    assert planned.result["previous_digest"] is None
    assert complete(registry, "team/new", "1")
    again = run(registry, None, "team/new:1", files=MOTD, format=family, created=TIME)
    assert (again.changed, again.result["digest"]) == (False, planned.result["digest"])


@pytest.mark.parametrize(("family", "kind"), [("oci", OCI_INDEX), ("docker", DOCKER_LIST)])
def test_from_scratch_for_several_platforms(registry: FakeRegistry, family: str, kind: str) -> None:
    options = {"files": MOTD, "format": family, "platforms": ["linux/amd64", "linux/arm/v7"]}
    run(registry, None, "team/new:1", **options)
    index = registry.manifest("team/new", "1")
    assert index["mediaType"] == kind
    assert [member["platform"] for member in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    assert complete(registry, "team/new", "1")
    assert not run(registry, None, "team/new:1", **options).changed


def test_windows(registry: FakeRegistry) -> None:
    images = [registry.add_image(REPO, layers=LAYERS, platform=name) for name in ("windows/amd64", "linux/amd64")]
    registry.add_index(REPO, "1", images)
    run(registry, files=MOTD)
    found = []
    for member in registry.manifest(REPO, "1")["manifests"]:
        layer = registry.manifest(REPO, member["digest"])["layers"][-1]
        data = gzip.decompress(registry.blobs(REPO)[layer["digest"]])
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found.append(archive.getnames())
    assert found == [["Files", "Hives", "Files/etc", "Files/etc/motd"], ["etc", "etc/motd"]]
    assert not run(registry, files=MOTD).changed


def test_base_annotations(registry: FakeRegistry) -> None:
    base = registry.add_image(REPO, "1", LAYERS, annotations={"x": "y"})
    run(registry, dest="team/new:1", files=MOTD, base_annotations=True)
    assert registry.manifest("team/new", "1")["annotations"] == {
        "x": "y",
        "org.opencontainers.image.base.digest": base,
        "org.opencontainers.image.base.name": f"{registry.host}/{REPO}:1",
    }
    assert not run(registry, dest="team/new:1", files=MOTD, base_annotations=True).changed
    run(registry, f"@{base}", "team/new:2", files=MOTD, base_annotations=True)
    assert "org.opencontainers.image.base.name" not in registry.manifest("team/new", "2")["annotations"]


def test_created(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", LAYERS)
    run(registry, files=MOTD, created=TIME)
    config = registry.config(REPO, "1")
    assert config["created"] == config["history"][-1]["created"] == TIME
    layer = registry.manifest(REPO, "1")["layers"][-1]["digest"]
    with tarfile.open(fileobj=io.BytesIO(registry.blobs(REPO)[layer]), mode="r:gz") as archive:
        assert {info.mtime for info in archive} == {1714979289}


@pytest.mark.parametrize("lacking", [1, 2])
def test_a_history_that_tells_less_is_filled(registry: FakeRegistry, lacking: int) -> None:
    told = [{"created_by": "base"}, {"created_by": "build"}][lacking:]
    registry.add_image(REPO, "1", LAYERS, config={"history": told})
    run(registry, files=MOTD)
    history = registry.config(REPO, "1")["history"]
    assert history[:-1] == [{"created": "1970-01-01T00:00:00Z"}] * lacking + told, "umoci needs a time"
    assert history[-1]["created_by"] == "oci_append /etc/motd"


def test_a_history_that_tells_more_is_made_anew(registry: FakeRegistry) -> None:
    told = [{"created_by": str(number)} for number in range(3)]
    registry.add_image(REPO, "1", LAYERS, config={"history": told})
    run(registry, files=MOTD)
    history = registry.config(REPO, "1")["history"]
    assert [entry.get("created_by") for entry in history] == [None, None, "oci_append /etc/motd"]
    assert not run(registry, files=MOTD).changed


def test_planning_writes_nothing(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", LAYERS)
    state = registry.state()
    assert plan(registry, files=MOTD)[1].changed
    assert plan(registry, None, "team/new:1", files=MOTD)[1].changed
    assert registry.state() == state


def test_a_full_disk(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.add_image(REPO, "1", LAYERS)

    def full(*dummy: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with fails(OCIError, "NO_SPACE", says="to pack the layer of /etc/motd; free some"):
        plan(registry, files=MOTD)


@pytest.mark.parametrize("empty", [{"layers": []}, {"files": []}, {"layers": [], "files": []}], ids=str)
@pytest.mark.parametrize("os_name", ["linux", "windows"])
def test_of_empty_lists_there_is_nothing_to_do(registry: FakeRegistry, empty: dict[str, Any], os_name: str) -> None:
    digest = registry.add_image(REPO, "1", LAYERS, platform=f"{os_name}/amd64")
    planned = run(registry, **empty)
    assert (planned.changed, planned.result["digest"], planned.result["layers"]) == (False, digest, [])
    planned = run(registry, ":1", f"{REPO}:2", **empty)
    assert (planned.changed, registry.tags(REPO)["2"], planned.result["layers"]) == (True, digest, [])
    assert not run(registry, ":1", f"{REPO}:2", **empty).changed


def test_what_cannot_be(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add_image(REPO, "1", LAYERS)
    state = registry.state()
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with fails(InvalidInput, "INVALID_OPTION", says="nothing to append"):
        plan(registry)
    with fails(InvalidInput, "INVALID_OPTION", says="nothing to make"):
        plan(registry, None, "team/new:1", layers=[], files=[])
    with fails(InvalidInput, "INVALID_OPTION", says="is not a time with a time zone"):
        plan(registry, files=MOTD, created="yesterday")
    with fails(InvalidInput, "INVALID_OPTION", says="not 'linux' alone"):
        plan(registry, None, "team/new:1", files=MOTD, platforms=["linux"])
    with fails(InvalidInput, "INVALID_OPTION", says="one platform twice"):
        plan(registry, None, "team/new:1", files=MOTD, platforms=["linux/amd64", "linux/x86_64"])
    with fails(ContentError, "INVALID_LAYER", says="bad.tar"):
        plan(registry, layers=[str(tmp_path / "bad.tar")])
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404):
        plan(registry, ":absent", layers=[str(tmp_path / "never read")])
    assert registry.state() == state


# A small system with the links of a merged /usr, and folders that belong to somebody.
SYSTEM = pack(
    [
        Item("usr", DIRECTORY, mode=0o755),
        Item("usr/bin", DIRECTORY, mode=0o755, mtime=5),
        Item("bin", SYMLINK, target="usr/bin"),
        Item("usr/bin/real", content=b"old"),
        Item("usr/bin/link", SYMLINK, target="real"),
        Item("var", DIRECTORY, mode=0o755),
        Item("var/run", SYMLINK, target="/run"),
        Item("data", DIRECTORY, mode=0o755),
        Item("etc/folder", SYMLINK, target="../data"),
        Item("etc/passwd", content=b"root"),
        Item("round", SYMLINK, target="round"),
        Item("tmp", DIRECTORY, mode=0o1777),
    ]
)
HOME = pack([Item("home/app", DIRECTORY, mode=0o700, uid=1000, xattrs=(("user.x", "y"),)), Item(".wh.tmp")])


def top_layer(registry: FakeRegistry, repo: str = REPO, tag: str = "1") -> dict[str, tarfile.TarInfo]:
    layer = registry.manifest(repo, tag)["layers"][-1]["digest"]
    with tarfile.open(fileobj=io.BytesIO(registry.blobs(repo)[layer]), mode="r:*") as archive:
        return {info.name: info for info in archive}


def file(path: str, text: str = "x") -> dict[str, str]:
    return {"path": path, "content": text}


def test_files_go_through_the_links_of_the_image_and_its_folders_stay_as_they_are(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [SYSTEM, HOME])
    paths = ["/bin/tool", "/var/run/x", "/home/app/.config", "/new/deep/file", "/tmp/y", "/usr/bin/link"]
    run(registry, files=[file(path) for path in paths], created=TIME)
    found = top_layer(registry)
    folders = ["home", "home/app", "new", "new/deep", "run", "tmp", "usr", "usr/bin"]
    files = ["home/app/.config", "new/deep/file", "run/x", "tmp/y", "usr/bin/link", "usr/bin/tool"]
    assert sorted(found) == sorted(folders + files)
    assert [name for name in found if found[name].isdir()] == folders
    home = found["home/app"]
    assert (home.mode, home.uid, home.pax_headers["SCHILY.xattr.user.x"]) == (0o700, 1000, "y")
    assert (found["usr/bin"].mode, found["usr/bin"].mtime) == (0o755, 5)
    assert (found["new"].mode, found["new"].uid, found["new"].mtime) == (0o755, 0, 1714979289)
    assert found["tmp"].mode == 0o1777  # removed below, so made anew as every system has it
    assert found["usr/bin/link"].isfile()  # in place of the link, as buildah copy does


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"path": "/etc/.wh.passwd"}, "removes a file from an image"),
        ({"path": "/.wh.a/b"}, "removes a file from an image"),
        ({"mode": 644}, "The mode 644 of '/x' is 1204 for YAML"),
        ({"mode": 755}, "is 1363 for YAML"),
        ({"mode": 444}, "is 0674 for YAML"),
        ({"mode": True}, "is not an octal one"),
        ({"mode": "0888"}, "is not an octal one"),
    ],
)
def test_files_that_nobody_means(registry: FakeRegistry, wrong: dict[str, Any], says: str) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        plan(registry, files=[{**file("/x"), **wrong}])


@pytest.mark.parametrize("mode", [0o755, 0o644, 0o600, "755", "0644", "4755"])
def test_modes_that_are_octal(registry: FakeRegistry, mode: int | str) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    assert plan(registry, files=[{**file("/x"), "mode": mode}])[1].changed


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["/etc/passwd/x"], "'/etc/passwd' is no folder in the image"),
        (["/data"], "'/data' is a folder in the image"),
        (["/etc/folder"], "'/etc/folder' is a folder in the image"),
        (["/round/x"], "lies below a loop of symbolic links"),
        (["/bin/tool", "/usr/bin/tool"], "(links followed), and not below another one; look at '/usr/bin/tool'."),
        (["/bin/tool", "/usr/bin/tool/x"], "not below another one"),
    ],
)
def test_files_that_have_no_place_in_the_image(registry: FakeRegistry, paths: list[str], says: str) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    state = registry.state()
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        plan(registry, files=[file(path) for path in paths])
    assert registry.state() == state


def test_files_see_the_layers_that_are_appended_below_them(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add_image(REPO, "1", [HOME])
    path = tmp_path / "links.tar"
    path.write_bytes(pack([Item("opt", SYMLINK, target="home/app")]))
    run(registry, layers=[str(path)], files=[file("/opt/x")])
    assert list(top_layer(registry)) == ["home", "home/app", "home/app/x"]
    assert not run(registry, layers=[str(path)], files=[file("/opt/x")]).changed


def test_only_files_that_are_not_there_yet_take_a_look_at_the_layers(registry: FakeRegistry, layer: Path) -> None:
    registry.add_image(REPO, "1", [SYSTEM, HOME])
    run(registry, layers=[str(layer)])
    assert registry.count("GET", "/blobs/") == 1
    run(registry, files=MOTD)
    registry.reset_log()
    assert not run(registry, files=MOTD).changed
    assert registry.count("GET", "/blobs/") == 1


@pytest.mark.parametrize("dest", [None, "team/new:1"])
def test_files_are_found_again_on_an_image_without_history(registry: FakeRegistry, dest: str | None) -> None:
    registry.add_image(REPO, "1", [SYSTEM, HOME], config={"history": []})
    first = run(registry, dest=dest, files=[file("/bin/tool")])
    again = run(registry, dest=dest, files=[file("/bin/tool")])
    assert (again.changed, again.result["layers"]) == (False, first.result["layers"])
    assert run(registry, dest=dest, files=[file("/bin/tool", "other")]).changed


@pytest.mark.parametrize("history", [None, [], [{"created_by": "build"}]], ids=["null", "none", "whole"])
def test_tasks_that_append_to_one_tag_in_place_come_to_rest(
    registry: FakeRegistry, layer: Path, tmp_path: Path, history: list[dict[str, str]] | None
) -> None:
    registry.add_image(REPO, "1", [SYSTEM], config={"history": history})
    other = save_tar(tmp_path / "other.tar", {"other": b"y"})
    tasks: list[dict[str, Any]] = [
        {"layers": [str(layer)]},
        {"files": MOTD},
        {"layers": [other], "files": [file("/x")]},
    ]
    first = [run(registry, **task) for task in tasks]
    again = [run(registry, **task) for task in tasks]
    assert [planned.changed for planned in again] == [False] * 3
    assert [planned.result["layers"] for planned in again] == [planned.result["layers"] for planned in first]
    assert len(registry.manifest(REPO, "1")["layers"]) == 5


def test_what_was_changed_and_is_changed_back_is_appended_again(registry: FakeRegistry, layer: Path) -> None:
    """A file that another layer hides is not there, whoever brought it before."""
    registry.add_image(REPO, "1", [SYSTEM])
    for text in ("hello", "bye", "hello"):
        assert run(registry, files=[file("/etc/motd", text), file("/x")]).changed
    old = layer.read_bytes()
    for data in (old, tar_of({"app": b"new"}), old):
        layer.write_bytes(data)
        assert run(registry, layers=[str(layer)]).changed
    assert len(registry.manifest(REPO, "1")["layers"]) == 7


def test_layers_below_those_of_a_build_do_not_count(registry: FakeRegistry, layer: Path) -> None:
    """What a build did above them is not known: it may have removed their files."""
    layers = [SYSTEM, layer.read_bytes(), HOME]
    by = ["build", "oci_append app.tar", "build"]
    registry.add_image(REPO, "1", layers, config={"history": [{"created_by": text} for text in by]})
    assert run(registry, layers=[str(layer)]).changed


@pytest.mark.parametrize("history", [None, [{"created_by": "build"}, {"created_by": "crane append"}]])
def test_layers_on_top_count_whoever_put_them_there(registry: FakeRegistry, layer: Path, history: Any) -> None:
    digest = registry.add_image(REPO, "1", [SYSTEM, layer.read_bytes()], config={"history": history})
    assert run(registry, layers=[str(layer)]).result["digest"] == digest


def test_only_the_layers_that_are_missing_are_added(registry: FakeRegistry, layer: Path) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    run(registry, layers=[str(layer)], files=MOTD)
    planned = run(registry, layers=[str(layer)], files=[file("/etc/issue")])
    manifest = registry.manifest(REPO, "1")
    assert len(manifest["layers"]) == 4
    assert [row["digest"] for row in planned.result["layers"]] == [manifest["layers"][at]["digest"] for at in (1, 3)]


def test_a_time_as_yaml_reads_it(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    run(registry, files=MOTD, created="2024-05-06 09:08:09.5+02:00")
    assert registry.config(REPO, "1")["created"] == "2024-05-06T09:08:09.5+02:00"
    assert {info.mtime for info in top_layer(registry).values() if info.isfile()} == {1714979289}


def test_a_layer_in_zstd_is_refused_for_an_image_in_the_format_of_docker(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "app.tar.zst"
    path.write_bytes(bytes.fromhex("28b52ffd") + b"x")
    registry.add_image(REPO, "1", [SYSTEM], media="docker")
    with fails(InvalidInput, "UNSUPPORTED_COMPRESSION", says=":1 is in Docker's format, which has no layers in zstd"):
        plan(registry, files=MOTD, compression="zstd")


def test_files_are_refused_where_a_layer_is_encrypted_and_whole_layers_are_not(
    registry: FakeRegistry, layer: Path
) -> None:
    registry.add_image(REPO, "1", [SYSTEM])
    manifest = registry.manifest(REPO, "1")
    manifest["layers"][0]["mediaType"] += "+encrypted"
    registry.add_manifest(REPO, manifest, tag="1")
    with fails(ContentError, "LAYER_ENCRYPTED", says="is encrypted"):
        plan(registry, files=MOTD)
    assert run(registry, layers=[str(layer)]).changed


def test_layers_that_the_destination_has_in_another_compression_are_packed_anew(
    registry: FakeRegistry, layer: Path
) -> None:
    registry.add_image(REPO, "1", LAYERS)
    run(registry, dest="team/new:1", layers=[str(layer)])
    manifest, plain = registry.manifest("team/new", "1"), layer.read_bytes()
    other = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(plain)}
    manifest["layers"][2].update(other, digest=registry.add_blob("team/new", plain))
    registry.add_manifest("team/new", manifest, tag="1")
    assert run(registry, dest="team/new:1", layers=[str(layer)]).changed
    assert registry.manifest("team/new", "1")["layers"][2]["mediaType"] == OCI_LAYER


def test_a_broken_image_at_the_destination_is_replaced(registry: FakeRegistry, layer: Path) -> None:
    registry.add_image(REPO, "1", LAYERS)
    registry.add_image("team/new", "1", LAYERS, config={"rootfs": {"type": "layers", "diff_ids": []}})
    assert run(registry, dest="team/new:1", layers=[str(layer)], files=MOTD).changed
    assert complete(registry, "team/new", "1")
