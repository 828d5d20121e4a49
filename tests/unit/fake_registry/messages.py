# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and answers, as the parts of the fake registry hand them to each other and keep them in its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


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
        return target_of(self.path, self.query)


@dataclass(frozen=True)
class Call:
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
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    endless: bool = False


class Refusal(Exception):
    """An error answer; each of `details` becomes one entry of the specification's error list."""

    def __init__(
        self, status: int, code: str, message: str, *details: Any, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details = details or (None,)
        self.headers = list(headers)


def target_of(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
