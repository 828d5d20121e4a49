# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: what is believed of a registry's bytes, and what they say."""

from __future__ import annotations

import json

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci import mediatype as m
from ansible_collections.quayside.registry.plugins.module_utils._oci.digest import digest_of
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import artifact_type, attests, blobs, build
from ansible_collections.quayside.registry.plugins.module_utils._oci.index import platform_of
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import (
    Descriptor,
    Manifest,
    canonical_json,
    parse_json,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import (
    checked,
    members,
    parts,
    read_descriptor,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_CONFIG, OCI_LAYER
from hypothesis import given, settings
from hypothesis import strategies as st

D = ["sha256:%064x" % number for number in range(6)]


def at(number: int, media_type: str = OCI_LAYER, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": D[number], "size": number, **more}


IMAGE = {"schemaVersion": 2, "mediaType": m.OCI_MANIFEST, "config": at(0, OCI_CONFIG), "layers": [at(1), at(2)]}
INDEX = {"schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": [at(1, m.OCI_MANIFEST)]}


def without(value: dict, *keys: str) -> dict:
    return {key: item for key, item in value.items() if key not in keys}


def parse(value: object, content_type: str | None = None) -> Manifest:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return checked(Manifest.parse(raw, content_type, "q.io/x:1"), "q.io/x:1")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, null, true, "\xc3\xbc", "\\ud83d\\ude00"]}\n', {"a": [1, 2.5, None, True, "ü", "😀"]}),
        (b'{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
    ],
)
def test_parse_json(raw, value):
    assert parse_json(raw, "It") == value
    assert parse_json(canonical_json(value), "It") == value


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'"{}"', "object"),
        (b"{", "JSON"),
        (b"{} x", "JSON"),
        (b"<html>", "JSON"),
        (b"{'a': 1}", "JSON"),
        (b'{"a": 1,}', "JSON"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', "twice"),
        (b'{"a": NaN}', "JSON"),
        (b'{"a": -Infinity}', "JSON"),
        (b'{"a": 1e999}', "JSON"),
        (b'{"a": "\\ud800"}', "JSON"),
        (b'{"\\udc00": 1}', "JSON"),
        (b'{"a": "\xff"}', "JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "JSON"),
        (b'{"a": "\n"}', "JSON"),
        (b'{"a":' * 100000 + b"1" + b"}" * 100000, "deep"),
    ],
)
def test_json_that_is_not_believed(raw, word):
    with pytest.raises(ContentError) as caught:
        parse_json(raw, "The thing")
    assert word in str(caught.value) and str(caught.value).startswith("The thing")
    assert caught.value.code == "MANIFEST_INVALID"


def test_canonical_json_keeps_order_and_text():
    assert canonical_json({"b": 1, "a": ["ü", None]}) == '{"b":1,"a":["ü",null]}'.encode()


@pytest.mark.parametrize(
    ("value", "content_type", "wanted"),
    [
        (IMAGE, m.OCI_MANIFEST, m.OCI_MANIFEST),
        (IMAGE, m.OCI_MANIFEST + "; charset=utf-8", m.OCI_MANIFEST),
        (IMAGE, m.OCI_MANIFEST.upper(), m.OCI_MANIFEST),
        (IMAGE, "text/plain", m.OCI_MANIFEST),
        (IMAGE, "application/json", m.OCI_MANIFEST),
        (IMAGE, None, m.OCI_MANIFEST),
        (without(IMAGE, "mediaType"), m.OCI_MANIFEST, m.OCI_MANIFEST),
        (without(IMAGE, "mediaType"), m.DOCKER_MANIFEST, m.DOCKER_MANIFEST),
        (without(IMAGE, "mediaType"), "text/plain", m.OCI_MANIFEST),
        (without(IMAGE, "mediaType", "layers"), "", m.OCI_MANIFEST),
        ({**IMAGE, "mediaType": m.DOCKER_MANIFEST}, "application/octet-stream", m.DOCKER_MANIFEST),
        (INDEX, m.OCI_INDEX, m.OCI_INDEX),
        (without(INDEX, "mediaType"), None, m.OCI_INDEX),
        (without(INDEX, "mediaType"), m.DOCKER_LIST, m.DOCKER_LIST),
        ({**INDEX, "manifests": None}, m.OCI_INDEX, m.OCI_INDEX),
        ({"mediaType": m.OCI_ARTIFACT, "blobs": [at(1)]}, m.OCI_ARTIFACT, m.OCI_ARTIFACT),
    ],
)
def test_the_media_type(value, content_type, wanted):
    manifest = parse(value, content_type)
    assert manifest.media_type == wanted
    assert manifest.is_index is (wanted in m.INDEXES)
    assert manifest.raw == json.dumps(value).encode() and manifest.digest == digest_of(manifest.raw)
    assert manifest.descriptor == Descriptor(wanted, manifest.digest, len(manifest.raw))


@pytest.mark.parametrize(
    ("value", "content_type", "code"),
    [
        (IMAGE, m.OCI_INDEX, "MEDIA_TYPE_MISMATCH"),
        (IMAGE, m.DOCKER_MANIFEST, "MEDIA_TYPE_MISMATCH"),
        (INDEX, m.OCI_MANIFEST, "MEDIA_TYPE_MISMATCH"),
        ({**IMAGE, "mediaType": ["x"]}, m.OCI_MANIFEST, "MEDIA_TYPE_MISMATCH"),
        ({**IMAGE, "mediaType": ["x"]}, None, "UNSUPPORTED_MEDIA_TYPE"),
        ({**IMAGE, "mediaType": {}}, "text/plain", "UNSUPPORTED_MEDIA_TYPE"),
        ({**IMAGE, "mediaType": "application/vnd.cncf.helm.config.v1+json"}, None, "UNSUPPORTED_MEDIA_TYPE"),
        ({"message": "please log in"}, "application/json", "UNSUPPORTED_MEDIA_TYPE"),
        ({}, None, "UNSUPPORTED_MEDIA_TYPE"),
        ({"schemaVersion": 1, "fsLayers": []}, None, "UNSUPPORTED_MEDIA_TYPE"),
        ({"schemaVersion": 1}, m.SCHEMA1_SIGNED, "UNSUPPORTED_MEDIA_TYPE"),
        ({**IMAGE, "fsLayers": []}, m.OCI_MANIFEST, "UNSUPPORTED_MEDIA_TYPE"),
        ({**IMAGE, "manifests": []}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**INDEX, "layers": []}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({**INDEX, "config": at(0)}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({**without(IMAGE, "mediaType"), "manifests": []}, None, "MANIFEST_INVALID"),
        ({"manifests": []}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({"layers": []}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({**IMAGE, "layers": {"a": 1}}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "layers": [1]}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "layers": [{}]}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "config": []}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "config": "x"}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "subject": {"digest": "sha256:../.."}}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "annotations": ["x"]}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**IMAGE, "annotations": {"a": 1}}, m.OCI_MANIFEST, "MANIFEST_INVALID"),
        ({**INDEX, "manifests": [at(1, annotations={"a": []})]}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({**INDEX, "manifests": [at(1, annotations="x")]}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({**INDEX, "manifests": "x"}, m.OCI_INDEX, "MANIFEST_INVALID"),
        ({"mediaType": m.OCI_ARTIFACT, "blobs": [{"digest": D[0]}]}, m.OCI_ARTIFACT, "MANIFEST_INVALID"),
        (b"\x1f\x8b", m.OCI_MANIFEST, "MANIFEST_INVALID"),
    ],
)
def test_what_is_not_a_manifest(value, content_type, code):
    with pytest.raises(ContentError, match=r"q\.io/x:1") as caught:
        parse(value, content_type)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"digest": None},
        {"digest": 5},
        {"digest": "sha256:" + "0" * 63},
        {"digest": "md5:" + "0" * 32},
        {"size": None},
        {"size": "1"},
        {"size": -1},
        {"size": 1.0},
        {"size": True},
        {"size": 1 << 53},
        {"mediaType": None},
        {"mediaType": 5},
        {"annotations": [1]},
        {"annotations": {"a": None}},
    ],
)
def test_a_bad_descriptor(change):
    with pytest.raises(ContentError, match="It ") as caught:
        read_descriptor({**at(1), **change}, "It")
    assert caught.value.code == "MANIFEST_INVALID"


def test_a_descriptor():
    value = at(1, annotations={"a": "b"}, platform={"os": "linux", "architecture": "amd64"}, extra=1)
    descriptor = read_descriptor(value, "It")
    assert (descriptor.media_type, descriptor.digest, descriptor.size) == (OCI_LAYER, D[1], 1)
    assert descriptor.json == value
    assert str(platform_of(descriptor)) == "linux/amd64"
    assert descriptor == Descriptor(OCI_LAYER, D[1], 1), "what lies beside the pointer is no part of it"
    bare = read_descriptor({"digest": D[1], "size": (1 << 53) - 1, "annotations": None, "platform": "x"}, "It")
    assert (bare.media_type, platform_of(bare), attests(bare)) == ("", None, None)


@pytest.mark.parametrize(
    ("annotations", "subject"),
    [
        ({}, None),
        ({"vnd.docker.reference.digest": D[2]}, None),
        ({"vnd.docker.reference.type": "attestation-manifest"}, None),
        ({"vnd.docker.reference.type": "other", "vnd.docker.reference.digest": D[2]}, None),
        ({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": D[2]}, D[2]),
    ],
)
def test_attests(annotations, subject):
    assert attests(read_descriptor(at(1, annotations=annotations), "It")) == subject


def test_the_parts_of_an_image():
    manifest = parse({**IMAGE, "layers": [at(1), at(2), at(1)], "annotations": {"k": "v"}, "subject": at(5)})
    assert [layer.digest for layer in parts(manifest, "layers")] == [D[1], D[2], D[1]]
    assert parts(manifest, "config") == [Descriptor(OCI_CONFIG, D[0], 0)]
    assert [blob.digest for blob in blobs(manifest)] == D[:3], "each once, the config first"
    assert (members(manifest), [subject.digest for subject in parts(manifest, "subject")]) == ([], [D[5]])
    assert manifest.json["annotations"] == {"k": "v"}


def test_the_parts_of_an_index_and_of_an_artifact():
    index = parse(INDEX)
    assert [member.digest for member in members(index)] == [D[1]]
    assert [blobs(index), *(parts(index, key) for key in ("layers", "config", "subject"))] == [[], [], [], []]
    artifact = parse({"mediaType": m.OCI_ARTIFACT, "blobs": [at(1)], "artifactType": "a/b"})
    assert [blob.digest for blob in blobs(artifact)] == [D[1]] and artifact_type(artifact) == "a/b"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (IMAGE, OCI_CONFIG),
        ({**IMAGE, "artifactType": "a/b"}, "a/b"),
        ({**IMAGE, "artifactType": ""}, OCI_CONFIG),
        (without(IMAGE, "config"), None),
        (INDEX, None),
        ({**INDEX, "artifactType": "a/b"}, "a/b"),
    ],
)
def test_artifact_type(value, wanted):
    assert artifact_type(parse(value)) == wanted


def test_bytes_and_digest_are_those_that_came_in():
    raw = b'{ "layers" : [], "x": 1 }'
    manifest = Manifest.parse(raw, m.OCI_MANIFEST, "It", "sha512")
    assert (manifest.raw, manifest.digest) == (raw, digest_of(raw, "sha512"))
    built = build({"layers": [], "x": 1}, m.OCI_MANIFEST)
    assert built.raw == b'{"layers":[],"x":1}' and built.digest == digest_of(built.raw)
    assert built == build({"layers": [], "x": 1}, m.OCI_MANIFEST) != manifest


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(D)
trees = st.recursive(
    leaves | st.sampled_from([at(1), at(2, m.OCI_MANIFEST), [at(1)], m.OCI_INDEX]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
fields = ["mediaType", "config", "layers", "manifests", "blobs", "subject", "annotations", "artifactType", "fsLayers"]
types = [None, "", "text/plain", *sorted(m.INDEXES | m.MANIFESTS)]


def survives(raw: bytes, content_type: str | None) -> None:
    try:
        manifest = checked(Manifest.parse(raw, content_type, "It"), "It")
    except OCIError as exc:
        assert exc.code.isupper() and str(exc).startswith("It")
        return
    for part in (members(manifest), parts(manifest, "layers"), blobs(manifest)):
        for descriptor in part:
            assert isinstance(hash((descriptor, attests(descriptor))), int) and str(platform_of(descriptor))
    assert len(parts(manifest, "config") + parts(manifest, "subject")) <= 2
    assert isinstance(hash(str(artifact_type(manifest))), int)
    assert build(manifest.json, manifest.media_type).json == manifest.json


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode), st.sampled_from(types) | st.text(max_size=5))
def test_any_bytes_parse_or_are_refused(raw, content_type):
    survives(raw, content_type)
    try:
        parse_json(raw, "It")
    except OCIError as exc:
        assert exc.code == "MANIFEST_INVALID"


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(fields), trees, max_size=4), st.sampled_from(types))
def test_any_json_parses_or_is_refused(value, content_type):
    survives(json.dumps(value).encode(), content_type)
