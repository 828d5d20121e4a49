# SPDX-License-Identifier: GPL-3.0-or-later
"""An attestation is not the image for a platform, whatever platform its descriptor or its config names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor, Manifest
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import OCI_INDEX, OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._oci.platform import Platform
from ansible_collections.quayside.registry.plugins.module_utils._oci.walk import find_image

WANTED = Platform("linux", "amd64")


def manifest(number: int) -> Manifest:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{number:064x}", "size": 1}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    return Manifest.parse(json.dumps(value).encode(), None, "It")


@pytest.mark.parametrize("platform", [{"os": "linux", "architecture": "amd64"}, None])
def test_the_image_is_chosen_although_the_attestation_comes_first(platform: Any) -> None:
    image, attestation = manifest(1), manifest(2)
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.digest,
    }
    more = {"platform": platform} if platform else {}
    members = [{**attestation.descriptor.json, "annotations": notes, **more}, {**image.descriptor.json, **more}]
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}).encode()
    known = {each.digest: each for each in (image, attestation)}

    def get(item: Descriptor) -> Manifest:
        return known[item.digest]

    found = find_image(Manifest.parse(raw, None, "It"), WANTED, get, lambda dummy: WANTED, "It")
    assert found.digest == image.digest
