# SPDX-License-Identifier: GPL-3.0-or-later
"""Quirks and logins of the registries that people use, as their public behaviour is known.

`FakeRegistry(*PROFILES["harbor"])` is one of them, with USER and PASSWORD as its login.

A profile is a summary for tests, not a claim about today's service.
"""

from __future__ import annotations

from .auth import Auth
from .quirks import Quirks

USER, PASSWORD = "robot$team+ci", "s3cret:with/colon"
_USERS = {USER: PASSWORD}

PROFILES: dict[str, tuple[Quirks, Auth]] = {
    "docker_hub": (
        Quirks(
            repo_missing_401=True,
            catalog_status=401,
            delete_405=True,
            no_referrers_api=True,
            rate_limit_headers=True,
            blob_redirect=True,
            single_post_202=True,
            upload_location_query=True,
        ),
        Auth(
            users=_USERS,
            anonymous_pull=True,
            realm="other_host",
            service="registry.docker.io",
            token_field="both",
            issued_at="2024-01-01T00:00:00Z",
            gives_anonymous_token_for_bad_credentials=True,
        ),
    ),
    "ecr": (
        Quirks(
            repo_must_exist=True,
            immutable_tags="ecr",
            page_max=1000,
            page_limit=100,
            link="absolute",
            mount_202=True,
            patch_status=201,
            blob_redirect=True,
            last_tag_delete_removes_manifest=True,
            catalog_status=405,
        ),
        Auth(mode="basic", users={"AWS": PASSWORD, **_USERS}),
    ),
    "ghcr": (
        Quirks(
            catalog_status=405,
            delete_405=True,
            no_referrers_api=True,
            chunk_max_length=4 << 20,
            upload_location="relative",
            blob_redirect=True,
        ),
        Auth(users=_USERS, anonymous_pull=True, service="ghcr.io", denied_status=403),
    ),
    "quay": (
        Quirks(page_limit=50, mount_needs_from=True, blob_redirect=True, blob_unknown_status=400),
        Auth(users=_USERS, anonymous_pull=True, service="quay.io", scope_named=False),
    ),
    "harbor": (
        Quirks(
            not_found_code="NOT_FOUND",
            tag_delete_removes_manifest=True,
            cookies_set=True,
            immutable_tags="412",
            mount_status=401,
            blob_unknown_status=400,
            upload_location_query=True,
        ),
        Auth(users=_USERS, service="harbor-registry", challenges=("Bearer", "Basic")),
    ),
    "artifactory": (
        Quirks(
            missing_tag_403=True,
            no_digest_header_on_head=True,
            mount_status=403,
            patch_only=True,
            link="other_host",
            page_limit=100,
            no_referrers_api=True,
        ),
        Auth(users=_USERS, challenges=("Basic", "Bearer"), challenges_joined=True, token_field="both"),
    ),
    "gar": (
        Quirks(
            digest_delete_dangling=True,
            extra_json_in_tags=True,
            chunks_refused=True,
            blob_redirect=True,
            blob_head_redirect=True,
            upload_location_query=True,
        ),
        Auth(users={"oauth2accesstoken": PASSWORD, **_USERS}, service="", oauth2_status=404),
    ),
    "distribution_2_8": (
        Quirks(
            tag_delete_400=True,
            tags_unpaginated=True,
            tags_null=True,
            page_max=1000,
            page_limit=100,
            accept_ignored_rewrites=True,
            no_referrers_api=True,
            single_post_202=True,
            no_automatic_mount=True,
            blob_unknown_status=400,
            upload_location_query=True,
            partial_uploads_kept=True,
        ),
        Auth(mode="basic", users=_USERS),
    ),
    "zot": (Quirks(upload_location="relative"), Auth(mode="basic", users=_USERS, anonymous_pull=True)),
}
