# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose signature counts: the option, and verdicts that the vectors do not reach."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, MissingLibrary
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust import bundle, dsse, keys, simple
from ansible_collections.quayside.registry.plugins.module_utils._trust.attest import judge_attestations, parse_wanted
from ansible_collections.quayside.registry.plugins.module_utils._trust.candidates import (
    MAX_CANDIDATES,
    MAX_SIZES,
    Candidate,
    format_of,
    too_large,
)
from ansible_collections.quayside.registry.plugins.module_utils._trust.judge import Signature, judge
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private
from ansible_collections.quayside.registry.plugins.module_utils._trust.signing import (
    attest,
    sign_bundle,
    sign_simple,
    signed_elsewhere,
)
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import parse_trust
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    IMAGE,
    NAME,
    OTHER,
    VECTORS,
    candidates,
    key_text,
)

FIRST, SECOND, STRANGER = (key_text(f"keys/{name}.pub") for name in ("go-p256", "py-p256-n65536", "go-stranger"))
REFERENCE = Reference.parse(NAME)
KEY = load_private(key_text("keys/go-p256.key").encode(), "quayside test 1", "")
OTHER_KEY = load_private(key_text("keys/go-stranger.key").encode(), "quayside test 2", "")
NOW = 1_700_000_000.0
SLSA = "https://slsa.dev/provenance/v1"


def simple_of(key=KEY, digest=IMAGE, name=NAME, annotations=None) -> Candidate:
    made = sign_simple(key, digest, name, annotations)
    return Candidate("simple", made.payload, "sig", made.annotations)


def bundle_of(key=KEY, digest=IMAGE, annotations=None) -> Candidate:
    return Candidate("bundle", sign_bundle(key, digest, annotations), "referrer")


def provenance(key=KEY, digest=IMAGE, finished="2023-11-14T22:13:20Z", predicate_type=SLSA, **more) -> Candidate:
    predicate = {"runDetails": {"metadata": {"finishedOn": finished}}, **more}
    return Candidate("bundle", attest(key, digest, predicate_type, predicate), "referrer")


def verdict(found, **options):
    return judge(parse_trust({"keys": [FIRST], **options}), REFERENCE, IMAGE, found)


# --- the option


def test_keys_are_texts_or_paths_and_count_once() -> None:
    path = str(VECTORS / "keys/go-p256.pub")
    trust = parse_trust({"keys": [FIRST, path, STRANGER], "threshold": 2, "certificate": None})
    assert [key.pem.decode() for key in trust.keys] == [FIRST, STRANGER]
    assert (trust.threshold, trust.formats, trust.any_name) == (2, ("bundle", "simple"), True)


def test_a_policy_beside_what_is_so_anyway() -> None:
    path = str(VECTORS / "policies/reject.json")
    defaults = {"threshold": 1, "annotations": {}, "identity": "any", "formats": ["bundle", "simple"], "keys": None}
    assert parse_trust({"policy_path": path, **defaults}) == parse_trust({"policy_path": path})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "somebody has to be trusted"),
        ({"keys": None}, "somebody has to be trusted"),
        ({"keys": []}, "keys must be a list of PEM texts or paths that is not empty"),
        ({"keys": FIRST}, "keys must be a list"),
        ({"keys": [None]}, "keys: entry 1 is neither"),
        ({"keys": [FIRST, ""]}, "keys: entry 2 is neither"),
        ({"keys": ["/missing/x.pub"]}, "/missing/x.pub cannot be read: No such file"),
        ({"keys": ["/\0"]}, "is not a path"),
        ({"keys": ["/dev/zero"]}, "/dev/zero has more than"),
        ({"keys": ["/dev"]}, "/dev cannot be read"),
        ({"keys": [key_text("keys/go-p256.key")]}, "keys: entry 1 is a PEM block .* its public half is wanted"),
        ({"keys": [str(VECTORS / "expected.json")]}, r"keys: entry .*expected.json has more than|holds 0 PEM"),
        ({"keys": [FIRST], "more": 1}, "trust has no option 'more'; it has keys, certificate"),
        *(({"keys": [FIRST], "threshold": new}, "threshold must be 1 or more") for new in (0, -1, True, "1", 1.0)),
        ({"keys": [FIRST], "threshold": 2}, "threshold is 2, but only one key is given"),
        ({"keys": [FIRST, FIRST], "threshold": 2}, "only one key is given, however often"),
        ({"keys": [FIRST], "annotations": []}, "annotations must be a dict"),
        ({"keys": [FIRST], "annotations": {"build": None}}, "annotations: the value of build is null; write"),
        ({"keys": [FIRST], "identity": "name"}, "identity must be any, repository, reference"),
        ({"keys": [FIRST], "identity": ["A B"]}, "is not an image reference"),
        *(
            ({"keys": [FIRST], "formats": new}, "formats must be a list of bundle and simple")
            for new in ([], "simple", ["x"], 1)
        ),
        ({"keys": [FIRST], "formats": ["bundle"], "identity": "repository"}, "bundles claim none"),
        ({"policy_path": ""}, "policy_path must be the path"),
        ({"policy_path": "/missing/policy.json"}, "/missing/policy.json cannot be read"),
        ({"policy_path": "/x", "keys": [FIRST]}, "policy_path stands alone"),
        ({"policy_path": "/x", "threshold": 2}, "policy_path stands alone"),
        ({"policy_path": "/x", "annotations": {"a": "b"}}, "policy_path stands alone"),
        ({"policy_path": "/x", "identity": "repository"}, "policy_path stands alone"),
        ({"policy_path": "/x", "formats": ["simple"]}, "policy_path stands alone"),
    ],
)
def test_no_trust(options, why):
    with pytest.raises(InvalidInput, match=why) as caught:
        parse_trust(options)
    assert "\n" not in str(caught.value) and FIRST[30:90] not in str(caught.value)


def test_keys_without_the_library(monkeypatch) -> None:
    monkeypatch.setattr(keys, "IMPORT_ERROR", ImportError())
    with pytest.raises(MissingLibrary):
        parse_trust({"keys": [FIRST]})


# --- signatures


def test_what_is_made_here_is_verified_here() -> None:
    found = verdict([simple_of(), bundle_of()])
    fingerprint = KEY.public.fingerprint
    assert found.verified and not found.problem and not found.warnings
    assert found.signatures == (
        Signature("simple", True, "sig", fingerprint, claimed_reference=NAME),
        Signature("bundle", True, "referrer", fingerprint),
    )
    assert found.signatures[1].result() == {
        "format": "bundle",
        "verified": True,
        "location": "referrer",
        "key_fingerprint": fingerprint,
        "identity": None,
        "issuer": None,
        "claimed_reference": None,
        "problem": None,
    }


def test_the_same_input_makes_the_same_payloads() -> None:
    first, second = (
        sign_simple(KEY, IMAGE, NAME, {"b": "1", "a": "2"}),
        sign_simple(KEY, IMAGE, NAME, {"a": "2", "b": "1"}),
    )
    assert first.payload == second.payload
    assert (
        sign_bundle(KEY, IMAGE).partition(b'"signatures"')[0] == sign_bundle(KEY, IMAGE).partition(b'"signatures"')[0]
    )


def test_a_signature_that_was_made_elsewhere() -> None:
    made = sign_simple(KEY, IMAGE, NAME)
    text = made.annotations[simple.SIGNATURE]
    assert signed_elsewhere(KEY.public, made.payload, f" {text[:40]}\n{text[40:]}\n") == made
    for key, payload, signature in (
        (OTHER_KEY.public, made.payload, text),
        (KEY.public, made.payload + b" ", text),
        (KEY.public, made.payload, "%"),
        (KEY.public, made.payload, ""),
    ):
        with pytest.raises(InvalidInput, match=r"^signature is not"):
            signed_elsewhere(key, payload, signature)


@pytest.mark.parametrize("make", [simple_of, bundle_of])
def test_a_threshold_counts_different_keys(make):
    both = {"keys": [FIRST, STRANGER], "threshold": 2}
    once = verdict([make(), make(), simple_of(), bundle_of()], **both)
    assert not once.verified and "signed by 1 of those who are trusted; 2 different ones" in once.problem
    assert all(signature.verified for signature in once.signatures)
    assert verdict([make(), make(OTHER_KEY)], **both).verified
    assert not verdict([make(), make(OTHER_KEY, OTHER)], **both).verified


@pytest.mark.parametrize("make", [simple_of, bundle_of])
def test_annotations_must_be_signed(make):
    wanted = {"annotations": {"env": "prod", "build": "17"}}
    assert verdict([make(annotations={"env": "prod", "build": "17", "more": "x"})], **wanted).verified
    for signed in (None, {"env": "prod"}, {"env": "prod", "build": "18"}, {"Env": "prod", "build": "17"}):
        found = verdict([make(annotations=signed)], **wanted)
        assert not found.verified and "build=17, env=prod" in found.problem
    unsigned = replace(make(), annotations={**make().annotations, "env": "prod", "build": "17"})
    assert not verdict([unsigned], **wanted).verified
    spread = [make(annotations={"env": "prod"}), make(annotations={"build": "17"})]
    assert not verdict(spread, **wanted).verified


def test_annotations_of_another_subject_do_not_count() -> None:
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "subject": [
            {"digest": {"sha256": OTHER[7:]}, "annotations": {"env": "prod"}},
            {"digest": {"sha256": IMAGE[7:]}, "annotations": {"env": "test"}},
        ],
    }
    found = candidate_of(value)
    assert verdict([found]).verified and verdict([found], annotations={"env": "test"}).verified
    assert not verdict([found], annotations={"env": "prod"}).verified


def candidate_of(value, key=KEY) -> Candidate:
    payload, kind = json.dumps(value).encode(), "application/vnd.in-toto+json"
    envelope = dsse.Envelope(kind, payload, key.sign(dsse.pae(kind, payload)))
    return Candidate("bundle", bundle.build_bundle(envelope, ""), "referrer")


@pytest.mark.parametrize(
    ("signed", "image", "verified"),
    [
        ({"sha512": "a" * 128}, f"sha512:{'a' * 128}", True),
        ({"sha512": "a" * 128}, f"sha512:{'b' * 128}", False),
        ({"sha256": "a" * 64, "sha512": "b" * 128}, f"sha512:{'b' * 128}", True),
        ({"sha1": "a" * 64}, f"sha256:{'a' * 64}", False),
        ({"sha256": "A" * 64}, f"sha256:{'a' * 64}", False),
        ({"sha256": f"sha256:{'a' * 64}"}, f"sha256:{'a' * 64}", False),
    ],
)
def test_digests_of_subjects(signed, image, verified):
    value = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "subject": [{"digest": signed}],
    }
    assert judge(parse_trust({"keys": [FIRST]}), REFERENCE, image, [candidate_of(value)]).verified is verified


def test_formats_that_are_not_asked_for_are_left_out() -> None:
    both = [simple_of(), bundle_of()]
    assert [one.format for one in verdict(both, formats=["simple"]).signatures] == ["simple"]
    assert [one.format for one in verdict(both, formats=["bundle"]).signatures] == ["bundle"]
    nothing = verdict([bundle_of()], formats=["simple"])
    assert not nothing.verified and nothing.problem == "It has no signature." and nothing.signatures == ()


def test_names_are_in_simple_signatures_alone() -> None:
    found = verdict([bundle_of()], identity="repository")
    assert not found.verified and "A bundle claims no name" in found.problem
    assert verdict([bundle_of(), simple_of()], identity="repository").verified


def test_the_digest_of_the_image_counts_and_not_its_name() -> None:
    named = Reference.parse(f"{NAME}@{OTHER}")
    assert not judge(parse_trust({"keys": [FIRST]}), named, OTHER, [simple_of(), bundle_of()]).verified


def test_too_many_are_never_trusted() -> None:
    one = simple_of()
    assert verdict([one] * MAX_CANDIDATES).verified
    found = verdict([one] * (MAX_CANDIDATES + 1))
    assert not found.verified and found.signatures == ()
    assert found.problem == "There are 129 signatures and attestations; no more than 128 are read."


@pytest.mark.parametrize("format_", ["simple", "bundle"])
def test_what_is_too_large_is_never_trusted(format_, monkeypatch):
    good = simple_of() if format_ == "simple" else bundle_of()
    monkeypatch.setitem(MAX_SIZES, format_, len(good.content))
    assert verdict([good]).verified
    monkeypatch.setitem(MAX_SIZES, format_, len(good.content) - 1)
    found = verdict([good])
    assert not found.verified and "are read at most" in found.problem and found.signatures[0].key_fingerprint is None


def test_what_was_not_fetched_is_never_trusted() -> None:
    found = verdict([replace(simple_of(), problem="The registry did not send it.")])
    assert not found.verified and "The registry did not send it." in found.problem


def test_layers() -> None:
    assert [format_of(kind) for kind in (simple.MEDIA_TYPE, bundle.MEDIA_TYPE, dsse.MEDIA_TYPE, "text/plain")] == [
        "simple",
        "bundle",
        "envelope",
        "",
    ]
    small, large = (Descriptor(simple.MEDIA_TYPE, IMAGE, size) for size in (1 << 20, (1 << 20) + 1))
    assert too_large(small) == "" and too_large(large) == "It has 1048577 bytes; 1048576 are read at most."
    assert Candidate.of_layer(large, None, "x").problem == too_large(large)


def test_several_problems_are_told_once_each() -> None:
    bad = [simple_of(OTHER_KEY), simple_of(OTHER_KEY), simple_of(digest=OTHER), replace(simple_of(), annotations={})]
    found = verdict([*bad, replace(simple_of(), content=b"x"), replace(simple_of(), problem="Lost.")])
    assert found.problem.startswith(
        "None of its 6 signatures counts: It is not by the key that is trusted. It signs another"
    )
    assert found.problem.endswith("(and 1 other problems)")


# --- attestations


def attested(found, wanted, now=NOW, **options):
    return judge_attestations(parse_trust({"keys": [FIRST], **options}), parse_wanted(wanted), IMAGE, found, now)


def test_an_attestation_is_told() -> None:
    found = attested(
        [provenance(level=3), bundle_of(), simple_of()], [{"predicate_type": "slsaprovenance1", "query": "level==`3`"}]
    )
    (one,) = found.attestations
    assert found.verified and one.verified and one.key_fingerprint == KEY.public.fingerprint
    assert one.result()["predicate"]["level"] == 3 and one.result()["problem"] is None
    assert "level" not in repr(one)


def test_every_attestation_that_is_wanted_must_be_there() -> None:
    wanted = [{"predicate_type": "slsaprovenance1"}, {"predicate_type": "spdx"}]
    found = attested([provenance()], wanted)
    assert not found.verified and found.problem == "It has no attestation of the type https://spdx.dev/Document."
    assert attested([provenance(), *candidates("bundles/spdx")], wanted).verified


def test_a_threshold_of_attestations() -> None:
    both = {"keys": [FIRST, STRANGER], "threshold": 2}
    wanted = [{"predicate_type": SLSA, "query": "level == `3`"}]
    assert not attested([provenance(level=3)] * 2, wanted, **both).verified
    assert not attested([provenance(level=3), provenance(OTHER_KEY, level=2)], wanted, **both).verified
    assert attested([provenance(level=3), provenance(OTHER_KEY, level=3)], wanted, **both).verified


@pytest.mark.parametrize(
    ("finished", "max_age", "verified"),
    [
        ("2023-11-14T22:13:20Z", "1s", True),
        ("2023-11-14T21:13:20Z", "1h", True),
        ("2023-11-14T21:13:19Z", "1h", False),
        ("2023-11-07T22:13:20Z", "1w", True),
        ("2023-11-07T22:13:19Z", "7d", False),
        ("2023-11-14T22:18:20Z", "1h", True),  # clocks differ a little
        ("2023-11-14T22:18:21Z", "1h", False),
        ("2033-11-14T22:13:20Z", "999999999w", False),
        ("yesterday", "999999999w", False),
        (None, "999999999w", False),
        (None, None, True),
        ("1970-01-01T00:00:00Z", None, True),
    ],
)
def test_age(finished, max_age, verified):
    found = attested([provenance(finished=finished)], [{"predicate_type": SLSA, "max_age": max_age}])
    assert found.verified is verified and bool(found.problem) is not verified


def test_a_log_that_nobody_verified_tells_no_time() -> None:
    value = json.loads(provenance(finished=None).content)
    entry = {"integratedTime": str(int(NOW)), "inclusionPromise": {"signedEntryTimestamp": "QUJD"}}
    value["verificationMaterial"]["tlogEntries"] = [entry]
    found = Candidate("bundle", json.dumps(value).encode(), "referrer")
    assert attested([found], [{"predicate_type": SLSA}]).verified
    assert "its age is not known" in attested([found], [{"predicate_type": SLSA, "max_age": "1w"}]).problem


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (provenance(OTHER_KEY), "It is not by the key that is trusted."),
        (provenance(digest=OTHER), "It is about another image."),
        (provenance(level="3"), "The query .* is not true of it"),
        (provenance(level=[]), "The query .* is not true of it"),
        (replace(provenance(level=3), problem="Lost."), "Lost."),
        (replace(provenance(level=3), content=b"{}"), "The bundle is of the type None"),
    ],
)
def test_attestations_that_do_not_count(candidate, problem):
    found = attested([candidate], [{"predicate_type": SLSA, "query": "level == `3`"}])
    assert not found.verified
    (one,) = found.attestations
    assert not one.verified and (one.key_fingerprint or one.predicate is None)
    assert re.search(problem, one.problem) and re.search(problem, found.problem)


def test_a_query_that_fails_on_a_predicate_only_refuses_it() -> None:
    wanted = [{"predicate_type": SLSA, "query": "length(level) == `1`"}]
    found = attested([provenance(level=3), provenance(level=[3])], wanted)
    assert found.verified and [one.verified for one in found.attestations] == [False, True]
    assert "JMESPath" in found.attestations[0].problem


def test_the_older_envelopes_of_cosign() -> None:
    envelope = json.dumps(json.loads(provenance(level=3).content)["dsseEnvelope"]).encode()
    found = [Candidate("envelope", envelope, "att")]
    assert attested(found, [{"predicate_type": SLSA}]).verified
    assert not attested(found, [{"predicate_type": "spdx"}]).verified
    assert not verdict(found).verified and verdict(found).signatures == ()
    assert not attested([replace(found[0], content=envelope[:-1])], [{"predicate_type": SLSA}]).verified


def test_too_many_attestations() -> None:
    found = attested([provenance()] * 129, [{"predicate_type": SLSA}])
    assert not found.verified and "no more than 128" in found.problem


def test_names_and_formats_are_no_matter_to_attestations() -> None:
    options = {"identity": "repository", "formats": ["simple"], "annotations": {"a": "b"}}
    assert attested([provenance()], [{"predicate_type": SLSA}], **options).verified


def test_a_policy_says_nothing_about_attestations() -> None:
    trust = parse_trust({"policy_path": str(VECTORS / "policies/accept-anything.json")})
    with pytest.raises(InvalidInput, match="nothing about attestations"):
        judge_attestations(trust, parse_wanted([{"predicate_type": SLSA}]), IMAGE, [], NOW)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "spdx",
        ["spdx"],
        [{}],
        [{"predicate_type": "sbom"}],
        [{"predicate_type": 1}],
        [{"predicate_type": "spdx", "more": 1}],
        [{"predicate_type": "spdx", "query": 1}],
        [{"predicate_type": "spdx", "query": "a["}],
        *(
            [{"predicate_type": "spdx", "max_age": new}]
            for new in ("", "7", "d", 7, "1.5d", "-1d", "7 d", "1y", "\u0667d", "7d\n", [])
        ),
    ],
)
def test_no_attestations(value):
    with pytest.raises(InvalidInput):
        parse_wanted(value)


def test_what_strangers_wrote_is_not_shown_at_length() -> None:
    long = "x" * 100_000
    value = json.loads(bundle_of().content)
    other_type = json.dumps({**value, "mediaType": long}).encode()
    value["dsseEnvelope"]["payloadType"] = long
    for content in (other_type, json.dumps(value).encode()):
        found = verdict([replace(bundle_of(), content=content)])
        assert not found.verified and 20 < len(found.problem) < 1000
    assert len(verdict([simple_of(name=long)], identity="reference").problem) < 1000
