"""100,000 SYNs from addresses that are not there, sent by the kernel: memory stays bounded, and who is there gets in."""

import socket as std
import struct
import time

import pytest

from tests.kernel.conftest import STACK, make
from tests.support.patience import PATIENCE

COUNT = 100_000
PORT = 80


@pytest.fixture
def flooded(request):
    yield from make(config=getattr(request, "param", {}))


def segments():
    """SYNs for the stack's port: source addresses of 198.18.0.0/15, which nobody has (RFC 2544), and ports change with each."""
    target = std.inet_aton(STACK)
    for number in range(COUNT):
        source = struct.pack(">I", 0xC6120000 | (number * 40503 & 0x1FFFF))
        sport = 1024 + number % 60_000
        seq = number * 2654435761 & 0xFFFFFFFF
        tcp = struct.pack(">HHIIBBHHHBBH", sport, PORT, seq, 0, 6 << 4, 2, 64240, 0, 0, 2, 4, 1460)
        total = sum(struct.unpack(">16H", source + target + b"\0\6\0\x18" + tcp[:20])) + sum(
            struct.unpack(">2H", tcp[20:])
        )
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
        # (The kernel writes the IP header's length and checksum.)
        yield struct.pack(">BBHHHBBH", 0x45, 0, 44, 0, 0, 64, 6, 0) + source + target + tcp


class Flood:
    """The attacker: `send(n)` sends the next n, no faster than the stack takes them (what the TAP drops proves nothing)."""

    def __init__(self, net):
        self.net = net
        self.raw = net.kernel(std.SOCK_RAW, std.IPPROTO_RAW)
        self.segments = segments()
        self.sent = 0
        self.begin = self.arrived()

    def arrived(self):
        return self.net.running.host.inspect(lambda stack: stack.counters.TcpInSegs)

    def send(self, count):
        for number in range(count):
            self.raw.sendto(next(self.segments), (STACK, 0))
            self.sent += 1
            if number % 256 == 255 or number == count - 1:
                deadline = time.monotonic() + PATIENCE
                while self.arrived() - self.begin < self.sent:
                    assert time.monotonic() < deadline, f"{self.arrived() - self.begin} of {self.sent} SYNs arrived"
                    time.sleep(0.0005)


def kept(net):
    """(Control blocks, memory in MB) of the stack."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return net.running.host.inspect(lambda stack: len(stack.endpoints)), pages * 4096 / 1e6


def resent(net):
    """SYNs that the kernel had to send again."""
    text = net.sh("cat /proc/net/netstat").stdout.splitlines()
    names, values = (line.split() for line in text if line.startswith("TcpExt:"))
    return int(values[names.index("TCPSynRetrans")])


def at_once(net, work):
    """Whether the kernel sends no SYN again in one of a few rounds. It waits for a second, and a busy machine may hold up any one round."""
    for _ in range(4):
        before = resent(net)
        work()
        if resent(net) == before:
            return True
    return False


def serve(net):
    listener = net.socket()
    listener.bind(("", PORT))
    listener.listen(64)
    return listener


def connect(net, listener):
    """A real client connects, and data goes through."""
    client = net.kernel()
    client.connect((STACK, PORT))
    with listener.accept()[0] as conn:
        client.sendall(b"hello")
        assert conn.recv(5) == b"hello"
        conn.sendall(b"world")
        assert client.recv(5) == b"world"
    client.close()


def test_100000_spoofed_syns(flooded):
    net = flooded
    listener = serve(net)
    flood = Flood(net)
    flood.send(5000)
    blocks, memory = kept(net)
    for _ in range(5):
        flood.send((COUNT - 5000) // 5)
        # One round trip: no SYN was lost, none was sent again (that would be a second later).
        assert at_once(net, lambda: connect(net, listener))
    assert flood.sent == COUNT
    backlog = net.running.host.inspect(lambda stack: stack.config.tcp_max_syn_backlog)
    after, grown = kept(net)
    assert after <= backlog + 20 and abs(after - blocks) <= 20
    assert grown - memory < 10
    counters = net.running.host.inspect(lambda stack: stack.counters)
    assert counters.TcpExtSyncookiesSent > COUNT - 2 * backlog
    assert counters.TcpExtSyncookiesRecv >= 5


@pytest.mark.parametrize("flooded", [{"tcp_syncookies": False}], indirect=True)
def test_control_without_cookies_the_client_stays_out(flooded):
    listener = serve(flooded)
    flood = Flood(flooded)
    flood.send(2000)
    client = flooded.kernel(timeout=0.5)
    with pytest.raises(TimeoutError):
        client.connect((STACK, PORT))
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("flooded", [{"tcp_syncookies": False, "tcp_max_syn_backlog": 1 << 20}], indirect=True)
def test_control_without_a_bound_each_syn_is_kept(flooded):
    serve(flooded)
    Flood(flooded).send(5000)
    assert kept(flooded)[0] > 5000
