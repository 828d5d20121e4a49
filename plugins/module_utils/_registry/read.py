# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading small blobs, such as configs (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

from .._errors import ContentError
from .._oci.digest import digest_of, mismatch
from .._oci.manifest import Descriptor
from .client import Repository

_MAX_BYTES = 32 << 20


def read_blob(repository: Repository, blob: Descriptor) -> bytes:
    """Return a small blob, verified. Raises ContentError, NotFound."""
    return repository.registry.transport.again(lambda: _read(repository, blob))


def _read(repository: Repository, blob: Descriptor) -> bytes:
    what = "The blob %s" % repository.full(blob.digest)
    with repository.named():
        if blob.size > _MAX_BYTES:
            text = "%s is %d bytes long; at most %d are read of its kind." % (what, blob.size, _MAX_BYTES)
            raise ContentError(text, "TOO_LARGE")
        response = repository.request("GET", "blobs/" + blob.digest)
        if response.status != 200:
            raise repository.refusal(response, what)
        raw = response.read(blob.size, what)
        repository.registry.transport.count(bytes_received=len(raw))
        found = digest_of(raw, blob.digest.split(":")[0])
        if found != blob.digest:
            raise mismatch(what, blob.digest, found)
    return raw
