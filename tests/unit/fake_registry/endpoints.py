# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoints of the fake registry share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from .content import Repository
from .messages import Call, Refusal
from .quirks import Quirks

if TYPE_CHECKING:
    from .server import FakeRegistry

DIGEST = r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"


class Endpoints:
    """The repositories, and how one of them, a page or a URL is found or refused."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.repos: dict[str, Repository] = {}
        self.pulls = 0
        self._uploads = 0
        self._signatures: set[str] = set()

    @property
    def quirks(self) -> Quirks:
        return self.registry.quirks

    def repo(self, name: str) -> Repository:
        """The repository, or the error for one that does not exist."""
        if name in self.repos:
            return self.repos[name]
        if self.quirks.repo_missing_401:
            raise self.registry.gate.unauthorized({f"repository:{name}": {"pull"}}, "insufficient_scope")
        raise self.unknown("NAME_UNKNOWN", "repository name not known to registry", {"name": name})

    def made(self, name: str) -> Repository:
        return self.repos.setdefault(name, Repository())

    def unknown(self, code: str, message: str, detail: Any) -> Refusal:
        return Refusal(404, self.quirks.not_found_code or code, message, detail)

    def page(self, call: Call, items: list[Any], key: str = "last") -> tuple[list[Any], list[tuple[str, str]]]:
        """One page of `items` and its Link header. `last` is a name; with another `key`, the number of items before."""
        wanted, last = call.get("n"), call.get(key)
        if wanted and (not wanted.isdigit() or 0 < self.quirks.page_max < int(wanted)):
            raise Refusal(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": wanted})
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
        return page, [("Link", f'<{self.base(style)}{link}>; rel="next"')]

    def base(self, style: str) -> str:
        """What the URL of a Location or Link begins with."""
        registry = self.registry
        if style == "other_host":  # named only here, as that starts the server
            return f"{registry.scheme}://{registry.storage}"
        return {"absolute": registry.url, "http": f"http://{registry.host}"}.get(style, "")
