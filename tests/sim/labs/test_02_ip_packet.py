"""Lab 2: the IP packet: fragments, what loss does to them, and the header checksum."""

import struct

import pytest

from pystack.phy.match import is_ip, is_udp
from pystack.sim.channel import flip_bit
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram
from pystack.testing.lab import A, B


def net_pair(**link):
    net = Network(1)
    a, b = net.host("a", udp_rmem=1 << 30), net.host("b", udp_rmem=1 << 30)
    joint = net.link(a, b, addrs=(A + "/24", B + "/24"), delay=MS, **link)
    net.introduce()
    taker = datagram(b)
    taker.bind("", 9)
    return net, joint, datagram(a), taker


def fragments(size: int):
    """(total length, offset, MF, ID) of each packet that a datagram becomes."""
    net, joint, sock, _ = net_pair()
    seen = []
    joint.a.taps.append(lambda time, direction, frame: seen.append(struct.unpack_from(">HHH", frame, 16)))
    sock.sendto(bytes(size), B, 9)
    return [(total, field & 0x1FFF, field >> 13 & 1, ident) for total, ident, field in seen]


def test_4000_bytes_are_three_fragments():
    packets = fragments(4000)
    assert [packet[:3] for packet in packets] == [(1500, 0, 1), (1500, 185, 1), (1068, 370, 0)]
    assert len({packet[3] for packet in packets}) == 1


def delivered(size: int) -> float:
    """The share of 2,000 datagrams that arrives where 5 % of the frames are lost."""
    net, _, sock, taker = net_pair(loss=0.05)
    for number in range(2000):
        net.after(number * MS, sock.sendto, bytes(size), B, 9)
    net.run(until=100 * S)
    return len(taker.endpoint.queue) / 2000


def test_a_datagram_arrives_only_if_all_fragments_do():
    assert delivered(4000) == pytest.approx(0.95**3, abs=0.024)


def test_control_one_packet():
    assert len(fragments(1472)) == 1
    assert delivered(1472) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("lost", "errors"), [(2, 1), (3, 1), (1, 0)])
def test_one_lost_fragment(lost, errors):
    net, joint, sock, taker = net_pair()
    joint.ab.drop(lost, match=is_udp)
    times = []
    joint.b.taps.append(lambda time, direction, frame: times.append((time, frame[34:36])) if direction == 2 else None)
    sock.sendto(bytes(4000), B, 9)
    net.run(until=100 * S)
    assert not taker.endpoint.queue
    assert times == [(30 * S + MS, b"\x0b\x01")] * errors  # time exceeded, code 1, to whoever sent the first fragment


def test_each_of_the_160_header_bits():
    net, joint, sock, taker = net_pair()
    sock.sendto(b"hello", B, 9)
    frames = []
    joint.a.taps.append(lambda time, direction, frame: frames.append(frame))
    sock.sendto(b"hello", B, 9)
    net.run(until=S)
    (frame,) = frames
    assert is_ip(frame) and len(taker.endpoint.queue) == 2
    counted = 0
    for bit in range(160):
        before = dict(net.hosts["b"].counters.drops)
        joint.b.arrive(flip_bit(frame, 14 * 8 + bit))
        after = net.hosts["b"].counters.drops
        (name,) = [key for key in after if after[key] != before.get(key, 0)]
        counted += "checksum" in name
        if bit >= 8:
            field = bit // 8
            assert "checksum" in name or field in (2, 3), (bit, name)
    assert len(taker.endpoint.queue) == 2  # 160 of 160 dropped
    assert counted >= 160 - 8 - 16
