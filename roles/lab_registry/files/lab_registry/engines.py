# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the registry's program comes from: a package, a binary, or an image that docker or podman runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from typing import Any

from lab_registry.config import check_version
from lab_registry.host import Account, Host, account, find, run, words
from lab_registry.settings import Refused, Settings

PULL = 900  # seconds
PACKAGES = {  # package, program, user: the package of Debian makes one
    "debian": ("docker-registry", "/usr/bin/docker-registry", "docker-registry"),
    "redhat": ("docker-distribution", "/usr/bin/registry", "lab-registry"),
}
LACKING = {"docker-registry": ("azure", "gcs", "oss")}  # drivers that a package was built without
PACKAGED = "2.8"  # what all of them have, where it is not installed yet


@dataclass(frozen=True)
class Program:
    """One way to run distribution. `version` is empty where it is not known yet."""

    engine: str  # package, binary or container
    path: str  # of the program, or of docker or podman
    user: str
    version: str = ""
    image: str = ""
    package: str = ""  # to be installed first
    why: str = ""

    @property
    def runtime(self) -> str:
        """`docker`, `podman`, or nothing."""
        return os.path.basename(self.path) if self.engine == "container" else ""

    def run(self, settings: Settings, who: Account | None, *arguments: str, stdin: bytes = b"") -> Any:
        """One command of distribution's own, such as `garbage-collect`, in an otherwise empty environment."""
        if self.engine == "container":
            once = ["run", "--rm", *(["--interactive"] if stdin else [])]
            user = who if who else Account("root", 0, 0)
            return run([self.path, *once, *container_options(settings, user), self.image, *arguments], stdin, 3600)
        argv = [self.path, *arguments]
        if who:
            argv = [find("setpriv") or "setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--clear-groups", *argv]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OTEL_TRACES_EXPORTER": "none", **settings.environment}
        return run(argv, stdin, 3600, env)


def container_options(settings: Settings, who: Account) -> list[str]:
    """What every container of the instance gets; the host's network, so that addresses mean the same."""
    folder = f"/etc/{settings.unit}"
    mounts = [f"--volume={folder}:{folder}:ro"]
    if settings.driver == "filesystem":
        mounts.append(f"--volume={settings.data}:{settings.data}")
    return [
        "--network=host",
        f"--user={who.uid}:{who.gid}",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--security-opt=label=disable",
        f"--env-file={folder}/environment",
        *mounts,
    ]


def operating_system() -> tuple[str, str]:
    """The name of the system, and whose packages it has: `debian`, `redhat` or nothing."""
    found = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', file.read(), re.MULTILINE))
            break
    kinds = {found.get("ID", ""), *found.get("ID_LIKE", "").split()}
    family = "debian" if "debian" in kinds else "redhat" if kinds & {"fedora", "rhel", "centos"} else ""
    return found.get("ID", "this system"), family


def choose(settings: Settings, record: dict[str, Any], check: bool) -> Program:
    """The program that the settings ask for, or the first that can work here."""
    if settings.engine != "auto":
        return _checked(settings, ENGINES[settings.engine](settings, record, check))
    if record.get("engine") in ENGINES:
        kept = str(record["engine"])
        if settings.binary_url and kept != "binary":
            raise Refused(
                f"lab_registry_binary_url is set, and lab_registry_engine=auto keeps {kept}, which the instance has: "
                "set lab_registry_engine to binary, or leave the URL out."
            )
        found = _checked(settings, ENGINES[kept](settings, record, check))
        return replace(found, why=f"lab_registry_engine=auto keeps {kept}, which the instance has.")
    reasons = []
    for engine in ["binary"] if settings.binary_url else ["package", "container"]:
        try:
            found = _checked(settings, ENGINES[engine](settings, record, check))
        except Refused as exc:
            reasons.append(f"{engine}: {exc}")
            continue
        because = f" ({' '.join(reasons)})" if reasons else ""
        return replace(found, why=f"lab_registry_engine=auto takes {engine}: {found.why}{because}")
    raise Refused(f"No engine for lab_registry_engine=auto on this host. {' '.join(reasons)}")


def _checked(settings: Settings, program: Program) -> Program:
    if program.version:
        check_version(settings, program.version)
        check_driver(settings, program)
    return program


def _package(settings: Settings, record: dict[str, Any], check: bool) -> Program:
    name, family = operating_system()
    if not family:
        raise Refused(
            f"No package of a registry is known for {name}: it is docker-registry on Debian and Ubuntu, and "
            "docker-distribution on Fedora and Enterprise Linux."
        )
    package, path, user = PACKAGES[family]
    there = os.access(path, os.X_OK)
    version = version_of(path) if there else PACKAGED
    return Program("package", path, user, version, package="" if there else package, why=f"{package} of {name}.")


def _binary(settings: Settings, record: dict[str, Any], check: bool) -> Program:
    path = f"/usr/local/lib/{settings.unit}/registry"
    if not settings.binary_url:
        raise Refused("lab_registry_engine=binary needs lab_registry_binary_url.")
    version = version_of(path) if is_current(settings, record, path) else ""
    return Program("binary", path, "lab-registry", version, why="lab_registry_binary_url is set.")


def _container(settings: Settings, record: dict[str, Any], check: bool) -> Program:
    if record.get("image") == settings.container_image and find(str(record.get("runtime"))):
        return _image(settings, find(str(record["runtime"])), str(record.get("version", "")))
    problems = []
    for name in ("podman", "docker"):
        path = find(name)
        if not path:
            problems.append(f"{name} is not there")
            continue
        asked = run([path, "info"], timeout=30)
        if asked.returncode:
            problems.append(f"{name} does not answer ({words(asked)})")
            continue
        there = run([path, "image", "inspect", settings.container_image]).returncode == 0
        if check and not there:
            return _image(settings, path, "")
        pulled = run([path, "pull", settings.container_image], timeout=PULL) if not there else None
        if pulled and pulled.returncode:
            problems.append(f"{name} cannot pull {settings.container_image} ({words(pulled)})")
            continue
        started = run([path, "run", "--rm", "--network=host", settings.container_image, "--version"])
        version = re.search(r"\bv?([0-9]+\.[0-9]+\S*)\s*$", started.stdout.decode("utf-8", "replace").strip())
        if started.returncode == 0 and version:
            return _image(settings, path, version.group(1))
        problems.append(f"{name} answers, and cannot start a container ({words(started)})")
        if pulled:
            run([path, "rmi", settings.container_image])
    raise Refused(f"No container engine works on this host: {'; '.join(problems)}.")


def _image(settings: Settings, path: str, version: str) -> Program:
    why = f"{os.path.basename(path)} runs {settings.container_image}."
    return Program("container", path, "lab-registry", version, settings.container_image, why=why)


ENGINES = {"package": _package, "binary": _binary, "container": _container}


def version_of(path: str) -> str:
    """The version that a program of distribution tells of itself, e.g. `2.8.2`; empty where it cannot."""
    said = run([path, "--version"], timeout=30, env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"})
    found = re.search(r"\bv?([0-9]+\.[0-9]+\S*)\s*$", said.stdout.decode("utf-8", "replace").strip())
    return found.group(1) if found and said.returncode == 0 else ""


def check_driver(settings: Settings, program: Program) -> None:
    """Refuse a storage driver that the program was built without, and options that it does not take."""
    if settings.driver in LACKING.get(program.package, ()):
        raise Refused(
            f"The package {program.package} was built without the storage {settings.driver}: use another "
            "lab_registry_engine."
        )
    if program.engine == "container" or program.package or settings.driver == "filesystem":
        return  # the official images have all drivers
    config = b'{"version": 0.1, "storage": {"%s": {}}}' % settings.driver.encode()
    said = words(program.run(settings, None, "garbage-collect", "--dry-run", "/dev/stdin", stdin=config))
    if "not registered" in said:
        raise Refused(
            f"{program.path} {program.version} was built without the storage {settings.driver}: use another "
            "lab_registry_engine."
        )


# -------------------------------------------------------------------------------------------------------- the binary


def is_current(settings: Settings, record: dict[str, Any], path: str) -> bool:
    """Whether the program there is what `lab_registry_binary_url` and its checksum ask for."""
    known = record.get("binary") or {}
    if not known or _sha256(path) != known.get("program"):
        return False
    if settings.binary_checksum:
        return bool(known.get("source") == settings.binary_checksum)
    return bool(known.get("source") == _sha256(_local(settings.binary_url)))


def install_binary(settings: Settings, host: Host, path: str) -> tuple[str, dict[str, str]]:
    """Fetch the program, look at it, and put it in place; returns its version and what the record keeps of it."""
    with tempfile.TemporaryDirectory(prefix=".lab-registry-", dir="/usr/local/lib") as folder:
        source = os.path.join(folder, "source")
        _fetch(settings.binary_url, source)
        found = _sha256(source)
        if settings.binary_checksum and found != settings.binary_checksum:
            raise Refused(
                f"{settings.binary_url} has the checksum sha256:{found}, and lab_registry_binary_checksum is "
                f"sha256:{settings.binary_checksum}."
            )
        program = os.path.join(folder, "registry")
        _extract(settings.binary_url, source, program)
        os.chmod(program, 0o755)
        version = version_of(program)
        if not version:
            raise Refused(f"{settings.binary_url} holds no registry that runs here: it does not tell its version.")
        check_version(settings, version)
        check_driver(settings, Program("binary", program, "", version))
        known = {"source": found, "program": _sha256(program)}
        host.do(f"The registry of {settings.binary_url}", "installed", _place, program, path)
    return version, known


def is_local(url: str) -> bool:
    """Whether this is a file of the target."""
    return not url.startswith(("http://", "https://"))


def _place(program: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    os.rename(program, path)


def _local(url: str) -> str:
    return url[7:] if url.startswith("file://") else url


def _fetch(url: str, path: str) -> None:
    try:
        if is_local(url):
            shutil.copyfile(_local(url), path)
            return
        with urllib.request.urlopen(url, timeout=60) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, urllib.error.URLError) as exc:
        raise Refused(
            f"{url} of lab_registry_binary_url cannot be read: {getattr(exc, 'strerror', None) or exc}."
        ) from None


def _extract(url: str, source: str, program: str) -> None:
    """The program itself, from an archive that holds it or as it is."""
    try:
        with tarfile.open(source) as archive:
            names = ("registry", "docker-registry")
            member = next((each for each in archive if each.isfile() and os.path.basename(each.name) in names), None)
            content = archive.extractfile(member) if member else None
            if content is None:
                raise Refused(f"{url} is an archive without a file registry.")
            with open(program, "wb") as file:
                shutil.copyfileobj(content, file)
    except tarfile.TarError:
        shutil.copyfile(source, program)


def _sha256(path: str) -> str:
    """The checksum of a file; empty where there is none."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def owner(program: Program) -> Account:
    """The user that the registry runs as."""
    return account(program.user)
