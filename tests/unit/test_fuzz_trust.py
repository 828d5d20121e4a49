# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever lies beside an image, in a key, a policy or an option: a verdict or an OCIError, and no trust by chance.

What is changed here is genuine to begin with (plugins/module_utils/_trust/vectors). Where it still verifies, what was
signed is what it was, byte for byte.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust import keyfile, pem, simple, texts
from ansible_collections.quayside.registry.plugins.module_utils._trust.attest import judge_attestations, parse_wanted
from ansible_collections.quayside.registry.plugins.module_utils._trust.bundle import read_bundle
from ansible_collections.quayside.registry.plugins.module_utils._trust.candidates import Candidate
from ansible_collections.quayside.registry.plugins.module_utils._trust.dsse import parse_envelope
from ansible_collections.quayside.registry.plugins.module_utils._trust.judge import judge
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private, load_public
from ansible_collections.quayside.registry.plugins.module_utils._trust.names import parse_identity
from ansible_collections.quayside.registry.plugins.module_utils._trust.policy import parse_policy
from ansible_collections.quayside.registry.plugins.module_utils._trust.secretbox import unseal
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import Trust, parse_trust
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    EXPECTED,
    IMAGE,
    NAME,
    ROOT,
    VECTORS,
    candidates,
    content,
    key_text,
)
from ansible_collections.quayside.registry.tests.unit.test_fuzz import JSON, changed, damaged, some, survives
from hypothesis import assume, example, given
from hypothesis import strategies as st

KEYS = sorted(path.name for path in (VECTORS / "keys").glob("*.pub"))
PUBLIC = [key_text(f"keys/{name}") for name in KEYS]
TRUST = parse_trust({"keys": PUBLIC})
REFERENCE = Reference.parse(NAME)
BUNDLES = sorted(f"bundles/{path.name}" for path in (VECTORS / "bundles").iterdir())
SIMPLE = sorted(f"simple/{path.name}" for path in (VECTORS / "simple").iterdir())
POLICIES = sorted(f"policies/{path.name}" for path in (VECTORS / "policies").iterdir())
GENUINE = [candidate for case in (*SIMPLE, *BUNDLES) for candidate in candidates(case) if candidate.format]
WANTED = parse_wanted(
    [{"predicate_type": kind, "query": "x != 'y'", "max_age": "9w"} for kind in ("spdx", "slsaprovenance1")]
)
NOW = 1_700_000_000.0


def signed(candidate: Candidate) -> tuple[bytes, bytes]:
    """What is signed in a candidate that verified, and the signature."""
    if candidate.format == "simple":
        return candidate.content, texts.from_base64(candidate.annotations[simple.SIGNATURE], "")
    envelope = (
        read_bundle(candidate.content).envelope
        if candidate.format == "bundle"
        else parse_envelope(candidate.content, "")
    )
    return envelope.signed, envelope.signature


def truth() -> set[tuple[bytes, bytes]]:
    """All pairs of content and signature that one of the keys really made."""
    found = set()
    for candidate in GENUINE:
        with contextlib.suppress(Exception):
            message, signature = signed(candidate)
            if any(key.verify(signature, message) for key in TRUST.keys):
                found.add((message, signature))
    return found


TRUTH = truth()


def judged(candidate: Candidate, trust: Trust = TRUST) -> None:
    """Judge it in every way; what verifies was really signed."""
    for digest in (IMAGE, EXPECTED["image"]["index_digest"], "sha512:" + "0" * 128):
        verdict = survives(judge, trust, REFERENCE, digest, [candidate])
        assert verdict and bool(verdict.problem) != verdict.verified and verdict.problem.isprintable()
        attestations = survives(judge_attestations, trust, WANTED, digest, [candidate], NOW)
        for found in (*verdict.signatures, *attestations.attestations):
            assert found.verified == (found.problem is None)
            json.dumps(found.result())
            if found.key_fingerprint or found.identity:
                assert signed(candidate) in TRUTH
            if found.verified:
                assert digest[7:] in signed(candidate)[0].decode()


def test_there_is_something_to_find() -> None:
    assert len(TRUTH) > 30 and len(GENUINE) > 45
    judged(GENUINE[0])
    assert {judge(TRUST, REFERENCE, IMAGE, [one]).verified for one in GENUINE} == {True, False}


FORMATS = st.sampled_from(["simple", "bundle", "envelope", ""])
TEXTS = st.text() | st.text("ABab+/-_=\n") | st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode())


@some(3000, 150)
@given(
    st.sampled_from(GENUINE).flatmap(
        lambda one: damaged(st.just(one.content)).map(lambda raw: replace(one, content=raw))
    )
)
def test_damaged_content(candidate: Candidate) -> None:
    judged(candidate)


@st.composite
def changed_candidates(draw: st.DrawFn) -> Candidate:
    """A candidate whose JSON, or that inside its envelope, has other parts; signed parts may be of two signatures."""
    one = draw(st.sampled_from(GENUINE))
    try:
        value = json.loads(one.content)
    except ValueError:
        value = {}
    if one.format == "bundle" and draw(st.booleans()):
        envelope = value["dsseEnvelope"]
        inner = draw(changed(json.loads(base64.b64decode(envelope["payload"]))))
        envelope["payload"] = base64.b64encode(json.dumps(inner).encode()).decode()
    elif one.format == "bundle" and draw(st.booleans()):
        other = json.loads(draw(st.sampled_from([other for other in GENUINE if other.format == "bundle"])).content)
        value["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    else:
        value = draw(changed(value))
    if draw(st.integers(0, 3)) == 0 and isinstance(value, dict) and "dsseEnvelope" in value:
        return Candidate("envelope", json.dumps(value["dsseEnvelope"]).encode(), "")
    return replace(one, content=json.dumps(value).encode())


@some(3000, 150)
@given(changed_candidates())
def test_changed_content(candidate: Candidate) -> None:
    judged(candidate)


@some(2000, 100)
@given(FORMATS, st.binary() | JSON.map(lambda value: json.dumps(value).encode()), TEXTS)
@example("simple", b'{"a":' * 100_000, "QUJD")
@example("bundle", b'{"a":' * 100_000, "")
@example("envelope", b"9" * 5000, "")
def test_any_content(format_: str, raw: bytes, text: str) -> None:
    judged(Candidate(format_, raw, "", {simple.SIGNATURE: text}))


@some(2000, 100)
@given(
    st.sampled_from([one for one in GENUINE if one.format == "simple"]),
    TEXTS | st.sampled_from(GENUINE),
    st.binary(max_size=3),
)
def test_other_signatures(candidate: Candidate, text: Any, more: bytes) -> None:
    if isinstance(text, Candidate):
        text = text.annotations.get(simple.SIGNATURE, "")
        with contextlib.suppress(ValueError):
            text = base64.b64encode(base64.b64decode(text) + more).decode()
    judged(replace(candidate, annotations={simple.SIGNATURE: text}))


# --- keys


def quick(passphrase: bytes, *, salt: bytes, **_named: Any) -> bytes:
    return hashlib.sha256(passphrase + salt).digest()


@pytest.fixture
def without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile.hashlib, "scrypt", quick)


FILES = [path.read_bytes() for path in sorted((VECTORS / "keys").iterdir())]
SEALED = [json.loads(pem.read(raw, "").data) for raw in FILES if b"ENCRYPTED" in raw]
CLEAR = pem.read(PUBLIC[0].encode(), "").data
LABELS = st.sampled_from(
    ["PUBLIC KEY", "RSA PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "CERTIFICATE"]
)


def sealed(value: Any) -> bytes:
    return pem.write("ENCRYPTED SIGSTORE PRIVATE KEY", json.dumps(value).encode())


@pytest.mark.usefixtures("without_work")
@some(4000, 200)
@given(
    damaged(st.sampled_from(FILES))
    | st.binary()
    | st.builds(pem.write, LABELS, damaged(st.sampled_from([pem.read(text.encode(), "").data for text in PUBLIC])))
    | st.sampled_from(SEALED).flatmap(changed).map(sealed)
)
@example(b"-----BEGIN " * 5000)
@example(b"-----BEGIN A-----" * 3800)
@example(pem.write("PUBLIC KEY", b"0\x80" * 4000))
def test_keys(raw: bytes) -> None:
    for found in (survives(load_public, raw, "The key"), survives(load_private, raw, "x", "The key")):
        assert found is None or "object at" not in repr(found)


@pytest.mark.usefixtures("without_work")
@some(1000, 60)
@given(st.binary(max_size=400), st.text(st.characters(exclude_categories=("Cs",)), max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_with_its_passphrase_alone(der: bytes, passphrase: str, other: str) -> None:
    raw = keyfile.seal(der, keyfile.passphrase_bytes(passphrase))
    assert keyfile.unseal(raw, keyfile.passphrase_bytes(passphrase), "The key") == der
    assume(passphrase != other)
    assert survives(lambda: keyfile.unseal(raw, keyfile.passphrase_bytes(other), "The key")) is None
    assert unseal(b"k" * 32, b"n" * 24, der) is None


# --- policies and options

CHANGED_POLICIES = st.sampled_from(POLICIES).map(content) | st.sampled_from(
    [json.loads(content(name)) for name in POLICIES if name != "policies/invalid-not-json.json"]
).flatmap(changed).map(lambda value: json.dumps(value).encode())


def read_nothing(path: str) -> bytes:
    return b""


@some(3000, 150)
@given(CHANGED_POLICIES | damaged(st.sampled_from(POLICIES).map(content)) | st.binary(), st.sampled_from(GENUINE))
def test_policies(raw: bytes, candidate: Candidate) -> None:
    policy = survives(parse_policy, raw, "The policy")
    if policy:
        verdict = survives(judge, Trust(policy=policy), REFERENCE, IMAGE, [candidate], read_nothing)
        assert verdict and bool(verdict.problem) != verdict.verified and verdict.problem.isprintable()
        if verdict.verified and not verdict.warnings:
            assert any(signature.verified for signature in verdict.signatures) and signed(candidate) in TRUTH


OPTIONS = {
    "keys": [PUBLIC[0], "/nowhere"],
    "policy_path": "/nowhere/policy.json",
    "threshold": 1,
    "annotations": {"env": "prod"},
    "identity": [NAME, "any"],
    "formats": ["bundle", "simple"],
    "certificate": {"identity": "a", "issuer_regexp": "b", "trusted_root": "/nowhere"},
}


@some(3000, 150)
@given(changed(OPTIONS), changed([{"predicate_type": "spdx", "query": "a", "max_age": "7d"}]), JSON)
@example({"identity": [[]], "keys": PUBLIC}, [], [[]])
@example({1: 2, "a": 3}, [], None)
@example({"keys": PUBLIC, "annotations": {1: "a", "b": "c"}}, [{1: 2, "a": 3}], {})
def test_options(options: Any, wanted: Any, identity: Any) -> None:
    if isinstance(options, dict):
        survives(parse_trust, options)
    survives(parse_wanted, wanted)
    survives(parse_identity, identity)


# --- keyless bundles

CASES = sorted(f"keyless/{path.name}" for path in (VECTORS / "keyless").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def anybody() -> Trust:
    pytest.importorskip("sigstore", reason="keyless bundles are verified by the library sigstore")
    certificate = {"identity_regexp": "https://.*", "issuer_regexp": "https://.*", "trusted_root": str(ROOT)}
    return parse_trust({"certificate": certificate})


@st.composite
def changed_keyless(draw: st.DrawFn) -> Candidate:
    one = draw(st.sampled_from([candidate for case in CASES for candidate in candidates(case)]))
    if draw(st.booleans()):
        return replace(one, content=draw(damaged(st.just(one.content))))
    value = json.loads(one.content)
    part = draw(st.sampled_from(["certificate", "tlogEntries", "", "timestampVerificationData"]))
    if part in value["verificationMaterial"]:
        value["verificationMaterial"][part] = draw(changed(value["verificationMaterial"][part]))
        with contextlib.suppress(LookupError, TypeError, ValueError):
            raw = base64.b64decode(value["verificationMaterial"]["certificate"]["rawBytes"])
            cert = draw(damaged(st.just(raw)))
            value["verificationMaterial"]["certificate"]["rawBytes"] = base64.b64encode(cert).decode()
    else:
        value = draw(changed(value))
    return replace(one, content=json.dumps(value).encode())


@some(3000, 150)
@given(changed_keyless())
def test_keyless(anybody: Trust, candidate: Candidate) -> None:
    verdict = survives(judge, anybody, REFERENCE, IMAGE, [candidate])
    assert verdict and bool(verdict.problem) != verdict.verified and verdict.problem.isprintable()
    if verdict.verified:
        assert signed(candidate) in [
            signed(one) for case in ("release", "nightly") for one in candidates(f"keyless/{case}")
        ]
