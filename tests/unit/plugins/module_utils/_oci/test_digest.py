# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests and media types."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._oci import mediatype
from ansible_collections.quayside.registry.plugins.module_utils._oci.digest import (
    digest_of,
    digest_problem,
    hasher,
    mismatch,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import is_foreign

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("text", [EMPTY, "sha256:" + "0" * 64, "sha512:" + "f" * 128])
def test_good_digests(text):
    assert digest_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((text, "is not a string") for text in (None, 7, b"sha256:" + b"0" * 64)),
        *((text, "names no algorithm") for text in ("", "0" * 64)),
        (":" + "0" * 64, "uses the algorithm of no name; supported are sha256 and sha512"),
        ("SHA256:" + "0" * 64, "uses the algorithm SHA256; supported are sha256 and sha512"),
        ("md5:" + "0" * 32, "uses the algorithm md5; supported are sha256 and sha512"),
        ("sha256+b64u:" + "0" * 43, "uses the algorithm sha256+b64u"),
        ("sha256:", "has 0 characters behind sha256:, and should have 64"),
        ("sha256:" + "0" * 64 + "\n", "has 65 characters"),
        ("sha256:" + "0" * 64 + "/..", "has 67 characters"),
        ("sha256:" + "0" * 63, "has 63 characters"),
        ("sha256:" + "0" * 128, "has 128 characters"),
        ("sha512:" + "0" * 64, "has 64 characters behind sha512:, and should have 128"),
        ("sha256:" + "F" * 64, "has characters in it that are not lower-case hex digits"),
        ("sha256:" + "0" * 63 + "\n", "has characters in it that are not lower-case hex digits"),
    ],
)
def test_bad_digests(text, problem):
    assert digest_problem(text).startswith(problem)


def test_digest_of_and_hasher_agree_with_hashlib():
    assert digest_of(b"") == EMPTY
    assert digest_of(b"x", "sha512") == "sha512:" + hashlib.sha512(b"x").hexdigest()
    for algorithm in ("sha256", "sha512"):
        found = hasher(algorithm + ":whatever")
        found.update(b"a")
        found.update(b"b")
        assert f"{algorithm}:{found.hexdigest()}" == digest_of(b"ab", algorithm)


def test_a_mismatch_names_both_digests():
    error = mismatch("The blob q.io/x", EMPTY, "sha256:" + "1" * 64, "q.io")
    assert (error.code, error.registry) == ("DIGEST_MISMATCH", "q.io")
    assert all(word in str(error) for word in ("q.io/x", EMPTY, "1" * 64))


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, ""),
        ("", ""),
        ("a/b", "a/b"),
        ("a/b; charset=utf-8", "a/b"),
        (" A/B ;q=1;r=2", "a/b"),
        (mediatype.OCI_INDEX + ";x", mediatype.OCI_INDEX),
    ],
)
def test_bare_media_type(header, wanted):
    assert mediatype.strip_parameters(header) == wanted


@pytest.mark.parametrize(
    ("media_type", "foreign"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
        ("", False),
    ],
)
def test_foreign_layers(media_type, foreign):
    assert is_foreign(media_type) is foreign


def test_accept_names_every_kind_of_manifest_once():
    accepted = mediatype.ACCEPT.split(", ")
    assert len(accepted) == len(set(accepted))
    assert set(accepted) == mediatype.INDEXES | mediatype.MANIFESTS | {mediatype.SCHEMA1, mediatype.SCHEMA1_SIGNED}
