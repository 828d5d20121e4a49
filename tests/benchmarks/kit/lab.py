# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: registries that run only as long as they are needed, and images of random bytes."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import typing as t
import zlib
from pathlib import Path
from urllib.parse import urlsplit

MEBI = 1 << 20

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

SETTINGS = """
version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
http: {{addr: "127.0.0.1:{port}", secret: bench}}
storage:
  filesystem: {{rootdirectory: "{folder}/data"}}
  delete: {{enabled: true}}
"""


class Registry:
    """A docker-registry process on a free port of loopback, with storage of its own; all is gone when it is left."""

    def __enter__(self) -> Registry:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-registry-"))
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        config = self._folder / "config.yml"
        config.write_text(SETTINGS.format(port=port, folder=self._folder), encoding="utf-8")
        with open(self._folder / "log", "wb") as log:
            command = ["docker-registry", "serve", str(config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": path()})
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *dummy: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)

    def _wait(self) -> None:
        for dummy in range(200):
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self.host.rpartition(":")[2]))) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"docker-registry did not start: {(self._folder / 'log').read_text(encoding='utf-8')}")

    def push(self, name: str, tag: str, sizes: t.Sequence[int], seed: int = 0) -> int:
        """Store an image with a layer of each of these sizes, in bytes; return the bytes of the whole image."""
        connection = http.client.HTTPConnection(self.host, timeout=300)
        layers, diff_ids = [], []
        for number, size in enumerate(sizes):
            layer, diff_id = _send(connection, name, RandomLayer(size, seed * 1000 + number), LAYER)
            layers.append(layer)
            diff_ids.append(diff_id)
        image = {"architecture": "amd64", "os": "linux", "config": {}}
        image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        config, dummy = _send(connection, name, [json.dumps(image).encode()], CONFIG)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
        _request(connection, "PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
        connection.close()
        return sum(item["size"] for item in (config, *layers)) + len(manifest)

    def push_tags(self, name: str, count: int) -> None:
        """Store a small image, under so many tags."""
        self.push(name, "0", [1000])
        connection = http.client.HTTPConnection(self.host, timeout=300)
        connection.request("GET", f"/v2/{name}/manifests/0", headers={"Accept": MANIFEST})
        manifest = connection.getresponse().read()
        for number in range(1, count):
            _request(connection, "PUT", f"/v2/{name}/manifests/{number}", manifest, {"Content-Type": MANIFEST})
        connection.close()


class RandomLayer:
    """A tar.gz with one file of random bytes, the same for the same seed, made piece by piece as it is read."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._name = size, f"random-{seed}"
        self._random = random.Random(seed)
        self._plain = hashlib.sha256()

    def _tar(self) -> t.Iterator[bytes]:
        entry = tarfile.TarInfo(self._name)
        entry.size = self._size
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        for start in range(0, self._size, MEBI):
            yield self._random.randbytes(min(MEBI, self._size - start))
        yield bytes(-self._size % 512 + 1024)

    def __iter__(self) -> t.Iterator[bytes]:
        gzip = zlib.compressobj(level=0, wbits=31)  # stored: what is random does not get smaller
        for piece in self._tar():
            self._plain.update(piece)
            yield gzip.compress(piece)
        yield gzip.flush()

    @property
    def diff_id(self) -> str:
        """The digest of the tar, once all of it was read."""
        return f"sha256:{self._plain.hexdigest()}"


def _send(
    connection: http.client.HTTPConnection, name: str, content: t.Iterable[bytes], media_type: str
) -> tuple[dict[str, t.Any], str]:
    """Upload a blob whose size and digest show only at its end; return its descriptor, and its diff ID if a layer."""
    digest, size = hashlib.sha256(), 0

    def counted() -> t.Iterator[bytes]:
        nonlocal size
        for piece in content:
            digest.update(piece)
            size += len(piece)
            if piece:
                yield piece

    begun = _request(connection, "POST", f"/v2/{name}/blobs/uploads/")
    headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    sent = _request(connection, "PATCH", begun, counted(), headers)
    name_of = f"sha256:{digest.hexdigest()}"
    _request(connection, "PUT", f"{sent}{'&' if '?' in sent else '?'}digest={name_of}", b"")
    diff_id = content.diff_id if isinstance(content, RandomLayer) else ""
    return {"mediaType": media_type, "digest": name_of, "size": size}, diff_id


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    body: t.Any = b"",
    headers: t.Mapping[str, str] | None = None,
) -> str:
    """Send a request that has to succeed; return where its answer points, as a path."""
    chunked = "Transfer-Encoding" in (headers or {})
    connection.request(method, url, body, dict(headers or {}), encode_chunked=chunked)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (201, 202):
        raise RuntimeError(f"{method} {url}: HTTP {answer.status} {text.decode(errors='replace')}")
    there = urlsplit(answer.headers.get("Location", ""))
    return f"{there.path}?{there.query}" if there.query else there.path


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def path() -> str:
    """PATH with the folders of system programs, which an ordinary user's may lack."""
    return os.environ["PATH"] + os.pathsep + "/usr/sbin:/sbin"
