# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references: Docker's short names, every part's grammar, and what is said about a bad one."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import (
    Reference,
    check_repository,
    check_tag,
    parse_host,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

D256 = "sha256:" + "0a" * 32
D512 = "sha512:" + "0a" * 64
HUB = "docker.io"

# text -> registry, repository, tag, digest, str()
GOOD = [
    ("alpine", HUB, "library/alpine", None, None, "docker.io/library/alpine:latest"),
    ("alpine:3.20", HUB, "library/alpine", "3.20", None, "docker.io/library/alpine:3.20"),
    ("docker.io/alpine", HUB, "library/alpine", None, None, "docker.io/library/alpine:latest"),
    ("index.docker.io/alpine", HUB, "library/alpine", None, None, "docker.io/library/alpine:latest"),
    ("registry-1.docker.io/a/b", HUB, "a/b", None, None, "docker.io/a/b:latest"),
    ("grafana/loki", HUB, "grafana/loki", None, None, "docker.io/grafana/loki:latest"),
    ("a/b/c", HUB, "a/b/c", None, None, "docker.io/a/b/c:latest"),
    ("localhost/x", "localhost", "x", None, None, "localhost/x:latest"),
    ("localhost", HUB, "library/localhost", None, None, "docker.io/library/localhost:latest"),
    ("localhost:5000", HUB, "library/localhost", "5000", None, "docker.io/library/localhost:5000"),
    ("localhost:5000/x:1", "localhost:5000", "x", "1", None, "localhost:5000/x:1"),
    ("lab:5000/x", "lab:5000", "x", None, None, "lab:5000/x:latest"),
    ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", None, None, "127.0.0.1:5000/x:latest"),
    ("[::1]:5000/x", "[::1]:5000", "x", None, None, "[::1]:5000/x:latest"),
    ("[2001:DB8::1]/x", "[2001:db8::1]", "x", None, None, "[2001:db8::1]/x:latest"),
    ("GHCR.io/o/x", "ghcr.io", "o/x", None, None, "ghcr.io/o/x:latest"),
    ("q.io/x@" + D256, "q.io", "x", None, D256, "q.io/x@" + D256),
    ("q.io/x@" + D512, "q.io", "x", None, D512, "q.io/x@" + D512),
    ("q.io/x:1@" + D256, "q.io", "x", "1", D256, "q.io/x@" + D256),
    ("q.io/a.b_c__d-e---f/0", "q.io", "a.b_c__d-e---f/0", None, None, "q.io/a.b_c__d-e---f/0:latest"),
    ("q.io/x:" + "t" * 128, "q.io", "x", "t" * 128, None, "q.io/x:" + "t" * 128),
    ("q.io/x:_A.b-C", "q.io", "x", "_A.b-C", None, "q.io/x:_A.b-C"),
    ("q.io/" + "r" * 255, "q.io", "r" * 255, None, None, "q.io/" + "r" * 255 + ":latest"),
]

# text, a word that the message must have
BAD = [
    ("", "empty"),
    (" alpine", "space"),
    ("alp ine", "space"),
    ("alpine\n", "space"),
    ("alpine\x00", "control"),
    ("älpine", "character"),
    ("https://q.io/x", "https://"),
    ("docker://alpine", "docker://"),
    ("Alpine", "lower case"),
    ("q.io/Team/x", "lower case"),
    ("Team/x", "lower case"),
    ("q.io/", "repository name is missing"),
    ("q.io/:1", "repository name is missing"),
    ("/x", "repository name"),
    ("q.io//x", "repository name"),
    ("q.io/x/", "repository name"),
    ("q.io/a..b", "a..b"),
    ("q.io/a___b", "a___b"),
    ("q.io/-a", "-a"),
    ("q.io/a_", "a_"),
    ("q.io/a%2f", "a%2f"),
    ("q.io/" + "r" * 256, "255"),
    ("alpine:", "tag"),
    ("q.io/x:.1", "tag"),
    ("q.io/x:-1", "tag"),
    ("q.io/x:a+b", "tag"),
    ("q.io/x:1:2", "tag"),
    ("q.io/x:" + "t" * 129, "tag"),
    ("q.io/x@", "digest"),
    ("q.io/x@sha256:00", "64"),
    ("q.io/x@sha256:" + "0A" * 32, "lower-case"),
    ("q.io/x@md5:" + "0" * 32, "md5"),
    ("q.io/x@" + D256 + "@" + D256, "digest"),
    ("q.io/x@" + D256 + ":1", "digest"),
    ("q..io/x", "q..io"),
    ("-q.io/x", "-q.io"),
    ("q_q:5000/x", "q_q:5000"),
    ("q.io:/x", "q.io:"),
    ("q.io:0/x", "q.io:0"),
    ("q.io:65536/x", "65536"),
    ("q.io:port/x", "port"),
    ("[::1/x", "[::1"),
    ("[:::]/x", "[:::]"),
    ("[....]/x", "[....]"),
    ("::1/x", "::1"),
    ("user@q.io/x", "digest"),
]


@pytest.mark.parametrize(("text", "registry", "repository", "tag", "digest", "full"), GOOD)
def test_parse(text, registry, repository, tag, digest, full):
    reference = Reference.parse(text)
    assert reference == Reference(registry, repository, tag, digest)
    assert str(reference) == full
    assert str(Reference.parse(full)) == full
    assert reference.name == f"{registry}/{repository}"
    assert reference.target == (digest or tag or "latest")


@pytest.mark.parametrize(("text", "word"), BAD)
def test_a_bad_reference_says_what_is_wrong(text, word):
    with pytest.raises(InvalidInput) as caught:
        Reference.parse(text)
    assert word in str(caught.value) and caught.value.code == "INVALID_REFERENCE"


def test_with_tag_and_with_digest_leave_the_other_out():
    reference = Reference.parse("q.io/x:1@" + D256)
    assert str(reference.with_tag("2")) == "q.io/x:2"
    assert reference.with_digest(D512) == Reference("q.io", "x", None, D512)
    assert reference.tag == "1", "a reference does not change"


@pytest.mark.parametrize("text", ["q.io/x:1", "q.io/x@" + D256, "x:1"])
def test_a_repository_has_no_tag_or_digest(text):
    with pytest.raises(InvalidInput, match="repository") as caught:
        Reference.parse_repository(text)
    assert caught.value.code == "INVALID_REFERENCE"
    assert Reference.parse_repository("q.io/x") == Reference("q.io", "x")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("docker.io", HUB),
        ("index.docker.io", HUB),
        ("Registry-1.Docker.io", HUB),
        ("docker.io:443", "docker.io:443"),
        ("lab", "lab"),
        ("lab:1", "lab:1"),
        ("lab:65535", "lab:65535"),
        ("[FE80::1]:80", "[fe80::1]:80"),
    ],
)
def test_parse_host(text, host):
    assert parse_host(text) == host == parse_host(host)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "host"),
        ("https://q.io", "scheme"),
        ("q.io/x", "host:port"),
        ("q.io:", "host:port"),
        ("q.io:99999", "host:port"),
        ("q.io:123456", "host:port"),
        ("u:p@q.io", "host:port"),
        ("[x]", "host:port"),
        ("q.io\n", "host:port"),
    ],
)
def test_a_bad_host(text, word):
    with pytest.raises(InvalidInput, match=word) as caught:
        parse_host(text)
    assert caught.value.code == "INVALID_REFERENCE"


def test_check_tag_and_check_repository():
    assert check_tag("v1.0_x-Y") == "v1.0_x-Y"
    assert check_repository("a/b-c") == "a/b-c"
    for check, bad in ((check_tag, "bad tag"), (check_tag, ""), (check_tag, "x\n"), (check_repository, "a/B")):
        with pytest.raises(InvalidInput) as caught:
            check(bad)
        assert repr(bad)[1:-1] in str(caught.value) and caught.value.code == "INVALID_REFERENCE"


hosts = st.sampled_from(["q.io", "docker.io", "localhost", "lab:1", "127.0.0.1:5000", "[::1]", "[::1]:65535"])
components = st.lists(
    st.sampled_from(["a", "0", "lab", "a.b", "a_b", "a__b", "a---b", "1.2_3"]), min_size=1, max_size=4
)
tags = st.text("aZ09_.-", min_size=1, max_size=9).filter(lambda tag: tag[0] not in ".-")


@settings(max_examples=200, deadline=None)
@given(
    st.none() | hosts,
    components,
    st.none() | tags,
    st.sampled_from([None, D256, D512]),
)
def test_what_is_valid_parses_and_comes_back(host, path, tag, digest):
    assume(host or len(path) == 1 or "." not in path[0])  # a dot makes the first part a registry
    text = "/".join(([host] if host else []) + path) + (":" + tag if tag else "") + ("@" + digest if digest else "")
    reference = Reference.parse(text)
    assert (reference.tag, reference.digest) == (tag, digest)
    again = Reference.parse(str(reference))
    assert (again.name, again.target, str(again)) == (reference.name, reference.target, str(reference))
    if host and host != "docker.io":
        assert reference.name == "/".join([host, *path])


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="aA1.-_:/@[]", max_size=30))
def test_any_text_parses_or_is_refused(text):
    try:
        reference = Reference.parse(text)
    except InvalidInput as exc:
        assert exc.code == "INVALID_REFERENCE"
    else:
        assert str(Reference.parse(str(reference))) == str(reference)
