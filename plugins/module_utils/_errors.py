# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to fail that a user can do something about.

The logic raises one of these; the runner alone turns it into a failed task. A message is one or two sentences that name
the thing, quote the registry where it spoke, and say what to change.
"""

from __future__ import annotations


class OCIError(Exception):
    """The root: a message for the user, and what goes beside it in the failed result."""

    code = "ERROR"

    def __init__(
        self, message: str, *, code: str | None = None, registry: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.registry = registry
        self.status = status


class InvalidInput(OCIError):
    """An option that cannot mean anything: a malformed reference, platform, query or pattern."""

    code = "INVALID_OPTION"


class Refused(OCIError):
    """Going on would do what the user asked us not to do (``TAG_EXISTS``, ``TAG_SHARED``)."""

    code = "REFUSED"


class ContentError(OCIError):
    """Bytes that are not what they should be: a wrong digest or size, a manifest or layer that does not parse."""

    code = "CONTENT_INVALID"


class CredentialError(OCIError):
    """Credentials that cannot be read, stored or used: a broken file, a helper that fails."""

    code = "CREDENTIALS_UNUSABLE"


class ConnectionFailed(OCIError):
    """No answer came. ``final`` says that another try cannot help (an untrusted certificate, an unknown host)."""

    code = "UNREACHABLE"

    def __init__(self, message: str, *, code: str, registry: str, final: bool = False) -> None:
        super().__init__(message, code=code, registry=registry)
        self.final = final


class RegistryError(OCIError):
    """The registry answered, and the answer was no."""

    code = "UNKNOWN"


class NotFound(RegistryError):
    """404, with a code or a header that shows that a registry said it."""

    code = "NOT_FOUND"


class Denied(RegistryError):
    """401 or 403, after everything that our credentials allow was tried."""

    code = "DENIED"


class Unsupported(RegistryError):
    """The registry cannot do this, whoever asks."""

    code = "UNSUPPORTED_BY_REGISTRY"


class MissingLibrary(OCIError):
    """A Python library that the target needs for this call; ``str()`` is its name."""

    code = "MISSING_LIBRARY"
