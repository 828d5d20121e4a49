# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an image goes along when it is copied: merged with what is there, and there before the tag."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_CONFIG, OCI_MANIFEST, digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    apply,
    complete,
    copy_plan,
    fails,
    login,
    make_session,
    run_module,
)

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
NAME = "dev.cosignproject.cosign/signature"
COPY = "team/copy"


def tag_of(digest: str, suffix: str = ".sig") -> str:
    return digest.replace(":", "-") + suffix


def sign(registry: FakeRegistry, repo: str, digest: str, *signatures: str, suffix: str = ".sig") -> str:
    """What cosign stores: a layer for each signature, and a config that lists them."""
    payload = f"payload for {digest}".encode()
    layers = []
    for signature in signatures:
        layers.append(
            {
                "mediaType": SIMPLE,
                "digest": registry.add_blob(repo, payload),
                "size": len(payload),
                "annotations": {NAME: signature},
            }
        )
    config = {
        "architecture": "",
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(payload)] * len(layers)},
    }
    raw = str(config).replace("'", '"').encode()
    described = {"mediaType": OCI_CONFIG, "digest": registry.add_blob(repo, raw), "size": len(raw)}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
    return registry.add_manifest(repo, value, tag=tag_of(digest, suffix))


def signatures(registry: FakeRegistry, repo: str, digest: str, suffix: str = ".sig") -> list[str]:
    layers = registry.manifest(repo, tag_of(digest, suffix))["layers"]
    assert len(registry.config(repo, tag_of(digest, suffix))["rootfs"]["diff_ids"]) == len(layers)
    return [layer["annotations"][NAME] for layer in layers]


def copy(registry: FakeRegistry, **options: Any) -> Plan:
    session = make_session(login(registry))
    source, dest = f"{registry.host}/{REPO}:1", f"{registry.host}/{COPY}:1"
    planned = copy_plan(session, source, dest, referrers=True, **options)
    apply(session, planned)
    return planned


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_signatures_of_both_sides_are_kept_the_destinations_first(suffix: str) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, REPO, digest, "ours", "common", suffix=suffix)
        sign(registry, COPY, digest, "theirs", "common", suffix=suffix)
        assert copy(registry).changed
        assert signatures(registry, COPY, digest, suffix) == ["theirs", "common", "ours"]
        assert complete(registry, COPY, tag_of(digest, suffix))
        state = registry.state()
        assert not copy(registry).changed
        assert registry.state() == state


def test_what_has_all_of_the_sources_signatures_is_left_alone() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, REPO, digest, "a")
        there = sign(registry, COPY, digest, "b", "a", "c")
        copy(registry)
        assert registry.tags(COPY)[tag_of(digest)] == there


def test_what_is_at_such_a_tag_and_is_no_signature_is_said_and_left_alone() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, REPO, digest, "a")
        theirs = registry.add_index(COPY, tag_of(digest), [registry.add_image(COPY, layers=LAYERS)])
        planned = copy(registry)
        assert registry.tags(COPY)[tag_of(digest)] == theirs
        (warning,) = planned.warnings
        assert "is left as it is" in warning and tag_of(digest) in warning


def test_signatures_and_referrers_are_there_before_the_tag() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        member = registry.manifest(REPO, "1")["manifests"][0]["digest"]
        sign(registry, REPO, digest, "index")
        sign(registry, REPO, member, "member")
        sbom = registry.add_referrer(REPO, digest, "application/vnd.example.sbom", b"sbom")
        registry.reset_log()
        copy(registry)
        puts = [one.path.rpartition("/")[2] for one in registry.requests if one.method == "PUT"]
        manifests = [name for name in puts if name in ("1", sbom) or name.startswith("sha256-")]
        assert manifests[-1] == "1"
        assert set(manifests[:-1]) == {sbom, tag_of(digest), tag_of(member)}


def test_the_tag_does_not_move_where_its_signature_cannot_be_put() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, REPO, digest, "a")
        registry.fault("PUT", f"/{COPY}/manifests/{tag_of(digest)}", status=403, times=9)
        options = {"src": f"{registry.host}/{REPO}:1", "dest": f"{registry.host}/{COPY}:1", "referrers": True}
        result = run_module("oci_copy", options)
        assert (result["failed"], result["error_code"]) == (True, "DENIED")
        assert "1" not in registry.tags(COPY)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (403, b""),
        (404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'),
        (404, b""),
        (404, b"404 page not found\n"),
        (404, b"<html>404</html>"),
        (400, b"no"),
        (500, b""),
        (200, b"<html>Log in</html>"),
        (200, b'{"tags": 1}'),
    ],
)
def test_the_list_of_tags_is_not_needed(status: int, body: bytes) -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "1", layers=LAYERS)
        sign(registry, REPO, digest, "a")
        registry.fault("GET", "/tags/list", status=status, body=body, times=99)
        copy(registry)
        assert signatures(registry, COPY, digest) == ["a"]


def test_a_registry_that_throttles_is_not_asked_for_each_tag_instead() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "1", layers=LAYERS)
        registry.fault("GET", "/tags/list", status=429, headers={"Retry-After": "3600"}, times=99)
        with fails(RegistryError, "TOOMANYREQUESTS", registry.host, 429):
            copy(registry)


def test_many_tags_of_one_repository_cost_one_list_of_tags() -> None:
    with FakeRegistry() as registry:
        for number in range(20):
            digest = registry.add_image(REPO, f"v{number}", layers=[f"layer {number}".encode()])
            sign(registry, REPO, digest, "a")
        session = make_session(login(registry))
        registry.reset_log()
        options = {"all_tags": True, "referrers": True}
        copy_plan(session, f"{registry.host}/{REPO}", f"{registry.host}/{COPY}", **options)
        assert registry.count("GET", "/tags/list") == 2  # one for all_tags, one for the tags of signatures


def test_what_refers_to_what_refers_and_so_on_ends() -> None:
    with FakeRegistry() as registry:
        last = registry.add_image(REPO, "1", layers=LAYERS)
        for number in range(7):
            last = registry.add_referrer(REPO, last, "application/vnd.example", b"%d" % number)
        copy(registry)
        assert last in registry.manifests(COPY)
        registry.add_referrer(REPO, last, "application/vnd.example", b"more")
        with fails(ContentError, "TOO_MANY", registry.host, says="8 deep"):
            copy(registry)


def test_signatures_of_all_platforms_do_not_fit_some_and_that_is_said() -> None:
    with FakeRegistry() as registry:
        digest = add_platforms(registry)
        assert not copy(registry, platforms=["linux/amd64"]).warnings
        sign(registry, REPO, digest, "index")
        (warning,) = copy(registry, platforms=["linux/amd64"]).warnings
        assert digest in warning and "left out" in warning
        assert not copy(registry).warnings
