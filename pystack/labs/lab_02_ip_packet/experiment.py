"""A sends UDP datagrams to B over a link with an MTU of 1,500 bytes."""

import struct
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_udp
from pystack.sim.channel import flip_bit
from pystack.sim.network import Network
from pystack.sim.programs import datagram
from pystack.testing.lab import MS, A, B, Lab, S
from pystack.testing.segments import OUTBOUND

SIZE, SENDS = 4000, 2000
WAIT = 30 * S  # how long B waits for missing fragments


def network(**link: Any) -> Lab:
    """Build the network: hosts `a` and `b`, 1 ms apart each way."""
    net = Network(1)
    a, b = (net.host(name, udp_rmem=1 << 30) for name in "ab")
    joint = net.link(a, b, addrs=(A + "/24", B + "/24"), delay=MS, **link)
    net.introduce()
    return Lab(net, a, b, joint)


def ends(lab: Lab) -> tuple[Any, Any]:
    """Return a socket of `a`, and one of `b` that receives."""
    taker = datagram(lab.b)
    taker.bind("", 9)
    return datagram(lab.a), taker


def fragments(size: int, mtu: int = 1500) -> list[list[int]]:
    """Return [total length, offset, more fragments, identification] of each packet that a datagram becomes."""
    lab = network(mtu=mtu)
    seen = []

    def tap(time, direction, frame):
        total, ident, field = struct.unpack_from(">HHH", frame, 16)
        seen.append([total, field & 0x1FFF, field >> 13 & 1, ident])

    lab.a.port().taps.append(tap)
    ends(lab)[0].sendto(bytes(size), B, 9)
    return seen


def delivered(size: int) -> float:
    """Return the share (%) of the datagrams that arrives if the link loses 5 % of the frames."""
    lab = network(loss=0.05)
    sock, taker = ends(lab)
    for number in range(SENDS):
        lab.net.after(number * MS, sock.sendto, bytes(size), B, 9)
    lab.net.run(until=100 * S)
    return 100 * len(taker.endpoint.queue) / SENDS


def errors(lost: int) -> list[int]:
    """Lose one fragment of three. Returns the times (ns) at which B sends "reassembly time exceeded"."""
    lab = network()
    sock, taker = ends(lab)
    lab.link.ab.drop(lost, match=is_udp)
    times = []

    def tap(time, direction, frame):
        if direction == OUTBOUND and frame[34:36] == b"\x0b\x01":
            times.append(time)

    lab.b.port().taps.append(tap)
    sock.sendto(bytes(SIZE), B, 9)
    lab.net.run(until=100 * S)
    assert not taker.endpoint.queue
    return times


def flipped() -> tuple[int, int]:
    """Flip each bit of the header in turn. Returns how many packets B drops, and how many of these because of the checksum."""
    lab = network()
    sock, taker = ends(lab)
    frames: list[bytes] = []
    lab.a.port().taps.append(lambda time, direction, frame: frames.append(frame))
    sock.sendto(b"hello", B, 9)
    lab.net.run(until=S)
    dropped = checksum = 0
    for bit in range(160):
        before = dict(lab.b.counters.drops)
        lab.b.port().arrive(flip_bit(frames[0], 14 * 8 + bit))
        reasons = [name for name, count in lab.b.counters.drops.items() if count != before.get(name, 0)]
        dropped += len(taker.endpoint.queue) == 1 and len(reasons) == 1
        lengths = bit < 8 or 16 <= bit < 32  # version, header length, total length
        checksum += not lengths and "checksum" in reasons[0]
    return dropped, checksum


VALUES = [
    LabValue("total", "Total lengths of the fragments?", "20 + 1480, 1480, 1048", [1500, 1500, 1068], "bytes"),
    LabValue("offset", "Offsets of the fragments?", "0, 1480 / 8, 2960 / 8", [0, 185, 370], "units"),
    LabValue("more", "More fragments, in each?", "1, 1, 0", [1, 1, 0], ""),
    LabValue("delivered", "Which share of the datagrams arrives?", "0.95^3", 100 * 0.95**3, "%", 2.4),
    LabValue("errors", "ICMP errors if fragment 1, 2 or 3 is lost?", "0, 1, 1", [0, 1, 1], ""),
    LabValue("wait", "When does B send the error?", "1 ms + 30 s", WAIT + MS, "ms"),
    LabValue("flipped", "160 packets, each with one bit of the header flipped: how many does B drop?", "160", 160, ""),
    LabValue("checksum", "How many of the 136 outside version and lengths by the checksum?", "136", 136, ""),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("total", "offset", "more"):
        packets = fragments(SIZE)
        assert len({packet[3] for packet in packets}) == 1  # one identification
        return [packet[("total", "offset", "more").index(name)] for packet in packets]
    if name == "delivered":
        return delivered(SIZE)
    if name == "errors":
        return [len(errors(lost)) for lost in (1, 2, 3)]
    return errors(3)[0] if name == "wait" else flipped()[name == "checksum"]


CONTROLS = [
    LabControl("A datagram of 1,472 bytes", LabValue("one", "Packets", "1", 1, "")),
    LabControl("A datagram of 1,472 bytes", LabValue("share", "Share that arrives", "0.95", 95, "%", 1.5)),
]


def control(name: str) -> float:
    """Measure a control."""
    return len(fragments(1472)) if name == "one" else delivered(1472)


LOOKS = [
    LabLook("A datagram of 4,000 bytes in three fragments", lambda: fragments(SIZE), 'event.kind == "fragment"', "ladder"),
    LabLook("The last fragment is lost, and 30 s later B gives up", lambda: errors(3), 'event.kind == "icmp.out"', "ladder"),
]  # fmt: skip
