# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that sign and verify: ECDSA on P-256, P-384 and P-521, RSA, Ed25519; SHA-256 whatever the key."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field

from .._errors import InvalidInput, MissingLibrary
from . import keyfile, pem, texts

IMPORT_ERROR: ImportError | None = None
try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
except ImportError as exc:
    IMPORT_ERROR = exc

_ENCRYPTED = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")  # the second is the older
_PRIVATE = ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")
_PUBLIC = ("PUBLIC KEY", "RSA PUBLIC KEY")
_CURVES = {"secp256r1": "ECDSA P-256", "secp384r1": "ECDSA P-384", "secp521r1": "ECDSA P-521"}
_PSS = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"  # its object identifier (RFC 8017, appendix C)
_RSA_BITS = (2048, 8192)  # the least that is safe, and the most that anybody uses
_KNOWN = "ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519"


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies. ``fingerprint`` is cosign's hint: base64 of the SHA-256 of the key's DER (SPKI)."""

    kind: str
    fingerprint: str
    pem: bytes = field(repr=False)
    _key: t.Any = field(repr=False, compare=False)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Say whether this key signed the message: ASN.1 for ECDSA, PKCS#1 v1.5 for RSA, plain Ed25519."""
        try:
            self._key.verify(signature, message, *_scheme(self.kind))
        except InvalidSignature:
            return False
        return True

    @property
    def doubt(self) -> str:
        """What else the reason may be where a signature is not by this key; empty where there is none."""
        if self.kind == "Ed25519":
            return "cosign 3 signs with Ed25519ph where the key is Ed25519, which cannot be verified here"
        if self.kind in ("ECDSA P-384", "ECDSA P-521"):
            return f"cosign 3 signs with a longer hash than SHA-256 where the key is {self.kind}, which does not count"
        return ""


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs, and its public half."""

    public: PublicKey
    _key: t.Any = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """Return a signature that `PublicKey.verify` takes; the same one each time where the library can do that."""
        return t.cast(bytes, self._key.sign(message, *_scheme(self.public.kind, signing=True)))

    def seal(self, passphrase: str) -> bytes:
        """Return the text of cosign's encrypted private key; it is another one each time."""
        der = self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem.write(_ENCRYPTED[0], keyfile.seal(der, keyfile.passphrase_bytes(passphrase)))


def _scheme(kind: str, signing: bool = False) -> tuple[t.Any, ...]:
    """Return what `sign` and `verify` of the library want beside the message."""
    if kind == "Ed25519":
        return ()
    if kind == "RSA":
        return (padding.PKCS1v15(), hashes.SHA256())
    if signing:
        try:
            return (ec.ECDSA(hashes.SHA256(), deterministic_signing=True),)  # RFC 6979
        except (TypeError, UnsupportedAlgorithm):  # cryptography before 43, OpenSSL before 3.2
            pass
    return (ec.ECDSA(hashes.SHA256()),)


def load_public(raw: bytes, what: str) -> PublicKey:
    """Read a public key in PEM; InvalidInput about ``what`` where it is none. The text itself is never told."""
    _need_library()
    block = pem.read(raw, what)
    if block.label not in _PUBLIC:
        hint = "; its public half is wanted here" if "PRIVATE" in block.label else ""
        raise _invalid(what, f"is a PEM block {block.label!r}, not a public key{hint}")
    _refuse_pss(block.data, what)
    try:
        key = serialization.load_der_public_key(block.data)
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid(what, f"is a public key that cannot be read; what can be is {_KNOWN}") from None
    return _public(key, what)


def load_private(raw: bytes, passphrase: str | None, what: str) -> PrivateKey:
    """Read a private key in PEM: cosign's with its passphrase (which may be empty), or PKCS#8, SEC1, PKCS#1 in clear.

    Raises InvalidInput about ``what``, without a word of the key or the passphrase.
    """
    _need_library()
    block = pem.read(raw, what)
    if block.label in _ENCRYPTED:
        if passphrase is None:
            raise _invalid(what, "is encrypted; give its passphrase (an empty one, if it is empty)")
        der = keyfile.unseal(block.data, keyfile.passphrase_bytes(passphrase), what)
    elif block.encrypted or block.label == "ENCRYPTED PRIVATE KEY":
        raise _invalid(what, "is not encrypted as cosign does it; 'cosign import-key-pair' changes it")
    elif block.label not in _PRIVATE:
        raise _invalid(what, f"is a PEM block {block.label!r}, not a private key")
    else:
        der = block.data
    _refuse_pss(der, what)
    try:
        key: t.Any = serialization.load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _invalid(what, f"is a private key that cannot be read; what can be is {_KNOWN}") from None
    return PrivateKey(_public(key.public_key(), what), key)


def generate() -> PrivateKey:
    """Make a new key, on P-256."""
    _need_library()
    key = ec.generate_private_key(ec.SECP256R1())
    return PrivateKey(_public(key.public_key(), "The new key"), key)


def _need_library() -> None:
    if IMPORT_ERROR:
        raise MissingLibrary("cryptography")


def _invalid(what: str, why: str) -> InvalidInput:
    return InvalidInput(f"{what} {why}.", "KEY_INVALID")


def _refuse_pss(der: bytes, what: str) -> None:
    """Refuse a key that may sign in one way only, which is not ours; the library does not tell it apart."""
    if _PSS in der[:64]:
        raise _invalid(what, f"is a key for RSASSA-PSS, which cosign and podman cannot read; use {_KNOWN}")


def _public(key: t.Any, what: str) -> PublicKey:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    kind = _kind(key, what)
    der = key.public_bytes(serialization.Encoding.DER, form)
    return PublicKey(kind, texts.base64_of(hashlib.sha256(der).digest()), pem.write("PUBLIC KEY", der), key)


def _kind(key: t.Any, what: str) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(key, rsa.RSAPublicKey):
        if not _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1]:
            raise _invalid(what, f"is an RSA key of {key.key_size} bits; {_RSA_BITS[0]} to {_RSA_BITS[1]} are taken")
        return "RSA"
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else ""
    if curve not in _CURVES:
        raise _invalid(what, f"is a key of a kind that is not used here{f' ({curve})' if curve else ''}; use {_KNOWN}")
    return _CURVES[curve]
