# SPDX-License-Identifier: GPL-3.0-or-later
"""Exporting: one tar, the same for the same files, written whole and only when it has to be."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.export import plan_export
from ansible_collections.quayside.registry.plugins.module_utils._verbs.flatten import plan_flatten
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_LAYER, Layer, digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, apply, fails, login, make_session, run_module
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

BASE, TOP = tar_of({"a": "one", "b": "two"}), tar_of({".wh.a": "", "c": "three"})


def plan(registry: FakeRegistry, path: Path, name: str = ":1", **options: Any) -> tuple[Session, Plan]:
    session = make_session(login(registry))
    arguments = {"platform": None, "limits": None, "force": False, **options}
    return session, plan_export(session, name=f"{registry.host}/{REPO}{name}", path=str(path), **arguments)


def run(registry: FakeRegistry, path: Path, *args: Any, **options: Any) -> Plan:
    session, planned = plan(registry, path, *args, **options)
    apply(session, planned)
    return planned


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def layer_gets(registry: FakeRegistry) -> int:
    """How many blobs were downloaded, but for the one config."""
    return registry.count("GET", "/blobs/") - 1


@pytest.fixture
def registry() -> Any:
    with FakeRegistry() as found:
        found.add_image(REPO, "1", [BASE, TOP])
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "root.tar"


def has_notes(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.test", b"x")
    except (OSError, AttributeError):
        return False
    return True


def test_the_files_of_an_image(registry: FakeRegistry, path: Path) -> None:
    planned, digest = run(registry, path), registry.tags(REPO)["1"]
    data = path.read_bytes()
    assert names(path) == ["b", "c"]
    assert planned.result == {
        "reference": f"{registry.host}/{REPO}@{digest}",
        "digest": digest,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "path": str(path),
        "size": len(data),
        "checksum": digest_of(data),
    }
    assert os.listdir(path.parent) == [path.name]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask


def test_planning_writes_nothing(registry: FakeRegistry, path: Path) -> None:
    assert plan(registry, path)[1].changed
    assert os.listdir(path.parent) == []
    path.write_bytes(b"old")
    assert plan(registry, path)[1].changed
    assert path.read_bytes() == b"old"


def test_the_second_time_nothing_is_downloaded(registry: FakeRegistry, path: Path) -> None:
    if not has_notes(path.parent):
        pytest.skip("the file system has no user attributes")
    first = run(registry, path)
    registry.reset_log()
    again = run(registry, path)
    assert not again.changed
    assert again.result == first.result
    assert layer_gets(registry) == 0
    # The note is about layers, so another config with the same layers is no reason.
    registry.add_image(REPO, "1", [BASE, TOP], config={"config": {"User": "x"}})
    registry.reset_log()
    assert not run(registry, path).changed
    assert layer_gets(registry) == 0


def test_without_a_note_it_is_made_again_and_compared(registry: FakeRegistry, path: Path) -> None:
    run(registry, path)
    data, inode = path.read_bytes(), path.stat().st_ino
    path.write_bytes(data)
    if has_notes(path.parent):
        os.removexattr(path, "user.quayside.export")
    registry.reset_log()
    assert not run(registry, path).changed
    assert layer_gets(registry) == 2
    assert path.stat().st_ino == inode


def test_force_does_not_trust_the_note(registry: FakeRegistry, path: Path) -> None:
    run(registry, path)
    registry.reset_log()
    assert not run(registry, path, force=True).changed
    assert layer_gets(registry) == 2


def test_an_edited_file_is_replaced(registry: FakeRegistry, path: Path) -> None:
    run(registry, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"three", b"THREE"))
    path.chmod(0o600)
    planned = run(registry, path)
    assert planned.changed
    assert planned.before["size"] == planned.after["size"]
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_image_replaces_it(registry: FakeRegistry, path: Path) -> None:
    run(registry, path)
    registry.add_image(REPO, "1", [BASE])
    assert run(registry, path).changed
    assert names(path) == ["a", "b"]


def test_the_same_files_give_the_same_bytes_as_flattening(registry: FakeRegistry, path: Path) -> None:
    run(registry, path)
    session = make_session(login(registry))
    flat: dict[str, Any] = {"platforms": [], "compression": "gzip", "compression_level": None, "limits": None}
    name = f"{registry.host}/{REPO}"
    apply(session, plan_flatten(session, name=f"{name}:1", dest=f"{name}:flat", on_existing="replace", **flat))
    path.write_bytes(path.read_bytes())
    if has_notes(path.parent):
        os.removexattr(path, "user.quayside.export")
    registry.reset_log()
    assert not run(registry, path, ":flat").changed
    assert layer_gets(registry) == 0
    other = path.with_name("other.tar")
    assert run(registry, other, ":flat").changed
    assert other.read_bytes() == path.read_bytes()


def test_platforms(registry: FakeRegistry, path: Path) -> None:
    images = [
        registry.add_image(REPO, layers=[tar_of({"arch": name})], platform=name)
        for name in ("linux/arm64", "linux/amd64", "linux/s390x")
    ]
    registry.add_index(REPO, "index", images)
    assert run(registry, path, ":index").result["digest"] == images[1]
    assert run(registry, path, ":index", platform="linux/arm64").result["digest"] == images[0]
    registry.add_index(REPO, "one", [images[2], registry.add_attestation(REPO, images[2])])
    assert run(registry, path, ":one").result["digest"] == images[2]
    registry.add_index(REPO, "two", [images[0], images[2]])
    with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "no image for linux/amd64"):
        run(registry, path, ":two")


def test_what_is_no_image_is_refused(registry: FakeRegistry, path: Path) -> None:
    registry.add_image(REPO, "artifact", [Layer(b"x", "application/vnd.example", digest_of(b"x"))])
    says = "has a layer of the type application/vnd.example; oci_artifact_pull saves"
    with fails(ContentError, "NOT_AN_IMAGE", registry.host, None, says):
        run(registry, path, ":artifact")
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, ":absent does not exist"):
        run(registry, path, ":absent")
    registry.add_image(REPO, "bad", [BASE, Layer(gzipped(TOP), OCI_LAYER, digest_of(b"other"))])
    path.write_bytes(b"old")
    with fails(ContentError, "DIGEST_MISMATCH", registry.host):
        run(registry, path, ":bad")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_where_no_file_can_be(registry: FakeRegistry, path: Path) -> None:
    with fails(InvalidInput, "FILE_ERROR", says="is a folder"):
        plan(registry, path.parent)
    with fails(InvalidInput, "FILE_ERROR", says="does not exist"):
        plan(registry, path / "x" / "y")
    assert registry.requests == []


def test_a_link_is_followed(registry: FakeRegistry, path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    run(registry, link)
    assert link.is_symlink()
    assert names(path) == ["b", "c"]


def test_a_link_is_followed_for_mode_and_owner_too(registry: FakeRegistry, path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    options = {"name": f"{registry.host}/{REPO}:1", "path": str(link), "mode": "0640", "owner": str(os.getuid())}
    assert run_module("oci_export", options)["changed"]
    assert not run_module("oci_export", options)["changed"]
    path.chmod(0o600)
    found = run_module("oci_export", options)
    assert found["actions"] == [f"Set the mode to 0640 (was 0600) of {link}."]
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "77777"}, "No file can have the mode 77777."),
        ({"mode": -1}, "No file can have the mode -1."),
        ({"owner": "99999999999"}, "No file can have the owner 99999999999."),
        ({"group": "-5"}, "No file can have the group -5."),
        ({"attributes": "=i"}, "The attributes '=i' are none; give letters of chattr(1), perhaps after + or -."),
        ({"attributes": "q"}, "The attributes 'q' are none; give letters of chattr(1), perhaps after + or -."),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_no_file_can_have(
    options: dict[str, object], says: str, check: bool, registry: FakeRegistry, path: Path
) -> None:
    found = run_module("oci_export", {"name": f"{registry.host}/{REPO}:1", "path": str(path), **options}, check=check)
    assert (found["msg"], found["error_code"]) == (says, "INVALID_OPTION")
    assert list(path.parent.iterdir()) == []


def test_an_immutable_file_gets_its_name_first(
    registry: FakeRegistry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set before that, the flag would keep the temporary file there for ever. Needs no file system that has it."""
    seen, flags = [], {"attr_flags": "e"}

    def run_command(self: object, command: list[str], **dummy: object) -> tuple[int, str, str]:
        seen.append((command[1], os.fsdecode(command[2]), os.path.exists(command[2])))
        flags["attr_flags"] = "ie"
        return 0, "", ""

    monkeypatch.setattr(basic.AnsibleModule, "get_file_attributes", lambda *dummy, **options: flags)
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda self, name, **options: name)
    monkeypatch.setattr(basic.AnsibleModule, "run_command", run_command)
    options = {"name": f"{registry.host}/{REPO}:1", "path": str(path), "attributes": "+i"}
    foreseen, found = (run_module("oci_export", options, check=check, diff=True) for check in (True, False))
    assert foreseen["actions"] == found["actions"]
    assert foreseen["diff"] == found["diff"]
    assert found["actions"][1:] == [f"Set the attributes to +i of {path}."]
    assert seen == [("+i", str(path), True)]
    assert not run_module("oci_export", options)["changed"]
    assert run_module("oci_export", {**options, "attributes": "-i"})["changed"]


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_a_path_that_cannot_be_is_refused_before_anything_is_fetched(
    name: str, registry: FakeRegistry, path: Path
) -> None:
    place = path.with_name(name)
    if name == "loop":
        place.symlink_to(place)
    registry.requests.clear()
    found = run_module("oci_export", {"name": f"{registry.host}/{REPO}:1", "path": str(place)}, check=True)
    assert found["error_code"] == "FILE_ERROR"
    assert found["msg"].startswith(f"{place}: ")
    assert registry.requests == []


def test_mode_and_owner(registry: FakeRegistry, path: Path) -> None:
    """They are the module's business: another mode is a change, also where the content is right."""
    options = {"name": f"{registry.host}/{REPO}:1", "path": str(path)}
    assert run_module("oci_export", {**options, "mode": "0600"})["changed"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert not run_module("oci_export", {**options, "mode": "0600"})["changed"]
    assert run_module("oci_export", {**options, "mode": "u=rw,g=r"}, check=True)["changed"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert run_module("oci_export", {**options, "mode": "u=rw,g=r"})["changed"]
    assert path.stat().st_mode & 0o777 == 0o640
