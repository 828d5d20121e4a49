# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: who may do what, the check of every request, and the token server."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .content import digest_of, to_json
from .messages import Answer, Call, Refusal, target_of

if TYPE_CHECKING:
    from .server import FakeRegistry


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
    stranger_status: int = 0  # what all but the ping answers to who sends no login: 404 on GitHub Packages, or 403
    unknown_actions: tuple[str, ...] = ()  # 400 for a scope with one of them: Quay's token server knows no "delete"
    realm_per_project: bool = False  # Artifactory: repositories have token servers of their own, by their first part
    token_body: str = ""  # "endless", "oversized", "html", "no_token"


_STRANGERS = {404: ("NAME_UNKNOWN", "repository name not known to registry"), 403: ("DENIED", "denied")}


def _project(resource: str) -> str:
    return resource.partition(":")[2].partition("/")[0]


@dataclass
class Token:
    user: str
    access: dict[str, set[str]]
    expires: float


class Gate:
    """The one place that checks who may do what; and the token server."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.tokens: dict[str, Token] = {}
        self.refresh: dict[str, str] = dict(registry.auth.identity_tokens)
        self._issued = 0

    @property
    def auth(self) -> Auth:
        return self.registry.auth

    def check(self, call: Call, endpoint: str, repo: str) -> None:
        """Raise 401 or 403 unless the request's Authorization covers what it wants to do."""
        if self.auth.mode == "none" or (endpoint == "ping" and self.auth.ping_200_without_auth):
            return
        needs = self._needs(call, endpoint, repo)
        scheme, dummy, value = call.headers.get("authorization", "").partition(" ")
        if not scheme and self.auth.stranger_status and endpoint != "ping":
            raise Refusal(self.auth.stranger_status, *_STRANGERS[self.auth.stranger_status])
        if scheme.lower() == "bearer" and self.auth.mode == "bearer":
            token = self.tokens.get(value)
            if token is None or token.expires <= self.registry.clock():
                raise self.unauthorized(needs, "invalid_token")
            if not all(_covers(token.access.get(resource, set()), actions) for resource, actions in needs.items()):
                if self.auth.denied_status == 403:
                    raise Refusal(403, "DENIED", "requested access to the resource is denied")
                raise self.unauthorized(needs, "insufficient_scope")
            return
        user = self._basic(value) if scheme.lower() == "basic" and self._takes_basic() else None
        if user is None:
            if scheme or not (self.auth.mode == "basic" and self.auth.anonymous_pull and _only_pull(needs)):
                raise self.unauthorized(needs)
        elif not all(_covers(self._rights(user), actions) for actions in needs.values()):
            raise Refusal(403, "DENIED", f"requested access to the resource is denied for {user}")

    def _needs(self, call: Call, endpoint: str, repo: str) -> dict[str, set[str]]:
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

    def unauthorized(self, needs: Mapping[str, set[str]], error: str = "") -> Refusal:
        challenges = [self._challenge(name, needs, error) for name in self._schemes()]
        if self.auth.challenges_joined:
            challenges = [", ".join(challenges)]
        headers = [("WWW-Authenticate", challenge) for challenge in challenges]
        details = [{"Type": kind.split(":")[0], "Name": kind.split(":", 1)[1]} for kind in needs]
        return Refusal(401, "UNAUTHORIZED", "authentication required", *details, headers=headers)

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
        if self.auth.realm_per_project:
            pairs["realm"] += f"?project={_project(next(iter(needs), ''))}"
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
        return target_of(base, self.auth.realm_query)

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
        self.tokens[name] = Token(user, access, self.registry.clock() + lifetime)
        return name

    def token_get(self, call: Call) -> Answer:
        self._check_token_request(call, call)
        if self.auth.get_status:
            raise Refusal(self.auth.get_status, "UNSUPPORTED", "this token server takes POST only")
        header = call.headers.get("authorization", "")
        user = self._basic(header[6:]) if header else ""
        if user is None and not self.auth.gives_anonymous_token_for_bad_credentials:
            raise Refusal(401, "UNAUTHORIZED", "incorrect username or password")
        offline = call.get("offline_token") == "true"
        return self._token_answer(user or "", call.all("scope"), self.auth.token_field, offline)

    def token_post(self, call: Call) -> Answer:
        """OAuth2: grant types refresh_token and password."""
        if self.auth.oauth2_status:
            raise Refusal(self.auth.oauth2_status, "UNSUPPORTED", "404 page not found")
        form = replace(call, query=call.body.decode())
        self._check_token_request(call, form)
        grant, rotated = form.get("grant_type"), False
        if grant == "refresh_token":
            user = self.refresh.get(form.get("refresh_token"))
            rotated = self.auth.refresh_rotates and self.refresh.pop(form.get("refresh_token"), None) is not None
        elif grant == "password":
            user = self._login(form.get("username"), form.get("password"))
        else:
            raise Refusal(400, "UNSUPPORTED", f"unknown grant_type {grant!r}")
        if not user:
            raise Refusal(401, "UNAUTHORIZED", "invalid grant")
        return self._token_answer(
            user, form.all("scope"), "access_token", rotated or form.get("access_type") == "offline"
        )

    def _check_token_request(self, call: Call, fields: Call) -> None:
        if self.auth.service and fields.get("service") != self.auth.service:
            raise Refusal(400, "UNSUPPORTED", f"service {fields.get('service')!r} is not {self.auth.service!r}")
        if self.auth.realm_query and self.auth.realm_query not in call.query:
            raise Refusal(400, "UNSUPPORTED", "the query of the realm is missing")
        for scope in " ".join(fields.all("scope")).split():
            resource, dummy, actions = scope.rpartition(":")
            if {*actions.split(",")} & {*self.auth.unknown_actions}:
                raise Refusal(400, "", f"Unable to decode repository and actions: {resource}:{actions}")
            if self.auth.realm_per_project and call.get("project") != _project(resource):
                raise Refusal(403, "DENIED", f"{resource} is not of the project {call.get('project')!r}")

    def _token_answer(self, user: str, scopes: Sequence[str], name: str, refresh: bool) -> Answer:
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
        body = {"html": b"<html>please log in</html>", "no_token": b"{}"}.get(kind, to_json(fields))
        return Answer(200, [("Content-Type", "application/json")], body, endless=kind == "endless")


def _covers(have: set[str], want: set[str]) -> bool:
    return "*" in have or want <= have


def _only_pull(needs: Mapping[str, set[str]]) -> bool:
    return all(actions == {"pull"} for actions in needs.values())
