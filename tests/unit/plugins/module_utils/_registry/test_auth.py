# SPDX-License-Identifier: GPL-3.0-or-later
"""Challenges and tokens: what a registry asks for, and what it is sent."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    CredentialError,
    Denied,
    OCIError,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry import tokens
from ansible_collections.quayside.registry.plugins.module_utils._registry.auth import Registry
from ansible_collections.quayside.registry.plugins.module_utils._registry.challenges import (
    merge_scopes,
    parse_challenges,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from hypothesis import given, settings
from hypothesis import strategies as st

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'

# header, the schemes and parameters in it
CHALLENGES = [
    ("", []),
    ("Basic", [("basic", {})]),
    ('Basic realm="x"', [("basic", {"realm": "x"})]),
    ("BASIC Realm=x", [("basic", {"realm": "x"})]),
    (
        HUB,
        [
            (
                "bearer",
                {
                    "realm": "https://auth.docker.io/token",
                    "service": "registry.docker.io",
                    "scope": "repository:a/b:pull,push",
                },
            )
        ],
    ),
    ('Bearer realm = "r" , service = "s"', [("bearer", {"realm": "r", "service": "s"})]),
    ('Bearer realm="a\\"b\\\\c"', [("bearer", {"realm": 'a"b\\c'})]),
    ('Bearer realm="r",service="",scope=""', [("bearer", {"realm": "r", "service": "", "scope": ""})]),
    (
        "Bearer realm=https://q.io/token?a=b,service=s",
        [("bearer", {"realm": "https://q.io/token?a=b", "service": "s"})],
    ),
    ('Bearer realm="r",realm="other"', [("bearer", {"realm": "r"})]),
    (
        'Basic realm="x", Bearer realm="r",service="s"',
        [("basic", {"realm": "x"}), ("bearer", {"realm": "r", "service": "s"})],
    ),
    ('Negotiate, NTLM, Basic realm="a, b"', [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "a, b"})]),
    (',, ,Basic realm="x",,', [("basic", {"realm": "x"})]),
    ('Bearer error="insufficient_scope"', [("bearer", {"error": "insufficient_scope"})]),
]


@pytest.mark.parametrize(("header", "wanted"), CHALLENGES)
def test_parse_challenges(header, wanted):
    assert list(parse_challenges(header).items()) == wanted


@pytest.mark.parametrize(
    "header",
    [
        "Negotiate YII+abc/d==",
        'Basic realm="open',
        "=",
        '"',
        '"Bearer realm"',
        "Bearer realm=",
        "Bearer =x",
        "\xff\x00",
    ],
)
def test_the_challenge_after_something_unreadable_is_found(header):
    found = parse_challenges(header + ', "", Bearer realm="r"')
    assert all(scheme == scheme.lower() for scheme in [*found, *parse_challenges(header)])
    if '="open' not in header:  # an open quote swallows what follows
        assert "bearer" in found


@settings(max_examples=200, deadline=None)
@given(
    st.text()
    | st.text(alphabet='Bearalm=", \\basic/:', max_size=60)
    | st.binary().map(lambda raw: raw.decode("latin-1"))
)
def test_any_header_parses(header):
    assert all(parse_challenges(header))


@pytest.mark.parametrize(
    ("first", "then", "merged"),
    [
        ([], [], ()),
        (["repository:a:pull"], [], ("repository:a:pull",)),
        (["repository:a:pull"], ["repository:a:pull"], ("repository:a:pull",)),
        (["repository:a:pull"], ["repository:a:push,pull"], ("repository:a:pull,push",)),
        (["repository:a:push"], ["repository:b:pull"], ("repository:a:push", "repository:b:pull")),
        (["repository:h:5000/a:pull"], ["repository:h:5000/a:delete"], ("repository:h:5000/a:pull,delete",)),
        (["registry:catalog:*"], ["repository:a:pull,pull"], ("registry:catalog:*", "repository:a:pull")),
    ],
)
def test_merge_scopes(first, then, merged):
    assert merge_scopes(first, then) == merged
    assert merge_scopes(merged, ()) == merged


SCOPES = ("repository:a/b:pull",)
USER = Credential("user", "s3cret", source="the file")


class Lab:
    """A registry with everything around it made up: credentials, the token server."""

    def __init__(self, credential=None, answers=None, base_url="https://q.io"):
        self.requests: list[tuple] = []
        self.looked_up: list[str] = []
        self.secrets: set[str] = set()
        self.answers = list(answers or [])
        self.credential = credential
        host, plain = base_url.partition("://")[2], base_url.startswith("http:")
        self.auth = Registry(host, Settings(plain_http=plain), self, self.find)

    def find(self, repository):
        self.looked_up.append(repository)
        return self.credential

    def send(self, method, url, settings, headers=None, body=None, sent_by=""):
        """Be the transport."""
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True)) if body else None
        headers = dict(headers or {})
        assert headers.pop("Content-Type", None) == ("application/x-www-form-urlencoded" if form else None)
        self.requests.append((method, url, headers, form))
        answer = self.answers.pop(0) if self.answers else {"token": f"t{len(self.requests)}"}
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return SimpleNamespace(
            status=status, url=url, headers={}, read_document=lambda limit, what: raw, discard=lambda: raw
        )

    def hide(self, *secrets):
        """Be the transport, too."""
        self.secrets.update(secrets)

    def again(self, attempt):
        """Be the transport, too, for one try."""
        return attempt()

    def learn(self, header, sent=None, scopes=SCOPES):
        return self.auth.learn(header, "a/b", scopes, sent)

    def header(self, scopes=SCOPES):
        return self.auth.authorization("a/b", scopes)


def bearer(**parameters):
    return "Bearer " + ",".join(
        f'{key}="{value}"' for key, value in {"realm": "https://auth.io/t", **parameters}.items()
    )


def test_without_credentials_nothing_is_sent_before_the_registry_asks():
    lab = Lab()
    assert lab.header() is None
    assert (lab.auth.scheme, lab.looked_up, lab.requests) == ("", ["a/b"], [])


def test_with_credentials_the_registry_is_asked_once_how_it_wants_them():
    lab = Lab(USER)
    assert [lab.header(), lab.header(("repository:c:pull",))] == [None, None]
    assert lab.requests == [("GET", "https://q.io/v2/", {}, None)]


@pytest.mark.parametrize(
    ("credential", "header", "again", "wanted"),
    [
        (USER, 'Basic realm="x"', True, "Basic " + USER.basic),
        (None, 'Basic realm="x"', False, None),
        (Credential("user"), 'Basic realm="x"', False, None),
        (Credential(identity_token="i"), 'Basic realm="x"', False, None),
        (None, bearer(), True, "Bearer t1"),
        (USER, bearer(), True, "Bearer t1"),
        (Credential(registry_token="reg"), bearer(), True, "Bearer reg"),
        (USER, 'Basic realm="x", ' + bearer(), True, "Bearer t1"),
        (USER, bearer() + ', Basic realm="x"', True, "Bearer t1"),
        (USER, "Negotiate, " + bearer(), True, "Bearer t1"),
        (USER, 'Bearer service="s", Basic realm="x"', True, "Basic " + USER.basic),
        (USER, 'Bearer service="s"', False, None),
        (USER, "Negotiate, NTLM", False, None),
        (USER, "", False, None),
    ],
)
def test_the_answer_to_a_challenge(credential, header, again, wanted):
    lab = Lab(credential)
    assert lab.learn(header) is again
    assert lab.header() == wanted
    assert (lab.auth.scheme == "bearer") is bool(wanted and wanted.startswith("Bearer"))


def test_the_first_of_two_bearer_challenges_counts():
    lab = Lab()
    lab.learn(bearer(realm="/first") + ", " + bearer(realm="/second"))
    lab.header()
    assert urlsplit(lab.requests[0][1]).path == "/first"


def test_basic_is_not_tried_twice():
    lab = Lab(USER)
    assert lab.learn("Basic", sent=None) is True
    assert lab.learn("Basic", sent=lab.header()) is False
    assert lab.looked_up == ["a/b"], "a credential is looked up once"


# credential, challenge's parameters, the method, URL's query, headers' Authorization, form
EXCHANGES = [
    (None, {}, "GET", [("scope", SCOPES[0])], None, None),
    (None, {"service": "s"}, "GET", [("service", "s"), ("scope", SCOPES[0])], None, None),
    (None, {"service": ""}, "GET", [("service", ""), ("scope", SCOPES[0])], None, None),
    (
        USER,
        {"service": "s"},
        "GET",
        [("service", "s"), ("scope", SCOPES[0]), ("account", "user")],
        "Basic " + USER.basic,
        None,
    ),
    (None, {"realm": "https://auth.io/t?x=1&y="}, "GET", [("x", "1"), ("y", ""), ("scope", SCOPES[0])], None, None),
    (
        Credential(identity_token="i"),
        {"service": "s"},
        "POST",
        [],
        None,
        {"grant_type": "refresh_token", "refresh_token": "i", "service": "s", "scope": SCOPES[0]},
    ),
    (
        None,
        {"scope": "repository:a/b:pull,push repository:c:pull junk"},
        "GET",
        [("scope", "repository:a/b:pull,push"), ("scope", "repository:c:pull")],
        None,
        None,
    ),
    (None, {"scope": ""}, "GET", [("scope", SCOPES[0])], None, None),
]


@pytest.mark.parametrize(("credential", "parameters", "method", "query", "authorization", "form"), EXCHANGES)
def test_the_request_for_a_token(credential, parameters, method, query, authorization, form):
    lab = Lab(credential)
    lab.learn(bearer(**parameters))
    assert lab.header() == "Bearer t1"
    ((sent_method, url, headers, sent_form),) = lab.requests
    parts = urlsplit(url)
    assert (sent_method, parts.netloc, parts.path) == (method, "auth.io", "/t")
    assert parse_qsl(parts.query, keep_blank_values=True) == query
    assert headers.get("Authorization") == authorization
    assert (sent_form and {key: sent_form[key] for key in form or {}}) == form
    assert sent_form is None or sent_form["client_id"]


def test_several_scopes_are_one_parameter_each_and_one_field_in_a_form():
    scopes = ("repository:dst:pull,push", "repository:src:pull")
    for credential in (None, Credential(identity_token="i")):
        lab = Lab(credential)
        lab.learn(bearer(), scopes=scopes)
        lab.header(scopes)
        method, url, headers, form = lab.requests[0]
        sent = form["scope"] if form else [value for key, value in parse_qsl(urlsplit(url).query) if key == "scope"]
        assert sent == (" ".join(scopes) if form else list(scopes)), "the target of a push comes first"


@pytest.mark.parametrize(
    ("base_url", "realm", "wanted"),
    [
        ("https://q.io", "/token", "https://q.io/token"),
        ("http://127.0.0.1:5000", "/token", "http://127.0.0.1:5000/token"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/t", "http://127.0.0.1:5001/t"),
    ],
)
def test_realms(base_url, realm, wanted):
    lab = Lab(base_url=base_url)
    lab.learn(bearer(realm=realm))
    lab.header(())
    assert lab.requests[0][1].partition("?")[0] == wanted


@pytest.mark.parametrize(
    "realm", ["http://auth.io/t", "https://127.0.0.1/t", "https://169.254.169.254/", "https://[::1/t", "ftp://q.io/t"]
)
def test_a_realm_that_no_credential_is_sent_to(realm):
    lab = Lab(USER)
    lab.learn(bearer(realm=realm))
    with pytest.raises(ContentError) as caught:
        lab.header()
    assert (caught.value.code, lab.requests) == ("UNSAFE_URL", [])


@pytest.mark.parametrize("status", [404, 405])
def test_a_token_server_without_get_is_asked_by_post(status):
    lab = Lab(USER, [(status, {}), {"access_token": "posted"}])
    lab.learn(bearer(service="s"))
    assert lab.header() == "Bearer posted"
    method, url, headers, form = lab.requests[1]
    assert (method, url, headers) == ("POST", "https://auth.io/t", {})
    wanted = {"grant_type": "password", "username": "user", "password": "s3cret", "scope": SCOPES[0], "service": "s"}
    assert {key: form[key] for key in wanted} == wanted


def test_without_credentials_there_is_nothing_to_post():
    lab = Lab(None, [(404, b"")])
    lab.learn(bearer())
    with pytest.raises(CredentialError, match="404"):
        lab.header()
    assert len(lab.requests) == 1


@pytest.mark.parametrize(
    ("answer", "value", "lifetime"),
    [
        ({"token": "x"}, "x", 60),
        ({"access_token": "x"}, "x", 60),
        ({"token": "", "access_token": "x"}, "x", 60),
        ({"token": "x", "access_token": "y"}, "x", 60),
        ({"token": "x", "expires_in": 300}, "x", 300),
        ({"token": "x", "expires_in": 5}, "x", 60),
        ({"token": "x", "expires_in": 0}, "x", 60),
        ({"token": "x", "expires_in": -1}, "x", 60),
        ({"token": "x", "expires_in": None}, "x", 60),
        ({"token": "x", "expires_in": "300"}, "x", 60),
        ({"token": "x", "expires_in": True}, "x", 60),
        ({"token": "x", "issued_at": "1999-01-01T00:00:00Z", "expires_in": 3600}, "x", 3600),
    ],
)
def test_the_answer_of_a_token_server(answer, value, lifetime, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0])
    lab = Lab(None, [answer, {"token": "next"}])
    lab.learn(bearer())
    token = lab.auth.token("a/b", SCOPES)
    assert (token.value, token.expires_in) == (value, lifetime)
    assert 5 <= 1000 + lifetime - token.renew_at <= 30, "renewed some seconds early"
    now[0] = token.renew_at - 1
    assert lab.auth.token("a/b", SCOPES) is token
    now[0] = token.renew_at
    assert lab.auth.token("a/b", SCOPES).value == "next"
    assert {value, "next"} <= lab.secrets


@pytest.mark.parametrize(
    ("answer", "kind", "word"),
    [
        ((401, {"details": "incorrect username or password"}), Denied, "user"),
        ((403, b""), Denied, "user"),
        ((400, b""), Denied, "user"),
        ((500, b""), CredentialError, "500"),
        ((302, b""), CredentialError, "302"),
        ({}, ContentError, "token"),
        ({"token": None}, ContentError, "token"),
        ({"token": 5}, ContentError, "token"),
        ({"token": ["x"]}, ContentError, "token"),
        ({"token": "a b"}, ContentError, "token"),
        ({"token": "a\r\nX-Evil: 1"}, ContentError, "token"),
        ({"token": "ä"}, ContentError, "token"),
        ((200, b"<html>"), ContentError, "token"),
        ((200, b"[]"), ContentError, "token"),
    ],
)
def test_a_token_server_that_gives_none(answer, kind, word):
    lab = Lab(USER, [answer])
    lab.learn(bearer())
    with pytest.raises(kind) as caught:
        lab.header()
    assert word in str(caught.value) and "auth.io" in str(caught.value) and "s3cret" not in str(caught.value)
    if kind is Denied:
        code = "DENIED" if answer[0] == 403 else "UNAUTHORIZED"
        assert (caught.value.code, caught.value.status) == (code, answer[0])
        assert caught.value.registry == "q.io" and "the file" in str(caught.value)


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (None, ["anonym"]),
        (USER, ["user", "the file"]),
        (Credential(identity_token="s3cret", source="pass"), ["token", "pass"]),
    ],
)
def test_who(credential, words):
    lab = Lab(credential)
    said = lab.auth.who("a/b")
    assert all(word in said for word in words) and "s3cret" not in said


def test_secrets_are_collected():
    lab = Lab(USER)
    lab.learn(bearer())
    lab.header()
    assert lab.secrets == {"t1"}, "the session has those of the credential"


def test_a_token_serves_its_repository_and_scopes_alone():
    lab = Lab(USER)
    lab.learn(bearer())
    assert [lab.header(), lab.header()] == ["Bearer t1", "Bearer t1"]
    assert lab.header(("repository:a/b:pull,push",)) == "Bearer t2"
    assert lab.auth.authorization("c", ("repository:c:pull",)) == "Bearer t3"
    assert lab.header() == "Bearer t1"


def test_a_token_that_was_refused_is_replaced():
    lab = Lab(USER)
    lab.learn(bearer())
    assert lab.learn(bearer(error="invalid_token"), sent=lab.header()) is True
    assert lab.header() == "Bearer t2"
    assert lab.learn(bearer(), sent="Bearer t1") is True
    assert lab.header() == "Bearer t2", "another thread has renewed it already"


def test_scopes_that_a_challenge_demands_are_added():
    lab = Lab(USER)
    lab.learn(bearer())
    wider = bearer(error="insufficient_scope", scope="repository:a/b:pull,push")
    assert lab.learn(wider, sent=lab.header()) is True
    lab.header()
    assert parse_qsl(urlsplit(lab.requests[-1][1]).query)[0] == ("scope", "repository:a/b:pull,push")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: json.dumps({"token": text}).encode()))
def test_any_answer_is_a_token_or_an_error(body):
    lab = Lab(USER, [(200, body)])
    lab.learn(bearer())
    try:
        assert lab.header().isascii()
    except OCIError as exc:
        assert exc.code
