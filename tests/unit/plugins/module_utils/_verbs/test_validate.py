# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation: every kind of damage is a sentence that names the digest, and sound images have none."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ConnectionFailed,
    ContentError,
    Denied,
    InvalidInput,
    NotFound,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers import limits
from ansible_collections.quayside.registry.plugins.module_utils._verbs.validate import validate
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Layer,
    digest_of,
    gzipped,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, is_sentence, login, make_session
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

NAME = f"{REPO}:1"


BASE, APP = tar_of({"etc/a": b"a" * 5000}), tar_of({"app/b": b"b" * 700, "app/c": b""})


def check(registry: FakeRegistry, name: str = NAME, **options: Any) -> dict[str, Any]:
    options = {"path": None, "fast": False, "platforms": [], "limits": None, "fail_on_invalid": False, **options}
    return validate(make_session(login(registry), retries=0), name=f"{registry.host}/{name}", **options)


def check_path(path: Path, **options: Any) -> dict[str, Any]:
    options = {"fast": False, "platforms": [], "limits": None, "fail_on_invalid": False, **options}
    return validate(make_session(), name=None, path=str(path), **options)


def problems(registry: FakeRegistry, name: str = NAME, **options: Any) -> list[str]:
    found = check(registry, name, **options)
    assert found["valid"] == (not found["problems"])
    assert all(is_sentence(text) and text.endswith(".") for text in found["problems"]), found["problems"]
    assert len(set(found["problems"])) == len(found["problems"])
    listed: list[str] = found["problems"]
    return listed


def add(registry: FakeRegistry, tag: str | None = "1", **more: Any) -> str:
    return registry.add_image(REPO, tag, **{"layers": [BASE, APP], **more})


def edit_manifest(registry: FakeRegistry, change: Callable[[dict[str, Any]], object], ref: str = "1") -> dict[str, Any]:
    """Store another manifest under the tag."""
    value = registry.manifest(REPO, ref)
    change(value)
    registry.add_manifest(REPO, value, tag="1")
    return value


def with_config(**changes: Any) -> Callable[[FakeRegistry], None]:
    def make(registry: FakeRegistry) -> None:
        registry.add_image(REPO, "1", layers=[BASE, APP], config=changes)

    return make


def damaged(**changes: Any) -> Callable[[FakeRegistry], None]:
    """Change the manifest's first layer, or what it is in the storage."""

    def make(registry: FakeRegistry) -> None:
        add(registry)
        edit_manifest(registry, lambda value: value["layers"][0].update(changes))

    return make


def stored(kind: str, data: Callable[[bytes], bytes | None]) -> Callable[[FakeRegistry], None]:
    """Change or drop the bytes of the config or a layer under their digest."""

    def make(registry: FakeRegistry) -> None:
        add(registry)
        manifest = registry.manifest(REPO, "1")
        item = manifest["config"] if kind == "config" else manifest["layers"][0]
        blobs = registry.api.repos[REPO].blobs
        new = data(blobs.pop(item["digest"]))
        if new is not None:
            blobs[item["digest"]] = new

    return make


def layered(data: bytes, media_type: str = OCI_LAYER, diff_id: str | None = None) -> Callable[[FakeRegistry], None]:
    """An image with a layer of these bytes."""

    def make(registry: FakeRegistry) -> None:
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" and diff_id is None else data
        add(registry, layers=[Layer(data, media_type, diff_id or digest_of(plain))])

    return make


def second_layer_lies(registry: FakeRegistry) -> None:
    add(registry, config={"rootfs": {"type": "layers", "diff_ids": [digest_of(BASE), digest_of(b"else")]}})


def set_key(key: str, value: Any) -> Callable[[FakeRegistry], None]:
    def make(registry: FakeRegistry) -> None:
        add(registry)
        edit_manifest(registry, lambda manifest: manifest.update({key: value}))

    return make


def layerless(rootfs: dict[str, Any]) -> Callable[[FakeRegistry], None]:
    def make(registry: FakeRegistry) -> None:
        add(registry, layers=[], config={"rootfs": rootfs})

    return make


def config_said_longer(registry: FakeRegistry) -> None:
    add(registry)
    edit_manifest(registry, lambda manifest: manifest["config"].update(size=manifest["config"]["size"] + 1))


def huge_config(registry: FakeRegistry) -> None:
    add(registry)
    edit_manifest(registry, lambda manifest: manifest["config"].update(size=1 << 40))


TWO = {"type": "layers", "diff_ids": [digest_of(BASE), digest_of(APP)]}
DAMAGES: dict[str, tuple[Callable[[FakeRegistry], None], list[str]]] = {
    "layer missing": (stored("layer", lambda data: None), ["does not exist"]),
    "layer replaced": (stored("layer", lambda data: data[:-1] + b"x"), ["should have the digest"]),
    "layer cut": (stored("layer", lambda data: data[:-1]), ["bytes long, but"]),
    "layer longer": (stored("layer", lambda data: data + b"x"), ["bytes long, but more came"]),
    "layer size": (damaged(size=7), ["should be 7 bytes long"]),
    "layer type": (damaged(mediaType="application/vnd.oci.image.layer.v1.tar"), ["its compression is gzip"]),
    "layer type zstd": (damaged(mediaType="application/vnd.oci.image.layer.v1.tar+zstd"), ["its compression is gzip"]),
    "config missing": (stored("config", lambda data: None), ["does not exist"]),
    "config replaced": (stored("config", lambda data: data.replace(b"amd64", b"arm64")), ["should have the digest"]),
    "config longer": (stored("config", lambda data: data + b" "), ["has more than the"]),
    "config said longer": (config_said_longer, ["bytes long, but its descriptor says"]),
    "config size": (huge_config, ["at most"]),
    "no rootfs": (with_config(rootfs=None), ["rootfs.type None", "lists 0 layers"]),
    "rootfs type": (with_config(rootfs={**TWO, "type": "x"}), ["rootfs.type 'x'"]),
    "rootfs list": (with_config(rootfs=[]), ["a field rootfs that", "rootfs.type None", "lists 0 layers"]),
    "one diff ID": (with_config(rootfs={**TWO, "diff_ids": [digest_of(BASE)]}), ["lists 1 layers"]),
    "odd diff ID": (with_config(rootfs={**TWO, "diff_ids": [5, digest_of(APP)]}), ["has the diff ID 5"]),
    "other diff ID": (second_layer_lies, [f"unpacks to {digest_of(APP)}"]),
    "no platform": (with_config(os="", architecture=None), ["names no architecture", "names no os"]),
    "short history": (with_config(history=[{"created_by": "x"}]), ["has 1 entries with layers in its history"]),
    "odd history": (with_config(history={"a": 1}), ["has a field history that is not a list"]),
    "no tar": (layered(gzipped(b"text" * 300)), ["is not a tar archive"]),
    "tar cut": (layered(gzipped(BASE[:3000])), ["is cut off in the middle"]),
    "tar leads out": (layered(gzipped(tar_of({"../../etc/x": b""}))), ["leads out of the root"]),
    "gzip cut": (layered(gzipped(BASE)[:-9], diff_id=digest_of(BASE)), ["ends in the middle of its compressed data"]),
    "gzip damaged": (layered(gzipped(BASE)[:10] + b"\xff" * 40, diff_id=digest_of(BASE)), ["damaged compressed data"]),
    "entrypoint": (with_config(config={"Entrypoint": "/app"}), ["a field config.Entrypoint that is not a list"]),
    "zeros behind gzip": (layered(gzipped(BASE) + bytes(512), diff_id=digest_of(BASE)), ["something behind its"]),
    "layers no list": (set_key("layers", {"a": 1}), ["has layers that are not a list", "2 layers (rootfs.diff_ids)"]),
    "layer no object": (set_key("layers", [5]), ["has a descriptor that is not an object", "2 layers (rootfs"]),
    "schema version": (set_key("schemaVersion", 1), ["schemaVersion 1"]),
    "both kinds": (set_key("manifests", []), ["parts of an image and of an index"]),
    "no layers": (set_key("layers", None), ["has no list of layers", "2 layers (rootfs.diff_ids)"]),
    "no config": (set_key("config", None), ["has no config, which"]),
    "no diff IDs": (layerless({"type": "layers", "diff_ids": None}), ["has no list of diff IDs (rootfs.diff_ids)"]),
    "subject": (set_key("subject", {"digest": "x"}), ["names content 'x'"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_a_sentence(damage: str) -> None:
    make, says = DAMAGES[damage]
    with FakeRegistry() as registry:
        make(registry)
        found = problems(registry)
        for words in says:
            assert [text for text in found if words in text and "sha256:" in text], (words, found)
        if len(found) > len(says):
            # A count that is wrong shows in the history as well.
            assert all("in its history" in text for text in found[len(says) :]), found


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"manifests": None}, "has no list of manifests"),
        ({}, "has no list of manifests"),
        ({"manifests": {}}, "has manifests that are not a list"),
        ({"manifests": ""}, "has manifests that are not a list"),
    ],
)
def test_an_index_has_a_list_though_it_may_be_empty(index: dict[str, Any], says: str) -> None:
    """Some tools write null where they have taken everything out."""
    with FakeRegistry() as registry:
        registry.add_manifest(REPO, {"schemaVersion": 2, "mediaType": OCI_INDEX, **index}, tag="1")
        (problem,) = problems(registry)
        assert says in problem
        registry.add_manifest(REPO, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, tag="1")
        assert problems(registry) == []


def test_an_image_without_layers_is_sound() -> None:
    with FakeRegistry() as registry:
        layerless({"type": "layers", "diff_ids": []})(registry)
        assert problems(registry) == []


def test_all_problems_are_told_at_once() -> None:
    with FakeRegistry() as registry:
        image = {"os": "linux", "rootfs": {"type": "x", "diff_ids": [digest_of(b""), digest_of(APP)]}, "history": [{}]}
        add(registry, config={**image, "architecture": ""})
        edit_manifest(registry, lambda value: value.update(schemaVersion=3))
        found = " ".join(problems(registry))
        for words in ("schemaVersion 3", "names no architecture", "rootfs.type 'x'", "in its history", "unpacks to"):
            assert words in found


def sound_index(registry: FakeRegistry) -> list[Any]:
    images = [add(registry, None, platform=name) for name in ("linux/amd64", "linux/arm64/v8")]
    arm = {**registry.descriptor(REPO, images[1]), "platform": {"os": "linux", "architecture": "arm64"}}
    return [images[0], arm, registry.add_attestation(REPO, images[0])]


def test_a_sound_index_is_read_once() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_index(REPO, "1", sound_index(registry))
        found = check(registry)
        assert found == {
            "valid": True,
            "problems": [],
            "notes": [],
            "digest": digest,
            "reference": f"{registry.host}/{REPO}@{digest}",
            "checked": {"manifests": 4, "configs": 2, "layers": 2, "blobs": 2},
        }
        paths = [request.path for request in registry.requests]
        assert len(paths) == len(set(paths)) == 10


def test_fast_reads_no_layer() -> None:
    with FakeRegistry() as registry:
        add(registry)
        layers = {layer["digest"] for layer in registry.manifest(REPO, "1")["layers"]}
        assert problems(registry, fast=True) == []
        read = {r.path.rpartition("/")[2] for r in registry.requests if r.method == "GET"}
        assert not read & layers
        damaged(size=7)(registry)
        (text,) = problems(registry, fast=True)
        assert "not 7 bytes long" in text
        stored("layer", lambda data: None)(registry)
        assert "is not here" in problems(registry, fast=True)[0]


def index_with(registry: FakeRegistry, **changes: Any) -> None:
    """An index whose first member is described in another way."""
    first, *rest = sound_index(registry)
    registry.add_index(REPO, "1", [{**registry.descriptor(REPO, first), **changes}, *rest])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 5}, "but its descriptor says 5"),
        ({"mediaType": OCI_INDEX}, f"but its descriptor says {OCI_INDEX}"),
        ({"digest": "sha256:" + "a" * 64}, "does not exist"),
        ({"digest": "sha256:a"}, "has 1 characters behind sha256:, and should have 64"),
        ({"platform": {"os": "windows", "architecture": "amd64"}}, "has the os 'linux' in its config"),
        ({"platform": {"os": "linux", "architecture": "arm"}}, "has the architecture 'amd64' in its config"),
        ({"mediaType": "text/plain", "digest": "sha256:" + "b" * 64}, "does not exist"),
    ],
)
def test_members_are_as_the_index_says(changes: Mapping[str, Any], says: str) -> None:
    with FakeRegistry() as registry:
        index_with(registry, **changes)
        found = problems(registry)
        assert len([text for text in found if says in text]) == 1, found


def test_history_may_tell_of_more_than_layers() -> None:
    with FakeRegistry() as registry:
        add(registry, config={"history": [{}, {"empty_layer": True}, {"created_by": "x"}]})
        assert problems(registry) == []
        add(registry, config={"history": None})
        assert problems(registry) == []


def test_variants_are_compared_where_both_say_one() -> None:
    with FakeRegistry() as registry:
        arm = registry.descriptor(REPO, add(registry, None, platform="linux/arm/v7"))
        registry.add_index(REPO, "1", [{**arm, "platform": {"os": "linux", "architecture": "arm"}}])
        assert problems(registry) == []
        registry.add_index(REPO, "1", [{**arm, "platform": {**arm["platform"], "variant": "v6"}}])
        assert "has the variant 'v7' in its config" in problems(registry)[0]


def test_a_member_that_is_named_twice_is_compared_twice() -> None:
    with FakeRegistry() as registry:
        image = registry.descriptor(REPO, add(registry, None))
        registry.add_index(REPO, "1", [image, {**image, "platform": {"os": "linux", "architecture": "arm64"}}])
        assert len(problems(registry)) == 1


def test_artifacts_are_no_images() -> None:
    with FakeRegistry() as registry:
        subject = add(registry, None)
        sbom = registry.add_referrer(REPO, subject, "application/vnd.example.sbom", b"{}")
        registry.api.repos[REPO].manifests.pop(subject)
        assert problems(registry, f"{REPO}@{sbom}") == []
        registry.api.repos[REPO].blobs[digest_of(b"{}")] = b"[]"
        (text,) = problems(registry, f"{REPO}@{sbom}")
        assert "should have the digest" in text


def test_foreign_layers_may_be_absent() -> None:
    with FakeRegistry() as registry:
        foreign = {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest_of(b"far away"),
            "size": 8,
            "urls": ["https://example.com/layer"],
        }
        add(registry, layers=[foreign, APP], media="docker")
        for fast in (False, True):
            found = check(registry, fast=fast)
            assert found["valid"], found
            assert len(found["notes"]) == 1
            assert "may not be distributed" in found["notes"][0]
        registry.add_blob(REPO, b"far away")
        assert "is not a tar archive" in problems(registry)[0]


def test_platforms() -> None:
    with FakeRegistry() as registry:
        amd64, arm, note = sound_index(registry)
        registry.add_index(REPO, "1", [amd64, arm, note])
        registry.api.repos[REPO].manifests.pop(arm["digest"])
        assert len(problems(registry)) == 1
        found = check(registry, platforms=["linux/amd64"])
        assert (found["valid"], found["checked"]["manifests"]) == (True, 3)
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="it has linux/amd64, linux/arm64"):
            check(registry, platforms=["linux/amd64", "linux/s390x"])
        registry.api.repos[REPO].tags["1"] = amd64
        assert check(registry, platforms=["linux"])["valid"]
        with fails(ContentError, "PLATFORM_NOT_FOUND", says="no image for windows"):
            check(registry, platforms=["windows"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schemaVersion": 2, "a": 1, "a": 2}', b"{}", b"\xff"])
def test_a_root_that_is_no_manifest(body: bytes) -> None:
    with FakeRegistry() as registry:
        registry.add_manifest(REPO, body, OCI_MANIFEST, "1")
        found = check(registry)
        if body == b"{}":  # it is one, though of nothing
            assert "schemaVersion None" in found["problems"][0]
        else:
            assert (found["valid"], len(found["problems"]), found["digest"]) == (False, 1, None)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a": 1, "a": 2}', b'{"os": 1e999}', b"\xff", b"null", b'"x"'])
def test_a_config_that_is_none(body: bytes) -> None:
    with FakeRegistry() as registry:
        add(registry)
        new = {"digest": registry.add_blob(REPO, body), "size": len(body)}
        edit_manifest(registry, lambda value: value["config"].update(new))
        (text,) = problems(registry)
        assert new["digest"] in text


def test_nested_indexes() -> None:
    with FakeRegistry() as registry:
        inner = registry.add_index(REPO, None, sound_index(registry))
        registry.add_index(REPO, "1", [inner])
        assert check(registry)["checked"]["manifests"] == 5
        for dummy in range(8):
            inner = registry.add_index(REPO, "1", [inner])
        assert "nests its indexes more than 8 deep" in problems(registry)[0]


def test_a_bit_that_flipped_on_the_way_is_no_problem() -> None:
    with FakeRegistry() as registry:
        add(registry)
        for digest in registry.blobs(REPO):
            registry.fault(path=digest, action="flip")
        options = {"path": None, "fast": False, "platforms": [], "limits": None, "fail_on_invalid": True}
        assert validate(make_session(login(registry)), name=f"{registry.host}/{NAME}", **options)["problems"] == []


def test_what_keeps_us_from_looking_is_an_error() -> None:
    with FakeRegistry() as registry:
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404):
            registry.create_repo(REPO)
            check(registry)
        add(registry)
        registry.fault("GET", "/blobs/", status=500, times=9)
        with fails(RegistryError, "UNKNOWN", registry.host, 500):
            check(registry)
    with fails(ConnectionFailed, "UNREACHABLE"):
        check(registry)
    with FakeRegistry(auth=Auth(users={})) as registry:
        add(registry)
        with fails(Denied, "UNAUTHORIZED", registry.host, 401):
            check(registry)


def test_failing_is_an_option() -> None:
    with FakeRegistry() as registry:
        second_layer_lies(registry)
        said = f"{registry.host}/{NAME} is not valid: The layer "
        with fails(ContentError, "INVALID_IMAGE", registry.host, None, said) as caught:
            check(registry, fail_on_invalid=True)
        assert caught.value.details == check(registry)
        assert len(caught.value.details["problems"]) == 1
        add(registry)
        assert check(registry, fail_on_invalid=True)["valid"]


@pytest.mark.parametrize("jobs", [1, 8])
def test_layers_of_all_compressions(jobs: int) -> None:
    with FakeRegistry() as registry:
        plain = Layer(BASE, "application/vnd.oci.image.layer.v1.tar", digest_of(BASE))
        many = [tar_of({f"f{number}": b"x" * number}) for number in range(20)]
        add(registry, layers=[plain, *many])
        options: dict[str, Any] = {
            "path": None,
            "fast": False,
            "platforms": [],
            "limits": None,
            "fail_on_invalid": True,
        }
        found = validate(make_session(login(registry), jobs=jobs), name=f"{registry.host}/{NAME}", **options)
        assert found["valid"]
        assert found["checked"]["layers"] == 21


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.add_index(REPO, "1", sound_index(registry))
        assert problems(registry) == []
        assert problems(registry, fast=True) == []


# --- files


def layout(folder: Path, registry: FakeRegistry, tag: str = "1") -> Path:
    """Write what the registry has as an OCI layout."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in registry.blobs(REPO).items():
        (blobs / digest[7:]).write_bytes(data)
    for digest, manifest in registry.manifests(REPO).items():
        (blobs / digest[7:]).write_bytes(manifest.body)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    item = {key: registry.descriptor(REPO, tag)[key] for key in ("mediaType", "digest", "size")}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [item]}))
    return folder


def test_layouts_and_archives(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_index(REPO, "1", sound_index(registry))
        folder = layout(tmp_path / "layout", registry)
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, ".")
    for path in (folder, archive):
        found = check_path(path)
        assert (found["valid"], found["digest"], found["reference"]) == (True, digest, None), found
        assert found["checked"] == {"manifests": 4, "configs": 2, "layers": 2, "blobs": 2}
    listing = json.loads((folder / "index.json").read_text())
    listing["manifests"][0]["size"] += 1
    (folder / "index.json").write_text(json.dumps(listing))
    assert len(check_path(folder)["problems"]) == 1
    listing["manifests"][0]["size"] -= 1
    (folder / "index.json").write_text(json.dumps(listing))
    victim = folder / "blobs" / "sha256" / digest_of(gzipped(APP))[7:]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    (text,) = check_path(folder)["problems"]
    assert "should have the digest" in text
    assert check_path(folder, fast=True)["valid"]
    victim.unlink()
    for fast in (False, True):
        assert len(check_path(folder, fast=fast)["problems"]) == 1
    (folder / "index.json").write_text("{")
    assert "index.json" in check_path(folder)["problems"][0]


def test_a_layout_that_names_another_platform(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        add(registry)
        folder = layout(tmp_path / "layout", registry)
    listing = json.loads((folder / "index.json").read_text())
    assert check_path(folder)["valid"]
    listing["manifests"][0]["platform"] = {"os": "linux", "architecture": "arm64"}
    (folder / "index.json").write_text(json.dumps(listing))
    (text,) = check_path(folder)["problems"]
    assert "has the architecture 'amd64' in its config" in text


def test_docker_archives(tmp_path: Path) -> None:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(BASE)]}}
    raw = json.dumps(config).encode()
    listing = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]).encode()
    good, bad = tmp_path / "good.tar", tmp_path / "bad.tar"
    save_tar(good, {"manifest.json": listing, "c.json": raw, "l.tar": BASE})
    save_tar(bad, {"manifest.json": listing, "c.json": raw, "l.tar": APP})
    assert check_path(good)["valid"]
    (text,) = check_path(bad)["problems"]
    assert f"unpacks to {digest_of(APP)}" in text


@pytest.mark.parametrize("content", [b"", b"text" * 300, gzipped(b"x"), tar_of({"x": b"y"})])
def test_files_that_hold_no_image(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    found = check_path(tmp_path / "file")
    assert (found["valid"], len(found["problems"]), found["digest"]) == (False, 1, None)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with fails(InvalidInput, "FILE_ERROR", says="does not exist"):
        check_path(tmp_path / "none")


def test_limits_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", [tar_of({"zeros": bytes(4 << 20)})])
        assert check(registry)["valid"]
        for name, most in (("max_ratio", 10), ("max_bytes", 1000), ("max_entries", 1)):
            found = check(registry, limits={name: most})
            assert found["valid"] == (name == "max_entries"), found
        (problem,) = check(registry, limits={"max_ratio": 10})["problems"]
        assert "expands to more than 10 times its size (max_ratio); raise that limit" in problem
        with fails(InvalidInput, "INVALID_OPTION", says="limits.max_ratio must be at least 1"):
            check(registry, limits={"max_ratio": 0})


def test_encrypted_layers_are_only_checked_for_their_bytes() -> None:
    with FakeRegistry() as registry:
        add(registry)
        manifest = registry.manifest(REPO, "1")
        secret = b"\x01ciphertext" * 50
        layer = {"mediaType": f"{OCI_LAYER}+encrypted", "digest": registry.add_blob(REPO, secret), "size": len(secret)}
        manifest["layers"][1] = layer
        registry.add_manifest(REPO, manifest, tag="1")
        found = check(registry)
        assert (found["valid"], found["problems"]) == (True, [])
        assert [note for note in found["notes"] if layer["digest"] in note and "is encrypted" in note]
        manifest["layers"][1] = {**layer, "size": len(secret) - 1}
        registry.add_manifest(REPO, manifest, tag="1")
        assert not check(registry)["valid"]


def test_zstd_in_the_format_of_docker_is_a_problem() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=[BASE], media="docker")
        manifest = registry.manifest(REPO, "1")
        manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.zstd"
        registry.add_manifest(REPO, manifest, tag="1")
        assert any("in zstd, which the format of Docker does not have" in text for text in problems(registry))
