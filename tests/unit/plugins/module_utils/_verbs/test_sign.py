# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing adds what is missing beside what others wrote, once, and takes away what is ours alone."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    InvalidInput,
    NotFound,
    Refused,
    RegistryError,
)
from ansible_collections.quayside.registry.plugins.module_utils._kit import signing
from ansible_collections.quayside.registry.plugins.module_utils._trust import keys
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    LOGIN,
    REPO,
    add_platforms,
    apply,
    complete,
    fails,
    login,
    make_session,
    run_module,
    twice,
)
from ansible_collections.quayside.registry.tests.unit.signing import (
    BUNDLE,
    SIGNATURE,
    VECTORS,
    Signer,
    attest,
    sign,
    sign_plan,
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


def tag_of(digest: str, suffix: str = ".sig") -> str:
    return digest.replace(":", "-") + suffix


def statuses(plan: Any) -> list[tuple[str, str]]:
    return [(row["format"], row["status"]) for row in plan.result["signatures"]]


def payloads(registry: FakeRegistry, digest: str) -> list[dict[str, Any]]:
    """What the layers under the tag .sig say, in order; the config must list them."""
    tag = tag_of(digest)
    layers = registry.manifest(REPO, tag)["layers"]
    assert registry.config(REPO, tag)["rootfs"]["diff_ids"] == [layer["digest"] for layer in layers]
    assert complete(registry, REPO, tag)
    return [json.loads(registry.blobs(REPO)[layer["digest"]]) for layer in layers]


def claims(registry: FakeRegistry, digest: str) -> list[str]:
    return [payload["critical"]["identity"]["docker-reference"] for payload in payloads(registry, digest)]


def test_both_formats_once(registry: FakeRegistry, ours: Signer) -> None:
    digest = registry.tags(REPO)["1"]
    planned = twice(registry, lambda: sign(registry, ours), "reference", "digest")
    assert statuses(planned) == [("bundle", "created"), ("simple", "created")]
    assert statuses(sign(registry, ours)) == [("bundle", "current"), ("simple", "current")]
    assert registry.tags(REPO)["1"] == digest
    assert planned.result["reference"] == f"{registry.host}/{REPO}@{digest}"
    bundle, simple = planned.result["signatures"]
    manifest = registry.manifest(REPO, bundle["digest"])
    assert manifest["artifactType"] == BUNDLE
    assert manifest["subject"]["digest"] == digest
    assert manifest["annotations"]["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    assert complete(registry, REPO, bundle["digest"])
    assert registry.manifest(REPO, tag_of(digest))["layers"][0]["digest"] == simple["digest"]
    assert claims(registry, digest) == [f"{registry.host}/{REPO}:1"]
    if registry.quirks.no_referrers_api:
        (entry,) = registry.manifest(REPO, tag_of(digest, ""))["manifests"]
        assert (entry["digest"], entry["artifactType"]) == (bundle["digest"], BUNDLE)
        assert entry["annotations"] == manifest["annotations"]


def test_planning_writes_nothing(registry: FakeRegistry, ours: Signer) -> None:
    state = registry.state()
    session = make_session(login(registry))
    planned = sign_plan(session, f"{registry.host}/{REPO}:1", **ours.options)
    assert planned.changed and registry.state() == state
    forecast = planned.result["signatures"]
    assert forecast == sign(registry, ours).result["signatures"]


def test_without_a_nonce_that_is_known(registry: FakeRegistry, ours: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older libraries sign with another nonce each time: then check mode knows no digest, and a second run is quiet."""
    real = keys._scheme
    monkeypatch.setattr(keys, "_scheme", lambda kind, signing=False: real(kind))
    session = make_session(login(registry))
    planned = sign_plan(session, f"{registry.host}/{REPO}:1", **ours.options)
    assert [row["digest"] is None for row in planned.result["signatures"]] == [True, False]
    outcome = planned.apply(session.map)
    found = outcome.result["signatures"][0]["digest"]
    assert found in registry.manifests(REPO)
    again = sign(registry, ours)
    assert not again.changed
    assert again.result["signatures"][0]["digest"] == found


def test_the_signatures_of_others_stay(registry: FakeRegistry, ours: Signer, other: Signer) -> None:
    sign(registry, other)
    sign(registry, ours)
    digest = registry.tags(REPO)["1"]
    assert len(claims(registry, digest)) == 2
    assert verified(registry, ours.public, other.public, threshold=2, formats=["bundle"])["verified"]
    assert verified(registry, ours.public, other.public, threshold=2, formats=["simple"])["verified"]


def test_only_what_is_missing(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, formats=["simple"])
    digest = registry.tags(REPO)["1"]
    before = registry.tags(REPO)[tag_of(digest)]
    planned = sign(registry, ours)
    assert statuses(planned) == [("bundle", "created"), ("simple", "current")]
    assert registry.tags(REPO)[tag_of(digest)] == before
    assert statuses(sign(registry, ours, annotations={"by": "ci"})) == [("bundle", "created"), ("simple", "created")]
    assert not sign(registry, ours, annotations={"by": "ci"}).changed
    assert not sign(registry, ours).changed


def test_what_cosign_wrote_is_current(registry: FakeRegistry, ours: Signer) -> None:
    """Another order of members, a creator, a time: the same signature in other bytes."""
    digest = registry.tags(REPO)["1"]
    sign(registry, ours, formats=["simple"])
    tag = tag_of(digest)
    value = payloads(registry, digest)[0]
    value["optional"] = {"creator": "cosign", "timestamp": 1735689600}
    raw = json.dumps(value, indent=1).encode()
    key = load_private(Path(ours.private).read_bytes(), None, "key")
    layer = registry.manifest(REPO, tag)["layers"][0]
    layer.update(digest=registry.add_blob(REPO, raw), size=len(raw))
    layer["annotations"][SIGNATURE] = base64.b64encode(key.sign(raw)).decode()
    registry.add_manifest(REPO, {**registry.manifest(REPO, tag), "layers": [layer]}, tag=tag)
    assert not sign(registry, ours, formats=["simple"]).changed


def test_a_signature_that_does_not_count_is_made_again(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, formats=["simple"])
    tag = tag_of(registry.tags(REPO)["1"])
    manifest = registry.manifest(REPO, tag)
    manifest["layers"][0]["annotations"][SIGNATURE] = "MEUC"
    registry.add_manifest(REPO, manifest, tag=tag)
    assert statuses(sign(registry, ours, formats=["simple"])) == [("simple", "created")]
    assert verified(registry, ours.public, formats=["simple"])["verified"]


@pytest.mark.parametrize(
    ("names", "claimed"),
    [
        ([":1"], [":1"]),
        (["@"], [""]),
        ([":1@"], [":1"]),
        ([":1", ":2", ":1"], [":1", ":2"]),
        ([""], [":latest"]),
    ],
)
def test_names_that_are_claimed(registry: FakeRegistry, ours: Signer, names: list[str], claimed: list[str]) -> None:
    digest = registry.tags(REPO)["1"]
    for tag in ("2", "latest"):
        registry.api.repos[REPO].tags[tag] = digest
    base = f"{registry.host}/{REPO}"
    given = [base + name.replace("@", f"@{digest}") for name in names]

    def run() -> Any:
        session = make_session(login(registry))
        planned = sign_plan(session, None, names=given, **ours.options)
        apply(session, planned)
        return planned

    twice(registry, run)
    assert claims(registry, digest) == [base + name for name in claimed]


def test_identities(registry: FakeRegistry, ours: Signer) -> None:
    wanted = ["registry.example/app:1", "alpine", "mirror.example/app"]
    planned = twice(registry, lambda: sign(registry, ours, identities=wanted))
    digest = registry.tags(REPO)["1"]
    assert claims(registry, digest) == ["registry.example/app:1", "docker.io/library/alpine", "mirror.example/app"]
    assert [row["claimed_reference"] for row in planned.result["signatures"]] == [None, *claims(registry, digest)]
    with fails(InvalidInput, "INVALID_REFERENCE"):
        sign(registry, ours, identities=["UPPER/x"])


def test_each_destination_by_its_own_name(ours: Signer) -> None:
    with FakeRegistry() as one, FakeRegistry(NO_API) as two:
        for each in (one, two):
            each.add_image(REPO, "1", layers=LAYERS)
        names = [f"{each.host}/{REPO}:1" for each in (one, two)]
        session = make_session(login(one), login(two))
        planned = sign_plan(session, None, names=names, **ours.options)
        apply(session, planned)
        digest = one.tags(REPO)["1"]
        assert [claims(each, digest) for each in (one, two)] == [[names[0]], [names[1]]]
        assert (planned.result["reference"], planned.result["digest"]) == (None, None)


def test_an_index_and_its_members(registry: FakeRegistry, ours: Signer) -> None:
    root = add_platforms(registry, tag="2")
    planned = sign(registry, ours, ":2")
    assert len(planned.warnings) == 1 and "recursive: true" in planned.warnings[0]
    planned = twice(registry, lambda: sign(registry, ours, ":2", recursive=True))
    assert not planned.warnings
    images = [item["digest"] for item in registry.manifest(REPO, root)["manifests"] if "annotations" not in item]
    assert [tag_of(digest) in registry.tags(REPO) for digest in images] == [True, True]
    signed = [tag for tag in registry.tags(REPO) if tag.endswith(".sig")]
    assert len(signed) == 3  # not the attestation


@pytest.mark.parametrize("kind", ["image", "index", "garbage"])
def test_what_is_no_signature_is_not_overwritten(registry: FakeRegistry, ours: Signer, kind: str) -> None:
    tag = tag_of(registry.tags(REPO)["1"])
    if kind == "index":
        registry.add_index(REPO, tag, [registry.tags(REPO)["1"]])
    else:
        registry.add_image(REPO, tag, layers=LAYERS[:1])
    if kind == "garbage":
        registry.add_manifest(REPO, {**registry.manifest(REPO, tag), "layers": [{"digest": "x"}]}, tag=tag)
    state = registry.state()
    with fails(Refused, "TAG_EXISTS", registry.host, None, "holds something else than signatures"):
        sign(registry, ours)
    assert registry.state() == state


def test_concurrent_signers_are_both_listed(registry: FakeRegistry, tmp_path: Path) -> None:
    signers = [Signer(tmp_path, f"k{number}") for number in range(4)]
    barrier, errors = threading.Barrier(len(signers)), []

    def work(signer: Signer) -> None:
        session = make_session(login(registry))
        session.transport._sleep = threading.Event().wait  # really
        try:
            planned = sign_plan(session, f"{registry.host}/{REPO}:1", **signer.options)
            barrier.wait()
            apply(session, planned)
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(signer,)) for signer in signers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    publics = [signer.public for signer in signers]
    for kind in ("bundle", "simple"):
        assert verified(registry, *publics, threshold=len(signers), formats=[kind])["verified"], kind


def test_another_signer_between_planning_and_writing(registry: FakeRegistry, ours: Signer, other: Signer) -> None:
    session = make_session(login(registry))
    planned = sign_plan(session, f"{registry.host}/{REPO}:1", **ours.options)
    sign(registry, other)
    apply(session, planned)
    assert verified(registry, ours.public, other.public, threshold=2, formats=["simple"])["verified"]
    assert verified(registry, ours.public, other.public, threshold=2, formats=["bundle"])["verified"]


def test_a_race_that_is_lost(ours: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else overwrites the tag each time."""
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        tag = tag_of(registry.tags(REPO)["1"])
        sign(registry, ours, formats=["simple"])
        empty = {**registry.manifest(REPO, tag), "layers": []}
        registry.add_manifest(REPO, empty, tag=tag)
        real = signing.put

        def put(repository: Any, target: str, manifest: Any) -> None:
            real(repository, target, manifest)
            registry.add_manifest(REPO, empty, tag=tag)

        monkeypatch.setattr(signing, "put", put)
        with fails(Refused, "TAG_MOVED", registry.host, None, "overwritten by others 5 times"):
            sign(registry, ours, formats=["simple"])


def test_a_registry_that_does_not_list_what_it_took(ours: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        monkeypatch.setattr(signing, "referrers_by_api", lambda repository, digest: [])
        with fails(RegistryError, "UNKNOWN", registry.host, None, "does not list it as a referrer"):
            sign(registry, ours, formats=["bundle"])


def test_absent_takes_ours_alone(registry: FakeRegistry, ours: Signer, other: Signer) -> None:
    attest(registry, ours, {"n": 1})
    sign(registry, other)
    sign(registry, ours)
    digest = registry.tags(REPO)["1"]
    planned = twice(registry, lambda: sign(registry, ours, state="absent"))
    assert statuses(planned) == [("bundle", "removed"), ("simple", "removed")]
    assert planned.before != planned.after
    assert not verified(registry, ours.public)["verified"]
    assert verified(registry, other.public, formats=["bundle"])["verified"]
    assert verified(registry, other.public, formats=["simple"])["verified"]
    assert len(payloads(registry, digest)) == 1
    assert verified(registry, ours.public, signature=False, attestations=[{"predicate_type": "spdx"}])["verified"]
    assert registry.tags(REPO)["1"] == digest


def test_absent_leaves_nothing_behind(registry: FakeRegistry, ours: Signer) -> None:
    before = registry.tags(REPO), set(registry.manifests(REPO))
    sign(registry, ours)
    sign(registry, ours, public_key=ours.public, state="absent")
    assert (registry.tags(REPO), set(registry.manifests(REPO))) == before


def test_absent_where_nothing_can_be_deleted(ours: Signer, other: Signer) -> None:
    """What a registry keeps is taken off the lists, and said."""
    with FakeRegistry(Quirks(no_referrers_api=True, delete_405=True)) as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, ours)
        session = make_session(login(registry))
        planned = sign_plan(session, f"{registry.host}/{REPO}:1", state="absent", **ours.options)
        apply(session, planned)
        assert "still there" in session.transport.warnings[0]
        assert registry.manifest(REPO, tag_of(digest, ""))["manifests"] == []
        assert registry.manifest(REPO, tag_of(digest))["layers"] == []
        assert not sign(registry, ours, state="absent").changed
        sign(registry, other)
        assert verified(registry, other.public)["verified"]


def test_signed_elsewhere(registry: FakeRegistry, ours: Signer, tmp_path: Path) -> None:
    place = tmp_path / "payload"
    options: dict[str, Any] = {"payload_path": str(place), "annotations": {"by": "hsm"}}

    def write() -> Any:
        session = make_session(login(registry))
        planned = sign_plan(session, f"{registry.host}/{REPO}:1", **options)
        apply(session, planned)
        return planned

    planned = twice(registry, write)
    assert planned.result["signatures"] == []
    key = load_private(Path(ours.private).read_bytes(), None, "key")
    signature = base64.encodebytes(key.sign(place.read_bytes())).decode()
    given = {"signature": signature, "public_key": ours.public, "annotations": {"by": "hsm"}}
    planned = twice(registry, lambda: sign(registry, ours, **given))
    assert planned.result["signatures"][0]["digest"] == digest_of(place.read_bytes())
    with fails(InvalidInput, "SIGNATURE_INVALID", says="is not one of this payload"):  # although a right one is there
        sign(registry, ours, **{**given, "signature": base64.b64encode(key.sign(b"another")).decode()})
    assert verified(registry, ours.public, annotations={"by": "hsm"}, formats=["simple"])["verified"]
    with fails(InvalidInput, "SIGNATURE_INVALID", says="is not one of this payload"):
        sign(registry, ours, **{**given, "annotations": {"by": "me"}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"annotations": {"n": 1.5}}, "the value of n is a number with a fraction"),
        ({"formats": []}, "formats must be"),
        ({"signature": "MEUC"}, "signature needs public_key"),
        ({"key": None}, "Give the private key"),
        ({"payload_path": "/tmp/x"}, "for a key that is elsewhere"),
        ({"payload_path": "/tmp/x", "key": None, "formats": ["bundle"]}, "formats must have simple"),
        ({"payload_path": "/tmp/x", "key": None, "state": "absent"}, "for a key that is elsewhere"),
    ],
)
def test_malformed(registry: FakeRegistry, ours: Signer, options: dict[str, Any], words: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=words):
        sign(registry, ours, **options)
    assert registry.requests == []


def test_absent_image(registry: FakeRegistry, ours: Signer) -> None:
    with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, f"{REPO}:7 does not exist"):
        sign(registry, ours, ":7")


def test_a_key_where_a_path_belongs_is_not_shown() -> None:
    text = (VECTORS / "keys" / "go-p256.key").read_text()
    options = {"name": "registry.example/app:1", "key": text, "passphrase": "quayside test 1"}
    result = run_module("oci_sign", options)
    assert result["failed"] and "as key_content" in result["msg"]
    assert text.splitlines()[2] not in json.dumps(result)
    once_more = base64.b64encode(text.encode()).decode()  # as services of CI often keep it
    result = run_module("oci_sign", {**options, "key": once_more})
    assert result["failed"] and "as key_content" in result["msg"]
    assert once_more[:100] not in json.dumps(result)


def test_a_text_where_the_path_of_a_public_key_or_policy_belongs_is_not_shown() -> None:
    text = base64.b64encode((VECTORS / "keys" / "go-p256.key").read_bytes()).decode()
    for option in ({"keys": [text]}, {"keys": [f"a\n{text}"]}, {"policy_path": text}):
        result = run_module("oci_verify", {"name": "registry.example/app:1", **option})
        assert "characters was given where the path of a file is meant" in result["msg"]
        assert text[:100] not in result["msg"]


@pytest.mark.parametrize(
    "options",
    [
        {"key_content": (VECTORS / "keys" / "go-p256.key").read_text(), "passphrase": "wrong and secret"},
        {"key_content": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"},
        {"key_content": "no key, but secret"},
    ],
)
def test_no_secret_in_failures(options: dict[str, Any]) -> None:
    result = run_module("oci_sign", {"name": "registry.example/app:1", **options, "_ansible_verbosity": 3})
    assert result["failed"] and result["error_code"] in ("PASSPHRASE_WRONG", "KEY_INVALID")
    shown = json.dumps(result)
    assert "secret" not in shown and "c2VjcmV0" not in shown


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(name: str, ours: Signer, other: Signer) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        immutable = registry.quirks.immutable_tags  # then the tag .sig holds what was signed first
        sign(registry, other, formats=["bundle"] if immutable else ["bundle", "simple"])
        twice(registry, lambda: sign(registry, ours))
        assert verified(registry, ours.public, other.public, threshold=2)["verified"]


def test_edits_in_place_say_that_signatures_no_longer_fit(registry: FakeRegistry, ours: Signer) -> None:
    name = f"{registry.host}/{REPO}"
    entry = {"name": registry.host, "username": LOGIN.username, "password": LOGIN.password}
    for formats, dest, label, warned in (
        ([], None, "a", False),
        (["simple"], None, "b", True),
        (["bundle"], None, "c", True),
        (["bundle"], f"{name}:2", "d", False),
        (["bundle"], None, "c", False),
    ):
        if formats:
            sign(registry, ours, formats=formats)
        digest = registry.tags(REPO)["1"]
        options = {"name": f"{name}:1", "labels": {"l": label}, "registries": [entry]}
        result = run_module("oci_mutate", {**options, "dest": dest} if dest else options)
        said = [text for text in result.get("warnings", []) if f"are of {digest} and do not fit" in str(text)]
        assert bool(said) == warned, (formats, label, result)


def test_an_index_that_is_changed_in_place_says_it_too(registry: FakeRegistry, ours: Signer) -> None:
    digest = add_platforms(registry, tag="2")
    sign(registry, ours, ":2", formats=["bundle"])
    entry = {"name": registry.host, "username": LOGIN.username, "password": LOGIN.password}
    options = {"name": f"{registry.host}/{REPO}:2", "annotations": {"a": "b"}, "registries": [entry]}
    result = run_module("oci_index", options)
    assert [text for text in result["warnings"] if f"are of {digest} and do not fit" in str(text)]


def test_any_number_of_referrers_of_other_kinds(ours: Signer) -> None:
    """Such as what a scanner leaves each night."""
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        for number in range(130):
            registry.add_referrer(REPO, digest, "application/vnd.example.scan", b"%d" % number)
        registry.reset_log()
        sign(registry, ours)
        assert registry.count("GET", "/manifests/") < 20
        assert verified(registry, ours.public, formats=["bundle"])["verified"]
        for number in range(128):
            registry.add_referrer(REPO, digest, BUNDLE, b"%d" % number)
        result = verified(registry, ours.public)
        assert not result["verified"] and "no more than 128 are read" in result["problem"]


def test_whole_numbers_are_annotations(registry: FakeRegistry, ours: Signer) -> None:
    sign(registry, ours, annotations={"build": 42})
    assert verified(registry, ours.public, annotations={"build": "42"})["verified"]
    assert verified(registry, ours.public, annotations={"build": 42})["verified"]
    assert not verified(registry, ours.public, annotations={"build": 43})["verified"]
