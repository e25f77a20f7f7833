"""RFC 4787: address translation of UDP. The numbers are those of requirements/rfc4787.csv."""

import random
import struct

import pytest

import pystack_c.const as C
from tests import frames as f
from tests.rfc.nats import A2, B2, NAT, PLACES, A, B, independent, linux, pool, port, profiled
from tests.support.natbox import IN, OUT, S, ends, error, seal, sums_right, udp

KINDS = [(3, code) for code in (0, 1, 2, 3, 9, 10, 13)] + [(4, 0), (11, 0), (11, 1), (12, 0)]


def pieces(packet: bytes, *cuts: int) -> list[bytes]:
    """The packet as fragments that begin at 0 and at each of `cuts`, with one identification."""
    found, payload = [], packet[20:]
    for start, end in zip((0, *cuts), (*cuts, len(payload))):
        head = bytearray(packet[:20])
        head[2:4] = struct.pack(">H", 20 + end - start)
        head[6:8] = struct.pack(">H", start // 8 | (0x2000 if end < len(payload) else 0))
        head[10:12] = b"\0\0"
        head[10:12] = struct.pack(">H", f.ones(bytes(head)) ^ 0xFFFF)
        found.append(bytes(head) + payload[start:end])
    return found


def whole(sent: list[tuple[int, bytes]]) -> bytes:
    """The datagram of which these fragments are the parts, in their order."""
    data = b"".join(piece[20:] for _, piece in sent)
    head = bytearray(sent[0][1][:20])
    head[6:8] = b"\0\0"
    head[2:4] = struct.pack(">H", 20 + len(data))
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack(">H", f.ones(bytes(head)) ^ 0xFFFF)
    return bytes(head) + data


def test_udp_1_one_mapping_for_all_destinations():
    ports = {}
    for name, box in (("independent", independent()), ("linux", linux())):
        port(box, udp(A, 5000, B, 53))
        ports[name] = {port(box, udp(A2, 5000, *place)) for place in (*reversed(PLACES), *PLACES)}
    assert len(ports["independent"]) == 1
    assert len(ports["linux"]) == 2  # the control: the port is kept where it is free


def test_udp_2_one_external_address_for_each_host():
    box = pool("198.51.100.1", "198.51.100.9")
    used = set()
    for number in range(2, 30):
        found = {box.one(IN, udp(f"10.0.0.{number}", 1000 + at, *place))[0] for at, place in enumerate(PLACES * 3)}
        assert len(found) == 1
        used |= found
    assert len(used) > 3  # the control: the pool is used
    box = pool("198.51.100.1", "198.51.100.9", nat_endpoint_independent=False)
    assert len({box.one(IN, udp(A, 1000 + n, f"192.0.2.{n + 2}", 53))[0] for n in range(30)}) > 3


def test_udp_3_no_two_hosts_share_an_external_port():
    box = independent()
    ports = [port(box, udp(f"10.0.0.{n}", 5000, f"192.0.2.{n}", 53)) for n in range(2, 60)]
    assert len(set(ports)) == len(ports)
    box = linux()
    assert {port(box, udp(f"10.0.0.{n}", 5000, f"192.0.2.{n}", 53)) for n in range(2, 60)} == {5000}  # the control


@pytest.mark.parametrize("make", [independent, linux])
def test_udp_3a_a_changed_port_stays_in_its_range(make):
    box = make()
    for sport, low, high in ((123, 1, 1023), (700, 1, 1023), (1024, 1024, 65535), (60000, 1024, 65535)):
        ports = [port(box, udp(f"10.0.0.{n}", sport, B, 53)) for n in range(2, 32)]
        assert ports[0] == sport and len(set(ports)) == 30
        assert all(low <= number <= high for number in ports)


@pytest.mark.parametrize("make", [independent, linux])
def test_udp_5_a_mapping_in_use_lives_for_two_minutes(make):
    box = make()
    port(box, udp(A, 5000, B, 53))
    for at in range(3):
        assert box.send(OUT, udp(B, 53, NAT, 5000))[0][0] == IN, at
        box.later(1.5)
        port(box, udp(A, 5000, B, 53))
    box.later(119)
    assert box.send(OUT, udp(B, 53, NAT, 5000))[0][0] == IN
    box.later(121)
    assert box.table.count == 0  # the control: it does end


def test_udp_5_with_the_profile_an_unanswered_datagram_does_too():
    box = profiled()
    port(box, udp(A, 5000, B, 53))
    box.later(120)
    assert box.one(OUT, udp(B, 53, NAT, 5000))[2:] == (A, 5000)


@pytest.mark.parametrize("setting", [30, 120, 300])
def test_udp_5b_the_time_can_be_configured(setting):
    box = independent(nf_conntrack_udp_timeout=setting * S, nf_conntrack_udp_timeout_stream=setting * S)
    port(box, udp(A, 5000, B, 53))
    box.later(setting - 1)
    assert box.table.count == 1
    box.later(2)
    assert box.table.count == 0


@pytest.mark.parametrize("answers", [0, 3])
def test_udp_5c_with_the_profile_a_mapping_lives_for_five_minutes(answers):
    box = profiled()
    port(box, udp(A, 5000, B, 53))
    for _ in range(answers):
        box.later(1.5)
        box.one(OUT, udp(B, 53, NAT, 5000))
    box.later(299)
    assert box.table.count == 1
    box.later(2)
    assert box.table.count == 0  # the control


@pytest.mark.parametrize("make", [independent, linux])
def test_udp_6_packets_from_the_inside_refresh_a_mapping(make):
    box = make()
    found = set()
    for _ in range(5):
        port(box, udp(A, 5000, B, 53))
        found |= {entry.ident for entry in box.table.all()}
        box.later(29)
    assert box.table.count == len(found) == 1
    box.later(2)
    assert box.table.count == 0  # the control


def test_udp_6a_packets_from_the_outside_refresh_it_too():
    box = independent()
    port(box, udp(A, 5000, B, 53))
    for _ in range(5):
        assert box.one(OUT, udp(B, 53, NAT, 5000))[2:] == (A, 5000)
        box.later(29)
    assert box.table.count == 1


@pytest.mark.parametrize(("filtering", "known", "unknown"), [(0, True, True), (1, True, False), (2, False, False)])
def test_udp_8_packets_that_a_mapping_lets_in(filtering, known, unknown):
    box = independent(filtering)
    port(box, udp(A, 5000, B, 53))
    assert box.one(OUT, udp(B, 53, NAT, 5000)) == (B, 53, A, 5000)
    for src, expected in ((B, known), (B2, unknown)):
        sent = box.send(OUT, udp(src, 999, NAT, 5000))
        assert [iface for iface, data in sent if ends(data)[2] == A] == ([IN] if expected else [])


def test_udp_8a_the_filtering_can_be_configured():
    for filtering, expected in ((0, [IN]), (2, [])):
        box = independent(2)
        box.stack.config.nat_filtering = filtering
        port(box, udp(A, 5000, B, 53))
        assert [iface for iface, data in box.send(OUT, udp(B2, 9, NAT, 5000)) if ends(data)[2] == A] == expected


def test_udp_9_an_inner_host_reaches_another_at_its_external_endpoint():
    box = independent()
    port(box, udp(A, 5000, B, 53))
    [(iface, out)] = box.send(IN, udp(A2, 6000, NAT, 5000))
    assert iface == IN and sums_right(out) and ends(out)[2:] == (A, 5000)
    box = linux()
    port(box, udp(A, 5000, B, 53))
    assert all(ends(out)[2] != A for _, out in box.send(IN, udp(A2, 6000, NAT, 5000)))  # the control


def test_udp_9a_such_a_packet_has_an_external_source():
    box = independent()
    port(box, udp(A, 5000, B, 53))
    port(box, udp(A2, 5000, B2, 53))
    external = port(box, udp(A2, 5000, B, 53))
    assert external != 5000
    [(_, out)] = box.send(IN, udp(A2, 5000, NAT, 5000))
    assert ends(out) == (NAT, external, A, 5000)
    [(iface, out)] = box.send(IN, udp(A, 5000, NAT, external))
    assert iface == IN and ends(out) == (NAT, 5000, A2, 5000)


def test_udp_11_nothing_changes_a_mapping_or_the_filtering():
    """Neither collisions, nor a full table, nor time: a host in use keeps its port, and strangers stay out."""
    rng = random.Random(1)
    box = independent(1, nf_conntrack_max=200)
    assert port(box, udp(A, 5000, B, 53)) == 5000
    mine = port(box, udp(A2, 5000, B, 53))
    for _ in range(3):
        assert port(box, udp(A2, 5000, B, 53)) == mine
        assert box.one(OUT, udp(B, 53, NAT, mine))[2:] == (A2, 5000)
        box.later(1.5)
    for step in range(500):
        host = f"10.0.0.{rng.randrange(4, 250)}"
        assert port(box, udp(host, rng.choice((5000, mine)), rng.choice((B, B2)), rng.randrange(1, 60))) != mine
        if step % 20 == 0:
            box.later(1)
            assert {port(box, udp(A2, 5000, *place)) for place in (*PLACES, (B2, 1000 + step))} == {mine}
            assert box.one(OUT, udp(B2, 9, NAT, mine))[2:] == (A2, 5000)
            assert not [1 for _, data in box.send(OUT, udp("192.0.2.99", 9, NAT, mine)) if ends(data)[2] == A2]
    assert box.drops["conntrack-early-drop"] > 100


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_udp_12_no_icmp_message_ends_a_mapping(kind, code):
    box = independent()
    [(_, outer)] = box.send(IN, udp(A, 5000, B, 53))
    [(_, answer)] = box.send(OUT, udp(B, 53, NAT, 5000))
    box.send(OUT, error(B, NAT, outer, kind, code))
    box.send(IN, error(A, B, answer, kind, code))
    assert box.one(OUT, udp(B, 53, NAT, 5000)) == (B, 53, A, 5000)


@pytest.mark.parametrize("src", [B, B2, "198.51.100.9"])
def test_udp_12a_an_icmp_message_may_come_from_any_address(src):
    box = linux()
    [(_, outer)] = box.send(IN, udp(A, 5000, B, 53))
    assert box.one(OUT, error(src, NAT, outer, 11, 0))[::2] == (src, A)


@pytest.mark.parametrize("code", range(16))
def test_udp_12b_destination_unreachable_is_passed_on(code):
    box = linux()
    port(box, udp(A2, 5000, B, 53))
    [(_, outer)] = box.send(IN, udp(A, 5000, B, 53))
    [(iface, out)] = box.send(OUT, error("192.0.2.99", NAT, outer, 3, code))
    assert iface == IN and sums_right(out) and out[20:22] == bytes((3, code))
    assert ends(out[28:]) == (A, 5000, B, 53) and sums_right(out[28:])


def narrow(box):
    """The outside link carries 600 bytes."""
    box.ifaces[OUT].mtu = 600
    return box


@pytest.mark.parametrize("size", [573, 1400])
def test_udp_13_a_large_packet_that_must_not_be_cut_is_reported(size):
    box = narrow(linux())
    packet = bytearray(udp(A, 5000, B, 53, bytes(size)))
    packet[6] = 0x40
    packet = seal(packet)
    [(iface, out)] = box.send(IN, packet)
    assert iface == IN and out[20:22] == b"\x03\x04" and ends(out)[2] == A and sums_right(out)
    assert int.from_bytes(out[26:28], "big") == 600
    assert ends(out[28:]) == (A, 5000, B, 53)


def test_udp_13a_another_large_packet_is_cut_and_sent_in_order():
    box = narrow(linux())
    port(box, udp(A2, 5000, B, 53))
    data = bytes(range(256)) * 5
    sent = box.send(IN, udp(A, 5000, B, 53, data))
    assert len(sent) == 3 and all(iface == OUT and len(out) <= 600 for iface, out in sent)
    offsets = [int.from_bytes(out[6:8], "big") & 0x1FFF for _, out in sent]
    assert offsets == sorted(offsets) and offsets[0] == 0
    out = whole(sent)
    assert sums_right(out) and ends(out)[0] == NAT and ends(out)[1] != 5000 and out[28:] == data


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("make", [independent, linux])
def test_udp_14_fragments_in_any_order_are_translated(make, order):
    box = make()
    port(box, udp(A2, 5000, B, 53))
    external = port(box, udp(A, 5000, B, 53))
    data = bytes(range(200))
    for side, packet, expected in (
        (IN, udp(A, 5000, B, 53, data), (NAT, external, B, 53)),
        (OUT, udp(B, 53, NAT, external, data), (B, 53, A, 5000)),
    ):
        parts = pieces(packet, 64, 128)
        sent = [out for at in order for out in box.send(side, parts[at])]
        out = whole(sent)
        assert {iface for iface, _ in sent} == {1 - side} and sums_right(out)
        assert ends(out) == expected and out[28:] == data


def test_udp_14a_a_flood_of_fragments_does_not_stop_other_packets():
    box = independent(ipfrag_high_thresh=100_000)
    port(box, udp(A, 5000, B, 53))
    for number in range(3000):
        part = bytearray(pieces(udp(B2, number, NAT, 5000, bytes(400)), 200)[0])
        part[4:6] = struct.pack(">H", number)
        part[10:12] = b"\0\0"
        part[10:12] = struct.pack(">H", f.ones(bytes(part[:20])) ^ 0xFFFF)
        assert box.send(OUT, bytes(part)) == []
        assert box.stack.reasm.held <= 100_000
    assert box.one(OUT, udp(B, 53, NAT, 5000)) == (B, 53, A, 5000)
    sent = [out for part in pieces(udp(B, 53, NAT, 5000, bytes(99)), 48) for out in box.send(OUT, part)]
    assert ends(whole(sent)) == (B, 53, A, 5000)
    assert C.IPPROTO_UDP == sent[0][1][9]
