# SPDX-License-Identifier: GPL-3.0-or-later
"""NaCl's secretbox: XSalsa20 and Poly1305 (cr.yp.to/highspeed/naclcrypto-20090310.pdf, sections 7 to 9).

The library ``cryptography`` has no Salsa20. What is sealed with this is a private key of a few hundred bytes.
"""

from __future__ import annotations

import hmac
import struct

KEY_SIZE, NONCE_SIZE, TAG_SIZE = 32, 24, 16  # bytes

_CONSTANT = struct.unpack("<4I", b"expand 32-byte k")
_MASK = 0xFFFFFFFF
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_PRIME = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def seal(key: bytes, nonce: bytes, message: bytes) -> bytes:
    """Return the tag and the ciphertext. A nonce must never be used twice with one key."""
    pad = _stream(key, nonce, 32 + len(message))
    ciphertext = _xor(message, pad[32:])
    return _poly1305(pad[:32], ciphertext) + ciphertext


def unseal(key: bytes, nonce: bytes, box: bytes) -> bytes | None:
    """Return the message; None where the box was sealed with another key, or changed."""
    tag, ciphertext = box[:TAG_SIZE], box[TAG_SIZE:]
    pad = _stream(key, nonce, 32 + len(ciphertext))
    if not hmac.compare_digest(tag, _poly1305(pad[:32], ciphertext)):
        return None
    return _xor(ciphertext, pad[32:])


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right))


def _rounds(key: bytes, block: bytes) -> tuple[list[int], list[int]]:
    """Return the state of Salsa20 for 16 bytes of nonce and counter, before and after its 20 rounds."""
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", block)
    c = _CONSTANT
    start = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]
    x = list(start)
    for _round in range(10):
        for quarters in (_COLUMNS, _ROWS):
            for a, b, c_, d in quarters:
                for into, first, second, shift in ((b, a, d, 7), (c_, b, a, 9), (d, c_, b, 13), (a, d, c_, 18)):
                    total = (x[first] + x[second]) & _MASK
                    x[into] ^= ((total << shift) | (total >> (32 - shift))) & _MASK
    return start, x


def _stream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Return the first bytes of XSalsa20's key stream."""
    _start, x = _rounds(key, nonce[:16])
    subkey = struct.pack("<8I", *(x[at] for at in (0, 5, 10, 15, 6, 7, 8, 9)))  # HSalsa20
    stream = bytearray()
    for counter in range((size + 63) // 64):
        start, x = _rounds(subkey, nonce[16:] + struct.pack("<Q", counter))
        stream += struct.pack("<16I", *((a + b) & _MASK for a, b in zip(start, x)))
    return bytes(stream[:size])


def _poly1305(key: bytes, message: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & _CLAMP
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\x01", "little")) * r % _PRIME
    total += int.from_bytes(key[16:], "little")
    return (total & ((1 << 128) - 1)).to_bytes(16, "little")
