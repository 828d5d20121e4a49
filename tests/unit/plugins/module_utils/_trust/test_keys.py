# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: every form that is taken, every one that is not, and never a secret in a text."""

from __future__ import annotations

import base64
import hashlib
import json
import traceback

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, MissingLibrary, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._trust import keyfile, keys, pem
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import content, key_text
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519

CLEAR, PKCS8 = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
PASSPHRASE = "correct horse"
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def private_pem(key, form=PKCS8, encryption=CLEAR) -> bytes:
    return key.private_bytes(PEM, form, encryption)


def public_pem(key, form=SPKI) -> bytes:
    return key.public_key().public_bytes(PEM, form)


def for_pss(raw: bytes) -> bytes:
    """An RSA key as OpenSSL writes those that may sign in that way only."""
    block = pem.read(raw, "")
    kinds = [bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("01", "0a")]
    return pem.write(block.label, block.data.replace(*kinds))


def changed(**members) -> bytes:
    """An encrypted key of which some members are other ones; N stands for kdf.params.N, and so on."""
    value = json.loads(pem.read(content("keys/py-p256-n32768.key"), "").data)
    for name, new in members.items():
        place, _underscore, member = name.rpartition("_")
        into = {"": value, "kdf": value["kdf"], "params": value["kdf"]["params"], "cipher": value["cipher"]}[place]
        into[member] = new
    return pem.write("ENCRYPTED SIGSTORE PRIVATE KEY", json.dumps(value).encode())


@pytest.mark.parametrize(
    ("key", "form", "kind"),
    [
        (P256, PKCS8, "ECDSA P-256"),
        (P256, TRADITIONAL, "ECDSA P-256"),
        (ec.generate_private_key(ec.SECP384R1()), PKCS8, "ECDSA P-384"),
        (ec.generate_private_key(ec.SECP521R1()), TRADITIONAL, "ECDSA P-521"),
        (RSA, PKCS8, "RSA"),
        (RSA, TRADITIONAL, "RSA"),
        (ed25519.Ed25519PrivateKey.generate(), PKCS8, "Ed25519"),
    ],
)
def test_keys_in_clear(key, form, kind):
    private = keys.load_private(private_pem(key, form), None, "The key")
    public = keys.load_public(public_pem(key), "The key")
    assert private.public == public and public.kind == kind and private.public.pem == public_pem(key)
    assert public.verify(private.sign(b"a"), b"a")
    assert not public.verify(private.sign(b"a"), b"b") and not public.verify(b"", b"a")
    sealed = keys.load_private(private.seal(PASSPHRASE), PASSPHRASE, "The key")
    assert sealed.public == public and public.verify(sealed.sign(b"c"), b"c")
    der = key.public_key().public_bytes(serialization.Encoding.DER, SPKI)
    assert public.fingerprint == base64.b64encode(hashlib.sha256(der).digest()).decode()


def test_other_ways_to_write_the_same_key() -> None:
    first = private_pem(P256, TRADITIONAL)
    assert keys.load_private(PARAMETERS + first, None, "") == keys.load_private(first, None, "")
    assert keys.load_private(b"A note.\r\n" + first.replace(b"\n", b"\r\n"), "unused", "").public.kind == "ECDSA P-256"
    assert keys.load_public(public_pem(RSA, serialization.PublicFormat.PKCS1), "").pem == public_pem(RSA)


def test_a_new_key() -> None:
    key = keys.generate()
    texts = {key.seal(""), key.seal("")}
    assert len(texts) == 2 and keys.generate() != key and key.public.kind == "ECDSA P-256"
    for text in texts:
        assert text.startswith(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n") and text.endswith(b"-----\n")
        assert max(map(len, text.split(b"\n"))) <= 64
        assert keys.load_private(text, "", "").public == key.public
        with pytest.raises(InvalidInput, match="passphrase"):
            keys.load_private(text, None, "The key")


def test_a_signature_is_the_same_each_time() -> None:
    key = keys.load_private(private_pem(P256), None, "")
    try:
        ec.ECDSA(keys.hashes.SHA256(), deterministic_signing=True)
    except (TypeError, keys.UnsupportedAlgorithm):
        assert key.sign(b"a") != key.sign(b"a")
    else:
        assert key.sign(b"a") == key.sign(b"a") != key.sign(b"b")


def test_signing_where_the_library_is_old(monkeypatch) -> None:
    real = ec.ECDSA

    def without_option(algorithm):
        return real(algorithm)

    monkeypatch.setattr(keys.ec, "ECDSA", without_option)
    key = keys.load_private(private_pem(P256), None, "")
    assert key.public.verify(key.sign(b"a"), b"a")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "holds 0 PEM blocks"),
        (b"no key", "holds 0 PEM blocks"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n6162", "is encrypted by ansible-vault; give its text"),
        (public_pem(P256) * 2, "holds 2 PEM blocks"),
        (public_pem(P256)[:-10], "does not end"),
        (b"-----BEGIN " + b"A" * 70 + b"-----\n-----END " + b"A" * 70 + b"-----", "does not end"),
        (public_pem(P256).replace(b"M", b"%", 1), "not base64"),
        (b"x" * (pem.MAX_SIZE + 1), "more than 65536 bytes"),
        (private_pem(P256), "not a public key; its public half"),
        (content("keys/go-p256.key"), "not a public key; its public half"),
        (pem.write("CERTIFICATE", b"x"), "'CERTIFICATE', not a public key"),
        (pem.write("PUBLIC KEY", b"x"), "cannot be read; what can be is ECDSA on P-256"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), r"not used here \(secp256k1\)"),
        (public_pem(x25519.X25519PrivateKey.generate()), "not used here"),
        (public_pem(dsa.generate_private_key(2048)), "not used here"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "RSA key of 1024 bits; 2048 to 8192"),
        (for_pss(public_pem(RSA)), "for RSASSA-PSS, which cosign and podman cannot read; use ECDSA"),
    ],
)
def test_no_public_key(raw, why):
    with pytest.raises(InvalidInput, match=f"^The key x.pub .*{why}") as caught:
        keys.load_public(raw, "The key x.pub")
    assert caught.value.code == "KEY_INVALID" and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (public_pem(P256), "'PUBLIC KEY', not a private key"),
        (private_pem(P256, PKCS8, serialization.BestAvailableEncryption(b"x")), "is not encrypted as cosign does it"),
        (
            private_pem(P256, TRADITIONAL, serialization.BestAvailableEncryption(b"x")),
            "is not encrypted as cosign does it",
        ),
        (pem.write("PRIVATE KEY", b"x"), "cannot be read"),
        (private_pem(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (for_pss(private_pem(RSA, PKCS8)), "for RSASSA-PSS, which cosign and podman cannot read; use ECDSA"),
        (pem.write("ENCRYPTED SIGSTORE PRIVATE KEY", b"x"), "not valid JSON"),
        (pem.write("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}"), "something else than scrypt"),
        (changed(kdf_name="argon2id"), "something else than scrypt"),
        (changed(kdf=[]), "something else than scrypt"),
        (changed(kdf_salt="%"), "The salt of the key x is not base64"),
        (changed(cipher_nonce="QUJD"), "wrong length"),
        (changed(ciphertext="QUJD"), "wrong length"),
        (changed(ciphertext=7), "not base64"),
    ],
)
def test_no_private_key(raw, why):
    with pytest.raises(InvalidInput, match=f"(?i){why}") as caught:
        keys.load_private(raw, PASSPHRASE, "The key x")
    assert str(caught.value).isprintable() and PASSPHRASE not in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        *(
            {"params_N": cost}
            for cost in (0, -1, 1, 2, 16384, 32769, 262144, 1 << 20, 1 << 62, "65536", 65536.0, True, None)
        ),
        *({"params_r": size} for size in (1, 16, 8.0, "8")),
        *({"params_p": ways} for ways in (2, True, 1.0)),
        {"kdf_params": {}},
    ],
)
def test_other_work_is_refused_before_it_is_done(members, monkeypatch):
    monkeypatch.setattr(keyfile.hashlib, "scrypt", lambda *_args, **_named: pytest.fail("work was done"))
    with pytest.raises(InvalidInput, match="other work than cosign ever did"):
        keys.load_private(changed(**members), PASSPHRASE, "The key")


def test_a_host_without_scrypt(monkeypatch) -> None:
    monkeypatch.delattr(keyfile.hashlib, "scrypt")
    with pytest.raises(OCIError, match="scrypt is not to be had") as caught:
        keys.load_private(content("keys/go-p256.key"), "quayside test 1", "The key")
    assert caught.value.code == "KEY_UNUSABLE"


def test_passphrases() -> None:
    assert keyfile.passphrase_bytes("é") == b"\xc3\xa9" and keyfile.passphrase_bytes("\udcff") == b"\xff"
    with pytest.raises(InvalidInput) as caught:
        keyfile.passphrase_bytes("secret\ud800")
    assert "secret" not in str(caught.value) and caught.value.__suppress_context__


def test_no_secret_is_ever_shown() -> None:
    key = keys.load_private(private_pem(P256), None, "")
    number = str(P256.private_numbers().private_value)
    block = pem.read(private_pem(P256), "")
    for text in (repr(key), str(key), f"{key}", repr(block), str(block)):
        assert number not in text and "object at" not in text and "\\x" not in text
    passphrase = PASSPHRASE[::-1]
    with pytest.raises(InvalidInput) as caught:
        keys.load_private(content("keys/go-p256.key"), passphrase, "The key")
    told = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert "does not open with this passphrase" in told and passphrase not in told


def test_without_the_library(monkeypatch) -> None:
    monkeypatch.setattr(keys, "IMPORT_ERROR", ImportError())
    for call in (
        lambda: keys.load_public(key_text("keys/go-p256.pub").encode(), ""),
        lambda: keys.load_private(b"", "", ""),
        keys.generate,
    ):
        with pytest.raises(MissingLibrary, match=r"^cryptography$"):
            call()
