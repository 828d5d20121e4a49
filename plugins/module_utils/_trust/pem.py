# SPDX-License-Identifier: GPL-3.0-or-later
"""PEM texts (RFC 7468): labels and what stands between them."""

from __future__ import annotations

import textwrap
import typing as t

from .._errors import ContentError, InvalidInput
from . import texts

BEGIN = "-----BEGIN "
MAX_SIZE = 1 << 16  # bytes of a file that holds a key


class Block(t.NamedTuple):
    """One block of a PEM text; its data may be secret. ``encrypted``: as OpenSSL did it before PKCS#8."""

    label: str
    data: bytes
    encrypted: bool

    def __repr__(self) -> str:
        return f"Block({self.label!r})"


def read(raw: bytes, what: str) -> Block:
    """Return the only block of a text, or raise InvalidInput about ``what``; the text itself is never told."""
    blocks = [block for block in _blocks(raw, what) if block.label != "EC PARAMETERS"]  # openssl ecparam writes both
    if raw.startswith(b"$ANSIBLE_VAULT"):
        text = "is encrypted by ansible-vault; give its text, which the lookup ansible.builtin.unvault returns"
        raise _invalid(what, f"{text}, not its path")
    if len(blocks) != 1:
        raise _invalid(what, f"holds {len(blocks)} PEM blocks; a key is one, between '{BEGIN}...' and '-----END ...'")
    return blocks[0]


def write(label: str, data: bytes) -> bytes:
    lines = textwrap.wrap(texts.base64_of(data), 64)
    return "\n".join([f"{BEGIN}{label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")


def _invalid(what: str, why: str) -> InvalidInput:
    return InvalidInput(f"{what} {why}.", "KEY_INVALID")


def _blocks(raw: bytes, what: str) -> t.Iterator[Block]:
    if len(raw) > MAX_SIZE:
        raise _invalid(what, f"has more than {MAX_SIZE} bytes, so it is no key")
    for piece in raw.decode("latin-1").split(BEGIN)[1:]:
        label, dashes, rest = piece.partition("-----")
        body, end, _after = rest.partition(f"-----END {label}-----")
        if not dashes or not end or not label.isascii() or not label.isprintable() or len(label) > 64:
            raise _invalid(what, "has a PEM block that does not end")
        if ":" in body:
            yield Block(label, b"", True)
            continue
        try:
            data = texts.from_base64("".join(body.split()), what)
        except ContentError:
            raise _invalid(what, "has a PEM block that is not base64") from None
        yield Block(label, data, False)
