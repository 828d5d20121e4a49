# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting images into a registry, and finding out what a tag of it really holds, with nothing of the collection."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import random
import typing as t

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ABSENT = "absent"


class Image(t.NamedTuple):
    """An index that was pushed: its digest, how many blobs are below it, and their bytes."""

    digest: str
    blobs: int
    size: int


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def ask(
    connection: http.client.HTTPConnection, method: str, url: str, body: bytes = b"", kind: str = "", accept: str = ""
) -> tuple[int, bytes, str]:
    """Send a request; return the status, the body, and where the answer points."""
    headers = {name: value for name, value in (("Content-Type", kind), ("Accept", accept)) if value}
    connection.request(method, url, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers.get("Location", "")


def push_blob(connection: http.client.HTTPConnection, repo: str, data: bytes, kind: str) -> dict[str, t.Any]:
    """Store a blob and return its descriptor."""
    location = ask(connection, "POST", f"/v2/{repo}/blobs/uploads/")[2]
    status, said, dummy = ask(connection, "PUT", f"{location}&digest={digest_of(data)}", data)
    if status != 201:
        raise RuntimeError(f"the blob was not stored: {status} {said!r}")
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def push_manifest(connection: http.client.HTTPConnection, repo: str, ref: str, value: t.Mapping[str, t.Any]) -> bytes:
    """Store a manifest under a tag, or under its digest where `ref` is empty, and return its bytes."""
    raw = json.dumps(value).encode()
    status, said, dummy = ask(
        connection, "PUT", f"/v2/{repo}/manifests/{ref or digest_of(raw)}", raw, value["mediaType"]
    )
    if status != 201:
        raise RuntimeError(f"the manifest was not stored: {status} {said!r}")
    return raw


def push_index(host: str, repo: str, tag: str, shape: tuple[int, int], seed: int) -> Image:
    """Store an index of two images; `shape` is the number of layers of each, and the most bytes that one has."""
    dice, count, size = random.Random(seed), 0, 0
    layers, most = shape
    connection = http.client.HTTPConnection(host, timeout=60)
    members = []
    for architecture in ("amd64", "arm64"):
        tars = [dice.randbytes(dice.randrange(1, most)) for dummy in range(layers)]
        blobs = [push_blob(connection, repo, gzip.compress(tar, mtime=0), LAYER) for tar in tars]
        config: dict[str, t.Any] = {"architecture": architecture, "os": "linux", "config": {}}
        config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]}
        blobs.insert(0, push_blob(connection, repo, json.dumps(config).encode(), CONFIG))
        notes = {"org.example.note": "something to damage " * 20}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blobs[0], "layers": blobs[1:]}
        raw = push_manifest(connection, repo, "", {**manifest, "annotations": notes})
        platform = {"architecture": architecture, "os": "linux"}
        members.append({"mediaType": MANIFEST, "digest": digest_of(raw), "size": len(raw), "platform": platform})
        count, size = count + len(blobs), size + sum(blob["size"] for blob in blobs)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": members}
    raw = push_manifest(connection, repo, tag, {**index, "annotations": {"org.example.note": "more of it " * 400}})
    connection.close()
    return Image(digest_of(raw), count, size)


def push_referrer(host: str, repo: str, subject: str, data: bytes) -> str:
    """Store an artifact that refers to a manifest, and list it under the tag of that digest; return its digest."""
    connection = http.client.HTTPConnection(host, timeout=60)
    accept = f"{INDEX}, {MANIFEST}"
    dummy, raw, dummy2 = ask(connection, "GET", f"/v2/{repo}/manifests/{subject}", accept=accept)
    about = {"mediaType": json.loads(raw)["mediaType"], "digest": subject, "size": len(raw)}
    empty = push_blob(connection, repo, b"{}", "application/vnd.oci.empty.v1+json")
    layers = [push_blob(connection, repo, data, "application/octet-stream")]
    artifact = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.note"}
    made = push_manifest(connection, repo, "", {**artifact, "config": empty, "layers": layers, "subject": about})
    entry = {
        "mediaType": MANIFEST,
        "digest": digest_of(made),
        "size": len(made),
        "artifactType": artifact["artifactType"],
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    push_manifest(connection, repo, subject.replace(":", "-"), index)
    connection.close()
    return digest_of(made)


def listed(host: str, repo: str, subject: str) -> set[str]:
    """Return the digests of the referrers that are listed under the tag of a digest."""
    connection = http.client.HTTPConnection(host, timeout=60)
    url = f"/v2/{repo}/manifests/{subject.replace(':', '-')}"
    status, raw, dummy = ask(connection, "GET", url, accept=INDEX)
    connection.close()
    return {item["digest"] for item in json.loads(raw)["manifests"]} if status == 200 else set()


def look(host: str, repo: str, tag: str) -> str:
    """Return the digest of what a tag holds if all of it is there and right; ABSENT; or what is wrong with it."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        status, raw, dummy = ask(connection, "GET", f"/v2/{repo}/manifests/{tag}", accept=f"{INDEX}, {MANIFEST}")
        if status == 404:
            return ABSENT
        if status != 200:
            return f"the tag answers {status}"
        return _below(connection, repo, raw) or digest_of(raw)
    finally:
        connection.close()


def _below(connection: http.client.HTTPConnection, repo: str, raw: bytes) -> str:
    """Say what is wrong below a manifest, or nothing."""
    value = json.loads(raw)
    for member in value.get("manifests", []):
        url = f"/v2/{repo}/manifests/{member['digest']}"
        status, child, dummy = ask(connection, "GET", url, accept=member["mediaType"])
        if status != 200 or digest_of(child) != member["digest"] or len(child) != member["size"]:
            return f"the member {member['digest']} answers {status}, {len(child)} bytes"
        problem = _below(connection, repo, child)
        if problem:
            return problem
    for blob in [value[key] for key in ("config",) if key in value] + value.get("layers", []):
        status, data, dummy = ask(connection, "GET", f"/v2/{repo}/blobs/{blob['digest']}")
        if status != 200 or digest_of(data) != blob["digest"] or len(data) != blob["size"]:
            return f"the blob {blob['digest']} answers {status}, {len(data)} bytes"
    return ""
