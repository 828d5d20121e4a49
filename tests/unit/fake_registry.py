# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stateful OCI distribution registry that lives inside the test process, with switches for real registries' quirks.

By default it is strict and correct (OCI distribution 1.1). `Quirks` bends single answers, `Auth` puts logins in front,
`FakeRegistry.fault` and `FakeRegistry.random_faults` break single requests. How a request travels:

    _Handler (sockets) -> _Faults.next -> _Gate.check (logins) -> _Api.<endpoint>_<method> -> _Answer -> _Handler._send

Three servers share the code: "registry", "storage" (where blobs and uploads may be redirected to; it refuses requests
that carry Authorization, as signed URLs do) and "token"; the latter two start when something first names them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)


@dataclass(frozen=True)
class Quirks:
    """What a registry does differently; everything is off by default. A `*_status` of 0 is off too."""

    # manifests: reading
    no_digest_header_on_head: bool = False
    no_digest_header: bool = False
    wrong_digest_header: bool = False
    head_manifest_405: bool = False
    head_manifest_404: bool = False
    accept_strict: bool = False  # 404 unless Accept names the very type (no Accept and */* do not)
    accept_ignored_rewrites: bool = False  # distribution 2.8: Docker v2 -> schema1, list -> amd64 child, OCI -> 404
    content_type_with_charset: bool = False
    content_type_json: bool = False
    reencodes_gzip: bool = False  # a proxy that compresses for whoever says Accept-Encoding: gzip
    missing_tag_403: bool = False  # Artifactory
    repo_missing_401: bool = False  # Docker Hub
    not_found_code: str = ""  # says this instead of NAME_UNKNOWN, MANIFEST_UNKNOWN, BLOB_UNKNOWN
    rate_limit_headers: bool = False
    pull_quota: int = 0  # manifest GETs before 429
    # manifests: writing
    manifest_max_bytes: int = 0  # 413
    immutable_tags: str = ""  # "400", "403", "409", "412", or "ecr" (which refuses the identical manifest too)
    blob_unknown_status: int = 404
    refused_types: tuple[str, ...] = ()  # media types of manifests or configs
    refused_types_status: int = 415
    subject_status: int = 0
    put_digest_tags: bool = False  # PUT manifests/<digest>?tag=a&tag=b answers OCI-Tag
    push_status: int = 0  # every write is refused (proxy cache, read-only)
    repo_must_exist: bool = False  # ECR
    # deleting
    tag_delete_400: bool = False  # distribution 2.8, DIGEST_INVALID
    tag_delete_405: bool = False
    tag_delete_removes_manifest: bool = False  # Harbor
    last_tag_delete_removes_manifest: bool = False  # ECR
    delete_405: bool = False
    digest_delete_dangling: bool = False  # GCR: 400 while a tag or an index points at it
    delete_lag: int = 0  # reads that still see what was deleted
    # referrers
    no_referrers_api: bool = False
    referrers_status: int = 404  # what no_referrers_api answers
    referrers_wrong_type: bool = False
    referrers_filter_ignored: bool = False
    # blobs: reading
    head_blob_status: int = 0
    blob_redirect: bool = False  # 307 to registry.storage
    blob_head_redirect: bool = False
    storage_url_single_use: bool = False
    storage_head_403: bool = False  # a URL signed for GET
    range_ignored: bool = False  # 200 and everything
    range_unsupported: bool = False  # 416 always
    range_wrong: bool = False  # 206 from another offset
    # blobs: writing
    mount_202: bool = False
    mount_status: int = 0
    mount_needs_from: bool = False  # older Quay: 400 without it
    no_automatic_mount: bool = False  # distribution: 202 without `from`
    single_post_202: bool = False  # ignores the body, as distribution
    patch_status: int = 202
    patch_201_finishes: bool = False  # ECR; the closing PUT finds no upload
    drops_later_chunks: bool = False  # ECR: 201, Range stands still
    put_blob_status: int = 201
    put_only: bool = False  # PATCH 405
    patch_only: bool = False  # older Artifactory: PUT with a body 404
    upload_location: str = "absolute"  # "relative", "other_host", "http" (also with TLS), "missing"
    upload_location_query: bool = False  # ?_state=..., which every request uses up
    chunks_refused: bool = False  # GAR: a PATCH with Content-Range 400
    chunk_min_length: int = 0
    chunk_max_length: int = 0
    body_max_bytes: int = 0  # 413 for one request's body
    refuse_transfer_chunked: bool = False  # 411
    partial_uploads_kept: bool = False  # what came before the connection broke counts
    refuse_before_body: bool = False  # 401 while the body still comes, then the connection is closed
    # lists
    page_limit: int = 0
    page_max: int = 0  # n above: 400 PAGINATION_NUMBER_INVALID
    link: str = "relative"  # "absolute", "none", "loop", "other_host"
    tags_unpaginated: bool = False  # distribution 2.8 ignores n and last
    tags_null: bool = False
    tags_missing_404: bool = False
    tags_unsorted: bool = False  # and one of them twice
    extra_json_in_tags: bool = False  # GCR
    catalog_status: int = 0
    # everything
    error_body: str = "spec"  # "html", "text", "message", "details", "empty"
    warning_header: str = ""
    cookies_set: bool = False  # and who sends one back is refused

    _WORDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "upload_location": ("absolute", "relative", "other_host", "http", "missing"),
        "link": ("relative", "absolute", "none", "loop", "other_host"),
        "error_body": ("spec", "html", "text", "message", "details", "empty"),
        "immutable_tags": ("", "400", "403", "409", "412", "ecr"),
    }

    def __post_init__(self) -> None:
        for name, words in self._WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {words}")


@dataclass(frozen=True)
class Auth:
    """Who may do what, and how the registry asks for it. Users may do everything unless `rights` says less."""

    mode: str = "bearer"  # "basic", "none"
    users: Mapping[str, str] = field(default_factory=dict)
    rights: Mapping[str, str] = field(default_factory=dict)  # user -> "pull" or "pull,push" or "*"
    anonymous_pull: bool = False  # with "basic" the ping is open, too
    identity_tokens: Mapping[str, str] = field(default_factory=dict)  # token -> user
    refresh_rotates: bool = False  # an identity token works once, the answer has the next
    realm: str = "same"  # "relative", "other_host", or a URL in which {host} is the registry's
    realm_query: str = ""  # must come back with the token request
    service: str | None = "fake registry"  # None: not named
    scope_named: bool = True
    challenges: tuple[str, ...] = ()  # ("Negotiate", "Basic", "Bearer"); Basic is then accepted as well
    challenges_joined: bool = False  # one header instead of several
    token_field: str = "token"  # "access_token", "both"
    expires_in: int | None = 300  # None: not said, 60
    issued_at: str | None = None
    honours_first_scope_only: bool = False
    get_status: int = 0  # the token server refuses GET
    oauth2_status: int = 0  # the token server refuses POST
    gives_anonymous_token_for_bad_credentials: bool = False  # Docker Hub
    denied_status: int = 401  # a good token that does not reach so far; 403 elsewhere
    ping_200_without_auth: bool = False
    delete_needs_star: bool = False
    token_body: str = ""  # "endless", "oversized", "html", "no_token"


class TLS(NamedTuple):
    """Paths of PEM files; `client_ca` makes client certificates mandatory."""

    cert: str
    key: str
    client_ca: str | None = None


@dataclass(frozen=True)
class Request:
    """One request as the log keeps it. Header names are lower case; status 0 means that no answer was sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    status: int
    body_length: int
    server: str = "registry"
    body: bytes = field(default=b"", repr=False)  # only up to 64 KiB

    @property
    def target(self) -> str:
        return _target(self.path, self.query)


class Layer(NamedTuple):
    """A layer for `add_image` that is not to be gzipped, such as zstd."""

    data: bytes
    media_type: str
    diff_id: str


class Manifest(NamedTuple):
    media_type: str
    body: bytes


@dataclass(frozen=True)
class _Call:
    server: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        return parse_qs(self.query, keep_blank_values=True).get(name, [])


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    endless: bool = False


class _Refusal(Exception):
    """An error answer; each of `details` becomes one entry of the specification's error list."""

    def __init__(
        self, status: int, code: str, message: str, *details: Any, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details = details or (None,)
        self.headers = list(headers)


@dataclass
class _Upload:
    identity: str
    data: bytearray = field(default_factory=bytearray)
    step: int = 0
    closed: bool = False  # a short chunk came, so it must have been the last

    @property
    def state(self) -> str:
        """Percent-encoded on purpose: whoever decodes or encodes it again is found out."""
        return f"s{self.step}%2B~%2F%3D"


@dataclass
class _Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, _Upload] = field(default_factory=dict)
    ghosts: dict[str, list[Any]] = field(default_factory=dict)  # deleted reference -> [reads left, manifest]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def gzipped(data: bytes) -> bytes:
    """The same bytes from every Python version (gzip.compress writes other headers in some)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def _json(value: Any) -> bytes:
    """Indented, so that a client which writes it anew does not get the same digest by chance."""
    return json.dumps(value, indent=2).encode()


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


# --- faults -----------------------------------------------------------------------------------------------------------

ACTIONS = ("status", "reset", "lost_answer", "truncate", "flip", "stall", "redirect", "endless")


@dataclass
class Fault:
    """What happens to the requests it matches, after `skip` of them, `times` times; `hits` counts those.

    status: this answer, the request is not carried out. reset: RST when `at` bytes of the request's body were read
    (default half). lost_answer: carried out, then RST. truncate: closed after `at` bytes of the answer's body (default
    half). flip: one bit of the answer's body at `at` (default the middle). stall: waits `seconds`, before the answer
    or after `at` bytes of it. redirect: to `to`, where {target} stands for the path and query. endless: never ends.
    """

    action: str
    method: str = "GET"
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at: int | None = None
    seconds: float = 0.0
    to: str = ""
    server: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action must be one of {ACTIONS}")

    def matches(self, call: _Call) -> bool:
        return (
            self.hits < self.times
            and (self.method == "*" or re.fullmatch(self.method, call.method) is not None)
            and self.server in ("", call.server)
            and re.search(self.path, _target(call.path, call.query)) is not None
        )


@dataclass(frozen=True)
class _RandomFaults:
    seed: int
    rate: float
    kinds: Sequence[str]
    path: str
    limit: int | None
    in_a_row: int


class _Faults:
    """The one place that decides which request breaks."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []
        self.random: _RandomFaults | None = None
        self.injected: list[tuple[str, str, str]] = []
        self._seen: Counter[str] = Counter()
        self._row: Counter[str] = Counter()

    def next(self, call: _Call) -> Fault | None:
        fault = self._queued(call) or self._drawn(call)
        if fault is not None:
            fault.hits += 1
            name = str(fault.status) if fault.action == "status" else fault.action
            self.injected.append((name, call.method, _target(call.path, call.query)))
        return fault

    def _queued(self, call: _Call) -> Fault | None:
        for fault in self.queue:
            if fault.matches(call):
                if not fault.skip:
                    return fault
                fault.skip -= 1
        return None

    def _drawn(self, call: _Call) -> Fault | None:
        """Drawn from what the request is and how often it came: parallel clients get the same faults in any order."""
        plan = self.random
        if plan is None or not re.search(plan.path, call.path):
            return None
        key = f"{call.server} {call.method} {re.sub(r'/uploads/.+', '/uploads/*', call.path)}"
        self._seen[key] += 1
        dice = random.Random(f"{plan.seed} {key} {self._seen[key]}")
        spent = plan.limit is not None and len(self.injected) >= plan.limit
        if spent or self._row[key] >= plan.in_a_row or dice.random() >= plan.rate:
            self._row[key] = 0
            return None
        self._row[key] += 1
        kind = dice.choice(plan.kinds)
        if not kind.isdigit():
            return Fault(kind, seconds=0.05)
        return Fault("status", status=int(kind), headers={"Retry-After": "0"} if kind in ("429", "503") else {})


# --- logins -----------------------------------------------------------------------------------------------------------


@dataclass
class _Token:
    user: str
    access: dict[str, set[str]]
    expires: float


class _Gate:
    """The one place that checks who may do what; and the token server."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.tokens: dict[str, _Token] = {}
        self.refresh: dict[str, str] = dict(registry.auth.identity_tokens)
        self._issued = 0

    @property
    def auth(self) -> Auth:
        return self.registry.auth

    def check(self, call: _Call, endpoint: str, repo: str) -> None:
        """Raise 401 or 403 unless the request's Authorization covers what it wants to do."""
        if self.auth.mode == "none" or (endpoint == "ping" and self.auth.ping_200_without_auth):
            return
        needs = self._needs(call, endpoint, repo)
        scheme, dummy, value = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.auth.mode == "bearer":
            token = self.tokens.get(value)
            if token is None or token.expires <= self.registry.clock():
                raise self.unauthorized(needs, "invalid_token")
            if not all(_covers(token.access.get(resource, set()), actions) for resource, actions in needs.items()):
                if self.auth.denied_status == 403:
                    raise _Refusal(403, "DENIED", "requested access to the resource is denied")
                raise self.unauthorized(needs, "insufficient_scope")
            return
        user = self._basic(value) if scheme.lower() == "basic" and self._takes_basic() else None
        if user is None:
            if scheme or not (self.auth.mode == "basic" and self.auth.anonymous_pull and _only_pull(needs)):
                raise self.unauthorized(needs)
        elif not all(_covers(self._rights(user), actions) for actions in needs.values()):
            raise _Refusal(403, "DENIED", f"requested access to the resource is denied for {user}")

    def _needs(self, call: _Call, endpoint: str, repo: str) -> dict[str, set[str]]:
        if endpoint == "ping":
            return {}
        if endpoint == "catalog":
            return {"registry:catalog": {"*"}}
        if call.method == "DELETE" and endpoint in ("manifest", "blob"):
            return {f"repository:{repo}": {"*" if self.auth.delete_needs_star else "delete"}}
        needs = {f"repository:{repo}": {"pull"} if call.method in ("GET", "HEAD") else {"pull", "push"}}
        if call.get("mount") and call.get("from") and call.get("from") != repo:
            needs[f"repository:{call.get('from')}"] = {"pull"}
        return needs

    def unauthorized(self, needs: Mapping[str, set[str]], error: str = "") -> _Refusal:
        challenges = [self._challenge(name, needs, error) for name in self._schemes()]
        if self.auth.challenges_joined:
            challenges = [", ".join(challenges)]
        headers = [("WWW-Authenticate", challenge) for challenge in challenges]
        details = [{"Type": kind.split(":")[0], "Name": kind.split(":", 1)[1]} for kind in needs]
        return _Refusal(401, "UNAUTHORIZED", "authentication required", *details, headers=headers)

    def _schemes(self) -> tuple[str, ...]:
        return self.auth.challenges or ("Basic" if self.auth.mode == "basic" else "Bearer",)

    def _takes_basic(self) -> bool:
        return self.auth.mode == "basic" or "Basic" in self.auth.challenges

    def _challenge(self, scheme: str, needs: Mapping[str, set[str]], error: str) -> str:
        if scheme == "Basic":
            return 'Basic realm="Registry, with a comma"'
        if scheme != "Bearer":
            return scheme
        pairs = {"realm": self.realm()}
        if self.auth.service is not None:
            pairs["service"] = self.auth.service
        if self.auth.scope_named and needs:
            pairs["scope"] = " ".join(f"{kind}:{','.join(sorted(actions))}" for kind, actions in needs.items())
        if error:
            pairs["error"] = error
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in pairs.items())

    def realm(self) -> str:
        registry = self.registry
        known = {"same": f"{registry.url}/token", "relative": "/token"}
        if self.auth.realm == "other_host":
            base = f"{registry.scheme}://{registry.token_host}/token"
        else:
            base = known.get(self.auth.realm, self.auth.realm.replace("{host}", registry.host))
        return _target(base, self.auth.realm_query)

    def _basic(self, value: str) -> str | None:
        try:
            user, dummy, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return None
        return self._login(user, password)

    def _login(self, user: str, password: str) -> str | None:
        return user if user in self.auth.users and self.auth.users[user] == password else self.refresh.get(password)

    def _rights(self, user: str) -> set[str]:
        if user:
            return set(self.auth.rights.get(user, "*").split(","))
        return {"pull"} if self.auth.anonymous_pull else set()

    def issue(self, user: str, scopes: Sequence[str]) -> str:
        """A token with as much of `scopes` as the user may have; real token servers do not refuse the rest either."""
        access: dict[str, set[str]] = {}
        for scope in scopes:
            resource, dummy, wanted = scope.rpartition(":")
            rights = self._rights(user)
            granted = {action for action in wanted.split(",") if _covers(rights, {action})}
            access.setdefault(resource, set()).update(granted)
        self._issued += 1
        lifetime = 60 if self.auth.expires_in is None else self.auth.expires_in
        name = f"token-{self._issued}-{digest_of(repr((user, scopes, self._issued)).encode())[7:39]}"
        self.tokens[name] = _Token(user, access, self.registry.clock() + lifetime)
        return name

    def token_get(self, call: _Call) -> _Answer:
        self._check_token_request(call, call)
        if self.auth.get_status:
            raise _Refusal(self.auth.get_status, "UNSUPPORTED", "this token server takes POST only")
        header = call.headers.get("authorization", "")
        user = self._basic(header[6:]) if header else ""
        if user is None and not self.auth.gives_anonymous_token_for_bad_credentials:
            raise _Refusal(401, "UNAUTHORIZED", "incorrect username or password")
        offline = call.get("offline_token") == "true"
        return self._token_answer(user or "", call.all("scope"), self.auth.token_field, offline)

    def token_post(self, call: _Call) -> _Answer:
        """OAuth2: grant types refresh_token and password."""
        if self.auth.oauth2_status:
            raise _Refusal(self.auth.oauth2_status, "UNSUPPORTED", "404 page not found")
        form = replace(call, query=call.body.decode())
        self._check_token_request(call, form)
        grant, rotated = form.get("grant_type"), False
        if grant == "refresh_token":
            user = self.refresh.get(form.get("refresh_token"))
            rotated = self.auth.refresh_rotates and self.refresh.pop(form.get("refresh_token"), None) is not None
        elif grant == "password":
            user = self._login(form.get("username"), form.get("password"))
        else:
            raise _Refusal(400, "UNSUPPORTED", f"unknown grant_type {grant!r}")
        if not user:
            raise _Refusal(401, "UNAUTHORIZED", "invalid grant")
        return self._token_answer(
            user, form.all("scope"), "access_token", rotated or form.get("access_type") == "offline"
        )

    def _check_token_request(self, call: _Call, fields: _Call) -> None:
        if self.auth.service and fields.get("service") != self.auth.service:
            raise _Refusal(400, "UNSUPPORTED", f"service {fields.get('service')!r} is not {self.auth.service!r}")
        if self.auth.realm_query and self.auth.realm_query not in call.query:
            raise _Refusal(400, "UNSUPPORTED", "the query of the realm is missing")

    def _token_answer(self, user: str, scopes: Sequence[str], name: str, refresh: bool) -> _Answer:
        scopes = [scope for group in scopes for scope in group.split()]
        token = self.issue(user, scopes[:1] if self.auth.honours_first_scope_only else scopes)
        fields: dict[str, Any] = dict.fromkeys(("token", "access_token") if name == "both" else (name,), token)
        if self.auth.expires_in is not None:
            fields["expires_in"] = self.auth.expires_in
        if self.auth.issued_at:
            fields["issued_at"] = self.auth.issued_at
        if refresh and user:
            fields["refresh_token"] = f"refresh-{self._issued}"
            self.refresh[fields["refresh_token"]] = user
        kind = self.auth.token_body
        if kind == "oversized":
            fields["padding"] = "x" * (1 << 20)
        body = {"html": b"<html>please log in</html>", "no_token": b"{}"}.get(kind, _json(fields))
        return _Answer(200, [("Content-Type", "application/json")], body, endless=kind == "endless")


def _covers(have: set[str], want: set[str]) -> bool:
    return "*" in have or want <= have


def _only_pull(needs: Mapping[str, set[str]]) -> bool:
    return all(actions == {"pull"} for actions in needs.values())


# --- the endpoints ----------------------------------------------------------------------------------------------------

_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPO = rf"/v2/(?P<repo>{_WORD}(?:/{_WORD})*)"
_DIGEST = r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_ROUTES = [
    ("ping", re.compile(r"/v2/?")),
    ("catalog", re.compile(r"/v2/_catalog")),
    ("tags", re.compile(_REPO + r"/tags/list")),
    ("manifest", re.compile(_REPO + rf"/manifests/(?P<ref>{_TAG}|{_DIGEST})")),
    ("uploads", re.compile(_REPO + r"/blobs/uploads/?")),
    ("upload", re.compile(_REPO + r"/blobs/uploads/(?P<ref>[^/]+)")),
    ("blob", re.compile(_REPO + r"/blobs/(?P<ref>[^/]+)")),
    ("referrers", re.compile(_REPO + rf"/referrers/(?P<ref>{_DIGEST})")),
    ("token", re.compile(r"/token")),
    ("signed", re.compile(r"/storage/(?P<repo>.+)/(?P<ref>[^/]+)")),
]


class _Api:
    """One method for each endpoint and HTTP method; HEAD is GET without its body."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.repos: dict[str, _Repository] = {}
        self.pulls = 0
        self._uploads = 0
        self._signatures: set[str] = set()

    @property
    def quirks(self) -> Quirks:
        return self.registry.quirks

    def answer(self, call: _Call, gate: _Gate, refuse_only: bool = False) -> _Answer | None:
        """The answer to a request; with `refuse_only`, just a refusal that does not depend on the body."""
        try:
            endpoint, repo, ref = self._route(call)
            self._refuse_early(call, gate, endpoint, repo)
            if refuse_only:
                return None
            if endpoint == "token":
                answer = gate.token_post(call) if call.method == "POST" else gate.token_get(call)
            else:
                method = "get" if call.method == "HEAD" else call.method.lower()
                act = getattr(self, f"{endpoint}_{method}", None)
                if act is None:
                    raise _Refusal(405, "UNSUPPORTED", "the operation is unsupported")
                answer = act(call, repo, ref)
        except _Refusal as refusal:
            answer = self._refused(refusal)
        return self._dressed(call, answer)

    def _route(self, call: _Call) -> tuple[str, str, str]:
        path = unquote(call.path)
        for endpoint, pattern in _ROUTES:
            match = pattern.fullmatch(path)
            if match and (endpoint != "signed" or call.server == "storage"):
                found = match.groupdict()
                return endpoint, found.get("repo", ""), found.get("ref", "")
        raise _Refusal(404, "", "404 page not found")

    def _refuse_early(self, call: _Call, gate: _Gate, endpoint: str, repo: str) -> None:
        quirks = self.quirks
        if call.server == "storage":
            if "authorization" in call.headers:
                raise _Refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        elif endpoint != "token":
            gate.check(call, endpoint, repo)
        if quirks.cookies_set and "cookie" in call.headers:
            raise _Refusal(403, "FORBIDDEN", "CSRF token invalid")
        if endpoint == "token" or call.method in ("GET", "HEAD"):
            return
        if quirks.push_status:
            raise _Refusal(quirks.push_status, "DENIED", "this registry is read-only")
        if quirks.delete_405 and call.method == "DELETE" and endpoint != "upload":
            raise _Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        if quirks.refuse_transfer_chunked and "chunked" in call.headers.get("transfer-encoding", ""):
            raise _Refusal(411, "SIZE_INVALID", "a Content-Length is required")
        if call.method == "POST" and not {"content-length", "transfer-encoding"} & set(call.headers):
            raise _Refusal(411, "SIZE_INVALID", "a Content-Length is required, also of 0")
        if 0 < quirks.body_max_bytes < len(call.body):
            raise _Refusal(413, "SIZE_INVALID", "request body too large")
        if quirks.repo_must_exist and repo not in self.repos:
            raise _Refusal(404, "NAME_UNKNOWN", f"the repository with name '{repo}' does not exist in the registry")

    def _refused(self, refusal: _Refusal) -> _Answer:
        kind, message = self.quirks.error_body, refusal.message
        errors = [{"code": refusal.code, "message": message, "detail": detail} for detail in refusal.details]
        known = {
            "spec": ("application/json; charset=utf-8", _json({"errors": errors})),
            "message": ("application/json", _json({"message": message})),
            "details": ("application/json", _json({"details": message})),
            "html": ("text/html", f"<html><body><h1>{html.escape(message)}</h1></body></html>".encode()),
            "text": ("text/plain; charset=utf-8", f"{message}\n".encode()),
            "empty": ("text/plain", b""),
        }
        content_type, body = known["text" if kind == "spec" and not refusal.code else kind]
        return _Answer(refusal.status, [*refusal.headers, ("Content-Type", content_type)], body)

    def _dressed(self, call: _Call, answer: _Answer) -> _Answer:
        """The headers that every answer has."""
        quirks = self.quirks
        answer.headers.append(("Docker-Distribution-Api-Version", "registry/2.0"))
        if quirks.warning_header:
            answer.headers.append(("Warning", f'299 - "{quirks.warning_header}"'))
        if quirks.cookies_set:
            answer.headers.append(("Set-Cookie", "sid=1; Path=/; HttpOnly"))
        if quirks.reencodes_gzip and answer.body and "gzip" in call.headers.get("accept-encoding", ""):
            answer.body = gzipped(answer.body)
            answer.headers.append(("Content-Encoding", "gzip"))
        return answer

    def repo(self, name: str) -> _Repository:
        """The repository, or the error for one that does not exist."""
        if name in self.repos:
            return self.repos[name]
        if self.quirks.repo_missing_401:
            raise self.registry.gate.unauthorized({f"repository:{name}": {"pull"}}, "insufficient_scope")
        raise self._unknown("NAME_UNKNOWN", "repository name not known to registry", {"name": name})

    def made(self, name: str) -> _Repository:
        return self.repos.setdefault(name, _Repository())

    def _unknown(self, code: str, message: str, detail: Any) -> _Refusal:
        return _Refusal(404, self.quirks.not_found_code or code, message, detail)

    # ping, lists

    def ping_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        return _Answer(200, [("Content-Type", "application/json")], b"{}")

    def catalog_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        if self.quirks.catalog_status == 401:
            raise self.registry.gate.unauthorized({"registry:catalog": {"*"}}, "insufficient_scope")
        if self.quirks.catalog_status:
            raise _Refusal(self.quirks.catalog_status, "UNSUPPORTED", "the catalog is not offered")
        names, headers = self._page(call, sorted(self.repos))
        return _Answer(200, [*headers, ("Content-Type", "application/json")], _json({"repositories": names}))

    def tags_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks, found = self.quirks, self.repo(repo)
        tags, headers = sorted(found.tags), list[tuple[str, str]]()
        if not tags and quirks.tags_missing_404:
            raise self._unknown("NAME_UNKNOWN", "repository name not known to registry", {"name": repo})
        if not quirks.tags_unpaginated:
            tags, headers = self._page(call, tags)
        body: dict[str, Any] = {"name": repo, "tags": tags or (None if quirks.tags_null else [])}
        if quirks.tags_unsorted and tags:
            body["tags"] = tags[::-1] + tags[:1]
        if quirks.extra_json_in_tags:
            names = {digest: [tag for tag in tags if found.tags[tag] == digest] for digest in found.manifests}
            body["child"] = []
            body["manifest"] = {
                digest: {
                    "mediaType": manifest.media_type,
                    "tag": names[digest],
                    "imageSizeBytes": str(len(manifest.body)),
                }
                for digest, manifest in found.manifests.items()
            }
        return _Answer(200, [*headers, ("Content-Type", "application/json")], _json(body))

    def _page(self, call: _Call, items: list[Any], key: str = "last") -> tuple[list[Any], list[tuple[str, str]]]:
        """One page of `items` and its Link header. `last` is a name; with another `key`, the number of items before."""
        wanted, last = call.get("n"), call.get(key)
        if wanted and (not wanted.isdigit() or 0 < self.quirks.page_max < int(wanted)):
            raise _Refusal(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": wanted})
        if last:
            items = [item for item in items if item > last] if key == "last" else items[int(last) :]
        limits = [int(wanted)] if wanted else []
        limits += [self.quirks.page_limit] if self.quirks.page_limit else []
        size = min(limits, default=len(items))
        page, style = items[:size], self.quirks.link
        if not page or style == "none" or (len(page) == len(items) and style != "loop"):
            return page, []
        marker = page[-1] if key == "last" else str(int(last or 0) + size)
        query = {name: call.get(name) for name in ("n", "artifactType") if call.get(name)}
        link = call.path + "?" + (call.query if style == "loop" else urlencode({**query, key: marker}))
        return page, [("Link", f'<{self._base(style)}{link}>; rel="next"')]

    def _base(self, style: str) -> str:
        """What the URL of a Location or Link begins with."""
        registry = self.registry
        if style == "other_host":  # named only here, as that starts the server
            return f"{registry.scheme}://{registry.storage}"
        return {"absolute": registry.url, "http": f"http://{registry.host}"}.get(style, "")

    # manifests

    def find(self, name: str, ref: str) -> tuple[str, Manifest]:
        """(digest, manifest) of a tag or digest, or the error for one that does not exist."""
        repo = self.repo(name)
        digest = ref if ":" in ref else repo.tags.get(ref, "")
        if digest in repo.manifests:
            return digest, repo.manifests[digest]
        ghost = repo.ghosts.get(ref)
        if ghost and ghost[0] > 0:
            ghost[0] -= 1
            return digest_of(ghost[1].body), ghost[1]
        if self.quirks.missing_tag_403 and ":" not in ref:
            raise _Refusal(403, "DENIED", f"not allowed to read {name}:{ref}")
        raise self._unknown("MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "reference": ref})

    def manifest_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks, head = self.quirks, call.method == "HEAD"
        if head and quirks.head_manifest_405:
            raise _Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        if head and quirks.head_manifest_404:
            raise self._unknown("MANIFEST_UNKNOWN", "manifest unknown", {"reference": ref})
        limits = self._count_pull(head)
        digest, manifest = self._negotiated(call, repo, ref)
        content_type = manifest.media_type
        if quirks.content_type_json:
            content_type = "application/json"
        if quirks.content_type_with_charset:
            content_type += "; charset=utf-8"
        headers = [("Content-Type", content_type), ("ETag", f'"{digest}"'), *limits]
        if not quirks.no_digest_header and not (head and quirks.no_digest_header_on_head):
            headers.append(
                ("Docker-Content-Digest", digest_of(digest.encode()) if quirks.wrong_digest_header else digest)
            )
        if call.headers.get("if-none-match", "").strip('"') == digest:
            return _Answer(304, headers)
        return _Answer(200, headers, manifest.body)

    def _count_pull(self, head: bool) -> list[tuple[str, str]]:
        quota = self.quirks.pull_quota
        self.pulls += 0 if head else 1
        limit = quota or 100
        headers = [
            ("RateLimit-Limit", f"{limit};w=21600"),
            ("RateLimit-Remaining", f"{max(limit - self.pulls, 0)};w=21600"),
        ]
        if quota and not head and self.pulls > quota:
            message = "You have reached your pull rate limit."
            raise _Refusal(429, "TOOMANYREQUESTS", message, headers=[*headers, ("Retry-After", "1")])
        return headers if self.quirks.rate_limit_headers else []

    def _negotiated(self, call: _Call, repo: str, ref: str) -> tuple[str, Manifest]:
        """What Accept allows. Without Accept anything goes, except in the two modes that real registries have."""
        digest, manifest = self.find(repo, ref)
        accepted = [part.split(";")[0].strip() for part in call.headers.get("accept", "").split(",")]
        exact = self.quirks.accept_strict or self.quirks.accept_ignored_rewrites
        if manifest.media_type in accepted or (not exact and {"", "*/*", "application/*"} & set(accepted)):
            return digest, manifest
        if self.quirks.accept_ignored_rewrites:
            if manifest.media_type == DOCKER_LIST:
                children = json.loads(manifest.body)["manifests"]
                amd64 = [c for c in children if c.get("platform", {}).get("architecture") == "amd64"]
                return self._negotiated(call, repo, (amd64 or children)[0]["digest"])
            if manifest.media_type == DOCKER_MANIFEST:
                body = _schema1(repo, ref, json.loads(manifest.body))
                return digest_of(body), Manifest(DOCKER_SCHEMA1, body)
        raise self._unknown(
            "MANIFEST_UNKNOWN", f"the Accept header does not allow {manifest.media_type}", {"reference": ref}
        )

    def manifest_put(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks = self.quirks
        if 0 < quirks.manifest_max_bytes < len(call.body):
            raise _Refusal(413, "MANIFEST_INVALID", "the manifest is too large")
        algorithm = ref.split(":")[0] if ":" in ref else "sha256"
        digest = digest_of(call.body, algorithm)
        if ":" in ref and ref != digest:
            raise _Refusal(400, "DIGEST_INVALID", "the digest does not match the manifest", {"digest": ref})
        content_type = call.headers.get("content-type", "")
        manifest = self._checked_manifest(self.made(repo), content_type, call.body)
        tags = ([] if ":" in ref else [ref]) + (call.all("tag") if quirks.put_digest_tags else [])
        self._check_tags(repo, tags, digest)
        found = self.made(repo)
        found.manifests[digest] = Manifest(content_type, call.body)
        found.tags.update(dict.fromkeys(tags, digest))
        for name in (digest, *tags):
            found.ghosts.pop(name, None)
        headers = [("Location", f"{self.registry.url}/v2/{repo}/manifests/{digest}"), ("Docker-Content-Digest", digest)]
        headers += [("OCI-Tag", tag) for tag in call.all("tag") if quirks.put_digest_tags]
        if "subject" in manifest and not quirks.no_referrers_api:
            headers.append(("OCI-Subject", manifest["subject"]["digest"]))
        return _Answer(201, headers)

    def _checked_manifest(self, repo: _Repository, content_type: str, body: bytes) -> dict[str, Any]:
        try:
            manifest = json.loads(body)
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            raise _Refusal(400, "MANIFEST_INVALID", "the manifest is not a JSON object")
        if not content_type or manifest.get("mediaType", content_type) != content_type:
            raise _Refusal(400, "MANIFEST_INVALID", f"Content-Type {content_type!r} is not the manifest's mediaType")
        types = {content_type, manifest.get("config", {}).get("mediaType")}
        if types & set(self.quirks.refused_types):
            raise _Refusal(self.quirks.refused_types_status, "MANIFEST_INVALID", "media type not supported")
        if "subject" in manifest and self.quirks.subject_status:
            raise _Refusal(self.quirks.subject_status, "UNSUPPORTED", "subject is not supported")
        blobs = [*manifest.get("layers", []), *([manifest["config"]] if "config" in manifest else [])]
        sizes = {digest: len(data) for digest, data in repo.blobs.items()}
        children = {**sizes, **{digest: len(child.body) for digest, child in repo.manifests.items()}}
        wanted = [(d, sizes) for d in blobs if not d.get("urls")] + [
            (d, children) for d in manifest.get("manifests", [])
        ]
        missing = [{"digest": d["digest"]} for d, have in wanted if d["digest"] not in have]
        if missing:
            raise _Refusal(
                self.quirks.blob_unknown_status, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", *missing
            )
        wrong = [{"digest": d["digest"]} for d, have in wanted if d.get("size") != have[d["digest"]]]
        if wrong:
            raise _Refusal(400, "SIZE_INVALID", "the size in a descriptor is wrong", *wrong)
        return manifest

    def _check_tags(self, repo: str, tags: Sequence[str], digest: str) -> None:
        kind, found = self.quirks.immutable_tags, self.made(repo)
        for tag in tags if kind else ():
            if kind == "ecr" and tag in found.tags:
                message = f"The image tag '{tag}' already exists in the '{repo}' repository and cannot be overwritten"
                raise _Refusal(400, "ImageTagAlreadyExistsException", message)
            if found.tags.get(tag, digest) != digest:
                raise _Refusal(int(kind), "DENIED", f"the tag {tag} is immutable")

    def manifest_delete(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks = self.quirks
        if ":" not in ref and quirks.tag_delete_400:
            raise _Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if ":" not in ref and quirks.tag_delete_405:
            raise _Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        digest, manifest = self.find(repo, ref)
        found = self.repos[repo]
        tags = [tag for tag, target in found.tags.items() if target == digest]
        whole = ":" in ref or quirks.tag_delete_removes_manifest
        whole = whole or (quirks.last_tag_delete_removes_manifest and len(tags) == 1)
        if whole and quirks.digest_delete_dangling:
            self._refuse_dangling(found, digest, tags)
        gone = tags if whole else [ref]
        if whole:
            found.manifests.pop(digest, None)
            gone = [*tags, digest]
        for name in gone:
            found.tags.pop(name, None)
            found.ghosts[name] = [quirks.delete_lag, manifest]
        return _Answer(202)

    def _refuse_dangling(self, repo: _Repository, digest: str, tags: Sequence[str]) -> None:
        if tags:
            message = f"Manifest is still referenced by tag: {tags[0]}"
            raise _Refusal(400, "GOOGLE_MANIFEST_DANGLING_TAG", message)
        for parent, manifest in repo.manifests.items():
            if any(child["digest"] == digest for child in json.loads(manifest.body).get("manifests", [])):
                message = f"Manifest is still referenced by image: {parent}"
                raise _Refusal(400, "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE", message)

    def referrers_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks = self.quirks
        if quirks.no_referrers_api:
            raise _Refusal(quirks.referrers_status, "", "404 page not found")
        if quirks.referrers_wrong_type:
            return _Answer(200, [("Content-Type", "text/html")], b"<html>welcome</html>")
        found = self.repos.get(repo, _Repository())
        entries = [
            _referrer(digest, manifest)
            for digest, manifest in sorted(found.manifests.items())
            if json.loads(manifest.body).get("subject", {}).get("digest") == ref
        ]
        headers = [("Content-Type", OCI_INDEX)]
        wanted = call.get("artifactType")
        if wanted and not quirks.referrers_filter_ignored:
            entries = [entry for entry in entries if entry.get("artifactType") == wanted]
            headers.append(("OCI-Filters-Applied", "artifactType"))
        entries, links = self._page(call, entries, key="page")
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return _Answer(200, [*headers, *links], _json(index))

    # blobs

    def blob(self, repo: str, digest: str) -> bytes:
        if not re.fullmatch(_DIGEST, digest):
            raise _Refusal(400, "DIGEST_INVALID", "invalid digest", {"digest": digest})
        blobs = self.repo(repo).blobs
        if digest not in blobs:
            raise self._unknown("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        return blobs[digest]

    def blob_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks, head = self.quirks, call.method == "HEAD"
        if head and quirks.head_blob_status:
            raise _Refusal(quirks.head_blob_status, "UNSUPPORTED", "no HEAD for blobs")
        data = self.blob(repo, ref)
        if quirks.blob_head_redirect if head else quirks.blob_redirect:
            self._uploads += 1
            path = f"/storage/{repo}/{ref}?X-Signature=a%2Bb%2F{self._uploads}"
            return _Answer(307, [("Location", self._base("other_host") + path)])
        return self._ranged(call, data, ref)

    def signed_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        """What a signed URL of the storage server leads to."""
        quirks = self.quirks
        used = call.query in self._signatures and quirks.storage_url_single_use
        if (
            not call.query.startswith("X-Signature=a%2Bb%2F")
            or used
            or (quirks.storage_head_403 and call.method == "HEAD")
        ):
            raise _Refusal(403, "AccessDenied", "Request has expired, or the signature does not match")
        self._signatures.add(call.query)
        return self._ranged(call, self.blob(repo, ref), ref)

    def _ranged(self, call: _Call, data: bytes, digest: str) -> _Answer:
        quirks, size = self.quirks, len(data)
        headers = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", f'"{digest}"')]
        if not quirks.no_digest_header:
            headers.append(("Docker-Content-Digest", digest))
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
        if not match or quirks.range_ignored or match.group(0) == "bytes=-":
            return _Answer(200, headers, data)
        first, last = match.groups()
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last), size - 1) if first and last else size - 1
        if quirks.range_unsupported or start > end:
            raise _Refusal(416, "RANGE_INVALID", "invalid range", headers=[("Content-Range", f"bytes */{size}")])
        if quirks.range_wrong:
            start = 0
        return _Answer(206, [*headers, ("Content-Range", f"bytes {start}-{end}/{size}")], data[start : end + 1])

    def blob_delete(self, call: _Call, repo: str, ref: str) -> _Answer:
        self.blob(repo, ref)
        del self.repos[repo].blobs[ref]
        return _Answer(202)

    # uploads

    def uploads_post(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks = self.quirks
        if call.get("mount"):
            if quirks.mount_status:
                raise _Refusal(quirks.mount_status, "UNSUPPORTED", "mount is not supported")
            if quirks.mount_needs_from and not call.get("from"):
                raise _Refusal(400, "BLOB_UPLOAD_INVALID", "mount without from")
            unlikely = quirks.mount_202 or (quirks.no_automatic_mount and not call.get("from"))
            if not unlikely and self._mounted(call, repo):
                return self._stored(repo, call.get("mount"), 201)
        if call.get("digest") and not quirks.single_post_202:
            self._store(repo, call.get("digest"), call.body)
            return self._stored(repo, call.get("digest"), 201)
        self._uploads += 1
        upload = _Upload(f"upload-{self._uploads}")
        self.made(repo).uploads[upload.identity] = upload
        extra = [("OCI-Chunk-Min-Length", str(quirks.chunk_min_length))] if quirks.chunk_min_length else []
        return self._progress(repo, upload, 202, extra)

    def _mounted(self, call: _Call, repo: str) -> bool:
        """Without `from` any repository may be the source (the specification's content discovery)."""
        digest, source = call.get("mount"), call.get("from")
        for found in [self.repos.get(source, _Repository())] if source else list(self.repos.values()):
            if digest in found.blobs:
                self.made(repo).blobs[digest] = found.blobs[digest]
                return True
        return False

    def _progress(self, repo: str, upload: _Upload, status: int, extra: Iterable[tuple[str, str]] = ()) -> _Answer:
        location = f"/v2/{repo}/blobs/uploads/{upload.identity}"
        if self.quirks.upload_location_query:
            location += f"?_state={upload.state}"
        style = self.quirks.upload_location
        headers = [] if style == "missing" else [("Location", self._base(style) + location)]
        headers += [("Range", f"0-{max(len(upload.data) - 1, 0)}"), ("Docker-Upload-UUID", upload.identity)]
        return _Answer(status, [*headers, *extra])

    def _upload(self, call: _Call, repo: str, ref: str) -> _Upload:
        upload = self.repo(repo).uploads.get(ref)
        if upload is None:
            raise _Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.quirks.upload_location_query and f"_state={upload.state}" not in call.query.split("&"):
            raise _Refusal(400, "BLOB_UPLOAD_INVALID", "the _state is not that of the last Location")
        return upload

    def upload_get(self, call: _Call, repo: str, ref: str) -> _Answer:
        return self._progress(repo, self._upload(call, repo, ref), 204)

    def upload_delete(self, call: _Call, repo: str, ref: str) -> _Answer:
        del self.repos[repo].uploads[self._upload(call, repo, ref).identity]
        return _Answer(204)

    def upload_patch(self, call: _Call, repo: str, ref: str) -> _Answer:
        quirks = self.quirks
        if quirks.put_only:
            raise _Refusal(405, "UNSUPPORTED", "PATCH is not supported")
        upload = self._upload(call, repo, ref)
        if call.headers.get("content-type", "application/octet-stream") != "application/octet-stream":
            raise _Refusal(400, "BLOB_UPLOAD_INVALID", "Content-Type must be application/octet-stream")
        self._check_chunk(call, repo, upload)
        if quirks.drops_later_chunks and upload.data:
            return self._progress(repo, upload, 201)
        upload.data += call.body
        upload.step += 1
        if quirks.patch_201_finishes:
            digest = digest_of(bytes(upload.data))
            self._store(repo, digest, bytes(upload.data))
            del self.repos[repo].uploads[ref]
            return self._stored(repo, digest, 201)
        return self._progress(repo, upload, 201 if quirks.drops_later_chunks else quirks.patch_status)

    def _check_chunk(self, call: _Call, repo: str, upload: _Upload) -> None:
        """Chunks come in order and say so: Content-Range: <first>-<last>, without a unit."""
        said = call.headers.get("content-range")
        if said is None:
            return
        if self.quirks.chunks_refused:
            raise _Refusal(400, "UNSUPPORTED", "chunked uploads are not supported")
        match = re.fullmatch(r"(\d+)-(\d+)", said)
        if not match:
            raise _Refusal(400, "BLOB_UPLOAD_INVALID", f"Content-Range {said!r} is not <first>-<last>")
        first, last = (int(number) for number in match.groups())
        problem = ""
        if first != len(upload.data) or last - first + 1 != len(call.body):
            problem = f"Content-Range {said} with {len(call.body)} bytes does not follow {len(upload.data)} bytes"
        elif 0 < self.quirks.chunk_max_length < len(call.body):
            problem = "body too large"
        elif upload.closed:
            problem = f"a chunk before the last was shorter than {self.quirks.chunk_min_length} bytes"
        if problem:
            where = self._progress(repo, upload, 416).headers
            raise _Refusal(416, "BLOB_UPLOAD_INVALID", problem, headers=where)
        upload.closed = len(call.body) < self.quirks.chunk_min_length

    def upload_put(self, call: _Call, repo: str, ref: str) -> _Answer:
        upload = self._upload(call, repo, ref)
        if self.quirks.patch_only and call.body and not upload.data:
            raise _Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if call.body:
            self._check_chunk(call, repo, upload)
        del self.repos[repo].uploads[ref]
        self._store(repo, call.get("digest"), bytes(upload.data) + call.body)
        return self._stored(repo, call.get("digest"), self.quirks.put_blob_status)

    def partial(self, call: _Call) -> None:
        """What is left of a PATCH whose connection broke."""
        endpoint, name, ref = self._route(call)
        upload = self.repos.get(name, _Repository()).uploads.get(ref)
        if endpoint == "upload" and call.method == "PATCH" and upload and self.quirks.partial_uploads_kept:
            upload.data += call.body

    def _store(self, repo: str, digest: str, data: bytes) -> None:
        if not re.fullmatch(_DIGEST, digest) or digest_of(data, digest.split(":")[0]) != digest:
            raise _Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {"digest": digest})
        self.made(repo).blobs[digest] = data

    def _stored(self, repo: str, digest: str, status: int) -> _Answer:
        location = f"{self.registry.url}/v2/{repo}/blobs/{digest}"
        return _Answer(status, [("Location", location), ("Docker-Content-Digest", digest)])


def _schema1(repo: str, tag: str, manifest: Mapping[str, Any]) -> bytes:
    layers = [{"blobSum": layer["digest"]} for layer in reversed(manifest["layers"])]
    history = [{"v1Compatibility": json.dumps({"id": layer["blobSum"][7:]})} for layer in layers]
    return _json(
        {"schemaVersion": 1, "name": repo, "tag": tag, "fsLayers": layers, "history": history, "signatures": []}
    )


def _referrer(digest: str, manifest: Manifest) -> dict[str, Any]:
    content = json.loads(manifest.body)
    entry = {"mediaType": manifest.media_type, "digest": digest, "size": len(manifest.body)}
    kind = content.get("artifactType") or content.get("config", {}).get("mediaType")
    optional = {"artifactType": kind, "annotations": content.get("annotations")}
    return {**entry, **{name: value for name, value in optional.items() if value}}


# --- sockets ----------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: _Server

    def setup(self) -> None:
        if self.server.context is not None:  # here and not at accept(): a slow handshake blocks nobody else
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.server.connections.discard(self.connection)
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        """Silent; the log is FakeRegistry.requests."""

    def serve(self) -> None:
        registry = self.server.registry
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, dummy, query = self.path.partition("?")
        call = _Call(self.server.name, self.command, path, query, headers)
        with registry.lock:
            fault = registry.faults.next(call)
            early = registry.quirks.refuse_before_body and registry.api.answer(call, registry.gate, refuse_only=True)
        if early:
            self.close_connection = True
            registry.log(call, early.status)
            return self._send(early, None)
        reset = fault is not None and fault.action == "reset"
        body, whole = self._read_body(fault.at if fault and reset else None, half=reset)
        call = replace(call, body=body)
        if reset or not whole:
            with registry.lock:
                registry.api.partial(call)
            registry.log(call, 0)
            return self._abort()
        answer = registry.answer(call, fault)
        if fault is not None and fault.action == "lost_answer":
            registry.log(call, 0)
            return self._abort()
        registry.log(call, answer.status)
        return self._send(answer, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def _read_body(self, limit: int | None, half: bool) -> tuple[bytes, bool]:
        """(body, whether it came to its end); at most `limit` bytes, or half of what was announced."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks(limit if limit is not None else (1 if half else None))
        length = int(self.headers.get("Content-Length") or 0)
        wanted = min(length, limit if limit is not None else (length // 2 if half else length))
        body = self.rfile.read(wanted)
        return body, len(body) == length

    def _read_chunks(self, limit: int | None) -> tuple[bytes, bool]:
        body = bytearray()
        while limit is None or len(body) < limit:
            line = self.rfile.readline(1024).split(b";")[0].strip()
            if not line:
                return bytes(body), False
            size = int(line, 16)
            data = self.rfile.read(size)
            body += data
            if self.rfile.readline(3) != b"\r\n" or len(data) < size:
                return bytes(body), False
            if size == 0:
                return bytes(body), True
        return bytes(body[:limit]), False

    def _send(self, answer: _Answer, fault: Fault | None) -> None:
        body, action = answer.body, fault.action if fault else ""
        cut: int | None = None
        if action == "flip" and fault and body:
            at = len(body) // 2 if fault.at is None else min(fault.at, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        elif action == "truncate" and fault:
            cut = len(body) // 2 if fault.at is None else fault.at
            self.close_connection = True
        elif action == "stall" and fault:
            cut = fault.at
        endless = (answer.endless or action == "endless") and self.command != "HEAD"
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers if not (endless and name == "Content-Length")]
        if endless:
            lines.append("Transfer-Encoding: chunked")
        elif answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        if action == "stall" and fault and cut is None:
            self.server.registry.closing.wait(fault.seconds)
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            if action == "truncate" and (self.command == "HEAD" or not body):
                return  # nothing of the body to cut, so the answer is cut away
            self._write(head, b"" if self.command == "HEAD" else body, endless, cut, fault)
        except OSError:
            self.close_connection = True

    def _write(self, head: bytes, body: bytes, endless: bool, cut: int | None, fault: Fault | None) -> None:
        if endless:
            self.wfile.write(head)
            while not self.server.registry.closing.is_set():
                self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            self.close_connection = True
        elif cut is not None:
            self.wfile.write(head + body[:cut])
            if fault and fault.action == "stall":
                self.server.registry.closing.wait(fault.seconds)
                self.wfile.write(body[cut:])
        elif len(body) < 1 << 16:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            self.wfile.write(body)

    def _abort(self) -> None:
        """RST instead of FIN; the files made of the socket would keep a plain close() from closing it."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.connections.discard(self.connection)
        os.close(self.connection.detach())


class _Server(ThreadingHTTPServer):
    """One listening socket. Its accept loop blocks instead of polling, so that stopping takes no time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, registry: FakeRegistry, name: str, context: ssl.SSLContext | None) -> None:
        self.registry, self.name, self.context = registry, name, context
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self._accept, name=f"fake-{name}", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Without HTTPServer's reverse DNS look-up."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def _accept(self) -> None:
        while True:
            connection, address = self.get_request()
            if self.registry.closing.is_set():
                return connection.close()
            self.process_request(connection, address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away, or break off a handshake, are none of our errors; the rest is."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.registry.errors.append(traceback.format_exc())

    def close(self) -> None:
        """The registry's `closing` is set by now; a last connection wakes the accept loop."""
        socket.create_connection(("127.0.0.1", self.server_address[1])).close()
        self._thread.join()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


# --- what tests use ---------------------------------------------------------------------------------------------------


class FakeRegistry:
    """A running registry: `with FakeRegistry(quirks, auth, tls) as registry: ... registry.host ...`.

    `quirks` and `auth` may be assigned to at any time (identity tokens are read at the start). `clock` returns seconds
    and decides when tokens expire. `errors` holds tracebacks of the fake's own mistakes; leaving the block raises them.
    """

    def __init__(self, quirks: Quirks = Quirks(), auth: Auth | None = None, tls: tuple[str, ...] | None = None) -> None:
        self.quirks, self.auth = quirks, auth or Auth(mode="none")
        self.scheme = "https" if tls else "http"
        self.clock: Callable[[], float] = time.monotonic
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.faults, self.api, self.gate = _Faults(), _Api(self), _Gate(self)
        self._context = _tls_context(TLS(*tls)) if tls else None
        self._servers: dict[str, _Server] = {}
        self.host = self._server("registry")

    def __enter__(self) -> FakeRegistry:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close()
        if self.errors and kind is None:
            raise AssertionError("the fake registry failed:\n" + self.errors[0])

    def close(self) -> None:
        self.closing.set()
        for server in self._servers.values():
            server.close()

    def _server(self, name: str) -> str:
        with self.lock:
            if name not in self._servers:
                self._servers[name] = _Server(self, name, self._context)
            return self._servers[name].host

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def storage(self) -> str:
        """host:port that blobs and uploads may be redirected to."""
        return self._server("storage")

    @property
    def token_host(self) -> str:
        """host:port of the token server, where it is another than the registry."""
        return self._server("token")

    # requests and faults

    def answer(self, call: _Call, fault: Fault | None) -> _Answer:
        if fault is not None and fault.action == "status":
            return _Answer(fault.status, list(fault.headers.items()), fault.body)
        if fault is not None and fault.action == "redirect":
            to = fault.to.replace("{target}", _target(call.path, call.query))
            return _Answer(fault.status or 307, [*fault.headers.items(), ("Location", to)], fault.body)
        try:
            with self.lock:
                answer = self.api.answer(call, self.gate)
        except Exception:  # a mistake in here: tell the test instead of hanging its client
            self.errors.append(traceback.format_exc())
            return _Answer(500, [("Content-Type", "text/plain")], self.errors[-1].encode())
        return answer or _Answer(500)

    def log(self, call: _Call, status: int) -> None:
        body = call.body if len(call.body) <= 1 << 16 else b""
        entry = (call.method, call.path, call.query, call.headers, status, len(call.body), call.server, body)
        with self.lock:
            self.requests.append(Request(*entry))

    def reset_log(self) -> None:
        with self.lock:
            self.requests.clear()
            self.faults.injected.clear()

    def count(self, method: str = "*", path: str = "", server: str = "") -> int:
        """How many requests: `method` as in `fault`, `path` a regular expression found in the path and query."""
        probe = Fault("status", method, path, server=server)
        return sum(probe.matches(_Call(r.server, r.method, r.path, r.query, r.headers)) for r in list(self.requests))

    def fault(
        self,
        method: str = "GET",
        path: str = "",
        *,
        times: int = 1,
        skip: int = 0,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] = b"",
        action: str | None = None,
        at: int | None = None,
        seconds: float = 0.0,
        to: str = "",
        server: str = "",
    ) -> Fault:
        """Break the requests that match (see Fault). `method` is "*" or a regular expression such as "GET|HEAD"."""
        content = body if isinstance(body, bytes) else _json(body)
        name = action or ("redirect" if to else "status")
        fault = Fault(name, method, path, times, skip, status, headers or {}, content, at, seconds, to, server)
        if name == "status" and not status:
            raise ValueError("give a status or an action")
        with self.lock:
            self.faults.queue.append(fault)
        return fault

    def random_faults(
        self,
        seed: int,
        rate: float,
        kinds: Sequence[str] = ("reset", "lost_answer", "truncate", "flip", "429", "500", "502", "503"),
        path: str = "",
        limit: int | None = None,
        in_a_row: int = 2,
    ) -> None:
        """Break `rate` of all requests from now on (0: none). `kinds` are actions or statuses; the same method and path
        breaks at most `in_a_row` times running, and `limit` requests in all. What broke is in `faults.injected`."""
        with self.lock:
            self.faults.random = _RandomFaults(seed, rate, kinds, path, limit, in_a_row) if rate else None

    # logins

    def issue_token(self, user: str, *scopes: str) -> str:
        """A token as the token server would give it."""
        with self.lock:
            return self.gate.issue(user, scopes)

    def expire_tokens(self) -> None:
        with self.lock:
            for token in self.gate.tokens.values():
                token.expires = float("-inf")

    # content: adding

    def create_repo(self, repo: str) -> None:
        with self.lock:
            self.api.made(repo)

    def add_blob(self, repo: str, data: bytes) -> str:
        digest = digest_of(data)
        with self.lock:
            self.api.made(repo).blobs[digest] = data
        return digest

    def add_manifest(
        self, repo: str, body: bytes | Mapping[str, Any], media_type: str | None = None, tag: str | None = None
    ) -> str:
        """Unchecked: what it names need not exist. The media type defaults to the body's."""
        raw = body if isinstance(body, bytes) else _json(body)
        digest = digest_of(raw)
        with self.lock:
            found = self.api.made(repo)
            found.manifests[digest] = Manifest(media_type or json.loads(raw)["mediaType"], raw)
            if tag:
                found.tags[tag] = digest
        return digest

    def add_image(
        self,
        repo: str,
        tag: str | None = None,
        layers: Sequence[bytes | Layer | Mapping[str, Any]] = (),
        platform: str = "linux/amd64",
        config: Mapping[str, Any] | None = None,
        media: str = "oci",
        annotations: Mapping[str, str] | None = None,
        subject: Mapping[str, Any] | None = None,
        artifact_type: str | None = None,
    ) -> str:
        """Tar bytes are gzipped (gzip bytes stay); a mapping is a ready descriptor, such as a foreign layer's. `config`
        is laid over the generated one, key by key of the top level."""
        types = {"oci": (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER), "docker": (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)}
        manifest_type, config_type, layer_type = types[media]
        descriptors, diff_ids = [], []
        for layer in layers:
            if isinstance(layer, Mapping):
                descriptors.append(dict(layer))
                diff_ids.append(layer["digest"])
                continue
            if isinstance(layer, bytes):
                packed = layer if layer[:2] == b"\x1f\x8b" else gzipped(layer)
                layer = Layer(packed, layer_type, digest_of(gzip.decompress(packed)))
            descriptors.append(self._blob_descriptor(repo, layer.data, layer.media_type))
            diff_ids.append(layer.diff_id)
        system, architecture, *variant = platform.split("/")
        image: dict[str, Any] = {"architecture": architecture, "os": system}
        if variant:
            image["variant"] = variant[0]
        image["created"] = "2024-01-02T03:04:05Z"
        image["config"] = {}
        image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        image["history"] = [{"created_by": f"layer {number}"} for number in range(len(diff_ids))]
        image.update(config or {})
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest_type}
        manifest["config"] = self._blob_descriptor(repo, _json(image), config_type)
        manifest["layers"] = descriptors
        optional = {"artifactType": artifact_type, "annotations": annotations, "subject": subject}
        return self.add_manifest(
            repo, {**manifest, **{name: value for name, value in optional.items() if value}}, tag=tag
        )

    def add_index(
        self,
        repo: str,
        tag: str | None = None,
        manifests: Sequence[str | Mapping[str, Any]] = (),
        annotations: Mapping[str, str] | None = None,
        media: str = "oci",
        subject: Mapping[str, Any] | None = None,
    ) -> str:
        """Digests become descriptors with the platform that the image's config names."""
        children = [self.descriptor(repo, child) if isinstance(child, str) else dict(child) for child in manifests]
        index: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX if media == "oci" else DOCKER_LIST,
            "manifests": children,
        }
        optional = {"annotations": annotations, "subject": subject}
        return self.add_manifest(repo, {**index, **{name: value for name, value in optional.items() if value}}, tag=tag)

    def add_attestation(self, repo: str, digest: str, statement: bytes = b'{"_type": "in-toto"}') -> dict[str, Any]:
        """BuildKit's attestation of the image `digest`; returns the descriptor to give to `add_index`."""
        layer = Layer(statement, "application/vnd.in-toto+json", digest_of(statement))
        child = self.add_image(repo, layers=[layer], platform="unknown/unknown")
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
        return {**self.descriptor(repo, child), "annotations": notes}

    def add_referrer(
        self, repo: str, subject: str, artifact_type: str, data: bytes, annotations: Mapping[str, str] | None = None
    ) -> str:
        """An artifact with one blob whose subject is the manifest `subject` (a digest); returns its digest."""
        target = {name: value for name, value in self.descriptor(repo, subject).items() if name != "platform"}
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type}
        manifest["config"] = self._blob_descriptor(repo, b"{}", OCI_EMPTY)
        manifest["layers"] = [self._blob_descriptor(repo, data, "application/octet-stream")]
        manifest["subject"] = target
        return self.add_manifest(repo, {**manifest, **({"annotations": annotations} if annotations else {})})

    def _blob_descriptor(self, repo: str, data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "size": len(data), "digest": self.add_blob(repo, data)}

    # content: looking

    def descriptor(self, repo: str, ref: str) -> dict[str, Any]:
        """Of a manifest by tag or digest; an image's has its platform."""
        digest, manifest = self._manifest(repo, ref)
        found = {"mediaType": manifest.media_type, "size": len(manifest.body), "digest": digest}
        config = json.loads(manifest.body).get("config", {})
        if config.get("mediaType") in (OCI_CONFIG, DOCKER_CONFIG):
            image = self.config(repo, digest)
            platform = {name: image.get(name) for name in ("architecture", "os", "variant", "os.version")}
            found["platform"] = {name: value for name, value in platform.items() if value}
        return found

    def _manifest(self, repo: str, ref: str) -> tuple[str, Manifest]:
        with self.lock:
            found = self.api.repos[repo]
            digest = ref if ":" in ref else found.tags[ref]
            return digest, found.manifests[digest]

    def manifest(self, repo: str, ref: str) -> dict[str, Any]:
        """Decoded; KeyError when it does not exist."""
        content: dict[str, Any] = json.loads(self._manifest(repo, ref)[1].body)
        return content

    def config(self, repo: str, ref: str) -> dict[str, Any]:
        """An image's configuration, decoded."""
        content: dict[str, Any] = json.loads(self.blobs(repo)[self.manifest(repo, ref)["config"]["digest"]])
        return content

    def tags(self, repo: str) -> dict[str, str]:
        with self.lock:
            return dict(self.api.repos.get(repo, _Repository()).tags)

    def manifests(self, repo: str) -> dict[str, Manifest]:
        """digest -> (media_type, body)"""
        with self.lock:
            return dict(self.api.repos.get(repo, _Repository()).manifests)

    def blobs(self, repo: str) -> dict[str, bytes]:
        with self.lock:
            return dict(self.api.repos.get(repo, _Repository()).blobs)

    def drop_uploads(self) -> None:
        """Forget all uploads in progress, as a registry that was restarted."""
        with self.lock:
            for found in self.api.repos.values():
                found.uploads.clear()

    def state(self) -> dict[str, dict[str, Any]]:
        """All that a client can change, to compare before and after: repository -> tags, manifests, blobs, uploads."""
        with self.lock:
            snapshot = {name: asdict(found) for name, found in self.api.repos.items()}
        for content in snapshot.values():
            del content["ghosts"]
        return snapshot


def _tls_context(tls: TLS) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
