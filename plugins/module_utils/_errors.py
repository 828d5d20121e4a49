# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to fail that a user can do something about; the runner alone turns one into a failed task."""

from __future__ import annotations


class OCIError(Exception):
    """One or two sentences that name the thing and what to change, and what goes beside them in the result."""

    code = "ERROR"

    def __init__(self, text: str, code: str = "", registry: str | None = None, status: int | None = None) -> None:
        super().__init__(text)
        self.code = code or self.code
        self.registry = registry
        self.status = status


class InvalidInput(OCIError):
    code = "INVALID_OPTION"


class Refused(OCIError):
    """Going on would do what the user asked us not to do."""

    code = "REFUSED"


class ContentError(OCIError):
    """Bytes that are not what they should be."""

    code = "CONTENT_INVALID"


class CredentialError(OCIError):
    code = "CREDENTIALS_UNUSABLE"


class ConnectionFailed(OCIError):
    """No answer came; ``final`` where another try cannot help."""

    code = "UNREACHABLE"
    final = False


class RegistryError(OCIError):
    """The registry answered, and the answer was no."""

    code = "UNKNOWN"


class NotFound(RegistryError):
    code = "NOT_FOUND"


class Denied(RegistryError):
    code = "DENIED"


class Unsupported(RegistryError):
    """The registry cannot do this, whoever asks."""

    code = "UNSUPPORTED_BY_REGISTRY"


class MissingLibrary(OCIError):
    """The text is the name of a Python library that this call needs on the target."""

    code = "MISSING_LIBRARY"
