"""C says that it has the address of B, and forwards what it gets."""

from pystack.addresses import parse_addr
from pystack.phy.match import is_udp
from pystack.sim.network import Network
from pystack.sim.programs import datagram, spawn
from pystack.testing.lab import S, sleep
from pystack.trace.pcapng import INBOUND
from pystack_c.const import ARPOP_REPLY
from pystack_c.wire import arp

A, B = "10.0.0.1", "10.0.0.2"
COUNT, BEFORE = 10, 5


def poisoned(net: Network, fixed: bool = False) -> list[int]:
    """Send ten datagrams from A to B, one each second, and let C lie after five. Returns how many pass C, and how many reach B.

    With `fixed`, A's entry for B was made by hand.
    """
    a, b, c = (net.hosts[name] for name in "abc")
    macs = {host.name: host.port().iface.mac for host in (a, b, c)}
    if fixed:
        a.neighbor(B, macs["b"])
    passed: list[bytes] = []

    def tap(time: int, way: int, frame: bytes) -> None:
        if way == INBOUND and is_udp(frame) and frame[:6] == macs["c"].to_bytes(6, "big"):
            passed.append(frame)

    c.port().taps.append(tap)
    taker, sock = datagram(b), datagram(a)
    taker.bind("", 9)

    def lie():
        c.port().send(arp.frame(macs["a"], ARPOP_REPLY, macs["c"], parse_addr(B), macs["a"], parse_addr(A)))

    def send():
        for number in range(COUNT):
            sock.sendto(bytes([number]), B, 9)
            yield sleep(S)

    net.at((BEFORE - 1) * S + S // 2, lie)
    net.run_until(spawn(net, send()).finished, limit=100 * S)
    return [len(passed), len(taker.endpoint.queue)]
