# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints that take blobs in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .content import Repository, Upload, digest_of
from .endpoints import DIGEST, Endpoints
from .messages import Answer, Call, Refusal


class Uploads(Endpoints):
    """Blobs on their way in: mounts, single requests, chunks."""

    def uploads_post(self, call: Call, repo: str, ref: str) -> Answer:
        quirks = self.quirks
        if call.get("mount"):
            if quirks.mount_status:
                raise Refusal(quirks.mount_status, "UNSUPPORTED", "mount is not supported")
            if quirks.mount_needs_from and not call.get("from"):
                raise Refusal(400, "BLOB_UPLOAD_INVALID", "mount without from")
            unlikely = quirks.mount_202 or (quirks.no_automatic_mount and not call.get("from"))
            if not unlikely and self._mounted(call, repo):
                return self._stored(repo, call.get("mount"), 201)
        if call.get("digest") and not quirks.single_post_202:
            self._store(repo, call.get("digest"), call.body)
            return self._stored(repo, call.get("digest"), 201)
        self._uploads += 1
        upload = Upload(f"upload-{self._uploads}")
        self.made(repo).uploads[upload.identity] = upload
        extra = [("OCI-Chunk-Min-Length", str(quirks.chunk_min_length))] if quirks.chunk_min_length else []
        return self._progress(repo, upload, 202, extra)

    def _mounted(self, call: Call, repo: str) -> bool:
        """Without `from` any repository may be the source (the specification's content discovery)."""
        digest, source = call.get("mount"), call.get("from")
        for found in [self.repos.get(source, Repository())] if source else list(self.repos.values()):
            if digest in found.blobs:
                self.made(repo).blobs[digest] = found.blobs[digest]
                return True
        return False

    def _progress(self, repo: str, upload: Upload, status: int, extra: Iterable[tuple[str, str]] = ()) -> Answer:
        location = f"/v2/{repo}/blobs/uploads/{upload.identity}"
        if self.quirks.upload_location_query:
            location += f"?_state={upload.state}"
        style = self.quirks.upload_location
        headers = [] if style == "missing" else [("Location", self.base(style) + location)]
        headers += [("Range", f"0-{max(len(upload.data) - 1, 0)}"), ("Docker-Upload-UUID", upload.identity)]
        return Answer(status, [*headers, *extra])

    def _upload(self, call: Call, repo: str, ref: str) -> Upload:
        upload = self.repo(repo).uploads.get(ref)
        if upload is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.quirks.upload_location_query and f"_state={upload.state}" not in call.query.split("&"):
            raise Refusal(400, "BLOB_UPLOAD_INVALID", "the _state is not that of the last Location")
        return upload

    def upload_get(self, call: Call, repo: str, ref: str) -> Answer:
        return self._progress(repo, self._upload(call, repo, ref), 204)

    def upload_delete(self, call: Call, repo: str, ref: str) -> Answer:
        del self.repos[repo].uploads[self._upload(call, repo, ref).identity]
        return Answer(204)

    def upload_patch(self, call: Call, repo: str, ref: str) -> Answer:
        quirks = self.quirks
        if quirks.put_only:
            raise Refusal(405, "UNSUPPORTED", "PATCH is not supported")
        upload = self._upload(call, repo, ref)
        if call.headers.get("content-type", "application/octet-stream") != "application/octet-stream":
            raise Refusal(400, "BLOB_UPLOAD_INVALID", "Content-Type must be application/octet-stream")
        self._check_chunk(call, repo, upload)
        if quirks.drops_later_chunks and upload.data:
            return self._progress(repo, upload, 201)
        upload.data += call.body
        upload.step += 1
        if quirks.patch_201_finishes:
            digest = digest_of(bytes(upload.data))
            self._store(repo, digest, bytes(upload.data))
            del self.repos[repo].uploads[ref]
            return self._stored(repo, digest, 201)
        return self._progress(repo, upload, 201 if quirks.drops_later_chunks else quirks.patch_status)

    def _check_chunk(self, call: Call, repo: str, upload: Upload) -> None:
        """Chunks come in order and say so: Content-Range: <first>-<last>, without a unit."""
        said = call.headers.get("content-range")
        if said is None:
            return
        if self.quirks.chunks_refused:
            raise Refusal(400, "UNSUPPORTED", "chunked uploads are not supported")
        match = re.fullmatch(r"(\d+)-(\d+)", said)
        if not match:
            raise Refusal(400, "BLOB_UPLOAD_INVALID", f"Content-Range {said!r} is not <first>-<last>")
        first, last = (int(number) for number in match.groups())
        problem = ""
        if first != len(upload.data) or last - first + 1 != len(call.body):
            problem = f"Content-Range {said} with {len(call.body)} bytes does not follow {len(upload.data)} bytes"
        elif 0 < self.quirks.chunk_max_length < len(call.body):
            problem = "body too large"
        elif upload.closed:
            problem = f"a chunk before the last was shorter than {self.quirks.chunk_min_length} bytes"
        if problem:
            where = self._progress(repo, upload, 416).headers
            raise Refusal(416, "BLOB_UPLOAD_INVALID", problem, headers=where)
        upload.closed = len(call.body) < self.quirks.chunk_min_length

    def upload_put(self, call: Call, repo: str, ref: str) -> Answer:
        upload = self._upload(call, repo, ref)
        if self.quirks.patch_only and call.body and not upload.data:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if call.body:
            self._check_chunk(call, repo, upload)
        del self.repos[repo].uploads[ref]
        self._store(repo, call.get("digest"), bytes(upload.data) + call.body)
        return self._stored(repo, call.get("digest"), self.quirks.put_blob_status)

    def _store(self, repo: str, digest: str, data: bytes) -> None:
        if not re.fullmatch(DIGEST, digest) or digest_of(data, digest.split(":")[0]) != digest:
            raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {"digest": digest})
        self.made(repo).blobs[digest] = data

    def _stored(self, repo: str, digest: str, status: int) -> Answer:
        location = f"{self.registry.url}/v2/{repo}/blobs/{digest}"
        return Answer(status, [("Location", location), ("Docker-Content-Digest", digest)])
