# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that leave signals to the main one: it alone handles them, and sleeps on where another one was sent them."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

STOPPING = (signal.SIGTERM, signal.SIGINT)


def leave_signals() -> None:
    """Let this thread, and those that it starts, get none of the signals that end a task."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, signal.SIGALRM))


def pool(workers: int) -> ThreadPoolExecutor:
    """Return an executor of so many such threads."""
    return ThreadPoolExecutor(workers, initializer=leave_signals)
