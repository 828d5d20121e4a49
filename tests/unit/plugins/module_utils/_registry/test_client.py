# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: logins, manifests, and the sentence for every way in which a registry says no."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    CredentialError,
    Denied,
    NotFound,
    OCIError,
    RegistryError,
    Unsupported,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Descriptor, Manifest
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import ACCEPT
from ansible_collections.quayside.registry.plugins.module_utils._registry import tokens
from ansible_collections.quayside.registry.plugins.module_utils._registry.blobs import read_blob
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.manifests import put
from ansible_collections.quayside.registry.plugins.module_utils._registry.refusals import read_error, refusal
from ansible_collections.quayside.registry.plugins.module_utils._registry.tags import list_tags
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    fails,
    login,
    make_session,
    repository,
    switches,
)

USERS = {USER: PASSWORD}
MANIFEST = f"/v2/{REPO}/manifests/"


def add_image(registry: FakeRegistry, **options: Any) -> str:
    return registry.add_image(REPO, "1", layers=LAYERS, **options)


def copy_of(registry: FakeRegistry, ref: str) -> Manifest:
    manifest = registry.manifests(REPO)[registry.tags(REPO).get(ref, ref)]
    return Manifest.parse(manifest.body, manifest.media_type, "a copy")


# --- logins

LOGINS = {
    "none": Auth(mode="none"),
    "basic": Auth(mode="basic", users=USERS),
    "bearer": Auth(users=USERS),
    "realm on another host": Auth(users=USERS, realm="other_host"),
    "realm that is relative": Auth(users=USERS, realm="relative"),
    "realm with a query": Auth(users=USERS, realm_query="a=b%2Fc"),
    "no service": Auth(users=USERS, service=None),
    "empty service": Auth(users=USERS, service=""),
    "no scope in the challenge": Auth(users=USERS, scope_named=False),
    "several challenges": Auth(users=USERS, challenges=("Negotiate", "Basic", "Bearer")),
    "several challenges in one header": Auth(users=USERS, challenges=("Basic", "Bearer"), challenges_joined=True),
    "basic behind an unknown scheme": Auth(mode="basic", users=USERS, challenges=("Negotiate", "Basic")),
    "access_token": Auth(users=USERS, token_field="access_token"),
    "both fields": Auth(users=USERS, token_field="both"),
    "no expires_in": Auth(users=USERS, expires_in=None),
    "issued long ago": Auth(users=USERS, issued_at="2020-01-01T00:00:00Z"),
    "very short": Auth(users=USERS, expires_in=1),
    "first scope only": Auth(users=USERS, honours_first_scope_only=True),
    "post only": Auth(users=USERS, get_status=405),
    "get not found": Auth(users=USERS, get_status=404),
    "ping without login": Auth(users=USERS, ping_200_without_auth=True),
    "denied is 403": Auth(users=USERS, denied_status=403),
    "anonymous pull": Auth(users=USERS, anonymous_pull=True),
    "anonymous pull, basic": Auth(mode="basic", users=USERS, anonymous_pull=True),
}


@pytest.mark.parametrize("auth", LOGINS.values(), ids=LOGINS.keys())
def test_login(auth: Auth) -> None:
    with FakeRegistry(auth=auth) as registry:
        digest = add_image(registry)
        target = repository(registry, "pull", "push")
        found = target.head("1")
        assert found is not None
        assert found.digest == digest
        put(target, "2", target.get("1"))
        assert registry.tags(REPO) == {"1": digest, "2": digest}
        if auth.mode == "bearer":
            assert registry.count(path="/token") <= 3


def test_one_token_serves_a_repository() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        add_image(registry)
        target = repository(registry, "pull", "push")
        for dummy in range(5):
            target.head("1")
        assert registry.count(path="/token") == 1
        assert registry.count("HEAD") == 5
        assert registry.count("GET", "/v2/$") == 1


def test_wide_scope_is_asked_for_at_once() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        add_image(registry)
        target = repository(registry, "pull", "push")
        put(target, "2", target.get("1"))
        assert registry.count(path="/token") == 1


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_wrong_password(mode: str) -> None:
    with FakeRegistry(auth=Auth(mode=mode, users=USERS)) as registry:
        session = make_session(login(registry, Credential(USER, "wrong")))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, f"as {USER} (from the task's options)") as caught:
            repository(registry, session=session).get("1")
        assert "wrong" not in str(caught.value)
        assert registry.count() <= 4


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_no_login_at_all(mode: str) -> None:
    with FakeRegistry(auth=Auth(mode=mode, users=USERS)) as registry:
        target = repository(registry, session=make_session())
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, "anonymously, since no credentials"):
            target.get("1")


@pytest.mark.parametrize("status", [401, 403])
def test_rights_that_do_not_reach(status: int) -> None:
    """insufficient_scope, or 403."""
    auth = Auth(users=USERS, rights={USER: "pull"}, denied_status=status)
    with FakeRegistry(auth=auth) as registry:
        add_image(registry)
        target = repository(registry, "pull", "push")
        with fails(Denied, "UNAUTHORIZED" if status == 401 else "DENIED", registry.host, status, "was denied"):
            put(target, "2", target.get("1"))


def test_bad_password_that_gets_an_anonymous_token() -> None:
    auth = Auth(users=USERS, anonymous_pull=True, gives_anonymous_token_for_bad_credentials=True)
    with FakeRegistry(auth=auth) as registry:
        add_image(registry)
        target = repository(registry, session=make_session(login(registry, Credential(USER, "wrong"))))
        manifest = target.get("1")
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, f"as {USER}"):
            put(target, "2", manifest)


def test_token_that_ends_under_way() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        add_image(registry)
        target = repository(registry, "pull", "push")
        manifest = target.get("1")
        registry.expire_tokens()
        put(target, "2", manifest)
        registry.expire_tokens()
        assert target.head("2") is not None
        assert registry.count(path="/token") == 3


def test_token_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0])
    with FakeRegistry(auth=Auth(users=USERS, expires_in=300)) as registry:
        registry.clock = lambda: now[0]
        add_image(registry)
        target = repository(registry, session=make_session(login(registry)))
        target.head("1")
        now[0] += 299
        registry.reset_log()
        target.head("1")
        assert [request.status for request in registry.requests] == [200, 200]  # the token, the manifest


def test_identity_token() -> None:
    auth = Auth(users=USERS, identity_tokens={"refresh-me": USER})
    with FakeRegistry(auth=auth) as registry:
        add_image(registry)
        session = make_session(login(registry, Credential(identity_token="refresh-me")))
        assert repository(registry, session=session).head("1") is not None
        assert session.transport.secrets >= {"refresh-me"}
        assert registry.count("POST", "/token") == 1


def test_identity_token_where_the_server_takes_none() -> None:
    auth = Auth(users=USERS, identity_tokens={"refresh-me": USER}, oauth2_status=404)
    with FakeRegistry(auth=auth) as registry:
        session = make_session(login(registry, Credential(identity_token="refresh-me")))
        with fails(CredentialError, "CREDENTIALS_UNUSABLE", registry.host, 404, "instead of a token"):
            repository(registry, session=session).head("1")


def test_identity_token_that_ended() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(login(registry, Credential(identity_token="old")))
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, "with a token"):
            repository(registry, session=session).head("1")


def test_registry_token() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        add_image(registry)
        token = registry.issue_token(USER, f"repository:{REPO}:pull")
        target = repository(registry, session=make_session(login(registry, Credential(registry_token=token))))
        assert target.head("1") is not None
        assert registry.count(path="/token") == 0
        registry.expire_tokens()
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, "with a token"):
            target.get("1")


def test_registry_token_with_a_newline_is_not_shown() -> None:
    """As it comes from a file; it cannot be sent, and the sentence about that must not hold it."""
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        session = make_session(login(registry, Credential(registry_token="secret-token\n")))
        with pytest.raises(OCIError) as caught:
            repository(registry, session=session).head("1")
        assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("endless", "TOO_LARGE"),
        ("oversized", "TOO_LARGE"),
        ("html", "MANIFEST_INVALID"),
        ("no_token", "CONTENT_INVALID"),
    ],
)
def test_token_answers_that_are_none(body: str, code: str) -> None:
    with FakeRegistry(auth=Auth(users=USERS, token_body=body)) as registry:
        target = repository(registry)
        with fails(ContentError, code, registry.host, None, "token"):
            target.head("1")


@pytest.mark.parametrize("token", ["with\nnewline", "with space", "", "\u00e4", 5, None, ["a"]])
def test_tokens_that_cannot_be_sent(token: Any) -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.fault(path="/token", status=200, body={"token": token})
        with fails(ContentError, "CONTENT_INVALID", registry.host, None, "no usable token"):
            repository(registry).head("1")


def test_broken_token_server() -> None:
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        registry.fault(path="/token", status=500, times=9)
        with fails(CredentialError, "CREDENTIALS_UNUSABLE", registry.host, 500, "HTTP 500 instead of a token"):
            repository(registry).head("1")


@pytest.mark.parametrize(
    "realm", ["file:///etc/passwd", "http://169.254.169.254/token", "http://u:p@127.0.0.1/", "http://["]
)
def test_realm_that_is_unsafe(realm: str) -> None:
    with FakeRegistry(auth=Auth(users=USERS, realm=realm)) as registry:
        target = repository(registry)
        with fails(ContentError, "UNSAFE_URL", registry.host):
            target.head("1")


def test_realm_below_https_is_unsafe(certificates: Any) -> None:
    with FakeRegistry() as elsewhere:
        auth = Auth(users=USERS, realm=f"{elsewhere.url}/token")
        with FakeRegistry(auth=auth, tls=certificates.server) as registry:
            session = make_session(login(registry, settings=Settings(plain_http=False, ca_path=certificates.ca)))
            with fails(ContentError, "UNSAFE_URL", registry.host):
                repository(registry, session=session).head("1")
        assert elsewhere.requests == []


def test_the_login_stays_with_the_registry_and_its_token_server() -> None:
    with FakeRegistry(Quirks(blob_redirect=True, upload_location="other_host"), Auth(users=USERS)) as registry:
        digest = registry.add_blob(REPO, b"data")
        repository(registry).request("GET", "blobs/" + digest).discard()
        storage = [request for request in registry.requests if request.server == "storage"]
        assert len(storage) == 1
        assert "authorization" not in storage[0].headers


def test_nobody_else_may_challenge_us() -> None:
    """A storage server that answers 401 names a realm of its own; the password is not for that."""
    with FakeRegistry(auth=Auth(users=USERS)) as registry, FakeRegistry(auth=Auth(users=USERS)) as evil:
        target = repository(registry)
        registry.fault(path="/blobs/", to=f"{evil.url}/v2/{REPO}/blobs/{digest_of(b'')}", times=9)
        response = target.request("GET", "blobs/" + digest_of(b""))
        assert response.status == 401
        assert evil.count(path="/token") == 0
        assert not any("authorization" in request.headers for request in evil.requests)


# --- no


def refused(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> FakeRegistry:
    registry = FakeRegistry()
    registry.fault("*", MANIFEST, status=status, body=body, headers=headers, times=99)
    return registry


SPOKEN = {"errors": [{"code": "SOME_CODE", "message": "these are my words"}]}
REFUSALS: list[tuple[int, type[OCIError], str, str]] = [
    (400, RegistryError, "UNKNOWN", "answered HTTP 400"),
    (401, Denied, "UNAUTHORIZED", "was denied (HTTP 401"),
    (403, Denied, "DENIED", "was denied (HTTP 403"),
    (404, RegistryError, "NOT_A_REGISTRY", "not as a registry does"),
    (405, Unsupported, "UNSUPPORTED_BY_REGISTRY", "does not support this (HTTP 405"),
    (409, RegistryError, "UNKNOWN", "answered HTTP 409"),
    (412, RegistryError, "UNKNOWN", "answered HTTP 412"),
    (413, RegistryError, "UNKNOWN", "client_max_body_size"),
    (429, RegistryError, "TOOMANYREQUESTS", "is rate-limiting this host (HTTP 429"),
    (500, RegistryError, "UNKNOWN", "answered HTTP 500"),
    (501, Unsupported, "UNSUPPORTED_BY_REGISTRY", "does not support this (HTTP 501"),
    (502, RegistryError, "UNKNOWN", "try again later"),
    (503, RegistryError, "UNKNOWN", "answered HTTP 503"),
]


@pytest.mark.parametrize("body", [b"", b"<html>not for people</html>"], ids=["empty", "html"])
@pytest.mark.parametrize(("status", "kind", "code", "says"), REFUSALS)
def test_refusal_without_words(status: int, kind: type[OCIError], code: str, says: str, body: bytes) -> None:
    with refused(status, body) as registry:
        with fails(kind, code, registry.host, status, says) as caught:
            repository(registry).get("1")
        assert "html" not in str(caught.value)


def test_what_names_missing_content() -> None:
    said = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}
    code, says = "MANIFEST_BLOB_UNKNOWN", "choose those that are there"
    with refused(400, said) as registry, fails(RegistryError, code, registry.host, 400, says):
        repository(registry).get("1")


@pytest.mark.parametrize(("status", "kind", "code", "says"), REFUSALS)
def test_refusal_with_words(status: int, kind: type[OCIError], code: str, says: str) -> None:
    """Also 404: a code that is not one of those for what is absent is another error."""
    code = code if kind is Unsupported else "SOME_CODE"
    with refused(status, SPOKEN) as registry, fails(kind, code, registry.host, status, ": these are my words"):
        repository(registry).get("1")


@pytest.mark.parametrize("style", ["spec", "html", "text", "message", "details", "empty"])
def test_not_found_in_every_form(style: str) -> None:
    with FakeRegistry(Quirks(error_body=style)) as registry:
        code = "NAME_UNKNOWN" if style == "spec" else "NOT_FOUND"
        with fails(NotFound, code, registry.host, 404, f"{registry.host}/{REPO}:1 does not exist"):
            repository(registry).get("1")


def test_throttled_with_a_time() -> None:
    with refused(429, SPOKEN, {"Retry-After": "3600"}) as registry:
        with fails(RegistryError, "SOME_CODE", registry.host, 429, "it asks to wait 3600 s"):
            repository(registry).get("1")
        assert registry.count() == 1


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", None, ""),
        (b"plain words\n", None, "plain words"),
        (b"<html>x</html>", None, ""),
        (b"{broken", None, ""),
        (b"[1]", None, ""),
        (b'{"errors": []}', None, ""),
        (b'{"errors": null, "message": "m"}', None, "m"),
        (b'{"errors": ["text"]}', None, ""),
        (b'{"errors": "text"}', None, ""),
        (b'{"errors": {"code": "A"}}', None, ""),
        (b'{"errors": [{"code": "A_B", "message": "Ended."}]}', "A_B", "Ended"),
        (b'{"errors": [{"code": "not a code", "message": null}]}', None, ""),
        (b'{"errors": [{"code": 7, "message": {"a": 1}}]}', "7", "a 1"),
        (b'{"details": "d"}', None, "d"),
        (b'{"message": "a\\u0000b\\u001b[31m\\nc"}', None, "a b [31m c"),
        (b"\xff\xfe", None, "\ufffd\ufffd"),
        (b'{"error": "no such thing"}', None, "no such thing"),
        (b'{"error": {"message": "m"}}', None, "m"),
        (b'{"error": "invalid_grant", "error_description": "too old"}', None, "too old"),
        (b'{"detail": "only this"}', None, "only this"),
        (b'{"errors": [{"code": "A", "detail": {"Tag": "2", "n": 1, "x": null}}]}', "A", "Tag 2, n 1"),
        (
            b'{"errors": [{"code": "A", "message": "blob unknown", "detail": "sha256:1"}]}',
            "A",
            "blob unknown (sha256:1)",
        ),
        (b'{"errors": [{"code": "A", "message": "m", "detail": [["deep"]]}]}', "A", "m (deep)"),
        (b'{"errors": [{"code": "A", "message": "m of x", "detail": "x"}]}', "A", "m of x"),
        (b'{"errors": [{"code": "A", "message": "m"}, {"code": "A"}, {"code": "B"}]}', "A", "m, and 2 more"),
        (b'{"errors": [{"code": "DENIED", "message": "m", "detail": [{"Action": "pull"}]}]}', "DENIED", "m"),
        (b'{"message": {"deep": {"deep": {"deep": {"deep": "x"}}}}}', None, ""),
        (
            b"<?xml?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            None,
            "Request has expired",
        ),
        (b'{"message": "' + b"x" * 5000 + b'"}', None, "x" * 300),
    ],
)
def test_error_bodies(body: bytes, code: str | None, words: str) -> None:
    assert read_error(body) == (code, words)


# --- reading manifests


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(no_digest_header_on_head=True),
        Quirks(no_digest_header=True),
        Quirks(head_manifest_405=True),
        Quirks(content_type_with_charset=True),
        Quirks(content_type_json=True),
        Quirks(accept_strict=True),
        Quirks(accept_ignored_rewrites=True),
        Quirks(reencodes_gzip=True),
        Quirks(cookies_set=True),
    ],
    ids=switches,
)
@pytest.mark.parametrize("media", ["oci", "docker"])
def test_head_and_get(quirks: Quirks, media: str) -> None:
    with FakeRegistry(quirks) as registry:
        digest = add_platforms(registry, media=media)
        raw, target = registry.manifests(REPO)[digest].body, repository(registry, "pull")
        for ref in ("1", digest):
            found, manifest = target.head(ref), target.get(ref)
            assert found is not None
            assert (found.digest, found.size, found.media_type) == (digest, len(raw), manifest.media_type)
            assert manifest.raw == raw
        assert all(request.headers["accept"] == ACCEPT for request in registry.requests)


def test_head_of_what_is_absent_is_one_request() -> None:
    with FakeRegistry() as registry:
        add_image(registry)
        assert repository(registry).head("2") is None
        assert registry.count() == 1


def test_absent_by_a_head_that_nobody_signed_is_asked_again() -> None:
    with FakeRegistry() as registry:
        registry.fault("HEAD", status=404)
        add_image(registry)
        assert repository(registry).head("1") is not None


def test_a_web_server_is_no_registry() -> None:
    with refused(404, b"<html>404</html>") as registry, fails(RegistryError, "NOT_A_REGISTRY", registry.host, 404):
        repository(registry).head("1")


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_trouble_is_never_absence(status: int, writing: bool) -> None:
    """But for 403 to who writes, as the next test has it."""
    with refused(status) as registry:
        target = repository(registry)
        if writing and status == 403:
            assert target.head("1", writing) is None
            return
        with pytest.raises(OCIError) as caught:
            target.head("1", writing)
        assert caught.value.status == status


def test_forbidden_may_mean_absent_to_who_writes() -> None:
    with FakeRegistry(Quirks(missing_tag_403=True)) as registry:
        add_image(registry)
        target = repository(registry)
        assert target.head("2", writing=True) is None
        with fails(Denied, "DENIED", registry.host, 403, "It may also not exist"):
            target.head("2")


def test_hidden_repository() -> None:
    with FakeRegistry(Quirks(repo_missing_401=True), Auth(users=USERS)) as registry:
        target = repository(registry)
        with fails(Denied, "UNAUTHORIZED", registry.host, 401, "It may also not exist"):
            target.head("1")


def test_digest_header_that_disagrees() -> None:
    with FakeRegistry(Quirks(wrong_digest_header=True)) as registry:
        digest = add_image(registry)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, digest):
            repository(registry).head(digest)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, digest):
            repository(registry).get("1")
        assert repository(registry).get(digest).digest == digest  # the bytes are right, whatever a header says


def test_digest_header_that_is_none() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        body = registry.manifests(REPO)[digest].body
        headers = {"Docker-Content-Digest": "md5:nonsense", "Content-Type": OCI_MANIFEST}
        registry.fault("GET|HEAD", MANIFEST, status=200, body=body, headers=headers, times=9)
        found = repository(registry).head("1")
        assert found is not None
        assert found.digest == digest


@pytest.mark.parametrize("at", [0, 1, 200, -1])
def test_flipped_bit_in_a_manifest(at: int) -> None:
    """Also where the bit makes JSON that does not parse."""
    with FakeRegistry() as registry:
        digest = add_image(registry)
        size = len(registry.manifests(REPO)[digest].body)
        registry.fault(action="flip", at=at % size, times=9)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, digest):
            repository(registry).get("1")


def test_sha512() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        body = registry.manifests(REPO)[digest].body
        long = digest_of(body, "sha512")
        with registry.lock:
            registry.api.repos[REPO].manifests[long] = registry.api.repos[REPO].manifests[digest]
        target = repository(registry)
        found = target.head(long)
        assert found is not None
        assert found.digest == target.get(long).digest == long


def test_media_type_that_disagrees() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        body = registry.manifests(REPO)[digest].body
        registry.fault(path=MANIFEST, status=200, body=body, headers={"Content-Type": OCI_INDEX}, times=9)
        with fails(ContentError, "MEDIA_TYPE_MISMATCH", registry.host, None, "Content-Type and mediaType disagree"):
            repository(registry).get("1")


def test_schema_1() -> None:
    body = {"schemaVersion": 1, "name": REPO, "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    with FakeRegistry() as registry:
        registry.add_manifest(REPO, body, DOCKER_SCHEMA1, tag="1")
        with fails(ContentError, "UNSUPPORTED_MEDIA_TYPE", registry.host, None, "schema 1"):
            repository(registry).get("1")


def test_signed_schema_1_is_told_from_damage() -> None:
    """Its digest leaves out the signatures, so it is not that of its bytes."""
    headers = {"Content-Type": DOCKER_SCHEMA1, "Docker-Content-Digest": digest_of(b"payload")}
    with FakeRegistry() as registry:
        registry.fault(path=MANIFEST, status=200, body={"schemaVersion": 1, "fsLayers": []}, headers=headers)
        with fails(ContentError, "UNSUPPORTED_MEDIA_TYPE", registry.host, None, "schema 1"):
            repository(registry).get("1")


@pytest.mark.parametrize("action", ["endless", "10 MB"])
def test_manifest_that_is_too_large(action: str) -> None:
    with FakeRegistry() as registry:
        add_image(registry)
        if action == "endless":
            registry.fault(path=MANIFEST, action="endless")
        else:
            registry.fault(path=MANIFEST, status=200, body=b" " * 10_000_000, headers={"Content-Type": OCI_MANIFEST})
        with fails(ContentError, "TOO_LARGE", registry.host, None, "more than the 8388608 bytes"):
            repository(registry).get("1")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"a": 1, "a": 2}', b"[" * 99999])
def test_manifest_that_is_none(body: bytes) -> None:
    with FakeRegistry() as registry:
        registry.fault(path=MANIFEST, status=200, body=body, headers={"Content-Type": OCI_MANIFEST}, times=2)
        with fails(ContentError, "MANIFEST_INVALID", registry.host):
            repository(registry).get("1")


def test_pull_quota() -> None:
    with FakeRegistry(Quirks(pull_quota=1, rate_limit_headers=True)) as registry:
        add_image(registry)
        target = repository(registry)
        target.get("1")
        assert target.head("1") is not None
        with fails(RegistryError, "TOOMANYREQUESTS", registry.host, 429, "You have reached your pull rate limit"):
            target.get("1")


# --- writing manifests


@pytest.mark.parametrize("kind", ["400", "403", "409", "412", "ecr"])
def test_immutable_tags(kind: str) -> None:
    with FakeRegistry(Quirks(immutable_tags=kind)) as registry:
        add_image(registry)
        other = registry.add_image(REPO, layers=[b"other"])
        target = repository(registry)
        with pytest.raises(RegistryError) as caught:
            put(target, "1", target.get(other))
        assert caught.value.status == (400 if kind == "ecr" else int(kind))
        assert "immutable" in str(caught.value) or "cannot be overwritten" in str(caught.value)


def test_put_of_a_manifest_without_its_blobs() -> None:
    with FakeRegistry() as registry:
        add_image(registry)
        elsewhere = repository(registry, name="team/other")
        with fails(RegistryError, "MANIFEST_BLOB_UNKNOWN", registry.host, 404, "blob unknown to registry"):
            put(elsewhere, "1", copy_of(registry, "1"))


def test_put_that_stores_another_digest() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        registry.fault("PUT", status=201, headers={"Docker-Content-Digest": digest_of(b"x")}, times=2)
        with fails(ContentError, "DIGEST_MISMATCH", registry.host, None, "as the registry stored it"):
            put(repository(registry), "2", copy_of(registry, digest))


def test_put_sends_the_bytes_and_counts_them() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        session = make_session()
        manifest = copy_of(registry, digest)
        put(repository(registry, session=session), "2", manifest)
        assert registry.requests[-1].body == manifest.raw
        assert registry.requests[-1].headers["content-type"] == OCI_MANIFEST
        assert session.transport.counters.bytes_sent == len(manifest.raw)


def test_put_is_tried_again_when_its_answer_was_lost() -> None:
    with FakeRegistry() as registry:
        digest = add_image(registry)
        registry.fault("PUT", action="lost_answer")
        put(repository(registry), "2", copy_of(registry, digest))
        assert registry.tags(REPO)["2"] == digest


def test_refused_media_type() -> None:
    with FakeRegistry(Quirks(refused_types=(OCI_MANIFEST,))) as registry:
        digest = add_image(registry)
        with fails(RegistryError, "MANIFEST_INVALID", registry.host, 415, "media type not supported"):
            put(repository(registry), "2", copy_of(registry, digest))


def test_read_only_registry() -> None:
    with FakeRegistry(Quirks(push_status=405)) as registry:
        digest = add_image(registry)
        with fails(Unsupported, "UNSUPPORTED_BY_REGISTRY", registry.host, 405, "this registry is read-only"):
            put(repository(registry), "2", copy_of(registry, digest))


def test_http_to_an_https_registry_written_in_go() -> None:
    words = b"Client sent an HTTP request to an HTTPS server.\n"
    with refused(400, words) as registry:
        target = repository(registry)
        with fails(RegistryError, "UNKNOWN", registry.host, 400, "set plain_http: false, it speaks https"):
            target.get("1")


def test_names_of_targets_in_errors() -> None:
    with FakeRegistry() as registry:
        target = repository(registry)
        assert target.full("1") == f"{registry.host}/{REPO}:1"
        assert target.full(digest_of(b"")) == f"{registry.host}/{REPO}@{digest_of(b'')}"


# --- what is in front of a registry, or not a registry


def test_a_registry_below_another_path_does_not_say_absent() -> None:
    """Its router says of a path that it does not know what others say of what they lack, with a registry's headers."""
    headers = {"Docker-Distribution-Api-Version": "registry/2.0", "Content-Type": "text/plain; charset=utf-8"}
    with refused(404, b"404 page not found\n", headers) as registry:
        with fails(RegistryError, "NOT_A_REGISTRY", registry.host, 404, "check its host, port and path"):
            repository(registry).head("1")
        with fails(RegistryError, "NOT_A_REGISTRY", registry.host, 404):
            repository(registry).delete("1")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "not found"},
        {"message": "Not Found"},
        {"detail": "Not Found"},
        {"errors": [{"status": 404, "message": "Not Found"}]},
        {"error": "Not Found", "status": 404, "path": "/v2/"},
    ],
    ids=str,
)
def test_a_server_that_knows_no_path_in_json_does_not_say_absent(body: dict[str, Any]) -> None:
    with FakeRegistry() as registry:
        registry.fault("*", status=404, body=body, headers={"Content-Type": "application/json"}, times=99)
        target = repository(registry)
        looks = (lambda: target.head("1"), lambda: target.delete("1"), lambda: list_tags(target))
        for look in looks:
            with fails(RegistryError, "NOT_A_REGISTRY", registry.host, 404, "ound, but not as a registry does; check"):
                look()


def test_a_login_page_is_not_a_manifest() -> None:
    page = b"<!DOCTYPE html><title>Sign in</title>"
    with refused(200, page, {"Content-Type": "text/html"}) as registry:
        target = repository(registry)
        with fails(ContentError, "NOT_A_REGISTRY", registry.host, None, "answered with a web page instead"):
            target.head("1")


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        (b"<title>400 The plain HTTP request was sent to HTTPS port</title>", "set plain_http: false"),
        (b"<title>400 No required SSL certificate was sent</title>", "set client_cert and client_key"),
        (b"<title>400 The SSL certificate error</title>", "check client_cert and client_key"),
    ],
)
def test_what_nginx_says_of_http_and_certificates(body: bytes, advice: str) -> None:
    with refused(400, body) as registry, fails(RegistryError, "UNKNOWN", registry.host, 400, advice):
        repository(registry).get("1")


def test_a_head_that_is_throttled_is_not_followed_by_a_pull() -> None:
    with refused(429, headers={"Retry-After": "3600"}) as registry:
        with fails(RegistryError, "TOOMANYREQUESTS", registry.host, 429, "is rate-limiting this host"):
            repository(registry).head("1")
        assert registry.count("GET") == 0


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "Request has expired"),
        (404, b"", "HTTP 404"),
        (401, b"", "HTTP 401"),
    ],
)
def test_a_redirect_that_ends_in_a_refusal_is_not_the_registrys(status: int, body: bytes, words: str) -> None:
    with FakeRegistry(Quirks(blob_redirect=True), Auth(users=USERS)) as registry:
        digest = registry.add_blob(REPO, b"data")
        registry.fault("GET", server="storage", status=status, body=body, times=9)
        with fails(RegistryError, "UNKNOWN", registry.host, status, words) as caught:
            read_blob(repository(registry), Descriptor("", digest, 4))
        assert f"{registry.storage}, where {registry.host} sent us" in str(caught.value)
        assert USER not in str(caught.value)


def test_a_registry_that_sends_from_http_to_https(certificates: Any) -> None:
    """Its login is for https; that the registry was written with plain_http is what has to be changed."""
    settings = Settings(ca_path=certificates.ca)
    with FakeRegistry(tls=certificates.server) as secure, FakeRegistry() as registry:
        registry.fault("*", to=f"{secure.url}/v2/", times=9)
        secure.fault("*", status=401, times=9)
        says = f"answered HTTP 401 (write {secure.host} and set plain_http: false, it speaks https)."
        with fails(RegistryError, "UNKNOWN", registry.host, 401, says):
            repository(registry, session=make_session(settings=settings)).head("1")


@pytest.mark.parametrize(
    ("base", "url", "says"),
    [
        ("http://q.io", "https://q.io/v2/", "sent us, answered HTTP 401 (set plain_http: false, it speaks https)."),
        ("http://q.io:5000", "https://q.io/v2/", "HTTP 401 (write q.io and set plain_http: false, it speaks https)."),
        ("http://q.io", "https://storage.example/x", "storage.example:443, where q.io sent us, answered HTTP 401."),
        ("https://q.io", "https://q.io:8443/x", "q.io:8443, where q.io sent us, answered HTTP 401."),
    ],
)
def test_what_is_said_of_a_refusal_elsewhere(base: str, url: str, says: str) -> None:
    answer = SimpleNamespace(url=url, status=401, headers={}, discard=lambda: b"")
    host = base.partition("//")[2]
    assert str(refusal(answer, "It", host, base, str)).endswith(says)


# --- deleting


@pytest.mark.parametrize(
    ("quirks", "outcome"),
    [
        (Quirks(), "deleted"),
        (Quirks(tag_delete_400=True), "unsupported"),
        (Quirks(tag_delete_405=True), "unsupported"),
        (Quirks(delete_405=True), "unsupported"),
    ],
    ids=switches,
)
def test_delete_tells_what_the_registry_did(quirks: Quirks, outcome: str) -> None:
    with FakeRegistry(quirks) as registry:
        add_image(registry)
        done = repository(registry).delete("1")
        assert done.outcome == outcome
        assert (done.refusal is None) is (outcome == "deleted")
        assert (registry.tags(REPO) == {}) is (outcome == "deleted")


def test_delete_of_what_is_absent() -> None:
    with FakeRegistry() as registry:
        assert repository(registry).delete("1").outcome == "absent"


def test_delete_without_the_right() -> None:
    with FakeRegistry(auth=Auth(users=USERS, rights={USER: "pull"})) as registry:
        add_image(registry)
        with fails(Denied, "UNAUTHORIZED", registry.host, 401):
            repository(registry).delete("1")
