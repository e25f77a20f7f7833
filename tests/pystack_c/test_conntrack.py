"""Connection tracking: states, timeouts, the bound of the table, packets of this host, fragments. The kernel's own behaviour is
the oracle in tests/kernel/test_nat_oracle.py; these tests need no kernel and run on both builds."""

import struct

import pytest

import pystack_c.const as C
from pystack_c.filter import conntrack, conntrack_tcp, hooks
from pystack_c.filter.flow import Seen, Side
from pystack_c.sockets import udp as udp_socket
from tests import frames as f
from tests.support.natbox import IN, OUT, Box, S, echo, error, seal, sums_right, tcp, udp

A, B = "10.0.0.2", "192.0.2.2"
SYN, ACK, FIN, RST = C.SYN, C.ACK, C.FIN, C.RST


def tracked(**settings) -> Box:
    box = Box(**settings)
    box.stack.track()
    return box


def state(box: Box) -> str:
    [entry] = box.table.all()
    return conntrack_tcp.STATES[entry.tcp.state]


def left(box: Box) -> int:
    """The seconds that the only connection may live without a packet."""
    [entry] = box.table.all()
    return (entry.timer.deadline - box.now) // S


def verdicts(box: Box) -> list[int]:
    """A hook that notes what tracking says about each forwarded packet."""
    seen: list[int] = []

    def hook(core, place, iface, packet):
        seen.append(core.conntrack.state)
        return hooks.ACCEPT

    hooks.attach(box.stack, hooks.FORWARD, hook)
    return seen


def test_a_connection_from_its_first_to_its_last_segment():
    box = tracked()
    seen = verdicts(box)
    steps = (
        (IN, tcp(A, 1000, B, 80, SYN, 100), "SYN_SENT", 120),
        (OUT, tcp(B, 80, A, 1000, SYN | ACK, 500, 101), "SYN_RECV", 60),
        (IN, tcp(A, 1000, B, 80, ACK, 101, 501), "ESTABLISHED", 432000),
        (IN, tcp(A, 1000, B, 80, ACK, 101, 501, b"hello"), "ESTABLISHED", 300),
        (OUT, tcp(B, 80, A, 1000, ACK, 501, 106), "ESTABLISHED", 432000),
        (IN, tcp(A, 1000, B, 80, FIN | ACK, 106, 501), "FIN_WAIT", 120),
        (OUT, tcp(B, 80, A, 1000, ACK, 501, 107), "CLOSE_WAIT", 60),
        (OUT, tcp(B, 80, A, 1000, FIN | ACK, 501, 107), "LAST_ACK", 30),
        (IN, tcp(A, 1000, B, 80, ACK, 107, 502), "TIME_WAIT", 120),
    )
    for side, packet, name, seconds in steps:
        box.send(side, packet)
        assert (state(box), left(box)) == (name, seconds)
    assert seen == [C.CT_NEW] + [C.CT_ESTABLISHED] * 8
    changes = [event.fields["new"] for event in box.kinds("ct.update") if event.fields["what"] == "state"]
    assert changes == list(dict.fromkeys(step[2] for step in steps))
    box.later(119)
    assert box.table.count == 1
    box.later(2)
    assert box.table.count == 0 and box.stack.poll_timeout() is None
    [end] = box.kinds("ct.destroy")
    assert end.reason == "no packet of the connection passed for the time of its state"


def test_a_reset_that_is_the_only_answer_ends_the_entry():
    box = tracked()
    box.send(IN, tcp(A, 1000, B, 80, SYN, 100))
    box.send(OUT, tcp(B, 80, A, 1000, RST | ACK, 0, 101))
    assert box.table.count == 0


def test_a_reset_of_an_established_connection_must_have_the_exact_number():
    """RFC 5961 3.2: others are answered with a challenge ACK, so they end nothing here, either."""
    box = tracked()
    box.send(IN, tcp(A, 1000, B, 80, SYN, 100))
    box.send(OUT, tcp(B, 80, A, 1000, SYN | ACK, 500, 101))
    box.send(IN, tcp(A, 1000, B, 80, ACK, 101, 501))
    box.send(OUT, tcp(B, 80, A, 1000, RST, 600))
    assert state(box) == "ESTABLISHED"
    box.send(OUT, tcp(B, 80, A, 1000, RST, 501))
    assert state(box) == "CLOSE"


def test_data_beyond_the_window_is_invalid_and_old_segments_are_not():
    box = tracked()
    seen = verdicts(box)
    box.send(IN, tcp(A, 1000, B, 80, SYN, 100, window=1000))
    box.send(OUT, tcp(B, 80, A, 1000, SYN | ACK, 500, 101, window=1000))
    box.send(IN, tcp(A, 1000, B, 80, ACK, 101, 501, window=1000))
    box.send(IN, tcp(A, 1000, B, 80, ACK, 101 + 100_000, 501, b"x"))
    box.send(OUT, tcp(B, 80, A, 1000, ACK, 501, 101 + 50_000))
    box.send(IN, tcp(A, 1000, B, 80, ACK, 101 - 100_000, 501, b"x"))
    assert seen[3:] == [C.CT_INVALID, C.CT_INVALID, C.CT_ESTABLISHED]
    whys = [event.reason for event in box.kinds("ct.invalid")]
    assert whys == [
        "the segment lies beyond the window of the receiver",
        "the segment acknowledges data that was not sent",
    ]


def test_be_liberal_and_loose_are_settings():
    box = tracked(nf_conntrack_tcp_be_liberal=True)
    seen = verdicts(box)
    box.send(IN, tcp(A, 1000, B, 80, SYN, 100, window=1000))
    box.send(OUT, tcp(B, 80, A, 1000, SYN | ACK, 500, 101, window=1000))
    box.send(IN, tcp(A, 1000, B, 80, ACK, 101 + 100_000, 501, b"x"))
    assert seen == [C.CT_NEW, C.CT_ESTABLISHED, C.CT_ESTABLISHED]
    for loose, verdict in ((True, C.CT_NEW), (False, C.CT_INVALID)):
        box = tracked(nf_conntrack_tcp_loose=loose)
        seen = verdicts(box)
        box.send(IN, tcp(A, 1000, B, 80, ACK, 100, 100))
        assert seen == [verdict]


def test_datagrams_become_a_stream_after_two_seconds():
    box = tracked()
    box.send(IN, udp(A, 1000, B, 53))
    assert left(box) == 30
    box.send(OUT, udp(B, 53, A, 1000))
    box.send(IN, udp(A, 1000, B, 53))
    [entry] = box.table.all()
    assert left(box) == 30 and not entry.status & C.IPS_ASSURED
    box.later(2.5)
    box.send(IN, udp(A, 1000, B, 53))
    assert left(box) == 120 and entry.status & C.IPS_ASSURED
    assert (entry.original.packets, entry.reply.packets) == (3, 1)


def test_an_error_is_related_and_one_about_nothing_is_invalid():
    box = tracked()
    seen = verdicts(box)
    packet = udp(A, 1000, B, 53)
    box.send(IN, packet)
    box.send(OUT, error(B, A, packet))
    box.send(OUT, error(B, A, udp(A, 1001, B, 53)))
    box.send(OUT, echo(B, A, 7, kind=0))
    assert seen == [C.CT_NEW, C.CT_RELATED, C.CT_INVALID, C.CT_INVALID]


def test_a_wrong_checksum_is_invalid():
    box = tracked()
    seen = verdicts(box)
    packet = bytearray(udp(A, 1000, B, 53))
    packet[-1] ^= 1
    box.send(IN, bytes(packet))
    assert seen == [C.CT_INVALID] and box.table.count == 0
    box = tracked(nf_conntrack_checksum=False)
    box.send(IN, bytes(packet))
    assert box.table.count == 1


def test_a_packet_that_a_filter_drops_leaves_no_entry():
    box = tracked()
    hooks.attach(box.stack, hooks.FORWARD, lambda core, place, iface, packet: hooks.DROP)
    assert box.send(IN, udp(A, 1000, B, 53)) == []
    assert box.table.count == 0 and box.stack.poll_timeout() is None


def test_a_full_table_drops_the_oldest_that_is_not_assured():
    box = tracked(nf_conntrack_max=10)
    for number in range(10):
        box.send(IN, udp(A, 1000 + number, B, 53))
    assert len(box.send(IN, udp(A, 2000, B, 53))) == 1
    assert box.table.count == 10 and box.drops == {"conntrack-early-drop": 1}
    assert [entry.original.sport for entry in box.table.all()] == [*range(1001, 1010), 2000]


def test_if_all_are_assured_new_connections_are_dropped_and_old_ones_pass():
    box = tracked(nf_conntrack_max=4)
    for number in range(4):
        box.send(IN, udp(A, 1000 + number, B, 53))
        box.send(OUT, udp(B, 53, A, 1000 + number))
    box.later(3)
    for number in range(4):
        box.send(IN, udp(A, 1000 + number, B, 53))
    assert box.send(IN, udp(A, 2000, B, 53)) == []
    assert box.drops == {"conntrack-full": 1}
    assert len(box.send(IN, udp(A, 1000, B, 53))) == 1


def test_a_flood_stays_bounded_and_a_connection_lives_through_it():
    box = tracked(probe=False, nf_conntrack_max=100)
    for side, packet in (
        (IN, tcp(A, 1000, B, 80, SYN, 100)),
        (OUT, tcp(B, 80, A, 1000, SYN | ACK, 500, 101)),
        (IN, tcp(A, 1000, B, 80, ACK, 101, 501)),
    ):
        box.send(side, packet)
    for number in range(2000):
        box.send(OUT, tcp("192.0.2.9", 1 + number, "10.0.0.3", 80, SYN, number))
    assert box.table.count == 100 and len(box.stack.timers) <= 101
    assert box.table.find(f.addr(A), 1000, f.addr(B), 80, 6) is not None
    assert len(box.send(OUT, tcp(B, 80, A, 1000, ACK, 501, 101, b"data"))) == 1


def test_the_table_grows_place_by_place_and_finds_everything():
    box = tracked(probe=False)
    for number in range(3000):
        box.send(IN, udp(A, number + 1, B, 53))
    table = box.table
    assert table.count == 3000 and table.halves == 6000 and len(table.places) >= 6000
    assert len(table.places) == table.mask + 1 + table.split
    assert all(table.find(f.addr(A), number + 1, f.addr(B), 53, 17) is not None for number in range(3000))
    longest = 0
    for half in table.places:
        length = 0
        while half is not None:
            length, half = length + 1, half.next
        longest = max(longest, length)
    assert longest < 12
    box.later(31)
    assert table.count == 0 and not any(table.places)


def test_the_place_of_a_connection_depends_on_the_seed():
    first, second = Box(), Box()
    assert first.stack.rng.keyed_flow(1, 2, 3, 4, 5) == second.stack.rng.keyed_flow(1, 2, 3, 4, 5)
    from pystack_c.base.rng import Rng

    assert Rng(1).keyed_flow(1, 2, 3, 4, 5) != Rng(2).keyed_flow(1, 2, 3, 4, 5)


def pieces(packet: bytes, *cuts: int, df: int = 0x4000) -> list[bytes]:
    """The packet in fragments that begin at these offsets."""
    bounds = [0, *cuts, len(packet) - 20]
    found = []
    for first, last in zip(bounds, bounds[1:], strict=False):
        head = bytearray(packet[:20])
        more = 0x2000 if last < len(packet) - 20 else 0
        head[2:8] = struct.pack(">HHH", 20 + last - first, 99, df | more | first // 8)
        head[10:12] = b"\0\0"
        head[10:12] = struct.pack(">H", f.ones(bytes(head)) ^ 0xFFFF)
        found.append(bytes(head) + packet[20 + first : 20 + last])
    return found


def test_fragments_are_tracked_as_one_datagram_and_leave_with_their_sizes_and_without_df():
    box = tracked()
    packet = udp(A, 1000, B, 53, bytes(100))
    parts = pieces(packet, 16, 48)
    assert box.send(IN, parts[2]) == [] and box.send(IN, parts[0]) == []
    out = [data for _, data in box.send(IN, parts[1])]
    assert box.table.count == 1
    assert [(len(data) - 20, data[6:8].hex()) for data in out] == [(16, "2000"), (32, "2002"), (60, "0006")]
    assert b"".join(data[20:] for data in out) == packet[20:]


def test_without_tracking_fragments_are_forwarded_one_by_one():
    box = Box()
    assert [len(box.send(IN, part)) for part in pieces(udp(A, 1000, B, 53, bytes(100)), 16, 48)] == [1, 1, 1]


def test_a_reassembly_for_tracking_sends_no_error_when_it_gives_up():
    box = tracked()
    box.send(IN, pieces(udp(A, 1000, B, 53, bytes(100)), 48)[0])
    box.later(31)
    assert box.drain() == [] and box.drops == {"ip-reassembly-timeout": 1}


def test_packets_of_this_host_through_lo_have_one_entry():
    box = tracked()
    server, client = (udp_socket.udp_open(box.stack, box.now) for _ in range(2))
    udp_socket.bind(server, f.addr("192.0.2.1"), 53, box.now)
    udp_socket.sendto(client, b"question", f.addr("192.0.2.1"), 53, 0, box.now)
    box.drain()
    message = udp_socket.recvfrom(server, 0, box.now)
    assert message.data == b"question"
    udp_socket.sendto(server, b"answer", message.src, message.sport, 0, box.now)
    box.drain()
    [entry] = box.table.all()
    assert (entry.original.packets, entry.reply.packets) == (1, 1) and entry.status & C.IPS_SEEN_REPLY


def test_switching_it_off_forgets_everything_and_costs_nothing_any_more():
    box = tracked()
    box.send(IN, udp(A, 1000, B, 53))
    box.stack.track(False)
    assert box.stack.hooks is None and box.stack.conntrack is None and box.stack.poll_timeout() is None


def test_the_header_that_leaves_is_right():
    box = tracked()
    [(_, out)] = box.send(IN, seal(tcp(A, 1000, B, 80, SYN, 100)))
    assert sums_right(out) and conntrack.TRACK == -200


def seen_with(options: bytes) -> Seen:
    """A SYN with these options, which are padded to the header's length with the end of the list."""
    padded = options + bytes(-len(options) % 4)
    seen = Seen()
    seen.data = bytes(12) + bytes([(5 + len(padded) // 4) << 4, 2]) + bytes(6) + padded
    seen.size = seen.end = len(seen.data)
    return seen


@pytest.mark.parametrize(
    ("options", "scale", "sack"),
    [
        (b"\x03\x03\x07", 7, False),
        (b"\x01\x01\x04\x02\x01\x03\x03\x07", 7, True),  # after padding
        (b"\x03\x03\x0f", 14, False),
        (b"\x00\x03\x03\x07", 0, False),  # after the end of the list
        (b"\x02\x01\x03\x03\x07", 0, False),  # after an option that is shorter than its header
        (b"\x04\x02\x02\x09\x03\x03\x07", 0, True),  # in an option that is not whole
    ],
)
def test_the_options_of_a_syn_are_read(options, scale, sack):
    side = Side()
    conntrack_tcp.read_options(side, seen_with(options))
    assert (side.scale, side.flags & C.TCF_SACK_PERM != 0) == (scale, sack)


def test_the_highest_sack_block_counts_behind_padding():
    blocks = b"\x01\x01\x05\x12" + b"".join(n.to_bytes(4, "big") for n in (100, 300, 500, 700))
    assert conntrack_tcp.highest_sack(seen_with(blocks), 50) == 700
    assert conntrack_tcp.highest_sack(seen_with(blocks[:-4]), 50) == 50  # not whole
