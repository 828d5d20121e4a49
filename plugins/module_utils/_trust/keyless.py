# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures by a certificate that lived for minutes (Fulcio's), verified offline by the library ``sigstore``.

The library judges certificate, log entry, time and signature; who signed is compared here. It is imported where a trust
asks for it, since that takes half a second or more.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._errors import InvalidInput, MissingLibrary, Refused
from .bundle import Bundle

_ISSUER, _ISSUER_OLD = "1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1"  # Fulcio's extensions (oid-info.md)
_OPTIONS = ("identity", "identity_regexp", "issuer", "issuer_regexp", "trusted_root")


@dataclass(frozen=True)
class Signer:
    """Who a certificate was made for: a mail address or a workflow, as this issuer said."""

    identity: str
    issuer: str


@dataclass(frozen=True)
class Rule:
    """A text, or a regular expression that must match all of a text."""

    text: str
    pattern: re.Pattern[str] | None = None

    def accepts(self, text: str) -> bool:
        return bool(self.pattern.fullmatch(text)) if self.pattern else text == self.text


@dataclass(frozen=True)
class Keyless:
    """Whose certificates count, by which root."""

    identity: Rule
    issuer: Rule
    _library: _Library = field(repr=False, compare=False)

    def verify(self, raw: bytes, bundle: Bundle) -> tuple[Signer, float | None]:
        """Verify a bundle; return who signed it, and when (seconds since 1970) where that is sure.

        ``bundle`` is what was read of the raw bytes. Raises Refused.
        """
        found: list[Signer] = []
        library = self._library
        try:
            parsed = library.bundle.from_json(raw)
            kind, payload = library.verifier.verify_dsse(parsed, _Whom(self, found))
        except library.errors as exc:
            raise Refused(f"The library sigstore refuses the bundle: {' '.join(str(exc).split())[:300]}.") from None
        if (kind, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
            raise Refused("The library sigstore read something else in the bundle than was read here.")
        return found[0], bundle.log_time if bundle.promised else _stamp_time(parsed)


class _Library(t.NamedTuple):
    """What is used of ``sigstore``. ``errors`` is what it raises about bundles that are wrong."""

    bundle: t.Any
    verifier: t.Any
    errors: tuple[type[Exception], ...]


class _Whom:
    """The policy that the library asks about a certificate, once it was found to be genuine."""

    def __init__(self, rules: Keyless, found: list[Signer]) -> None:
        self._rules = rules
        self._found = found

    def verify(self, cert: t.Any) -> None:
        signer = _signer(cert)
        if not self._rules.identity.accepts(signer.identity) or not self._rules.issuer.accepts(signer.issuer):
            raise Refused(
                f"The bundle was signed by {signer.identity!r}, as {signer.issuer!r} says, who is not trusted."
            )
        self._found.append(signer)


def _signer(cert: t.Any) -> Signer:
    from cryptography import x509

    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    texts = [name.value for name in names if isinstance(name, (x509.RFC822Name, x509.UniformResourceIdentifier))]
    if len(texts) != 1 or len(list(names)) != 1:
        raise Refused("The certificate of the bundle is not for exactly one mail address or URI.")
    found = {extension.oid.dotted_string: extension.value for extension in cert.extensions}
    if _ISSUER in found:
        issuer = _utf8_string(found[_ISSUER].value)
    elif _ISSUER_OLD in found:
        issuer = found[_ISSUER_OLD].value
    else:
        raise Refused("The certificate of the bundle does not say who issued the identity.")
    return Signer(texts[0], issuer.decode("utf-8", "replace"))


def _utf8_string(der: bytes) -> bytes:
    """Return the content of a DER UTF8String (X.690, section 8.23) of up to 64 KiB."""
    size, start = (der[1], 2) if len(der) > 1 else (0, 2)
    if size > 0x80:
        start = 2 + size - 0x80
        size = int.from_bytes(der[2:start], "big")
    if der[:1] != b"\x0c" or start > 4 or len(der) != start + size:
        raise Refused("The certificate of the bundle names an issuer that cannot be read.")
    return der[start:]


def _stamp_time(parsed: t.Any) -> float | None:
    """The time of the only time stamp of a bundle that no log vouches for: the library found one to be genuine."""
    data = parsed.verification_material.timestamp_verification_data
    stamps = data.rfc3161_timestamps if data else []
    return float(stamps[0].tst_info.gen_time.timestamp()) if len(stamps) == 1 else None


def parse_certificate(options: t.Any) -> Keyless:
    """Read the option ``certificate`` of a trust. Raises InvalidInput, and MissingLibrary where sigstore is missing."""
    if not isinstance(options, dict) or options.keys() - set(_OPTIONS):
        raise InvalidInput(f"certificate must be a dict of {', '.join(_OPTIONS)}.")
    root = options.get("trusted_root")
    if not isinstance(root, str) or not root:
        raise InvalidInput("certificate needs trusted_root, the path of a trusted_root.json: nothing is downloaded.")
    return Keyless(_rule(options, "identity"), _rule(options, "issuer"), _open_library(root))


def _rule(options: t.Mapping[str, t.Any], name: str) -> Rule:
    found = {key: options[key] for key in (name, f"{name}_regexp") if options.get(key) is not None}
    if len(found) != 1 or not all(isinstance(text, str) and text for text in found.values()):
        raise InvalidInput(f"certificate needs {name} or {name}_regexp, and not both.")
    ((key, text),) = found.items()
    if key == name:
        return Rule(text)
    try:
        return Rule(text, re.compile(text))
    except (re.error, RecursionError, OverflowError) as exc:
        raise InvalidInput(f"{key} is not a regular expression: {exc}.") from None


def _open_library(root: str) -> _Library:
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.x509 import DuplicateExtension, ExtensionNotFound, InvalidVersion, UnsupportedGeneralNameType
        from sigstore.errors import Error
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
    except ImportError:
        raise MissingLibrary("sigstore") from None
    certificates = (InvalidSignature, UnsupportedAlgorithm, InvalidVersion, DuplicateExtension, ExtensionNotFound)
    # Its parts take what they read for well-formed now and then, and trip over what is not.
    trips = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, AssertionError)
    errors = (Error, *certificates, UnsupportedGeneralNameType, *trips)
    try:
        return _Library(SigstoreBundle, Verifier(trusted_root=TrustedRoot.from_file(root)), errors)
    except OSError as exc:
        raise InvalidInput(f"trusted_root {root} cannot be read: {exc.strerror}.") from None
    except errors as exc:
        text = " ".join(str(exc).split())[:300]
        raise InvalidInput(f"trusted_root {root} is not a trusted root of sigstore: {text}.") from None
