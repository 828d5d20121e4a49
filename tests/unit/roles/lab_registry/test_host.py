# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused after a look at the host, what is purged, and what a collection takes for used."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from lab_registry import instance
from lab_registry.collector import ELIGIBLE, Store
from lab_registry.engines import Program
from lab_registry.host import Account, Host, is_elsewhere, keep, listeners, locked, overlap, processes, unreachable
from lab_registry.instance import Instance, check_folder, check_host, complaint, purge
from lab_registry.settings import Refused

Make = Callable[..., Any]
ME = Account("me", os.getuid(), os.getgid())
PROGRAM = Program("package", "/usr/bin/docker-registry", "root", "2.8.2")


def marked(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".lab-registry").write_text(json.dumps({"instance": name}), encoding="utf-8")
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the registry, which everybody can reach."""
    monkeypatch.setattr(instance, "unreachable", lambda path, who: "")
    return tmp_path / "data"


def test_folders_that_may_be_taken(settings: Make, data: Path) -> None:
    check_folder(settings(data=str(data)), ME)  # not there yet
    (data / "docker" / "registry" / "v2").mkdir(parents=True)
    check_folder(settings(data=str(data)), ME)  # of another registry of distribution's
    marked(data, "lab")
    (data / "scheduler-state.json").touch()
    check_folder(settings(data=str(data)), ME)
    marked(data, "no-longer-there")
    check_folder(settings(data=str(data)), ME)


def test_a_folder_with_something_else(settings: Make, data: Path) -> None:
    data.mkdir()
    (data / "docker" / "overlay2").mkdir(parents=True)
    with pytest.raises(Refused, match=r"holds something else \(docker\)"):
        check_folder(settings(data=str(data)), ME)
    (data / "mine.txt").touch()
    with pytest.raises(Refused, match=r"holds something else \(mine.txt, docker\)"):
        check_folder(settings(data=str(data)), ME)
    with pytest.raises(Refused, match="is not a folder"):
        check_folder(settings(data=str(data / "mine.txt")), ME)


def test_the_folder_of_another_instance(settings: Make, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked(data, "other")
    monkeypatch.setattr(instance.os.path, "exists", lambda path: path == "/etc/lab-registry-other/record.json")
    with pytest.raises(Refused, match="belongs to the registry other"):
        check_folder(settings(data=str(data)), ME)


def test_a_folder_in_that_of_another_instance(settings: Make, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within = settings(data=str(marked(data, "other") / "docker" / "x"))
    check_folder(within, ME)  # that instance is gone
    monkeypatch.setattr(instance.os.path, "exists", lambda path: path == "/etc/lab-registry-other/record.json")
    with pytest.raises(Refused, match=f"is in {data}, the folder of the registry other"):
        check_folder(within, ME)


def test_a_folder_that_the_registry_cannot_reach(settings: Make, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stranger = Account("stranger", 54321, 54321)
    assert unreachable(str(closed / "data"), stranger) in (str(closed), *map(str, closed.parents))
    with pytest.raises(Refused, match="The user stranger cannot reach lab_registry_data"):
        check_folder(settings(data=str(closed / "data")), stranger)
    assert unreachable("/var/lib/x", stranger) == ""


def test_an_address_of_another_host(settings: Make) -> None:
    with pytest.raises(Refused, match=r"lab_registry_bind 192.0.2.7 is not an address of this host"):
        check_host(Instance(settings(bind="192.0.2.7"), Host(True)), PROGRAM)


@pytest.mark.parametrize(
    ("variable", "given"),
    [
        ("lab_registry_port", {}),
        ("lab_registry_port", {"bind": "0.0.0.0"}),
        ("lab_registry_metrics_port", {"metrics": True}),
    ],
)
def test_a_port_that_another_program_has(settings: Make, data: Path, variable: str, given: dict[str, Any]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        ports = {"port": taken} if variable == "lab_registry_port" else {"port": 5999, "metrics_port": taken}
        made = Instance(settings(data=str(data), **ports, **given), Host(True))
        with pytest.raises(Refused, match=rf"process {os.getpid()}\) listens there.*set {variable} to a free port"):
            check_host(made, PROGRAM)
        assert [(other.address, other.pid) for other in listeners(taken)] == [("127.0.0.1", os.getpid())]
    assert listeners(taken) == []


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_addresses_that_exclude_each_other(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) is both and overlap(other, one) is both


def test_a_process_is_known_by_its_arguments(tmp_path: Path) -> None:
    words = ["-c", "import time; time.sleep(60)", str(tmp_path)]
    with subprocess.Popen([sys.executable, *words]) as process:
        try:
            end = time.monotonic() + 30
            while processes(*words) != [process.pid]:
                assert time.monotonic() < end
            assert not is_elsewhere(process.pid)
        finally:
            process.kill()
    assert processes(*words) == []
    assert is_elsewhere(process.pid)


def test_a_process_in_a_chroot_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.path.samefile
    monkeypatch.setattr(os.path, "samefile", lambda one, other: genuine(one.replace("/root", "/cwd"), other))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path) as process:
        try:
            assert is_elsewhere(process.pid)
        finally:
            process.kill()


def test_purge_takes_only_what_the_registry_wrote(settings: Make, data: Path) -> None:
    marked(data, "lab")
    (data / "docker" / "registry" / "v2").mkdir(parents=True)
    (data / "mine.txt").touch()
    purge(Host(True), settings(), str(data))
    assert (data / "docker").exists()
    purge(Host(False), settings(), str(data))
    assert os.listdir(data) == ["mine.txt"]
    (data / "mine.txt").unlink()
    marked(data, "lab")
    purge(Host(False), settings(), str(data))
    assert not data.exists()


def test_purge_takes_nothing_that_is_not_marked(settings: Make, data: Path) -> None:
    (data / "docker" / "registry").mkdir(parents=True)
    purge(Host(False), settings(), str(data))
    purge(Host(False), settings(name="other"), str(marked(data, "lab")))
    assert (data / "docker" / "registry").exists()


@pytest.mark.parametrize("link", ["docker", "docker/registry"])
def test_purge_takes_a_link_and_not_what_it_leads_to(settings: Make, data: Path, tmp_path: Path, link: str) -> None:
    marked(data, "lab")
    (data / link).parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere" / "registry").mkdir(parents=True)
    (data / link).symlink_to(tmp_path / "elsewhere")
    purge(Host(False), settings(), str(data))
    assert not data.exists() and (tmp_path / "elsewhere" / "registry").exists()


def test_a_file_is_put_back_as_it_was(tmp_path: Path) -> None:
    one, none = tmp_path / "tls" / "one", tmp_path / "none"
    one.parent.mkdir()
    one.write_text("before", encoding="utf-8")
    one.chmod(0o640)
    kept = [keep(str(one)), keep(str(none))]
    one.unlink()
    one.parent.rmdir()
    none.write_text("new", encoding="utf-8")
    for file in kept:
        file.put_back()
    assert one.read_text(encoding="utf-8") == "before" and one.stat().st_mode & 0o777 == 0o640
    assert not none.exists()


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", "none"),
        (
            'time="t" level=info msg="x"\nopen /none: no such file\nUsage:\n  registry serve\n',
            "open /none: no such file",
        ),
        ('time="t" level=info msg="x"\ntime="t" level=fatal msg="open \\"y\\"" a="b"\n', 'open \\"y\\"'),
        ('time="t" level=info msg="x"\n', 'time="t" level=info msg="x"'),
        (
            "panic: no region parameter\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:1 +0x2\n",
            "panic: no region parameter",
        ),
    ],
)
def test_why_a_registry_ended(log: str, told: str) -> None:
    assert complaint(log) == told


def test_one_at_a_time_and_no_file_left(tmp_path: Path) -> None:
    path, inside, most = str(tmp_path / "lock"), [], []

    def work() -> None:
        with locked(path):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for dummy in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert os.listdir(tmp_path) == []


def test_files_are_replaced_in_one_step_and_checked_only_in_check_mode(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b")
    check = Host(True)
    assert check.write(path, b"x", 0o600, ME.uid, ME.gid) and check.actions == [f"{path} would be written."]
    assert not os.path.exists(path)
    host = Host(False)
    assert host.write(path, b"x", 0o600, ME.uid, ME.gid)
    assert not host.write(path, b"x", 0o640, ME.uid, ME.gid)
    assert host.actions == [f"{path} was written.", f"{path} was given its mode and owner."]
    assert os.listdir(tmp_path / "a") == ["b"] and os.stat(path).st_mode & 0o777 == 0o640


# ------------------------------------------------------------------------------------------------------------ a store


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


class Builder:
    """Lays out a store as distribution does."""

    def __init__(self, root: Path) -> None:
        self.root = root / "docker/registry/v2"
        self.store = Store(str(root))

    def blob(self, name: str, content: Any = "x") -> str:
        path = Path(self.store.blob(name))
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        return name

    def manifest(self, repository: str, name: str, content: Any, *tags: str) -> None:
        self.blob(name, content)
        top = self.root / "repositories" / repository / "_manifests"
        for path in (top / f"revisions/sha256/{name[7:]}", *(top / f"tags/{tag}/current" for tag in tags)):
            path.mkdir(parents=True)
            (path / "link").write_text(name, encoding="utf-8")


@pytest.fixture
def built(tmp_path: Path) -> Builder:
    """An index of one member, which has no tag, and an image of which a layer is missing."""
    builder = Builder(tmp_path)
    builder.blob(digest("1"))
    builder.blob(digest("2"))
    image = {
        "config": {"digest": digest("1")},
        "layers": [{"digest": digest("2")}, {"digest": digest("9"), "urls": ["u"]}],
    }
    builder.manifest("team/app", digest("a"), image)
    builder.manifest("team/app", digest("b"), {"manifests": [{"digest": digest("a")}]}, "1", "latest")
    builder.manifest("team", digest("c"), {"config": {"digest": digest("1")}, "layers": [{"digest": digest("3")}]}, "x")
    return builder


def test_what_an_index_needs_is_in_use(built: Builder) -> None:
    assert sorted(built.store.in_use()) == [digest(letter) for letter in "123abc"]
    assert [name for name, dummy in built.store.repositories()] == ["team", "team/app"]


def test_whole_images(built: Builder) -> None:
    assert built.store.whole_images() == {"team/app:1": digest("b"), "team/app:latest": digest("b")}
    os.unlink(built.store.blob(digest("2")))
    assert built.store.whole_images() == {}


def test_a_store_where_nothing_was_pushed(tmp_path: Path) -> None:
    assert Store(str(tmp_path)).whole_images() == {} and Store(str(tmp_path)).in_use() == set()


def test_both_ways_in_which_the_collector_says_it() -> None:
    said = f"""
0 blobs marked, 2 blobs and 1 manifests eligible for deletion
manifest eligible for deletion: {digest("d")}
blob eligible for deletion: {digest("e")}
manifest eligible for deletion: team/app@{digest("f")}
"""
    assert ELIGIBLE.findall(said) == [digest(letter) for letter in "def"]
