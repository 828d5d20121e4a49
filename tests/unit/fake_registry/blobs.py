# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints that read and delete blobs."""

from __future__ import annotations

import re

from .endpoints import DIGEST, Endpoints
from .messages import Answer, Call, Refusal


class Blobs(Endpoints):
    """Blobs, at the registry and at the storage server that it may redirect to."""

    def blob(self, repo: str, digest: str) -> bytes:
        if not re.fullmatch(DIGEST, digest):
            raise Refusal(400, "DIGEST_INVALID", "invalid digest", {"digest": digest})
        blobs = self.repo(repo).blobs
        if digest not in blobs:
            raise self.unknown("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        return blobs[digest]

    def blob_get(self, call: Call, repo: str, ref: str) -> Answer:
        quirks, head = self.quirks, call.method == "HEAD"
        if head and quirks.head_blob_status:
            raise Refusal(quirks.head_blob_status, "UNSUPPORTED", "no HEAD for blobs")
        data = self.blob(repo, ref)
        if quirks.blob_head_redirect if head else quirks.blob_redirect:
            self._uploads += 1
            path = f"/storage/{repo}/{ref}?X-Signature=a%2Bb%2F{self._uploads}"
            return Answer(307, [("Location", self.base("other_host") + path)])
        return self._ranged(call, data, ref)

    def signed_get(self, call: Call, repo: str, ref: str) -> Answer:
        """What a signed URL of the storage server leads to."""
        quirks = self.quirks
        used = call.query in self._signatures and quirks.storage_url_single_use
        if (
            not call.query.startswith("X-Signature=a%2Bb%2F")
            or used
            or (quirks.storage_head_403 and call.method == "HEAD")
        ):
            raise Refusal(403, "AccessDenied", "Request has expired, or the signature does not match")
        self._signatures.add(call.query)
        return self._ranged(call, self.blob(repo, ref), ref)

    def _ranged(self, call: Call, data: bytes, digest: str) -> Answer:
        quirks, size = self.quirks, len(data)
        headers = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", f'"{digest}"')]
        if not quirks.no_digest_header:
            headers.append(("Docker-Content-Digest", digest))
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
        if not match or quirks.range_ignored or match.group(0) == "bytes=-":
            return Answer(200, headers, data)
        first, last = match.groups()
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last), size - 1) if first and last else size - 1
        if quirks.range_unsupported or start > end:
            raise Refusal(416, "RANGE_INVALID", "invalid range", headers=[("Content-Range", f"bytes */{size}")])
        if quirks.range_wrong:
            start = 0
        return Answer(206, [*headers, ("Content-Range", f"bytes {start}-{end}/{size}")], data[start : end + 1])

    def blob_delete(self, call: Call, repo: str, ref: str) -> Answer:
        self.blob(repo, ref)
        del self.repos[repo].blobs[ref]
        return Answer(202)
