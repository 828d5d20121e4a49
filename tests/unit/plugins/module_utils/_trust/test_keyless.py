# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyless bundles beyond those of the vectors: who may have signed, when, and what the option must say."""

from __future__ import annotations

import base64
import builtins
import json
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, MissingLibrary, Refused
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust.attest import judge_attestations, parse_wanted
from ansible_collections.quayside.registry.plugins.module_utils._trust.bundle import read_bundle
from ansible_collections.quayside.registry.plugins.module_utils._trust.candidates import Candidate
from ansible_collections.quayside.registry.plugins.module_utils._trust.judge import judge
from ansible_collections.quayside.registry.plugins.module_utils._trust.keyless import (
    Keyless,
    Rule,
    Signer,
    _Library,
    _utf8_string,
    parse_certificate,
)
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private
from ansible_collections.quayside.registry.plugins.module_utils._trust.signing import sign_simple
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import parse_trust
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    IMAGE,
    NAME,
    OTHER,
    ROOT,
    VECTORS,
    candidates,
    content,
    key_text,
)

RELEASE = "https://github.com/example/app/.github/workflows/release.yml@refs/tags/1.0"
NIGHTLY = "https://github.com/example/app/.github/workflows/nightly.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
SIGNED_AT = 1795817959  # as the log said
SLSA = "https://slsa.dev/provenance/v1"
EXACT = {"identity": RELEASE, "issuer": ISSUER}


@pytest.fixture(autouse=True)
def needs(request):
    if "without" not in request.node.name:
        pytest.importorskip("sigstore", reason="keyless bundles are verified by the library sigstore")


def trust(more=None, **certificate):
    return parse_trust({"certificate": {"trusted_root": str(ROOT), **(certificate or EXACT)}, **(more or {})})


def verdict(trusted, *cases, digest=IMAGE):
    found = [candidate for case in cases for candidate in candidates(case)]
    return judge(trusted, Reference.parse(NAME), digest, found)


@pytest.mark.parametrize(
    ("certificate", "verified"),
    [
        ({"identity_regexp": r"https://github\.com/example/.*", "issuer": ISSUER}, True),
        ({"identity_regexp": r"https://github\.com/example/", "issuer": ISSUER}, False),  # all of it must match
        ({"identity_regexp": r".*/release\.yml@refs/tags/[0-9.]+", "issuer_regexp": r"https://token\..*"}, True),
        ({"identity_regexp": r".*/release\.yml@refs/heads/.*", "issuer": ISSUER}, False),
        ({"identity": RELEASE, "issuer_regexp": "token"}, False),
        ({"identity": RELEASE[:-1], "issuer": ISSUER}, False),
        ({"identity": RELEASE + "x", "issuer": ISSUER}, False),
        ({"identity": RELEASE.upper(), "issuer": ISSUER}, False),
        ({"identity": RELEASE, "issuer": f"+{ISSUER}"}, False),
    ],
)
def test_who_may_have_signed(certificate, verified):
    found = verdict(trust(**certificate), "keyless/release")
    assert found.verified is verified
    assert verified or f"signed by {RELEASE!r}, as {ISSUER!r} says, who is not trusted" in found.problem


def test_a_threshold_counts_different_people() -> None:
    both = trust({"threshold": 2}, identity_regexp="https://github.com/example/.*", issuer=ISSUER)
    assert verdict(both, "keyless/release", "keyless/nightly").verified
    assert not verdict(both, "keyless/release", "keyless/release").verified


def test_keys_and_certificates_together() -> None:
    keys = {"keys": [key_text("keys/go-p256.pub")], "threshold": 2}
    assert verdict(trust(keys), "keyless/release", "bundles/sign").verified
    assert not verdict(trust(keys), "keyless/release", "bundles/stranger").verified
    assert not verdict(trust(keys), "bundles/sign", "simple/one").verified


def test_what_a_key_signed_is_not_keyless_and_the_reverse() -> None:
    found = verdict(trust(), "bundles/sign", "simple/one")
    assert (
        not found.verified
        and "by a key, and the trust has none" in found.problem
        and "with keys alone" in found.problem
    )
    found = verdict(parse_trust({"keys": [key_text("keys/go-p256.pub")]}), "keyless/release")
    assert not found.verified and "keyless, and the trust has no certificate" in found.problem


def test_a_keyless_simple_signature_is_named_as_such() -> None:
    made = sign_simple(load_private(key_text("keys/go-stranger.key").encode(), "quayside test 2", ""), IMAGE, NAME)
    simple = Candidate("simple", made.payload, "", {**made.annotations, "dev.sigstore.cosign/certificate": "x"})
    trusted = parse_trust({"keys": [key_text("keys/go-p256.pub")]})
    assert "It is keyless" in judge(trusted, Reference.parse(NAME), IMAGE, [simple]).problem


def test_another_image() -> None:
    found = verdict(trust(), "keyless/release", digest=OTHER)
    assert not found.verified and found.signatures[0].identity == RELEASE


def test_changed_annotations_of_a_certificate() -> None:
    assert not verdict(trust({"annotations": {"a": "b"}}), "keyless/release").verified
    assert not verdict(trust({"identity": "repository"}), "keyless/release").verified


@pytest.mark.parametrize(
    ("max_age", "now", "verified"),
    [("1h", SIGNED_AT + 3600, True), ("1h", SIGNED_AT + 3610, False), ("1h", SIGNED_AT - 400, False), (None, 0, True)],
)
def test_the_age_is_that_of_the_log(max_age, now, verified):
    """The predicate itself says 2023."""
    trusted = trust()
    wanted = parse_wanted([{"predicate_type": SLSA, "max_age": max_age}])
    (bundle,) = candidates("keyless/provenance")
    signed = json.loads(bundle.content)["verificationMaterial"]["tlogEntries"][0]["integratedTime"]
    found = judge_attestations(trusted, wanted, IMAGE, [bundle], now + int(signed) - SIGNED_AT)
    assert found.verified is verified, found
    assert found.attestations[0].identity == RELEASE and found.attestations[0].predicate


def test_a_time_that_the_log_did_not_sign_refuses() -> None:
    value = json.loads(content("keyless/release/bundle.json"))
    value["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = str(SIGNED_AT + 1)
    found = judge(trust(), Reference.parse(NAME), IMAGE, [Candidate("bundle", json.dumps(value).encode(), "")])
    assert not found.verified and "sigstore refuses the bundle" in found.problem


class Stub:
    """Stands for the library, and finds every bundle to be genuine, with one time stamp of the second 5."""

    def __init__(self, value, stamps=1):
        envelope = value["dsseEnvelope"]
        self.read = envelope["payloadType"], base64.b64decode(envelope["payload"])
        self.stamps = stamps

    def from_json(self, raw):
        times = [
            SimpleNamespace(tst_info=SimpleNamespace(gen_time=datetime.fromtimestamp(5, timezone.utc)))
        ] * self.stamps
        data = SimpleNamespace(rfc3161_timestamps=times)
        return SimpleNamespace(verification_material=SimpleNamespace(timestamp_verification_data=data))

    def verify_dsse(self, parsed, policy):
        policy._found.append(Signer("somebody", "someone"))
        return self.read


@pytest.mark.parametrize(
    ("change", "stamps", "time"),
    [
        ({}, 1, SIGNED_AT),
        ({"inclusionPromise": None}, 1, 5),
        ({"inclusionPromise": None}, 0, None),
        ({"inclusionPromise": None}, 2, None),  # which of them is genuine, the library does not say
        ({"inclusionPromise": None, "inclusion_promise": {}}, 1, None),
        ({"integratedTime": SIGNED_AT}, 1, None),  # a number, which another reader may take
        ({"integratedTime": None, "integrated_time": str(SIGNED_AT)}, 1, None),
    ],
)
def test_times_without_the_library_are_those_that_it_must_have_verified(change, stamps, time):
    value = json.loads(content("keyless/release/bundle.json"))
    (entry,) = value["verificationMaterial"]["tlogEntries"]
    entry.update(change)
    for name in [name for name in change if change[name] is None]:
        del entry[name]
    stub = Stub(value, stamps)
    keyless = Keyless(Rule(""), Rule(""), _Library(stub, stub, ()))
    for spelling in ("tlogEntries", "tlog_entries"):
        value["verificationMaterial"][spelling] = value["verificationMaterial"].pop("tlogEntries")
        raw = json.dumps(value).encode()
        wanted = None if spelling == "tlog_entries" and time == SIGNED_AT else time
        assert keyless.verify(raw, read_bundle(raw)) == (Signer("somebody", "someone"), wanted)


def test_a_reader_that_reads_something_else(monkeypatch) -> None:
    trusted = trust()
    assert trusted.certificate
    verifier = trusted.certificate._library.verifier
    real = verifier.verify_dsse
    monkeypatch.setattr(verifier, "verify_dsse", lambda *given: (real(*given)[0], b"{}"))
    found = verdict(trusted, "keyless/release")
    assert not found.verified and "read something else" in found.problem


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (None, "certificate must be a dict of identity"),
        ([], "certificate must be a dict"),
        ({**EXACT, "trusted_root": "x", "more": 1}, "certificate must be a dict"),
        (EXACT, "certificate needs trusted_root"),
        ({**EXACT, "trusted_root": 1}, "certificate needs trusted_root"),
        ({"identity": RELEASE, "trusted_root": str(ROOT)}, "certificate needs issuer or issuer_regexp"),
        ({"issuer": ISSUER, "trusted_root": str(ROOT)}, "certificate needs identity or identity_regexp"),
        ({**EXACT, "issuer_regexp": "x", "trusted_root": str(ROOT)}, "issuer or issuer_regexp, and not both"),
        ({**EXACT, "identity": "", "trusted_root": str(ROOT)}, "needs identity or identity_regexp"),
        ({"identity_regexp": "(", "issuer": ISSUER, "trusted_root": str(ROOT)}, "identity_regexp is not a regular"),
        ({**EXACT, "trusted_root": "/missing/root.json"}, "/missing/root.json cannot be read: No such file"),
        ({**EXACT, "trusted_root": "/\0"}, "is not a trusted root"),
        ({**EXACT, "trusted_root": str(VECTORS / "expected.json")}, "expected.json is not a trusted root of sigstore"),
        ({**EXACT, "trusted_root": str(VECTORS / "keys/go-p256.pub")}, "is not a trusted root of sigstore"),
    ],
)
def test_no_certificate(options, why):
    with pytest.raises(InvalidInput, match=why) as caught:
        parse_certificate(options)
    assert str(caught.value).isprintable()


def test_formats_that_leave_no_way() -> None:
    with pytest.raises(InvalidInput, match="A certificate verifies bundles alone"):
        trust({"formats": ["simple"]})


def test_without_the_library(monkeypatch) -> None:
    real = builtins.__import__

    def refuse(name, *rest):
        if name.partition(".")[0] == "sigstore":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingLibrary, match=r"^sigstore$"):
        parse_certificate({**EXACT, "trusted_root": str(ROOT)})


@pytest.mark.parametrize(
    ("der", "text"),
    [
        (b"\x0c\x00", b""),
        (b"\x0c\x02ab", b"ab"),
        (b"\x0c\x81\x80" + b"a" * 128, b"a" * 128),
        (b"\x0c\x82\x01\x00" + b"a" * 256, b"a" * 256),
        (b"", None),
        (b"\x0c", None),
        (b"\x0c\x02a", None),
        (b"\x0c\x02abc", None),
        (b"\x0d\x02ab", None),
        (b"\x0c\x80ab", None),
        (b"\x0c\x83\x00\x00\x01a", None),
        (b"\x0c\xffab", None),
    ],
)
def test_issuers_without_the_library_as_certificates_have_them(der, text):
    if text is None:
        with pytest.raises(Refused):
            _utf8_string(der)
    else:
        assert _utf8_string(der) == text


def test_rules_without_the_library() -> None:
    assert Rule("a.c").accepts("a.c") and not Rule("a.c").accepts("abc")
