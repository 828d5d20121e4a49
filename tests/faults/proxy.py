# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of registries that damages a given share of the requests, the same ones for the same seed.

It is a process of its own (`python proxy.py`), told by lines of JSON what to do; `Proxy` starts it and talks to it.
What it does to a request is drawn from the seed, the request and how often it came, so that parallel clients meet the
same faults in any order.
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import typing as t
from collections import Counter
from contextlib import suppress

# On the way to the registry, which gets all of the request, half of it, or nothing.
UP = ("refuse", "reset_up", "cut_up", "flip_up", "lost")
# On the way back: half of the answer and then an end or a reset, or one bit that is another.
DOWN = ("cut_down", "reset_down", "flip_down")
# Answers that the registry did not give, and answers that are late.
ANSWERS = ("429", "500", "503", "late")
KINDS = (*UP, *DOWN, *ANSWERS)


class Proxy:
    """The process, seen from outside: `with Proxy() as proxy: host = proxy.listen(registry.host)`."""

    def __enter__(self) -> Proxy:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *dummy: object) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, **message: t.Any) -> t.Any:
        print(json.dumps(message), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def listen(self, upstream: str) -> str:
        """Stand in front of a registry, `host:port`; return the address of the proxy."""
        return str(self._ask(do="listen", upstream=upstream))

    def set(
        self, rate: float, seed: object = 0, kinds: t.Sequence[str] = KINDS, only: str = "", wait: float = 0.1
    ) -> None:
        """Damage this share of the requests from now on, whose method and path (`GET /v2/...`) match `only`.

        `wait` is what `late` adds, in seconds.
        """
        self._ask(do="set", rate=rate, seed=str(seed), kinds=list(kinds), only=only, wait=wait)

    def tally(self) -> dict[str, int]:
        """How many requests there were (`all`), and how many of them met with what."""
        return dict(self._ask(do="tally"))


class Message(t.NamedTuple):
    """A request or an answer; the body is whole, and never in chunks."""

    first: str
    headers: list[tuple[str, str]]
    body: bytes

    def bytes(self, length: int | None = None) -> bytes:
        """As it goes over the wire; `length` stands in for the body's (an answer to HEAD has no body)."""
        size = len(self.body) if length is None else length
        lines = [self.first, *("%s: %s" % header for header in self.headers), "Content-Length: %d" % size]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class Broken(Exception):
    """A side went away in the middle."""


def read_message(stream: t.BinaryIO, bodiless: bool = False) -> tuple[Message, int] | None:
    """Read a message and the length that it announces; None where the stream ends before it."""
    first = stream.readline(1 << 16)
    if not first:
        return None
    headers: list[tuple[str, str]] = []
    while line := stream.readline(1 << 16).strip():
        name, dummy, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    known = {name.lower(): value for name, value in headers}
    headers = [header for header in headers if header[0].lower() not in ("content-length", "transfer-encoding")]
    start = first.decode("latin-1").strip()
    length = int(known.get("content-length") or 0)
    if bodiless:
        body = b""
    elif "chunked" in known.get("transfer-encoding", ""):
        body = b""
        while size := int(stream.readline(100).split(b";")[0] or b"0", 16):
            body += stream.read(size)
            stream.readline(10)
        stream.readline(10)
        length = len(body)
    else:
        body = stream.read(length)
        if len(body) < length:
            raise Broken
    return Message(start, headers, body), length


class Faults:
    """What is to be done, and what was done; shared by all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rate, self.seed, self.kinds, self.only, self.wait = 0.0, "", list(KINDS), re.compile(""), 0.1
        self.tally: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()

    def set(self, rate: float, seed: str, kinds: list[str], only: str, wait: float) -> None:
        with self.lock:
            self.rate, self.seed, self.kinds, self.only, self.wait = rate, seed, kinds, re.compile(only), wait
            self.tally.clear()
            self.seen.clear()

    def draw(self, number: int, message: Message) -> tuple[str, random.Random]:
        """Return what happens to a request (empty: nothing), and the dice for the rest."""
        method, target = message.first.split(" ")[:2]
        if "/uploads/" in target:  # whose names are new each time
            digest = re.search("digest=[^&]*", target)
            target = target.partition("/uploads/")[0] + "/uploads/" + (digest.group() if digest else "")
        key = "%s %d %s %s" % (self.seed, number, method, target)
        with self.lock:
            self.seen[key] += 1
            self.tally["all"] += 1
            dice = random.Random("%s %d" % (key, self.seen[key]))
            if dice.random() >= self.rate or not self.only.search("%s %s" % (method, target)):
                return "", dice
            kind = dice.choice(self.kinds)
            if kind == "flip_up" and not message.body:
                kind = "flip_down"
            if kind == "flip_down" and method == "HEAD":
                kind = "cut_down"
            self.tally[kind] += 1
            return kind, dice


class Connection:
    """One connection of a client, with one of its own to the registry."""

    def __init__(self, client: socket.socket, upstream: tuple[str, int], number: int, faults: Faults) -> None:
        self._client, self._upstream, self._number, self._faults = client, upstream, number, faults
        self._there: socket.socket | None = None
        self._answers: t.BinaryIO | None = None

    def run(self) -> None:
        with suppress(OSError, Broken, ValueError), self._client, self._client.makefile("rb") as requests:
            while read := read_message(requests):
                kind, dice = self._faults.draw(self._number, read[0])
                if not self._serve(read[0], kind, dice):
                    break
        self._drop()

    def _serve(self, request: Message, kind: str, dice: random.Random) -> bool:
        """Answer a request, or not; False where the connection ends with it."""
        if kind == "refuse":
            return self._reset()
        if kind in ("reset_up", "cut_up"):
            there = self._connect()
            there.sendall(request.bytes()[: max(1, len(request.bytes()) - len(request.body) // 2 - 1)])
            self._drop()
            return self._reset() if kind == "reset_up" else False
        if kind in ("429", "500", "503"):
            wait = [("Retry-After", str(dice.randrange(2)))] if kind == "429" or dice.random() < 0.5 else []
            body = b'{"errors": [{"code": "UNAVAILABLE", "message": "the proxy says so"}]}'
            answer = Message("HTTP/1.1 %s Trouble" % kind, [*wait, ("Content-Type", "application/json")], body)
            self._client.sendall(answer._replace(body=b"" if request.first.startswith("HEAD") else body).bytes())
            return True
        if kind == "late":
            time.sleep(self._faults.wait)
        if kind == "flip_up":
            request = request._replace(body=flipped(request.body, dice))
        answer, length = self._forward(request)
        if kind == "lost":
            return self._reset()
        if kind == "flip_down" and answer.body:
            answer = answer._replace(body=flipped(answer.body, dice))
        wire = answer.bytes(length)
        if kind in ("cut_down", "reset_down") or (kind == "flip_down" and not answer.body):
            self._client.sendall(wire[: len(wire) - len(answer.body) // 2 - 1])
            return self._reset() if kind == "reset_down" else False
        self._client.sendall(wire)
        return True

    def _connect(self) -> socket.socket:
        if self._there is None:
            self._there = socket.create_connection(self._upstream)
            self._there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answers = self._there.makefile("rb")
        return self._there

    def _forward(self, request: Message) -> tuple[Message, int]:
        bodiless = request.first.startswith("HEAD")
        self._connect().sendall(request.bytes())
        read = read_message(t.cast("t.BinaryIO", self._answers), bodiless)
        if read is None:
            raise Broken
        return read

    def _drop(self) -> None:
        if self._there is not None:
            with suppress(OSError):
                self._there.close()
            t.cast("t.BinaryIO", self._answers).close()
            self._there = self._answers = None

    def _reset(self) -> bool:
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def flipped(body: bytes, dice: random.Random) -> bytes:
    """The same bytes with one bit that is another."""
    at = dice.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :]


def listen(upstream: str, number: int, faults: Faults) -> str:
    """Accept connections on a free port, in a thread; return the address. `number` tells it from the others."""
    host, dummy, port = upstream.rpartition(":")
    server = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept() -> None:
        while True:
            client, dummy = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, (host, int(port)), number, faults)
            threading.Thread(target=connection.run, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % server.getsockname()[1]


def main() -> None:
    faults, count = Faults(), 0
    for line in sys.stdin:
        message = json.loads(line)
        do = message.pop("do")
        answer: t.Any = None
        if do == "listen":
            count += 1
            answer = listen(message["upstream"], count, faults)
        elif do == "set":
            faults.set(**message)
        elif do == "tally":
            with faults.lock:
                answer = dict(faults.tally)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
