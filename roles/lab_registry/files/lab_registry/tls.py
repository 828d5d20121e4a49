# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates, with the openssl command: a CA of the instance's own and a certificate, or those that were provided.

What is made passes Python 3.13's strict checks (RFC 5280: key usage, subject and authority key identifiers).
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import tempfile
from dataclasses import dataclass

from lab_registry.host import find, read, run, words
from lab_registry.settings import Refused, Settings

RENEW = 30 * 24 * 3600  # seconds before the end
CA_DAYS = "3650"
DAYS = "365"
CERTIFICATE = re.compile(rb"^-----BEGIN CERTIFICATE-----\n.*?^-----END CERTIFICATE-----$", re.MULTILINE | re.DOTALL)
EXTENSIONS = """
[req]
distinguished_name = none
[none]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""


@dataclass(frozen=True)
class Pair:
    """A certificate (with its chain) and its private key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Files:
    """What belongs into the instance's folder `tls`; `what` says which of it is new, for a sentence."""

    server: Pair
    ca: bytes  # empty where clients need none
    ca_key: bytes  # empty where the CA is not ours
    what: str


def openssl(*arguments: str, stdin: bytes = b"", timeout: int = 60) -> tuple[bool, bytes, str]:
    """Whether the command succeeded, what it wrote, and what it said where it did not."""
    done = run([find("openssl") or "openssl", *arguments], stdin, timeout)
    return done.returncode == 0, done.stdout, words(done)


def lasts(certificate: bytes, seconds: int) -> bool:
    """Whether a certificate is still good in so many seconds."""
    return openssl("x509", "-noout", "-checkend", str(seconds), stdin=certificate)[0]


def belongs(pair: Pair) -> bool:
    """Whether the key is that of the certificate."""
    fine, public, _said = openssl("x509", "-noout", "-pubkey", stdin=pair.certificate)
    also_fine, derived, _said = openssl("pkey", "-pubout", "-passin", "pass:", stdin=pair.key)
    return fine and also_fine and public == derived


def alternative_names(certificate: bytes) -> set[str]:
    """DNS names and addresses in a certificate."""
    _fine, said, _complaint = openssl("x509", "-noout", "-ext", "subjectAltName", stdin=certificate)
    found = re.findall(r"(DNS|IP Address):([^,\s]+)", said.decode("utf-8", "replace"))
    return {str(ipaddress.ip_address(name)) if kind == "IP Address" else name for kind, name in found}


def signed_by(certificate: bytes, authority: bytes) -> bool:
    """Whether a certificate, with what follows it in its file, leads to this CA."""
    with tempfile.TemporaryDirectory(prefix="lab-registry-") as folder:
        paths = [os.path.join(folder, name) for name in ("ca.pem", "server.pem")]
        for path, content in zip(paths, (authority, certificate)):
            with open(path, "wb") as file:
                file.write(content)
        return openssl("verify", "-partial_chain", "-CAfile", paths[0], "-untrusted", paths[1], paths[1])[0]


def self_signed(settings: Settings, folder: str) -> Files | None:
    """The CA and certificate in `folder`, or new ones where they are missing, end soon or have other names.

    None stands for: they would be made, and there is no openssl yet to make them.
    """
    before = [read(os.path.join(folder, name)) or b"" for name in ("ca.pem", "ca.key", "server.pem", "server.key")]
    authority, server = Pair(before[0], before[1]), Pair(before[2], before[3])
    if not find("openssl"):
        return None
    what = ""
    if not (belongs(authority) and lasts(authority.certificate, RENEW)):
        authority = _make_authority(settings)
        what = "The CA"
    names = {str(ipaddress.ip_address(name)) if _is_address(name) else name for name in settings.names}
    if (
        what
        or not (
            belongs(server)
            and lasts(server.certificate, RENEW)
            and signed_by(server.certificate, authority.certificate)
        )
        or alternative_names(server.certificate) != names
    ):
        server = _make_server(settings, authority)
        what = f"{what} with its certificate" if what else "The certificate"
    return Files(server, authority.certificate, authority.key, what)


def provided(settings: Settings) -> Files:
    """The certificate, key and CA that were given, as PEM texts or paths on the target, after a look at them."""
    pair = Pair(
        _certificates("lab_registry_tls_cert", settings.tls_cert), _pem("lab_registry_tls_key", settings.tls_key)
    )
    authority = _certificates("lab_registry_tls_ca", settings.tls_ca) if settings.tls_ca else b""
    if not find("openssl"):
        return Files(pair, authority, b"", "")  # it is installed before anything is written
    for name, certificate in (("lab_registry_tls_cert", pair.certificate), ("lab_registry_tls_ca", authority)):
        if certificate and not openssl("x509", "-noout", stdin=certificate)[0]:
            raise Refused(f"{name} holds no certificate that openssl can read.")
        if certificate and not lasts(certificate, 0):
            raise Refused(f"The certificate in {name} has expired.")
    if not openssl("pkey", "-noout", "-inform", "PEM", "-passin", "pass:", stdin=pair.key)[0]:
        raise Refused(
            "lab_registry_tls_key holds no private key in PEM form, or one with a passphrase, which nobody could enter."
        )
    if not belongs(pair):
        raise Refused("lab_registry_tls_key is not the key of the certificate in lab_registry_tls_cert.")
    if authority and not signed_by(pair.certificate, authority):
        raise Refused("The certificate in lab_registry_tls_cert does not lead to the CA in lab_registry_tls_ca.")
    return Files(pair, authority, b"", "")


def _pem(name: str, value: str) -> bytes:
    if "-----BEGIN " in value:
        return value.strip().encode() + b"\n"
    if not value.startswith("/"):
        raise Refused(f"{name} is neither a text in PEM form nor an absolute path on the target.")
    try:
        content = read(value)
    except OSError as exc:
        raise Refused(f"{name} {value} cannot be read: {exc.strerror}.") from None
    if content is None:
        raise Refused(f"{name} {value} does not exist on the target.")
    return content


def _certificates(name: str, value: str) -> bytes:
    """The certificates of a PEM text and nothing else: a key beside them would become readable for everybody."""
    found = CERTIFICATE.findall(_pem(name, value).replace(b"\r\n", b"\n"))
    if not found:
        raise Refused(f"{name} holds no certificate in PEM form.")
    return b"".join(certificate + b"\n" for certificate in found)


def _make_authority(settings: Settings) -> Pair:
    key = _make_key()
    with tempfile.TemporaryDirectory(prefix="lab-registry-") as folder:
        extensions = _extensions(folder, "")
        subject = f"/CN=CA of the registry {settings.name}"[:67]
        shared = ("-new", "-x509", "-sha256", "-days", CA_DAYS, "-subj", subject, "-set_serial", _serial())
        certificate = _must(
            "req", *shared, "-config", extensions, "-extensions", "authority", "-key", "/dev/stdin", stdin=key
        )
    return Pair(certificate, key)


def _make_server(settings: Settings, authority: Pair) -> Pair:
    key = _make_key()
    names = [f"IP:{name}" if _is_address(name) else f"DNS:{name}" for name in settings.names]
    with tempfile.TemporaryDirectory(prefix="lab-registry-") as folder:
        extensions = _extensions(folder, f"subjectAltName = {', '.join(names)}\n")
        subject = f"/CN=registry {settings.name}"[:67]
        request = _must(
            "req", "-new", "-sha256", "-subj", subject, "-config", extensions, "-key", "/dev/stdin", stdin=key
        )
        paths = [os.path.join(folder, name) for name in ("request.pem", "ca.pem")]
        for path, content in zip(paths, (request, authority.certificate)):
            with open(path, "wb") as file:
                file.write(content)
        shared = ("-req", "-sha256", "-days", DAYS, "-in", paths[0], "-CA", paths[1], "-CAkey", "/dev/stdin")
        more = ("-set_serial", _serial(), "-extfile", extensions, "-extensions", "server")
        certificate = _must("x509", *shared, *more, stdin=authority.key)
    return Pair(certificate, key)


def _make_key() -> bytes:
    return _must(
        "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"
    )


def _extensions(folder: str, more: str) -> str:
    path = os.path.join(folder, "openssl.cnf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(EXTENSIONS + more)
    return path


def _must(*arguments: str, stdin: bytes = b"") -> bytes:
    fine, said, complaint = openssl(*arguments, stdin=stdin)
    if not fine:
        raise Refused(f"openssl could not make a certificate: {complaint}.")
    return said


def _serial() -> str:
    return f"0x{secrets.randbits(150) | 1 << 150:x}"


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
