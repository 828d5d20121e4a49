# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a key pair that signs: the private key as cosign keeps it, encrypted, in a file for its owner alone."""

from __future__ import annotations

import os
import typing as t
from functools import partial

from .._archives.atomic import atomic_write, check_file, write_file
from .._errors import InvalidInput
from .._plan import Draft, Outcome, Plan, Step
from .._registry.session import Session
from .._trust.keys import PrivateKey, generate, load_private
from .._trust.trust import read_file

_NEW = "that of a new key"


def plan_key(
    session: Session,
    *,
    path: str,
    public_path: str | None,
    passphrase: str,
    force: bool,
    mode: object,
    prepare: t.Callable[[str], object] = lambda temporary: None,
) -> Plan:
    """Plan a private key, unless there is one that opens with the passphrase, and the file with its public half.

    ``mode`` is set by ``prepare``. Raises InvalidInput (KEY_INVALID, PASSPHRASE_WRONG) for another file, unless
    ``force``; MissingLibrary.
    """
    del mode
    session.transport.secrets |= {passphrase} if passphrase else set()
    place = check_file(path)
    public_place = check_file(public_path) if public_path is not None else None
    if place == public_place:
        raise InvalidInput("path and public_path are the same file; the public key needs one of its own.")
    draft = Draft()
    there = _there(draft, place, path, passphrase, force)
    key = there or generate()
    old = _read(public_place) if public_place else None
    known = {"public_key": key.public.pem.decode("ascii"), "key_fingerprint": key.public.fingerprint}
    outcome = None if there else Outcome(result=known)
    if there is None:
        text = f"Replace the key at {path}." if os.path.exists(place) else f"Make a key at {path}."
        draft.do(Step(text, partial(_write_private, place, key, passphrase, prepare, outcome)))
    if public_place and old != key.public.pem:
        draft.do(Step(f"Write its public key to {public_path}.", partial(write_file, public_place, [key.public.pem])))
    before = {"key": key.public.fingerprint if there else _kind(place), "public_key": _shown(old)}
    after = {
        "key": before["key"] if there else _NEW,
        "public_key": None if public_place is None else known["public_key"] if there else _NEW,
    }
    result = {"path": path, **(known if there else dict.fromkeys(known))}
    return draft.plan(result, before, after)


def _there(draft: Draft, place: str, path: str, passphrase: str, force: bool) -> PrivateKey | None:
    """Return the key that is there; None where a new one is to be made."""
    if not os.path.exists(place):
        return None
    raw = read_file(place)
    try:
        key = load_private(raw, passphrase, f"The key {path}")
    except InvalidInput as exc:
        if force:
            return None
        raise InvalidInput(f"{exc} Set force: true to replace it.", exc.code) from None
    if b"ENCRYPTED" not in raw:
        draft.warn(f"The key {path} is not encrypted; it is left as it is.")
    return key


def _kind(place: str) -> str | None:
    return "another file" if os.path.exists(place) else None


def _shown(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _read(place: str) -> bytes | None:
    return read_file(place) if os.path.exists(place) else None


def _write_private(
    place: str, key: PrivateKey, passphrase: str, prepare: t.Callable[[str], object], outcome: Outcome | None
) -> Outcome | None:
    """Write the file; at no time may others read what is in it."""
    with atomic_write(place, prepare, mode=0o600) as handle, open(handle, "wb", closefd=False) as file:
        file.write(key.seal(passphrase))
    return outcome
