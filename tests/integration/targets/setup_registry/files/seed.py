# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put images for tests into a registry, and print as JSON what is there.

    python seed.py --registry http://127.0.0.1:5000

It shares no code with the collection, and its bytes are the same at each run: fixed times, sorted keys, fixed headers.

| image | is |
| --- | --- |
| test/image:1.0 | an OCI image for linux/amd64 of three layers, with a whiteout, a symbolic and a hard link |
| test/docker:1.0 | the same in Docker's media types |
| test/index:1.0 | an OCI index: linux/amd64, linux/arm64, and an attestation of the first |
| test/signed:1.0 | an OCI image that is the subject of an artifact; the tag `sha256-...` lists that referrer |
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.client
import io
import json
import sys
import tarfile
from typing import Any
from urllib.parse import urlsplit

CREATED = "2024-01-01T00:00:00Z"
CREATED_SECONDS = 1704067200

OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/vnd.example.sbom.v1+json"


def digest_of(content: bytes) -> str:
    """The digest, `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def to_json(value: Any) -> bytes:
    """Compact, sorted JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar_of(*entries: tuple[str, bytes | str | None]) -> bytes:
    """A tar of (path, content): bytes are a file, None a folder, `->x` a symbolic and `=x` a hard link to x."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in entries:
            entry = tarfile.TarInfo(path)
            entry.mtime = CREATED_SECONDS
            entry.mode = 0o755 if content is None or path.startswith("bin/") else 0o644
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type = tarfile.SYMTYPE if content.startswith("->") else tarfile.LNKTYPE
                entry.linkname = content.lstrip("->=")
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return stream.getvalue()


def gzip_of(content: bytes) -> bytes:
    """The content compressed; gzip.compress() writes a header that depends on the version of Python."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as file:
        file.write(content)
    return stream.getvalue()


def noise(size: int) -> bytes:
    """So many bytes that do not compress, always the same."""
    blocks = (hashlib.sha256(str(number).encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


BASE = tar_of(
    ("bin", None),
    ("bin/hello", b"#!/bin/sh\necho hello\n"),
    ("etc", None),
    ("etc/os-release", b'ID=test\nVERSION_ID=1.0\nPRETTY_NAME="Test 1.0"\n'),
    ("usr", None),
    ("usr/noise", noise(100_000)),
)
APP = tar_of(
    ("app", None),
    ("app/greeting", b"hello, world\n"),
    ("app/old", b"to be removed by the next layer\n"),
    ("app/link", "->greeting"),
    ("app/hard", "=app/greeting"),
)
CHANGE = tar_of(
    ("app", None),
    ("app/.wh.old", b""),
    ("app/new", b"from the last layer\n"),
)


class Repository:
    """One repository of the registry."""

    def __init__(self, connection: http.client.HTTPConnection, name: str) -> None:
        self.connection = connection
        self.name = name

    def send(self, method: str, path: str, body: bytes = b"", media_type: str = "application/octet-stream") -> str:
        """Send a request that has to succeed; the answer's Location, or an empty string."""
        self.connection.request(method, path, body, {"Content-Type": media_type})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status not in (201, 202):
            sys.exit(f"{method} {path}: {answer.status} {content.decode(errors='replace')}")
        return answer.headers.get("Location", "")

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Upload a blob; its descriptor."""
        location = urlsplit(self.send("POST", f"/v2/{self.name}/blobs/uploads/"))
        digest = digest_of(content)
        query = "&".join(part for part in (location.query, f"digest={digest}") if part)
        self.send("PUT", f"{location.path}?{query}", content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def manifest(self, value: dict[str, Any], tag: str | None = None) -> dict[str, Any]:
        """Upload a manifest or an index, under a tag or its digest; its descriptor."""
        content = to_json(value)
        digest = digest_of(content)
        self.send("PUT", f"/v2/{self.name}/manifests/{tag or digest}", content, value["mediaType"])
        return {"mediaType": value["mediaType"], "digest": digest, "size": len(content)}

    def image(
        self, *tars: bytes, tag: str | None = None, architecture: str = "amd64", types: dict[str, str]
    ) -> dict[str, Any]:
        """Upload an image; its manifest."""
        layers = [self.blob(gzip_of(tar), types["layer"]) for tar in tars]
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": {
                "Cmd": ["/bin/hello"],
                "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
                "Labels": {"org.opencontainers.image.title": self.name, "org.opencontainers.image.version": "1.0"},
                "WorkingDir": "/app",
            },
            "history": [
                *({"created": CREATED, "created_by": f"layer {number}"} for number in range(len(tars))),
                {"created": CREATED, "created_by": "CMD /bin/hello", "empty_layer": True},
            ],
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": self.blob(to_json(config), types["config"]),
            "layers": layers,
        }
        if types is OCI:
            manifest["annotations"] = {"org.opencontainers.image.created": CREATED}
        return {**self.manifest(manifest, tag), "manifest": manifest}


def descriptor(image: dict[str, Any]) -> dict[str, Any]:
    """The descriptor within what Repository.image() returns."""
    return {key: image[key] for key in ("mediaType", "digest", "size")}


def told(name: str, image: dict[str, Any]) -> dict[str, Any]:
    """What is printed of an image."""
    return {
        "name": name,
        "digest": image["digest"],
        "media_type": image["mediaType"],
        "size": image["size"],
        "config": image["manifest"]["config"]["digest"],
        "layers": [layer["digest"] for layer in image["manifest"]["layers"]],
    }


def seed_index(repository: Repository) -> dict[str, Any]:
    """Two platforms and, as BuildKit does, an attestation of the first among the children."""
    amd64 = repository.image(BASE, tar_of(("arch", b"amd64\n")), types=OCI)
    arm64 = repository.image(BASE, tar_of(("arch", b"arm64\n")), types=OCI, architecture="arm64")
    statement = to_json({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document"})
    no_config = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(statement)]},
    }
    attestation = repository.manifest(
        {
            "schemaVersion": 2,
            "mediaType": OCI["manifest"],
            "config": repository.blob(to_json(no_config), OCI["config"]),
            "layers": [
                {
                    **repository.blob(statement, "application/vnd.in-toto+json"),
                    "annotations": {"in-toto.io/predicate-type": "https://spdx.dev/Document"},
                }
            ],
        }
    )
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd64["digest"]}
    index = repository.manifest(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {**descriptor(amd64), "platform": {"architecture": "amd64", "os": "linux"}},
                {**descriptor(arm64), "platform": {"architecture": "arm64", "os": "linux"}},
                {**attestation, "platform": {"architecture": "unknown", "os": "unknown"}, "annotations": about},
            ],
        },
        "1.0",
    )
    return {
        "name": f"{repository.name}:1.0",
        "digest": index["digest"],
        "media_type": index["mediaType"],
        "size": index["size"],
        "amd64": amd64["digest"],
        "arm64": arm64["digest"],
        "attestation": attestation["digest"],
    }


def seed_artifact(repository: Repository) -> dict[str, Any]:
    """An artifact with a subject, and the tag that lists it where the registry has no referrers API."""
    subject = descriptor(repository.image(BASE, APP, CHANGE, tag="1.0", types=OCI))
    artifact = repository.manifest(
        {
            "schemaVersion": 2,
            "mediaType": OCI["manifest"],
            "artifactType": SBOM,
            "config": repository.blob(b"{}", EMPTY),
            "layers": [repository.blob(to_json({"packages": ["hello"]}), SBOM)],
            "subject": subject,
        }
    )
    referrers_tag = subject["digest"].replace(":", "-")
    listing = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**artifact, "artifactType": SBOM}]}
    repository.manifest(listing, referrers_tag)
    return {
        "name": f"{repository.name}@{artifact['digest']}",
        "digest": artifact["digest"],
        "artifact_type": SBOM,
        "subject": subject["digest"],
        "referrers_tag": referrers_tag,
    }


def main() -> None:
    """Seed, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--registry", required=True, help="for example http://127.0.0.1:5000")
    connection = http.client.HTTPConnection(urlsplit(parser.parse_args().registry).netloc, timeout=30)
    image = Repository(connection, "test/image").image(BASE, APP, CHANGE, tag="1.0", types=OCI)
    docker = Repository(connection, "test/docker").image(BASE, APP, CHANGE, tag="1.0", types=DOCKER)
    seed = {
        "image": told("test/image:1.0", image),
        "docker": told("test/docker:1.0", docker),
        "index": seed_index(Repository(connection, "test/index")),
        "artifact": seed_artifact(Repository(connection, "test/signed")),
    }
    print(json.dumps(seed, indent=2))


main()
