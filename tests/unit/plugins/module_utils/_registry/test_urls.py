# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server may send us, and where not."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._registry.urls import (
    LOOPBACK,
    address,
    network,
    origin,
    registry_of,
    resolve_untrusted_url,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://q.io", ("https", "q.io", 443)),
        ("http://q.io/x", ("http", "q.io", 80)),
        ("HTTPS://Q.io:8443/x?y", ("https", "q.io", 8443)),
        ("http://[::1]:5000/", ("http", "::1", 5000)),
        ("https://u:p@q.io/", ("https", "q.io", 443)),
        ("/v2/", ("", "", 80)),
    ],
)
def test_origin(url, wanted):
    assert origin(url) == wanted


@pytest.mark.parametrize(
    ("url", "where", "registry"),
    [
        ("https://q.io/v2/", "q.io:443", "q.io"),
        ("https://q.io:443/v2/", "q.io:443", "q.io"),
        ("http://q.io/v2/", "q.io:80", "q.io"),
        ("http://q.io:443/v2/", "q.io:443", "q.io:443"),
        ("https://q.io:80/v2/", "q.io:80", "q.io:80"),
        ("https://q.io:5000/v2/", "q.io:5000", "q.io:5000"),
        ("http://[::1]:1/v2/", "[::1]:1", "[::1]:1"),
        ("https://[FD00::1]/v2/", "[fd00::1]:443", "[fd00::1]"),
    ],
)
def test_a_server_is_named_as_users_write_it(url, where, registry):
    """What names it in results is what plays compare with the name that they have."""
    assert (address(url), registry_of(url)) == (where, registry)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("127.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example", False),
        ("mylocalhost", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("fe80::1", False),
        ("", False),
        ("q.io", False),
    ],
)
def test_loopback(host, wanted):
    assert (network(host) == LOOPBACK) is wanted


PUBLIC, NAMED = "https://8.8.8.8/v2/", "https://q.io/v2/"
PRIVATE, LOCAL = "http://10.0.0.1:5000/v2/", "http://127.0.0.1:5000/v2/"

# base, target, the URL it becomes
FOLLOWED = [
    (NAMED, "https://q.io/token", "https://q.io/token"),
    (NAMED, "/token?x=%2F", "https://q.io/token?x=%2F"),
    (NAMED, "blobs/uploads/1?_state=a", "https://q.io/v2/blobs/uploads/1?_state=a"),
    (NAMED, "https:///x", "https://q.io/x"),
    (NAMED, "//cdn.io/x", "https://cdn.io/x"),
    (NAMED, "https://cdn.example:8443/x?sig=a%2Bb", "https://cdn.example:8443/x?sig=a%2Bb"),
    (NAMED, "https://8.8.8.8/x", "https://8.8.8.8/x"),
    ("http://q.io/", "https://q.io/x", "https://q.io/x"),
    (NAMED, "http://q.io/token", "https://q.io/token"),  # a proxy that forgot to say https
    ("https://q.io:8443/", "http://Q.io:8443/token", "https://Q.io:8443/token"),
    ("http://q.io/", "http://auth.io/x", "http://auth.io/x"),
    (PUBLIC, "https://8.8.8.8:8443/x", "https://8.8.8.8:8443/x"),
    (PRIVATE, "http://10.0.0.1:5001/token", "http://10.0.0.1:5001/token"),
    (PRIVATE, "http://192.168.0.7/token", "http://192.168.0.7/token"),
    (PRIVATE, "https://100.64.0.1/token", "https://100.64.0.1/token"),
    ("https://100.64.0.9/", "https://100.64.0.1/token", "https://100.64.0.1/token"),
    (LOCAL, "http://localhost:5001/token", "http://localhost:5001/token"),
    (LOCAL, "http://[::1]:5001/token", "http://[::1]:5001/token"),
    (LOCAL, "http://10.1.2.3/token", "http://10.1.2.3/token"),
    (LOCAL, "https://q.io/token", "https://q.io/token"),
    ("https://169.254.1.1/", "https://169.254.1.1/x", "https://169.254.1.1/x"),
]

REFUSED = [
    (NAMED, "http://cdn.io/x"),  # less protected
    (NAMED, "http://q.io:8443/token"),
    (NAMED, "ftp://q.io/x"),
    (NAMED, "file:///etc/passwd"),
    (NAMED, "gopher://q.io/"),
    (NAMED, "http:///x"),
    (NAMED, "https://user:password@cdn.io/x"),
    (NAMED, "https://8.8.8.8@cdn.io/x"),
    (NAMED, "https://127.0.0.1/x"),
    (NAMED, "https://localhost/x"),
    (NAMED, "https://LOCALHOST./x"),
    (NAMED, "https://x.localhost/x"),
    (NAMED, "https://10.0.0.1/x"),
    (NAMED, "https://192.168.1.1/x"),
    (NAMED, "https://172.16.0.1/x"),
    (NAMED, "https://169.254.169.254/latest/meta-data"),
    (NAMED, "https://100.100.100.200/latest/meta-data"),
    (NAMED, "https://0.0.0.0/x"),
    (NAMED, "https://224.0.0.1/x"),
    (NAMED, "https://[::1]/x"),
    (NAMED, "https://[::]/x"),
    (NAMED, "https://[fe80::1]/x"),
    (NAMED, "https://[fe80::1%25eth0]/x"),
    (NAMED, "https://[fd00:ec2::254]/x"),
    (NAMED, "https://[::ffff:169.254.169.254]/x"),
    (NAMED, "https://[::ffff:7f00:1]/x"),
    (NAMED, "https://2130706433/x"),  # the ways that connect() also reads 127.0.0.1 and 169.254.169.254
    (NAMED, "https://0x7f000001/x"),
    (NAMED, "https://0177.0.0.1/x"),
    (NAMED, "https://127.1/x"),
    (NAMED, "https://0xa9fea9fe/x"),
    (NAMED, "https://127.0.0.1\\.cdn.io/x"),  # parsers differ on what the host is
    (NAMED, "https://cdn.io\\@127.0.0.1/x"),
    (NAMED, "https://①27.0.0.1/x"),
    (NAMED, "https://\xb927.0.0.1/x"),
    (NAMED, "https://cdn.io/a b"),
    (NAMED, "https://127.0.0.1\0/x"),
    (NAMED, "https://[::1/x"),
    (NAMED, "https://cdn.io:99999/x"),
    (NAMED, "https://cdn.io:x/x"),
    (PUBLIC, "https://10.0.0.1/x"),
    (PUBLIC, "https://localhost/x"),
    (PRIVATE, "http://127.0.0.1/x"),
    (PRIVATE, "http://169.254.169.254/x"),
    (LOCAL, "http://169.254.169.254/x"),
    (LOCAL, "http://0.0.0.0/x"),
    ("https://169.254.1.1/", "https://169.254.169.254/x"),
    ("https://127.0.0.1:5000/", "http://127.0.0.1:5001/x"),
    ("https://[x/", "https://q.io/"),
]


@pytest.mark.parametrize(("base", "target", "wanted"), FOLLOWED)
def test_followed(base, target, wanted):
    assert resolve_untrusted_url(base, target) == wanted
    assert resolve_untrusted_url(base, wanted) == wanted


@pytest.mark.parametrize(("base", "target"), REFUSED)
def test_refused(base, target):
    with pytest.raises(ContentError) as caught:
        resolve_untrusted_url(base, target)
    assert caught.value.code == "UNSAFE_URL"
    assert str(caught.value).isascii() and str(caught.value).isprintable()


def test_the_refusal_names_both_and_no_query():
    with pytest.raises(ContentError, match=r"q\.io:443.*http://cdn\.io/x") as caught:
        resolve_untrusted_url(NAMED, "http://cdn.io/x?signature=s3cret")
    assert caught.value.registry == "q.io" and "s3cret" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([NAMED, PUBLIC, PRIVATE, LOCAL]),
    st.text(max_size=30) | st.text(alphabet="htps:/[]@.%01x\\l?#", max_size=30).map("http://".__add__),
)
def test_any_target_is_followed_or_refused(base, target):
    try:
        assert origin(resolve_untrusted_url(base, target))[0] in ("http", "https")
    except ContentError as exc:
        assert exc.code == "UNSAFE_URL"


@pytest.mark.parametrize(
    ("target", "trusted", "followed"),
    [
        ("https://10.0.0.1/token", ("10.0.0.1",), True),
        ("https://10.0.0.1:8443/token", ("10.0.0.1",), True),
        ("https://10.0.0.1:8443/token", ("10.0.0.1:8443",), True),
        ("https://10.0.0.1:8444/token", ("10.0.0.1:8443",), False),
        ("https://localhost:9000/x", ("LocalHost:9000",), True),
        ("https://[fd00::1]:9000/x", ("[fd00::1]:9000",), True),
        ("https://[fd00::1]:9000/x", ("fd00::1",), True),
        ("https://10.0.0.2/token", ("10.0.0.1",), False),
        ("https://10.1.2.3/token", ("10.0.0.0/8",), True),
        ("https://[fd00::1]/token", ("fd00::/8",), True),
        ("https://172.16.0.1/token", ("10.0.0.0/8", "words/of", "10.0.0.0/99"), False),
        ("http://10.0.0.1/token", ("10.0.0.1",), False),  # what it may see is still encrypted on the way
        ("ftp://10.0.0.1/token", ("10.0.0.1",), False),
        ("https://u:p@10.0.0.1/token", ("10.0.0.1",), False),
    ],
)
def test_hosts_that_the_user_trusts(target, trusted, followed):
    if followed:
        assert resolve_untrusted_url(NAMED, target, trusted) == target
    else:
        with pytest.raises(ContentError):
            resolve_untrusted_url(NAMED, target, trusted)


def test_the_refusal_names_the_option():
    with pytest.raises(ContentError, match=r"add 10\.0\.0\.1 to trusted_hosts"):
        resolve_untrusted_url(NAMED, "https://10.0.0.1/token")
