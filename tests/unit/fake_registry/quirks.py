# SPDX-License-Identifier: GPL-3.0-or-later
"""What real registries do differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Quirks:
    """What a registry does differently; everything is off by default. A `*_status` of 0 is off too."""

    # manifests: reading
    no_digest_header_on_head: bool = False
    no_digest_header: bool = False
    wrong_digest_header: bool = False
    head_manifest_405: bool = False
    head_manifest_404: bool = False
    accept_strict: bool = False  # 404 unless Accept names the very type (no Accept and */* do not)
    accept_ignored_rewrites: bool = False  # distribution 2.8: Docker v2 -> schema1, list -> amd64 child, OCI -> 404
    content_type_with_charset: bool = False
    content_type_json: bool = False
    reencodes_gzip: bool = False  # a proxy that compresses for whoever says Accept-Encoding: gzip
    missing_tag_403: bool = False  # Artifactory
    repo_missing_401: bool = False  # Docker Hub
    not_found_code: str = ""  # says this instead of NAME_UNKNOWN, MANIFEST_UNKNOWN, BLOB_UNKNOWN
    rate_limit_headers: bool = False
    pull_quota: int = 0  # manifest GETs before 429
    # manifests: writing
    manifest_max_bytes: int = 0  # 413
    immutable_tags: str = ""  # "400", "403", "409", "412", or "ecr" (which refuses the identical manifest too)
    blob_unknown_status: int = 404
    takes_sparse_indexes: bool = False  # members need not be there
    refused_types: tuple[str, ...] = ()  # media types of manifests or configs
    refused_types_status: int = 415
    subject_status: int = 0
    put_digest_tags: bool = False  # PUT manifests/<digest>?tag=a&tag=b answers OCI-Tag
    push_status: int = 0  # every write is refused (proxy cache, read-only)
    repo_must_exist: bool = False  # ECR
    # deleting
    tag_delete_400: bool = False  # distribution 2.8, DIGEST_INVALID
    tag_delete_405: bool = False
    tag_delete_removes_manifest: bool = False  # Harbor
    last_tag_delete_removes_manifest: bool = False  # ECR
    delete_405: bool = False
    digest_delete_dangling: bool = False  # GCR: 400 while a tag or an index points at it
    delete_lag: int = 0  # reads that still see what was deleted
    # referrers
    no_referrers_api: bool = False
    referrers_status: int = 404  # what no_referrers_api answers
    referrers_wrong_type: bool = False
    referrers_filter_ignored: bool = False
    # blobs: reading
    head_blob_status: int = 0
    blob_redirect: bool = False  # 307 to registry.storage
    blob_head_redirect: bool = False
    storage_url_single_use: bool = False
    storage_head_403: bool = False  # a URL signed for GET
    range_ignored: bool = False  # 200 and everything
    range_unsupported: bool = False  # 416 always
    range_wrong: bool = False  # 206 from another offset
    # blobs: writing
    mount_202: bool = False
    mount_status: int = 0
    mount_needs_from: bool = False  # older Quay: 400 without it
    no_automatic_mount: bool = False  # distribution: 202 without `from`
    single_post_202: bool = False  # ignores the body, as distribution
    patch_status: int = 202
    patch_201_finishes: bool = False  # ECR; the closing PUT finds no upload
    drops_later_chunks: bool = False  # ECR: 201, Range stands still
    put_blob_status: int = 201
    put_only: bool = False  # PATCH 405
    patch_only: bool = False  # older Artifactory: PUT with a body 404
    upload_location: str = "absolute"  # "relative", "other_host", "http" (also with TLS), "missing"
    upload_location_query: bool = False  # ?_state=..., which every request uses up
    chunks_refused: bool = False  # GAR: a PATCH with Content-Range 400
    chunk_min_length: int = 0
    chunk_max_length: int = 0
    body_max_bytes: int = 0  # 413 for one request's body
    refuse_transfer_chunked: bool = False  # 411
    partial_uploads_kept: bool = False  # what came before the connection broke counts
    refuse_before_body: bool = False  # 401 while the body still comes, then the connection is closed
    # lists
    page_limit: int = 0
    page_max: int = 0  # n above: 400 PAGINATION_NUMBER_INVALID
    link: str = "relative"  # "absolute", "none", "loop", "other_host"
    tags_unpaginated: bool = False  # distribution 2.8 ignores n and last
    tags_null: bool = False
    tags_missing_404: bool = False
    tags_unsorted: bool = False  # and one of them twice
    extra_json_in_tags: bool = False  # GCR
    catalog_status: int = 0
    listed_too: tuple[str | None, ...] = ()  # names in lists that are of nothing that is there, or none at all
    # everything
    error_body: str = "spec"  # "html", "text", "message", "details", "empty"
    warning_header: str = ""
    cookies_set: bool = False  # and who sends one back is refused

    _WORDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "upload_location": ("absolute", "relative", "other_host", "http", "missing"),
        "link": ("relative", "absolute", "none", "loop", "other_host"),
        "error_body": ("spec", "html", "text", "message", "details", "empty"),
        "immutable_tags": ("", "400", "403", "409", "412", "ecr"),
    }

    def __post_init__(self) -> None:
        for name, words in self._WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {words}")
