# SPDX-License-Identifier: GPL-3.0-or-later
"""The password file: bcrypt through the system's own libcrypt, so that nothing has to be installed."""

from __future__ import annotations

import ctypes
import ctypes.util
import hmac
import secrets
from collections.abc import Sequence

from lab_registry.settings import Refused, User

ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
COST = "10"


def _library() -> ctypes.CDLL:
    for name in (
        "libcrypt.so.1",
        "libcrypt.so.2",
        ctypes.util.find_library("crypt"),
        None,
    ):  # None: musl has it in libc
        try:
            library = ctypes.CDLL(name)
            library.crypt.restype = ctypes.c_char_p
            library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        except (OSError, AttributeError):
            continue
        return library
    raise Refused("lab_registry_users needs libcrypt on the target: install libxcrypt (Fedora) or libcrypt1 (Debian).")


def bcrypt(password: str, setting: str) -> str:
    """The hash of a password by the salt and cost at the head of `setting`; empty where `setting` is no bcrypt."""
    if not setting.startswith("$2"):
        return ""
    found = _library().crypt(password.encode("utf-8", "surrogatepass"), setting.encode())
    return (found or b"").decode() if (found or b"").startswith(b"$2") else ""


def fits(password: str, known: str) -> bool:
    """Whether this is the password behind a hash."""
    return bool(known) and hmac.compare_digest(bcrypt(password, known), known)


def password_file(users: Sequence[User], before: bytes | None) -> tuple[bytes, list[str]]:
    """The file's content, and the users who are new or have another password. A hash that still fits is kept."""
    known = {}
    for line in (before or b"").decode("utf-8", "replace").splitlines():
        name, colon, found = line.partition(":")
        if colon:
            known[name] = found
    lines, changed = [], []
    for user in users:
        found = known.get(user.name, "")
        if not fits(user.password, found):
            salt = "".join(secrets.choice(ALPHABET) for dummy in range(21)) + secrets.choice(".Oeu")  # 128 bits
            found = bcrypt(user.password, f"$2b${COST}${salt}")
            if not found:
                raise Refused("The target's libcrypt has no bcrypt, which lab_registry_users needs: update libxcrypt.")
            changed.append(user.name)
        lines.append(f"{user.name}:{found}\n")
    return "".join(lines).encode(), changed
