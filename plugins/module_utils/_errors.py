# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to fail that a user can do something about."""

from __future__ import annotations


class OCIError(Exception):
    """A sentence or two that name the thing and what to change, and what stands beside them in the result."""

    code = "ERROR"
    final = False  # is another try of no help, or were all of them made?

    def __init__(self, text: str, code: str = "", registry: str | None = None, status: int | None = None) -> None:
        super().__init__("".join(char if char.isprintable() else " " for char in text))  # a server may have said it
        self.code = code or self.code
        self.registry = registry
        self.status = status


class InvalidInput(OCIError):
    code = "INVALID_OPTION"


class Refused(OCIError):
    code = "REFUSED"


class ContentError(OCIError):
    code = "CONTENT_INVALID"


class CredentialError(OCIError):
    code = "CREDENTIALS_UNUSABLE"


class ConnectionFailed(OCIError):
    """No answer came, or not all of it."""

    code = "UNREACHABLE"


class RegistryError(OCIError):
    code = "UNKNOWN"


class NotFound(RegistryError):
    code = "NOT_FOUND"


class Denied(RegistryError):
    code = "DENIED"


class Unsupported(RegistryError):
    code = "UNSUPPORTED_BY_REGISTRY"


class MissingLibrary(OCIError):
    """The text is the name of a Python library that this call needs on the target."""

    code = "MISSING_LIBRARY"
