# SPDX-License-Identifier: GPL-3.0-or-later
"""The host: files, commands, processes. In check mode everything is looked at and nothing is done."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Callable

from lab_registry.settings import Refused

# Started by sudo or a service, the search path may hold next to nothing.
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(command: str) -> str:
    """The path of a command, or nothing."""
    return shutil.which(command, path=os.pathsep.join(filter(None, (os.environ.get("PATH"), SEARCH)))) or ""


def run(argv: list[str], stdin: bytes = b"", timeout: int = 120, env: dict[str, str] | None = None) -> Any:
    """Run a command to its end; a secret is only ever on `stdin`. A command that hangs counts as failed."""
    clean = (
        {"PATH": os.pathsep.join(filter(None, (os.environ.get("PATH"), SEARCH))), "LC_ALL": "C"} if env is None else env
    )
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, env=clean, cwd="/", check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, b"", f"no answer within {timeout} seconds".encode())
    except OSError as exc:
        return subprocess.CompletedProcess(argv, 127, b"", str(exc).encode())


def words(done: Any) -> str:
    """The last line of what a command complained of, or else said, for a sentence."""
    for output in (done.stderr, done.stdout):
        lines: list[str] = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return f"exit code {done.returncode}"


def read(path: str) -> bytes | None:
    """A file's content, or None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass
class Host:
    """What is done is told in sentences, the same in check mode but for `would be`."""

    check: bool
    actions: list[str] = field(default_factory=list)

    def do(self, subject: str, participle: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Do it, unless in check mode, and tell it: `The registry lab`, `started`."""
        self.actions.append(f"{subject} {'would be' if self.check else 'was'} {participle}.")
        if not self.check:
            function(*arguments)

    def folder(self, path: str, mode: int, uid: int = 0, gid: int = 0) -> None:
        """A folder of this mode and owner; its parents are made where they are missing."""
        try:
            there = os.stat(path)
        except FileNotFoundError:
            self.do(path, "made", _make_folder, path, mode, uid, gid)
            return
        if (stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid) != (mode, uid, gid):
            self.do(path, "given its mode and owner", _own, path, mode, uid, gid)

    def write(self, path: str, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> bool:
        """A file of this content, mode and owner, replaced in one step; says whether its content changed."""
        before = read(path)
        if before != content:
            self.do(path, "written", _replace, path, content, mode, uid, gid)
            return True
        there = os.stat(path)
        if (stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid) != (mode, uid, gid):
            self.do(path, "given its mode and owner", _own, path, mode, uid, gid)
        return False

    def remove(self, path: str) -> None:
        """No such file, link or folder."""
        if os.path.isdir(path) and not os.path.islink(path):
            self.do(path, "removed", shutil.rmtree, path)
        elif os.path.lexists(path):
            self.do(path, "removed", os.unlink, path)

    def remove_if_empty(self, path: str) -> None:
        """No such folder, unless it holds something."""
        if os.path.isdir(path) and (self.check or not os.listdir(path)):
            with contextlib.suppress(OSError):
                if not self.check:
                    os.rmdir(path)


@dataclass(frozen=True)
class Kept:
    """A file as it was; no content stands for no file."""

    path: str
    content: bytes | None
    mode: int
    uid: int
    gid: int

    def put_back(self) -> None:
        """Make the file again what it was."""
        if self.content is None:
            Host(False).remove(self.path)
        else:
            Host(False).write(self.path, self.content, self.mode, self.uid, self.gid)


def keep(path: str) -> Kept:
    """Remember a file."""
    content = read(path)
    if content is None:
        return Kept(path, None, 0, 0, 0)
    there = os.stat(path)
    return Kept(path, content, stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid)


def _make_folder(path: str, mode: int, uid: int, gid: int) -> None:
    os.makedirs(path, 0o755, exist_ok=True)
    _own(path, mode, uid, gid)


def _own(path: str, mode: int, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def _replace(path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".lab-registry-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """One at a time, and no file left behind: who waited for a file that is gone by then takes the new one."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)
    try:
        yield
    finally:
        os.unlink(path)
        os.close(handle)


@dataclass(frozen=True)
class Account:
    """A user of the host; the numbers are -1 where it is still to be made."""

    name: str
    uid: int
    gid: int


def account(name: str) -> Account:
    """The user of this name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return Account(name, -1, -1)
    return Account(name, entry.pw_uid, entry.pw_gid)


def make_account(name: str) -> Account:
    """Make a user of the system without home and shell; another play may be faster."""
    done = run(
        [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            name,
        ]
    )
    made = account(name)
    if made.uid < 0:
        raise Refused(f"The user {name} could not be made: {words(done)}.")
    return made


def unreachable(path: str, who: Account) -> str:
    """The first folder above `path` that this user may not enter, or nothing."""
    place = "/"
    for part in os.path.realpath(path).split("/")[1:-1]:
        place = os.path.join(place, part)
        try:
            there = os.stat(place)
        except FileNotFoundError:
            return ""
        bit = 0o100 if there.st_uid == who.uid else 0o010 if there.st_gid == who.gid else 0o001
        if not there.st_mode & bit:
            return place
    return ""


# ---------------------------------------------------------------------------------------------------------- processes


def processes(*tail: str) -> list[int]:
    """Living processes, also those of containers, whose command line is a program and these words."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        line = _quietly(f"/proc/{pid}/cmdline").split(b"\0")[:-1]  # that of a zombie is empty
        if tuple(part.decode("utf-8", "replace") for part in line[1:]) == tail:
            found.append(int(pid))
    return sorted(found)


def is_elsewhere(pid: int) -> bool:
    """Whether a process is in a container or a chroot, where the same names stand for other files, or is gone."""
    try:
        same_root = os.path.samefile(f"/proc/{pid}/root", "/")
        return not same_root or os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    except OSError:
        return True


def variable(pid: int, name: str) -> str:
    """A variable of a process's environment, as it was started."""
    for entry in _quietly(f"/proc/{pid}/environ").split(b"\0"):
        if entry.startswith(name.encode() + b"="):
            return entry.partition(b"=")[2].decode("utf-8", "replace")
    return ""


def replaced(pid: int) -> bool:
    """Whether the program of a process was replaced since, as by an upgrade."""
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)")
    except OSError:
        return False


@dataclass(frozen=True)
class Listener:
    """A process that listens; its number is 0 where it cannot be found out."""

    address: str
    pid: int
    program: str


def listeners(port: int) -> list[Listener]:
    """Who listens at this TCP port, at whatever address."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _quietly(table).decode().splitlines()[1:]:
            fields = line.split()
            address, dummy, hexadecimal = fields[1].partition(":")
            if fields[3] == "0A" and int(hexadecimal, 16) == port:  # LISTEN
                sockets[fields[9]] = _address(address)
    owners: dict[str, int] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")) if sockets else ():
        with contextlib.suppress(OSError):
            for handle in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    match = re.fullmatch(r"socket:\[([0-9]+)\]", os.readlink(f"/proc/{pid}/fd/{handle}"))
                    if match and match.group(1) in sockets:
                        owners.setdefault(match.group(1), int(pid))
    found = []
    for inode, address in sockets.items():
        pid_of = owners.get(inode, 0)
        found.append(Listener(address, pid_of, _quietly(f"/proc/{pid_of}/comm").decode("utf-8", "replace").strip()))
    return found


def overlap(one: str, other: str) -> bool:
    """Whether two listening addresses exclude each other."""
    return one == other or bool({one, other} & {"", "0.0.0.0", "::"})


def _address(hexadecimal: str) -> str:
    """An address of /proc/net/tcp, which has its words in the machine's order."""
    raw = bytes.fromhex(hexadecimal)
    flipped = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    found = ipaddress.ip_address(flipped)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _quietly(path: str) -> bytes:
    """What a file of /proc says; nothing where the process is gone or somebody else's."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
