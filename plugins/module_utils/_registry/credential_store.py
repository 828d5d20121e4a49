# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing credentials: into the files that docker and podman share, or into their helpers."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import typing as t

from .._errors import CredentialError
from .credentials import Credential, RunCommand, normal_key, read_auth_file


def store_entry(path: str, key: str, new_key: str, credential: Credential | None) -> None:
    """Set or remove (None) the entry of a registry; everything else in the file stays as it is.

    The file is read again under a lock and replaced as a whole, with mode 0600; a link is followed.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = read_auth_file(path)
        auths = dict(config.get("auths") or {})
        names = [name for name in auths if normal_key(name) == key]
        auths = {name: entry for name, entry in auths.items() if name not in names}
        if credential:
            auths[names[0] if names else new_key] = {"auth": credential.basic}
        _replace(path, {**config, "auths": auths})
    finally:
        os.close(lock)


def _replace(path: str, config: t.Mapping[str, t.Any]) -> None:
    try:
        owner = os.stat(path)
    except FileNotFoundError:
        owner = None
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".auth-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(config, file, indent="\t")
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        if owner and os.geteuid() == 0:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
