# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of manifests and referrers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .content import DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, OCI_INDEX, Manifest, Repository, digest_of, to_json
from .endpoints import Endpoints
from .messages import Answer, Call, Refusal


class Manifests(Endpoints):
    """Manifests by tag and digest, and who refers to them."""

    def find(self, name: str, ref: str) -> tuple[str, Manifest]:
        """(digest, manifest) of a tag or digest, or the error for one that does not exist."""
        repo = self.repo(name)
        digest = ref if ":" in ref else repo.tags.get(ref, "")
        if digest in repo.manifests:
            return digest, repo.manifests[digest]
        ghost = repo.ghosts.get(ref)
        if ghost and ghost[0] > 0:
            ghost[0] -= 1
            return digest_of(ghost[1].body), ghost[1]
        if self.quirks.missing_tag_403 and ":" not in ref:
            raise Refusal(403, "DENIED", f"not allowed to read {name}:{ref}")
        raise self.unknown("MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "reference": ref})

    def manifest_get(self, call: Call, repo: str, ref: str) -> Answer:
        quirks, head = self.quirks, call.method == "HEAD"
        if head and quirks.head_manifest_405:
            raise Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        if head and quirks.head_manifest_404:
            raise self.unknown("MANIFEST_UNKNOWN", "manifest unknown", {"reference": ref})
        limits = self._count_pull(head)
        digest, manifest = self._negotiated(call, repo, ref)
        content_type = manifest.media_type
        if quirks.content_type_json:
            content_type = "application/json"
        if quirks.content_type_with_charset:
            content_type += "; charset=utf-8"
        headers = [("Content-Type", content_type), ("ETag", f'"{digest}"'), *limits]
        if not quirks.no_digest_header and not (head and quirks.no_digest_header_on_head):
            headers.append(
                ("Docker-Content-Digest", digest_of(digest.encode()) if quirks.wrong_digest_header else digest)
            )
        if call.headers.get("if-none-match", "").strip('"') == digest:
            return Answer(304, headers)
        return Answer(200, headers, manifest.body)

    def _count_pull(self, head: bool) -> list[tuple[str, str]]:
        quota = self.quirks.pull_quota
        self.pulls += 0 if head else 1
        limit = quota or 100
        headers = [
            ("RateLimit-Limit", f"{limit};w=21600"),
            ("RateLimit-Remaining", f"{max(limit - self.pulls, 0)};w=21600"),
        ]
        if quota and not head and self.pulls > quota:
            message = "You have reached your pull rate limit."
            raise Refusal(429, "TOOMANYREQUESTS", message, headers=[*headers, ("Retry-After", "1")])
        return headers if self.quirks.rate_limit_headers else []

    def _negotiated(self, call: Call, repo: str, ref: str) -> tuple[str, Manifest]:
        """What Accept allows. Without Accept anything goes, except in the two modes that real registries have."""
        digest, manifest = self.find(repo, ref)
        accepted = [part.split(";")[0].strip() for part in call.headers.get("accept", "").split(",")]
        exact = self.quirks.accept_strict or self.quirks.accept_ignored_rewrites
        if manifest.media_type in accepted or (not exact and {"", "*/*", "application/*"} & set(accepted)):
            return digest, manifest
        if self.quirks.accept_ignored_rewrites:
            if manifest.media_type == DOCKER_LIST:
                children = json.loads(manifest.body)["manifests"]
                amd64 = [c for c in children if c.get("platform", {}).get("architecture") == "amd64"]
                return self._negotiated(call, repo, (amd64 or children)[0]["digest"])
            if manifest.media_type == DOCKER_MANIFEST:
                body = _schema1(repo, ref, json.loads(manifest.body))
                return digest_of(body), Manifest(DOCKER_SCHEMA1, body)
        raise self.unknown(
            "MANIFEST_UNKNOWN", f"the Accept header does not allow {manifest.media_type}", {"reference": ref}
        )

    def manifest_put(self, call: Call, repo: str, ref: str) -> Answer:
        quirks = self.quirks
        if 0 < quirks.manifest_max_bytes < len(call.body):
            raise Refusal(413, "MANIFEST_INVALID", "the manifest is too large")
        algorithm = ref.split(":")[0] if ":" in ref else "sha256"
        digest = digest_of(call.body, algorithm)
        if ":" in ref and ref != digest:
            raise Refusal(400, "DIGEST_INVALID", "the digest does not match the manifest", {"digest": ref})
        content_type = call.headers.get("content-type", "")
        manifest = self._checked_manifest(self.made(repo), content_type, call.body)
        tags = ([] if ":" in ref else [ref]) + (call.all("tag") if quirks.put_digest_tags else [])
        self._check_tags(repo, tags, digest)
        found = self.made(repo)
        found.manifests[digest] = Manifest(content_type, call.body)
        found.tags.update(dict.fromkeys(tags, digest))
        for name in (digest, *tags):
            found.ghosts.pop(name, None)
        headers = [("Location", f"{self.registry.url}/v2/{repo}/manifests/{digest}"), ("Docker-Content-Digest", digest)]
        headers += [("OCI-Tag", tag) for tag in call.all("tag") if quirks.put_digest_tags]
        if "subject" in manifest and not quirks.no_referrers_api:
            headers.append(("OCI-Subject", manifest["subject"]["digest"]))
        return Answer(201, headers)

    def _checked_manifest(self, repo: Repository, content_type: str, body: bytes) -> dict[str, Any]:
        try:
            manifest = json.loads(body)
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            raise Refusal(400, "MANIFEST_INVALID", "the manifest is not a JSON object")
        if not content_type or manifest.get("mediaType", content_type) != content_type:
            raise Refusal(400, "MANIFEST_INVALID", f"Content-Type {content_type!r} is not the manifest's mediaType")
        types = {content_type, manifest.get("config", {}).get("mediaType")}
        if types & set(self.quirks.refused_types):
            raise Refusal(self.quirks.refused_types_status, "MANIFEST_INVALID", "media type not supported")
        if "subject" in manifest and self.quirks.subject_status:
            raise Refusal(self.quirks.subject_status, "UNSUPPORTED", "subject is not supported")
        blobs = [*manifest.get("layers", []), *([manifest["config"]] if "config" in manifest else [])]
        sizes = {digest: len(data) for digest, data in repo.blobs.items()}
        children = {**sizes, **{digest: len(child.body) for digest, child in repo.manifests.items()}}
        members = [
            d for d in manifest.get("manifests", []) if d["digest"] in children or not self.quirks.takes_sparse_indexes
        ]
        wanted = [(d, sizes) for d in blobs if not d.get("urls")] + [(d, children) for d in members]
        missing = [{"digest": d["digest"]} for d, have in wanted if d["digest"] not in have]
        if missing:
            raise Refusal(
                self.quirks.blob_unknown_status, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", *missing
            )
        wrong = [{"digest": d["digest"]} for d, have in wanted if d.get("size") != have[d["digest"]]]
        if wrong:
            raise Refusal(400, "SIZE_INVALID", "the size in a descriptor is wrong", *wrong)
        return manifest

    def _check_tags(self, repo: str, tags: Sequence[str], digest: str) -> None:
        kind, found = self.quirks.immutable_tags, self.made(repo)
        for tag in tags if kind else ():
            if kind == "ecr" and tag in found.tags:
                message = f"The image tag '{tag}' already exists in the '{repo}' repository and cannot be overwritten"
                raise Refusal(400, "ImageTagAlreadyExistsException", message)
            if found.tags.get(tag, digest) != digest:
                raise Refusal(int(kind), "DENIED", f"the tag {tag} is immutable")

    def manifest_delete(self, call: Call, repo: str, ref: str) -> Answer:
        quirks = self.quirks
        if ":" not in ref and quirks.tag_delete_400:
            raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if ":" not in ref and quirks.tag_delete_405:
            raise Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        digest, manifest = self.find(repo, ref)
        found = self.repos[repo]
        tags = [tag for tag, target in found.tags.items() if target == digest]
        whole = ":" in ref or quirks.tag_delete_removes_manifest
        whole = whole or (quirks.last_tag_delete_removes_manifest and len(tags) == 1)
        if whole and quirks.digest_delete_dangling:
            self._refuse_dangling(found, digest, tags)
        gone = tags if whole else [ref]
        if whole:
            found.manifests.pop(digest, None)
            gone = [*tags, digest]
        for name in gone:
            found.tags.pop(name, None)
            found.ghosts[name] = [quirks.delete_lag, manifest]
        return Answer(202)

    def _refuse_dangling(self, repo: Repository, digest: str, tags: Sequence[str]) -> None:
        if tags:
            message = f"Manifest is still referenced by tag: {tags[0]}"
            raise Refusal(400, "GOOGLE_MANIFEST_DANGLING_TAG", message)
        for parent, manifest in repo.manifests.items():
            if any(child["digest"] == digest for child in json.loads(manifest.body).get("manifests", [])):
                message = f"Manifest is still referenced by image: {parent}"
                raise Refusal(400, "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE", message)

    def referrers_get(self, call: Call, repo: str, ref: str) -> Answer:
        quirks = self.quirks
        if quirks.no_referrers_api:
            raise Refusal(quirks.referrers_status, "", "404 page not found")
        if quirks.referrers_wrong_type:
            return Answer(200, [("Content-Type", "text/html")], b"<html>welcome</html>")
        found = self.repos.get(repo, Repository())
        entries = [
            _referrer(digest, manifest)
            for digest, manifest in sorted(found.manifests.items())
            if json.loads(manifest.body).get("subject", {}).get("digest") == ref
        ]
        headers = [("Content-Type", OCI_INDEX)]
        wanted = call.get("artifactType")
        if wanted and not quirks.referrers_filter_ignored:
            entries = [entry for entry in entries if entry.get("artifactType") == wanted]
            headers.append(("OCI-Filters-Applied", "artifactType"))
        entries, links = self.page(call, entries, key="page")
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return Answer(200, [*headers, *links], to_json(index))


def _schema1(repo: str, tag: str, manifest: Mapping[str, Any]) -> bytes:
    layers = [{"blobSum": layer["digest"]} for layer in reversed(manifest["layers"])]
    history = [{"v1Compatibility": json.dumps({"id": layer["blobSum"][7:]})} for layer in layers]
    return to_json(
        {"schemaVersion": 1, "name": repo, "tag": tag, "fsLayers": layers, "history": history, "signatures": []}
    )


def _referrer(digest: str, manifest: Manifest) -> dict[str, Any]:
    content = json.loads(manifest.body)
    entry = {"mediaType": manifest.media_type, "digest": digest, "size": len(manifest.body)}
    kind = content.get("artifactType") or content.get("config", {}).get("mediaType")
    optional = {"artifactType": kind, "annotations": content.get("annotations")}
    return {**entry, **{name: value for name, value in optional.items() if value}}
