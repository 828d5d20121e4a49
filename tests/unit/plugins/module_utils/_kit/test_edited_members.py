# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit of an image does to the index above it, and to the attestations beside it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._kit.target import destination
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_MANIFEST
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, REPO, complete, fails, run_module
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

A = "sha256:" + "a" * 64
ATTESTED = "vnd.docker.reference.digest"


def label(registry: FakeRegistry, name: str = "1", **options: Any) -> dict[str, Any]:
    return run_module("oci_mutate", {"name": f"{registry.host}/{REPO}:{name}", "labels": {"a": "b"}, **options})


def said(result: dict[str, Any]) -> str:
    return " ".join([*result["actions"], *result.get("notes", [])])


def test_embedded_data_of_a_member_does_not_outlive_it(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, layers=LAYERS)
    raw = registry.manifests(REPO)[digest].body
    member = {**registry.descriptor(REPO, digest), "data": base64.b64encode(raw).decode()}
    registry.add_index(REPO, "1", [member])
    assert label(registry)["changed"]
    [found] = registry.manifest(REPO, "1")["manifests"]
    assert found["digest"] != digest
    new = registry.manifests(REPO)[found["digest"]].body
    assert base64.b64decode(found.get("data", base64.b64encode(new))) == new
    assert complete(registry, REPO, "1")


def test_an_attestation_with_a_subject_follows_its_image(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, layers=LAYERS)
    plain = registry.add_attestation(REPO, digest)
    subject = {name: registry.descriptor(REPO, digest)[name] for name in ("mediaType", "digest", "size")}
    body = json.dumps({**registry.manifest(REPO, plain["digest"]), "subject": subject}).encode()
    attestation = registry.add_manifest(REPO, body, OCI_MANIFEST)
    member = {**plain, "digest": attestation, "size": len(body), "data": base64.b64encode(body).decode()}
    registry.add_index(REPO, "1", [digest, member])
    assert label(registry)["changed"]
    image, attested = registry.manifest(REPO, "1")["manifests"]
    assert image["digest"] != digest
    assert attested["annotations"][ATTESTED] == image["digest"]
    assert "data" not in attested
    moved = registry.manifest(REPO, attested["digest"])
    assert (moved["subject"]["digest"], moved["subject"]["size"]) == (image["digest"], image["size"])
    assert complete(registry, REPO, "1")


def test_a_result_is_not_stored_under_a_digest_that_it_does_not_have(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    state = registry.state()
    result = label(registry, dest=f"{registry.host}/team/other@{digest}")
    assert (result["failed"], result["error_code"]) == (True, "INVALID_OPTION"), result
    assert digest in result["msg"]
    assert registry.state() == state
    assert registry.count("PUT|POST|PATCH") == 0


@pytest.mark.parametrize("check", [True, False])
def test_what_is_kept_is_said(registry: FakeRegistry, check: bool) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    there = registry.add_image(REPO, "2", layers=LAYERS[:1])
    options = {"dest": f"{registry.host}/{REPO}:2", "on_existing": "keep"}
    arguments = {"name": f"{registry.host}/{REPO}:1", "labels": {"a": "b"}, **options}
    result = run_module("oci_mutate", arguments, check=check)
    assert (result["changed"], result["digest"]) == (False, there)
    assert f"{REPO}:2" in said(result) and "keep" in said(result).lower()
    assert registry.tags(REPO)["2"] == there


def test_nothing_is_kept_where_it_is_the_same(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", layers=LAYERS)
    options = {"dest": f"{registry.host}/{REPO}:2", "on_existing": "keep"}
    assert label(registry, **options)["changed"]
    result = label(registry, **options)
    assert not result["changed"]
    assert said(result) == ""


@pytest.mark.parametrize("platform", [None, 0, "linux/amd64", []])
def test_a_platform_that_is_none_is_as_absent(registry: FakeRegistry, platform: Any) -> None:
    digest = registry.add_image(REPO, layers=LAYERS)
    registry.add_index(REPO, "1", [{**registry.descriptor(REPO, digest), "platform": platform}])
    result = label(registry)
    assert result["changed"], result
    [found] = registry.manifest(REPO, "1")["manifests"]
    assert (found["digest"] != digest, found["platform"]) == (True, platform)
    flat = run_module("oci_flatten", {"name": f"{registry.host}/{REPO}:1"})
    assert flat["changed"], flat


NO_DIGESTS = ([1, 2], [{}, {}], [None, None], ["one", "two"], ["sha256:1", "md5:2"])


@pytest.mark.parametrize("diff_ids", NO_DIGESTS)
@pytest.mark.parametrize(
    ("module", "options", "code"),
    [
        ("oci_append", {"files": [{"path": "/etc/x", "content": "y"}]}, "CONFIG_INVALID"),
        ("oci_append", {"layers": "tar"}, "CONFIG_INVALID"),
        ("oci_flatten", {}, "CONFIG_INVALID"),
        ("oci_rebase", {"old_base": "base", "new_base": "base"}, "CONFIG_INVALID"),
        ("oci_rebase", {"old_base": "1", "new_base": "new"}, "CONFIG_INVALID"),
        ("oci_export", {"path": "out.tar"}, "CONFIG_INVALID"),
        ("oci_pull", {"path": "out.tar", "format": "docker-archive"}, None),
        ("oci_file_info", {"path": "/first"}, None),
        ("oci_validate", {}, "INVALID_IMAGE"),
        ("oci_config_info", {}, None),
        ("oci_image_diff_info", {"other": "base", "files": True}, None),
        ("oci_base_info", {"base": "base"}, "CONFIG_INVALID"),
    ],
)
def test_diff_ids_that_are_no_digests(
    registry: FakeRegistry, tmp_path: Path, module: str, options: dict[str, Any], code: str | None, diff_ids: list[Any]
) -> None:
    """One sentence says so where they matter; nobody else minds."""
    registry.add_image(REPO, "1", layers=LAYERS, config={"rootfs": {"type": "layers", "diff_ids": diff_ids}})
    for tag in ("base", "new"):
        registry.add_image(REPO, tag, layers=[LAYERS[0], tar_of({tag: tag})])
    tar = tmp_path / "layer.tar"
    tar.write_bytes(LAYERS[1])
    given = dict(options, name=f"{registry.host}/{REPO}:1")
    for name in ("old_base", "new_base", "base", "other"):
        if name in given:
            given[name] = f"{registry.host}/{REPO}:{given[name]}"
    if "layers" in given:
        given["layers"] = [str(tar)]
    if module in ("oci_export", "oci_pull"):
        given["path"] = str(tmp_path / given["path"])
    result = run_module(module, given)
    assert result.get("error_code") == code, result
    if code:
        assert "rootfs.diff_ids" in result["msg"] or repr(diff_ids[0]) in result["msg"]
        assert "\n" not in result["msg"]


@pytest.mark.parametrize(
    ("name", "dest", "where"),
    [
        ("r.io/a:1", None, "r.io/a:1"),
        ("r.io/a", "r.io/b", "r.io/b:latest"),
        ("r.io/a:1", "r.io/b", "r.io/b:1"),
        ("r.io/a:1", "r.io/b:2", "r.io/b:2"),
        (f"r.io/a@{A}", None, f"r.io/a@{A}"),
        (f"r.io/a@{A}", "r.io/b", f"r.io/b@{A}"),
        (f"r.io/a@{A}", "r.io/b:2", "r.io/b:2"),
        (f"r.io/a:1@{A}", None, "r.io/a:1"),
        (f"r.io/a:1@{A}", "r.io/b", "r.io/b:1"),
        ("r.io/a:1", f"r.io/b@{A}", f"r.io/b@{A}"),
    ],
)
def test_where_the_result_goes(name: str, dest: str | None, where: str) -> None:
    assert str(destination(Reference.parse(name), dest)) == where


@pytest.mark.parametrize("module", ["oci_mutate", "oci_append", "oci_flatten", "oci_rebase", "oci_index"])
@pytest.mark.parametrize("repo", [REPO, "team/other"])
def test_a_digest_moves_no_tag(registry: FakeRegistry, module: str, repo: str) -> None:
    """Also not in the repository that the result goes to, where `latest` is what others have released."""
    digest = registry.add_image(REPO, layers=LAYERS, platform="linux/amd64")
    base = registry.add_image("team/base", "1", layers=LAYERS[:1])
    registry.add_image("team/base", "2", layers=LAYERS[1:])
    registry.add_image(repo, "latest", layers=LAYERS[:1])
    index = registry.add_index(REPO, None, [digest])
    tags = registry.tags(repo)
    name, dest = f"{registry.host}/{REPO}", f"{registry.host}/{repo}"
    options: dict[str, dict[str, Any]] = {
        "oci_mutate": {"labels": {"a": "b"}},
        "oci_append": {"files": [{"path": "/motd", "content": "hello"}]},
        "oci_flatten": {},
        "oci_rebase": {
            "old_base": f"{registry.host}/team/base@{base}",
            "new_base": f"{registry.host}/team/base:2",
        },
        "oci_index": {"annotations": {"a": "b"}},
    }
    named = index if module == "oci_index" else digest
    options[module].update(name=f"{name}@{named}", dest=dest)
    result = run_module(module, options[module])
    assert not result.get("failed"), result
    assert result["changed"]
    assert result["digest"] != named
    assert registry.tags(repo) == tags
    assert complete(registry, repo, result["digest"])
    assert not run_module(module, options[module])["changed"]


def test_a_tag_beside_the_digest_of_a_destination_is_not_dropped(registry: FakeRegistry) -> None:
    """What is to be stored there has another digest, which is an error for each other digest, too."""
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    options = {"name": f"{registry.host}/{REPO}@{digest}", "labels": {"a": "b"}}
    result = run_module("oci_mutate", {**options, "dest": f"{registry.host}/team/other:t@{digest}"})
    assert result["error_code"] == "INVALID_OPTION", result
    assert "its digest is" in result["msg"]


def test_a_tag_beside_the_digest_that_is_edited_gets_the_result(registry: FakeRegistry) -> None:
    digest = registry.add_image(REPO, "1", layers=LAYERS)
    name = f"{registry.host}/{REPO}:1@{digest}"
    result = run_module("oci_mutate", {"name": name, "labels": {"a": "b"}})
    assert registry.tags(REPO)["1"] == result["digest"] != digest
    assert not run_module("oci_mutate", {"name": name, "labels": {"a": "b"}})["changed"]


def test_an_empty_destination_is_not_the_name_itself() -> None:
    name = Reference.parse("registry.example/team/app:1")
    assert destination(name, None) == name
    with fails(InvalidInput, "INVALID_REFERENCE", says="dest is empty"):
        destination(name, "")
