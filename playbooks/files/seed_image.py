# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the tour's images into a registry, with nothing but Python's standard library, and print as JSON what they are.

    python seed_image.py --registry localhost:5000 --cache FOLDER

The folder has debian-12.tar, debian-13.tar and web.tar (make_debian.sh); where they are missing, tars with a shell of
this machine are made instead. The bytes depend on the tars alone.

| image | is |
| --- | --- |
| debian:12, debian:stable | linux/amd64, two layers: the root file system, and a file on top |
| debian:13 | the next release, linux/amd64, one layer |
| debian:12-all | an index of linux/amd64, linux/arm64 (the same layers, so it is one in name only) and an attestation |
| scratch/old:1 | a small image that nobody needs any more |
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.client
import io
import json
import pathlib
import shutil
import sys
import tarfile
from typing import Any, BinaryIO
from urllib.parse import urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CREATED = "2024-01-01T00:00:00Z"
PIECE = 1 << 20


def main() -> None:
    """Read the options, push, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help="host:port, spoken to over http")
    parser.add_argument(
        "--cache", type=pathlib.Path, required=True, help="the folder of the tars, kept with what is made of them"
    )
    options = parser.parse_args()
    rootfs = options.cache / "debian-12.tar"
    make_missing(options.cache)
    registry = Registry(options.registry)
    base = registry.layer("debian", rootfs, options.cache)
    top = registry.small_layer("debian", ("etc/motd", b"Welcome to the tour.\n", 0o644))
    registry.image(
        "debian", [registry.layer("debian", options.cache / "debian-13.tar", options.cache)], "amd64", tag="13"
    )
    amd64 = registry.image("debian", [base, top], "amd64", tag="12")
    registry.image("debian", [base, top], "amd64", tag="stable")
    arm64 = registry.image("debian", [base, top], "arm64")
    note = registry.small_layer("debian", ("attestation.json", b'{"builder": "the tour"}', 0o644))
    attestation = registry.image("debian", [note], "unknown", os="unknown")
    attestation["annotations"] = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": amd64["digest"],
    }
    members = [amd64, arm64, attestation]
    registry.manifest("debian", {"schemaVersion": 2, "mediaType": INDEX, "manifests": members}, "12-all")
    registry.image("scratch/old", [registry.small_layer("scratch/old", ("old", b"old", 0o644))], "amd64", tag="1")
    json.dump({"size": base[0]["size"], "raw": rootfs.stat().st_size}, sys.stdout)


def make_missing(folder: pathlib.Path) -> None:
    """Make the tars that are not there of a shell of this machine."""
    shell = pathlib.Path(shutil.which("busybox") or "/bin/sh").read_bytes()
    for name in ("debian-12", "debian-13", "web"):
        path = folder / f"{name}.tar"
        if not path.exists():
            text = f'PRETTY_NAME="A shell in place of {name}"\n'.encode()
            named = ("etc/web" if name == "web" else "etc/os-release", text, 0o644)
            path.write_bytes(tar_of(("bin/sh", shell, 0o755), named))


def tar_of(*files: tuple[str, bytes, int]) -> bytes:
    """A tar of files (path, content, mode), owned by root, at a fixed time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content, mode in files:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def digest_of(stream: BinaryIO) -> str:
    """The digest of a stream, read in pieces."""
    found = hashlib.sha256()
    while piece := stream.read(PIECE):
        found.update(piece)
    return f"sha256:{found.hexdigest()}"


class Registry:
    """As much of the distribution API as pushing needs."""

    def __init__(self, host: str) -> None:
        self.connection = http.client.HTTPConnection(host, timeout=120)

    def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/octet-stream", size: int = 0
    ) -> Any:
        """Send a request, and return the answer, which must be a success."""
        headers = {"Content-Type": kind, "Content-Length": str(size)}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status >= 400 and method != "HEAD":
            raise SystemExit(f"{method} {path}: HTTP {answer.status} {said!r}")
        return answer

    def blob(self, repository: str, content: BinaryIO, media_type: str) -> dict[str, Any]:
        """Send a blob unless it is there, and return its descriptor."""
        digest = digest_of(content)
        size = content.tell()
        content.seek(0)
        if self.call("HEAD", f"/v2/{repository}/blobs/{digest}").status == 404:
            where = urlsplit(self.call("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"])
            self.call("PUT", f"{where.path}?{where.query}&digest={digest}", content, size=size)
        return {"mediaType": media_type, "digest": digest, "size": size}

    def layer(self, repository: str, tar: pathlib.Path, cache: pathlib.Path) -> tuple[dict[str, Any], str]:
        """Compress a tar, or take what was made of it before, and send it: its descriptor and its diff ID."""
        with tar.open("rb") as plain:
            diff_id = digest_of(plain)
            packed = cache / f"{diff_id[7:]}.tar.gz"
            if not packed.exists():
                plain.seek(0)
                part = packed.with_suffix(".part")
                with part.open("wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as stream:
                    shutil.copyfileobj(plain, stream, PIECE)
                part.rename(packed)
        with packed.open("rb") as content:
            return self.blob(repository, content, LAYER), diff_id

    def small_layer(self, repository: str, *files: tuple[str, bytes, int]) -> tuple[dict[str, Any], str]:
        """Send a layer of a few files: its descriptor and its diff ID."""
        tar = tar_of(*files)
        packed = io.BytesIO(gzip.compress(tar, mtime=0))
        return self.blob(repository, packed, LAYER), digest_of(io.BytesIO(tar))

    def image(
        self,
        repository: str,
        layers: list[tuple[dict[str, Any], str]],
        architecture: str,
        os: str = "linux",
        tag: str = "",
    ) -> dict[str, Any]:
        """Send an image, and return its descriptor with its platform."""
        config = {
            "architecture": architecture,
            "os": os,
            "created": CREATED,
            "config": {"Cmd": ["/bin/sh"], "Env": ["LANG=C.UTF-8"], "Labels": {"org.example.tour": "yes"}},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for dummy, diff_id in layers]},
            "history": [{"created": CREATED, "created_by": "the tour"} for dummy in layers],
        }
        described = self.blob(repository, io.BytesIO(json.dumps(config).encode()), CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described}
        manifest["layers"] = [layer for layer, dummy in layers]
        return {**self.manifest(repository, manifest, tag), "platform": {"os": os, "architecture": architecture}}

    def manifest(self, repository: str, value: dict[str, Any], tag: str = "") -> dict[str, Any]:
        """Send a manifest or an index, and return its descriptor."""
        body = json.dumps(value).encode()
        digest = digest_of(io.BytesIO(body))
        self.call("PUT", f"/v2/{repository}/manifests/{tag or digest}", body, value["mediaType"], len(body))
        return {"mediaType": value["mediaType"], "digest": digest, "size": len(body)}


if __name__ == "__main__":
    main()
