# SPDX-License-Identifier: GPL-3.0-or-later
"""Referrers, from the API or from the tag that stands in for it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import members
from ansible_collections.quayside.registry.plugins.module_utils._registry import referrers as module
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import (
    digest_tag,
    merged_index,
    referrers,
    referrers_by_api,
    referrers_by_tag,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_INDEX, digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, fails, login, make_session, repository, switches

SBOM = "application/vnd.example.sbom"


def stocked(quirks: Quirks = Quirks(), count: int = 3) -> tuple[FakeRegistry, str, set[str]]:  # noqa: B008
    """A registry, the subject's digest, and the digests of its referrers."""
    registry = FakeRegistry(quirks, Auth(users={USER: PASSWORD}))
    subject = registry.add_image(REPO, "1", layers=[b"layer"])
    return registry, subject, {registry.add_referrer(REPO, subject, SBOM, b"%d" % number) for number in range(count)}


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(page_limit=2), Quirks(page_limit=3, link="loop")], ids=switches)
def test_by_api(quirks: Quirks) -> None:
    registry, subject, expected = stocked(quirks)
    with registry:
        found = referrers(repository(registry, "pull"), subject)
        assert {item.digest for item in found} == expected
        assert {item.json["artifactType"] for item in found} == {SBOM}


def test_none_by_api() -> None:
    registry, subject, expected = stocked(count=0)
    with registry:
        assert referrers_by_api(repository(registry, "pull"), subject) == []
        assert registry.count("GET", "/manifests/") == 0


@pytest.mark.parametrize(
    "quirks",
    [
        *(Quirks(no_referrers_api=True, referrers_status=status) for status in (400, 404, 405, 406, 501)),
        Quirks(referrers_wrong_type=True),
    ],
    ids=switches,
)
def test_no_api(quirks: Quirks) -> None:
    registry, subject, expected = stocked(quirks)
    with registry:
        target = repository(registry, "pull")
        assert referrers_by_api(target, subject) is None
        assert referrers(target, subject) == []
        entries = [registry.descriptor(REPO, digest) for digest in sorted(expected)]
        registry.add_index(REPO, digest_tag(subject), entries)
        assert {item.digest for item in referrers(target, subject)} == expected


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_trouble_is_never_the_lack_of_the_api(status: int) -> None:
    registry, subject, expected = stocked()
    with registry:
        registry.fault(path="/referrers/", status=status, headers={"Content-Type": OCI_INDEX}, times=99)
        with pytest.raises(OCIError) as caught:
            referrers(repository(registry, "pull"), subject)
        assert (caught.value.registry, caught.value.status) == (registry.host, status)


def test_a_second_page_that_fails_is_no_end() -> None:
    registry, subject, expected = stocked(Quirks(page_limit=2))
    with registry:
        registry.fault(path="/referrers/.*page=", status=404, times=99)
        with pytest.raises(OCIError):
            referrers(repository(registry, "pull"), subject)


def test_pages_on_another_host() -> None:
    registry, subject, expected = stocked(Quirks(page_limit=2, link="other_host"))
    with registry, fails(ContentError, "UNSAFE_URL", registry.host, None, "goes on at another host"):
        referrers(repository(registry, "pull"), subject)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b'{"manifests": {}}', b'{"manifests": [{"digest": "x"}]}', b'{"layers": []}']
)
def test_answers_that_are_no_index(body: bytes) -> None:
    registry, subject, expected = stocked()
    with registry:
        registry.fault(path="/referrers/", status=200, headers={"Content-Type": OCI_INDEX}, body=body, times=2)
        with fails(ContentError, "MANIFEST_INVALID", registry.host, None, "The list of referrers of"):
            referrers(repository(registry, "pull"), subject)


def test_an_image_under_the_tag_is_no_list() -> None:
    registry, subject, expected = stocked(Quirks(no_referrers_api=True))
    with registry:
        registry.add_image(REPO, digest_tag(subject), layers=[b"odd"])
        with fails(ContentError, "NOT_A_REFERRERS_LIST", registry.host, None, "it was left alone"):
            referrers_by_tag(repository(registry, "pull"), subject)


@pytest.mark.parametrize(
    ("digest", "tag"),
    [("sha256:" + "ab" * 32, "sha256-" + "ab" * 32), ("sha512:" + "cd" * 64, "sha512-" + "cd" * 32)],
)
def test_tag_of_a_digest(digest: str, tag: str) -> None:
    assert digest_tag(digest) == tag


def test_merged_index() -> None:
    registry, subject, expected = stocked()
    with registry:
        target = repository(registry, "pull")
        manifests = [target.get(digest) for digest in expected]
        index = merged_index(None, manifests)
        assert merged_index(None, reversed(manifests)).raw == index.raw
        assert merged_index(merged_index(None, manifests[:1]), manifests[1:]).raw == index.raw
        assert merged_index(index, manifests) is index
        assert [item.digest for item in members(index)] == sorted(expected)
        entry: Any = members(index)[0].json
        assert (entry["artifactType"], digest_of(index.raw)) == (SBOM, index.digest)


@pytest.mark.parametrize("none", [None, []])
@pytest.mark.parametrize("api", [True, False])
def test_no_referrers_are_a_list_or_null_as_go_writes_it(api: bool, none: Any) -> None:
    registry, subject, expected = stocked(Quirks(no_referrers_api=not api))
    with registry:
        body: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": none}
        registry.add_manifest(REPO, body, OCI_INDEX, tag=digest_tag(subject))
        if api:
            registry.fault(path="/referrers/", status=200, headers={"Content-Type": OCI_INDEX}, body=body)
        target = repository(registry, "pull")
        assert referrers(target, subject) == []
        index = merged_index(referrers_by_tag(target, subject), [target.get(digest) for digest in expected])
        assert {item.digest for item in members(index)} == expected


def test_an_index_without_manifests_under_the_tag_is_no_list() -> None:
    registry, subject, expected = stocked(Quirks(no_referrers_api=True))
    with registry:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "com.example.ours": [1]}
        registry.add_manifest(REPO, body, OCI_INDEX, tag=digest_tag(subject))
        session = make_session(login(registry))
        assert referrers(repository(registry, "pull", session=session), subject) == []
        assert "an index without manifests; it was left alone" in session.transport.warnings[0]
        with fails(ContentError, "NOT_A_REFERRERS_LIST", registry.host, None, "it was left alone"):
            referrers_by_tag(repository(registry), subject)


@pytest.mark.parametrize("odd", [{}, "", 0, False])
def test_manifests_under_the_tag_that_are_no_list_at_all(odd: Any) -> None:
    registry, subject, expected = stocked(Quirks(no_referrers_api=True))
    with registry:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": odd}
        registry.add_manifest(REPO, body, OCI_INDEX, tag=digest_tag(subject))
        for look in (referrers, referrers_by_tag):
            with fails(ContentError, "MANIFEST_INVALID", registry.host, None, "has manifests that are not a list"):
                look(repository(registry), subject)


def test_the_image_itself_under_the_tag_of_its_digest_is_no_list() -> None:
    """So GitLab answers. There are no referrers then, and nobody may write a list there."""
    registry, subject, expected = stocked(Quirks(no_referrers_api=True))
    with registry:
        index = registry.add_index(REPO, None, [registry.descriptor(REPO, subject)])
        for digest in (subject, index):
            registry.api.repos[REPO].tags[digest_tag(digest)] = digest
            target = repository(registry, "pull")
            assert referrers(target, digest) == []
            with fails(ContentError, "NOT_A_REFERRERS_LIST", registry.host, None, "the image itself"):
                referrers_by_tag(target, digest)


def test_an_index_of_platforms_under_the_tag_is_no_list() -> None:
    registry, subject, expected = stocked(Quirks(no_referrers_api=True))
    with registry:
        images = [registry.add_image(REPO, platform=name) for name in ("linux/amd64", "linux/arm64")]
        registry.add_index(REPO, digest_tag(subject), images)
        session = make_session(login(registry))
        target = repository(registry, "pull", session=session)
        assert referrers(target, subject) == []
        assert "an index of images for platforms" in session.transport.warnings[0]
        with fails(ContentError, "NOT_A_REFERRERS_LIST", registry.host, None, "it was left alone"):
            referrers_by_tag(target, subject)


def test_a_list_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PAGES", 3)
    registry, subject, expected = stocked(Quirks(page_limit=2), count=6)
    with registry:
        assert {item.digest for item in referrers(repository(registry, "pull"), subject)} == expected
    registry, subject, expected = stocked(Quirks(page_limit=2), count=7)
    with registry, fails(ContentError, "TOO_MANY", registry.host, says="has more than 3 pages"):
        referrers(repository(registry, "pull"), subject)
