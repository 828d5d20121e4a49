# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring an instance into its state, and take it away again. The caller holds the instance's lock."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import hashlib
import http.client
import json
import os
import re
import secrets as random
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from lab_registry import config as configuration
from lab_registry import engines, tls
from lab_registry.engines import Program
from lab_registry.host import (
    Account,
    Host,
    Kept,
    account,
    find,
    keep,
    listeners,
    make_account,
    overlap,
    processes,
    read,
    unreachable,
)
from lab_registry.passwords import password_file
from lab_registry.services import KINDS, Plain, Running, Service, Systemd, service_for, systemctl
from lab_registry.settings import Refused, Settings, bracketed, check_data, loopback

MARKER = ".lab-registry"
TLS = ("ca.pem", "ca.key", "server.pem", "server.key")
OURS = {"docker", "scheduler-state.json", MARKER, "lost+found"}  # what may be in a data folder
FATAL = re.compile(r'level=(?:fatal|error|panic) msg="((?:[^"\\]|\\.)*)"')
PATIENCE = 60  # seconds until it has to answer


@dataclass
class Instance:
    """What an instance is to be, and what is known of it. Reading it changes nothing."""

    settings: Settings
    host: Host
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.record = configuration.kept(read(self.record_file))

    @property
    def folder(self) -> str:
        """Where its configuration is."""
        return f"/etc/{self.settings.unit}"

    @property
    def record_file(self) -> str:
        """What the role has to remember of it."""
        return f"{self.folder}/record.json"

    @property
    def ca_path(self) -> str | None:
        """The CA that clients need, on the target."""
        made = self.settings.tls == "self_signed" or (self.settings.tls == "provided" and self.settings.tls_ca)
        return f"{self.folder}/tls/ca.pem" if made else None

    def facts(self) -> dict[str, Any]:
        """The facts that the role sets."""
        settings = self.settings
        client: dict[str, Any] = {"name": settings.address, "plain_http": settings.scheme == "http"}
        if self.ca_path:
            client["ca_path"] = self.ca_path
        url = f"{settings.scheme}://{settings.address}"
        return {"address": settings.address, "url": url, "ca_path": self.ca_path, "client": client}

    def save(self, **news: Any) -> None:
        """Remember; before the things themselves are made, so that `absent` finds them after an interruption."""
        wanted = {**self.record, **news}
        if wanted != self.record and not self.host.check:
            Host(False).write(self.record_file, (json.dumps(wanted, indent=2) + "\n").encode(), 0o600)
        self.record = wanted


# ------------------------------------------------------------------------------------------- looks, before any change


def check_host(instance: Instance, program: Program) -> None:
    """Refuse what this host makes impossible; raises Refused. Another play may be at work on the instance."""
    settings = instance.settings
    try:
        info = socket.getaddrinfo(settings.bind, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(info[0], info[1]) as server:
            server.bind(info[4])
    except OSError:
        raise Refused(f"lab_registry_bind {settings.bind} is not an address of this host.") from None
    _check_port(settings, "lab_registry_port", settings.port, str(info[4][0]))
    if settings.metrics:
        _check_port(settings, "lab_registry_metrics_port", settings.metrics_port, "127.0.0.1")
    if settings.driver == "filesystem":
        check_folder(settings, engines.owner(program))
    if settings.tls == "provided":
        tls.provided(settings)
    for path in ca_targets(instance):
        if read(path) is not None and path not in Instance(settings, instance.host).record.get("ca_files", []):
            raise Refused(
                f"{path} is there already, and not by this role: remove it, or leave lab_registry_install_ca out."
            )
    if settings.proxy.get("username") and program.version and configuration.major_of(program.version) < 3:
        _check_upstream(settings, program.version)


def _check_port(settings: Settings, variable: str, port: int, address: str) -> None:
    """Refuse a port that another program has. The instance's own process, wherever it runs, has our arguments."""
    for other in listeners(port):
        if not overlap(other.address, address) or other.pid in processes("serve", f"/etc/{settings.unit}/config.yml"):
            continue
        who = f"{other.program} (process {other.pid})" if other.pid else "another program"
        package = other.pid in processes("serve", "/etc/docker/registry/config.yml")
        hint = " (it is the service of Debian's package: systemctl disable --now docker-registry)" if package else ""
        raise Refused(
            f"The registry {settings.name} cannot have port {port} of {address}, for {who} listens there: "
            f"stop that program{hint}, or set {variable} to a free port."
        )


def check_folder(settings: Settings, who: Account) -> None:
    """Refuse a data folder that holds something else, belongs to another instance, or cannot be reached."""
    path = settings.data
    check_data(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise Refused(f"lab_registry_data {path} is not a folder.")
    there = set(os.listdir(path)) if os.path.isdir(path) else set()
    marker = configuration.kept(read(os.path.join(path, MARKER)))
    strange = sorted(there - OURS)
    if "docker" in there and not marker and _listed(f"{path}/docker") - {"registry"}:
        strange.append("docker")
    if strange:
        raise Refused(
            f"lab_registry_data {path} holds something else ({', '.join(strange[:3])}): use a folder for the "
            "registry alone."
        )
    other = marker.get("instance", settings.name)
    if other != settings.name and os.path.exists(f"/etc/lab-registry-{other}/record.json"):
        raise Refused(
            f"lab_registry_data {path} belongs to the registry {other}: each instance needs a folder of its own."
        )
    for above in parents(path):
        owner = configuration.kept(read(os.path.join(above, MARKER))).get("instance", "")
        if owner and os.path.exists(f"/etc/lab-registry-{owner}/record.json"):
            raise Refused(f"lab_registry_data {path} is in {above}, the folder of the registry {owner}: use another.")
    closed = unreachable(path, who)
    if closed:
        raise Refused(f"The user {who.name} cannot reach lab_registry_data {path}, since {closed} is closed to it.")


def parents(path: str) -> list[str]:
    """The folders above, the nearest first."""
    above = os.path.dirname(os.path.realpath(path))
    return [above, *parents(above)] if above != "/" else []


def _listed(path: str) -> set[str]:
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def _check_upstream(settings: Settings, version: str) -> None:
    """Distribution 2 logs in at token servers only. An upstream that cannot be asked now may well answer later."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # no credentials are sent
    url = f"{settings.proxy['remote_url'].rstrip('/')}/v2/"
    try:
        urllib.request.urlopen(url, timeout=10, context=anyone).close()
    except urllib.error.HTTPError as exc:
        if exc.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
            raise Refused(
                f"{settings.proxy['remote_url']} wants a login with basic auth, which distribution {version} "
                "never sends: "
                "use distribution 3 (lab_registry_engine container or binary), or leave username and password out."
            ) from None
    except (OSError, http.client.HTTPException):
        return


# -------------------------------------------------------------------------------------------------------------- apply


def apply(instance: Instance, program: Program) -> dict[str, Any]:
    """Make the instance run as the settings say; returns what the role shows."""
    settings, host, folder = instance.settings, instance.host, instance.folder
    previous = service_of_record(instance)
    own = previous.running() if previous else None
    check_host(instance, program)

    binary = instance.record.get("binary")
    if program.engine == "binary" and not engines.is_current(settings, instance.record, program.path):
        if host.check and not engines.is_local(settings.binary_url):  # it would have to be fetched
            host.do(f"The registry of {settings.binary_url}", "installed", lambda: None)
        else:
            version, binary = engines.install_binary(settings, host, program.path)
            program = dataclasses.replace(program, version=version)
        own = dataclasses.replace(own, outdated=True) if own else None
    who = program_account(program, host)
    secret = settings.secret or (read(f"{folder}/secret") or b"").decode() or random.token_hex(32)
    config = configuration.generate(settings, folder, secret)
    hidden = configuration.secrets_of(config, settings)
    check_config(settings, program, config, hidden)
    files = certificates(instance)

    service = service_for(settings, program, who, private_log(settings, program))
    data = [settings.data] if settings.driver == "filesystem" else []
    host.folder(folder, 0o755)
    instance.save(
        engine=program.engine,
        service=service.kind,
        path=program.path,
        runtime=program.runtime,
        image=program.image,
        version=program.version,
        user=program.user,
        binary=binary if program.engine == "binary" else None,
        data=sorted({*instance.record.get("data", []), *data}),
        ca_files=sorted({*instance.record.get("ca_files", []), *ca_targets(instance)}),
    )
    before = [keep(path) for path in (*files_of(folder), *service.files(""))]
    if previous and own and (previous.kind != service.kind or previous.program.path != program.path):
        host.do(f"The registry {settings.name}", "stopped", _retire, previous)
        own = None
    differs = read(service.config) != configuration.render(config)
    write_files(instance, service, who, config, secret, files)
    mark = fingerprint(instance, service, program, config, files.server if files else None)
    for path, content in service.files(mark).items():
        host.write(path, content, 0o644)
    if settings.driver == "filesystem":
        prepare_data(instance, who)
    _run(instance, service, own, mark, before, hidden, differs)
    install_ca(instance, files)
    about = {"engine": program.engine, "version": program.version, "service": service.kind, "user": who.name}
    if program.image:
        about["image"] = program.image
    if program.engine == "binary":
        about["binary"] = settings.binary_url
    return configuration.describe(settings, config, about)


def _run(
    instance: Instance,
    service: Service,
    own: Running | None,
    mark: str,
    before: list[Kept],
    hidden: list[str],
    differs: bool,
) -> None:
    """Start what does not run, restart what runs with something older, and wait until it answers."""
    settings, host = instance.settings, instance.host
    if own is None:
        verb = "started"
    elif differs or own.fingerprint != mark or own.outdated or settings.state == "restarted":
        verb = "restarted"
    else:
        verb = ""
    if verb:
        host.do(f"The registry {settings.name}", verb, lambda: None)
    if host.check:
        return
    try:
        if verb:
            service.start(mark)
        wait(settings, service)
    except Refused as exc:
        last = complaint(configuration.scrub(service.log(), hidden))
        service.stop()
        back = own is not None and _restore(settings, service, own.fingerprint, before)
        rest = "; it runs on with its previous configuration" if back else ""
        raise Refused(
            f"The registry {settings.name} did not start: correct lab_registry_config, lab_registry_storage, "
            "lab_registry_bind "
            f"or lab_registry_port ({exc}){rest}; the last lines of its log are: {last}"
        ) from None


def complaint(log: str) -> str:
    """The lines of a log that say why the registry ended: without how it is called, and without what a panic adds."""
    lines = [line for line in log.strip().splitlines() if line.strip()]
    panics = [line for line in lines if line.startswith("panic: ")]
    errors = [found.group(1) for found in (FATAL.search(line) for line in lines) if found]
    told = [line for line in lines if not line.startswith(("Usage:", "Flags:", " ", "time="))]
    return " | ".join(line.strip()[:400] for line in (panics or errors or told or lines)[-3:]) or "none"


def files_of(folder: str) -> list[str]:
    """What an instance is configured by, where it has all of it."""
    names = ("config.yml", "environment", "htpasswd", "secret")
    return [f"{folder}/{name}" for name in (*names, *(f"tls/{name}" for name in TLS))]


def _restore(settings: Settings, service: Service, mark: str, before: list[Kept]) -> bool:
    """Start it again with what it ran with, where that is known; says whether it answers."""
    if before[0].content is None:
        return False
    for file in before:
        file.put_back()
    Host(False).remove_if_empty(f"/etc/{settings.unit}/tls")
    try:
        service.start(mark)
        wait(settings, service)
    except Refused:
        return False
    return True


def _retire(service: Service) -> None:
    service.stop()
    for path in service.files(""):
        Host(False).remove(path)


def program_account(program: Program, host: Host) -> Account:
    """The user of the registry, made where it is missing."""
    who = account(program.user)
    if who.uid < 0:
        host.do(f"The user {program.user}", "made", make_account, program.user)
        who = account(program.user)
    return who


def check_config(settings: Settings, program: Program, config: dict[str, Any], hidden: list[str]) -> None:
    """Let distribution itself read the configuration, before the running instance is touched."""
    if program.engine == "container" or not os.access(program.path, os.X_OK):
        return
    drivers = {key for key in config["storage"] if key not in ("delete", "maintenance", "cache", "redirect", "tag")}
    tried = configuration.trial(config, settings.driver) if drivers == {settings.driver} else config
    text = configuration.render(tried)
    done = program.run(settings, None, "garbage-collect", "--dry-run", "/dev/stdin", stdin=text)
    problem = configuration.problem((done.stdout + done.stderr).decode("utf-8", "replace"), text.decode())
    if problem:
        raise Refused(
            f"The registry {settings.name} did not start: correct lab_registry_config or lab_registry_storage, which "
            f"distribution {program.version} does not accept: {configuration.scrub(problem, hidden)}"
        )


def private_log(settings: Settings, program: Program) -> bool:
    """Whether the log holds secrets: version 2 writes the headers of notifications there."""
    return configuration.major_of(program.version) < 3 and any(entry.get("headers") for entry in settings.notifications)


def certificates(instance: Instance) -> tls.Files | None:
    """What belongs into the folder `tls`, or None where that is nothing, or nothing yet."""
    if instance.settings.tls == "self_signed":
        return tls.self_signed(instance.settings, f"{instance.folder}/tls")
    return tls.provided(instance.settings) if instance.settings.tls == "provided" else None


def write_files(
    instance: Instance, service: Service, who: Account, config: dict[str, Any], secret: str, files: tls.Files | None
) -> None:
    """Everything in the instance's folder but its record."""
    settings, host, folder = instance.settings, instance.host, instance.folder
    group = max(who.gid, 0)
    if not settings.secret:
        host.write(f"{folder}/secret", secret.encode(), 0o600)
    else:
        host.remove(f"{folder}/secret")
    if settings.tls == "none":
        host.remove(f"{folder}/tls")
    elif files is None:
        host.do("The CA with its certificate", "made", lambda: None)
    else:
        if files.what:
            host.do(files.what, "made", lambda: None)
        host.folder(f"{folder}/tls", 0o755)
        contents = (files.ca, files.ca_key, files.server.certificate, files.server.key)
        for name, content, (mode, owner) in zip(TLS, contents, ((0o644, 0), (0o600, 0), (0o644, 0), (0o640, group))):
            if content:
                host.write(f"{folder}/tls/{name}", content, mode, 0, owner)
            else:
                host.remove(f"{folder}/tls/{name}")
    if settings.users:
        content, changed = password_file(settings.users, read(f"{folder}/htpasswd"))
        for name in changed:
            host.do(f"The password of {name}", "set", lambda: None)
        host.write(f"{folder}/htpasswd", content, 0o640, 0, group)
    host.write(f"{folder}/environment", service.environment_file(), 0o600)
    host.write(f"{folder}/config.yml", configuration.render(config), 0o640, 0, group)
    if not settings.users:
        host.remove(f"{folder}/htpasswd")


def fingerprint(
    instance: Instance, service: Service, program: Program, config: dict[str, Any], server: tls.Pair | None
) -> str:
    """A short name of all that the process is started with and that a restart brings up to date."""
    parts = [
        configuration.render(config),
        service.environment_file(),
        service.kind.encode(),
        program.path.encode(),
        program.image.encode(),
        server.certificate if server else b"",
        server.key if server else b"",
    ]
    parts += [content for dummy, content in sorted(service.files("").items())]
    parts.append(str((instance.record.get("binary") or {}).get("program", "")).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def server_there(instance: Instance) -> tls.Pair | None:
    """The certificate and key that the instance has."""
    found = [read(f"{instance.folder}/tls/{name}") for name in ("server.pem", "server.key")]
    return tls.Pair(found[0] or b"", found[1] or b"") if any(found) else None


def prepare_data(instance: Instance, who: Account) -> None:
    """The data folder, marked as this instance's; what the registry wrote goes along when its user changes."""
    settings, host = instance.settings, instance.host
    if os.path.isdir(settings.data):
        there = os.stat(settings.data)
        if who.uid >= 0 and there.st_uid != who.uid and os.path.isdir(f"{settings.data}/docker"):
            host.do(f"What is in {settings.data}", f"given to the user {who.name}", _give, settings.data, who)
    host.folder(settings.data, 0o750, who.uid, who.gid)
    host.write(f"{settings.data}/{MARKER}", json.dumps({"instance": settings.name}).encode() + b"\n", 0o644)


def _give(path: str, who: Account) -> None:
    """Hand over what the registry wrote. Links are not followed."""
    for root, folders, names in os.walk(f"{path}/docker"):
        for name in [root, *(os.path.join(root, entry) for entry in (*folders, *names))]:
            os.chown(name, who.uid, who.gid, follow_symlinks=False)
    with contextlib.suppress(FileNotFoundError):
        os.chown(f"{path}/scheduler-state.json", who.uid, who.gid, follow_symlinks=False)


def ca_targets(instance: Instance) -> list[str]:
    """Where docker, and podman and skopeo, look for the CA of this registry."""
    settings = instance.settings
    if not settings.install_ca:
        return []
    names = {
        settings.public_host,
        *(bracketed(name) for name in settings.names if settings.tls == "self_signed" and "*" not in name),
    }
    hosts = {f"{name}:{settings.port}" for name in names} | (names if settings.port == 443 else set())
    return sorted(f"/etc/{tool}/certs.d/{name}/ca.crt" for tool in ("containers", "docker") for name in hosts)


def install_ca(instance: Instance, files: tls.Files | None) -> None:
    """The CA for the tools of this host, and no longer where it was for another name."""
    wanted = ca_targets(instance)
    for path in wanted:
        instance.host.write(path, files.ca if files else b"", 0o644)
    remove_ca(instance.host, [path for path in instance.record.get("ca_files", []) if path not in wanted])
    instance.save(ca_files=wanted)


def remove_ca(host: Host, paths: list[str]) -> None:
    """No such files, nor their folders where nothing else is in them."""
    for path in paths:
        host.remove(path)
        host.remove_if_empty(os.path.dirname(path))


def wait(settings: Settings, service: Service) -> None:
    """Wait until the instance itself answers; another server may answer here while ours is about to fail."""
    end = time.monotonic() + PATIENCE
    gone = 0
    while True:
        answer = probe(settings.name, configuration.kept(read(service.config)))
        if answer == "ours":
            return
        gone = 0 if service.running() else gone + 1
        if gone > 5:
            raise Refused("it ended")
        if time.monotonic() > end:
            raise Refused(f"it did not answer within {PATIENCE} seconds{': ' + answer if answer else ''}")
        time.sleep(0.1 if gone else 0.2)


def probe(name: str, config: dict[str, Any]) -> str:
    """`ours` where the instance of this name and configuration answers, else what happened."""
    asked = config["http"]
    bind, dummy, port = asked["addr"].rpartition(":")
    host = loopback(bind.strip("[]"))
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # its name need not be ours, nor its CA
    if asked.get("tls"):
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, int(port), timeout=5, context=anyone)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", f"{asked.get('prefix', '/').rstrip('/')}/v2/")
        answer = connection.getresponse()
        if answer.getheader("X-Lab-Registry") != name:
            return "another server answers"
        return "ours" if answer.status in (200, 401) else f"it answers HTTP {answer.status}"
    except ssl.SSLError as exc:
        return (
            "ours" if (asked.get("tls") or {}).get("clientcas") else str(exc.reason)
        )  # it wants a certificate of ours
    except (OSError, http.client.HTTPException) as exc:
        return str(getattr(exc, "strerror", None) or exc)
    finally:
        connection.close()


def is_up(instance: Instance) -> bool:
    """Whether it answers where the settings want it; in check mode it may not yet."""
    config = configuration.kept(read(f"{instance.folder}/config.yml"))
    wanted = configuration.generate(instance.settings, instance.folder, "")["http"]
    there = config.get("http", {})
    same = there.get("addr") == wanted["addr"] and bool(there.get("tls")) == bool(wanted.get("tls"))
    return same and probe(instance.settings.name, config) == "ours"


# ------------------------------------------------------------------------------------------------- stopped and absent


def service_of_record(instance: Instance) -> Service | None:
    """The way in which the instance was set up, by its record; where that is lost, by what is there."""
    record, unit = instance.record, instance.settings.unit
    kind = KINDS.get(str(record.get("service")))
    if kind is None and os.path.exists(f"/etc/systemd/system/{unit}.service"):
        kind = Systemd
    elif kind is None and processes("serve", f"{instance.folder}/config.yml"):
        kind = Plain
    if kind is None:
        return None
    program = Program(*(str(record.get(key, "")) for key in ("engine", "path", "user", "version", "image")))
    return kind(instance.settings, program, account(program.user))


def stop(instance: Instance) -> None:
    """Stop it, and keep it from starting with the host; what it has stays."""
    service = service_of_record(instance)
    if service and service.running():
        instance.host.do(f"The registry {instance.settings.name}", "stopped", service.stop)


def remove(instance: Instance) -> None:
    """Stop it and remove what the role made; the data only with purge, and then only what the registry wrote."""
    settings, host = instance.settings, instance.host
    service = service_of_record(instance)
    runs = service is not None and service.running() is not None
    stop(instance)
    units = [f"/etc/systemd/system/{settings.unit}.service", f"/etc/containers/systemd/{settings.unit}.container"]
    made = [path for path in units if os.path.lexists(path)]
    if service and made and not host.check:
        service.stop()  # also what failed and would be started again
    if service and service.kind == "container" and not host.check:
        service.stop()
    folders = dict.fromkeys([*instance.record.get("data", []), settings.data])
    if settings.purge:
        for path in folders:
            purge(host, settings, path)
    remove_ca(host, instance.record.get("ca_files", []))
    for path in (*made, f"/var/log/{settings.unit}.log", f"/usr/local/lib/{settings.unit}"):
        host.remove(path)
    if not runs:  # else it goes with the process
        host.remove(f"/run/{settings.unit}.pid")
    host.remove(instance.folder)
    if made and not host.check and find("systemctl"):
        systemctl("daemon-reload")


def purge(host: Host, settings: Settings, path: str) -> None:
    """Remove what the registry wrote into its data folder, and the folder where nothing else is in it."""
    marker = f"{path}/{MARKER}"
    if configuration.kept(read(marker)).get("instance") != settings.name:
        return
    host.do(f"The data in {path}", "removed", _purge, path, marker)


def _purge(path: str, marker: str) -> None:
    for name in (f"{path}/docker", f"{path}/docker/registry"):
        if os.path.islink(name):  # where it leads to may hold more than images
            os.unlink(name)
    if os.path.isdir(f"{path}/docker/registry"):
        shutil.rmtree(f"{path}/docker/registry")
    for name in (f"{path}/scheduler-state.json", marker):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    for name in (f"{path}/docker", path):
        with contextlib.suppress(OSError):
            os.rmdir(name)


def require_root() -> None:
    """The role writes below /etc and starts a service."""
    if os.geteuid() != 0:
        raise Refused(f"The role lab_registry has to run as root, and {getpass.getuser()} is not: set become to true.")
