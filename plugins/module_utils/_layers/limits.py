# SPDX-License-Identifier: GPL-3.0-or-later
"""What content may expand to: a guard against the absurd, which can be raised where the absurd is wanted."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .._errors import ContentError

RATIO_FROM = 1 << 30  # below this many bytes, a ratio says nothing: empty disk images are honest content


@dataclass(frozen=True)
class Limits:
    """What an image may expand to: entries and uncompressed bytes of all layers, bytes per compressed byte of one.

    Gzip makes at most 1032 bytes of one; only zstd can go above the ratio.
    """

    max_entries: int = 2_000_000
    max_bytes: int = 256 << 30
    max_ratio: int = 1100


DEFAULT_LIMITS = Limits()


class Budget:
    """Counts what all threads read against the limits, and stops them when one has failed (``stopped``).

    ``advice`` ends the sentence of what goes above a limit.
    """

    def __init__(self, limits: Limits, advice: str = "raise that limit if you trust this image") -> None:
        self._limits, self._advice, self._lock = limits, advice, threading.Lock()
        self.entries = self.bytes = 0
        self.stopped = False

    def spend(self, what: str, size: int = 0, number: int = 0) -> None:
        """Count bytes and entries. Raises ContentError (LIMIT_EXCEEDED), which names ``what``."""
        with self._lock:
            self.bytes += size
            self.entries += number
        if self.bytes > self._limits.max_bytes:
            raise self._exceeded(f"{what} takes the image above {self._limits.max_bytes} bytes (max_bytes)")
        if self.entries > self._limits.max_entries:
            raise self._exceeded(f"{what} takes the image above {self._limits.max_entries} entries (max_entries)")
        if self.stopped:
            raise ContentError(f"{what} was not read to its end, since another layer failed.")

    def check_ratio(self, what: str, size: int, packed: int) -> None:
        """Raise ContentError (LIMIT_EXCEEDED) where ``packed`` bytes expanded to too many."""
        if size > RATIO_FROM and size > packed * self._limits.max_ratio:
            raise self._exceeded(f"{what} expands to more than {self._limits.max_ratio} times its size (max_ratio)")

    def _exceeded(self, problem: str) -> ContentError:
        return ContentError(f"{problem}; {self._advice}.", code="LIMIT_EXCEEDED")
