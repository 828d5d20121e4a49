# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook, at a terminal or with pipes, beside a registry that makes who asks it first wait for seconds.

    throttled.py terminal|pipe OPTIONS...

Prints all that it prints. The registry's address is the variable ``throttled``.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIGEST = f"sha256:{'0' * 64}"
SECONDS = 4


class Registry(BaseHTTPRequestHandler):
    """Has one manifest, at every name."""

    refused = False

    def do_HEAD(self) -> None:
        refuse, Registry.refused = not Registry.refused, True
        self.send_response(429 if refuse else 200)
        if refuse:
            self.send_header("Retry-After", str(SECONDS))
        self.send_header("Docker-Content-Digest", DIGEST)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self.send_header("Content-Length", "2")
        self.end_headers()

    def log_message(self, *dummy: object) -> None:
        """Say nothing."""


def at_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a command at a terminal of its own; return its status and what it printed there."""
    child, terminal = pty.fork()
    if not child:
        os.execvp(command[0], command)
    printed = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody has it open any more
            piece = b""
        if not piece:
            break
        printed += piece
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed.decode()


def with_pipes(command: list[str]) -> tuple[int, str]:
    """Run a command; return its status and what it printed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Do as the options say."""
    kind, *options = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = ["ansible-playbook", "-e", f"throttled=127.0.0.1:{server.server_port}", *options]
    status, printed = (at_a_terminal if kind == "terminal" else with_pipes)(command)
    print(printed)
    return status


if __name__ == "__main__":
    sys.exit(main())
