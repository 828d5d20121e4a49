# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings from YAML, merge patches, annotations, and patches of a manifest."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.image import build
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Json
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import OCI_CONFIG, OCI_MANIFEST
from ansible_collections.quayside.registry.plugins.module_utils._oci.patches import (
    edit_annotations,
    edit_manifest,
    edit_map,
    merge_patch,
    patch,
    strings,
    texts,
    words,
)
from ansible_collections.quayside.registry.tests.unit.kit import fails

DIGEST = "sha256:" + "a" * 64
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 5}
IMAGE: Json = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 3},
    "layers": [LAYER],
    "x-unknown": {"kept": [1, None]},
}
MANIFEST = build(IMAGE, OCI_MANIFEST)


def test_strings() -> None:
    assert strings("labels", {"a": "x", "b": 7, "c": -1, "d": None, "e": ""}) == {
        "a": "x",
        "b": "7",
        "c": "-1",
        "d": None,
        "e": "",
    }
    assert strings("labels", None) == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"debug": True}, "labels: the value of debug is a boolean (True); write it in quotes"),
        ({"version": 1.1}, "labels: the value of version is a number with a fraction (1.1); write it in quotes"),
        ({"list": ["x"]}, "labels: the value of list is not a string (['x'])"),
        ({"": "x"}, "labels has an empty name"),
    ],
)
def test_what_is_no_string(given: Json, says: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        strings("labels", given)


@pytest.mark.parametrize(
    ("given", "found"), [(["a b", 5], ["a b", "5"]), ("a 'b c'", ["a", "b c"]), (5, ["5"]), ([], []), (None, None)]
)
def test_words(given: Any, found: list[str] | None) -> None:
    assert words("cmd", given) == found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (1.1, "cmd: 1.1 is not a string; write it in quotes."),
        (True, "cmd: True is not a string; write it in quotes."),
        (["echo", False], "cmd: False is not a string; write it in quotes."),
        ({"a": "b"}, "cmd is a list of words, or one string; {'a': 'b'} is neither."),
        ("'a", "cannot be split into words"),
    ],
)
def test_words_that_are_none(given: Any, says: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        words("cmd", given)


# The examples of RFC 7386, appendix A.
@pytest.mark.parametrize(
    ("target", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, change: Any, result: Any) -> None:
    assert merge_patch(target, change) == result


def test_merge_patch_leaves_its_input_alone() -> None:
    target = {"a": {"b": 1, "c": 2}}
    merge_patch(target, {"a": {"b": None}})
    assert target == {"a": {"b": 1, "c": 2}}


def test_patches_that_are_no_json() -> None:
    assert patch("config_patch", None) == {}
    with fails(InvalidInput, "INVALID_OPTION", says="config_patch cannot be written as JSON"):
        patch("config_patch", {"a": float("nan")})


def test_edit_map() -> None:
    assert edit_map(None, {"a": "1", "b": None}) == {"a": "1"}
    assert list(edit_map({"a": "1", "b": "2"}, {"c": "3", "a": "4", "b": None}).items()) == [("a", "4"), ("c", "3")]


def test_annotations() -> None:
    assert edit_annotations(MANIFEST, {}) is MANIFEST
    assert edit_annotations(MANIFEST, {"absent": None}) is MANIFEST
    some = edit_annotations(MANIFEST, {"a": "1"})
    assert some.json == {**IMAGE, "annotations": {"a": "1"}}
    assert edit_annotations(some, {"a": "1"}) is some
    assert edit_annotations(some, {"a": None}) == MANIFEST
    empty = build({**IMAGE, "annotations": {}}, OCI_MANIFEST)
    assert edit_annotations(empty, {"a": None}) is empty


def test_patch_of_a_manifest() -> None:
    assert edit_manifest(MANIFEST, {}, "x") is MANIFEST
    assert edit_manifest(MANIFEST, {"absent": None, "layers": [LAYER]}, "x") is MANIFEST
    layers = [{**LAYER, "annotations": {"a": "b"}}]
    new = edit_manifest(MANIFEST, {"artifactType": "x/y", "x-unknown": None, "layers": layers}, "x")
    rest = {key: value for key, value in IMAGE.items() if key != "x-unknown"}
    assert new.json == {**rest, "artifactType": "x/y", "layers": layers}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": []}, "may not change the layers of x; append adds a layer."),
        ({"layers": [{**LAYER, "size": 6}]}, "may not change the layers"),
        ({"layers": [{**LAYER, "mediaType": "application/x.tar"}]}, "may not change the layers"),
        ({"layers": None}, "may not change the layers"),
        ({"config": {"size": 4}}, "may not change the config of x; config_patch changes what it holds."),
        ({"config": None}, "may not change the config"),
        ({"mediaType": "text/plain"}, "may not change the mediaType of x; it stays of the kind that it is."),
        ({"mediaType": None}, "may not change the mediaType"),
        ({"schemaVersion": 1}, "may not change the schemaVersion"),
    ],
)
def test_patches_that_make_another_image(change: Json, says: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        edit_manifest(MANIFEST, change, "x")


@pytest.mark.parametrize(
    "change",
    [{"layers": [1]}, {"layers": "x"}, {"config": 7}, {"annotations": {"a": 1}}, {"manifests": []}, {"subject": {}}],
)
def test_patches_that_make_no_manifest(change: Json) -> None:
    with fails(ContentError, "MANIFEST_INVALID", says="What manifest_patch makes of x"):
        edit_manifest(MANIFEST, change, "x")


def test_strings_of_which_none_is_removed() -> None:
    assert texts("annotations", {"b": "x", "a": 42}) == {"a": "42", "b": "x"}
    assert texts("annotations", None) == {}
    with fails(InvalidInput, "INVALID_OPTION", says="annotations: the value of a is null; write a string"):
        texts("annotations", {"a": None})
    with fails(InvalidInput, "INVALID_OPTION", says="annotations: the name True is not a string"):
        texts("annotations", {True: "a"})
