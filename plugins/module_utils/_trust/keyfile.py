# SPDX-License-Identifier: GPL-3.0-or-later
"""What cosign keeps in an encrypted private key: JSON that names scrypt and secretbox, and a sealed PKCS#8 key.

The form is that of sigstore's package ``encrypted`` (go-securesystemslib), and so are the three costs that it allows.
"""

from __future__ import annotations

import hashlib
import os

from .._errors import ContentError, InvalidInput, Unsupported
from .._oci.manifest import Json, canonical_json, parse_json
from . import secretbox, texts

COST = 65536  # scrypt's N of a new key
COSTS = (32768, COST, 131072)  # no other: the file says how much memory is taken, 128 MiB for the largest
_R, _P, _SALT_SIZE = 8, 1, 32


def passphrase_bytes(text: str) -> bytes:
    """Return a passphrase in UTF-8, as the bytes came where they were none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # its own text would tell the passphrase
        raise InvalidInput("The passphrase has half a character in it.", "KEY_INVALID") from None


def seal(der: bytes, passphrase: bytes, cost: int = COST) -> bytes:
    """Return the JSON that holds a private key, with a salt and a nonce of its own."""
    salt, nonce = os.urandom(_SALT_SIZE), os.urandom(secretbox.NONCE_SIZE)
    box = secretbox.seal(_scrypt(passphrase, salt, cost), nonce, der)
    kdf = {"name": "scrypt", "params": {"N": cost, "r": _R, "p": _P}, "salt": texts.base64_of(salt)}
    cipher = {"name": "nacl/secretbox", "nonce": texts.base64_of(nonce)}
    return canonical_json({"kdf": kdf, "cipher": cipher, "ciphertext": texts.base64_of(box)})


def unseal(raw: bytes, passphrase: bytes, what: str) -> bytes:
    """Return the PKCS#8 key in such JSON; InvalidInput about ``what`` where it, or the passphrase, is wrong."""
    try:
        cost, salt, nonce, box = _read(raw, what)
    except ContentError as exc:
        raise InvalidInput(str(exc), "KEY_INVALID") from None
    der = secretbox.unseal(_scrypt(passphrase, salt, cost), nonce, box)
    if der is None:
        text = f"{what} does not open with this passphrase; another one is right, or the file was changed."
        raise InvalidInput(text, "PASSPHRASE_WRONG")
    return der


def _read(raw: bytes, what: str) -> tuple[int, bytes, bytes, bytes]:
    value = parse_json(raw, what)
    kdf, cipher = _object(value, "kdf"), _object(value, "cipher")
    params = _object(kdf, "params")
    work = [params.get(name) for name in ("N", "r", "p")]
    if kdf.get("name") != "scrypt" or cipher.get("name") != "nacl/secretbox":
        raise ContentError(f"{what} is encrypted with something else than scrypt and nacl/secretbox, cosign's choice.")
    if repr(work) not in [repr([cost, _R, _P]) for cost in COSTS]:  # as text, where True and 8.0 are no numbers
        known = ", ".join(map(str, COSTS))
        raise ContentError(f"{what} asks for other work than cosign ever did: N must be one of {known}, r 8 and p 1.")
    salt = texts.from_base64(kdf.get("salt"), f"The salt of {what}")
    nonce = texts.from_base64(cipher.get("nonce"), f"The nonce of {what}")
    box = texts.from_base64(value.get("ciphertext"), f"The ciphertext of {what}")
    if len(nonce) != secretbox.NONCE_SIZE or len(box) < secretbox.TAG_SIZE:
        raise ContentError(f"{what} has a nonce or a ciphertext of a wrong length.")
    return int(work[0]), salt, nonce, box


def _object(value: Json, key: str) -> Json:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _scrypt(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    memory = 128 * cost * _R + (1 << 20)
    try:
        return hashlib.scrypt(passphrase, salt=salt, n=cost, r=_R, p=_P, maxmem=memory, dklen=secretbox.KEY_SIZE)
    except (AttributeError, ValueError, MemoryError):  # Python without scrypt; rules of the host, such as FIPS
        megabytes = memory >> 20
        text = f"scrypt is not to be had from this host's Python and OpenSSL, or not with {megabytes} MiB of memory."
        raise Unsupported(text, "KEY_UNUSABLE") from None
