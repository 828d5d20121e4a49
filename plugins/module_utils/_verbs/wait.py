# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until an image is there, with all that belongs to it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import ContentError, InvalidInput, NotFound, OCIError
from .._kit.beside import look_at_referrers
from .._kit.image import read_image
from .._kit.verifying import verify
from .._oci.digest import digest_problem
from .._oci.index import filter_index
from .._oci.manifest import Descriptor
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._registry.retry import is_transient
from .._registry.session import Session
from .._trust.trust import Trust, parse_trust

_REQUEST = 60.0  # seconds that a request may take


def wait_for_image(
    session: Session,
    *,
    name: str,
    platforms: list[str],
    signatures: dict[str, t.Any] | None,
    referrers: list[str],
    digest: str | None,
    not_digest: str | None,
    timeout: int,
    interval: int,
) -> dict[str, t.Any]:
    """Look until all that is asked for is there, and return what it was then. Nothing is changed.

    Trouble that may pass is waited out. Raises OCIError (WAIT_TIMEOUT), which says what is missing, and at once:
    InvalidInput, Denied, and what else does not pass.
    """
    if interval < 1:
        raise InvalidInput(f"interval must be at least 1, not {interval}.")
    for option, value in (("digest", digest), ("not_digest", not_digest)):
        problem = digest_problem(value) if value is not None else None
        if problem:
            raise InvalidInput(f"{option} {value!r} {problem}.")
    if digest and digest == not_digest:
        raise InvalidInput(f"digest and not_digest are both {digest}, which can never be.")
    wanted = [Platform.parse(text) for text in platforms]
    trust = parse_trust(signatures) if signatures is not None else None
    look = _Look(session, Reference.parse(name), wanted, trust, frozenset(referrers), digest, not_digest)
    return _until(session, look, timeout, interval)


def _until(session: Session, look: _Look, timeout: float, interval: float) -> dict[str, t.Any]:
    transport, reference = session.transport, look.reference
    start = transport.clock()
    transport.left = lambda: min(_REQUEST, start + timeout - transport.clock())
    missing, status = "", None
    while True:
        try:
            found, missing = look.look()
            status = None
        except OCIError as exc:
            if not is_transient(exc) or exc.code == "TLS_ERROR":  # certificates do not mend themselves
                raise
            found = None
            if exc.code != "TIMEOUT" or not missing or transport.left() > 0:  # the last look may have had no time
                missing, status = str(exc), exc.status
        elapsed = transport.clock() - start
        if found and not missing:
            pinned = str(reference.with_digest(found.digest))
            told = {"reference": pinned, "digest": found.digest, "media_type": found.media_type}
            return {**told, "elapsed": int(elapsed)}
        if elapsed >= timeout:
            text = f"{reference} was not ready within {timeout} s: {missing.rstrip('.')}."
            raise OCIError(text, "WAIT_TIMEOUT", reference.registry, status, {"elapsed": int(elapsed)})
        transport.wait(min(interval, timeout - elapsed))


@dataclass(frozen=True)
class _Look:
    """What is waited for."""

    session: Session
    reference: Reference
    platforms: t.Sequence[Platform]
    trust: Trust | None
    types: frozenset[str]
    digest: str | None
    not_digest: str | None

    def look(self) -> tuple[Descriptor | None, str]:
        """Return what the name points at now, and all that is missing; an empty text where nothing is.

        Nothing more is told of what does not exist, or has not moved to the right digest yet.
        """
        found = self.session.repository(self.reference).head(self.reference.target)
        if found is None:
            return None, "it does not exist"
        if self.digest and found.digest != self.digest:
            return found, f"it is {found.digest}, and not {self.digest}"
        if found.digest == self.not_digest:
            return found, f"it still is {found.digest}"
        missing: dict[str, None] = {}
        for look in (self._platforms, self._referrers, self._signature):
            try:
                missing[look(found).rstrip(".")] = None
            except NotFound as exc:  # it was there a moment ago
                missing[str(exc).rstrip(".")] = None
        return found, "; and ".join(filter(None, missing))

    def _platforms(self, found: Descriptor) -> str:
        if not self.platforms:
            return ""
        repository, pinned = self.session.repository(self.reference), str(self.reference.with_digest(found.digest))
        manifest = repository.get(found.digest)
        if not manifest.is_index:
            own = read_image(repository, manifest, pinned).platform
            missing = [str(wanted) for wanted in self.platforms if not wanted.matches(own)]
            return f"it is a single image for {own}, and none for {', '.join(missing)}" if missing else ""
        try:
            filter_index(manifest, self.platforms, pinned, lambda item: repository.get(item.digest))
        except ContentError as exc:
            if exc.code != "PLATFORM_NOT_FOUND":
                raise
            return str(exc)
        return ""

    def _referrers(self, found: Descriptor) -> str:
        if not self.types:
            return ""
        there = {one.kind for one in look_at_referrers(self.session.repository(self.reference), found.digest)}
        missing = sorted(self.types - there)
        return f"nothing of the type {' or '.join(missing)} refers to {found.digest}" if missing else ""

    def _signature(self, found: Descriptor) -> str:
        if not self.trust:
            return ""
        verdicts = verify(self.session, self.reference, self.trust)
        if verdicts.digest != found.digest:
            return f"it moved from {found.digest} to {verdicts.digest} meanwhile"
        for warning in verdicts.warnings if verdicts.verified else ():
            self.session.transport.warn(warning)
        return "" if verdicts.verified else f"it is not verified: {verdicts.problem}"
