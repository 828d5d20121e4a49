# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose signature counts: what a user writes under ``trust`` (and as options of oci_verify), read and checked."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput
from .._oci.patches import texts
from . import pem
from .candidates import FORMATS
from .keyless import Keyless, parse_certificate
from .keys import PublicKey, load_public
from .names import ANY, Identity, parse_identity
from .policy import Policy, Reader, parse_policy

OPTIONS = ("keys", "certificate", "policy_path", "threshold", "annotations", "identity", "formats")
_MAX_POLICY = 1 << 20  # bytes
_MAX_PATH = 150  # characters; a path may have more if there is such a file
_ANY = (Identity(ANY),)


@dataclass(frozen=True)
class Trust:
    """Keys and certificates of which ``threshold`` different ones must have signed; or a policy, alone."""

    keys: tuple[PublicKey, ...] = ()
    certificate: Keyless | None = None
    policy: Policy | None = None
    threshold: int = 1
    annotations: tuple[tuple[str, str], ...] = ()
    identities: tuple[Identity, ...] = _ANY  # any one may accept what is claimed
    formats: tuple[str, ...] = FORMATS

    @property
    def any_name(self) -> bool:
        return self.identities == _ANY


def is_text(path: str) -> bool:
    """Say whether what was given as a path is rather a text, such as a key, which no message may tell."""
    return "\n" in path or (len(path) > _MAX_PATH and not os.path.exists(os.path.expanduser(path)))


def read_file(path: str) -> bytes:
    """Return the content of a small file, or raise InvalidInput."""
    if is_text(path):
        raise InvalidInput(f"A text of {len(path)} characters was given where the path of a file is meant.")
    try:
        with open(os.path.expanduser(path), "rb") as file:
            content = file.read(_MAX_POLICY + 1)
    except OSError as exc:
        raise InvalidInput(f"{path} cannot be read: {exc.strerror}.") from None
    except ValueError:  # a NUL
        raise InvalidInput(f"{path!r} is not a path.") from None
    if len(content) > _MAX_POLICY:
        raise InvalidInput(f"{path} has more than {_MAX_POLICY} bytes, so it is neither a key nor a policy.")
    return content


def parse_trust(options: t.Mapping[str, t.Any], read: Reader = read_file) -> Trust:
    """Read what a user trusts; what is None counts as not given.

    Raises InvalidInput, and MissingLibrary ("cryptography" or "sigstore"). Files are read now, but for the keys that a
    policy names by their paths.
    """
    given = {key: value for key, value in options.items() if value is not None}
    unknown = [key for key in given if key not in OPTIONS]
    if unknown:
        raise InvalidInput(f"trust has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}.")
    threshold = given.get("threshold", 1)
    if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 1:
        raise InvalidInput(f"threshold must be 1 or more, not {threshold!r}.")
    rest = threshold, _annotations(given.get("annotations", {})), _identities(given), _formats(given)
    if "policy_path" in given:
        return _by_policy(given, read, Trust((), None, None, *rest))
    keys = _keys(given["keys"], read) if "keys" in given else ()
    certificate = parse_certificate(given["certificate"]) if "certificate" in given else None
    trust = Trust(keys, certificate, None, *rest)
    _check(trust)
    return trust


def _by_policy(given: t.Mapping[str, t.Any], read: Reader, rest: Trust) -> Trust:
    path = given["policy_path"]
    if not isinstance(path, str) or not path:
        raise InvalidInput("policy_path must be the path of a policy.json.")
    if (
        {"keys", "certificate"} & given.keys()
        or rest != Trust(formats=rest.formats)
        or set(rest.formats) != set(FORMATS)
    ):
        raise InvalidInput("policy_path stands alone: what it says takes the place of all other options of trust.")
    return Trust(policy=parse_policy(read(path), f"The policy {path}"))


def _check(trust: Trust) -> None:
    if not trust.keys and not trust.certificate:
        raise InvalidInput("trust needs keys, a certificate or a policy_path: somebody has to be trusted.")
    if trust.threshold > len(trust.keys) and not trust.certificate:
        given = "one key is given" if len(trust.keys) == 1 else f"{len(trust.keys)} different keys are given"
        raise InvalidInput(f"threshold is {trust.threshold}, but only {given}, however often.")
    if trust.formats == ("simple",) and not trust.keys:
        raise InvalidInput("A certificate verifies bundles alone, and formats leaves them out.")
    if trust.formats == ("bundle",) and not trust.any_name:
        raise InvalidInput("identity is about names, and bundles claim none; let formats have simple too.")


def _keys(value: t.Any, read: Reader) -> tuple[PublicKey, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInput("keys must be a list of PEM texts or paths that is not empty.")
    found = {}
    for at, item in enumerate(value, 1):
        if not isinstance(item, str) or not item:
            raise InvalidInput(f"keys: entry {at} is neither a PEM text nor a path.")
        text = pem.BEGIN in item
        key = load_public(
            item.encode("utf-8", "replace") if text else read(item), f"keys: entry {at if text else item}"
        )
        found[key.fingerprint] = key
    return tuple(found.values())


def _annotations(value: t.Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise InvalidInput("annotations must be a dict of texts.")
    return tuple(texts("annotations", value).items())


def _identities(given: t.Mapping[str, t.Any]) -> tuple[Identity, ...]:
    return parse_identity(given["identity"]) if "identity" in given else _ANY


def _formats(given: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    value = given.get("formats", FORMATS)
    if not isinstance(value, (list, tuple)) or not value or not all(name in FORMATS for name in value):
        raise InvalidInput(f"formats must be a list of {' and '.join(FORMATS)}, or one of them, not {value!r}.")
    return tuple(name for name in FORMATS if name in value)
