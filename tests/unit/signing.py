# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and verbs for tests of signatures, against the fake registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import generate
from ansible_collections.quayside.registry.plugins.module_utils._verbs.attest import plan_attest
from ansible_collections.quayside.registry.plugins.module_utils._verbs.sign import plan_sign
from ansible_collections.quayside.registry.plugins.module_utils._verbs.verify import verify_images
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, apply, login, make_session

VECTORS = Path(__file__).parent / "plugins" / "module_utils" / "_trust" / "vectors"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"


class Signer:
    """A key of its own, unencrypted, as a module's options."""

    def __init__(self, folder: Path, name: str) -> None:
        key = generate()
        sealed = folder / f"{name}.key"
        sealed.write_bytes(_clear(key))
        self.private, self.public = str(sealed), key.public.pem.decode()
        self.fingerprint = key.public.fingerprint

    @property
    def options(self) -> dict[str, Any]:
        return {"key": self.private}


def _clear(key: Any) -> bytes:
    """PKCS#8, which costs no scrypt."""
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    raw: bytes = key._key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return raw


def sign_plan(session: Session, name: str | None, **options: Any) -> Plan:
    """Signing with every option as it is by default, but for those that are given."""
    defaults: dict[str, Any] = {
        "names": None,
        "key": None,
        "key_content": None,
        "passphrase": None,
        "formats": ["bundle", "simple"],
        "identities": None,
        "annotations": {},
        "recursive": False,
        "state": "present",
        "payload_path": None,
        "signature": None,
        "public_key": None,
    }
    return plan_sign(session, name=name, **{**defaults, **options})


def sign(registry: FakeRegistry, signer: Signer, name: str = ":1", repo: str = REPO, **options: Any) -> Plan:
    session = make_session(login(registry))
    public = options.get("public_key")
    known = {} if public else signer.options
    planned = sign_plan(session, f"{registry.host}/{repo}{name}", **{**known, **options})
    apply(session, planned)
    return planned


def attest_plan(session: Session, name: str, predicate: Any, kind: str, **options: Any) -> Plan:
    """Attesting with every option as it is by default, but for those that are given."""
    defaults = {"key_content": None, "passphrase": None, "replace": False}
    return plan_attest(session, name=name, predicate=predicate, predicate_type=kind, **{**defaults, **options})


def attest(registry: FakeRegistry, signer: Signer, predicate: Any, kind: str = "spdx", **options: Any) -> Plan:
    session = make_session(login(registry))
    planned = attest_plan(session, f"{registry.host}/{REPO}:1", predicate, kind, **{**signer.options, **options})
    apply(session, planned)
    return planned


def verified(registry: FakeRegistry, *keys: str, name: str | None = ":1", **options: Any) -> dict[str, Any]:
    """The results of verifying, without failing unless that is asked for."""
    defaults: dict[str, Any] = {
        "names": None,
        "signature": True,
        "attestations": None,
        "platforms": [],
        "fail_on_unverified": False,
        "keys": list(keys) or None,
        "certificate": None,
        "policy_path": None,
        "threshold": 1,
        "annotations": {},
        "identity": ["any"],
        "formats": ["bundle", "simple"],
    }
    session = make_session(login(registry))
    where = None if name is None else f"{registry.host}/{REPO}{name}"
    return verify_images(session, name=where, **{**defaults, **options})
