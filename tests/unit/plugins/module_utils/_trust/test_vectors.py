# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict of the vectors (vectors/README.md): keys, signatures, names, attestations, keyless ones, policies."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.digest import digest_of
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust import keyfile
from ansible_collections.quayside.registry.plugins.module_utils._trust.attest import judge_attestations, parse_wanted
from ansible_collections.quayside.registry.plugins.module_utils._trust.judge import judge
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private, load_public
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import parse_trust
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    EXPECTED,
    IMAGE,
    INDEX,
    NAME,
    OTHER,
    ROOT,
    VECTORS,
    candidates,
    content,
    key_text,
    parameters,
)


def test_the_bytes_are_those_that_were_judged() -> None:
    for name, digest in (("manifest", IMAGE), ("other_manifest", OTHER), ("index", INDEX)):
        assert digest_of(content(EXPECTED["image"][name])) == digest
    assert {name: len(EXPECTED[name]) for name in EXPECTED if name != "image"} == {
        "keys": 13,
        "signatures": 57,
        "identities": 26,
        "attestations": 12,
        "keyless": 12,
        "policies": 123,
    }


@pytest.mark.parametrize("row", **parameters("keys", "file", "passphrase"))
def test_a_key(row, monkeypatch):
    if row["file"] == "keys/bad-scrypt-n.key":
        monkeypatch.setattr(keyfile.hashlib, "scrypt", lambda *_args, **_named: pytest.fail("work was done"))
    if not row["opens"]:
        with pytest.raises(InvalidInput) as caught:
            load_private(content(row["file"]), row["passphrase"], "The key")
        assert row["passphrase"] not in str(caught.value) and "\n" not in str(caught.value)
        return
    key = load_private(content(row["file"]), row["passphrase"], "The key")
    public = load_public(content(row["public_key"]), "The key")
    assert key.public == public and key.public.pem == content(row["public_key"])
    assert public.verify(key.sign(b"text"), b"text") and not public.verify(key.sign(b"text"), b"test")


@pytest.mark.parametrize("row", **parameters("signatures", "file", "key"))
def test_a_signature(row):
    trust = parse_trust({"keys": [key_text(row["key"])]})
    verdict = judge(trust, Reference.parse(NAME), row["subject"], candidates(row["file"]))
    if row["verdict"] != "either":
        assert verdict.verified == (row["verdict"] == "verified"), verdict
    assert bool(verdict.problem) != verdict.verified and verdict.problem.isprintable()
    for signature in verdict.signatures:
        assert signature.verified == (signature.problem is None)
        fingerprint = load_public(content(row["key"]), "").fingerprint
        assert signature.key_fingerprint == (fingerprint if signature.verified else signature.key_fingerprint)
    if row["file"] == "simple/ed25519ph":
        assert "Ed25519ph" in verdict.problem


@pytest.mark.parametrize("row", **parameters("identities", "file", "name", "identity"))
def test_a_claimed_name(row):
    trust = parse_trust({"keys": [key_text(row["key"])], "identity": row["identity"]})
    verdict = judge(trust, Reference.parse(row["name"]), IMAGE, candidates(row["file"]))
    assert verdict.verified == (row["verdict"] == "verified"), verdict
    (signature,) = verdict.signatures
    said = row["reason"].partition("claims ")[2]
    assert signature.claimed_reference == (said if signature.key_fingerprint else None)


@pytest.mark.parametrize("row", **parameters("attestations", "file", "predicate_type", "query"))
def test_an_attestation(row):
    trust = parse_trust({"keys": [key_text(row["key"])]})
    wanted = parse_wanted([{"predicate_type": row["predicate_type"], "query": row["query"]}])
    verdict = judge_attestations(trust, wanted, IMAGE, candidates(row["file"]), 0.0)
    assert verdict.verified == (row["verdict"] == "verified"), verdict
    assert bool(verdict.problem) != verdict.verified
    assert all(bool(found.predicate) == bool(found.key_fingerprint) for found in verdict.attestations)


@pytest.mark.parametrize("row", **parameters("keyless", "file", "identity", "issuer"))
def test_a_keyless_bundle(row):
    pytest.importorskip("sigstore", reason="keyless bundles are verified by the library sigstore")
    certificate = {
        "identity": row["identity"],
        "issuer": row["issuer"],
        "trusted_root": str(VECTORS / row["trusted_root"]),
    }
    trust = parse_trust({"certificate": certificate})
    verdict = judge(trust, Reference.parse(NAME), IMAGE, candidates(row["file"]))
    assert verdict.verified == (row["verdict"] == "verified"), verdict
    assert str(VECTORS / row["trusted_root"]) == str(ROOT)
    if verdict.verified:
        (signature,) = verdict.signatures
        assert (signature.identity, signature.issuer) == (row["identity"], row["issuer"])
        assert signature.key_fingerprint is signature.claimed_reference is None


@pytest.mark.parametrize("row", **parameters("policies", "policy", "reference", "signatures"))
def test_a_policy(row):
    options = {"policy_path": row["policy"]}
    if row["verdict"] == "invalid":
        with pytest.raises(InvalidInput, match=r"so nothing of it counts: \S") as caught:
            parse_trust(options, content)
        assert row["policy"] in str(caught.value)
        return
    found = candidates(row["signatures"]) if row["signatures"] else []
    verdict = judge(parse_trust(options, content), Reference.parse(row["reference"]), IMAGE, found)
    assert verdict.verified == (row["verdict"] == "accepted"), verdict
    assert bool(verdict.problem) != verdict.verified
    assert bool(verdict.warnings) == (verdict.verified and not any(one.verified for one in verdict.signatures))
