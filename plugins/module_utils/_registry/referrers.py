# SPDX-License-Identifier: GPL-3.0-or-later
"""Referrers: signatures, attestations and SBOMs of a digest (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

import typing as t
from functools import partial

from .._errors import ContentError, Denied, NotFound
from .._oci.image import artifact_type, build
from .._oci.manifest import Descriptor, Json, Manifest, invalid
from .._oci.mediatype import OCI_EMPTY, OCI_INDEX, strip_parameters
from .._oci.parts import checked, members
from .._oci.walk import MAX_DEPTH
from .client import MAX_MANIFEST, Repository
from .pages import check_end, next_page
from .tags import list_tags
from .transport import Response

COSIGN_SUFFIXES = (".sig", ".att", ".sbom")
_MAX_PAGES = 100  # of the referrers of one digest


def digest_tag(digest: str) -> str:
    """Return the tag that stands in for the referrers API (distribution-spec, "Referrers Tag Schema")."""
    algorithm, encoded = digest.split(":", 1)
    return f"{algorithm[:32]}-{encoded[:64]}"


def referrers_by_api(repository: Repository, digest: str) -> list[Descriptor] | None:
    """Return the referrers that the registry lists, or None where it has no referrers API."""
    what = f"The list of referrers of {repository}@{digest}"
    url, found = f"referrers/{digest}", t.cast("dict[str, Descriptor]", {})
    visited: set[str] = set()
    while url not in visited:
        visited.add(url)
        check_end(repository, len(visited), _MAX_PAGES, what)
        index, response = repository.registry.transport.again(partial(_page, repository, url, what))
        if not index and len(visited) == 1 and response.status in (200, 400, 404, 405, 406, 501):
            response.discard()
            return None
        if not index:
            raise repository.refusal(response, what)
        found.update({member.digest: member for member in members(index)})
        url = next_page(repository, response) or url
    return list(found.values())


def _page(repository: Repository, url: str, what: str) -> tuple[Manifest | None, Response]:
    """Read one page; None where this is none."""
    response = repository.request("GET", url, headers={"Accept": OCI_INDEX})
    if response.status != 200 or strip_parameters(response.headers.get("Content-Type")) != OCI_INDEX:
        return None, response
    with repository.named():
        index = checked(Manifest.parse(response.read(MAX_MANIFEST, what), OCI_INDEX, what), what)
        if "manifests" not in index.json:
            raise invalid(what, "is an index without manifests")
    repository.registry.transport.count(bytes_received=len(index.raw))
    return index, response


def endless(repository: Repository, digest: str) -> ContentError:
    """Return the error for what refers to what refers to something, and so on, without an end."""
    text = f"{repository.full(digest)} refers to what refers to something, and so on, {MAX_DEPTH} deep"
    return ContentError(f"{text}; no more is followed.", "TOO_MANY", repository.registry.host)


def get_tagged(repository: Repository, tag: str) -> Manifest | None:
    """Return what is under a digest tag, which may well be absent; None where it is. Raises Denied, ContentError."""
    try:
        return repository.get(tag)
    except NotFound:
        return None
    except Denied:  # so says Artifactory of a tag that is not there
        if tag in list_tags(repository):
            raise
        return None


def why_no_list(manifest: Manifest, digest: str) -> str:
    """Say why what is at the tag of a digest is no list of its referrers; nothing where it is one."""
    if manifest.digest == digest:
        return "the image itself, as GitLab answers"
    if manifest.media_type != OCI_INDEX:
        return f"a manifest of the type {manifest.media_type}"
    if "manifests" not in manifest.json:
        return "an index without manifests"
    if any(member.json.get("platform") for member in members(manifest)):
        return "an index of images for platforms"
    return ""


def referrers_by_tag(repository: Repository, digest: str) -> Manifest | None:
    """Return the index under the digest's tag that lists its referrers, or None where the tag is absent.

    Raises ContentError (NOT_A_REFERRERS_LIST) where something else has that tag, which must not be overwritten.
    """
    tag = digest_tag(digest)
    found = get_tagged(repository, tag)
    if found is None:
        return None
    why = why_no_list(found, digest)
    if why:
        text = f"{repository.full(tag)} should be the list of what refers to {digest}, but is {why}; it was left alone."
        raise ContentError(text, "NOT_A_REFERRERS_LIST", repository.registry.host)
    return found


def referrers(repository: Repository, digest: str) -> list[Descriptor]:
    """Return the referrers of a digest, from the API or from the tag that stands in for it.

    Where something else has that tag, there are none, and a warning. Raises Denied, RegistryError, ContentError.
    """
    listed = referrers_by_api(repository, digest)
    if listed is not None:
        return listed
    try:
        index = referrers_by_tag(repository, digest)
    except ContentError as exc:
        if exc.code != "NOT_A_REFERRERS_LIST":
            raise
        repository.registry.transport.warn(str(exc))
        return []
    return members(index) if index else []


def listed_type(item: Descriptor) -> str | None:
    """Return the artifact type that a list of referrers gives one of them, None where it gives none.

    The type of an empty config is none: go-containerregistry, and so cosign, writes into the list under a digest's tag
    what type the config is of, whatever the manifest says.
    """
    kind = item.json.get("artifactType")
    return kind if isinstance(kind, str) and kind not in ("", OCI_EMPTY) else None


def _entry(manifest: Manifest) -> Json:
    """Return the entry for a manifest in a list of referrers: its descriptor, artifact type and annotations."""
    more = {"artifactType": artifact_type(manifest), "annotations": manifest.json.get("annotations")}
    return {**manifest.descriptor.json, **{key: value for key, value in more.items() if value}}


def merged_index(index: Manifest | None, manifests: t.Iterable[Manifest]) -> Manifest:
    """Return the index of a digest's tag with these referrers in it; the same bytes when they were in it before."""
    listed = members(index) if index else []
    have = {item.digest for item in listed}
    fresh = [_entry(manifest) for manifest in manifests if manifest.digest not in have]
    if index and not fresh:
        return index
    base = index.json if index else {"schemaVersion": 2, "mediaType": OCI_INDEX}
    ordered = sorted([item.json for item in listed] + fresh, key=lambda entry: str(entry["digest"]))
    return build({**base, "manifests": ordered}, OCI_INDEX)
