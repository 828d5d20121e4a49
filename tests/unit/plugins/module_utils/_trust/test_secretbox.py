# SPDX-License-Identifier: GPL-3.0-or-later
"""NaCl's secretbox: the box of its own documentation, and no other box opens."""

from __future__ import annotations

import random

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._trust import secretbox
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st

# From "Cryptography in NaCl", section 10.
KEY = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4"
    "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52"
    "f0a089bc76897040e082f937763848645e0705"
)
BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
    "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
    "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
)


def test_the_box_of_the_documentation() -> None:
    assert secretbox.seal(KEY, NONCE, MESSAGE) == BOX
    assert secretbox.unseal(KEY, NONCE, BOX) == MESSAGE


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 200])
def test_what_was_sealed_opens_and_nothing_else_does(size: int) -> None:
    message = random.Random(size).randbytes(size)
    box = secretbox.seal(KEY, NONCE, message)
    assert secretbox.unseal(KEY, NONCE, box) == message
    for at in range(0, len(box), 7):
        changed = bytearray(box)
        changed[at] ^= 1 << (at % 8)
        assert secretbox.unseal(KEY, NONCE, bytes(changed)) is None
    assert secretbox.unseal(KEY[1:] + b"\0", NONCE, box) is None
    assert secretbox.unseal(KEY, NONCE[1:] + b"\0", box) is None
    assert secretbox.unseal(KEY, NONCE, box[:-1]) is None
    assert secretbox.unseal(KEY, NONCE, b"") is None


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_the_tag_is_poly1305(key: bytes, message: bytes) -> None:
    assert secretbox._poly1305(key, message) == Poly1305.generate_tag(key, message)


def test_tags_are_compared_in_constant_time(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(secretbox.hmac, "compare_digest", lambda *pair: calls.append(pair) or False)
    assert secretbox.unseal(KEY, NONCE, BOX) is None and calls == [(BOX[:16], BOX[:16])]
