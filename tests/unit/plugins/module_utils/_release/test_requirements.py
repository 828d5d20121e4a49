# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release requires of an image: what fails is told, and what holds is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.quayside.registry.plugins.module_utils._release.requirements import parse_requirements
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import fails
from ansible_collections.quayside.registry.tests.unit.releasing import Sites, digest
from ansible_collections.quayside.registry.tests.unit.signing import Signer, attest_plan, sign

BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
KIND = "https://example.com/t/v1"


@pytest.fixture
def sites() -> Iterator[Sites]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        yield Sites(source, dest)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "build")


def reasons(sites: Sites, require: dict[str, Any], **options: Any) -> list[str]:
    """Why the image is not released, without its name; none where it would be."""
    own = options.pop("own", None)
    entry = sites.entry("app", require=own, platforms=options.pop("platforms", None))
    try:
        sites.plan(entry, require=require, **options)
    except Refused as exc:
        assert exc.code == "REQUIREMENT_NOT_MET"
        return [row["reason"].replace(entry["src"], "it") for row in exc.details["failures"]]
    return []


def labelled(**labels: str) -> dict[str, Any]:
    return {"config": {"Labels": labels}}


def index(sites: Sites, first: dict[str, str], second: dict[str, str]) -> None:
    """An index of two images with these labels, which are annotations too."""
    images = [
        sites.image("app", None, platform=platform, config=labelled(**said), annotations=said)
        for platform, said in (("linux/amd64", first), ("linux/arm64", second))
    ]
    sites.source.add_index("staging/app", "1.4.2", images)


def test_nothing_is_required() -> None:
    assert parse_requirements(None, "require", 0) == parse_requirements({"labels": {}, "signatures": []}, "require", 0)


@pytest.mark.parametrize("kind", ["label", "annotation"])
def test_each_platform_must_say_it(sites: Sites, kind: str) -> None:
    index(sites, {"stage": "tested", "team": "a"}, {"stage": "built"})
    require = {f"{kind}s": {"stage": "tested", "team": "a"}}
    assert reasons(sites, require) == [
        f"it: the {kind} stage for linux/arm64 is 'built', and must be 'tested'.",
        f"it: the {kind} team for linux/arm64 is not there, and must be 'a'.",
    ]
    assert reasons(sites, require, platforms=["linux/amd64"]) == []


def test_what_an_index_says_counts_where_the_image_is_silent(sites: Sites) -> None:
    image = sites.image("app", None, annotations={"stage": "built"})
    silent = sites.image("app", None, platform="linux/arm64")
    sites.source.add_index("staging/app", "1.4.2", [image, silent], annotations={"stage": "tested"})
    assert reasons(sites, {"annotations": {"stage": "tested"}}) == [
        "it: the annotation stage for linux/amd64 is 'built', and must be 'tested'."
    ]


def test_platforms(sites: Sites) -> None:
    index(sites, {}, {})
    assert reasons(sites, {"platforms": ["linux/amd64", "linux"]}) == []
    assert reasons(sites, {"platforms": ["linux/s390x"]}) == [
        "it: the platform linux/s390x is missing; it has linux/amd64, linux/arm64."
    ]


def test_an_image_may_have_requirements_of_its_own_beside_those_of_all(sites: Sites) -> None:
    sites.image("app", config=labelled(stage="tested"))
    assert len(reasons(sites, {"labels": {"stage": "x"}}, own={"labels": {"team": "a"}})) == 2
    assert reasons(sites, {"labels": {"stage": "tested"}}, own={"labels": {"stage": "tested"}}) == []
    sites.image("app", config=labelled(build="77"))
    assert reasons(sites, {"labels": {"build": 77}}) == []


def test_all_signatures_must_be_there(sites: Sites, signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path, "other")
    sites.image("app")
    sign(sites.source, signer, ":1.4.2", "staging/app")
    require = {"signatures": [{"keys": [signer.public]}, {"keys": [other.public]}]}
    (reason,) = reasons(sites, require)
    assert reason.startswith("it is not signed as required: None of its 2 signatures counts")
    sign(sites.source, other, ":1.4.2", "staging/app")
    assert reasons(sites, require) == []


def test_a_signature_may_have_to_claim_the_name(sites: Sites, signer: Signer) -> None:
    sites.image("app")
    sign(sites.source, signer, ":1.4.2", "staging/app", identities=["other.example/app:1"])
    require = {"signatures": [{"keys": [signer.public], "identity": ["reference"], "formats": ["simple"]}]}
    assert "claims the name" in reasons(sites, require)[0]
    sign(sites.source, signer, ":1.4.2", "staging/app")
    assert reasons(sites, require) == []


def attested(sites: Sites, signer: Signer, predicate: Any) -> None:
    session = sites.session()
    name = f"{sites.source.host}/staging/app:1.4.2"
    attest_plan(session, name, predicate, KIND, **signer.options).apply(session.map)


@pytest.mark.parametrize("form", ["flat", "trust", "as the signatures"])
def test_attestations(sites: Sites, signer: Signer, form: str) -> None:
    sites.image("app")
    sign(sites.source, signer, ":1.4.2", "staging/app")
    trust = {"flat": {"keys": [signer.public]}, "trust": {"trust": {"keys": [signer.public]}}}.get(form, {})
    require: dict[str, Any] = {"attestations": [{"predicate_type": KIND, "query": "passed", **trust}]}
    if form == "as the signatures":
        require["signatures"] = [{"keys": [signer.public]}]
    assert reasons(sites, require) == [f"it is not attested as required: It has no attestation of the type {KIND}."]
    attested(sites, signer, {"passed": True})
    assert reasons(sites, require) == []


def test_attestations_need_somebody_who_is_trusted(sites: Sites) -> None:
    for entry in ({"predicate_type": KIND}, {"predicate_type": KIND, "keys": []}):
        with fails(InvalidInput, "INVALID_OPTION", says="somebody has to be trusted"):
            sites.plan(sites.entry("app"), require={"attestations": [entry]})


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(no_referrers_api=True)])
def test_referrers(quirks: Quirks, signer: Signer) -> None:
    with FakeRegistry(quirks) as source, FakeRegistry() as dest:
        sites = Sites(source, dest)
        sites.image("app")
        require = {"referrers": ["application/vnd.dev.sigstore.bundle.v0.3+json", "x/y"]}
        assert reasons(sites, require)[1] == "it: nothing of the type x/y refers to it; there is nothing."
        sign(source, signer, ":1.4.2", "staging/app")
        (reason,) = reasons(sites, require)
        assert "nothing of the type x/y refers to it; there is application/vnd.dev.cosign.simple" in reason


def test_a_list_that_leaves_the_type_out_is_not_believed(sites: Sites) -> None:
    """As that of GitHub Packages, which names the type of the empty config."""
    sites.source.quirks = Quirks(no_referrers_api=True)
    app = sites.image("app")
    sbom = sites.source.add_referrer("staging/app", app, "x/sbom", b"sbom")
    entry = {**sites.source.descriptor("staging/app", sbom), "artifactType": "application/vnd.oci.empty.v1+json"}
    sites.source.add_index("staging/app", app.replace(":", "-"), [entry])
    assert reasons(sites, {"referrers": ["x/sbom"]}) == []


def test_age(sites: Sites, tmp_path: Path) -> None:
    sites.image("app", config={"created": "2024-01-02T03:04:05Z"})
    old = {"age": {"duration": "1h", "clock": ["created"], "on_unknown": "fail"}}
    assert reasons(sites, old) == []
    seen = {"age": {"duration": "1h", "clock": ["first_seen"], "on_unknown": "fail"}}
    assert "its age is not known (first_seen)" in reasons(sites, seen)[0]
    session = sites.session()
    assert reasons(sites, {"age": {**seen["age"], "on_unknown": "skip"}}, session=session) == []
    assert "so that requirement is skipped" in session.transport.warnings[0]
    path = tmp_path / "seen.json"
    session = sites.session()
    (reason,) = reasons(sites, seen, state_path=str(path), session=session)
    assert reason == "it is 0.0 hours old (first_seen), and must be 1h old."
    for record in session.records:
        record()
    path.write_text(path.read_text().replace(time.strftime("%Y-", time.gmtime()), "2020-"))
    assert reasons(sites, seen, state_path=str(path)) == []


def test_a_base_that_is_current(sites: Sites) -> None:
    base = sites.image("os", "1", content="base")
    name = f"{sites.source.host}/staging/os:1"
    sites.image("app", annotations={BASE_NAME: name, BASE_DIGEST: base})
    assert reasons(sites, {"base_current": True}) == []
    newer = sites.image("os", "1", content="newer")
    (reason,) = reasons(sites, {"base_current": True})
    assert reason == f"it: its base {name} for linux/amd64 is outdated; the newest is {newer}."


def test_a_base_that_is_not_known(sites: Sites) -> None:
    sites.image("app")
    assert "whether its base is current is not known" in reasons(sites, {"base_current": True})[0]
    sites.image("app", annotations={BASE_NAME: f"{sites.source.host}/gone/os:1", BASE_DIGEST: digest("x")})
    assert "gone/os:1 does not exist" in reasons(sites, {"base_current": True})[0]


@pytest.mark.parametrize(
    "require",
    [
        {"labels": {"a": 1.10}},
        {"annotations": {"a": None}},
        {"platforms": ["/"]},
        {"signatures": [{}]},
        {"signatures": [{"keys": []}]},
        {"attestations": [{"predicate_type": "no uri", "keys": ["x"]}]},
        {"age": {"duration": "x"}},
    ],
)
def test_requirements_that_cannot_be_read(sites: Sites, require: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sites.plan(sites.entry("app"), require=require)
    assert sites.requests() == []
