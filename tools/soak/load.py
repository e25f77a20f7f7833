"""The load: a process of its own with kernel sockets, on the kernel's side of the TAP.

It obeys these lines on its standard input: `go`; `rest`, which it answers with {"rests": true} once all of its
connections are closed; `report`, which it answers with the work done since the last report and the round trips in
milliseconds; and `end`. Answers are JSON, one per line. The first line says that the load is ready.
"""

import argparse
import json
import random
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

ECHO, HTTP, HELLO, THREADED, CLOSED, REVERSE = 7, 80, 8080, 4000, 4999, 5000
# An exchange that takes longer than this many seconds has failed, unless --patience says another number. There is time for
# many retransmissions.
PATIENCE = 30.0


class Log:
    """What the workers did since the last report. Any thread may write to it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.counts: dict[str, int] = {}
        self.times: dict[str, list[float]] = {}
        self.errors: list[str] = []

    def count(self, name: str, number: int = 1) -> None:
        """Count this many of these."""
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + number

    def time(self, name: str, begin: float) -> None:
        """Note one round trip of this kind, which began at `begin`."""
        with self.lock:
            self.times.setdefault(name, []).append((time.monotonic() - begin) * 1000)

    def error(self, text: str) -> None:
        """Note something that must not happen."""
        with self.lock:
            self.errors.append(text)

    def report(self) -> dict[str, Any]:
        """Return what happened since the last report."""
        with self.lock:
            times = {name: summary(values) for name, values in self.times.items()}
            told = {"counts": self.counts, "times": times, "errors": self.errors[:5], "failed": len(self.errors)}
            self.clear()
        return told


def summary(values: list[float]) -> list[float]:
    """Return the median, the 99th percentile and the maximum."""
    ordered = sorted(values)
    return [
        round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) for share in (0.5, 0.99)
    ] + [round(ordered[-1], 3)]  # fmt: skip


def connect(address: str, port: int, patience: float) -> socket.socket:
    """Return a connection to the stack."""
    sock = socket.create_connection((address, port), patience)
    sock.settimeout(patience)
    return sock


def read(sock: socket.socket, size: int) -> bytes:
    """Read exactly this many bytes, or fewer at the end of the stream."""
    got = bytearray()
    while len(got) < size and (data := sock.recv(size - len(got))):
        got += data
    return bytes(got)


def both_ways(sock: socket.socket, data: bytes, patience: float) -> bytes:
    """Send `data` to an echo and read it again at the same time."""
    sock.setblocking(False)
    view, got = memoryview(data), bytearray()
    limit = time.monotonic() + patience
    while len(got) < len(data):
        left = limit - time.monotonic()
        readable, writable, _ = select.select([sock], [sock] if view else [], [], max(left, 0))
        if not readable and not writable:
            raise TimeoutError(f"an echo of {len(data)} bytes stopped at {len(got)}")
        if readable:
            piece = sock.recv(1 << 16)
            if not piece:
                raise ConnectionError(f"an echo of {len(data)} bytes ended at {len(got)}")
            got += piece
        if writable:
            view = view[sock.send(view[: 1 << 16]) :]
    return bytes(got)


class Load:
    """The workers and the data that they share."""

    def __init__(self, address: str, seed: int, patience: float):
        self.address = address
        self.seed = seed
        self.patience = patience
        self.log = Log()
        self.go = threading.Event()
        self.ended = False
        self.busy = 0
        self.change = threading.Condition()

    # -- one round of each kind of work -------------------------------------------------------------------------

    def bulk(self, rng: random.Random) -> None:
        """Send bytes to an echo, and compare every byte."""
        data = rng.randbytes(rng.randrange(1 << 16, 1 << 20))
        with connect(self.address, rng.choice((ECHO, THREADED)), self.patience) as sock:
            if both_ways(sock, data, self.patience) != data:
                self.log.error("bulk: the echo differs from what was sent")
        self.log.count("bulk bytes", 2 * len(data))
        self.log.count("connections")

    def requests(self, rng: random.Random) -> None:
        """Send small requests on one connection, and check the responses."""
        with connect(self.address, THREADED, self.patience) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(50):
                data = rng.randbytes(rng.randrange(1, 1400))
                begin = time.monotonic()
                sock.sendall(data)
                if read(sock, len(data)) != data:
                    self.log.error("requests: a wrong response")
                self.log.time("request", begin)
                time.sleep(0.004)
        self.log.count("connections")

    def short(self, rng: random.Random) -> None:
        """Open a connection for one HTTP request."""
        begin = time.monotonic()
        with connect(self.address, HTTP, self.patience) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if not read(sock, 1 << 20).startswith(b"HTTP/1."):
                self.log.error("short: no response")
        self.log.time("short", begin)
        self.log.count("connections")
        time.sleep(0.02)

    def datagrams(self, rng: random.Random) -> None:
        """Send datagrams to an echo. Lost ones are only counted."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((self.address, ECHO))
            sock.settimeout(0.5)
            for _ in range(20):
                data = rng.randbytes(rng.randrange(8, 1400))
                begin = time.monotonic()
                sock.send(data)
                try:
                    while sock.recv(2000) != data:  # a response that was overtaken, or a duplicate
                        pass
                    self.log.time("datagram", begin)
                except TimeoutError:
                    self.log.count("datagrams lost")
                self.log.count("datagrams")
                time.sleep(0.01)

    def churn(self, rng: random.Random) -> None:
        """Make a connection that ends badly."""
        kind = rng.choice(("reset", "reset with data", "refused", "half closed", "half a request", "silent"))
        if kind == "refused":
            try:
                connect(self.address, CLOSED, self.patience).close()
                self.log.error("churn: a closed port accepted a connection")
            except ConnectionRefusedError:
                pass
        elif kind == "half a request":
            with connect(self.address, rng.choice((HTTP, HELLO)), self.patience) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
                sock.shutdown(socket.SHUT_WR)
                read(sock, 1 << 16)  # an error, or nothing, and the end
        else:
            # Use the echo that has keep-alive on: a reset may get lost, and then only keep-alive notices it.
            with connect(self.address, THREADED, self.patience) as sock:
                self.spoil(sock, kind, rng)
        self.log.count("connections")
        self.log.count("churned")
        time.sleep(0.02)

    def spoil(self, sock: socket.socket, kind: str, rng: random.Random) -> None:
        """End this connection badly, in the given way."""
        if kind == "half closed":
            sock.sendall(b"half")
            sock.shutdown(socket.SHUT_WR)
            if read(sock, 100) != b"half":
                self.log.error("churn: a half-closed echo lost its bytes")
            return
        if kind == "silent":
            time.sleep(rng.random())
            return
        if kind == "reset with data":
            sock.sendall(rng.randbytes(rng.randrange(1, 1 << 15)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # -- the workers --------------------------------------------------------------------------------------------

    def worker(self, number: int, work: Callable[[random.Random], None]) -> None:
        """Do one round after the other while the load is on."""
        rng = random.Random(f"{self.seed}/{number}")
        while not self.ended:
            if not self.go.wait(0.1):
                continue
            with self.change:
                self.busy += 1
            try:
                work(rng)
            except OSError as error:
                self.log.error(f"{work.__name__}: {type(error).__name__}: {error}")
                time.sleep(0.1)
            finally:
                with self.change:
                    self.busy -= 1
                    self.change.notify_all()

    def rest(self) -> None:
        """Return when every worker has ended its round."""
        self.go.clear()
        with self.change:
            self.change.wait_for(lambda: self.busy == 0, timeout=4 * self.patience)

    def echo(self, listener: socket.socket) -> None:
        """Serve the kernel's echo, for connections that the stack opens."""
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.echo_one, args=(sock,), daemon=True).start()

    def echo_one(self, sock: socket.socket) -> None:
        """Serve one such connection."""
        try:
            with sock:
                sock.settimeout(self.patience)
                while data := sock.recv(1 << 16):
                    sock.sendall(data)
        except OSError:
            pass  # the stack's side reports it

    def start(self) -> None:
        """Start the workers and the echo."""
        works = [self.bulk, self.requests, self.requests, self.short, self.datagrams, self.churn]
        for number, work in enumerate(works):
            threading.Thread(target=self.worker, args=(number, work), daemon=True).start()
        listener = socket.create_server(("", REVERSE), backlog=64)
        threading.Thread(target=self.echo, args=(listener,), daemon=True).start()


def main(argv: "list[str] | None" = None) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("address", help="the stack's address")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    options = parser.parse_args(argv)
    load = Load(options.address, options.seed, options.patience)
    load.start()

    def tell(told: dict[str, Any]) -> None:
        print(json.dumps(told), flush=True)

    tell({"ready": True})
    for line in sys.stdin:
        word = line.strip()
        if word == "go":
            load.go.set()
        elif word == "rest":
            load.rest()
            tell({"rests": load.busy == 0})
        elif word == "report":
            tell(load.log.report())
        elif word == "end":
            break
    load.ended = True
    return 0


if __name__ == "__main__":
    sys.exit(main())
