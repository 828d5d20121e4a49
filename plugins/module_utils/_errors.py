# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to fail that a user can do something about."""

from __future__ import annotations

import typing as t


class OCIError(Exception):
    """What went wrong, in a sentence or two that name the thing and what to change.

    ``code`` is the registry's own error code or one of ours, ``registry`` its ``host[:port]``, ``status`` the HTTP
    status where there was an answer. ``details`` are more fields for the module's result, such as those of a verdict.
    """

    code = "ERROR"
    final = False  # is another try of no help, or were all of them made?

    def __init__(
        self,
        text: str,
        code: str = "",
        registry: str | None = None,
        status: int | None = None,
        details: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        super().__init__("".join(char if char.isprintable() else " " for char in text))  # a server may have said it
        self.code = code or self.code
        self.registry = registry
        self.status = status
        self.details = details or {}

    def fields(self) -> dict[str, t.Any]:
        """Return what a failed task shows."""
        described = {"msg": str(self), "error_code": self.code, "registry": self.registry, "status": self.status}
        return {**self.details, **described}


class InvalidInput(OCIError):
    """An option cannot be used as it was given; raised before anything is written, mostly before any request."""

    code = "INVALID_OPTION"


class Refused(OCIError):
    """What was asked for would break or overwrite something that the task was told to leave alone."""

    code = "REFUSED"


class ContentError(OCIError):
    """Content is not what it claims to be: damaged, malformed, hostile, or of another kind than the task needs."""

    code = "CONTENT_INVALID"


class CredentialError(OCIError):
    """Credentials, or the helper or token server that hands them out, cannot be used."""

    code = "CREDENTIALS_UNUSABLE"


class ConnectionFailed(OCIError):
    """No answer came, or not all of it."""

    code = "UNREACHABLE"


class RegistryError(OCIError):
    """A registry answered with an error for which there is no class of its own."""

    code = "UNKNOWN"


class NotFound(RegistryError):
    """A registry says that the thing does not exist."""

    code = "NOT_FOUND"


class Denied(RegistryError):
    """A registry or its token server does not let us (401, 403)."""

    code = "DENIED"


class Unsupported(RegistryError):
    """A registry cannot do what was asked for, whoever asks."""

    code = "UNSUPPORTED_BY_REGISTRY"


class MissingLibrary(OCIError):
    """A Python library that this call needs is not on the target; the text is its name alone."""

    code = "MISSING_LIBRARY"
