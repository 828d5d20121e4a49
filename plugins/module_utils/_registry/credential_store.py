# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing credentials: into the files that docker and podman share, or into their helpers."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile

from .._errors import CredentialError
from .credentials import Credential, RunCommand, normal_key, read_auth_file


def check_place(path: str) -> None:
    """Raise CredentialError where a credentials file cannot be written, as far as that shows; links are followed."""
    place = os.path.realpath(path)
    if os.path.exists(place) and not os.path.isfile(place):
        raise CredentialError(f"The credentials file {path} is no regular file; set auth_file to another one.")
    folder = os.path.dirname(place)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise _unwritable(path, f"{folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(path, f"the user of the task may not write to the folder {folder}")


def _unwritable(path: str, why: str | None) -> CredentialError:
    return CredentialError(f"The credentials file {path} cannot be written: {why}.")


def is_open_to_others(path: str) -> bool:
    """Can others than its owner read a credentials file?"""
    try:
        return bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False


def store_entry(path: str, key: str, new_key: str, credential: Credential | None) -> None:
    """Set or remove (None) the entry of a registry; everything else in the file stays as it is.

    The file is read again under a lock and replaced as a whole, with mode 0600; a link is followed.
    """
    check_place(path)
    place = os.path.realpath(path)
    folder = os.path.dirname(place)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            config = read_auth_file(place)
            auths = dict(config.get("auths") or {})
            names = [name for name in auths if normal_key(name) == key]
            auths = {name: entry for name, entry in auths.items() if name not in names}
            if credential:
                auths[names[0] if names else new_key] = {"auth": credential.basic}
            _replace(place, json.dumps({**config, "auths": auths}, indent="\t") + "\n")
        finally:
            os.close(lock)
    except OSError as exc:
        raise _unwritable(path, exc.strerror) from None


def _replace(path: str, text: str) -> None:
    try:
        owner = os.stat(path)
    except FileNotFoundError:
        owner = None
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".auth-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if owner and os.geteuid() == 0:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        _take_its_place(temporary, path, text)
    except BaseException:
        os.unlink(temporary)
        raise


def _take_its_place(temporary: str, path: str, text: str) -> None:
    """Give a file its name; one that is mounted into a container by itself keeps its name, and is written in place."""
    try:
        os.replace(temporary, path)
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.unlink(temporary)


def store_in_helper(run: RunCommand, helper: str, server: str, credential: Credential | None) -> None:
    """Hand a credential to ``docker-credential-HELPER``, on its standard input, or have it erase the one it has."""
    program = f"docker-credential-{helper}"
    if credential:
        entry = {"ServerURL": server, "Username": credential.username, "Secret": credential.password}
        code, output = run([program, "store"], json.dumps(entry))
    else:
        code, output = run([program, "erase"], server)
    if code:
        said = (output.strip().splitlines() or ["no reason given"])[0][:200]
        raise CredentialError(f"The credential helper {program} did not store the change for {server}: {said}.")
