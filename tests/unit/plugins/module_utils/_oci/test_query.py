# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath queries: results, and errors that name the query."""

from __future__ import annotations

import builtins
import sys

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput, MissingLibrary, OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci.query import compile_query
from hypothesis import given, settings
from hypothesis import strategies as st

VALUE = {"layers": [{"size": 1}, {"size": 5}], "labels": {"a": "b"}, "name": "x", "none": None}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (None, None),
        ("", None),
        ("name", "x"),
        ("absent.deeper", None),
        ("layers[].size", [1, 5]),
        ("sum(layers[].size)", 6),
        ("length(labels)", 1),
        ("{n: name}", {"n": "x"}),
        ("contains(labels.a, 'b')", True),
    ],
)
def test_search(query, found):
    assert compile_query(query)(VALUE) == found


@pytest.mark.parametrize("query", ["layers[", "#", "a.b.", "a b", "nope(", "[" * 3000 + "]" * 3000])
def test_what_does_not_parse_fails_before_any_search(query):
    with pytest.raises(InvalidInput, match="JMESPath") as caught:
        compile_query(query)
    assert caught.value.code == "INVALID_QUERY" and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "length(none)",
        "nope(name)",
        "sum(name)",
        "layers[::0]",
        "contains(name, `5`)",
        "contains(name, none)",
        "merge(labels, name)",
        "layers[?size > 'a']",
        "&name",
        "[&name]",
        "to_number('nan')",
        "ceil(to_number('inf'))",
    ],
)
def test_what_cannot_be_applied(query):
    search = compile_query(query)
    with pytest.raises(InvalidInput, match="query") as caught:
        search(VALUE)
    assert caught.value.code == "INVALID_QUERY" and query in str(caught.value)


def test_without_jmespath_the_library_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "jmespath":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "jmespath", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert compile_query("")(VALUE) is None
    with pytest.raises(MissingLibrary, match=r"^jmespath$"):
        compile_query("name")


words = st.sampled_from(
    [
        *(
            "name",
            "layers",
            "labels",
            "none",
            "size",
            "a:",
            "`5`",
            "'b'",
            "[]",
            "[0]",
            "[::-1]",
            "[?",
            "&&",
            "||",
            "==",
        ),
        *("contains(", "to_string(", "sort_by(", "map(", "max_by(", "merge(", "join(", "to_number(", "keys(", "type("),
        *"@[].*|&!(),{}>",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20) | st.lists(words, max_size=8).map("".join))
def test_no_query_raises_anything_else(query):
    try:
        compile_query(query)(VALUE)
    except OCIError as exc:
        assert exc.code == "INVALID_QUERY"
