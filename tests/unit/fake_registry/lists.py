# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints that list: the ping, the catalog, tags."""

from __future__ import annotations

from typing import Any

from .content import to_json
from .endpoints import Endpoints
from .messages import Answer, Call, Refusal


class Lists(Endpoints):
    """The ping, the catalog and the tags."""

    def ping_get(self, call: Call, repo: str, ref: str) -> Answer:
        return Answer(200, [("Content-Type", "application/json")], b"{}")

    def catalog_get(self, call: Call, repo: str, ref: str) -> Answer:
        if self.quirks.catalog_status == 401:
            raise self.registry.gate.unauthorized({"registry:catalog": {"*"}}, "insufficient_scope")
        if self.quirks.catalog_status:
            raise Refusal(self.quirks.catalog_status, "UNSUPPORTED", "the catalog is not offered")
        names, headers = self.page(call, sorted(self.repos))
        names = [*names, *self.quirks.listed_too]
        return Answer(200, [*headers, ("Content-Type", "application/json")], to_json({"repositories": names}))

    def tags_get(self, call: Call, repo: str, ref: str) -> Answer:
        quirks, found = self.quirks, self.repo(repo)
        tags, headers = sorted(found.tags), list[tuple[str, str]]()
        if not tags and quirks.tags_missing_404:
            raise self.unknown("NAME_UNKNOWN", "repository name not known to registry", {"name": repo})
        if not quirks.tags_unpaginated:
            tags, headers = self.page(call, tags)
        body: dict[str, Any] = {"name": repo, "tags": tags or (None if quirks.tags_null else [])}
        if quirks.tags_unsorted and tags:
            body["tags"] = tags[::-1] + tags[:1]
        if quirks.listed_too:
            body["tags"] = [*tags, *quirks.listed_too]
        if quirks.extra_json_in_tags:
            names = {digest: [tag for tag in tags if found.tags[tag] == digest] for digest in found.manifests}
            body["child"] = []
            body["manifest"] = {
                digest: {
                    "mediaType": manifest.media_type,
                    "tag": names[digest],
                    "imageSizeBytes": str(len(manifest.body)),
                }
                for digest, manifest in found.manifests.items()
            }
        return Answer(200, [*headers, ("Content-Type", "application/json")], to_json(body))
