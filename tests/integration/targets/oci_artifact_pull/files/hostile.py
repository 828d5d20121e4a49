# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Store an artifact with any title: `python hostile.py HOST:PORT TITLE`; its tag is the title's SHA-256."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request


def send(method: str, url: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers.get("Location", "")


def put_blob(base: str, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    location = send("POST", f"{base}/blobs/uploads/")
    send("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", data)
    return {"digest": digest, "size": len(data)}


def main(host: str, title: str) -> None:
    base, kind = f"http://{host}/v2/test/hostile", "application/vnd.oci.image.manifest.v1+json"
    layer = {"mediaType": "text/plain", **put_blob(base, b"evil")}
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "artifactType": "application/vnd.example.files",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **put_blob(base, b"{}")},
        "layers": [{**layer, "annotations": {"org.opencontainers.image.title": title}}],
    }
    send("PUT", f"{base}/manifests/{hashlib.sha256(title.encode()).hexdigest()}", json.dumps(manifest).encode(), kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
