# SPDX-License-Identifier: GPL-3.0-or-later
"""A stateful OCI distribution registry that lives inside the test process, with switches for real registries' quirks.

By default it is strict and correct (OCI distribution 1.1). `Quirks` bends single answers, `Auth` puts logins in front,
`FakeRegistry.fault` and `FakeRegistry.random_faults` break single requests. How a request travels:

    sockets.Handler -> faults.Faults.next -> auth.Gate.check -> api.Api.<endpoint>_<method> -> Answer -> Handler._send

Three servers share the code: "registry", "storage" (where blobs and uploads may be redirected to; it refuses requests
that carry Authorization, as signed URLs do) and "token"; the latter two start when something first names them.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .api import Api
from .auth import Auth, Gate
from .content import to_json
from .faults import Fault, Faults, RandomFaults
from .images import Images
from .messages import Answer, Call, Request, target_of
from .quirks import Quirks
from .sockets import TLS, Server, tls_context


class FakeRegistry(Images):
    """A running registry: `with FakeRegistry(quirks, auth, tls) as registry: ... registry.host ...`.

    `quirks` and `auth` may be assigned to at any time (identity tokens are read at the start). `clock` returns seconds
    and decides when tokens expire. `errors` holds tracebacks of the fake's own mistakes; leaving the block raises them.
    """

    def __init__(
        self, quirks: Quirks | None = None, auth: Auth | None = None, tls: tuple[str, ...] | None = None
    ) -> None:
        self.quirks, self.auth = quirks or Quirks(), auth or Auth(mode="none")
        self.scheme = "https" if tls else "http"
        self.clock: Callable[[], float] = time.monotonic
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.faults, self.api, self.gate = Faults(), Api(self), Gate(self)
        self._context = tls_context(TLS(*tls)) if tls else None
        self._servers: dict[str, Server] = {}
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
                self._servers[name] = Server(self, name, self._context)
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

    def answer(self, call: Call, fault: Fault | None) -> Answer:
        if fault is not None and fault.action == "status":
            return Answer(fault.status, list(fault.headers.items()), fault.body)
        if fault is not None and fault.action == "redirect":
            to = fault.to.replace("{target}", target_of(call.path, call.query))
            return Answer(fault.status or 307, [*fault.headers.items(), ("Location", to)], fault.body)
        try:
            with self.lock:
                answer = self.api.answer(call, self.gate)
        except Exception:  # a mistake in here: tell the test instead of hanging its client
            self.errors.append(traceback.format_exc())
            return Answer(500, [("Content-Type", "text/plain")], self.errors[-1].encode())
        return answer or Answer(500)

    def log(self, call: Call, status: int) -> None:
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
        return sum(probe.matches(Call(r.server, r.method, r.path, r.query, r.headers)) for r in list(self.requests))

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
        content = body if isinstance(body, bytes) else to_json(body)
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
            self.faults.random = RandomFaults(seed, rate, kinds, path, limit, in_a_row) if rate else None

    # logins

    def issue_token(self, user: str, *scopes: str) -> str:
        """A token as the token server would give it."""
        with self.lock:
            return self.gate.issue(user, scopes)

    def expire_tokens(self) -> None:
        with self.lock:
            for token in self.gate.tokens.values():
                token.expires = float("-inf")
