# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy files beyond those of the vectors: what makes one invalid, and which scope counts."""

from __future__ import annotations

import base64
import re

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, MissingLibrary
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import canonical_json
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust import keys
from ansible_collections.quayside.registry.plugins.module_utils._trust.judge import judge
from ansible_collections.quayside.registry.plugins.module_utils._trust.policy import parse_policy, scopes
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import Trust, parse_trust
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    IMAGE,
    NAME,
    candidates,
    content,
)

KEY = base64.b64encode(content("keys/go-p256.pub")).decode()
SIGNED = {"type": "sigstoreSigned", "keyData": KEY}
REKOR = {"rekorPublicKeyData": KEY}
FULCIO = {"caData": KEY, "oidcIssuer": "https://issuer.example", "subjectEmail": "a@b.example"}
PKI = {"caRootsData": KEY, "subjectEmail": "a@b.example"}
GPG = {"type": "signedBy", "keyType": "GPGKeys", "keyData": KEY}
REJECT, ACCEPT = {"type": "reject"}, {"type": "insecureAcceptAnything"}
PATHS = {"caRootsPath": "/a", "caIntermediatesPath": "/b", "subjectHostname": "x"}


def policy(*requirements, **docker):
    return {"default": list(requirements) or [REJECT], "transports": {"docker": docker}}


def parse(value):
    return parse_policy(canonical_json(value), "The policy")


def keyless(**members):
    return {"type": "sigstoreSigned", **members}


@pytest.mark.parametrize(
    "value",
    [
        policy(SIGNED),
        policy(ACCEPT, SIGNED, REJECT),
        {"default": [REJECT]},
        {"default": [REJECT], "transports": {}},
        {"default": [REJECT], "transports": {"docker": {}, "unheard-of": {"x": [SIGNED]}}},
        policy({"type": "sigstoreSigned", "keyPath": "/a"}),
        policy({"type": "sigstoreSigned", "keyPaths": ["/a", "/b"]}),
        policy({"type": "sigstoreSigned", "keyDatas": [KEY]}),
        policy({"type": "sigstoreSigned", "keyData": "QUJD\nREVG\r\n"}),
        policy({**SIGNED, **REKOR}),
        policy({**SIGNED, "rekorPublicKeyPaths": ["/a"]}),
        policy(keyless(fulcio=FULCIO, **REKOR)),
        policy(keyless(pki=PKI)),
        policy(keyless(pki=PATHS)),
        policy(GPG),
        policy({**GPG, "signedIdentity": {"type": "matchExact"}}),
        policy({"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchRepository"}}),
        policy({**SIGNED, "signedIdentity": {"type": "remapIdentity", "prefix": "a.example", "signedPrefix": "b"}}),
        policy({**SIGNED, "signedIdentity": {"type": "exactRepository", "dockerRepository": "app"}}),
    ],
)
def test_a_valid_policy(value):
    assert parse(value).default


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"default": None},
        {"default": {}},
        {"default": [[]]},
        {"default": ["reject"]},
        {"default": [{}]},
        {"default": [REJECT], "transports": None},
        {"default": [REJECT], "transports": []},
        {"default": [REJECT], "transports": {"docker": None}},
        {"default": [REJECT], "transports": {"docker": {"": None}}},
        {"default": [REJECT], "transports": {"dir": {"": []}}},  # though no image here is in a folder
        {"default": [REJECT], "transports": {"dir": {"": [{"type": "x"}]}}},
        policy({**REJECT, "more": 1}),
        policy({**ACCEPT, "keyData": KEY}),
        policy({"type": ["reject"]}),
        policy({"type": "Reject"}),
        *(policy({"type": "sigstoreSigned", "keyPath": new}) for new in (None, "", 1, [], ["/a"])),
        *(policy({"type": "sigstoreSigned", "keyPaths": new}) for new in (None, "/a", [], [""], [1])),
        *(policy({"type": "sigstoreSigned", "keyData": new}) for new in (None, "", 1, "%", "QUJ", [KEY])),
        *(policy({"type": "sigstoreSigned", "keyDatas": new}) for new in (None, KEY, [], [KEY, "%"])),
        policy({**SIGNED, "keyDatas": [KEY]}),
        policy({**SIGNED, "rekorPublicKeyData": "%"}),
        policy({**SIGNED, "rekorPublicKeyPath": ""}),
        policy({**SIGNED, **REKOR, "rekorPublicKeyPath": "/a"}),
        *(policy({**SIGNED, "signedIdentity": new}) for new in (None, [], "matchExact", {}, {"type": []})),
        *(
            policy({**SIGNED, "signedIdentity": {"type": kind, **members}})
            for kind, members in (
                ("matchExact", {"more": 1}),
                ("exactReference", {}),
                ("exactReference", {"dockerReference": 1}),
                ("exactReference", {"dockerReference": "A B:1"}),
                ("exactReference", {"dockerReference": "app:1", "more": 1}),
                ("exactRepository", {}),
                ("exactRepository", {"dockerReference": "app"}),
                ("remapIdentity", {"prefix": "a.example"}),
                ("remapIdentity", {"prefix": "a.example", "signedPrefix": "b.example/"}),
                ("any", {}),
            )
        ),
        policy(keyless(fulcio=FULCIO)),
        *(
            policy(keyless(fulcio=new, **REKOR))
            for new in (None, [], {}, {**FULCIO, "more": 1}, {**FULCIO, "caPath": "/a"})
        ),
        *(policy(keyless(fulcio={**FULCIO, name: new}, **REKOR)) for name in FULCIO for new in ("", 1, None)),
        *(
            policy(keyless(pki=new))
            for new in (None, {}, {"caRootsData": KEY}, {**PKI, "more": 1}, {**PKI, "caRootsPath": "/a"})
        ),
        policy(keyless(pki={**PATHS, "caIntermediatesData": KEY})),
        policy(keyless(pki={**PKI, "subjectHostname": 1})),
        policy({**GPG, "keyType": "x"}),
        policy({**GPG, "more": 1}),
        policy({**GPG, "keyPath": "/a"}),
        policy({**GPG, "signedIdentity": {"type": "x"}}),
        policy({"type": "signedBaseLayer"}),
        policy({"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}, "more": 1}),
    ],
)
def test_an_invalid_policy(value):
    with pytest.raises(InvalidInput, match=r"^The policy is not a valid policy, so nothing of it counts: ") as caught:
        parse(value)
    assert caught.value.code == "POLICY_INVALID" and KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (
            "r.example:5000/a/b:1",
            ["r.example:5000/a/b:1", "r.example:5000/a/b", "r.example:5000/a", "r.example:5000", "*.example", ""],
        ),
        (f"r.example/a:1@{IMAGE}", [f"r.example/a@{IMAGE}", "r.example/a", "r.example", "*.example", ""]),
        ("a.b.c/x", ["a.b.c/x:latest", "a.b.c/x", "a.b.c", "*.b.c", "*.c", ""]),
        (
            "app",
            ["docker.io/library/app:latest", "docker.io/library/app", "docker.io/library", "docker.io", "*.io", ""],
        ),
        ("localhost/a:1", ["localhost/a:1", "localhost/a", "localhost", ""]),
    ],
)
def test_scopes_from_the_most_specific_on(image, found):
    assert list(scopes(Reference.parse(image))) == found


@pytest.mark.parametrize(
    ("requirement", "why"),
    [
        ({**SIGNED, **REKOR}, "rekorPublicKeyData is not evaluated"),
        (keyless(fulcio=FULCIO, **REKOR), "fulcio is not evaluated"),
        (keyless(pki=PKI), "pki is not evaluated"),
        (GPG, r"signedBy \(GPG\) is not evaluated"),
        (
            {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchRepository"}},
            "signedBaseLayer is not evaluated",
        ),
        (REJECT, "The policy rejects registry.example/team/app:1.0"),
        (
            {"type": "sigstoreSigned", "keyPath": "/missing\0"},
            "a key that cannot be used: '/missing.x00' is not a path",
        ),
        ({"type": "sigstoreSigned", "keyDatas": [KEY, "QUJD"]}, "Key 2 of the policy holds 0 PEM blocks"),
        ({**SIGNED, "keyData": base64.b64encode(content("keys/go-stranger.pub")).decode()}, "It is not by the key"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_does_not_hold_refuses_whatever_stands_beside_it(requirement, why, first):
    both = [requirement, SIGNED] if first else [SIGNED, requirement]
    trust = Trust(policy=parse(policy(*both)))
    verdict = judge(trust, Reference.parse(NAME), IMAGE, candidates("simple/one"))
    assert not verdict.verified and [one.verified for one in verdict.signatures] == [True]
    assert judge(Trust(policy=parse(policy(SIGNED))), Reference.parse(NAME), IMAGE, candidates("simple/one")).verified
    alone = judge(Trust(policy=parse(policy(requirement))), Reference.parse(NAME), IMAGE, candidates("simple/one"))
    assert not alone.verified and all(one.problem for one in alone.signatures)
    assert re.search(why, verdict.problem) and re.search(why, alone.problem)


def test_a_key_by_its_path_is_read_when_it_is_asked_for() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        if path == "policy.json":
            return canonical_json(
                policy(REJECT, **{"registry.example": [{"type": "sigstoreSigned", "keyPath": "/k.pub"}]})
            )
        return content("keys/go-p256.pub")

    trust = parse_trust({"policy_path": "policy.json"}, read)
    assert asked == ["policy.json"]
    assert not judge(trust, Reference.parse("other.example/a:1"), IMAGE, candidates("simple/one"), read).verified
    assert asked == ["policy.json"]
    assert judge(trust, Reference.parse(NAME), IMAGE, candidates("simple/one"), read).verified
    assert asked == ["policy.json", "/k.pub"]


def test_bundles_are_not_what_policies_are_about() -> None:
    verdict = judge(Trust(policy=parse(policy(SIGNED))), Reference.parse(NAME), IMAGE, candidates("bundles/sign"))
    assert not verdict.verified and verdict.signatures == ()


def test_a_missing_library_is_told_as_such(monkeypatch) -> None:
    trust = Trust(policy=parse(policy(SIGNED)))
    monkeypatch.setattr(keys, "IMPORT_ERROR", ImportError())
    with pytest.raises(MissingLibrary):
        judge(trust, Reference.parse(NAME), IMAGE, candidates("simple/one"))
