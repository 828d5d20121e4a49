# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening, reading requests, and sending answers, whole or broken."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from .faults import Fault
from .messages import Answer, Call

if TYPE_CHECKING:
    from .server import FakeRegistry


class TLS(NamedTuple):
    """Paths of PEM files; `client_ca` makes client certificates mandatory."""

    cert: str
    key: str
    client_ca: str | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: Server

    def setup(self) -> None:
        if self.server.context is not None:  # here and not at accept(): a slow handshake blocks nobody else
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.server.connections.discard(self.connection)
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        """Silent; the log is FakeRegistry.requests."""

    def serve(self) -> None:
        registry = self.server.registry
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, dummy, query = self.path.partition("?")
        call = Call(self.server.name, self.command, path, query, headers)
        with registry.lock:
            fault = registry.faults.next(call)
            early = registry.quirks.refuse_before_body and registry.api.answer(call, registry.gate, refuse_only=True)
        if early:
            self.close_connection = True
            registry.log(call, early.status)
            return self._send(early, None)
        reset = fault is not None and fault.action == "reset"
        body, whole = self._read_body(fault.at if fault and reset else None, half=reset)
        call = replace(call, body=body)
        if reset or not whole:
            with registry.lock:
                registry.api.partial(call)
            registry.log(call, 0)
            return self._abort()
        answer = registry.answer(call, fault)
        if fault is not None and fault.action == "lost_answer":
            registry.log(call, 0)
            return self._abort()
        registry.log(call, answer.status)
        return self._send(answer, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def _read_body(self, limit: int | None, half: bool) -> tuple[bytes, bool]:
        """(body, whether it came to its end); at most `limit` bytes, or half of what was announced."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks(limit if limit is not None else (1 if half else None))
        length = int(self.headers.get("Content-Length") or 0)
        wanted = min(length, limit if limit is not None else (length // 2 if half else length))
        body = self.rfile.read(wanted)
        return body, len(body) == length

    def _read_chunks(self, limit: int | None) -> tuple[bytes, bool]:
        body = bytearray()
        while limit is None or len(body) < limit:
            line = self.rfile.readline(1024).split(b";")[0].strip()
            if not line:
                return bytes(body), False
            size = int(line, 16)
            data = self.rfile.read(size)
            body += data
            if self.rfile.readline(3) != b"\r\n" or len(data) < size:
                return bytes(body), False
            if size == 0:
                return bytes(body), True
        return bytes(body[:limit]), False

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        body, action = answer.body, fault.action if fault else ""
        cut: int | None = None
        if action == "flip" and fault and body:
            at = len(body) // 2 if fault.at is None else min(fault.at, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        elif action == "truncate" and fault:
            cut = len(body) // 2 if fault.at is None else fault.at
            self.close_connection = True
        elif action == "stall" and fault:
            cut = fault.at
        endless = (answer.endless or action == "endless") and self.command != "HEAD"
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers if not (endless and name == "Content-Length")]
        if endless:
            lines.append("Transfer-Encoding: chunked")
        elif answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        if action == "stall" and fault and cut is None:
            self.server.registry.closing.wait(fault.seconds)
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            if action == "truncate" and (self.command == "HEAD" or not body):
                return  # nothing of the body to cut, so the answer is cut away
            self._write(head, b"" if self.command == "HEAD" else body, endless, cut, fault)
        except OSError:
            self.close_connection = True

    def _write(self, head: bytes, body: bytes, endless: bool, cut: int | None, fault: Fault | None) -> None:
        if endless:
            self.wfile.write(head)
            while not self.server.registry.closing.is_set():
                self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            self.close_connection = True
        elif cut is not None:
            self.wfile.write(head + body[:cut])
            if fault and fault.action == "stall":
                self.server.registry.closing.wait(fault.seconds)
                self.wfile.write(body[cut:])
        elif len(body) < 1 << 16:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            self.wfile.write(body)

    def _abort(self) -> None:
        """RST instead of FIN; the files made of the socket would keep a plain close() from closing it."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.connections.discard(self.connection)
        os.close(self.connection.detach())


class Server(ThreadingHTTPServer):
    """One listening socket. Its accept loop blocks instead of polling, so that stopping takes no time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, registry: FakeRegistry, name: str, context: ssl.SSLContext | None) -> None:
        self.registry, self.name, self.context = registry, name, context
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self._accept, name=f"fake-{name}", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Without HTTPServer's reverse DNS look-up."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def _accept(self) -> None:
        while True:
            connection, address = self.get_request()
            if self.registry.closing.is_set():
                return connection.close()
            self.process_request(connection, address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away, or break off a handshake, are none of our errors; the rest is."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.registry.errors.append(traceback.format_exc())

    def close(self) -> None:
        """The registry's `closing` is set by now; a last connection wakes the accept loop."""
        socket.create_connection(("127.0.0.1", self.server_address[1])).close()
        self._thread.join()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def tls_context(tls: TLS) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
