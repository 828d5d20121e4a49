# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fake registry must be right before anything tested against it can be."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    Layer,
    digest_of,
    gzipped,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, PROFILES, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry

REPO = "team/app"
ALL_TYPES = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(
    host: str, method: str, path: str, body: Any = None, context: ssl.SSLContext | None = None, **headers: Any
) -> Reply:
    """One request on a connection of its own; header names are written with _ for -."""
    if context:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def follow(host: str, method: str, location: str, body: Any = None, **headers: Any) -> Reply:
    """A request to an upload's Location; the login stays with the registry."""
    where = urlsplit(location)
    return ask(where.netloc or host, method, location[location.index("/v2/") :], body, **headers)


def push_blob(host: str, data: bytes, put_only: bool = False, **headers: Any) -> Reply:
    """POST, PATCH, PUT, or only POST and PUT."""
    started = ask(host, "POST", f"/v2/{REPO}/blobs/uploads/", **headers)
    if started.status != 202:
        return started
    location, rest = started.headers["Location"], data
    if not put_only:
        sent = follow(host, "PATCH", location, data, **headers)
        location, rest = sent.headers["Location"], b""
    digest = ("&" if "?" in location else "?") + f"digest={digest_of(data)}"
    return follow(host, "PUT", location + digest, rest, **headers)


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def challenge_of(reply: Reply) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', reply.headers["WWW-Authenticate"]))


def codes(reply: Reply) -> list[str]:
    return [error["code"] for error in json.loads(reply.body)["errors"]]


# --- the strict registry ----------------------------------------------------------------------------------------------


def test_an_image_is_pushed_and_pulled() -> None:
    with FakeRegistry() as registry:
        config, layer = b'{"os": "linux"}', gzipped(b"layer")
        for data in (config, layer, b""):
            reply = push_blob(registry.host, data)
            assert (reply.status, reply.headers["Docker-Content-Digest"]) == (201, digest_of(data))
        descriptors = [
            {"mediaType": "application/octet-stream", "digest": digest_of(data), "size": len(data)}
            for data in (config, layer)
        ]
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        body = json.dumps(manifest)
        reply = ask(registry.host, "PUT", f"/v2/{REPO}/manifests/v1", body, content_type=OCI_MANIFEST)
        digest = digest_of(body.encode())
        assert (reply.status, reply.headers["Docker-Content-Digest"]) == (201, digest)
        for ref in ("v1", digest):
            reply = ask(registry.host, "GET", f"/v2/{REPO}/manifests/{ref}", accept=ALL_TYPES)
            assert (reply.body.decode(), reply.headers["Content-Type"]) == (body, OCI_MANIFEST)
            head = ask(registry.host, "HEAD", f"/v2/{REPO}/manifests/{ref}", accept=ALL_TYPES)
            assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(body)))
        assert ask(registry.host, "GET", f"/v2/{REPO}/blobs/{digest_of(layer)}").body == layer
        assert registry.tags(REPO) == {"v1": digest}
        assert registry.state()[REPO]["uploads"] == {}
        assert registry.count("PUT", r"/manifests/v1$") == 1
        assert registry.requests[-1].target == f"/v2/{REPO}/blobs/{digest_of(layer)}"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"layers": [{"digest": "sha256:" + "0" * 64, "size": 1}]}, 404, "MANIFEST_BLOB_UNKNOWN"),
        ({"manifests": [{"digest": "sha256:" + "0" * 64, "size": 1}]}, 404, "MANIFEST_BLOB_UNKNOWN"),
        ({"layers": [{"digest": digest_of(b"layer"), "size": 4}]}, 400, "SIZE_INVALID"),
        ({"mediaType": DOCKER_MANIFEST}, 400, "MANIFEST_INVALID"),
        ({"layers": [{"digest": "sha256:" + "0" * 64, "size": 1, "urls": ["http://127.0.0.1/"]}]}, 201, ""),
    ],
)
def test_a_manifest_is_checked(change: dict[str, Any], status: int, code: str) -> None:
    with FakeRegistry() as registry:
        registry.add_blob(REPO, b"layer")
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **change})
        reply = ask(registry.host, "PUT", f"/v2/{REPO}/manifests/v1", body, content_type=OCI_MANIFEST)
        assert reply.status == status
        assert not code or set(codes(reply)) == {code}
        wrong = ask(registry.host, "PUT", f"/v2/{REPO}/manifests/sha256:{'0' * 64}", body, content_type=OCI_MANIFEST)
        assert codes(wrong) == ["DIGEST_INVALID"]


def test_content_negotiation_and_conditional_get() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "v1", media="docker")
        path = f"/v2/{REPO}/manifests/v1"
        assert ask(registry.host, "GET", path).status == 200
        assert codes(ask(registry.host, "GET", path, accept=OCI_MANIFEST)) == ["MANIFEST_UNKNOWN"]
        assert ask(registry.host, "GET", path, accept=ALL_TYPES, if_none_match=f'"{digest}"').status == 304
        registry.quirks = Quirks(accept_strict=True)
        assert ask(registry.host, "GET", path).status == 404
        registry.quirks = Quirks(accept_ignored_rewrites=True)
        reply = ask(registry.host, "HEAD", path)
        assert (reply.status, reply.headers["Content-Type"]) == (200, DOCKER_SCHEMA1)
        assert reply.headers["Docker-Content-Digest"] != digest
        registry.add_index(
            REPO, "multi", [registry.add_image(REPO, platform="linux/arm64", media="docker"), digest], media="docker"
        )
        reply = ask(registry.host, "GET", f"/v2/{REPO}/manifests/multi", accept=DOCKER_MANIFEST)
        assert digest_of(reply.body) == digest


def test_chunks_must_follow_each_other() -> None:
    with FakeRegistry(Quirks(chunk_min_length=4, chunk_max_length=8, upload_location_query=True)) as registry:
        started = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/")
        first = started.headers["Location"]
        assert started.headers["OCI-Chunk-Min-Length"] == "4"
        for said, data in (("1-4", b"abcd"), ("0-9", b"abcd"), ("0-8", b"abcdefghi")):
            assert follow(registry.host, "PATCH", first, data, content_range=said).status == 416
        assert codes(follow(registry.host, "PATCH", first, b"abcd", content_range="bytes 0-3")) == [
            "BLOB_UPLOAD_INVALID"
        ]
        reply = follow(registry.host, "PATCH", first, b"abcd", content_range="0-3")
        assert (reply.status, reply.headers["Range"]) == (202, "0-3")
        second = reply.headers["Location"]
        assert follow(registry.host, "PATCH", first, b"efgh", content_range="4-7").status == 400, "an old _state"
        assert follow(registry.host, "PATCH", second.replace("%2B", "+"), b"efgh", content_range="4-7").status == 400
        third = follow(registry.host, "PATCH", second, b"ef", content_range="4-5").headers["Location"]
        assert follow(registry.host, "PATCH", third, b"gh", content_range="6-7").status == 416, "after a short chunk"
        status = follow(registry.host, "GET", third)
        assert (status.status, status.headers["Range"]) == (204, "0-5")
        assert follow(registry.host, "PUT", f"{third}&digest={digest_of(b'abcdef')}", b"").status == 201
        assert registry.blobs(REPO) == {digest_of(b"abcdef"): b"abcdef"}


def test_uploads_end_by_cancelling_or_by_a_wrong_digest() -> None:
    with FakeRegistry() as registry:
        where = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"]
        assert follow(registry.host, "DELETE", where).status == 204
        assert codes(follow(registry.host, "PATCH", where, b"x")) == ["BLOB_UPLOAD_UNKNOWN"]
        where = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"]
        assert codes(follow(registry.host, "PUT", f"{where}?digest={digest_of(b'other')}", b"x")) == ["DIGEST_INVALID"]
        assert registry.state()[REPO] == {"blobs": {}, "manifests": {}, "tags": {}, "uploads": {}}


def test_single_post_and_mount() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_blob("base/os", b"layer")
        posts = f"/v2/{REPO}/blobs/uploads/"
        assert ask(registry.host, "POST", f"{posts}?digest={digest_of(b'x')}", b"x").status == 201
        assert ask(registry.host, "POST", f"{posts}?mount={digest}&from=no/such").status == 202
        assert ask(registry.host, "POST", f"{posts}?mount={digest}&from=base/os").status == 201
        assert digest in registry.blobs(REPO)
        registry.quirks = Quirks(single_post_202=True, mount_202=True)
        assert ask(registry.host, "POST", f"{posts}?digest={digest_of(b'y')}", b"y").status == 202
        assert ask(registry.host, "POST", f"{posts}?mount={digest}&from=base/os").status == 202
        registry.quirks = Quirks(mount_status=405)
        assert ask(registry.host, "POST", f"{posts}?mount={digest}&from=base/os").status == 405
        registry.quirks = Quirks(mount_needs_from=True)
        assert ask(registry.host, "POST", f"{posts}?mount={digest}").status == 400
        registry.quirks = Quirks(no_automatic_mount=True)
        assert ask(registry.host, "POST", f"{posts}?mount={digest}").status == 202


def test_blobs_in_ranges() -> None:
    with FakeRegistry() as registry:
        path = f"/v2/{REPO}/blobs/" + registry.add_blob(REPO, b"0123456789")
        for asked, status, body, said in (
            ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
            ("bytes=2-3", 206, b"23", "bytes 2-3/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ):
            reply = ask(registry.host, "GET", path, range=asked)
            assert (reply.status, reply.body, reply.headers["Content-Range"]) == (status, body, said)
        beyond = ask(registry.host, "GET", path, range="bytes=10-")
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */10")
        for quirks, status, body in (
            (Quirks(range_ignored=True), 200, b"0123456789"),
            (Quirks(range_wrong=True), 206, b"0123456789"),
        ):
            registry.quirks = quirks
            reply = ask(registry.host, "GET", path, range="bytes=4-")
            assert (reply.status, reply.body) == (status, body)
        registry.quirks = Quirks(range_unsupported=True)
        assert ask(registry.host, "GET", path, range="bytes=4-").status == 416


@pytest.mark.parametrize("link", ["relative", "absolute"])
def test_lists_come_in_pages(link: str) -> None:
    with FakeRegistry(Quirks(page_limit=2, link=link)) as registry:
        digest = registry.add_image(REPO, "a")
        for tag in "bcde":
            registry.add_manifest(REPO, registry.manifests(REPO)[digest].body, tag=tag)
        path, seen = f"/v2/{REPO}/tags/list?n=3", []
        while path:
            reply = ask(registry.host, "GET", path)
            page = json.loads(reply.body)["tags"]
            assert len(page) <= 2
            seen += page
            match = re.fullmatch(r'<(.+)>; rel="next"', reply.headers["Link"] or "")
            assert not match or match.group(1).startswith("http") == (link == "absolute")
            path = match.group(1).replace(registry.url, "") if match else ""
        assert seen == list("abcde")
        catalog = ask(registry.host, "GET", "/v2/_catalog?last=a")
        assert json.loads(catalog.body) == {"repositories": [REPO]}
        registry.quirks = Quirks(page_limit=2, link="none")
        assert ask(registry.host, "GET", f"/v2/{REPO}/tags/list").headers["Link"] is None
        registry.quirks = Quirks(page_limit=2, link="loop")
        looped = ask(registry.host, "GET", f"/v2/{REPO}/tags/list?last=b").headers["Link"]
        assert looped == f'</v2/{REPO}/tags/list?last=b>; rel="next"'
        registry.quirks = Quirks(page_limit=2, link="other_host")
        assert registry.storage in ask(registry.host, "GET", f"/v2/{REPO}/tags/list").headers["Link"]
        registry.quirks = Quirks(page_max=1000)
        assert codes(ask(registry.host, "GET", "/v2/_catalog?n=1001")) == ["PAGINATION_NUMBER_INVALID"]


def test_referrers() -> None:
    with FakeRegistry() as registry:
        subject = registry.add_image(REPO, "v1")
        notes = {"org.example": "x"}
        first = registry.add_referrer(REPO, subject, "application/x.sig", b"sig", notes)
        registry.add_referrer(REPO, subject, "application/x.sbom", b"sbom")
        path = f"/v2/{REPO}/referrers/{subject}"
        reply = ask(registry.host, "GET", path)
        assert reply.headers["Content-Type"] == OCI_INDEX
        assert len(json.loads(reply.body)["manifests"]) == 2
        reply = ask(registry.host, "GET", f"{path}?artifactType=application/x.sig")
        assert reply.headers["OCI-Filters-Applied"] == "artifactType"
        entries = json.loads(reply.body)["manifests"]
        assert [(e["digest"], e["artifactType"], e["annotations"]) for e in entries] == [
            (first, "application/x.sig", notes)
        ]
        body = registry.manifests(REPO)[first].body
        pushed = ask(registry.host, "PUT", f"/v2/{REPO}/manifests/{first}", body, content_type=OCI_MANIFEST)
        assert pushed.headers["OCI-Subject"] == subject
        registry.quirks = Quirks(page_limit=1)
        reply = ask(registry.host, "GET", path)
        second = ask(registry.host, "GET", re.findall("<(.+)>", reply.headers["Link"])[0])
        found = {json.loads(page.body)["manifests"][0]["digest"] for page in (reply, second)}
        assert len(found) == 2
        assert second.headers["Link"] is None
        registry.quirks = Quirks(no_referrers_api=True)
        assert ask(registry.host, "GET", path).status == 404
        pushed = ask(registry.host, "PUT", f"/v2/{REPO}/manifests/{first}", body, content_type=OCI_MANIFEST)
        assert pushed.headers["OCI-Subject"] is None


def test_deleting() -> None:
    with FakeRegistry() as registry:
        digest = registry.add_image(REPO, "a")
        registry.add_manifest(REPO, registry.manifests(REPO)[digest].body, tag="b")
        manifests = f"/v2/{REPO}/manifests/"
        registry.quirks = Quirks(digest_delete_dangling=True)
        assert codes(ask(registry.host, "DELETE", manifests + digest)) == ["GOOGLE_MANIFEST_DANGLING_TAG"]
        registry.quirks = Quirks(tag_delete_400=True)
        assert codes(ask(registry.host, "DELETE", manifests + "a")) == ["DIGEST_INVALID"]
        registry.quirks = Quirks(tag_delete_405=True)
        assert codes(ask(registry.host, "DELETE", manifests + "a")) == ["UNSUPPORTED"]
        registry.quirks = Quirks(delete_405=True)
        assert ask(registry.host, "DELETE", manifests + digest).status == 405
        registry.quirks = Quirks()
        assert ask(registry.host, "DELETE", manifests + "a").status == 202
        assert registry.tags(REPO) == {"b": digest}
        registry.quirks = Quirks(delete_lag=1)
        assert ask(registry.host, "DELETE", manifests + digest).status == 202
        assert (registry.tags(REPO), registry.manifests(REPO)) == ({}, {})
        assert [ask(registry.host, "HEAD", manifests + digest).status for dummy in range(2)] == [200, 404]
        assert codes(ask(registry.host, "DELETE", manifests + digest)) == ["MANIFEST_UNKNOWN"]


# --- quirks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirks", "method", "status", "headers"),
    [
        (Quirks(no_digest_header_on_head=True), "HEAD", 200, {"Docker-Content-Digest": None}),
        (Quirks(no_digest_header=True), "GET", 200, {"Docker-Content-Digest": None}),
        (Quirks(head_manifest_405=True), "HEAD", 405, {}),
        (Quirks(head_manifest_404=True), "HEAD", 404, {}),
        (Quirks(head_manifest_404=True), "GET", 200, {}),
        (Quirks(content_type_with_charset=True), "GET", 200, {"Content-Type": OCI_MANIFEST + "; charset=utf-8"}),
        (Quirks(content_type_json=True), "GET", 200, {"Content-Type": "application/json"}),
        (Quirks(rate_limit_headers=True), "HEAD", 200, {"RateLimit-Remaining": "100;w=21600"}),
        (Quirks(warning_header="old"), "GET", 200, {"Warning": '299 - "old"'}),
        (Quirks(reencodes_gzip=True), "GET", 200, {"Content-Encoding": None}),
    ],
)
def test_quirks_of_reading_a_manifest(quirks: Quirks, method: str, status: int, headers: dict[str, Any]) -> None:
    with FakeRegistry(quirks) as registry:
        registry.add_image(REPO, "v1")
        reply = ask(registry.host, method, f"/v2/{REPO}/manifests/v1", accept=ALL_TYPES)
        assert (reply.status, {name: reply.headers[name] for name in headers}) == (status, headers)


BLOB = digest_of(b"layer")
UPLOADS = f"/v2/{REPO}/blobs/uploads/"


@pytest.mark.parametrize(
    ("quirks", "method", "path", "status"),
    [
        (Quirks(), "GET", "/v2/UPPER/manifests/v1", 404),
        (Quirks(), "GET", f"/v2/{REPO}/blobs/sha256:short", 400),
        (Quirks(), "GET", f"/v2/{REPO}/blobs/{digest_of(b'other')}", 404),
        (Quirks(), "PATCH", f"/v2/{REPO}/blobs/{BLOB}", 405),
        (Quirks(), "DELETE", f"/v2/{REPO}/blobs/{BLOB}", 202),
        (Quirks(delete_405=True), "DELETE", f"/v2/{REPO}/blobs/{BLOB}", 405),
        (Quirks(head_blob_status=401), "HEAD", f"/v2/{REPO}/blobs/{BLOB}", 401),
        (Quirks(head_blob_status=401), "GET", f"/v2/{REPO}/blobs/{BLOB}", 200),
        (Quirks(blob_head_redirect=True), "HEAD", f"/v2/{REPO}/blobs/{BLOB}", 307),
        (Quirks(catalog_status=401), "GET", "/v2/_catalog", 401),
        (Quirks(catalog_status=404), "GET", "/v2/_catalog", 404),
        (Quirks(referrers_wrong_type=True), "GET", f"/v2/{REPO}/referrers/{BLOB}", 200),
        (Quirks(no_referrers_api=True, referrers_status=405), "GET", f"/v2/{REPO}/referrers/{BLOB}", 405),
    ],
)
def test_single_answers(quirks: Quirks, method: str, path: str, status: int) -> None:
    with FakeRegistry(quirks) as registry:
        registry.add_blob(REPO, b"layer")
        assert ask(registry.host, method, path).status == status


@pytest.mark.parametrize(
    ("quirks", "path", "body", "headers", "status"),
    [
        (Quirks(), "manifests/v1", b"{", {"content_type": OCI_MANIFEST}, 400),
        (Quirks(), "manifests/v1", b"[]", {"content_type": OCI_MANIFEST}, 400),
        (Quirks(), "manifests/v1", b"{}", {}, 400),
        (Quirks(), "manifests/v1", b"{}", {"content_type": OCI_MANIFEST}, 201),
        (Quirks(), "manifests/v1", b'{"subject": {"digest": "x"}}', {"content_type": OCI_MANIFEST}, 201),
        (Quirks(subject_status=405), "manifests/v1", b'{"subject": {}}', {"content_type": OCI_MANIFEST}, 405),
        (Quirks(body_max_bytes=9), "manifests/v1", b"0123456789", {"content_type": OCI_MANIFEST}, 413),
        (Quirks(refuse_transfer_chunked=True), "manifests/v1", iter([b"{}"]), {"content_type": OCI_MANIFEST}, 411),
    ],
)
def test_single_puts(quirks: Quirks, path: str, body: Any, headers: dict[str, Any], status: int) -> None:
    with FakeRegistry(quirks) as registry:
        reply = ask(registry.host, "PUT", f"/v2/{REPO}/{path}", body, **headers)
        assert reply.status == status
        assert bool(registry.tags(REPO)) == (status == 201)


def test_tags_with_extra_json_and_in_disorder() -> None:
    with FakeRegistry(Quirks(extra_json_in_tags=True, tags_unsorted=True)) as registry:
        digest = registry.add_image(REPO, "a")
        registry.add_manifest(REPO, registry.manifests(REPO)[digest].body, tag="b")
        found = json.loads(ask(registry.host, "GET", f"/v2/{REPO}/tags/list").body)
        assert found["tags"] == ["b", "a", "a"]
        assert found["manifest"][digest]["tag"] == ["a", "b"]
        registry.quirks = Quirks(tags_unpaginated=True)
        assert json.loads(ask(registry.host, "GET", f"/v2/{REPO}/tags/list?n=1").body)["tags"] == ["a", "b"]


def test_a_manifest_may_get_its_tags_by_query() -> None:
    with FakeRegistry(Quirks(put_digest_tags=True)) as registry:
        path = f"/v2/{REPO}/manifests/{digest_of(b'{}')}?tag=a&tag=b"
        reply = ask(registry.host, "PUT", path, b"{}", content_type=OCI_MANIFEST)
        assert reply.headers.get_all("OCI-Tag") == ["a", "b"]
        assert registry.tags(REPO) == dict.fromkeys("ab", digest_of(b"{}"))


def test_chunks_may_be_dropped() -> None:
    with FakeRegistry(Quirks(drops_later_chunks=True)) as registry:
        where = ask(registry.host, "POST", UPLOADS).headers["Location"]
        for said, data in (("0-3", b"abcd"), ("4-7", b"efgh")):
            reply = follow(registry.host, "PATCH", where, data, content_range=said)
            assert (reply.status, reply.headers["Range"]) == (201, "0-3")
        assert follow(registry.host, "PUT", f"{where}?digest={digest_of(b'abcdefgh')}").status == 400
        registry.quirks = Quirks()
        where = ask(registry.host, "POST", UPLOADS).headers["Location"]
        assert follow(registry.host, "PATCH", where, b"x", content_type="text/plain").status == 400
        registry.drop_uploads()
        assert follow(registry.host, "PATCH", where, b"x").status == 404


def test_more_quirks_of_deleting() -> None:
    with FakeRegistry(Quirks(digest_delete_dangling=True)) as registry:
        child = registry.add_image(REPO)
        registry.add_index(REPO, "multi", [child])
        manifests = f"/v2/{REPO}/manifests/"
        parented = ask(registry.host, "DELETE", manifests + child)
        assert codes(parented) == ["GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE"]
        registry.add_manifest(REPO, registry.manifests(REPO)[child].body, tag="a")
        registry.add_manifest(REPO, registry.manifests(REPO)[child].body, tag="b")
        registry.quirks = Quirks(last_tag_delete_removes_manifest=True)
        assert ask(registry.host, "DELETE", manifests + "a").status == 202
        assert child in registry.manifests(REPO)
        assert ask(registry.host, "DELETE", manifests + "b").status == 202
        assert child not in registry.manifests(REPO)
        registry.quirks = Quirks(tag_delete_removes_manifest=True)
        assert ask(registry.host, "DELETE", manifests + "multi").status == 202
        assert registry.manifests(REPO) == {}


def test_words_that_are_no_switches() -> None:
    with pytest.raises(ValueError, match="link must be one of"):
        Quirks(link="sideways")
    with FakeRegistry() as registry, pytest.raises(ValueError, match="action must be one of"):
        registry.fault(action="explode")


def test_more_quirks_of_reading() -> None:
    with FakeRegistry(Quirks(reencodes_gzip=True)) as registry:
        digest = registry.add_image(REPO, "v1")
        path = f"/v2/{REPO}/manifests/v1"
        assert digest_of(gzip.decompress(ask(registry.host, "GET", path, accept_encoding="gzip").body)) == digest
        registry.quirks = Quirks(pull_quota=2, wrong_digest_header=True)
        statuses = [ask(registry.host, method, path).status for method in ("HEAD", "GET", "GET", "HEAD")]
        assert statuses == [200, 200, 429, 200], "the GET above counts too"
        assert ask(registry.host, "HEAD", path).headers["Docker-Content-Digest"] != digest
        registry.quirks = Quirks(missing_tag_403=True, repo_missing_401=True)
        assert ask(registry.host, "GET", f"/v2/{REPO}/manifests/v2").status == 403
        assert ask(registry.host, "GET", "/v2/other/manifests/v2").status == 401
        registry.quirks = Quirks(tags_null=True, cookies_set=True)
        registry.create_repo("empty")
        assert json.loads(ask(registry.host, "GET", "/v2/empty/tags/list").body)["tags"] is None
        assert ask(registry.host, "GET", "/v2/", cookie="sid=1").status == 403
        registry.quirks = Quirks(tags_missing_404=True)
        assert ask(registry.host, "GET", "/v2/empty/tags/list").status == 404


@pytest.mark.parametrize(
    ("quirks", "status"),
    [
        (Quirks(immutable_tags="409"), 409),
        (Quirks(immutable_tags="ecr"), 400),
        (Quirks(manifest_max_bytes=100), 413),
        (Quirks(refused_types=(OCI_MANIFEST,)), 415),
        (Quirks(push_status=405), 405),
    ],
)
def test_quirks_of_writing_a_manifest(quirks: Quirks, status: int) -> None:
    with FakeRegistry(quirks) as registry:
        old = registry.add_image(REPO, "v1")
        new = registry.add_image(REPO, config={"author": "somebody"})
        before = registry.state()
        reply = ask(
            registry.host,
            "PUT",
            f"/v2/{REPO}/manifests/v1",
            registry.manifests(REPO)[new].body,
            content_type=OCI_MANIFEST,
        )
        assert reply.status == status
        assert registry.state() == before
        assert registry.tags(REPO) == {"v1": old}


@pytest.mark.parametrize("kind", ["spec", "html", "text", "message", "details", "empty"])
def test_error_bodies(kind: str) -> None:
    with FakeRegistry(Quirks(error_body=kind)) as registry:
        body = ask(registry.host, "GET", "/v2/no/such/manifests/v1").body.decode()
        assert ("repository name not known" in body) == (kind != "empty")
        assert body.startswith({"html": "<", "text": "r", "empty": ""}.get(kind, "{"))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(upload_location="relative"),
        Quirks(upload_location="other_host", upload_location_query=True),
        Quirks(patch_status=204),
        Quirks(put_blob_status=204),
    ],
)
def test_quirks_that_an_upload_survives(quirks: Quirks) -> None:
    with FakeRegistry(quirks) as registry:
        assert push_blob(registry.host, b"layer").status == quirks.put_blob_status
        assert registry.blobs(REPO) == {digest_of(b"layer"): b"layer"}


def test_uploads_that_need_another_way() -> None:
    with FakeRegistry(Quirks(put_only=True)) as registry:
        where = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"]
        assert follow(registry.host, "PATCH", where, b"x").status == 405
        assert push_blob(registry.host, b"layer", put_only=True).status == 201
        registry.quirks = Quirks(chunks_refused=True)
        assert follow(registry.host, "PATCH", where, b"x", content_range="0-0").status == 400
        assert follow(registry.host, "PATCH", where, b"x").status == 202
        registry.quirks = Quirks(patch_only=True)
        assert push_blob(registry.host, b"other", put_only=True).status == 404
        assert push_blob(registry.host, b"other").status == 201
        registry.quirks = Quirks(patch_201_finishes=True)
        where = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"]
        assert follow(registry.host, "PATCH", where, b"third").status == 201
        assert digest_of(b"third") in registry.blobs(REPO)
        assert follow(registry.host, "PUT", f"{where}?digest={digest_of(b'third')}").status == 404
        registry.quirks = Quirks(upload_location="missing", repo_must_exist=True)
        assert ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"] is None
        assert ask(registry.host, "POST", "/v2/other/blobs/uploads/").status == 404


def test_blobs_may_be_redirected_to_storage_that_wants_no_login() -> None:
    quirks = Quirks(blob_redirect=True, storage_url_single_use=True, storage_head_403=True)
    with FakeRegistry(quirks) as registry:
        path = f"/v2/{REPO}/blobs/" + registry.add_blob(REPO, b"layer")
        assert ask(registry.host, "HEAD", path).status == 200
        reply = ask(registry.host, "GET", path)
        where = urlsplit(reply.headers["Location"])
        assert (reply.status, where.netloc) == (307, registry.storage)
        target = f"{where.path}?{where.query}"
        assert ask(registry.storage, "HEAD", target).status == 403
        assert ask(registry.storage, "GET", target, authorization=basic()).status == 400
        assert ask(registry.storage, "GET", target, range="bytes=1-").body == b"ayer"
        assert ask(registry.storage, "GET", target).status == 403
        assert [request.server for request in registry.requests] == ["registry"] * 2 + ["storage"] * 4
        assert registry.count("GET", server="storage") == 3


# --- logins -----------------------------------------------------------------------------------------------------------


def token_of(registry: FakeRegistry, *scopes: str, **headers: Any) -> Reply:
    query = urlencode([("service", registry.auth.service or ""), *(("scope", scope) for scope in scopes)])
    return ask(registry.host, "GET", f"/token?{query}", **headers)


def test_basic_logins() -> None:
    auth = Auth(mode="basic", users={USER: PASSWORD, "reader": "r"}, rights={"reader": "pull"})
    with FakeRegistry(auth=auth) as registry:
        registry.add_image(REPO, "v1")
        path = f"/v2/{REPO}/manifests/v1"
        reply = ask(registry.host, "GET", path)
        assert (reply.status, codes(reply)) == (401, ["UNAUTHORIZED"])
        assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert ask(registry.host, "GET", path, authorization=basic(password="wrong")).status == 401
        assert ask(registry.host, "GET", path, authorization=basic("reader", "r")).status == 200
        assert codes(ask(registry.host, "DELETE", path, authorization=basic("reader", "r"))) == ["DENIED"]
        assert ask(registry.host, "DELETE", path, authorization=basic()).status == 202
        registry.auth = replace(auth, anonymous_pull=True)
        assert ask(registry.host, "GET", f"/v2/{REPO}/tags/list").status == 200
        assert ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").status == 401


def test_bearer_logins() -> None:
    with FakeRegistry(auth=Auth(users={USER: PASSWORD}, anonymous_pull=True, expires_in=120)) as registry:
        registry.add_image(REPO, "v1")
        path = f"/v2/{REPO}/manifests/v1"
        asked = challenge_of(ask(registry.host, "GET", path))
        assert asked == {
            "realm": f"{registry.url}/token",
            "service": "fake registry",
            "scope": f"repository:{REPO}:pull",
        }
        assert token_of(registry, authorization=basic(password="wrong")).status == 401
        assert ask(registry.host, "GET", "/token?service=other").status == 400

        anonymous = json.loads(token_of(registry, f"repository:{REPO}:pull,push").body)
        assert anonymous["expires_in"] == 120
        bearer = f"Bearer {anonymous['token']}"
        assert ask(registry.host, "GET", path, authorization=bearer).status == 200
        denied = challenge_of(ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/", authorization=bearer))
        assert (denied["error"], denied["scope"]) == ("insufficient_scope", f"repository:{REPO}:pull,push")

        token = json.loads(token_of(registry, f"repository:{REPO}:pull,push", authorization=basic()).body)["token"]
        bearer = f"Bearer {token}"
        mount = f"/v2/{REPO}/blobs/uploads/?mount=sha256:{'0' * 64}&from=base/os"
        assert ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/", authorization=bearer).status == 202
        assert (
            "repository:base/os:pull" in challenge_of(ask(registry.host, "POST", mount, authorization=bearer))["scope"]
        )
        assert ask(registry.host, "DELETE", path, authorization=bearer).status == 401
        registry.expire_tokens()
        assert challenge_of(ask(registry.host, "GET", path, authorization=bearer))["error"] == "invalid_token"
        token = registry.issue_token(USER, f"repository:{REPO}:delete")
        now = registry.clock()
        registry.clock = lambda: now + 121
        assert ask(registry.host, "DELETE", path, authorization=f"Bearer {token}").status == 401
        registry.clock = lambda: now
        assert ask(registry.host, "DELETE", path, authorization=f"Bearer {token}").status == 202
        token = registry.issue_token(USER, "registry:catalog:*")
        assert ask(registry.host, "GET", "/v2/_catalog", authorization=f"Bearer {token}").status == 200
        assert "registry:catalog:*" in challenge_of(ask(registry.host, "GET", "/v2/_catalog"))["scope"]


def test_quirks_of_token_servers() -> None:
    auth = Auth(users={USER: PASSWORD}, identity_tokens={"id-1": USER}, refresh_rotates=True)
    with FakeRegistry(auth=auth) as registry:
        registry.add_image(REPO, "v1")

        def reaches(reply: Reply, name: str = "token", method: str = "GET") -> int:
            bearer = "Bearer " + json.loads(reply.body)[name]
            return ask(registry.host, method, f"/v2/{REPO}/manifests/v1", authorization=bearer).status

        def post(**form: str) -> Reply:
            return ask(registry.host, "POST", "/token", urlencode({"service": "fake registry", "scope": scope, **form}))

        scope = f"repository:{REPO}:pull"
        rotated = post(grant_type="refresh_token", refresh_token="id-1")
        assert reaches(rotated, "access_token") == 200
        assert post(grant_type="refresh_token", refresh_token="id-1").status == 401, "it rotates"
        again = post(grant_type="refresh_token", refresh_token=json.loads(rotated.body)["refresh_token"])
        assert reaches(again, "access_token") == 200
        assert reaches(post(grant_type="password", username=USER, password=PASSWORD), "access_token") == 200
        registry.auth = replace(auth, oauth2_status=404)
        assert post(grant_type="password", username=USER, password=PASSWORD).status == 404

        registry.auth = replace(auth, honours_first_scope_only=True)
        assert reaches(token_of(registry, "repository:base:pull", scope, authorization=basic())) == 401
        registry.auth = replace(auth, token_field="access_token")
        assert reaches(token_of(registry, scope, authorization=basic()), "access_token") == 200
        registry.auth = replace(auth, gives_anonymous_token_for_bad_credentials=True)
        assert reaches(token_of(registry, scope, authorization=basic(password="wrong"))) == 401
        registry.auth = replace(auth, get_status=405)
        assert token_of(registry, scope, authorization=basic()).status == 405
        registry.auth = replace(auth, denied_status=403)
        assert reaches(token_of(registry, authorization=basic())) == 403
        registry.auth = replace(auth, token_body="html")
        assert token_of(registry, authorization=basic()).body.startswith(b"<html>")
        registry.auth = replace(auth, token_body="oversized")
        assert len(token_of(registry, authorization=basic()).body) > 1 << 20
        registry.auth = replace(auth, delete_needs_star=True)
        assert reaches(token_of(registry, f"repository:{REPO}:delete", authorization=basic()), method="DELETE") == 401
        assert reaches(token_of(registry, f"repository:{REPO}:*", authorization=basic()), method="DELETE") == 202


def test_challenges() -> None:
    auth = Auth(
        users={USER: PASSWORD}, challenges=("Negotiate", "Basic", "Bearer"), realm="other_host", realm_query="a=b"
    )
    with FakeRegistry(auth=auth) as registry:
        repeated = ask(registry.host, "GET", "/v2/").headers.get_all("WWW-Authenticate") or []
        assert [line.split()[0] for line in repeated] == ["Negotiate", "Basic", "Bearer"]
        assert f'realm="http://{registry.token_host}/token?a=b"' in repeated[2]
        assert ask(registry.host, "GET", "/v2/", authorization=basic()).status == 200
        registry.auth = replace(auth, challenges_joined=True, realm="relative", service=None)
        joined = ask(registry.host, "GET", "/v2/").headers.get_all("WWW-Authenticate") or []
        assert joined == ['Negotiate, Basic realm="Registry, with a comma", Bearer realm="/token?a=b"']
        assert ask(registry.host, "GET", "/token").status == 400
        assert ask(registry.host, "GET", "/token?a=b").status == 200
        registry.auth = replace(auth, ping_200_without_auth=True)
        assert ask(registry.host, "GET", "/v2/").status == 200
        registry.auth = Auth(mode="none")
        assert ask(registry.host, "GET", "/v2/_catalog").status == 200


# --- faults -----------------------------------------------------------------------------------------------------------


def test_faults_queue_up_and_are_spent() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "v1")
        path = f"/v2/{REPO}/manifests/v1"
        registry.fault("GET", "/manifests/", status=429, headers={"Retry-After": "1"}, body={"errors": []})
        registry.fault("GET|HEAD", "/manifests/", status=503, skip=1, times=2)
        assert [ask(registry.host, "GET", path).status for dummy in range(5)] == [429, 200, 503, 503, 200]
        redirect = registry.fault("GET", to="http://127.0.0.1:9{target}", status=302)
        reply = ask(registry.host, "GET", path + "?x=1")
        assert (reply.status, reply.headers["Location"]) == (302, f"http://127.0.0.1:9{path}?x=1")
        assert redirect.hits == 1
        assert [name for name, dummy, dummy in registry.faults.injected] == ["429", "503", "503", "redirect"]
        with pytest.raises(ValueError, match="status"):
            registry.fault("GET")


def test_faults_of_bodies() -> None:
    with FakeRegistry() as registry:
        data = bytes(range(256)) * 1000
        path = f"/v2/{REPO}/blobs/" + registry.add_blob(REPO, data)
        registry.fault(action="flip", at=7)
        flipped = ask(registry.host, "GET", path).body
        assert [number for number, (one, two) in enumerate(zip(flipped, data)) if one != two] == [7]
        registry.fault(action="truncate", at=1000)
        with pytest.raises(http.client.IncompleteRead) as broken:
            ask(registry.host, "GET", path)
        assert broken.value.partial == data[:1000]
        for at in (None, 10):
            registry.fault(action="stall", seconds=0.1, at=at)
            started = time.monotonic()
            assert ask(registry.host, "GET", path).body == data
            assert time.monotonic() - started >= 0.1
        registry.fault("HEAD", action="truncate")
        with pytest.raises(ConnectionError):
            ask(registry.host, "HEAD", path)
        registry.fault(action="endless", path="/blobs/")
        registry.auth = Auth(token_body="endless", service="")
        for endless in (path, "/token"):
            connection = http.client.HTTPConnection(registry.host, timeout=5)
            connection.request("GET", endless)
            answer = connection.getresponse()
            assert len(answer.read(4 * len(data))) == 4 * len(data)
            connection.close()


def test_connections_that_break() -> None:
    with FakeRegistry(Quirks(partial_uploads_kept=True)) as registry:
        where = ask(registry.host, "POST", f"/v2/{REPO}/blobs/uploads/").headers["Location"]
        registry.fault("PATCH", action="reset", at=3)
        with pytest.raises(ConnectionError):
            follow(registry.host, "PATCH", where, b"x" * (1 << 20))
        assert registry.requests[-1].status == 0
        assert follow(registry.host, "GET", where).headers["Range"] == "0-2"
        registry.fault("PUT", action="lost_answer")
        with pytest.raises(ConnectionError, match="reset by peer"):
            follow(registry.host, "PUT", f"{where}?digest={digest_of(b'xxx')}")
        assert registry.blobs(REPO) == {digest_of(b"xxx"): b"xxx"}


def test_a_refusal_may_come_before_the_body() -> None:
    auth = Auth(mode="basic", users={USER: PASSWORD})
    with FakeRegistry(Quirks(refuse_before_body=True), auth) as registry:
        connection = socket.create_connection(("127.0.0.1", int(registry.host.split(":")[1])), timeout=5)
        connection.sendall(b"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
        connection.close()
        assert push_blob(registry.host, b"layer", authorization=basic()).status == 201


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    def campaign(seed: int) -> list[int]:
        with FakeRegistry() as registry:
            registry.random_faults(seed, 0.3, kinds=("500", "429"))
            statuses = [ask(registry.host, "GET", "/v2/").status for dummy in range(40)]
            assert len(registry.faults.injected) == sum(status != 200 for status in statuses)
            registry.random_faults(seed, 0)
            assert ask(registry.host, "GET", "/v2/").status == 200
            return statuses

    first = campaign(1)
    assert first == campaign(1) != campaign(2)
    assert set(first) == {200, 429, 500}
    broken = "".join("." if status == 200 else "x" for status in first)
    assert "xxx" not in broken, "at most two in a row"


# --- the machinery ----------------------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests() -> None:
    with FakeRegistry() as registry:
        registry.add_image(REPO, "v1")
        connection = http.client.HTTPConnection(registry.host, timeout=5)
        connection.connect()
        kept = connection.sock
        where = ""
        for method, path, body in (
            ("HEAD", f"/v2/{REPO}/manifests/v1", None),
            ("HEAD", f"/v2/{REPO}/manifests/v2", None),
            ("POST", f"/v2/{REPO}/blobs/uploads/", None),
            ("PATCH", "", iter([b"a", b"bc"])),
            ("GET", "", None),
            ("GET", f"/v2/{REPO}/tags/list", None),
        ):
            connection.request(method, path or where, body, {})
            answer = connection.getresponse()
            answer.read()
            where = urlsplit(answer.headers["Location"] or where).path
        assert registry.requests[3].headers["transfer-encoding"] == "chunked"
        assert registry.requests[4].status == 204
        assert connection.sock is kept
        connection.close()


def test_parallel_uploads() -> None:
    with FakeRegistry(Quirks(upload_location_query=True)) as registry:
        blobs = [b"%d" % number * 50_000 for number in range(8)]
        threads = [threading.Thread(target=push_blob, args=(registry.host, data)) for data in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(registry.blobs(REPO)) == {digest_of(data) for data in blobs}
        assert len(registry.requests) == 24


def test_leaving_is_quick_and_ends_what_still_runs() -> None:
    started = time.monotonic()
    with FakeRegistry(Quirks(blob_redirect=True), Auth(realm="other_host")) as registry:
        assert registry.storage != registry.token_host != registry.host
        registry.fault("GET", action="stall", seconds=60)
        waiting = socket.create_connection(("127.0.0.1", int(registry.host.split(":")[1])), timeout=5)
        waiting.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        idle = socket.create_connection(("127.0.0.1", int(registry.host.split(":")[1])), timeout=5)
    waiting.close()
    idle.close()
    assert time.monotonic() - started < 1


def test_a_mistake_of_the_fake_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="KeyError"), FakeRegistry() as registry:
        monkeypatch.setattr(registry.api, "ping_get", lambda *dummy: dict[str, str]()["x"])
        assert ask(registry.host, "GET", "/v2/").status == 500


def test_tls(tmp_path: Any) -> None:
    trustme = pytest.importorskip("trustme", reason="certificates are made with the trustme package")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, ca = str(tmp_path / "server.pem"), str(tmp_path / "ca.pem")
    context = ssl.create_default_context(cafile=ca)
    with FakeRegistry(tls=(server, server)) as registry:
        data = b"x" * 300_000
        path = f"/v2/{REPO}/blobs/" + registry.add_blob(REPO, data)
        assert registry.url == f"https://{registry.host}"
        assert ask(registry.host, "GET", path, context=context).body == data
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(registry.host, "GET", path, context=ssl.create_default_context())
        registry.fault(action="reset")
        with pytest.raises(OSError):  # a reset is ConnectionResetError or ssl.SSLError
            ask(registry.host, "GET", path, context=context)
        assert ask(registry.host, "GET", path, context=context).status == 200
    with FakeRegistry(tls=(server, server, ca)) as registry:
        with pytest.raises(OSError):
            ask(registry.host, "GET", "/v2/", context=context)
        context.load_cert_chain(server)
        assert ask(registry.host, "GET", "/v2/", context=context).status == 200


def test_images_are_made_well() -> None:
    with FakeRegistry() as registry:
        zstd = Layer(b"zstd", "application/vnd.oci.image.layer.v1.tar+zstd", digest_of(b"tar"))
        foreign = {"mediaType": "x", "digest": digest_of(b"far"), "size": 3, "urls": ["http://127.0.0.1/"]}
        amd = registry.add_image(REPO, layers=[b"tar", zstd, foreign], config={"author": "a"})
        arm = registry.add_image(REPO, platform="linux/arm/v7", media="docker", layers=[gzipped(b"tar")])
        image, config = registry.manifest(REPO, amd), registry.config(REPO, amd)
        assert config["rootfs"]["diff_ids"] == [digest_of(b"tar"), digest_of(b"tar"), digest_of(b"far")]
        assert (config["author"], len(config["history"])) == ("a", 3)
        assert gzip.decompress(registry.blobs(REPO)[image["layers"][0]["digest"]]) == b"tar"
        index = registry.add_index(REPO, "multi", [amd, arm, registry.add_attestation(REPO, amd)], {"k": "v"})
        members = registry.manifest(REPO, "multi")["manifests"]
        assert [m["platform"] for m in members] == [
            {"architecture": "amd64", "os": "linux"},
            {"architecture": "arm", "os": "linux", "variant": "v7"},
            {"architecture": "unknown", "os": "unknown"},
        ]
        assert members[2]["annotations"]["vnd.docker.reference.digest"] == amd
        for digest, manifest in registry.manifests(REPO).items():
            assert digest == "sha256:" + hashlib.sha256(manifest.body).hexdigest()
            reply = ask(
                registry.host, "PUT", f"/v2/{REPO}/manifests/{digest}", manifest.body, content_type=manifest.media_type
            )
            assert reply.status == 201, "what the helpers make passes the check of a push"
        assert registry.tags(REPO) == {"multi": index}


# --- profiles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_can_be_pushed_to_and_pulled_from(name: str) -> None:
    with FakeRegistry(*PROFILES[name]) as registry:
        registry.create_repo(REPO)
        asked = ask(registry.host, "GET", "/v2/").headers["WWW-Authenticate"] or "Basic"
        login = basic()
        if "Bearer" in asked:
            realm, service = registry.gate.realm(), registry.auth.service or ""
            query = urlencode({"service": service, "scope": f"repository:{REPO}:pull,push"})
            reply = ask(urlsplit(realm).netloc, "GET", f"/token?{query}", authorization=basic())
            fields = json.loads(reply.body)
            login = f"Bearer {fields.get('token') or fields['access_token']}"
        pushed = push_blob(registry.host, b"{}", authorization=login)
        assert pushed.status == 201
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []})
        path = f"/v2/{REPO}/manifests/v1"
        assert ask(registry.host, "PUT", path, body, content_type=OCI_MANIFEST, authorization=login).status == 201
        assert ask(registry.host, "GET", path, accept=ALL_TYPES, authorization=login).body.decode() == body
        assert ask(registry.host, "GET", path, accept=ALL_TYPES, authorization="Bearer no").status == 401
