"""Two hosts on a link in virtual time, and the small programs that most tests of TCP run on them.

lab = lab_net(50 * MS)                  # hosts a and b, 50 ms apart each way
client, server = lab.connected()
assert lab.upload(bytes(100_000), client, server) > 100 * MS
assert lab.log.resent("a") == []        # the segments that a sent more than once
"""

import struct
from typing import Any

from pystack.sim.network import MS, US, Network, S, SimHost
from pystack.sim.programs import Proc, Program, StreamSocket, sleep, spawn, stream
from pystack.testing.segments import Segment, WireLog, rounds

__all__ = ["A", "B", "MS", "US", "S", "Lab", "Segment", "lab_net", "pattern", "rounds", "sleep", "stream"]

A, B = "10.0.0.1", "10.0.0.2"
FOREVER = 100_000 * S


def pattern(n: int) -> bytes:
    """Return `n` bytes in which a missing or doubled segment shows, because no two stretches are alike."""
    count = min(n, 1 << 22) // 4 + 1
    block = struct.pack(f">{count}I", *range(count))
    return (block * (n // len(block) + 1))[:n] if n > len(block) else block[:n]


class Lab:
    """Hosts `a` (the client) and `b` (the server), their `link`, and `log`, the segments at both ends (none without `log`)."""

    def __init__(self, net: Network, a: SimHost, b: SimHost, link: Any, log: bool = True):
        self.net, self.a, self.b, self.link = net, a, b, link
        self.log = WireLog(a.port(), b.port()) if log else WireLog()

    def spawn(self, program: Program) -> Proc:
        """Start a program."""
        return spawn(self.net, program)

    def run(self, *programs: Program, limit: int = 3600 * S) -> list[Any]:
        """Run programs until all have ended, or until the virtual time `limit` (ns). Returns their results."""
        procs = [self.spawn(program) for program in programs]
        self.net.run_until(lambda: all(proc.finished() for proc in procs), limit=limit)
        return [proc.value for proc in procs]

    def listener(self, port: int = 80, backlog: int = 128, host: SimHost | None = None) -> StreamSocket:
        """Return a listening socket on `b`, or on `host`, with SO_REUSEADDR."""
        sock = stream(host or self.b)
        sock.setsockopt(1, 2, 1)
        sock.bind("", port)
        sock.listen(backlog)
        return sock

    def client(self, port: int = 80) -> Program:
        """Connect a socket of `a`: `sock = yield from lab.client()`."""
        sock = stream(self.a)
        yield sock.connect(B, port)
        return sock

    def connected(self, port: int = 80, host: SimHost | None = None) -> tuple[StreamSocket, StreamSocket]:
        """Open a connection. Returns the client's socket and the server's."""
        listener = self.listener(port, host=host)

        def accept() -> Program:
            return (yield listener.accept())

        client, server = self.run(self.client(port), accept(), limit=self.net.now + FOREVER)
        listener.close()
        return client, server

    def fetch(self, size: int, request: int = 100, port: int = 80) -> int:
        """Send one request, and get `size` bytes. Returns the time (ns) from connect() to the last byte."""
        listener = self.listener(port)
        body = pattern(size)

        def serve() -> Program:
            sock = yield listener.accept()
            yield sock.recv_exactly(request)
            yield sock.sendall(body)
            return sock

        def get() -> Program:
            started = self.net.now
            sock = yield from self.client(port)
            yield sock.sendall(bytes(request))
            assert (yield sock.recv_exactly(size)) == body
            return self.net.now - started

        _, elapsed = self.run(serve(), get(), limit=self.net.now + FOREVER)
        listener.close()
        return elapsed

    def upload(self, data: bytes, client: StreamSocket, server: StreamSocket) -> int:
        """Send data from client to server, and check that it arrives unchanged. Returns the time that it took (ns)."""
        started = self.net.now

        def put() -> Program:
            yield client.sendall(data)

        def take() -> Program:
            return (yield server.recv_exactly(len(data)))

        _, got = self.run(put(), take(), limit=self.net.now + FOREVER)
        assert got == data
        return self.net.now - started


def lab_net(
    delay: int = 50 * MS,
    *,
    seed: int = 1,
    profile: str = "lab",
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    link: dict[str, Any] | None = None,
    offload: bool = False,
    log: bool = True,
    **settings: Any,
) -> Lab:
    """Make hosts a and b, `delay` (ns) apart each way, with static ARP.

    `settings` are both hosts', `client` and `server` those of one, and `link` is passed to Network.link. Without `log`, the segments are not read,
    which for a long transfer takes more time than the stacks.
    """
    net = Network(seed)
    a = net.host("a", profile=profile, offload=offload, **settings, **(client or {}))
    b = net.host("b", profile=profile, offload=offload, **settings, **(server or {}))
    joint = net.link(a, b, delay=delay, addrs=(A + "/24", B + "/24"), **(link or {}))
    net.introduce()
    return Lab(net, a, b, joint, log)
