"""A client makes requests with TCP Fast Open: without a cookie, with one, with a forged one, and with a SYN that arrives twice."""

from typing import Any

import pystack_c.const as C
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, B, Lab, lab_net
from pystack.testing.segments import SYN
from pystack_c.base.address import v4
from pystack_c.tcp import sockopt, user

R = 100 * MS
SERVER = v4(int.from_bytes(bytes(map(int, B.split("."))), "big"))
SOL_TCP, TCP_FASTOPEN = 6, 23
BOTH, CLIENT_ONLY = 3, 1  # the setting tcp_fastopen: bit 0 is for clients, and bit 1 for servers
REQUEST, ANSWER = b"q" * 100, b"a" * 100


def network(server: int = BOTH) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, client={"tcp_fastopen": BOTH}, server={"tcp_fastopen": server})


class World:
    """The network with a listener, and requests over it."""

    def __init__(self, server: int = BOTH):
        self.lab = network(server)
        b = self.lab.b
        self.listener = b.call(user.tcp_open, b.stack)
        b.call(user.bind, self.listener, 0, 80)
        b.call(sockopt.setsockopt, self.listener, SOL_TCP, TCP_FASTOPEN, 5)
        b.call(user.listen, self.listener, 5)

    def until(self, condition: Any) -> None:
        """Let time pass until something is so."""
        self.lab.net.run_until(condition, limit=self.lab.net.now + 40 * R)

    def exchange(self) -> tuple[int, bytes]:
        """Make one request with MSG_FASTOPEN. Returns the time until the whole answer is there (ns), and what the server has read."""
        net, a, b = self.lab.net, self.lab.a, self.lab.b
        started = net.now
        sock = a.call(user.tcp_open, a.stack)
        taken = a.call(user.connect_fastopen, sock, REQUEST, SERVER, 80)
        if taken == 0:  # there is no cookie, so the data wait for the handshake
            self.until(lambda: sock.state == C.ESTABLISHED)
            assert a.call(user.send, sock, REQUEST, 0) == len(REQUEST)
        self.until(lambda: bool(self.listener.listener.accept_queue))
        child = b.call(user.accept, self.listener)
        self.until(lambda: child.recvbuf.used >= len(REQUEST))
        got = b.call(user.recv, child, 1000, 0)
        b.call(user.send, child, ANSWER, 0)
        self.until(lambda: sock.recvbuf.used >= len(ANSWER))
        elapsed = net.now - started
        a.call(user.close, sock)
        b.call(user.close, child)
        net.run(net.now + 5 * R)
        return elapsed, got

    def forge(self) -> None:
        """Replace the client's cookie by another one."""
        known = self.lab.a.stack.tcp.fastopen_cache[SERVER]
        known.cookie = bytes(byte ^ 0xFF for byte in known.cookie)


def forged() -> list[int]:
    """Make a request with a forged cookie, and another one. Returns both times (ns), and the bytes that the server read of the first."""
    world = World()
    world.exchange()
    world.forge()
    elapsed, got = world.exchange()
    assert world.lab.b.counters.TcpExtTCPFastOpenPassiveFail == 1
    return [elapsed, world.exchange()[0], len(got)]


def repeated(first: bool) -> tuple[int, list[int], int]:
    """Let a SYN arrive twice, that of the first request or of the second one.

    Returns the time (ns), the bytes that each SYN carries, and the bytes that the server's program got in all connections.
    """
    world = World()
    if not first:
        world.exchange()
    log = world.lab.log.got["b"]
    before = len(log)
    world.lab.link.ab.repeat(1, extra=5 * MS)
    elapsed, got = world.exchange()
    assert not world.listener.listener.accept_queue  # no second connection waits
    return elapsed, [len(seg) for seg in log[before:] if seg.has(SYN)], len(got)


VALUES = [
    LabValue("first", "The first request, which asks for a cookie: when is the answer there?", "2 R", 2 * R),
    LabValue("later", "The second and the third request: when?", "R, R", [R, R]),
    LabValue("forged", "A forged cookie, and the request after it: when?", "2 R, R", [2 * R, R]),
    LabValue("forged bytes", "A forged cookie: how many of the 100 bytes does the server read?", "100", 100, "bytes"),
    LabValue("repeated", "The SYN with data arrives twice: when is the answer there?", "R", R),
    LabValue("repeated SYNs", "How many bytes does each of these SYNs carry?", "100, 100", [100, 100], "bytes"),
    LabValue("repeated bytes", "How many bytes does the server's program get?", "100", 100, "bytes"),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("forged"):
        return forged()[2] if name.endswith("bytes") else forged()[:2]
    if name.startswith("repeated"):
        return repeated(first=False)[["repeated", "repeated SYNs", "repeated bytes"].index(name)]
    world = World()
    times = [world.exchange()[0] for _ in range(3)]
    assert world.lab.b.counters.TcpExtTCPFastOpenPassive == 2
    return times[0] if name == "first" else times[1:]


CONTROLS = [
    LabControl(
        "The server does not use Fast Open",
        LabValue("plain", "Three requests: when is each answer there", "2 R, each", [2 * R] * 3),
    ),
    LabControl(
        "It is the first SYN, without a cookie, that arrives twice",
        LabValue("empty", "Bytes that each SYN carries", "0, 0", [0, 0], "bytes"),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "empty":
        return repeated(first=True)[1]
    world = World(CLIENT_ONLY)
    return [world.exchange()[0] for _ in range(3)]


LOOKS = [
    LabLook("A request that gets a cookie, and one with data in the SYN", lambda: repeated(first=False), 'event.kind == "out" and event.fields.length > 0 and event.fields.flags % 4 >= 2', "ladder"),
]  # fmt: skip
