# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding credentials: which file, which key, which helper; and what is said of a broken one."""

from __future__ import annotations

import base64
import json
import os

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import CredentialError
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import (
    HUB_KEY,
    Credential,
    Helpers,
    ask_helper,
    auth_files,
    candidates,
    decode_entry,
    find_credential,
    helper_for,
    normal_key,
    read_auth_file,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = "p:ä$s"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def no_helper(helper, server):
    pytest.fail(f"{helper} was asked about {server}")


def test_basic_and_secrets():
    credential = Credential("user", SECRET)
    assert base64.b64decode(credential.basic).decode() == "user:" + SECRET
    assert credential.secrets() == {SECRET, credential.basic}
    assert Credential(identity_token="i", registry_token="r").secrets() == {"i", "r"}
    assert Credential("user").secrets() == Credential("user", "").secrets() == set()


def test_no_secret_is_shown_by_repr():
    shown = repr(Credential("user", "s3cret", "ident", "regtok", "file"))
    assert "user" in shown and "file" in shown
    assert not any(secret in shown for secret in ("s3cret", "ident'", "regtok"))


HOME = {"HOME": "/h"}


@pytest.mark.parametrize(
    ("auth_file", "env", "files"),
    [
        (None, HOME, "/h/.config/containers/auth.json /h/.docker/config.json"),
        ("/x.json", {**HOME, "REGISTRY_AUTH_FILE": "/r"}, "/x.json"),
        (None, {**HOME, "XDG_CONFIG_HOME": "/c"}, "/c/containers/auth.json /h/.docker/config.json"),
        (
            None,
            {**HOME, "REGISTRY_AUTH_FILE": "/r", "XDG_RUNTIME_DIR": "/run/u", "DOCKER_CONFIG": "/d"},
            "/r /run/u/containers/auth.json /h/.config/containers/auth.json /d/config.json /h/.docker/config.json",
        ),
        (
            None,
            {**HOME, "REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": "", "DOCKER_CONFIG": "", "XDG_CONFIG_HOME": ""},
            "/h/.config/containers/auth.json /h/.docker/config.json",
        ),
    ],
)
def test_auth_files(auth_file, env, files):
    assert auth_files(auth_file, env) == files.split()


def test_home_is_found():
    assert auth_files("~/x.json", {}) == [os.path.expanduser("~/x.json")]
    assert auth_files(None, {})[-1] == os.path.expanduser("~/.docker/config.json")


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"{}", {}),
        (b'{"auths": null, "x": 1}', {"auths": None, "x": 1}),
        (b'{"auths": {"q.io": {}}, "credHelpers": {}}', {"auths": {"q.io": {}}, "credHelpers": {}}),
    ],
)
def test_read_auth_file(tmp_path, content, value):
    path = tmp_path / "auth.json"
    path.write_bytes(content)
    assert read_auth_file(str(path)) == value


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"null", b"\xff", b'{"auths": []x}', b'{"auths": ["q.io"]}', b'{"credHelpers": "pass"}']
)
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "auth.json"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match="JSON") as caught:
        read_auth_file(str(path))
    assert str(path) in str(caught.value) and caught.value.code == "CREDENTIALS_UNUSABLE"


def test_a_missing_file_is_empty_and_one_that_cannot_be_read_is_an_error(tmp_path):
    assert read_auth_file(str(tmp_path / "none" / "auth.json")) == {}
    assert read_auth_file(os.devnull + "/config.json") == {}, "DOCKER_CONFIG=/dev/null means no file"
    with pytest.raises(CredentialError, match="directory"):
        read_auth_file(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("q.io", "q.io"),
        ("Q.IO:5000", "q.io:5000"),
        ("https://q.io", "q.io"),
        ("http://q.io:5000/", "q.io:5000"),
        ("https://q.io/v1/", "q.io"),
        ("https://q.io/v2/", "q.io"),
        ("https://q.io/v2", "q.io"),
        ("https://q.io/artifactory/api/docker/repo", "q.io"),
        ("https://q.io/v2/team", "q.io"),
        ("q.io/team/app", "q.io/team/app"),
        ("q.io/team/", "q.io/team"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        (HUB_KEY, "docker.io"),
        ("docker.io/library", "docker.io/library"),
        ("https://index.docker.io/v1/access-token", "docker.io/v1/access-token"),
        ("docker.io:443", "docker.io:443"),
        ("", ""),
    ],
)
def test_normal_key(key, normal):
    assert normal_key(key) == normal
    assert normal_key(normal) == normal


@pytest.mark.parametrize(
    ("repository", "keys"),
    [("", ["q.io"]), ("a", ["q.io/a", "q.io"]), ("a/b/c", ["q.io/a/b/c", "q.io/a/b", "q.io/a", "q.io"])],
)
def test_candidates(repository, keys):
    assert candidates("q.io", repository) == keys


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({}, None),
        ({"auth": ""}, None),
        ({"auth": None, "email": "x"}, None),
        ({"auth": b64("u:" + SECRET)}, Credential("u", SECRET, source="f")),
        ({"auth": b64("u:p\0\0")}, Credential("u", "p", source="f")),
        ({"auth": b64("u:p") + "\n"}, Credential("u", "p", source="f")),
        ({"auth": b64("u:p"), "username": "x", "password": "y"}, Credential("u", "p", source="f")),
        ({"username": "u", "password": "p"}, Credential("u", "p", source="f")),
        ({"username": "u"}, None),
        ({"username": "u", "password": ["p"], "identitytoken": 7}, None),
        ({"auth": b64("u:")}, None),
        ({"auth": b64(":p")}, Credential("", "p", source="f")),
        ({"auth": b64("0000:"), "identitytoken": "t"}, Credential("0000", "", "t", source="f")),
        ({"identitytoken": "t"}, Credential(identity_token="t", source="f")),
        ({"registrytoken": "t"}, Credential(registry_token="t", source="f")),
    ],
)
def test_decode_entry(entry, wanted):
    assert decode_entry(entry, "f") == wanted


@pytest.mark.parametrize(
    "auth", ["!", "dTp", "!!!!", b64("nocolon"), base64.b64encode(b"u:\xff").decode(), 7, ["dTpw"], {"a": 1}]
)
def test_a_damaged_entry_names_its_file_and_not_its_secret(auth):
    with pytest.raises(CredentialError, match="base64") as caught:
        decode_entry({"auth": auth}, "/a/file")
    assert "/a/file" in str(caught.value) and str(auth) not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1).filter(lambda text: ":" not in text), st.text(min_size=1))
def test_a_username_and_password_come_back(username, password):
    credential = Credential(username, password.rstrip("\0") + "x")
    assert decode_entry({"auth": credential.basic}, credential.source) == credential


def helper(code: int, output: str):
    def run(argv, stdin):
        assert argv == ["docker-credential-pass", "get"] and stdin == "q.io"
        return code, output

    return run


@pytest.mark.parametrize(
    ("code", "output", "wanted"),
    [
        (0, '{"ServerURL": "q.io", "Username": "u", "Secret": "p"}', ("u", "p", None)),
        (0, '{"Username": "<token>", "Secret": "t"}', (None, None, "t")),
        (0, '{"Username": "", "Secret": ""}', None),
        (1, "credentials not found in native keychain\n", None),
        (1, "Error: Credentials not found", None),
    ],
)
def test_ask_helper(code, output, wanted):
    found = ask_helper("pass", "q.io", helper(code, output))
    assert (found and (found.username, found.password, found.identity_token)) == wanted
    assert found is None or found.source == "docker-credential-pass"


@pytest.mark.parametrize(
    ("code", "output", "word"),
    [
        (1, "exit: gpg failed\nmore", "gpg failed"),
        (1, "command not found", "docker-credential-pass"),
        (127, "", "failed"),
        (0, "", "JSON"),
        (0, "{}", "JSON"),
        (0, "[]", "JSON"),
        (0, '"s3cret"', "JSON"),
        (0, '{"Username": "u", "Sekret": "s3cret"}', "JSON"),
    ],
)
def test_a_helper_that_fails(code, output, word):
    with pytest.raises(CredentialError, match="docker-credential-pass") as caught:
        ask_helper("pass", "q.io", helper(code, output))
    assert word in str(caught.value) and caught.value.code == "CREDENTIALS_UNUSABLE"
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "host", "wanted"),
    [
        ({}, "q.io", None),
        ({"credsStore": ""}, "q.io", None),
        ({"credsStore": "desktop"}, "q.io", "desktop"),
        ({"credsStore": 5}, "q.io", "5"),
        ({"credHelpers": {"q.io": "ecr"}}, "q.io", "ecr"),
        ({"credHelpers": {"q.io": "ecr"}}, "x.io", None),
        ({"credHelpers": {"q.io": "ecr"}, "credsStore": "desktop"}, "q.io", "ecr"),
        ({"credHelpers": {"q.io": "ecr"}, "credsStore": "desktop"}, "x.io", "desktop"),
        ({"credHelpers": {"q.io": ""}, "credsStore": "desktop"}, "q.io", "desktop"),
        ({"credHelpers": {"https://Q.io/": "ecr"}}, "q.io", "ecr"),
        ({"credHelpers": {"index.docker.io": "hub"}}, "docker.io", "hub"),
        ({"credHelpers": {"q.io": "ecr"}}, "q.io:5000", None),
    ],
)
def test_helper_for(config, host, wanted):
    assert helper_for(config, host) == wanted


def entry(name: str) -> dict[str, str]:
    return {"auth": b64(f"{name}:p")}


# the files' auths, host, repository, the username found
FOUND = [
    ([], "q.io", "a/b", None),
    ([{}], "q.io", "a/b", None),
    ([{"q.io": entry("host")}], "q.io", "a/b", "host"),
    ([{"q.io": entry("host")}], "q.io", "", "host"),
    ([{"q.io": entry("host")}], "q.io:5000", "a/b", None),
    ([{"q.io": entry("host")}], "x.q.io", "a/b", None),
    ([{"q.io": entry("h"), "q.io/a": entry("a"), "q.io/a/b": entry("ab")}], "q.io", "a/b", "ab"),
    ([{"q.io": entry("h"), "q.io/a": entry("a"), "q.io/a/b": entry("ab")}], "q.io", "a/c", "a"),
    ([{"q.io": entry("h"), "q.io/a": entry("a")}], "q.io", "ab", "h"),
    ([{"q.io/a": entry("a")}], "q.io", "b", None),
    ([{"q.io/a": entry("a")}], "q.io", "", None),
    ([{"q.io/a": {}, "q.io": entry("h")}], "q.io", "a", "h"),
    ([{"q.io": "text"}], "q.io", "a", None),
    ([{"https://q.io/v2/": entry("url")}], "q.io", "a", "url"),
    ([{"https://q.io/artifactory/api/docker/repo": entry("url")}], "q.io", "a", "url"),
    ([{"https://q.io/x": entry("url"), "q.io": entry("host"), "https://q.io/v1/": entry("old")}], "q.io", "a", "host"),
    ([{HUB_KEY: entry("hub")}], "docker.io", "library/alpine", "hub"),
    ([{"docker.io": entry("hub")}], "docker.io", "library/alpine", "hub"),
    ([{"docker.io/library": entry("lib")}], "docker.io", "library/alpine", "lib"),
    ([{"x.io": entry("x")}, {"q.io": entry("second")}], "q.io", "a", "second"),
    ([{"q.io": entry("first")}, {"q.io/a": entry("second")}], "q.io", "a", "first"),
]


@pytest.mark.parametrize(("files", "host", "repository", "username"), FOUND)
def test_find_credential(tmp_path, files, host, repository, username):
    paths = [str(tmp_path / "missing.json")]
    for number, auths in enumerate(files):
        paths.append(str(tmp_path / f"{number}.json"))
        with open(paths[-1], "w") as handle:
            json.dump({"auths": auths}, handle)
    found = find_credential(host, repository, paths, no_helper)
    assert (found and found.username) == username
    assert found is None or found.source in paths


def test_a_helper_comes_before_auths_and_gives_way_to_them(tmp_path):
    path = tmp_path / "config.json"
    config = {"credsStore": "desktop", "credHelpers": {"q.io": "ecr"}, "auths": {"q.io": entry("file")}}
    path.write_text(json.dumps(config))
    asked = []

    def run(argv, stdin):
        asked.append((argv[0], stdin))
        return (0, '{"Username": "helper", "Secret": "p"}') if has_it else (1, "credentials not found")

    has_it = True
    assert find_credential("q.io", "a", [str(path)], Helpers(run).get).username == "helper"
    has_it = False
    assert find_credential("q.io", "a", [str(path)], Helpers(run).get).username == "file"
    assert find_credential("docker.io", "library/x", [str(path)], Helpers(run).get) is None
    ecr, desktop = "docker-credential-ecr", "docker-credential-desktop"
    assert asked == [(ecr, "q.io"), (ecr, "q.io"), (desktop, HUB_KEY)]


def test_an_entry_for_a_path_comes_before_the_helper_of_the_host(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"credsStore": "desktop", "auths": {"q.io/team": entry("team"), "q.io": entry("host")}}))

    def run(argv, stdin):
        return 0, '{"Username": "helper", "Secret": "p"}'

    ask = Helpers(run).get
    assert find_credential("q.io", "team/app", [str(path)], ask).username == "team"
    assert find_credential("q.io", "other/app", [str(path)], ask).username == "helper"


def test_a_helper_is_asked_once_about_a_server():
    asked = []

    def run(argv, stdin):
        asked.append(stdin)
        return 1, "credentials not found"

    helpers = Helpers(run)
    assert [helpers.get("pass", "q.io"), helpers.get("pass", "q.io"), helpers.get("pass", "x.io")] == [None] * 3
    assert asked == ["q.io", "x.io"]
