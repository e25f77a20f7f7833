"""Control messages, the error queue and multicast options: each scenario runs on the kernel's sockets and on the stack's, and must see the same.

Both hosts have only their loopback, with a second address, so nothing else can interfere.
"""

import ctypes
import errno
import select
import socket as std
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pystack import socket
from pystack.kernel.netns import Namespace
from pystack.patching import kernel_socket
from pystack.running import up
from pystack_c.base.address import v4
from pystack_c.wire.checksum import sum_any
from tests.support.patience import PATIENCE, until

SOL_SOCKET, IP, TCP, UDP = 1, 0, 6, 17
IP_TOS, IP_TTL, IP_RECVOPTS, IP_RETOPTS, IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS = (
    1, 2, 6, 7, 8, 10, 11, 12, 13,
)  # fmt: skip
IP_ORIGDSTADDR, IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_ADD, IP_DROP, IP_MULTICAST_ALL = (
    20, 32, 33, 34, 35, 36, 49,
)  # fmt: skip
SO_TIMESTAMP, SO_TIMESTAMPNS = 29, 35
ERRQUEUE, DONTWAIT = 0x2000, 0x40
OWN, LOCAL = "10.9.0.2", "127.0.0.1"
GROUP = "239.1.2.3"

Make = Callable[..., Any]
Scenario = Callable[[Make], list[Any]]


class Two:
    """The kernel and the stack, each with a loopback that has two addresses."""

    def __init__(self, space: Namespace, running: Any) -> None:
        self.space = space
        self.running = running
        self.opened: list[Any] = []

    def _kernel(self, kind: int, proto: int = 0) -> Any:
        return self._keep(self.space.call(kernel_socket, std.AF_INET, kind, proto))

    def _stack(self, kind: int, proto: int = 0) -> Any:
        return self._keep(self.running.socket(socket.AF_INET, kind, proto))

    def _keep(self, sock: Any) -> Any:
        sock.settimeout(PATIENCE)
        self.opened.append(sock)
        return sock

    def run(self, scenario: Scenario, make: Make) -> list[Any]:
        try:
            return scenario(make)
        finally:
            self.close()

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()

    def compare(self, scenario: Scenario, at_once: bool = False) -> list[Any]:
        """What both see. They must agree. A scenario that waits for most of its time may run on both at once."""
        if at_once:
            try:
                with ThreadPoolExecutor(2) as pool:
                    theirs, ours = pool.map(scenario, (self._kernel, self._stack))
            finally:
                self.close()
        else:
            theirs = self.run(scenario, self._kernel)
            ours = self.run(scenario, self._stack)
        different = [(n, *pair) for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]]
        assert not different, f"(place, stack, kernel): {different[:40]}"
        assert len(ours) == len(theirs)
        return ours


@pytest.fixture
def two() -> Iterator[Two]:
    with Namespace.new() as space, up(tap=None, name="local") as running:
        space.run(["ip", "addr", "add", OWN + "/24", "dev", "lo"], check=True)
        space.run(["ip", "link", "set", "lo", "multicast", "on"], check=True)
        running.host.setup("add_addr", running.stack.lo, v4(0x0A090002), 24)
        running.host.setup("add_route", v4(0xE0000000), 4, 0, running.stack.lo)
        space.run(["ip", "route", "add", "224.0.0.0/4", "dev", "lo"], check=True)
        yield Two(space, running)
        assert running.host.failure is None


def attempt(call: Callable[..., Any], *args: Any) -> Any:
    """The result of a call, or the name of its error."""
    try:
        return call(*args)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def bound(make: Make, address: str = "", kind: int = std.SOCK_DGRAM, proto: int = 0) -> Any:
    sock = make(kind, proto)
    sock.bind((address, 0))
    return sock


def port(sock: Any) -> int:
    return int(sock.getsockname()[1])


# -- receiving -----------------------------------------------------------------------------------------------------------


def switches(make: Make) -> list[Any]:
    """Each option alone, read back, with the messages that it causes."""
    seen = []
    for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_ORIGDSTADDR, IP_RECVOPTS, IP_RETOPTS):
        server, client = bound(make), bound(make, OWN)
        seen.append(server.getsockopt(IP, name))
        server.setsockopt(IP, name, 7)
        seen.append(server.getsockopt(IP, name))
        client.setsockopt(IP, IP_TTL, 33)
        client.setsockopt(IP, IP_TOS, 0x28)
        client.sendto(b"data", (LOCAL, port(server)))
        data, messages, flags, (host, _) = server.recvmsg(100, 200)
        if name == IP_ORIGDSTADDR:
            assert messages[0][2][2:4] == port(server).to_bytes(2, "big")
            messages = [(level, kind, value[:2] + value[4:]) for level, kind, value in messages]
        seen += [data, messages, flags, host]
        server.setsockopt(IP, name, 0)
        client.sendto(b"data", (LOCAL, port(server)))
        seen.append(server.recvmsg(100, 200)[1])
    return seen


def all_together_in_a_small_buffer(make: Make) -> list[Any]:
    """The order of the messages, and what a buffer of each size holds."""
    server, client = bound(make), bound(make)
    for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
        server.setsockopt(IP, name, 1)
    seen = []
    for space in range(100):
        client.sendto(b"12345", (OWN, port(server)))
        seen.append(server.recvmsg(3 if space % 2 else 9, space)[:3])
    return seen


def options_of_a_packet(make: Make) -> list[Any]:
    """IP_RECVOPTS and IP_RETOPTS: options as they arrived, and as an answer would have them."""
    server, client = bound(make), bound(make)
    for name in (IP_RECVOPTS, IP_RETOPTS):
        server.setsockopt(IP, name, 1)
    seen = []
    for options in (b"\x94\x04\0\0", b"\x01\x01\x94\x04\0\0", b"\x07\x07\x08\x0a\x09\0\2"):
        client.setsockopt(IP, 4, options)
        client.sendto(b"x", (OWN, port(server)))
        seen.append(server.recvmsg(9, 200)[1])
    return seen


def raw_and_ping(make: Make) -> list[Any]:
    """The same messages on raw and ping sockets."""
    seen = []
    raw, client = make(std.SOCK_RAW, 254), make(std.SOCK_RAW, 254)
    ping = make(std.SOCK_RAW, 1)
    for sock in (raw, ping):
        for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_ORIGDSTADDR):
            sock.setsockopt(IP, name, 1)
    client.setsockopt(IP, IP_TTL, 9)
    client.setsockopt(IP, IP_TOS, 8)
    client.sendto(b"\1\2\3\4\5\6", (OWN, 0))
    data, messages, flags, address = raw.recvmsg(100, 200)
    seen += [data[20:], messages, flags, address]
    ping.sendto(bytes.fromhex("0800f7fd00010001"), (OWN, 0))
    for _ in range(2):
        data, messages, flags, address = ping.recvmsg(100, 200)
        seen += [data[20:], messages, flags, address]
    return seen


@pytest.mark.parametrize(
    "scenario", [switches, all_together_in_a_small_buffer, options_of_a_packet, raw_and_ping], ids=lambda s: s.__name__
)
def test_received_messages(two, scenario):
    two.compare(scenario)


def timestamps(make: Make) -> list[Any]:
    """The switches of both options on each other, and the message. The time itself is compared below."""
    seen: list[Any] = []
    server, client = bound(make), bound(make)
    for name, value in ((29, 1), (35, 1), (29, 5), (35, 2), (29, 0), (35, 1), (35, 0), (63, 1), (64, 1), (29, 0)):
        server.setsockopt(SOL_SOCKET, name, value)
        seen.append([server.getsockopt(SOL_SOCKET, name) for name in (29, 35, 63, 64)])
        before = time.time()
        client.sendto(b"x", (LOCAL, port(server)))
        time.sleep(0.02)
        arrived = time.time()
        for level, kind, data in server.recvmsg(9, 200)[1]:
            sec, part = struct.unpack("@2l", data)
            stamp = sec + part / (1e9 if kind in (35, 64) else 1e6)
            seen.append((level, kind, before - 0.01 < stamp < arrived - 0.005))
    server.setsockopt(IP, IP_RECVTTL, 1)
    server.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
    client.sendto(b"x", (LOCAL, port(server)))
    seen.append([message[:2] for message in server.recvmsg(9, 200)[1]])
    return seen


@pytest.fixture
def stamping(two):
    """The kernel stamps packets of all namespaces as they arrive.

    It begins a little after a socket has asked for it. Until then, the time is that of recvmsg().
    """
    with two.space.call(kernel_socket, std.AF_INET, std.SOCK_DGRAM, 0) as sock:
        sock.bind((LOCAL, 0))
        sock.settimeout(PATIENCE)
        sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            sock.sendto(b"x", sock.getsockname())
            time.sleep(0.02)
            arrived = time.time()
            [(_, _, data)] = sock.recvmsg(9, 200)[1]
            sec, part = struct.unpack("@2l", data)
            if sec + part / 1e9 < arrived - 0.005:
                break
        yield


def test_timestamps_are_the_time_of_arrival(two, stamping):
    seen = two.compare(timestamps)
    assert (SOL_SOCKET, SO_TIMESTAMP, True) in seen and (SOL_SOCKET, SO_TIMESTAMPNS, True) in seen
    assert not [one for one in seen if isinstance(one, tuple) and not one[2]]


# -- sending -------------------------------------------------------------------------------------------------------------


def pktinfo(index: int = 0, source: str = "0.0.0.0") -> tuple[int, int, bytes]:
    return IP, IP_PKTINFO, struct.pack("=i4s4s", index, std.inet_aton(source), bytes(4))


def of_one_datagram(make: Make) -> list[Any]:
    """Source, TTL and TOS of one datagram; the next has the socket's own again."""
    seen = []
    server = bound(make)
    for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
        server.setsockopt(IP, name, 1)
    for connect in (False, True):
        for address in ("", OWN, LOCAL):
            client = bound(make, address)
            client.setsockopt(IP, IP_TTL, 7)
            to = (LOCAL, port(server))
            if connect:
                client.connect(to)
                to = None
            for messages in (
                [],
                [pktinfo(source=OWN)],
                [
                    pktinfo(index=1, source=OWN),
                    (IP, IP_TTL, struct.pack("i", 99)),
                    (IP, IP_TOS, struct.pack("i", 0x48)),
                ],
                [pktinfo(index=1)],
                [(IP, IP_TOS, b"\x20"), (IP, IP_TOS, b"\x10")],
                [(IP, IP_RETOPTS, b"\x07\x07\x04\0\0\0\0\0")],
                [(TCP, 1, b"ignored"), (999, 5, b""), (SOL_SOCKET, 1, b"rights")],
                [],
            ):
                seen.append(attempt(client.sendmsg, [b"da", b"ta"], messages, 0, *([to] if to else [])))
                data, found, flags, source = server.recvmsg(100, 300)
                seen += [data, found, flags, source[0]]
    return seen


REFUSED = [
    [(IP, IP_PKTINFO, bytes(11))],
    [(IP, IP_PKTINFO, bytes(13))],
    [pktinfo(index=77)],
    [pktinfo(index=-1)],
    [pktinfo(source="10.8.0.77")],
    [pktinfo(source=GROUP)],
    [(IP, IP_TTL, b"\x05")],
    [(IP, IP_TTL, struct.pack("i", 0))],
    [(IP, IP_TTL, struct.pack("i", 256))],
    [(IP, IP_TTL, struct.pack("i", -1))],
    [(IP, IP_TTL, bytes(8))],
    [(IP, IP_TOS, struct.pack("i", 256))],
    [(IP, IP_TOS, struct.pack("i", -1))],
    [(IP, IP_TOS, bytes(2))],
    [(IP, IP_TOS, b"")],
    [(IP, IP_RECVERR, struct.pack("i", 1))],
    [(IP, 9999, struct.pack("i", 1))],
    [(SOL_SOCKET, 9999, b"")],
    [(UDP, 9999, b"")],
    [(IP, IP_TTL, struct.pack("i", 3)), (IP, 9999, b"")],
    [(IP, IP_RETOPTS, b"\x07\x02\x04")],
    [(IP, IP_RETOPTS, b"\x44\x01")],
]


@pytest.mark.parametrize("messages", REFUSED, ids=str)
@pytest.mark.parametrize("kind, proto", [(std.SOCK_DGRAM, 0), (std.SOCK_RAW, 254), (std.SOCK_STREAM, 0)])
def test_messages_that_are_refused(two, messages, kind, proto):
    def scenario(make: Make) -> list[Any]:
        sock = make(kind, proto)
        if kind == std.SOCK_STREAM:
            server = make(kind)
            server.bind((LOCAL, 0))
            server.listen()
            sock.connect(server.getsockname())
            return [attempt(sock.sendmsg, [b"x"], messages)]
        return [attempt(sock.sendmsg, [b"x"], messages, 0, (LOCAL, 9))]

    two.compare(scenario)


def test_messages_of_one_datagram(two):
    two.compare(of_one_datagram)


# -- the error queue -----------------------------------------------------------------------------------------------------


def events(sock: Any) -> int:
    """What poll(2) reports now. (The descriptor of a stack's socket cannot show POLLERR, so its endpoint is asked.)"""
    if hasattr(sock, "_open_description"):
        bits = int(sock._open_description().endpoint.readiness())
    else:
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT | select.POLLPRI)
        bits = sum(bits for _, bits in poll.poll(0))
    # A pending error is also POLLIN on the stack, because it ends a wait for data. To select(2), both are readable.
    return bits & ~select.POLLIN if bits & select.POLLERR else bits


def settled(sock: Any) -> int:
    """The events, once an error has arrived."""
    until(lambda: events(sock) & select.POLLERR)
    return events(sock)


def nobody(make: Make) -> int:
    """A port at which nobody listens."""
    sock = bound(make)
    number = port(sock)
    sock.close()
    return number


def refused(make: Make) -> list[Any]:
    """A port that is closed: records, pending error, events, and that nothing waits for the queue."""
    seen: list[Any] = []
    closed = nobody(make)
    for connect in (True, False):
        sock = bound(make)
        sock.setsockopt(IP, IP_RECVERR, 1)
        sock.setsockopt(IP, IP_RECVTTL, 1)
        sock.settimeout(0)
        seen += [sock.getsockopt(IP, IP_RECVERR), attempt(sock.recvmsg, 100, 500, ERRQUEUE), events(sock)]
        if connect:
            sock.connect((LOCAL, closed))
        for index in range(2):
            sock.sendto(b"the payload %d" % index, (LOCAL, closed))
            seen.append(settled(sock))
            seen.append(attempt(sock.sendto, b"again", (LOCAL, closed)))
        for size in (5, 100, 100):
            found = attempt(sock.recvmsg, size, 500, ERRQUEUE)
            if isinstance(found, tuple):
                assert found[3] == (LOCAL, closed)
                found = found[:3]
            seen += [found, events(sock) & ~select.POLLOUT]
        sock.sendto(b"one more", (LOCAL, closed))
        seen += [settled(sock), sock.getsockopt(SOL_SOCKET, 4), sock.getsockopt(SOL_SOCKET, 4), events(sock)]
        sock.setsockopt(IP, IP_RECVERR, 0)
        seen += [events(sock), attempt(sock.recvmsg, 9, 500, ERRQUEUE)]
    return seen


def too_long(make: Make) -> list[Any]:
    """Local errors: a datagram that must not be fragmented, and one that is too long for IP."""
    seen: list[Any] = []
    for connect in (False, True):
        for mode in range(6):
            for size in (65507, 65508, 65535, 65536):
                if mode >= 3 and size == 65508:
                    continue  # Linux's loopback takes packets of 65536 bytes, which IP cannot have, and answers itself
                sock = bound(make, LOCAL)
                sock.setsockopt(IP, IP_RECVERR, 1)
                sock.setsockopt(IP, IP_MTU_DISCOVER, mode)
                sock.setsockopt(SOL_SOCKET, SO_TIMESTAMP, 0)
                to = (LOCAL, nobody(make))
                if connect:
                    sock.connect(to)
                sock.settimeout(0)
                seen.append((mode, size, attempt(sock.sendto, bytes(size), to)))
                if seen[-1][2] != "EMSGSIZE":
                    continue
                seen.append((events(sock), sock.getsockopt(SOL_SOCKET, 4)))
                found = attempt(sock.recvmsg, 100, 500, ERRQUEUE)
                if isinstance(found, tuple):
                    assert found[3] == (LOCAL, to[1] if connect else 0)
                    found = found[:3]
                seen.append(found)
    raw = make(std.SOCK_RAW, 254)
    raw.setsockopt(IP, IP_RECVERR, 1)
    for size in (65515, 65516, 65535, 65536):
        seen += [attempt(raw.sendto, bytes(size), (LOCAL, 0)), events(raw)]
        seen.append(attempt(raw.recvmsg, 100, 500, ERRQUEUE | DONTWAIT) if events(raw) & select.POLLERR else None)
    return seen


def raw_errors(make: Make) -> list[Any]:
    """A raw socket for a protocol that no host knows, and ping sockets."""
    seen: list[Any] = []
    for connect in (True, False):
        sock = make(std.SOCK_RAW, 17)
        sock.setsockopt(IP, IP_RECVERR, 1)
        if connect:
            sock.connect((LOCAL, 0))
        closed = nobody(make)
        sock.sendto(struct.pack(">4H", 5, closed, 12, 0) + b"data", (LOCAL, 0))
        seen.append(settled(sock))
        data, messages, flags, address = sock.recvmsg(100, 500, ERRQUEUE)
        seen += [data[4:], messages, flags, address, events(sock) & ~select.POLLIN]
    return seen


@pytest.mark.parametrize("scenario", [refused, too_long, raw_errors], ids=lambda s: s.__name__)
def test_error_queue(two, scenario):
    two.compare(scenario)


# -- multicast -----------------------------------------------------------------------------------------------------------


def mreq(group: str, address: str = "0.0.0.0", index: int | None = None) -> bytes:
    raw = std.inet_aton(group) + std.inet_aton(address)
    return raw if index is None else raw + struct.pack("=i", index)


def memberships(make: Make) -> list[Any]:
    """Joining and leaving, right and wrong."""
    sock = make(std.SOCK_DGRAM)
    steps = [
        (IP_ADD, mreq(GROUP, LOCAL)), (IP_ADD, mreq(GROUP, OWN)), (IP_ADD, mreq(GROUP, index=1)), (IP_ADD, mreq(GROUP)),
        (IP_DROP, mreq(GROUP)), (IP_DROP, mreq(GROUP)), (IP_DROP, mreq("239.9.9.9", LOCAL)), (IP_ADD, mreq("10.9.0.2", LOCAL)),
        (IP_DROP, mreq("10.9.0.2", LOCAL)), (IP_ADD, mreq(GROUP, "10.9.9.9")), (IP_DROP, mreq(GROUP, "10.9.9.9")),
        (IP_ADD, mreq(GROUP, index=77)), (IP_DROP, mreq(GROUP, index=77)), (IP_ADD, mreq(GROUP)[:7]), (IP_ADD, b""), (IP_ADD, 5),
        (IP_ADD, mreq(GROUP, "10.9.9.9", 1)), (IP_DROP, mreq(GROUP, "10.9.9.9", 1)), (IP_ADD, mreq("224.0.0.1", LOCAL)),
        (IP_ADD, mreq("224.0.0.1", LOCAL)), (IP_DROP, mreq("224.0.0.1", LOCAL)),
    ]  # fmt: skip
    seen = [attempt(sock.setsockopt, IP, name, value) for name, value in steps]
    seen += [attempt(sock.setsockopt, IP, IP_ADD, mreq(f"239.0.0.{n}", LOCAL)) for n in range(25)]
    seen += [attempt(sock.setsockopt, IP, IP_ADD, mreq("239.0.0.3", LOCAL))]
    return seen


def values(make: Make) -> list[Any]:
    """The options that are numbers, and IP_MULTICAST_IF."""
    seen: list[Any] = []
    for kind, proto in ((std.SOCK_DGRAM, 0), (std.SOCK_RAW, 254)):
        sock = make(kind, proto)
        for name in (IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL):
            seen.append(sock.getsockopt(IP, name))
            for value in (-2, -1, 0, 1, 2, 255, 256, b"\x07", b"\x01", b""):
                seen += [name, value, attempt(sock.setsockopt, IP, name, value), sock.getsockopt(IP, name)]
        for value in (
            std.inet_aton(LOCAL), std.inet_aton(OWN), bytes(4), bytes(3), b"", std.inet_aton("10.9.9.9"), mreq(GROUP, OWN),
            mreq(GROUP, "10.9.9.9"), mreq(GROUP, OWN, 1), mreq(GROUP, index=1), mreq(GROUP, index=77), mreq(GROUP),
        ):  # fmt: skip
            seen += [attempt(sock.setsockopt, IP, IP_MULTICAST_IF, value), sock.getsockopt(IP, IP_MULTICAST_IF, 4)]
    return seen


def delivery(make: Make) -> list[Any]:
    """Which socket gets a datagram to a group: members, sockets with and without IP_MULTICAST_ALL, other groups."""
    seen: list[Any] = []
    first = make(std.SOCK_DGRAM)
    first.setsockopt(SOL_SOCKET, 2, 1)
    first.bind(("", 0))
    number = port(first)
    sockets = [first]
    for address in ("", "", GROUP, "239.1.2.4"):
        sock = make(std.SOCK_DGRAM)
        sock.setsockopt(SOL_SOCKET, 2, 1)
        sock.bind((address, number))
        sockets.append(sock)
    for sock in sockets:
        sock.settimeout(0.05)
        sock.setsockopt(IP, IP_PKTINFO, 1)
        sock.setsockopt(IP, IP_RECVTTL, 1)
    raw = make(std.SOCK_RAW, 17)
    raw.settimeout(0.05)
    sockets[2].setsockopt(IP, IP_MULTICAST_ALL, 0)
    sender = bound(make, OWN)

    def spread(group: str, messages: list[Any]) -> None:
        seen.append(attempt(sender.sendmsg, [b"all"], messages, 0, (group, number)))
        for sock in sockets:
            got = attempt(sock.recvmsg, 100, 200)
            seen.append(got if isinstance(got, str) else (got[0], got[1], got[3][0]))
        seen.append(attempt(lambda: raw.recv(100)[28:]))

    spread(GROUP, [])
    sockets[0].setsockopt(IP, IP_ADD, mreq(GROUP, LOCAL))
    spread(GROUP, [])
    sockets[2].setsockopt(IP, IP_ADD, mreq(GROUP, LOCAL))
    spread(GROUP, [])
    sockets[0].setsockopt(IP, IP_DROP, mreq(GROUP, LOCAL))
    spread(GROUP, [])
    sender.setsockopt(IP, IP_MULTICAST_TTL, 5)
    sender.setsockopt(IP, IP_MULTICAST_IF, std.inet_aton(OWN))
    spread(GROUP, [])
    spread(GROUP, [pktinfo(1, OWN)])
    spread(GROUP, [pktinfo(0, OWN)])
    spread(GROUP, [(IP, IP_TTL, struct.pack("i", 9))])
    spread("239.1.2.4", [])
    sockets[2].close()
    sockets.pop(2)
    spread(GROUP, [])
    return seen


def sources(make: Make) -> list[Any]:
    """Source filters (RFC 3376 3.1): their errors, and what they let through."""
    unblock, block, add, drop = 37, 38, 39, 40

    def filter_of(source: str, group: str = GROUP, interface: str = LOCAL) -> bytes:
        return std.inet_aton(group) + std.inet_aton(interface) + std.inet_aton(source)

    sock = make(std.SOCK_DGRAM)
    sock.bind(("", 0))
    sock.settimeout(0.05)
    senders = [bound(make, LOCAL), bound(make, OWN)]
    seen: list[Any] = []

    def step(name: int, value: bytes) -> None:
        seen.append((name, attempt(sock.setsockopt, IP, name, value)))
        for sender in senders:
            sender.sendto(b"x", (GROUP, port(sock)))
            seen.append(attempt(lambda: sock.recvfrom(9)[1][0]))

    for name, value in (
        (block, filter_of(OWN)), (unblock, filter_of(OWN)), (drop, filter_of(OWN)), (add, filter_of(OWN)), (add, filter_of(OWN)),
        (block, filter_of(LOCAL)), (IP_ADD, mreq(GROUP, LOCAL)), (add, filter_of(LOCAL)), (drop, filter_of("10.9.0.9")),
        (drop, filter_of(OWN)), (drop, filter_of(LOCAL)), (drop, filter_of(LOCAL)), (IP_ADD, mreq(GROUP, LOCAL)),
        (block, filter_of(OWN)), (block, filter_of(OWN)), (add, filter_of(OWN)), (block, filter_of(LOCAL)), (unblock, filter_of(OWN)),
        (unblock, filter_of(LOCAL)), (unblock, filter_of(LOCAL)), (add, filter_of(OWN)), (IP_DROP, mreq(GROUP, LOCAL)),
        (add, filter_of(OWN)[:11]), (add, filter_of(OWN) + b"\0"), (add, filter_of(OWN, OWN)), (block, filter_of(OWN, OWN)),
        (add, filter_of(OWN, GROUP, "10.9.9.9")),
    ):  # fmt: skip
        step(name, value)
    seen += [attempt(sock.setsockopt, IP, add, filter_of(f"10.9.1.{n}")) for n in range(12)]
    return seen


@pytest.mark.parametrize("scenario", [memberships, values, delivery, sources], ids=lambda s: s.__name__)
def test_multicast(two, scenario):
    two.compare(scenario)


# -- with a router at the other end of a wire --------------------------------------------------------------------------------

ROUTER, HOST = "10.0.0.1", "10.0.0.2"


def router(space: Namespace) -> None:
    """Make the namespace a router to a network with a small MTU, and to networks that it refuses."""
    for command in (
        "sysctl -qw net.ipv4.ip_forward=1",
        "sysctl -qw net.ipv4.icmp_ratemask=0",
        "ip link add small type veth peer name other",
        "ip link set other mtu 600 up",
        "ip link set small mtu 600 up",
        "ip addr add 10.1.0.1/24 dev small",
        "ip neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev small",
        "ip route add unreachable 10.66.0.0/16",
        "ip route add prohibit 10.67.0.0/16",
    ):
        space.run(command.split(), check=True)


class Wired(Two):
    """The kernel behind a veth, and the stack behind a TAP, each with a router that is a kernel."""

    def __init__(self, space: Namespace, running: Any, kernel_router: Namespace, stack_router: Namespace) -> None:
        super().__init__(space, running)
        self.routers = {self._kernel: kernel_router, self._stack: stack_router}

    def peer(self, make: Make) -> Make:
        """Sockets of the router of the host whose sockets `make` makes."""
        space = next(space for maker, space in self.routers.items() if maker == make)
        return lambda kind, proto=0: self._keep(space.call(kernel_socket, std.AF_INET, kind, proto))


@pytest.fixture
def wired() -> Iterator[Wired]:
    with Namespace.new() as host, Namespace.new() as far, Namespace.new() as near:
        host.quiet()
        far.quiet()
        near.quiet()
        # The peer is made in the far namespace by the number of a process that lives there.
        with far.popen(["sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as sleeper:
            assert sleeper.stdout is not None and sleeper.stdout.readline()
            host.run(
                ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", str(sleeper.pid)],
                check=True,
            )
            sleeper.kill()
        host.run(["ip", "addr", "add", HOST + "/24", "dev", "eth0"], check=True)
        host.run(["ip", "link", "set", "eth0", "up"], check=True)
        host.run(["ip", "route", "add", "default", "via", ROUTER], check=True)
        far.run(["ip", "addr", "add", ROUTER + "/24", "dev", "eth1"], check=True)
        far.run(["ip", "link", "set", "eth1", "up"], check=True)
        router(far)
        host.run(["sysctl", "-qw", "net.ipv4.neigh.eth0.retrans_time_ms=100"], check=True)
        with up(netns=near, config={"neigh_retrans_time": 100_000_000, "tcp_icmp_opening": True}) as running:
            router(near)
            yield Wired(host, running, far, near)
            assert running.host.failure is None


def icmp_errors(wired: Wired) -> Scenario:
    def scenario(make: Make) -> list[Any]:
        """Errors from the router, and from the far host: records, pending errors, and what the next send does."""
        seen: list[Any] = []
        for connect in (True, False):
            for target, size, ttl, tos in (
                ("10.66.0.5", 30, 64, 0), ("10.67.0.5", 30, 64, 0x28), (ROUTER, 30, 64, 0), ("10.1.0.7", 800, 64, 0),
                ("10.1.0.7", 10, 1, 0), ("10.1.0.7", 573, 64, 0), ("10.1.0.7", 1400, 9, 0), ("10.0.0.99", 9, 7, 0x28),
            ):  # fmt: skip
                sock = make(std.SOCK_DGRAM)
                sock.settimeout(0)
                sock.setsockopt(IP, IP_RECVERR, 1)
                sock.setsockopt(IP, IP_MTU_DISCOVER, 2)
                sock.setsockopt(IP, IP_RECVTTL, 1)
                sock.setsockopt(IP, IP_RECVTOS, 1)
                sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
                sock.setsockopt(IP, IP_TTL, ttl)
                sock.setsockopt(IP, IP_TOS, tos)
                if connect:
                    sock.connect((target, 99))
                payload = bytes(n & 255 for n in range(size))
                seen.append((target, size, attempt(sock.sendto, payload, (target, 99))))
                seen.append(settled(sock))
                got = attempt(sock.recvmsg, 2000, 500, ERRQUEUE)
                if isinstance(got, tuple):
                    # A router may quote more or less of the packet, but both have the same router here.
                    stamps = [one for one in got[1] if one[:2] == (SOL_SOCKET, SO_TIMESTAMPNS)]
                    got = (got[0], [one for one in got[1] if one not in stamps], got[2], got[3], len(stamps))
                seen += [got, events(sock), sock.getsockopt(SOL_SOCKET, 4)]
                seen.append(attempt(sock.recv, 10))
        return seen

    return scenario


def errors_of_a_stream(wired: Wired) -> Scenario:
    def scenario(make: Make) -> list[Any]:
        """A connection that a router refuses: the quoted segment begins with our ports."""
        seen: list[Any] = []
        for target in ("10.66.0.5", "10.67.0.5"):
            sock = make(std.SOCK_STREAM)
            sock.settimeout(PATIENCE)
            sock.setsockopt(IP, IP_RECVERR, 1)
            sock.setsockopt(IP, IP_RECVTTL, 1)
            seen.append(attempt(sock.connect, (target, 80)))
            sock.settimeout(0)
            for _ in range(2):
                got = attempt(sock.recvmsg, 4, 500, ERRQUEUE)
                if isinstance(got, tuple):
                    got = (got[0][2:], [one for one in got[1] if one[1] == IP_RECVERR], *got[2:])
                seen.append(got)
        return seen

    return scenario


def multicast_on_a_wire(wired: Wired) -> Scenario:
    def scenario(make: Make) -> list[Any]:
        """Groups between two hosts: what the other host gets, what comes back, and what pktinfo says about both."""
        seen: list[Any] = []
        here, there = make(std.SOCK_DGRAM), wired.peer(make)(std.SOCK_DGRAM)
        for sock, own in ((here, HOST), (there, ROUTER)):
            sock.settimeout(0.2)
            sock.bind(("", 7000))
            for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
                sock.setsockopt(IP, name, 1)
            sock.setsockopt(IP, IP_MULTICAST_IF, std.inet_aton(own))

        def gets(sock: Any) -> Any:
            got = attempt(sock.recvmsg, 100, 200)
            return got if isinstance(got, str) else (got[0], got[1][1:], got[1][0][2][4:], got[3])

        def talk(messages: list[Any]) -> None:
            seen.append(attempt(here.sendmsg, [b"from here"], messages, 0, (GROUP, 7000)))
            seen.extend([gets(there), gets(here)])
            there.sendto(b"from there", (GROUP, 7000))
            seen.extend([gets(here), gets(there)])

        talk([])
        there.setsockopt(IP, IP_ADD, mreq(GROUP, ROUTER))
        talk([])
        here.setsockopt(IP, IP_ADD, mreq(GROUP, HOST))
        talk([])
        talk([(IP, IP_TTL, struct.pack("i", 44)), (IP, IP_TOS, b"\x08")])
        talk([pktinfo(2, HOST)])
        talk([pktinfo(0, LOCAL)])
        here.setsockopt(IP, IP_MULTICAST_LOOP, 0)
        here.setsockopt(IP, IP_MULTICAST_TTL, 3)
        talk([])
        here.setsockopt(IP, IP_MULTICAST_LOOP, 1)
        here.setsockopt(IP, IP_MULTICAST_TTL, 0)
        talk([])
        # Linux lets TTL 0 out to the wire if this host is no member. The stack does not (RFC 1122 3.2.1.7).
        here.setsockopt(IP, IP_MULTICAST_TTL, 1)
        here.setsockopt(IP, IP_DROP, mreq(GROUP, index=2))
        talk([])
        # a broadcast, with the address that an answer should have
        here.setsockopt(SOL_SOCKET, 6, 1)
        there.setsockopt(SOL_SOCKET, 6, 1)
        for to in ("10.0.0.255", "255.255.255.255"):
            seen.append(attempt(here.sendmsg, [b"broadcast"], [pktinfo(2, HOST)], 0, (to, 7000)))
            there.sendmsg([b"broadcast"], [pktinfo(0, ROUTER)], 0, (to, 7000))
            seen.extend([gets(there), gets(here), gets(there), gets(here)])
        return seen

    return scenario


@pytest.mark.parametrize("scenario", [icmp_errors, errors_of_a_stream, multicast_on_a_wire], ids=lambda s: s.__name__)
def test_on_a_wire(wired, scenario):
    wired.compare(scenario(wired))


# -- filters -----------------------------------------------------------------------------------------------------------------

NET, LINK, AD = 0xFFF00000, 0xFFE00000, 0xFFFFF000


def attach(sock: Any, *instructions: tuple[int, int, int, int]) -> Any:
    code = b"".join(struct.pack("=HBBI", *one) for one in instructions)
    memory = ctypes.create_string_buffer(code, len(code))
    return attempt(sock.setsockopt, SOL_SOCKET, 26, struct.pack("@HP", len(instructions), ctypes.addressof(memory)))


def load(offset: int, code: int = 0x30) -> tuple[tuple[int, int, int, int], ...]:
    """Return what is at an offset as the length to keep, and one more, because 0 drops the packet."""
    return (code, 0, 0, offset & 0xFFFFFFFF), (0x04, 0, 0, 1), (0x16, 0, 0, 0)


def filters(make: Make) -> list[Any]:
    """What a filter sees on each kind of socket, and what it keeps."""
    seen: list[Any] = []
    for kind, proto in ((std.SOCK_DGRAM, 0), (std.SOCK_RAW, 254), (std.SOCK_RAW, 17)):
        sock, client = make(kind, proto), make(*((std.SOCK_DGRAM, 0) if proto != 254 else (kind, proto)))
        sock.bind((LOCAL, 0))
        sock.settimeout(0.05)
        client.bind((LOCAL, 0))
        for instructions in (
            [(0x06, 0, 0, 0)], [(0x06, 0, 0, 1)], [(0x06, 0, 0, 9)], [(0x06, 0, 0, 30)], [(0x06, 0, 0, 0xFFFFFFFF)],
            [(0x80, 0, 0, 0), (0x04, 0, 0, 0xFFFFFFFE), (0x16, 0, 0, 0)],
            load(0), load(7), load(8), load(9), load(20), load(1000), load(NET), load(NET + 9), load(NET + 16), load(NET + 3),
            load(NET + 0xFFFF), load(AD, 0x28), load(AD + 4), load(AD + 8, 0x20), load(AD + 28, 0x28), load(AD + 44), load(AD + 48),
            load(AD + 60), load(AD + 20), load(0xFFFFFFFF), load(LINK - 5),
            [(0xB1, 0, 0, NET), (0x87, 0, 0, 0), (0x16, 0, 0, 0)],
            [(0x01, 0, 0, NET), *load(16, 0x50)], [(0x20, 0, 0, AD + 56), (0x44, 0, 0, 64), (0x16, 0, 0, 0)],
        ):  # fmt: skip
            seen.append(attach(sock, *instructions))
            to = (LOCAL, port(sock) if proto == 0 else 9)
            client.sendto(bytes(range(40)), to)
            got = attempt(sock.recv, 1000)
            seen.append(len(got) if isinstance(got, bytes) else got)
    return seen


def lock(make: Make) -> list[Any]:
    """Attaching, detaching and locking, right and wrong."""
    sock = make(std.SOCK_DGRAM)
    return [
        attempt(sock.setsockopt, SOL_SOCKET, 27, 0),
        attach(sock, (0x06, 0, 0, 5)),
        attempt(sock.setsockopt, SOL_SOCKET, 27, 0),
        attempt(sock.setsockopt, SOL_SOCKET, 27, 0),
        attach(sock, (0x06, 0, 0, 5)),
        attach(sock, (0x06, 0, 0, 7), (0x06, 0, 0, 5)),
        sock.getsockopt(SOL_SOCKET, 44),
        attempt(sock.setsockopt, SOL_SOCKET, 44, 5),
        sock.getsockopt(SOL_SOCKET, 44),
        attach(sock, (0x06, 0, 0, 5)),
        attempt(sock.setsockopt, SOL_SOCKET, 27, 0),
        attempt(sock.setsockopt, SOL_SOCKET, 44, 0),
        attempt(sock.setsockopt, SOL_SOCKET, 44, 1),
        sock.getsockopt(SOL_SOCKET, 44),
        attempt(make(std.SOCK_DGRAM).setsockopt, SOL_SOCKET, 26, 1),
        attempt(make(std.SOCK_DGRAM).setsockopt, SOL_SOCKET, 26, struct.pack("@HP", 1, 8)),
        attempt(make(std.SOCK_DGRAM).setsockopt, SOL_SOCKET, 26, struct.pack("@HP", 0, 8)),
        attempt(make(std.SOCK_DGRAM).setsockopt, SOL_SOCKET, 26, struct.pack("@HP", 1, 0)),
    ]


@pytest.mark.parametrize("scenario", [filters, lock], ids=lambda s: s.__name__)
def test_filters(two, scenario):
    two.compare(scenario)


def link_header(wired: Wired) -> Scenario:
    def scenario(make: Make) -> list[Any]:
        """The link header and the type of packet, on Ethernet."""
        seen: list[Any] = []
        here, there = make(std.SOCK_DGRAM), wired.peer(make)(std.SOCK_DGRAM)
        here.bind(("", 7000))
        here.settimeout(0.2)
        here.setsockopt(IP, IP_ADD, mreq(GROUP, HOST))
        there.setsockopt(IP, IP_MULTICAST_IF, std.inet_aton(ROUTER))
        there.setsockopt(SOL_SOCKET, 6, 1)
        for to in (HOST, GROUP, "10.0.0.255"):
            for instructions in (
                load(LINK + 12, 0x28),
                [(0x30, 0, 0, LINK), (0x54, 0, 0, 1), *load(0)[1:]],
                load(LINK + 13),
                load(AD + 4),
                load(AD + 28, 0x28),
                load(AD + 8, 0x20),
            ):
                seen.append(attach(here, *instructions))
                there.sendto(bytes(1000), (to, 7000))
                got = attempt(here.recv, 2000)
                seen.append(len(got) if isinstance(got, bytes) else got)
        return seen

    return scenario


def test_the_link_header(wired):
    wired.compare(link_header(wired))


# -- IGMP --------------------------------------------------------------------------------------------------------------------


def igmp_messages(wired: Wired) -> Scenario:
    def scenario(make: Make) -> list[Any]:
        """What the router hears: each step's messages without repetitions, with their destinations, TTL, TOS and options."""
        seen: list[Any] = []
        space = next(space for maker, space in wired.routers.items() if maker == make)
        wire = wired._keep(space.call(kernel_socket, std.AF_PACKET, std.SOCK_DGRAM, std.htons(0x0800)))
        router = wired.peer(make)(std.SOCK_RAW, 2)
        router.setsockopt(IP, IP_MULTICAST_IF, std.inet_aton(ROUTER))
        router.setsockopt(IP, IP_MULTICAST_LOOP, 0)
        router.setsockopt(IP, 4, b"\x94\x04\0\0")
        sock, other = make(std.SOCK_DGRAM), make(std.SOCK_DGRAM)
        wire.settimeout(0.05)

        def heard(seconds: float) -> None:
            found = []
            deadline = time.monotonic() + seconds
            while True:
                over = time.monotonic() >= deadline
                try:
                    packet = wire.recv(2000)
                except TimeoutError:
                    # Only what came in time ends here, although a busy machine may have read none of it in time.
                    if over:
                        break
                    continue
                # The direction: what the router sends itself has our source there.
                if packet[9] == 2 and packet[12:16] == std.inet_aton(HOST):
                    start = (packet[0] & 15) * 4
                    one = (packet[1], packet[8], packet[20:start], std.inet_ntoa(packet[16:20]), packet[start:])
                    if one not in found:
                        found.append(one)
            seen.append(sorted(found))

        def step(one: Any, name: int, value: bytes) -> None:
            one.setsockopt(IP, name, value)
            heard(1.3)

        def ask(group: str, *sources: str, code: int = 5, old: bool = False) -> None:
            body = std.inet_aton(group)
            if not old:
                body += b"\x02\x7d" + len(sources).to_bytes(2, "big") + b"".join(std.inet_aton(one) for one in sources)
            message = bytes((0x11, code, 0, 0)) + body
            checksum = sum_any(message, 0) ^ 0xFFFF
            router.sendto(
                message[:2] + checksum.to_bytes(2, "big") + message[4:],
                (group if group != "0.0.0.0" else "224.0.0.1", 0),
            )
            heard(0.8)

        def source(address: str) -> bytes:
            return std.inet_aton(GROUP) + std.inet_aton(HOST) + std.inet_aton(address)

        ask("0.0.0.0")
        step(sock, IP_ADD, mreq(GROUP, HOST))
        step(other, IP_ADD, mreq(GROUP, HOST))
        step(other, 38, source("10.0.0.8"))
        ask(GROUP)
        step(sock, 38, source("10.0.0.8"))
        ask("0.0.0.0")
        # (Linux answers a query for some sources with its whole list of excluded ones; RFC 3376 5.2 has those that are wanted.)
        ask(GROUP, "10.0.0.8")
        step(sock, IP_DROP, mreq(GROUP, HOST))
        step(sock, 39, source("10.0.0.9"))
        step(other, IP_DROP, mreq(GROUP, HOST))
        ask(GROUP)
        ask(GROUP, "10.0.0.9", "10.0.0.8")
        step(sock, IP_DROP, mreq(GROUP, HOST))
        step(sock, IP_ADD, mreq("239.7.7.7", HOST))
        # a router of version 2
        ask("0.0.0.0", old=True)
        ask("239.7.7.7", old=True)
        step(sock, IP_DROP, mreq("239.7.7.7", HOST))
        return seen

    return scenario


def test_igmp_as_the_kernel(wired):
    seen = wired.compare(igmp_messages(wired), at_once=True)
    assert len([one for one in seen if one]) >= 12
