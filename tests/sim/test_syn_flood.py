"""A flood of SYNs from forged addresses: what it costs, and that a real client is served within one round trip (RFC 4987)."""

import struct

import pytest

import pystack_c.const as C
from pystack import compiled
from pystack.sim.network import MS, S
from pystack.sim.programs import StreamSocket, stream
from pystack.testing.lab import B, lab_net, pattern
from pystack.testing.segments import ACK, SYN, ones
from pystack_c.base.address import v4
from pystack_c.tcp.queues import memory
from tests.support import invariants

#: 100,000 on the compiled core; the uncompiled one, which decides the same, gets fewer
COUNT = 100_000 if all(compiled().values()) else 4_000
RTT = 20 * MS
TARGET = 0x0A000002


def template() -> tuple[bytearray, int, int]:
    """An IPv4 SYN to B:80 without source, port and sequence number, and the sums of its two checksums' other words."""
    tcp = struct.pack(">HHIIBBHHH", 0, 80, 0, 0, 0x60, SYN, 64240, 0, 0) + struct.pack(">BBH", 2, 4, 1460)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, 0, TARGET)
    pseudo = struct.pack(">IIHH", 0, TARGET, 6, len(tcp))
    return bytearray(ip + tcp), ones(ip), ones(pseudo + tcp)


def folded(total: int) -> int:
    """The checksum of a sum of words."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16) ^ 0xFFFF


def spoofed(count: int):
    """`count` SYNs, each from an address and port of its own, all over the Internet; checksums are right."""
    packet, ip_sum, tcp_sum = template()
    for number in range(count):
        src = 0x0B000000 + number * 2654435761 % 0x60000000
        sport = 1024 + number % 60_000
        seq = number * 40503 & 0xFFFFFFFF
        words = (src >> 16) + (src & 0xFFFF)
        struct.pack_into(">H", packet, 10, folded(ip_sum + words))
        struct.pack_into(">I", packet, 12, src)
        struct.pack_into(">H", packet, 20, sport)
        struct.pack_into(">I", packet, 24, seq)
        struct.pack_into(">H", packet, 36, folded(tcp_sum + words + sport + (seq >> 16) + (seq & 0xFFFF)))
        yield bytes(packet)


class Flood:
    """Hosts a (honest) and b (the server) with a link, and b's other link, where `count` SYNs come in a second."""

    def __init__(self, count: int = COUNT, **server):
        self.lab = lab_net(RTT // 2, profile="linux", server=server)
        net, b = self.lab.net, self.lab.b
        self.crowd = net.wire("crowd")
        net.link(b, self.crowd, kind=C.LINK_IP)
        b.addr("10.9.0.1/24")
        b.route("default")
        self.answers = 0
        self.crowd.on_frame = self.answered
        self.listener: StreamSocket = self.lab.listener()
        self.gap = S // count
        self.packets = spoofed(count)
        self.sent = 0
        self.resident: dict[int, int] = {}
        net.after(0, self.tick)

    def answered(self, _frame: bytes) -> None:
        """A SYN,ACK goes to somebody who never asked."""
        self.answers += 1
        self.crowd.got.clear()

    def tick(self) -> None:
        """The next SYN."""
        packet = next(self.packets, None)
        if packet is None:
            return
        self.crowd.send(packet)
        self.sent += 1
        if self.sent % 1000 == 0:
            invariants.check_tables(self.lab.b.stack)
        if self.sent in (COUNT // 10, COUNT):
            with open("/proc/self/statm") as file:
                self.resident[self.sent] = int(file.read().split()[1]) * 4096
        self.lab.net.after(self.gap, self.tick)

    def dial(self, patience: int = 10 * S):
        """The honest client: (time until its first bytes of answer, or None; its socket)."""
        lab = self.lab

        def serve():
            sock = yield self.listener.accept()
            yield sock.sendall((yield sock.recv(100)))
            return sock

        def client():
            sock = stream(lab.a)
            started = lab.net.now
            yield sock.connect(B, 80)
            took = lab.net.now - started
            yield sock.sendall(b"real")
            assert (yield sock.recv_exactly(4)) == b"real"
            return took, lab.net.now - started, sock

        lab.spawn(serve())
        proc = lab.spawn(client())
        end = lab.net.now + patience
        while not proc.finished() and lab.net.now < end:
            lab.net.run(until=lab.net.now + RTT)
        return proc.value if proc.finished() else None


def test_memory_is_bounded_and_a_real_client_connects_in_one_round_trip():
    flood = Flood()
    stack, net = flood.lab.b.stack, flood.lab.net
    net.run(until=net.now + S // 2)
    connected, answered, sock = flood.dial()
    assert connected == RTT and answered == 2 * RTT
    net.run(until=S + 100 * MS)
    # (Beside the flood's queue: SACK and window scale came through the cookie, in the timestamp.)
    child = stack.tcp.find(v4(TARGET), 80, v4(0x0A000001), sock.endpoint.lport)
    assert child.sack_ok and child.wscale_ok and child.ts_ok and child.peer_mss == 1460
    assert flood.sent == COUNT == stack.counters.TcpInSegs - 4  # (the client's SYN, ACK, data, ACK)
    # Every SYN was answered once, the answers to half-open connections again by their timers (no amplification: 5 at most).
    half = stack.config.tcp_max_syn_backlog
    assert stack.counters.TcpExtSyncookiesSent >= COUNT - half and stack.counters.TcpExtSyncookiesRecv == 1
    assert COUNT <= flood.answers <= COUNT + half * 5
    assert len(flood.listener.endpoint.listener.syn_queue) == half
    assert len(stack.endpoints) <= half + 3 and len(stack.timers) <= 2 * half
    # (A half-open connection holds the record of its SYN,ACK, and no bytes; the served one holds nothing.)
    assert stack.tcp_memory <= half * memory.RECORD
    assert stack.counters.drops == {}
    if flood.resident and COUNT == 100_000:
        first, last = flood.resident[COUNT // 10], flood.resident[COUNT]
        assert last - first < 8 << 20, f"{last - first} bytes for {COUNT * 9 // 10} SYNs"
    # And when the flood is over, what is left of it goes by itself.
    net.run(until=200 * S)
    assert len(stack.endpoints) == 2 and not flood.listener.endpoint.listener.syn_queue


def test_control_without_cookies_it_does_not():
    flood = Flood(4000, tcp_syncookies=False)
    net = flood.lab.net
    net.run(until=net.now + S // 2)
    assert flood.dial(patience=20 * S) is None
    counters = flood.lab.b.counters
    assert counters.TcpExtTCPReqQFullDrop > 2000 and counters.TcpExtSyncookiesSent == 0


def test_control_without_a_bound_memory_follows_the_flood():
    flood = Flood(4000, tcp_syncookies=False, tcp_max_syn_backlog=1 << 20)
    flood.lab.net.run(until=S + 100 * MS)
    assert len(flood.lab.b.stack.endpoints) == 4001


@pytest.mark.parametrize("value", [0, 1, 5_000])
def test_acks_that_carry_no_cookie_of_ours_open_nothing(value):
    """A flood of ACKs during the flood of SYNs: none is redeemed, each is answered with one RST, and nothing is kept."""
    flood = Flood(2000, tcp_max_syn_backlog=16)
    lab = flood.lab
    lab.net.run(until=S // 4)
    packet, ip_sum, tcp_sum = template()
    sent = 0
    for number in range(500):
        guess = (value + number * 2654435761) & 0xFFFFFFFF
        struct.pack_into(">H", packet, 10, folded(ip_sum + 0x0B00 + number))
        struct.pack_into(">I", packet, 12, 0x0B000000 + number)
        struct.pack_into(">HHIIBB", packet, 20, 999, 80, 5, guess, 0x60, ACK)
        words = 0x0B00 + number + 999 + 5 + (guess >> 16) + (guess & 0xFFFF) + ACK - SYN
        struct.pack_into(">H", packet, 36, folded(tcp_sum + words))
        flood.crowd.send(bytes(packet))
        sent += 1
    before = lab.b.counters.TcpExtSyncookiesRecv
    lab.net.run(until=lab.net.now + 100 * MS)
    counters = lab.b.counters
    assert counters.TcpExtSyncookiesRecv == before == 0
    assert counters.TcpExtSyncookiesFailed == sent == counters.TcpOutRsts
    assert len(lab.b.stack.endpoints) <= 17 + 1 and counters.TcpInCsumErrors == 0


def test_the_flood_does_not_disturb_what_is_open():
    """A transfer that runs before and during the flood: the same time, to the nanosecond but for the flood's own frames."""
    times = []
    for count in (1, 20_000 if COUNT > 10_000 else 2_000):
        flood = Flood(count)
        lab = flood.lab
        listener = lab.listener(81)

        def accept(listener=listener):
            return (yield listener.accept())

        def client(lab=lab):
            sock = stream(lab.a)
            yield sock.connect(B, 81)
            return sock

        sock, server = lab.run(client(), accept(), limit=S)
        times.append(lab.upload(pattern(2_000_000), sock, server))
    assert times[0] == times[1] and times[0] > 2 * RTT
