# SPDX-License-Identifier: GPL-3.0-or-later
"""Type the README's commands on a fresh machine: a root file system that debootstrap makes, and a clone in it.

A trial is RELEASE/WHO/TARGET, e.g. `trixie/user/demo`; RELEASE alone stands for its three: root/demo, user/demo and
root/test. TARGET is what follows `make`, and may have spaces. WHO is `root`, or `user`, who has sudo. What is cloned is
the checkout's last commit.

Each trial has namespaces of its own for mounts and processes, so that nothing of it outlasts it, and an overlay over
the release's root file system, which is made once and kept in CACHE. It shares the machine's network. apt's mirror and
proxy, pip's settings and the trusted certificates are those of this machine. A release of another distribution than
this machine's needs FRESH_MIRROR_RELEASE, a URL, and FRESH_KEYRING_RELEASE, a file, e.g. FRESH_MIRROR_NOBLE.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN, UBUNTU = ("main", "debian-archive-keyring.gpg"), ("main universe", "ubuntu-archive-keyring.gpg")
RELEASES = {"bookworm": DEBIAN, "trixie": DEBIAN, "noble": UBUNTU}
TRIALS = ("root/demo", "user/demo", "root/test")
PACKAGES = "python3,make,git,sudo,ca-certificates"  # what somebody has who is about to type the two commands
HOMES = {"root": "/root", "user": "/home/user"}
SHOWN = 12  # lines of each trial's output
CERTIFICATES = "/etc/ssl/this-machine.crt"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

# What is mounted, and what must not be left behind. The shell stays process 1, where it reaps what others leave to it.
INSIDE = r"""
set -eu
cd "$1"
mount -t overlay overlay -o lowerdir=../base,upperdir=upper,workdir=work machine
mount -t proc proc machine/proc
mount -t sysfs -o ro sysfs machine/sys
mount -t tmpfs -o mode=755 dev machine/dev
for device in null zero full random urandom tty; do
  touch "machine/dev/$device"
  mount --bind "/dev/$device" "machine/dev/$device"
done
mkdir machine/dev/pts machine/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts machine/dev/pts
mount -t tmpfs -o mode=1777 shm machine/dev/shm
ln -s pts/ptmx machine/dev/ptmx
ln -s /proc/self/fd machine/dev/fd
ln -s fd/0 machine/dev/stdin
ln -s fd/1 machine/dev/stdout
ln -s fd/2 machine/dev/stderr
code=0
chroot machine su --login "$2" --command "cd registry && $3" || code=$?
[ "$code" = 0 ] || exit "$code"
for process in machine/proc/[0-9]*; do
  [ "${process##*/}" = $$ ] || [ ! -e "$process/exe" ] || left="${left:-} $(tr '\0' ' ' < "$process/cmdline")"
done
left="${left:-}$(find machine/tmp machine/etc machine/var/lib machine/var/log machine/run -name '*tour-*' 2> /dev/null)"
[ "$2" = root ] || left="$left$(find "machine/home/$2" ! -user "$(chroot machine id -u "$2")")"
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
"""


def main() -> int:
    """Run the trials one after another; the exit code is 1 if one failed or none ran."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, metavar="CACHE", help="the folder of root file systems and logs")
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help="what to run; by default all that can be")
    given = parser.parse_args()
    if os.geteuid():
        raise SystemExit("This makes root file systems and mounts them, so it has to run as root.")
    signal.signal(signal.SIGTERM, lambda *dummy: sys.exit(1))  # so that what was made for a trial is removed
    cache = given.cache.resolve() / "fresh"
    trials = []
    for name in given.trials or ["bookworm", "trixie", *(["noble"] if mirror("noble") else [])]:
        trials += [name] if "/" in name else [f"{name}/{trial}" for trial in TRIALS]
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    outcomes = []
    for trial in trials:
        release, who, target = trial.split("/", 2)
        folder = cache / release
        if not (folder / "base").is_dir():
            make_base(release, folder)
        begin = time.monotonic()
        name = re.sub(r"\W+", "-", trial).strip("-")[:60]
        log = cache / "logs" / f"{name}.log"
        print(f"----- {trial}, log in {log}", flush=True)
        passed = run(folder / name, who, f"make {target}", log)
        outcomes.append(passed)
        print(*log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:], sep="\n", flush=True)
        print(f"{'passed' if passed else 'failed'} {trial} {time.monotonic() - begin:.0f} s", flush=True)
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if outcomes and all(outcomes) else 1


def mirror(release: str) -> str:
    """The URL of the release's packages, as this machine is configured; empty if it is not."""
    if given := os.environ.get(f"FRESH_MIRROR_{release.upper()}"):
        return given
    origin = "Ubuntu" if RELEASES[release] == UBUNTU else "Debian"
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Origin: {origin}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    usable = [line for line in lines if "security" not in line and "://" in line]
    return usable[0] if usable and keyring(release).exists() else ""


def keyring(release: str) -> Path:
    """The keys that sign the release's packages."""
    given = os.environ.get(f"FRESH_KEYRING_{release.upper()}")
    return Path(given) if given else Path("/usr/share/keyrings") / RELEASES[release][1]


def make_base(release: str, folder: Path) -> None:
    """Make the release's root file system, with this machine's settings, in `folder/base`."""
    if not mirror(release):
        raise SystemExit(f"No mirror and keyring for {release} on this machine; see {Path(__file__).name}.")
    part = folder / "base.part"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    components = RELEASES[release][0]
    script = Path("/usr/share/debootstrap/scripts") / release
    generic = "gutsy" if RELEASES[release] == UBUNTU else "sid"  # where debootstrap is older than the release
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        f"--components={components.replace(' ', ',')}",
    ]
    command += [f"--keyring={keyring(release)}", release, str(part), mirror(release)]
    command += [] if script.exists() else [str(script.with_name(generic))]
    print(f"making {release} with debootstrap", flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": PATH})
    (part / "etc/apt/sources.list").write_text(f"deb {mirror(release)} {release} {components}\n", encoding="utf-8")
    proxies = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^Acquire::https?::Proxy.*$", proxies, re.MULTILINE)
    (part / "etc/apt/apt.conf.d/80proxy").write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
    bundle = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    shutil.copy(bundle or "/etc/ssl/certs/ca-certificates.crt", part / CERTIFICATES[1:])
    write_pip_settings(part / "etc/pip.conf")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, part / "etc" / name)
    chroot = ("chroot", str(part))
    subprocess.run([*chroot, "useradd", "--create-home", "--shell", "/bin/bash", "user"], check=True)
    (part / "etc/sudoers.d/user").write_text("user ALL=(ALL) NOPASSWD: ALL\n", encoding="utf-8")
    part.rename(folder / "base")


def write_pip_settings(path: Path) -> None:
    """Gather what this machine's files and environment tell pip about its index, and write it to a file."""
    settings = configparser.RawConfigParser()
    settings.read("/etc/pip.conf")
    if not settings.has_section("global"):
        settings.add_section("global")
    for name in ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout"):
        if value := os.environ.get(f"PIP_{name.replace('-', '_').upper()}"):
            settings.set("global", name, value)
    settings.set("global", "cert", CERTIFICATES)
    with path.open("w", encoding="utf-8") as file:
        settings.write(file)


def run(folder: Path, who: str, command: str, log: Path) -> bool:
    """Run a command in a clone in the home folder of `who`, on a machine whose changes are in `folder`."""
    base = folder.parent / "base"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("upper", "work", "machine"):
        (folder / name).mkdir(parents=True)
    clone = folder / "upper" / HOMES[who][1:] / "registry"
    clone.parent.mkdir(parents=True)
    shutil.copystat(base / HOMES[who][1:], clone.parent)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    owner = (base / HOMES[who][1:]).stat()
    for path in (clone.parent, clone, *clone.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    # The namespaces end with this process, however it ends.
    namespaces = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    try:
        with log.open("w", encoding="utf-8") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb"}
            inside = ["bash", "-c", INSIDE, "bash", str(folder), who, command]
            return subprocess.run([*namespaces, *inside], **streams, env=env, check=False).returncode == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
