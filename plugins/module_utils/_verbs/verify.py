# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify that images are signed by whom they should be, and pin what was verified."""

from __future__ import annotations

import time
import typing as t

from .._errors import ContentError, NotFound, OCIError, Refused
from .._kit.verifying import Verdicts, parse_demand, verify
from .._oci.reference import Reference
from .._registry.session import Session

_SHOWN = 3  # images of which a failure tells
_LENGTH = 450  # characters of their problems altogether


def verify_images(
    session: Session,
    *,
    name: str | None,
    names: list[str] | None,
    signature: bool,
    attestations: list[dict[str, t.Any]] | None,
    platforms: list[str],
    fail_on_unverified: bool,
    keys: list[str] | None,
    certificate: dict[str, t.Any] | None,
    policy_path: str | None,
    threshold: int,
    annotations: dict[str, t.Any],
    identity: list[str],
    formats: list[str],
) -> dict[str, t.Any]:
    """Judge each image once; see ``Verdicts``. Where one fails, raises Refused (NOT_VERIFIED) with all results.

    Where nothing else is wrong than that a single image does not exist, or lacks a platform, it is that error.
    """
    texts = [name] if name is not None else list(dict.fromkeys(names or []))
    references = [Reference.parse(text) for text in texts]
    options = {
        "keys": keys,
        "certificate": certificate,
        "policy_path": policy_path,
        "threshold": threshold,
        "annotations": annotations,
        "identity": identity,
        "formats": formats,
        "signature": signature,
        "attestations": attestations,
        "platforms": platforms,
    }
    demand = parse_demand(options, time.time())

    def one(reference: Reference) -> Verdicts:
        try:
            return verify(session, reference, demand)
        except (NotFound, ContentError) as exc:
            return Verdicts.unjudged(reference, exc)

    found = session.map(one, references, "images")
    for warning in (warning for verdicts in found for warning in verdicts.warnings):
        session.transport.warn(warning)
    result = _result(texts, found)
    failed = [verdicts for verdicts in found if not verdicts.verified]
    if failed and fail_on_unverified:
        raise _refusal(failed, result)
    return result


def _result(texts: list[str], found: list[Verdicts]) -> dict[str, t.Any]:
    """Return the results; what is about a single image is empty or null where there is not just one."""
    rows = [{"name": text, **verdicts.result()} for text, verdicts in zip(texts, found)]
    alone = found[0] if len(found) == 1 else Verdicts(Reference("", ""), None, False)
    verified = bool(found) and all(verdicts.verified for verdicts in found)
    return {**alone.result(), "verified": verified, "images": rows}


def _refusal(failed: list[Verdicts], result: dict[str, t.Any]) -> OCIError:
    error = failed[0].error
    if error and len(failed) == 1:
        error.details = {**error.details, **result}
        return error
    room = _LENGTH // min(len(failed), _SHOWN)
    said = [f"{verdicts.reference} is not verified: {_short(verdicts.problem, room)}" for verdicts in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        said.append(f"Nor are {len(failed) - _SHOWN} more.")
    host = failed[0].reference.registry if len(failed) == 1 else None
    return Refused(" ".join(said), "NOT_VERIFIED", host, details=result)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
