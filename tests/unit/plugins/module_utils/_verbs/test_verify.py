# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a signature beside an image, and everything that does not, and is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    Denied,
    InvalidInput,
    MissingLibrary,
    NotFound,
    Refused,
)
from ansible_collections.quayside.registry.plugins.module_utils._kit import verifying
from ansible_collections.quayside.registry.plugins.module_utils._kit.verifying import verify
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._trust.attest import parse_wanted
from ansible_collections.quayside.registry.plugins.module_utils._trust.trust import parse_trust
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    digest_of,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    fails,
    login,
    make_session,
)
from ansible_collections.quayside.registry.tests.unit.signing import (
    BUNDLE,
    SIGNATURE,
    SIMPLE,
    VECTORS,
    Signer,
    attest,
    sign,
    verified,
)

NO_API = Quirks(no_referrers_api=True)


@pytest.fixture
def ours(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "ours")


@pytest.fixture
def other(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "other")


@pytest.fixture(params=[Quirks(), NO_API], ids=["api", "no api"])
def registry(request: Any) -> Iterator[FakeRegistry]:
    with FakeRegistry(request.param) as found:
        found.add_image(REPO, "1", layers=LAYERS)
        yield found


def problems(result: dict[str, Any]) -> str:
    assert result["verified"] is False
    assert result["reference"] is None
    assert result["problem"]
    return str(result["problem"])


def tag_of(digest: str, suffix: str = ".sig") -> str:
    return digest.replace(":", "-") + suffix


def store_bundle(registry: FakeRegistry, raw: bytes, artifact_type: str = BUNDLE, listed: str | None = None) -> str:
    """A bundle as a referrer of the image; `listed` is what a list under the fallback tag says that it is."""
    digest = registry.tags(REPO)["1"]
    layer = {"mediaType": BUNDLE, "digest": registry.add_blob(REPO, raw), "size": len(raw)}
    subject = {key: value for key, value in registry.descriptor(REPO, digest).items() if key != "platform"}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add_blob(REPO, b"{}"), "size": 2}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type, "config": config}
    made = registry.add_manifest(REPO, {**value, "layers": [layer], "subject": subject})
    if registry.quirks.no_referrers_api:
        entry = {**registry.descriptor(REPO, made), **({"artifactType": listed} if listed else {})}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        registry.add_manifest(REPO, index, tag=tag_of(digest, ""))
    return made


def bundle_of(registry: FakeRegistry) -> bytes:
    """The only bundle that is there."""
    (found,) = [raw for raw in registry.blobs(REPO).values() if b"dsseEnvelope" in raw]
    return found


@pytest.mark.parametrize("formats", [["bundle"], ["simple"], ["bundle", "simple"]])
def test_verified_is_pinned(registry: FakeRegistry, ours: Signer, formats: list[str]) -> None:
    sign(registry, ours)
    digest = registry.tags(REPO)["1"]
    result = verified(registry, ours.public, formats=formats, fail_on_unverified=True)
    assert (result["verified"], result["problem"]) == (True, None)
    assert result["reference"] == f"{registry.host}/{REPO}@{digest}"
    assert result["digest"] == digest
    assert sorted(signature["format"] for signature in result["signatures"]) == sorted(formats)
    assert {signature["key_fingerprint"] for signature in result["signatures"]} == {ours.fingerprint}
    assert [row["name"] for row in result["images"]] == [f"{registry.host}/{REPO}:1"]


def test_a_tag_is_resolved_once(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours)
    registry.reset_log()
    verified(registry, ours.public)
    asked = [request.path for request in registry.requests if request.path.endswith("/manifests/1")]
    assert len(asked) == 1


def test_by_digest(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours)
    digest = registry.tags(REPO)["1"]
    assert verified(registry, ours.public, name=f"@{digest}", identity=["reference"], formats=["simple"])["verified"]
    moved = registry.add_image(REPO, "1", layers=LAYERS[:1])
    assert problems(verified(registry, ours.public)) == "It has no signature."
    assert verified(registry, ours.public, name=f":1@{digest}")["digest"] == digest != moved


def test_unsigned_and_by_another_key(registry: FakeRegistry, ours: Signer, other: Signer) -> None:
    assert problems(verified(registry, ours.public)) == "It has no signature."
    sign(registry, other)
    assert "not by the key" in problems(verified(registry, ours.public))
    assert "1 of those who are trusted" in problems(verified(registry, ours.public, other.public, threshold=2))
    sign(registry, ours)
    assert verified(registry, ours.public, other.public, threshold=2)["verified"]


def test_a_failure_has_the_results(registry: FakeRegistry, ours: Signer) -> None:
    with fails(Refused, "NOT_VERIFIED", registry.host, None, f"{REPO}:1 is not verified: It has no") as caught:
        verified(registry, ours.public, fail_on_unverified=True)
    details = caught.value.fields()
    assert (details["verified"], details["reference"]) == (False, None)
    assert details["digest"] == registry.tags(REPO)["1"]


def test_what_was_changed_does_not_count(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, formats=["simple"])
    tag = tag_of(registry.tags(REPO)["1"])
    manifest = registry.manifest(REPO, tag)
    payload = registry.blobs(REPO)[manifest["layers"][0]["digest"]].replace(b"app:1", b"app:2")
    manifest["layers"][0].update(digest=registry.add_blob(REPO, payload), size=len(payload))
    registry.add_manifest(REPO, manifest, tag=tag)
    assert "not by the key" in problems(verified(registry, ours.public))


def test_a_signature_of_another_image(registry: FakeRegistry, ours: Signer) -> None:
    """Taken from where it is, and put beside an image that it is not for."""
    sign(registry, ours)
    raw = bundle_of(registry)
    old = registry.manifest(REPO, tag_of(registry.tags(REPO)["1"]))
    digest = registry.add_image(REPO, "1", layers=LAYERS[:1])
    registry.add_manifest(REPO, old, tag=tag_of(digest))
    store_bundle(registry, raw)
    result = verified(registry, ours.public)
    assert "signs another image" in problems(result)
    assert [signature["verified"] for signature in result["signatures"]] == [False, False]


def test_an_attestation_is_no_signature(registry: FakeRegistry, ours: Signer) -> None:
    attest(registry, ours, {"a": "b"})
    assert problems(verified(registry, ours.public)) == "It has no signature."


def test_unsigned_annotations_do_not_count(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, annotations={"by": "ci"})
    tag = tag_of(registry.tags(REPO)["1"])
    manifest = registry.manifest(REPO, tag)
    manifest["layers"][0]["annotations"]["env"] = "prod"
    registry.add_manifest(REPO, {**manifest, "annotations": {"env": "prod"}}, tag=tag)
    assert verified(registry, ours.public, annotations={"by": "ci"})["verified"]
    assert "env=prod" in problems(verified(registry, ours.public, annotations={"env": "prod"}))


def test_a_list_that_lies_about_the_type(ours: Signer) -> None:
    with FakeRegistry(NO_API) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, ours, formats=["bundle"])
        raw, sbom = bundle_of(registry), "application/vnd.example.sbom"
        store_bundle(registry, raw, listed=sbom)
        assert f"gives it the type '{sbom}', but it says" in problems(verified(registry, ours.public))
        store_bundle(registry, raw, "application/vnd.example.sbom", listed=BUNDLE)
        assert "says 'application/vnd.example.sbom' itself" in problems(verified(registry, ours.public))


@pytest.mark.parametrize("listed", [None, "application/vnd.oci.empty.v1+json"])
@pytest.mark.parametrize("more", [0, 129])
def test_a_list_that_says_nothing_does_not_lie(ours: Signer, listed: str | None, more: int) -> None:
    """Cosign 3 writes the type of the empty config into the list, where a registry has no referrers API."""
    with FakeRegistry(NO_API) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, ours, formats=["bundle"])
        store_bundle(registry, bundle_of(registry), listed=listed)
        index = registry.manifest(REPO, tag_of(digest, ""))
        index["manifests"] += [
            {"mediaType": OCI_MANIFEST, "artifactType": "a/b", "digest": f"sha256:{number:064x}", "size": 7}
            for number in range(more)
        ]
        registry.add_manifest(REPO, index, tag=tag_of(digest, ""))
        assert verified(registry, ours.public)["verified"]


def test_a_list_names_what_is_gone(ours: Signer) -> None:
    with FakeRegistry(NO_API) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        entry = {"mediaType": OCI_MANIFEST, "artifactType": BUNDLE, "digest": "sha256:" + "0" * 64, "size": 7}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        registry.add_manifest(REPO, index, tag=tag_of(digest, ""))
        assert "does not exist" in problems(verified(registry, ours.public))


def test_other_referrers_are_no_matter(registry: FakeRegistry, ours: Signer) -> None:
    registry.add_referrer(REPO, registry.tags(REPO)["1"], "application/vnd.example.sbom", b"sbom")
    assert problems(verified(registry, ours.public)) == "It has no signature."
    sign(registry, ours)
    assert len(verified(registry, ours.public)["signatures"]) == 2


@pytest.mark.parametrize("kind", ["index", "image"])
def test_what_is_no_signature_under_the_tag(registry: FakeRegistry, ours: Signer, kind: str) -> None:
    tag = tag_of(registry.tags(REPO)["1"])
    if kind == "index":
        registry.add_index(REPO, tag, [registry.tags(REPO)["1"]])
        assert "It is an index" in problems(verified(registry, ours.public))
    else:
        registry.add_image(REPO, tag, layers=LAYERS[:1])
        assert problems(verified(registry, ours.public)) == "It has no signature."


def test_too_many(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, formats=["simple"])
    tag = tag_of(registry.tags(REPO)["1"])
    manifest = registry.manifest(REPO, tag)
    registry.add_manifest(REPO, {**manifest, "layers": manifest["layers"] * 129}, tag=tag)
    registry.reset_log()
    assert "129 signatures" in problems(verified(registry, ours.public))
    assert not [request for request in registry.requests if "/blobs/" in request.path]


def test_too_large(registry: FakeRegistry, ours: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = registry.tags(REPO)["1"]
    layer = {"mediaType": SIMPLE, "digest": registry.add_blob(REPO, b"x"), "size": 2 << 20}
    value = {**registry.manifest(REPO, "1"), "layers": [{**layer, "annotations": {SIGNATURE: "MEUC"}}]}
    registry.add_manifest(REPO, value, tag=tag_of(digest))
    assert "2097152 bytes; 1048576 are read" in problems(verified(registry, ours.public))
    sign(registry, ours, formats=["bundle"])
    monkeypatch.setattr(verifying, "MAX_HELD", 100)
    assert "100 are read at most of one image" in problems(verified(registry, ours.public))


def test_large_attestations_are_not_read_for_a_signature(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours)
    attest(registry, ours, {"a": "b" * 100_000})
    session = make_session(login(registry))
    reference = Reference.parse(f"{registry.host}/{REPO}:1")
    assert verify(session, reference, parse_trust({"keys": [ours.public]})).verified
    assert session.transport.counters.bytes_received < 20_000


def test_a_blob_that_is_gone_or_damaged(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, formats=["simple"])
    digest = registry.manifest(REPO, tag_of(registry.tags(REPO)["1"]))["layers"][0]["digest"]
    blobs = registry.api.repos[REPO].blobs
    raw = blobs[digest]
    blobs[digest] = raw[:-1] + b"?"
    assert "should" in problems(verified(registry, ours.public))
    del blobs[digest]
    assert "does not exist" in problems(verified(registry, ours.public))


def test_what_is_refused_is_not_absent(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours)
    registry.fault("GET", f"/v2/{REPO}/manifests/{tag_of(registry.tags(REPO)['1'])}", status=403, times=9)
    with fails(Denied, "DENIED", registry.host, 403):
        verified(registry, ours.public)


def test_absent(registry: FakeRegistry, ours: Signer) -> None:
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, f"{REPO}:2 does not exist"):
        verified(registry, ours.public, name=":2", fail_on_unverified=True)
    result = verified(registry, ours.public, name=":2")
    assert (result["digest"], problems(result)) == (None, f"{registry.host}/{REPO}:2 does not exist.")


def test_several(registry: FakeRegistry, ours: Signer) -> None:
    registry.add_image(REPO, "2", layers=LAYERS[:1])
    sign(registry, ours)
    names = [f"{registry.host}/{REPO}:{tag}" for tag in ("1", "2", "3", "1")]
    result = verified(registry, ours.public, name=None, names=names)
    assert [row["verified"] for row in result["images"]] == [True, False, False]
    assert (result["verified"], result["reference"], result["digest"], result["signatures"]) == (False, None, None, [])
    only = verified(registry, ours.public, name=None, names=names[:1])
    assert only["verified"] and only["reference"]
    nothing = verified(registry, ours.public, name=None, names=[], fail_on_unverified=True)
    assert (nothing["verified"], nothing["images"]) == (False, [])


def test_many_failures_are_a_sentence(registry: FakeRegistry, ours: Signer) -> None:
    names = []
    for number in range(30):
        registry.add_image(REPO, f"n{number}", layers=[b"%d" % number])
        names.append(f"{registry.host}/{REPO}:n{number}")
    with fails(Refused, "NOT_VERIFIED", says="Nor are 27 more."):
        verified(registry, ours.public, name=None, names=names, fail_on_unverified=True)


def test_platforms(registry: FakeRegistry, ours: Signer) -> None:
    add_platforms(registry, tag="2")
    sign(registry, ours, ":2")
    assert verified(registry, ours.public, name=":2")["verified"]
    result = verified(registry, ours.public, name=":2", platforms=["linux/arm64"])
    assert "Its member sha256:" in problems(result)
    sign(registry, ours, ":2", recursive=True)
    result = verified(registry, ours.public, name=":2", platforms=["linux/arm64"])
    assert result["verified"] and len(result["signatures"]) == 4
    sign(registry, ours, ":1")
    assert verified(registry, ours.public, platforms=["linux/amd64"])["verified"]


@pytest.mark.parametrize(
    ("tag", "platform", "says"),
    [("2", "linux/s390x", "has no image for linux/s390x"), ("1", "linux/arm64", "is a single image for linux/amd64")],
)
def test_a_platform_that_an_image_lacks(
    registry: FakeRegistry, ours: Signer, tag: str, platform: str, says: str
) -> None:
    """It is a verdict about that image, and the others have theirs."""
    add_platforms(registry, tag="2")
    for name in (":1", ":2"):
        sign(registry, ours, name, recursive=True)
    names = [f"{registry.host}/{REPO}:{name}" for name in ("gone", tag, "2")]
    platforms = [platform]
    result = verified(registry, ours.public, name=f":{tag}", platforms=platforms)
    assert says in problems(result)
    assert result["digest"] == registry.tags(REPO)[tag]
    assert result["signatures"][0]["verified"]
    with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, says) as caught:
        verified(registry, ours.public, name=f":{tag}", platforms=platforms, fail_on_unverified=True)
    assert caught.value.fields()["digest"] == result["digest"]
    several = verified(registry, ours.public, name=None, names=names[1:], platforms=["linux/amd64"])
    assert several["verified"]
    with fails(Refused, "NOT_VERIFIED", says=says) as caught:
        verified(registry, ours.public, name=None, names=names, platforms=platforms, fail_on_unverified=True)
    assert "gone does not exist" in str(caught.value)
    assert [row["problem"] for row in caught.value.fields()["images"]][1] == result["problem"]
    unsigned = registry.add_image(REPO, "3", layers=LAYERS[:1])
    with fails(Refused, "NOT_VERIFIED", says="It has no signature."):
        verified(registry, ours.public, name=f"@{unsigned}", platforms=["linux/arm64"], fail_on_unverified=True)


def test_what_is_wrong_with_one_image_is_a_verdict(registry: FakeRegistry, ours: Signer) -> None:
    """And what is wrong with the registry is an error."""
    sign(registry, ours)
    none = registry.add_manifest(REPO, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [1]}, tag="none")
    old = "application/vnd.docker.distribution.manifest.v1+json"
    registry.add_manifest("team/odd", {"schemaVersion": 1, "fsLayers": []}, old, tag="1")
    gone = f"{REPO}@sha256:{'0' * 64}"
    names = [f"{registry.host}/{name}" for name in (f"{REPO}:1", f"{REPO}:none", "team/odd:1", gone)]
    result = verified(registry, ours.public, name=None, names=names, platforms=["linux/amd64"])
    assert [row["verified"] for row in result["images"]] == [True, False, False, False]
    assert result["images"][1]["digest"] == none
    assert "is a Docker schema 1 manifest" in result["images"][2]["problem"]
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, "does not exist") as caught:
        verified(registry, ours.public, name=None, names=[names[0], names[3]], fail_on_unverified=True)
    assert [row["verified"] for row in caught.value.fields()["images"]] == [True, False]
    page = {"Content-Type": "text/html"}
    registry.fault("GET|HEAD", "/v2/team/odd/manifests/1", status=200, body=b"<html>", headers=page, times=9)
    with fails(ContentError, "NOT_A_REGISTRY"):
        verified(registry, ours.public, name=None, names=names)


def test_platforms_of_an_index_in_an_index(registry: FakeRegistry, ours: Signer) -> None:
    """The signature of an index does not stand for what lies in it."""
    inner = add_platforms(registry, tag="inner")
    other = registry.add_image(REPO, layers=LAYERS[:1], platform="linux/s390x")
    registry.add_index(REPO, "2", [inner, other])
    for name in (":2", ":inner"):
        sign(registry, ours, name)
    assert verified(registry, ours.public, name=":2")["verified"]
    image = registry.manifest(REPO, inner)["manifests"][0]["digest"]
    found = problems(verified(registry, ours.public, name=":2", platforms=["linux/amd64"]))
    assert found.startswith(f"Its member {image}: ")
    sign(registry, ours, f"@{image}")
    assert verified(registry, ours.public, name=":2", platforms=["linux/amd64"])["verified"]
    assert not verified(registry, ours.public, name=":2", platforms=["linux/amd64", "linux/arm64"])["verified"]


@pytest.mark.parametrize(
    ("identity", "counts"),
    [
        (["any"], True),
        (["repository"], True),
        (["reference"], True),
        (["registry.example/app"], False),
    ],
)
def test_names_that_are_claimed(registry: FakeRegistry, ours: Signer, identity: list[str], counts: bool) -> None:
    sign(registry, ours, formats=["simple"])
    assert verified(registry, ours.public, identity=identity)["verified"] is counts


def test_attestations(registry: FakeRegistry, ours: Signer, other: Signer) -> None:
    attest(registry, ours, {"creationInfo": {"created": "2025-01-31T12:00:00Z"}, "n": 1})
    wanted = {"predicate_type": "spdx"}
    result = verified(registry, ours.public, signature=False, attestations=[wanted])
    assert result["verified"]
    assert result["attestations"][0]["predicate"]["n"] == 1
    for more, words in (({"query": "n == `2`"}, "is not true"), ({"max_age": "1d"}, "seconds old")):
        result = verified(registry, ours.public, signature=False, attestations=[{**wanted, **more}])
        assert words in problems(result)
    result = verified(registry, other.public, signature=False, attestations=[wanted])
    assert result["attestations"][0]["predicate"] is None
    assert "no signature. It has no attestation" in problems(verified(registry, other.public, attestations=[wanted]))


def test_no_attestations_are_asked_for(registry: FakeRegistry, ours: Signer) -> None:
    """As an empty list of requirements has it elsewhere: it is the signature that counts."""
    assert problems(verified(registry, ours.public, attestations=[])) == "It has no signature."
    sign(registry, ours)
    assert verified(registry, ours.public, attestations=[])["verified"]


def test_nobody_says_himself_when_he_signed(registry: FakeRegistry, ours: Signer) -> None:
    """Signers may claim any time; how old an image is for sure, a log or a time stamp tells."""
    sign(registry, ours)
    attest(registry, ours, {"creationInfo": {"created": "2025-01-31T12:00:00Z"}})
    wanted = parse_wanted([{"predicate_type": "spdx"}])
    demand = verifying.Demand(parse_trust({"keys": [ours.public]}), attestations=wanted)
    verdicts = verify(make_session(), Reference.parse(f"{registry.host}/{REPO}:1"), demand)
    assert (verdicts.verified, verdicts.signed) == (True, None)


def test_old_attestations_under_cosigns_tag(registry: FakeRegistry, ours: Signer) -> None:
    attest(registry, ours, {"n": 1})
    envelope = json.dumps(json.loads(bundle_of(registry))["dsseEnvelope"]).encode()
    (old,) = [digest for digest, kept in registry.manifests(REPO).items() if b'"subject"' in kept.body]
    del registry.api.repos[REPO].manifests[old]
    registry.api.repos[REPO].tags.pop(tag_of(registry.tags(REPO)["1"], ""), None)
    layer = {"mediaType": "application/vnd.dsse.envelope.v1+json", "size": len(envelope)}
    layer["digest"] = registry.add_blob(REPO, envelope)
    value = {**registry.manifest(REPO, "1"), "layers": [{**layer, "annotations": {SIGNATURE: ""}}]}
    registry.add_manifest(REPO, value, tag=tag_of(registry.tags(REPO)["1"], ".att"))
    wanted = [{"predicate_type": "spdx", "query": "n == `1`"}]
    assert verified(registry, ours.public, signature=False, attestations=wanted)["verified"]


def test_a_policy(registry: FakeRegistry, ours: Signer, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(ours.public)
    rule = {"type": "sigstoreSigned", "keyPath": str(tmp_path / "key.pub")}
    open_door = [{"type": "insecureAcceptAnything"}]
    scopes = {f"{registry.host}/{REPO}": [rule], f"{registry.host}/team/free": open_door}
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"docker": scopes}}))
    result = verified(registry, policy_path=str(policy))
    assert problems(result) == "It has no signature."
    sign(registry, ours, formats=["simple"])
    assert verified(registry, policy_path=str(policy))["verified"]
    registry.add_image("team/free", "1", layers=LAYERS)
    session = make_session(login(registry))
    verdicts = verify(
        session, Reference.parse(f"{registry.host}/team/free:1"), parse_trust({"policy_path": str(policy)})
    )
    assert (verdicts.verified, verdicts.signatures, len(verdicts.warnings)) == (True, (), 1)
    wanted = [{"predicate_type": "spdx"}]
    with fails(InvalidInput, "INVALID_OPTION", says="A policy says nothing about attestations"):
        verified(registry, policy_path=str(policy), attestations=wanted)


def test_keyless(registry: FakeRegistry) -> None:
    """Without the library it is a clear error; with it, a bundle of a vector counts for the one who signed it."""
    identity = "https://github.com/example/app/.github/workflows/release.yml@refs/tags/1.0"
    issuer, root = "https://token.actions.githubusercontent.com", str(VECTORS / "keyless" / "trusted_root.json")
    options: dict[str, Any] = {"certificate": {"identity": identity, "issuer": issuer, "trusted_root": root}}
    try:
        import sigstore  # noqa: F401
    except ImportError:
        with pytest.raises(MissingLibrary, match="sigstore"):
            verified(registry, **options)
        assert registry.requests == []
        return
    raw = (VECTORS / "image" / "manifest.json").read_bytes()
    registry.add_blob(REPO, (VECTORS / "image" / "config.json").read_bytes())
    registry.api.repos[REPO].manifests[digest_of(raw)] = Manifest(OCI_MANIFEST, raw)
    registry.api.repos[REPO].tags["1"] = digest_of(raw)
    store_bundle(registry, (VECTORS / "keyless" / "release" / "bundle.json").read_bytes())
    result = verified(registry, **options)
    assert result["verified"]
    assert [(one["identity"], one["issuer"]) for one in result["signatures"]] == [(identity, issuer)]
    options["certificate"]["identity"] = "someone@example.com"
    assert "not trusted" in problems(verified(registry, **options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"signature": False}, "Nothing is asked for"),
        ({"keys": []}, "keys must be a list"),
        ({"keys": None}, "trust needs keys"),
        ({"signature": False, "attestations": []}, "Nothing is asked for"),
        ({"signature": False, "attestations": [{"predicate_type": "spdx"}], "platforms": ["linux/amd64"]}, "platforms"),
    ],
)
def test_malformed(registry: FakeRegistry, ours: Signer, options: dict[str, Any], words: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=words):
        verified(registry, ours.public, **options)
    assert registry.requests == []


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str, ours: Signer) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        assert problems(verified(registry, ours.public)) == "It has no signature."
        sign(registry, ours)
        assert verified(registry, ours.public)["verified"]
