# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs the registry: systemd, a container engine, or nobody, where a process with a pid file has to do.

Each way tells what runs by the running process itself, never by a file alone: a fingerprint of all that it was started
with is in its environment or, for a container, in a label.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from lab_registry.config import environment
from lab_registry.engines import Program, container_options
from lab_registry.host import Account, find, is_elsewhere, processes, read, replaced, run, variable, words
from lab_registry.settings import Refused, Settings

FINGERPRINT = "LAB_REGISTRY_FINGERPRINT"
LABEL = "lab-registry.fingerprint"
STOP = 15  # seconds until a process that does not end is killed
NOTE = "# Made by the role quayside.registry.lab_registry, which overwrites what is changed here.\n"


@dataclass(frozen=True)
class Running:
    """The instance's process as it is."""

    pid: int
    fingerprint: str
    outdated: bool = False  # its program was replaced


def booted_systemd() -> bool:
    """Whether systemd is the service manager of this host, as sd_booted(3) finds it out."""
    return os.path.isdir("/run/systemd/system")


class Service:
    """One way to run an instance. `kind` goes into the instance's record."""

    kind = ""

    def __init__(self, settings: Settings, program: Program, who: Account, private_log: bool = False) -> None:
        self.settings, self.program, self.who, self.private_log = settings, program, who, private_log
        self.unit = settings.unit
        self.config = f"/etc/{self.unit}/config.yml"
        self.log_file = f"/var/log/{self.unit}.log"

    def running(self) -> Running | None:
        """The process, if it runs."""
        raise NotImplementedError

    def files(self, fingerprint: str) -> dict[str, bytes]:
        """Files outside of the instance's folder, by path."""
        return {}

    def environment_file(self) -> bytes:
        """The variables of the process in the form that this way reads; values have no control characters."""
        return "".join(f"{key}={value}\n" for key, value in environment(self.settings).items()).encode()

    def start(self, fingerprint: str) -> None:
        """Start it, or start it anew."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it, and keep it from starting with the host."""
        raise NotImplementedError

    def log(self) -> str:
        """The end of its log."""
        raise NotImplementedError


class Plain(Service):
    """A process with a pid file, where no service manager is known."""

    kind = "plain"

    def running(self) -> Running | None:
        for pid in self.pids():
            return Running(pid, variable(pid, FINGERPRINT), replaced(pid))
        return None

    def pids(self) -> list[int]:
        """Its process, also where the pid file is lost."""
        return [pid for pid in processes("serve", self.config) if not is_elsewhere(pid)]

    def start(self, fingerprint: str) -> None:
        self.stop()
        given = (read(f"/etc/{self.unit}/environment") or b"").decode().splitlines()
        variables = dict(line.partition("=")[::2] for line in given)
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # otherwise empty, for each REGISTRY_... would be a setting
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log_file)
        handle = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [self.program.path, "serve", self.config],
                env={**path, **variables, FINGERPRINT: fingerprint},
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                cwd="/",
                umask=0o027,
                user=self.who.uid,
                group=self.who.gid,
                extra_groups=[],
                start_new_session=True,
            )
        finally:
            os.close(handle)
        with open(f"/run/{self.unit}.pid", "w", encoding="ascii") as file:
            file.write(f"{process.pid}\n")

    def stop(self) -> None:
        for number, seconds in ((signal.SIGTERM, STOP), (signal.SIGKILL, 5)):
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + seconds
            while self.pids() and time.monotonic() < end:
                time.sleep(0.05)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/run/{self.unit}.pid")

    def log(self) -> str:
        with contextlib.suppress(OSError), open(self.log_file, "rb") as file:
            return file.read()[-8192:].decode("utf-8", "replace")
        return ""


class Systemd(Service):
    """A unit of systemd around the program, or around `podman run` where podman has no quadlets."""

    kind = "systemd"

    @property
    def unit_file(self) -> str:
        """Where the unit is."""
        return f"/etc/systemd/system/{self.unit}.service"

    def running(self) -> Running | None:
        said = systemctl("show", "--property=MainPID,ActiveState", f"{self.unit}.service").stdout.decode()
        found = dict(line.partition("=")[::2] for line in said.splitlines())
        pid = int(found.get("MainPID") or 0)
        if found.get("ActiveState") not in ("active", "reloading") or not pid:
            return None
        return Running(pid, variable(pid, FINGERPRINT), replaced(pid))

    def environment_file(self) -> bytes:
        escaped = {
            key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in environment(self.settings).items()
        }
        return "".join(f'{key}="{value}"\n' for key, value in escaped.items()).encode()

    def files(self, fingerprint: str) -> dict[str, bytes]:
        return {self.unit_file: self.text(fingerprint).encode()}

    def text(self, fingerprint: str) -> str:
        """The unit."""
        settings = self.settings
        lines = [
            "Type=exec",
            f"User={self.who.name}",
            f"ExecStart={self.program.path} serve {self.config}",
            f"EnvironmentFile=/etc/{self.unit}/environment",
            f"Environment={FINGERPRINT}={fingerprint}",
            "Restart=on-failure",
            "RestartSec=2",
            "LimitNOFILE=65536",
            "UMask=0027",
            "NoNewPrivileges=yes",
            "PrivateDevices=yes",
            "PrivateTmp=no",
            "ProtectControlGroups=yes",
            "ProtectHome=read-only",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
            "ProtectSystem=strict",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "RestrictSUIDSGID=yes",
        ]
        if settings.driver == "filesystem":
            lines.append(f"ReadWritePaths={settings.data}")
        if settings.port < 1024:
            lines += ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"]
        if self.private_log:
            lines += [f"StandardOutput=append:{self.log_file}", f"StandardError=append:{self.log_file}"]
        return _unit_text(settings, lines)

    def start(self, fingerprint: str) -> None:
        if self.private_log:
            os.close(os.open(self.log_file, os.O_WRONLY | os.O_CREAT, 0o600))
        systemctl("daemon-reload")
        _must(systemctl("enable", f"{self.unit}.service"))
        _must(systemctl("restart", f"{self.unit}.service"))

    def stop(self) -> None:
        systemctl("disable", "--now", f"{self.unit}.service")
        systemctl("reset-failed", f"{self.unit}.service")

    def log(self) -> str:
        if self.private_log:
            return Plain.log(self)  # type: ignore[arg-type]
        unit = f"_SYSTEMD_UNIT={self.unit}.service"
        said = run([find("journalctl") or "journalctl", unit, "--lines=100", "--output=cat", "--no-pager"], timeout=30)
        return str(said.stdout.decode("utf-8", "replace"))


class Container(Service):
    """A container that docker or podman itself keeps running."""

    kind = "container"

    def running(self) -> Running | None:
        form = '{{.State.Running}} {{.State.Pid}} {{index .Config.Labels "' + LABEL + '"}}'
        said = run([self.program.path, "container", "inspect", "--format", form, self.unit], timeout=60)
        found = said.stdout.decode("utf-8", "replace").split()
        if said.returncode or len(found) != 3 or found[0] != "true":
            return None
        return Running(int(found[1]), found[2])

    def arguments(self, fingerprint: str) -> list[str]:
        """What follows `docker run` or `podman run`."""
        return [
            f"--name={self.unit}",
            f"--label={LABEL}={fingerprint}",
            *container_options(self.settings, self.who),
            self.program.image,
            "serve",
            self.config,
        ]

    def start(self, fingerprint: str) -> None:
        self.stop()
        _must(
            run(
                [self.program.path, "run", "--detach", "--restart=unless-stopped", *self.arguments(fingerprint)],
                timeout=300,
            )
        )

    def stop(self) -> None:
        run([self.program.path, "stop", "-t", str(STOP), self.unit], timeout=STOP + 60)
        run([self.program.path, "rm", "--force", "--volumes", self.unit])  # the image declares one that is not used

    def log(self) -> str:
        said = run([self.program.path, "logs", "--tail=100", self.unit], timeout=30)
        return str((said.stdout + said.stderr).decode("utf-8", "replace"))


class PodmanUnit(Container):
    """Podman under systemd: a quadlet, or a unit around `podman run` where podman is older than 4.4."""

    kind = "podman_unit"

    @property
    def has_quadlet(self) -> bool:
        """Whether systemd knows how to read quadlets here."""
        folders = (
            "/usr/lib/systemd/system-generators",
            "/usr/local/lib/systemd/system-generators",
            "/lib/systemd/system-generators",
        )
        return any(os.path.exists(f"{folder}/podman-system-generator") for folder in folders)

    def files(self, fingerprint: str) -> dict[str, bytes]:
        if self.has_quadlet:
            return {f"/etc/containers/systemd/{self.unit}.container": self.quadlet(fingerprint).encode()}
        return {f"/etc/systemd/system/{self.unit}.service": self.text(fingerprint).encode()}

    def quadlet(self, fingerprint: str) -> str:
        """The quadlet, with the words of `container_options` as its keys."""
        settings, folder = self.settings, f"/etc/{self.unit}"
        lines = [
            f"ContainerName={self.unit}",
            f"Image={self.program.image}",
            f"Exec=serve {self.config}",
            f"Label={LABEL}={fingerprint}",
            "Network=host",
            f"User={self.who.uid}",
            f"Group={self.who.gid}",
            "ReadOnly=true",
            "DropCapability=all",
            "NoNewPrivileges=true",
            "SecurityLabelDisable=true",
            f"EnvironmentFile={folder}/environment",
            f"Volume={folder}:{folder}:ro",
        ]
        if settings.driver == "filesystem":
            lines.append(f"Volume={settings.data}:{settings.data}")
        if self.private_log:
            lines.append("LogDriver=k8s-file")
        service = ["Restart=on-failure", "RestartSec=2"]
        return _unit_text(settings, service, "\n[Container]\n" + "\n".join(lines) + "\n")

    def text(self, fingerprint: str) -> str:
        """The unit around `podman run`, as podman-generate-systemd(1) writes it."""
        driver = ["--log-driver=k8s-file"] if self.private_log else []
        command = [
            self.program.path,
            "run",
            "--rm",
            "--replace",
            "--detach",
            "--sdnotify=conmon",
            "--cgroups=no-conmon",
        ]
        lines = [
            "Type=notify",
            "NotifyAccess=all",
            f"ExecStart={' '.join([*command, *driver, *self.arguments(fingerprint)])}",
            f"ExecStop={self.program.path} stop --ignore -t {STOP} {self.unit}",
            "Restart=on-failure",
            "RestartSec=2",
            f"TimeoutStopSec={STOP + 60}",
        ]
        return _unit_text(self.settings, lines)

    def start(self, fingerprint: str) -> None:
        systemctl("daemon-reload")
        if not self.has_quadlet:  # the generator enables what it makes of a quadlet
            _must(systemctl("enable", f"{self.unit}.service"))
        _must(systemctl("restart", f"{self.unit}.service"))

    def stop(self) -> None:
        systemctl("disable", f"{self.unit}.service")
        systemctl("stop", f"{self.unit}.service")
        systemctl("reset-failed", f"{self.unit}.service")


KINDS = {service.kind: service for service in (Plain, Systemd, Container, PodmanUnit)}


def service_for(settings: Settings, program: Program, who: Account, private_log: bool) -> Service:
    """The way that fits the host."""
    systemd = booted_systemd()
    if program.engine != "container":
        kind = "systemd" if systemd else "plain"
    else:
        kind = "podman_unit" if systemd and program.runtime == "podman" else "container"
    if settings.port < unprivileged_port() and kind != "systemd":
        raise Refused(
            f"The registry runs without root, and ports below {unprivileged_port()} of this host are for root: "
            "use another lab_registry_port, or lower the kernel's setting net.ipv4.ip_unprivileged_port_start."
        )
    return KINDS[kind](settings, program, who, private_log)


def unprivileged_port() -> int:
    """The first port that anyone may have."""
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        return int(file.read())
    return 1024


def systemctl(*arguments: str) -> Any:
    """A command of systemd's."""
    return run([find("systemctl") or "systemctl", *arguments], timeout=120)


def _must(done: Any) -> None:
    if done.returncode:
        raise Refused(f"{words(done)}")


def _unit_text(settings: Settings, service: list[str], more: str = "") -> str:
    head = [
        f"Description=Container registry {settings.name}",
        "Documentation=https://distribution.github.io/distribution/",
        "After=network-online.target",
        "Wants=network-online.target",
    ]
    parts = ["[Unit]", *head, *(more.rstrip().split("\n") if more else []), "", "[Service]", *service]
    return NOTE + "\n".join([*parts, "", "[Install]", "WantedBy=multi-user.target", ""])
