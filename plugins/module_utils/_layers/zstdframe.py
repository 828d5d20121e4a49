# SPDX-License-Identifier: GPL-3.0-or-later
"""The outline of a zstd frame (RFC 8878, 3.1), by which a decoder is never given more than becomes a few megabytes."""

from __future__ import annotations

_BLOCKS = 32  # at a time; none has more than 128 KiB of content (3.1.1.2.4)
_SKIPPABLE = b"\x2a\x4d\x18"
_RLE = 1  # a block of one byte that is repeated


class FramePacer:
    """Tells how many bytes of a frame may go to a decoder next, so that they become at most 4 MiB."""

    def __init__(self) -> None:
        self._left = 0  # bytes that may go whatever they are
        self._has_checksum = False
        self._begun = self._is_last_block = self._ended = False

    def allow(self, data: bytes) -> int:
        """Return how many bytes at the beginning of ``data``, the next ones, may go; 0 where it takes more to tell."""
        if not self._begun and not self._begin(data):
            return 0
        at = blocks = 0
        while True:
            step = min(self._left, len(data) - at)
            self._left, at = self._left - step, at + step
            if self._left:
                return at
            if self._ended:
                return at or len(data)  # behind the frame, a decoder finds out itself what is wrong
            if self._is_last_block:
                self._ended, self._left = True, 4 if self._has_checksum else 0
            elif blocks == _BLOCKS or len(data) - at < 3:
                return at
            else:
                self._begin_block(int.from_bytes(data[at : at + 3], "little"))
                blocks += 1

    def _begin_block(self, header: int) -> None:
        self._is_last_block = bool(header & 1)
        self._left = 3 + (1 if header >> 1 & 3 == _RLE else header >> 3)

    def _begin(self, data: bytes) -> bool:
        """Read the header of the frame (3.1.1.1, 3.1.2). False where that takes more bytes."""
        if len(data) < 8:
            return False
        if data[1:4] == _SKIPPABLE:
            self._begun = self._ended = True
            self._left = 8 + int.from_bytes(data[4:8], "little")
            return True
        flags = data[4]
        single = flags >> 5 & 1
        content_size = (single, 2, 4, 8)[flags >> 6]
        dictionary = (0, 1, 2, 4)[flags & 3]
        self._has_checksum = bool(flags >> 2 & 1)
        self._begun, self._left = True, 5 + (1 - single) + dictionary + content_size
        return True
