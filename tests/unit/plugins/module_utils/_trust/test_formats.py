# SPDX-License-Identifier: GPL-3.0-or-later
"""Simple payloads, envelopes, bundles and statements: read strictly, and written as others write them."""

from __future__ import annotations

import base64
import copy
import json

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import canonical_json
from ansible_collections.quayside.registry.plugins.module_utils._oci.times import parse_time
from ansible_collections.quayside.registry.plugins.module_utils._trust import (
    bundle,
    dsse,
    simple,
    statement,
    texts,
)
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._trust.trust_vectors import (
    IMAGE,
    NAME,
    OTHER,
    content,
)

SPDX = "https://spdx.dev/Document"
HOUR = "2023-11-14T22:13:20Z"


def without(value, path, *new):
    """A copy of JSON of which the member at the path is gone, or is another."""
    value = copy.deepcopy(value)
    into = value
    for key in path[:-1]:
        into = into[key]
    if new:
        into[path[-1]] = new[0]
    else:
        del into[path[-1]]
    return value


@pytest.mark.parametrize(
    ("text", "url_safe", "data"),
    [
        ("", False, b""),
        ("YQ==", False, b"a"),
        ("+/+/", False, b"\xfb\xff\xbf"),
        ("-_-_", True, b"\xfb\xff\xbf"),
        ("+/+/", True, b"\xfb\xff\xbf"),
        ("-_-_", False, None),
        ("YQ", False, None),
        ("YQ=", False, None),
        ("YR==", False, None),  # the same byte, by a lax reader
        ("YQ===", False, None),
        ("YQ==\n", False, None),
        (" YQ==", False, None),
        ("YQ==YQ==", False, None),
        ("ü===", False, None),
        ("%", False, None),
        (None, False, None),
        (b"YQ==", False, None),
        (7, True, None),
    ],
)
def test_base64(text, url_safe, data):
    if data is None:
        with pytest.raises(ContentError, match=r"^It is not base64\.$"):
            texts.from_base64(text, "It", url_safe)
    else:
        assert texts.from_base64(text, "It", url_safe) == data


# --- simple payloads

PAYLOAD = json.loads(content("simple/one/payload.json"))
CRITICAL = ("critical", "image", "docker-manifest-digest")


def test_a_payload_is_read() -> None:
    found = simple.read_payload(content("simple/annotations/payload.json"))
    assert found == simple.Payload(IMAGE, NAME.partition(":")[0], {"env": "prod", "build": "17"})


def test_a_payload_is_written_as_others_write_it() -> None:
    repository = NAME.rpartition(":")[0]
    assert simple.build_payload(IMAGE, NAME) == content("simple/no-signature/payload.json")
    assert simple.build_payload(IMAGE, repository, {}) == content("simple/repo-only/payload.json")
    annotations = {"env": "prod", "build": "17"}
    assert simple.build_payload(IMAGE, repository, annotations) == content("simple/annotations/payload.json")
    with pytest.raises(InvalidInput, match="timestamp"):
        simple.build_payload(IMAGE, NAME, {"timestamp": "1"})


@pytest.mark.parametrize(
    "optional",
    [None, {}, {"creator": "x", "timestamp": 1}, {"timestamp": 1.0}, {"timestamp": 0}, {"a": [1, {"b": None}]}],
)
def test_optional_may_be(optional):
    assert simple.read_payload(canonical_json({**PAYLOAD, "optional": optional})).optional == (optional or {})


@pytest.mark.parametrize(
    "value",
    [
        {},
        without(PAYLOAD, ["critical"]),
        without(PAYLOAD, ["optional"]),
        {**PAYLOAD, "more": 1},
        *(without(PAYLOAD, ["optional"], new) for new in ([], "", 0, False, "x", {"creator": 1}, {"creator": []})),
        *(without(PAYLOAD, ["optional"], {"timestamp": new}) for new in ("1", 1.5, True, [], {}, "")),
        *(without(PAYLOAD, ["critical"], new) for new in (None, [], "x", {})),
        *(without(PAYLOAD, ["critical", name]) for name in ("type", "image", "identity")),
        without(PAYLOAD, ["critical", "more"], 1),
        *(without(PAYLOAD, ["critical", "type"], new) for new in (None, "", "atomic container signature", 1, [])),
        *(without(PAYLOAD, ["critical", "image"], new) for new in (None, [], {}, IMAGE)),
        *(
            without(PAYLOAD, CRITICAL, new)
            for new in (None, "", "x", 1, IMAGE[:-1], IMAGE.upper(), f"{IMAGE}\n", [IMAGE])
        ),
        without(PAYLOAD, [*CRITICAL[:2], "more"], 1),
        *(without(PAYLOAD, ["critical", "identity"], new) for new in (None, {}, NAME)),
        *(without(PAYLOAD, ["critical", "identity", "docker-reference"], new) for new in (None, 1, [NAME])),
        without(PAYLOAD, ["critical", "identity", "more"], 1),
    ],
)
def test_no_payload(value):
    with pytest.raises(ContentError):
        simple.read_payload(canonical_json(value))


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", content("simple/one/payload.json") + b"{}", b"\xff" * 9])
def test_no_json_is_a_payload(raw):
    with pytest.raises(ContentError):
        simple.read_payload(raw)


# --- envelopes

ENVELOPE = json.loads(content("bundles/sign/bundle.json"))["dsseEnvelope"]


def test_the_encoding_that_is_signed() -> None:
    """The example of the protocol's own text."""
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("ü", b"") == b"DSSEv1 2 \xc3\xbc 0 "


def test_an_envelope_is_read() -> None:
    found = dsse.read_envelope(ENVELOPE, "It")
    assert found == dsse.parse_envelope(canonical_json({**ENVELOPE, "more": 1}), "It")
    assert found.signed == dsse.pae(found.payload_type, found.payload) and b"DSSEv1 28 application/" in found.signed
    url_safe = {**ENVELOPE, "payload": "-_-_", "signatures": [{"sig": "-_-_"}]}
    assert dsse.read_envelope(url_safe, "").payload == dsse.read_envelope(url_safe, "").signature == b"\xfb\xff\xbf"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        *(without(ENVELOPE, [name]) for name in ENVELOPE),
        *(without(ENVELOPE, ["payloadType"], new) for new in (None, 1, [])),
        *(without(ENVELOPE, ["payload"], new) for new in (None, 1, "%", "YQ", " ")),
        *(without(ENVELOPE, ["signatures"], new) for new in (None, {}, "x", [], [None], ["x"], [{}], [{"sig": 1}])),
        without(ENVELOPE, ["signatures"], ENVELOPE["signatures"] * 2),
    ],
)
def test_no_envelope(value):
    with pytest.raises(ContentError, match="It"):
        dsse.read_envelope(value, "It")


# --- bundles

BUNDLE = json.loads(content("bundles/sign/bundle.json"))
KEYLESS = json.loads(content("keyless/release/bundle.json"))
ENTRY = ("verificationMaterial", "tlogEntries", 0)


@pytest.mark.parametrize("case", ["sign", "spdx", "slsa", "annotations", "p384", "rsa", "ed25519"])
def test_a_bundle_is_read_and_written_as_others_write_it(case):
    """But for the optional ``keyid``, with which cosign 3 takes a signature for one of some other key."""
    raw = content(f"bundles/{case}/bundle.json")
    found = bundle.read_bundle(raw)
    assert not found.keyless and found.log_time is None
    wanted = json.loads(raw)
    assert wanted["dsseEnvelope"]["signatures"][0].pop("keyid")
    assert bundle.build_bundle(found.envelope, found.hint) == canonical_json(wanted)


@pytest.mark.parametrize("media_type", bundle.MEDIA_TYPES)
def test_versions_of_bundles(media_type):
    assert bundle.is_bundle(media_type)
    assert bundle.read_bundle(canonical_json({**BUNDLE, "mediaType": media_type})).envelope.payload


def test_a_keyless_bundle_is_read() -> None:
    found = bundle.read_bundle(canonical_json(KEYLESS))
    assert found.keyless and found.log_time == 1795817959.0
    chain = without(KEYLESS, ["verificationMaterial"], {"x509CertificateChain": {"certificates": []}})
    assert bundle.read_bundle(canonical_json(chain)).keyless


@pytest.mark.parametrize(
    "value",
    [
        without(KEYLESS, [*ENTRY, "inclusionPromise"]),  # the log did not sign for the time
        without(KEYLESS, [*ENTRY, "inclusionPromise"], {}),
        *(without(KEYLESS, [*ENTRY, "integratedTime"], new) for new in (None, 1, "", "x", "-1", "1" * 12, "²", [])),
        *(without(KEYLESS, ["verificationMaterial", "tlogEntries"], new) for new in (None, {}, [], [1], [{}, {}])),
    ],
)
def test_no_time_of_a_log(value):
    assert bundle.read_bundle(canonical_json(value)).log_time is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        *(without(BUNDLE, [name]) for name in BUNDLE),
        *(
            without(BUNDLE, ["mediaType"], new)
            for new in (None, [], "", bundle.MEDIA_TYPE + "x", "application/vnd.dev.sigstore.bundle.v0.4+json")
        ),
        *(without(BUNDLE, ["verificationMaterial"], new) for new in (None, [], {}, "publicKey")),
        without(BUNDLE, ["verificationMaterial", "certificate"], {"rawBytes": ""}),
        *(without(BUNDLE, ["verificationMaterial", "publicKey"], new) for new in (None, [], {"hint": 1})),
        {**BUNDLE, "messageSignature": {}},
        *(without(BUNDLE, ["dsseEnvelope"], new) for new in (None, [], "x")),
    ],
)
def test_no_bundle(value):
    with pytest.raises(ContentError):
        bundle.read_bundle(canonical_json(value))


@pytest.mark.parametrize("raw", [b"", b"[]", content("bundles/sign/bundle.json").replace(b"{", b'{"mediaType":"",', 1)])
def test_no_json_is_a_bundle(raw):
    with pytest.raises(ContentError):
        bundle.read_bundle(raw)


# --- statements

STATEMENT = json.loads(base64.b64decode(ENVELOPE["payload"]))


def read(value) -> statement.Statement:
    return statement.read_statement(statement.PAYLOAD_TYPE, canonical_json(value))


@pytest.mark.parametrize("version", ["v1", "v0.1"])
def test_a_statement_is_read(version):
    found = read({**STATEMENT, "_type": f"https://in-toto.io/Statement/{version}", "more": 1})
    assert found.predicate_type == statement.SIGNED and found.predicate == {} and found.time is None
    assert len(found.about(IMAGE)) == 1 and found.about(OTHER) == []
    assert found.about(IMAGE.replace("sha256", "sha512")) == []


def test_a_statement_is_written_as_others_write_it() -> None:
    for case, predicate_type in (("sign", statement.SIGNED), ("annotations", statement.SIGNED), ("spdx", SPDX)):
        payload = bundle.read_bundle(content(f"bundles/{case}/bundle.json")).envelope.payload
        found = statement.read_statement(statement.PAYLOAD_TYPE, payload)
        built = statement.build_statement(IMAGE, predicate_type, found.predicate, found.subjects[0].annotations)
        assert json.loads(built) == json.loads(payload)
        assert built == payload or case == "annotations"  # which are sorted here


def test_a_predicate_may_be_missing() -> None:
    for value in (without(STATEMENT, ["predicate"]), without(STATEMENT, ["predicate"], None)):
        assert read(value).predicate == {}


@pytest.mark.parametrize(
    "value",
    [
        {},
        *(without(STATEMENT, [name]) for name in STATEMENT if name != "predicate"),
        *(without(STATEMENT, ["_type"], new) for new in (None, [], "https://in-toto.io/Statement/v2")),
        *(without(STATEMENT, ["predicateType"], new) for new in (None, 1, [])),
        *(without(STATEMENT, ["predicate"], new) for new in ([], "x", 0)),
        *(without(STATEMENT, ["subject"], new) for new in (None, [], {}, "x", [None], [{}], [{"digest": []}])),
        without(STATEMENT, ["subject", 0, "digest", "sha256"], 1),
        *(without(STATEMENT, ["subject", 0, "annotations"], new) for new in ([], "x", 0)),
    ],
)
def test_no_statement(value):
    with pytest.raises(ContentError):
        read(value)


def test_another_payload_is_no_statement() -> None:
    with pytest.raises(ContentError, match="not an in-toto statement"):
        statement.read_statement("application/json", canonical_json(STATEMENT))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (HOUR, 1700000000.0),
        ("2023-11-14t22:13:20.123456789z", 1700000000.0),
        ("2023-11-15T00:13:20+02:00", 1700000000.0),
        ("0001-01-01T00:00:00+14:00", None),
        ("2023-13-14T22:13:20Z", None),
        ("2023-11-14T22:13:20", None),
        ("2023-11-14", None),
        ("٢٠٢٣-11-14T22:13:20Z", None),
        (1700000000, None),
        (None, None),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) in ((seconds,) if seconds else (None, -62135647200.0))


@pytest.mark.parametrize(
    ("predicate_type", "predicate"),
    [
        ("https://slsa.dev/provenance/v1", {"runDetails": {"metadata": {"startedOn": "no", "finishedOn": HOUR}}}),
        ("https://slsa.dev/provenance/v1", {"runDetails": {"metadata": {"startedOn": HOUR}}}),
        ("https://slsa.dev/provenance/v0.2", {"metadata": {"buildFinishedOn": HOUR}}),
        ("https://spdx.dev/Document", {"creationInfo": {"created": HOUR}}),
        ("https://cyclonedx.org/bom", {"metadata": {"timestamp": HOUR}}),
        ("https://cosign.sigstore.dev/attestation/vuln/v1", {"metadata": {"scanFinishedOn": HOUR}}),
        ("https://openvex.dev/ns", {"timestamp": HOUR}),
        ("https://openvex.dev/ns", {"timestamp": "2001-01-01T00:00:00Z", "last_updated": HOUR}),
        ("https://slsa.dev/verification_summary/v1", {"timeVerified": HOUR}),
        ("https://cosign.sigstore.dev/attestation/v1", {"Timestamp": HOUR}),
    ],
)
def test_the_time_that_a_predicate_tells(predicate_type, predicate):
    assert statement.Statement(predicate_type, predicate, ()).time == 1700000000.0
    assert statement.Statement("https://example.com/other", predicate, ()).time is None
    assert statement.Statement(predicate_type, {}, ()).time is None
    assert statement.Statement(predicate_type, {key: [] for key in predicate}, ()).time is None


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("spdx", "https://spdx.dev/Document"),
        ("cyclonedx", "https://cyclonedx.org/bom"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
        ("openvex", "https://openvex.dev/ns"),
        ("https://example.com/type", "https://example.com/type"),
        ("urn:x", "urn:x"),
    ],
)
def test_short_names_of_types(text, uri):
    assert statement.predicate_type_of(text) == uri


@pytest.mark.parametrize("text", ["", "SPDX", "sbom", "https:", "https://a b", ":x", "1:x"])
def test_no_type(text):
    with pytest.raises(InvalidInput, match="must be a URI, or one of spdx, cyclonedx"):
        statement.predicate_type_of(text)
