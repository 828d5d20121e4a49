# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that others wrote: base64, read strictly, and how they are shown."""

from __future__ import annotations

import base64
import binascii

from .._errors import ContentError

_URL_SAFE = str.maketrans("-_", "+/")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_base64(value: object, what: str, url_safe: bool = False) -> bytes:
    """Return the bytes of padded base64 without white space, or raise ContentError about ``what``.

    ``url_safe`` takes the alphabet of RFC 4648, section 5, too. Bits that stand for nothing have to be zero, so that no
    two texts are one signature.
    """
    if isinstance(value, str):
        text = value.translate(_URL_SAFE) if url_safe else value
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):  # ValueError: not ASCII
            data = b""
        if base64_of(data) == text:
            return data
    raise ContentError(f"{what} is not base64.")


def shown(value: object) -> str:
    """Return what somebody wrote in quotes, and the beginning alone where it is long."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
