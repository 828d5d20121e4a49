# SPDX-License-Identifier: GPL-3.0-or-later
"""Save a blob in a file (crane blob)."""

from __future__ import annotations

import re
from functools import partial

from .._archives.atomic import check_file, check_writable, digest_of_file, write_file
from .._errors import InvalidInput, RegistryError
from .._oci.manifest import Descriptor
from .._oci.reference import Reference
from .._plan import Cost, Plan, Step
from .._registry.blobs import use_blob
from .._registry.client import Repository
from .._registry.session import Session
from .._registry.transport import Response


def plan_blob(session: Session, *, name: str, path: str) -> Plan:
    """Plan a download, unless the file has the digest already; then the registry is not asked."""
    reference = Reference.parse(name)
    digest = reference.digest
    if not digest:
        text = (
            f"{reference} names no blob: blobs have digests and no tags; write "
            f"{reference.name}@sha256:... (oci_manifest_info lists them)."
        )
        raise InvalidInput(text, "INVALID_REFERENCE")
    target = check_file(path)
    before, size = digest_of_file(target, digest.split(":")[0]) or (None, 0)
    steps = []
    if before != digest:
        check_writable(target)
        repository = session.repository(reference)
        blob = Descriptor("", digest, _size(repository, digest))
        size = blob.size

        def run() -> None:
            use_blob(repository, blob, partial(write_file, target))

        steps.append(Step(f"Write {reference} ({int(size)} bytes) to {path}.", run, Cost(bytes_received=size)))
    result = {"path": path, "size": size, "digest": digest, "previous_digest": before, "reference": str(reference)}
    return Plan(result, before={path: before}, after={path: digest}, steps=tuple(steps))


def _size(repository: Repository, digest: str) -> int:
    """Return a blob's size by HEAD, or by a GET of its start where that does not tell it."""
    what, path = f"The blob {repository.full(digest)}", f"blobs/{digest}"
    response = repository.request("HEAD", path)
    if _length(response) is None:
        response.discard()
        response = repository.request("GET", path, headers={"Range": "bytes=0-0"})
    if response.status not in (200, 206):
        raise repository.refusal(response, what)
    response.discard()
    size = _length(response)
    if size is None:
        text = f"{what}: the registry does not tell its size."
        raise RegistryError(text, "UNKNOWN", repository.registry.host, response.status)
    return size


def _length(response: Response) -> int | None:
    """Return the size of the whole content that an answer is about, or None where it does not tell."""
    part = re.fullmatch(r"bytes 0-0/(\d+)", response.headers.get("Content-Range", ""))
    text = part[1] if part else response.headers.get("Content-Length", "")
    return int(text) if response.status in (200, 206) and text.isdecimal() else None
