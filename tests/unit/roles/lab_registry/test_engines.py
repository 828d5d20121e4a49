# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the program comes from, and the command lines and units that start it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from lab_registry import engines, services
from lab_registry.engines import Program
from lab_registry.host import Account, Host
from lab_registry.settings import Refused

Make = Callable[..., Any]
STAND_IN = Path(__file__).resolve().parents[3] / "integration/targets/role_lab_registry_engines/files/stand_in.py"
WHO = Account("lab-registry", 990, 980)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in for podman and docker, the only ones to be found."""
    folder = tmp_path / "bin"
    subprocess.run([sys.executable, str(STAND_IN), "install", str(folder), "podman", "docker"], check=True)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("lab_registry.host.SEARCH", "/bin:/usr/bin")
    genuine = engines.find
    monkeypatch.setattr(engines, "find", lambda name: str(folder / name) if (folder / name).exists() else genuine(name))
    return folder


def calls(folder: Path) -> list[list[str]]:
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "operating_system", lambda: ("arch", ""))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is there, and tells its version."""
    monkeypatch.setattr(engines, "operating_system", lambda: ("debian", "debian"))
    monkeypatch.setitem(engines.PACKAGES, "debian", ("docker-registry", "/bin/true", "docker-registry"))
    monkeypatch.setattr(engines, "version_of", lambda path: "2.8.2")


def test_auto_takes_the_package(settings: Make, fake: Path, package: None) -> None:
    found = engines.choose(settings(), {}, check=False)
    assert (found.engine, found.version, found.package) == ("package", "2.8.2", "")
    assert found.why == "lab_registry_engine=auto takes package: docker-registry of debian."
    assert calls(fake) == []


def test_auto_passes_over_a_package_that_cannot_do_what_is_asked(settings: Make, fake: Path, package: None) -> None:
    found = engines.choose(settings(proxy={"remote_url": "https://h", "ttl": "24h"}), {}, check=False)
    assert (found.engine, found.version, found.runtime) == ("container", "3.1.1", "podman")
    assert "auto takes container: podman runs docker.io/library/registry:" in found.why
    assert "ttl needs distribution 3" in found.why


def test_auto_keeps_what_the_instance_has(settings: Make, fake: Path, package: None) -> None:
    found = engines.choose(settings(), {"engine": "container"}, check=False)
    assert found.engine == "container"
    assert found.why == "lab_registry_engine=auto keeps container, which the instance has."


def test_auto_keeps_no_engine_in_spite_of_a_binary(settings: Make, fake: Path, package: None) -> None:
    made = settings(binary_url="/x/registry")
    for engine in ("package", "container"):
        with pytest.raises(Refused, match=f"auto keeps {engine}, which .* set lab_registry_engine to binary"):
            engines.choose(made, {"engine": engine}, check=False)
    assert engines.choose(made, {"engine": "binary"}, check=True).engine == "binary"


def test_a_package_that_is_not_there_yet(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "operating_system", lambda: ("fedora", "redhat"))
    monkeypatch.setitem(engines.PACKAGES, "redhat", ("docker-distribution", "/nonexistent/registry", "lab-registry"))
    found = engines.choose(settings(engine="package"), {}, check=False)
    assert (found.package, found.version) == ("docker-distribution", "2.8")


def test_a_package_is_not_installed_for_what_it_lacks(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "operating_system", lambda: ("debian", "debian"))
    monkeypatch.setitem(engines.PACKAGES, "debian", ("docker-registry", "/nonexistent/registry", "docker-registry"))
    with pytest.raises(Refused, match="The package docker-registry was built without the storage gcs"):
        engines.choose(settings(engine="package", storage={"gcs": {}}), {}, check=False)
    assert engines.choose(settings(engine="package", storage={"swift": {}}), {}, check=False).package


def test_an_engine_that_answers_and_cannot_start_a_container_does_not_work(
    settings: Make, fake: Path, no_package: None
) -> None:
    (fake / "podman.broken").touch()
    found = engines.choose(settings(), {}, check=False)
    assert found.runtime == "docker"
    assert ["podman", "rmi", settings().container_image] in calls(fake)  # what was fetched to try it
    (fake / "docker.down").touch()
    with pytest.raises(Refused) as caught:
        engines.choose(settings(), {}, check=False)
    said = str(caught.value)
    assert said.startswith(
        "No engine for lab_registry_engine=auto on this host. package: No package of a registry is known"
    )
    assert "podman answers, and cannot start a container (Error: crun: cannot set up the namespace" in said
    assert "docker does not answer (Cannot connect to the daemon. Is it running?)" in said


def test_check_mode_fetches_no_image(settings: Make, fake: Path) -> None:
    found = engines.choose(settings(engine="container"), {}, check=True)
    assert (found.engine, found.version) == ("container", "")
    assert [call for call in calls(fake) if call[1] in ("pull", "run")] == []


def test_an_image_that_works_already_is_not_tried_again(settings: Make, fake: Path) -> None:
    made = settings(engine="container")
    record = {"image": made.container_image, "runtime": "docker", "version": "3.1.1"}
    found = engines.choose(made, record, check=False)
    assert (found.runtime, found.version, calls(fake)) == ("docker", "3.1.1", [])


def test_no_container_engine_at_all(settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find", lambda name: "")
    with pytest.raises(Refused, match="podman is not there; docker is not there"):
        engines.choose(settings(engine="container"), {}, check=False)


def test_the_command_line_of_a_container(settings: Make) -> None:
    program = Program("container", "/usr/bin/podman", "lab-registry", "3.1.1", "registry:3")
    made = services.Container(settings(data="/srv/r", environment={"T": "hush"}), program, WHO)
    assert made.arguments("f1") == [
        "--name=lab-registry-lab",
        "--label=lab-registry.fingerprint=f1",
        "--network=host",
        "--user=990:980",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--security-opt=label=disable",
        "--env-file=/etc/lab-registry-lab/environment",
        "--volume=/etc/lab-registry-lab:/etc/lab-registry-lab:ro",
        "--volume=/srv/r:/srv/r",
        "registry:3",
        "serve",
        "/etc/lab-registry-lab/config.yml",
    ]
    assert made.environment_file() == b"OTEL_TRACES_EXPORTER=none\nT=hush\n"


def test_a_shared_store_needs_no_folder(settings: Make) -> None:
    made = settings(storage={"s3": {"bucket": "b"}})
    program = Program("container", "/usr/bin/docker", "lab-registry", "3.1.1", "registry:3")
    assert not [word for word in services.Container(made, program, WHO).arguments("f") if made.data in word]
    assert "ReadWritePaths" not in services.Systemd(made, program, WHO).text("f")
    assert made.data not in services.PodmanUnit(made, program, WHO).quadlet("f")


def test_the_unit_of_a_program(settings: Make) -> None:
    program = Program("package", "/usr/bin/docker-registry", "docker-registry", "2.8.2")
    made = services.Systemd(settings(environment={"A": 'x"y\\z'}), program, Account("docker-registry", 100, 101))
    lines = made.text("f1").splitlines()
    for line in (
        "User=docker-registry",
        "ExecStart=/usr/bin/docker-registry serve /etc/lab-registry-lab/config.yml",
        "EnvironmentFile=/etc/lab-registry-lab/environment",
        "Environment=LAB_REGISTRY_FINGERPRINT=f1",
        "ReadWritePaths=/var/lib/lab-registry-lab",
        "WantedBy=multi-user.target",
    ):
        assert line in lines
    assert "AmbientCapabilities" not in made.text("f1") and "append:" not in made.text("f1")
    assert made.environment_file() == b'OTEL_TRACES_EXPORTER="none"\nA="x\\"y\\\\z"\n'


def test_a_low_port_and_a_log_with_secrets(settings: Make) -> None:
    program = Program("package", "/usr/bin/docker-registry", "docker-registry", "2.8.2")
    text = services.Systemd(settings(port=443), program, WHO, private_log=True).text("f")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text
    assert "StandardOutput=append:/var/log/lab-registry-lab.log" in text


def test_the_quadlet(settings: Make) -> None:
    program = Program("container", "/usr/bin/podman", "lab-registry", "3.1.1", "registry:3@sha256:1")
    made = services.PodmanUnit(settings(), program, WHO)
    text = made.quadlet("f1")
    assert text.index("[Unit]") < text.index("[Container]") < text.index("[Service]") < text.index("[Install]")
    for line in (
        "Image=registry:3@sha256:1",
        "Exec=serve /etc/lab-registry-lab/config.yml",
        "Label=lab-registry.fingerprint=f1",
        "Network=host",
        "User=990",
        "Group=980",
        "ReadOnly=true",
        "Volume=/var/lib/lab-registry-lab:/var/lib/lab-registry-lab",
        "EnvironmentFile=/etc/lab-registry-lab/environment",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("quadlet", "path"),
    [
        (True, "/etc/containers/systemd/lab-registry-lab.container"),
        (False, "/etc/systemd/system/lab-registry-lab.service"),
    ],
)
def test_podman_before_quadlets(settings: Make, monkeypatch: pytest.MonkeyPatch, quadlet: bool, path: str) -> None:
    monkeypatch.setattr(services.PodmanUnit, "has_quadlet", quadlet)
    program = Program("container", "/usr/bin/podman", "lab-registry", "3.1.1", "registry:3")
    files = services.PodmanUnit(settings(), program, WHO).files("f1")
    assert list(files) == [path]
    start = "ExecStart=/usr/bin/podman run --rm --replace --detach --sdnotify=conmon"
    assert (start.encode() in files[path]) is not quadlet


@pytest.mark.parametrize(
    ("systemd", "engine", "runtime", "kind"),
    [
        (True, "package", "", "systemd"),
        (True, "binary", "", "systemd"),
        (True, "container", "podman", "podman_unit"),
        (True, "container", "docker", "container"),
        (False, "package", "", "plain"),
        (False, "container", "podman", "container"),
    ],
)
def test_who_runs_it(
    settings: Make, monkeypatch: pytest.MonkeyPatch, systemd: bool, engine: str, runtime: str, kind: str
) -> None:
    monkeypatch.setattr(services, "booted_systemd", lambda: systemd)
    program = Program(engine, f"/usr/bin/{runtime or 'registry'}", "lab-registry")
    assert services.service_for(settings(), program, WHO, False).kind == kind
    monkeypatch.setattr(services, "unprivileged_port", lambda: 1024)
    if kind == "systemd":
        services.service_for(settings(port=443), program, WHO, False)
    else:
        with pytest.raises(Refused, match="ports below 1024 of this host are for root"):
            services.service_for(settings(port=443), program, WHO, False)


# -------------------------------------------------------------------------------------------------------- the binary

SCRIPT = b"#!/bin/sh\necho registry github.com/distribution/distribution/v3 3.0.0\n"


def archive(path: Path, name: str = "bin/registry") -> str:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(SCRIPT), 0o755
        tar.addfile(info, io.BytesIO(SCRIPT))
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the program goes; its temporary folder is on the same file system."""
    genuine = engines.tempfile.TemporaryDirectory
    monkeypatch.setattr(
        engines.tempfile, "TemporaryDirectory", lambda prefix, dir: genuine(prefix=prefix, dir=tmp_path)
    )
    return tmp_path / "lib" / "registry"


def test_an_archive_with_its_checksum(settings: Make, tmp_path: Path, installed: Path) -> None:
    checksum = archive(tmp_path / "a.tar.gz")
    made = settings(engine="binary", binary_url=f"file://{tmp_path}/a.tar.gz", binary_checksum=checksum)
    host = Host(False)
    version, known = engines.install_binary(made, host, str(installed))
    assert version == "3.0.0" and installed.read_bytes() == SCRIPT and os.access(installed, os.X_OK)
    assert host.actions == [f"The registry of file://{tmp_path}/a.tar.gz was installed."]
    assert engines.is_current(made, {"binary": known}, str(installed))
    assert not engines.is_current(made, {}, str(installed))
    installed.write_bytes(SCRIPT + b"#")
    assert not engines.is_current(made, {"binary": known}, str(installed))


def test_the_program_itself_without_a_checksum(settings: Make, tmp_path: Path, installed: Path) -> None:
    (tmp_path / "registry-3").write_bytes(SCRIPT)
    made = settings(engine="binary", binary_url=f"{tmp_path}/registry-3")
    dummy, known = engines.install_binary(made, Host(False), str(installed))
    assert engines.is_current(made, {"binary": known}, str(installed))
    (tmp_path / "registry-3").write_bytes(SCRIPT + b"# newer\n")
    assert not engines.is_current(made, {"binary": known}, str(installed))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("bin/registry", {"binary_checksum": "sha256:" + "0" * 64}, "and lab_registry_binary_checksum is sha256:000"),
        ("bin/other", {}, "is an archive without a file registry"),
        (
            "bin/registry",
            {"binary_url": "/nonexistent/r"},
            "/nonexistent/r of lab_registry_binary_url cannot be read: No such",
        ),
    ],
)
def test_a_binary_that_is_not_what_it_should_be(
    settings: Make, tmp_path: Path, installed: Path, name: str, change: dict[str, str], words: str
) -> None:
    archive(tmp_path / "a.tar.gz", name)
    made = settings(**{"engine": "binary", "binary_url": str(tmp_path / "a.tar.gz"), **change})
    with pytest.raises(Refused, match=words):
        engines.install_binary(made, Host(False), str(installed))
    assert not installed.exists()


def test_a_file_that_is_no_registry(settings: Make, tmp_path: Path, installed: Path) -> None:
    (tmp_path / "x").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    with pytest.raises(Refused, match="holds no registry that runs here"):
        engines.install_binary(settings(engine="binary", binary_url=str(tmp_path / "x")), Host(False), str(installed))


def test_auto_takes_the_binary_that_is_named(settings: Make, tmp_path: Path, package: None) -> None:
    found = engines.choose(settings(binary_url="/x/registry"), {}, check=True)
    assert found.engine == "binary"
    assert found.why == "lab_registry_engine=auto takes binary: lab_registry_binary_url is set."


def test_a_driver_that_the_program_lacks(settings: Make, tmp_path: Path) -> None:
    path = tmp_path / "registry"
    path.write_text(
        "#!/bin/sh\necho failed to construct azure driver: StorageDriver not registered: azure >&2; exit 1\n"
    )
    path.chmod(0o755)
    program = Program("binary", str(path), "x", "2.8.2")
    with pytest.raises(Refused, match="was built without the storage azure"):
        engines.check_driver(settings(storage={"azure": {}}), program)
    engines.check_driver(settings(), program)
    engines.check_driver(settings(storage={"azure": {}}), replace(program, engine="container"))
