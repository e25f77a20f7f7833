"""What the application does in a fuzzed world: calls of stream, datagram and raw sockets, with sound and unsound arguments."""

from random import Random
from typing import Any

from tests.support import build
from tests.support.world import World, host_bytes

Step = tuple[Any, ...]
HOST, PEER = 0x0A000002, 0x0A000001


class Calls:
    """The half of Hostile that calls."""

    world: World
    rng: Random
    next_handle: int

    def handle(self, kind: str) -> int:
        """The handle of an endpoint that the application has."""
        found = [h for h, k in self.world.kinds.items() if k == kind and h in self.world.endpoints]
        return self.rng.choice(found) if found else -1

    def application(self) -> list[Step]:
        """A call of a stream socket."""
        r = self.rng
        handle = self.handle("tcp")
        x = r.random()
        if x < 0.4:
            return [("send", handle, r.choice((1, 10, 100, 1448, 5000, 30000)), r.choice((0, 0, 0, 0, 1, 0x8000)))]
        if x < 0.7:
            return [("recv", handle, r.choice((1, 100, 1000, 5000, 1 << 20, 0)), r.choice((0, 0, 0, 0, 0, 2, 2, 1)))]
        if x < 0.78:
            self.next_handle += 1
            return [("accept", r.choice((1, 1, 2)), self.next_handle)]
        if x < 0.86:
            return [self.option(handle)]
        if x < 0.92 and handle > 2:
            return [("call", "shutdown", handle, r.choice((0, 1, 1, 2, 3)))]
        if x < 0.96 and handle > 2:
            return [("call", r.choice(("close", "close", "abort")), handle)]
        return self.dial()

    def option(self, handle: int) -> Step:
        """setsockopt or getsockopt."""
        r = self.rng
        level, name = r.choice(OPTIONS)
        if r.random() < 0.3:
            return ("call", "getsockopt", handle, level, name)
        value: Any = r.choice((0, 1, 2, 100, 1000, 40000, -1))
        if (level, name) == (6, 13):
            value = r.choice(("reno", "cubic", "fixed", "none such"))
        elif (level, name) == (1, 13):
            value = (r.choice((0, 1)), r.choice((0, 1)))
        return ("call", "setsockopt", handle, level, name, value)

    def dial(self) -> list[Step]:
        """An active open: to the peer, to ourselves, to nobody."""
        r = self.rng
        self.next_handle += 1
        handle = self.next_handle
        where = r.choice(
            (PEER, PEER, PEER, 0x0A000003, 0x0A000102, 0x0A000202, HOST, 0x7F000001, 0x0A0000FF, 0x08080808, 0)
        )
        steps: list[Step] = [("open", "tcp", handle)]
        if r.random() < 0.2:
            steps.append(("call", "bind", handle, 0, r.choice((0, 80, 81, 5555))))
        if r.random() < 0.1:
            return [
                *steps,
                ("call", "connect_fastopen", handle, host_bytes(0, 100), where, r.choice((80, 81, 40000, 9))),
            ]
        return [*steps, ("call", "connect", handle, where, r.choice((80, 81, 40000, 9)))]

    def datagram_call(self) -> list[Step]:
        """A call of a UDP socket."""
        r = self.rng
        x = r.random()
        handle = self.handle("udp")
        where = r.choice(WHERE)
        if x < 0.4:
            n = r.choice((0, 1, 100, 1472, 1473, 4000, 20000, 65507, 65508))
            return [("call", "sendto", handle, bytes(n), where, r.choice((53, 1000, 0)), 0)]
        if x < 0.65:
            return [("call", "recvfrom", handle, r.choice((0, 0, 2, 0x2000)))]
        if x < 0.75:
            return [("call", "connect", handle, where, r.choice((1000, 0, 53)))]
        if x < 0.87:
            return [self.datagram_option(handle)]
        if x < 0.9 and handle != 3:
            return [("call", "close", handle)]
        if x < 0.92:
            return [("call", "shutdown", handle, r.choice((0, 1, 2, 3)))]
        self.next_handle += 1
        new = self.next_handle
        reuse: list[Step] = [("call", "setsockopt", new, 1, r.choice((2, 15)), 1)] if r.random() < 0.5 else []
        return [
            ("open", "udp", new),
            *reuse,
            ("call", "bind", new, r.choice((0, HOST, 0xE0000001)), r.choice((0, 53, 54))),
        ]

    def datagram_option(self, handle: int) -> Step:
        """An option of a datagram or raw socket: an int, or bytes, fitting or not."""
        r = self.rng
        level, name = r.choice(DATAGRAM_OPTIONS)
        if r.random() < 0.3:
            return ("call", "getsockopt", handle, level, name)
        values: tuple[Any, ...] = (0, 1, 2, -1, 300, 1 << 20)
        if name in (25, 32, 35, 36):
            values = (b"", b"eth0\0", b"\xe0\0\0\7\x0a\0\0\2", b"\xe0\0\0\7\0\0\0\0", b"\x0a\0\0\2", bytes(12))
        return ("call", "setsockopt", handle, level, name, r.choice(values))

    def raw_call(self) -> list[Step]:
        """A call of a raw or ping socket."""
        r = self.rng
        x = r.random()
        handle = self.handle(r.choice(("raw", "ping")))
        where = r.choice(WHERE)
        if x < 0.4:
            echo = build.icmp(8, 0, 0x00010001, bytes(r.choice((0, 56, 1472, 5000))))
            packet = build.ipv4(HOST, where, 1, echo, r.getrandbits(16))
            data = r.choice((echo, echo, packet, echo[: r.randrange(9)], packet[: r.randrange(30)]))
            return [("call", "sendto", handle, data, where, 0, 0)]
        if x < 0.7:
            return [("call", "recvfrom", handle, r.choice((0, 0, 2, 0x2000)))]
        if x < 0.75:
            return [("call", "bind", handle, r.choice((0, HOST, PEER)), r.choice((0, 7)))]
        if x < 0.8:
            return [("call", "connect", handle, where, 0)]
        if x < 0.9:
            return [self.datagram_option(handle)]
        if x < 0.95 and handle > 5:
            return [("call", "close", handle)]
        self.next_handle += 1
        return [("open", "raw", self.next_handle, r.choice((1, 6, 17, 47, 255)))]


WHERE = (
    PEER,
    PEER,
    0x0A000003,
    0x0A000102,
    HOST,
    0x7F000001,
    0x0A0000FF,
    0xFFFFFFFF,
    0xE0000001,
    0xE0000007,
    0,
    0x08080808,
)
DATAGRAM_OPTIONS = (
    (1, 2), (1, 4), (1, 6), (1, 6), (1, 7), (1, 8), (1, 11), (1, 12), (1, 15), (1, 25), (1, 29), (1, 36), (1, 99), (0, 1), (0, 2),
    (0, 3), (0, 8), (0, 10), (0, 11), (0, 12), (0, 13), (0, 14), (0, 32), (0, 33), (0, 34), (0, 35), (0, 36), (9, 9),
)  # fmt: skip
OPTIONS = (
    (1, 2), (1, 4), (1, 7), (1, 8), (1, 8), (1, 9), (1, 10), (1, 13), (1, 15), (1, 18), (1, 30), (0, 1), (0, 2), (6, 1), (6, 2),
    (6, 3), (6, 4), (6, 5), (6, 6), (6, 7), (6, 12), (6, 13), (6, 18), (9, 9), (6, 99),
)  # fmt: skip
