# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to its answer: the endpoint, what refuses at once, and what every answer has."""

from __future__ import annotations

import html
import re
from urllib.parse import unquote

from .auth import Gate
from .blobs import Blobs
from .content import Repository, gzipped, to_json
from .endpoints import DIGEST
from .lists import Lists
from .manifests import Manifests
from .messages import Answer, Call, Refusal
from .uploads import Uploads

_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPO = rf"/v2/(?P<repo>{_WORD}(?:/{_WORD})*)"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_ROUTES = [
    ("ping", re.compile(r"/v2/?")),
    ("catalog", re.compile(r"/v2/_catalog")),
    ("tags", re.compile(_REPO + r"/tags/list")),
    ("manifest", re.compile(_REPO + rf"/manifests/(?P<ref>{_TAG}|{DIGEST})")),
    ("uploads", re.compile(_REPO + r"/blobs/uploads/?")),
    ("upload", re.compile(_REPO + r"/blobs/uploads/(?P<ref>[^/]+)")),
    ("blob", re.compile(_REPO + r"/blobs/(?P<ref>[^/]+)")),
    ("referrers", re.compile(_REPO + rf"/referrers/(?P<ref>{DIGEST})")),
    ("token", re.compile(r"/token")),
    ("signed", re.compile(r"/storage/(?P<repo>.+)/(?P<ref>[^/]+)")),
]


class Api(Lists, Manifests, Blobs, Uploads):
    """One method for each endpoint and HTTP method; HEAD is GET without its body."""

    def answer(self, call: Call, gate: Gate, refuse_only: bool = False) -> Answer | None:
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
                    raise Refusal(405, "UNSUPPORTED", "the operation is unsupported")
                answer = act(call, repo, ref)
        except Refusal as refusal:
            answer = self._refused(refusal)
        return self._dressed(call, answer)

    def _route(self, call: Call) -> tuple[str, str, str]:
        path = unquote(call.path)
        for endpoint, pattern in _ROUTES:
            match = pattern.fullmatch(path)
            if match and (endpoint != "signed" or call.server == "storage"):
                found = match.groupdict()
                return endpoint, found.get("repo", ""), found.get("ref", "")
        raise Refusal(404, "", "404 page not found")

    def _refuse_early(self, call: Call, gate: Gate, endpoint: str, repo: str) -> None:
        quirks = self.quirks
        if call.server == "storage":
            if "authorization" in call.headers:
                raise Refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        elif endpoint != "token":
            gate.check(call, endpoint, repo)
        if quirks.cookies_set and "cookie" in call.headers:
            raise Refusal(403, "FORBIDDEN", "CSRF token invalid")
        if endpoint == "token" or call.method in ("GET", "HEAD"):
            return
        if quirks.push_status:
            raise Refusal(quirks.push_status, "DENIED", "this registry is read-only")
        if quirks.delete_405 and call.method == "DELETE" and endpoint != "upload":
            raise Refusal(405, "UNSUPPORTED", "the operation is unsupported")
        if quirks.refuse_transfer_chunked and "chunked" in call.headers.get("transfer-encoding", ""):
            raise Refusal(411, "SIZE_INVALID", "a Content-Length is required")
        if call.method == "POST" and not {"content-length", "transfer-encoding"} & set(call.headers):
            raise Refusal(411, "SIZE_INVALID", "a Content-Length is required, also of 0")
        if 0 < quirks.body_max_bytes < len(call.body):
            raise Refusal(413, "SIZE_INVALID", "request body too large")
        if quirks.repo_must_exist and repo not in self.repos:
            raise Refusal(404, "NAME_UNKNOWN", f"the repository with name '{repo}' does not exist in the registry")

    def _refused(self, refusal: Refusal) -> Answer:
        kind, message = self.quirks.error_body, refusal.message
        errors = [{"code": refusal.code, "message": message, "detail": detail} for detail in refusal.details]
        known = {
            "spec": ("application/json; charset=utf-8", to_json({"errors": errors})),
            "message": ("application/json", to_json({"message": message})),
            "details": ("application/json", to_json({"details": message})),
            "html": ("text/html", f"<html><body><h1>{html.escape(message)}</h1></body></html>".encode()),
            "text": ("text/plain; charset=utf-8", f"{message}\n".encode()),
            "empty": ("text/plain", b""),
        }
        content_type, body = known["text" if kind == "spec" and not refusal.code else kind]
        return Answer(refusal.status, [*refusal.headers, ("Content-Type", content_type)], body)

    def _dressed(self, call: Call, answer: Answer) -> Answer:
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

    def partial(self, call: Call) -> None:
        """What is left of a PATCH whose connection broke."""
        endpoint, name, ref = self._route(call)
        upload = self.repos.get(name, Repository()).uploads.get(ref)
        if endpoint == "upload" and call.method == "PATCH" and upload and self.quirks.partial_uploads_kept:
            upload.data += call.body
