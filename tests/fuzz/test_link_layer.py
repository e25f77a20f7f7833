"""Bridges, VTEPs and queues against any frames: each frame is sent or counted, VLANs are kept apart, and tables are bounded."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.sim.qdisc import KINDS, parse
from pystack_c.link.bridge import MacRelay
from pystack_c.link.vxlan import Vtep, entropy
from pystack_c.wire import vlan
from tests import frames as f

VIDS = (0, 1, 5, 6, 7, 4094, 4095)
macs = st.one_of(
    st.sampled_from([bytes((2, 0, 0, 0, 0, number)) for number in range(6)]),
    st.sampled_from([b"\xff" * 6, bytes(6), *(bytes.fromhex(text) for text in ("01005e010203", "01005e000016", "0180c2000000", "0180c2000001"))]),
    st.binary(min_size=6, max_size=6),
)  # fmt: skip
tags = st.one_of(
    st.just(b""), st.builds(lambda kind, vid, bits: struct.pack(">HH", kind, bits << 12 | vid), st.sampled_from((0x8100, 0x8100, 0x88A8)), st.sampled_from(VIDS), st.integers(0, 15))
)  # fmt: skip


def igmp(kind: int, code: int, group: int, rest: bytes, good: bool) -> bytes:
    """An IP packet with an IGMP message."""
    message = struct.pack(">BBHI", kind, code, 0, group) + rest
    if good:
        message = message[:2] + (f.ones(message) ^ 0xFFFF).to_bytes(2, "big") + message[4:]
    return f.ipv4("10.0.0.1", "224.0.0.22", 2, message, ttl=1)


groups = st.sampled_from((0, 0xEF010203, 0xEF010204, 0xE0000005))
records = st.lists(
    st.builds(lambda kind, count, group, sources: struct.pack(">BBHI", kind, 0, count, group) + sources, st.integers(0, 7), st.sampled_from((0, 1, 3, 500)), groups, st.binary(max_size=12)),
    max_size=4,
).map(b"".join)  # fmt: skip
packets = st.one_of(
    st.binary(max_size=60),
    st.builds(igmp, st.sampled_from((0x11, 0x12, 0x16, 0x17, 0x22, 0x99)), st.integers(0, 255), groups, st.one_of(st.binary(max_size=20), records), st.booleans()),
    st.builds(lambda group, data: f.ipv4("10.0.0.1", group, 17, data), st.sampled_from(("239.1.2.3", "224.0.0.5", "10.0.0.9")), st.binary(max_size=20)),
)  # fmt: skip
frames = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda dst, src, tag, kind, body: dst + src + tag + kind + body, macs, macs, tags, st.sampled_from((b"\x08\x00", b"\x08\x06", b"\x86\xdd")), packets),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 3), frames, st.integers(0, 1 << 38)), max_size=60),
    st.integers(0, 15),
)
def test_a_bridge_sends_or_counts_each_frame(filtering, arrivals, flags):
    bridge = MacRelay("br0", vlan_filtering=filtering, fdb_max_learned=16)
    ports = [bridge.add_port(f"port{number}") for number in range(4)]
    ports[0].access(5)
    ports[1].trunk(5, 6)
    ports[2].trunk(5, 7, native=6)
    ports[3].isolated, ports[2].isolated = bool(flags & 1), bool(flags & 2)
    ports[1].hairpin, ports[0].learning = bool(flags & 4), bool(flags & 8)
    told = []
    bridge.report = lambda *event: told.append(event)
    now = 0
    for number, frame, passed in arrivals:
        now += passed
        before = sum(bridge.drops.values())
        sent = bridge.receive(ports[number], frame, now)
        # A frame that leaves by no port is one drop, and one that leaves is none.
        assert sum(bridge.drops.values()) - before == (not sent)
        assert len({port.number for port, _ in sent}) == len(sent)
        vid = max(vlan.tci_of(frame), 0) & vlan.VID_MASK or ports[number].pvid
        for port, data in sent:
            assert port is not ports[number] or port.hairpin
            plain = vlan.pop(frame) if vlan.tci_of(frame) >= 0 else frame
            if not filtering:
                assert data == frame
            elif port.vlans[vid]:
                assert data == plain
            else:
                assert vlan.tci_of(data) & vlan.VID_MASK == vid and vlan.pop(data) == plain
        assert len(bridge.fdb.entries) <= 16 and len(bridge.guard.frames) <= 60
        assert bridge.snooping.members == sum(map(len, bridge.snooping.groups.values()))
    bridge.fdb_show(now)
    bridge.snooping.mdb_show("br0", ports, now)
    assert all(isinstance(event[3], str) and event[3] for event in told)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.binary(max_size=40), frames.map(lambda one: b"\x08\0\0\0\0\0\x05\0" + one)), st.integers(0, 3)), max_size=40), st.booleans())  # fmt: skip
def test_a_vtep_takes_or_counts_each_datagram(datagrams, tags):
    vtep = Vtep(5, (1, 2), tags=tags, limit=8)
    for number, (datagram, source) in enumerate(datagrams):
        before = sum(vtep.drops.values())
        frame, why = vtep.unwrap(datagram, source, number)
        assert bool(frame) != bool(why) and sum(vtep.drops.values()) - before == bool(why)
        assert 0 <= entropy(frame) < 64 and len(vtep.fdb.entries) <= 8
        if frame:
            assert set(vtep.receivers(frame, number)) <= {0, 1, 2, 3}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        ("pfifo limit 5", "bfifo limit 300", "codel limit 8 target 1ms interval 10ms ecn", "fq_codel limit 8 flows 3 target 1ms interval 10ms",
         "tbf rate 1mbit burst 100 latency 5ms", "red limit 2000 avpkt 50 min 100 max 300 burst 20 ecn probability 0.5")
    ),
    st.lists(st.tuples(st.booleans(), frames, st.integers(0, 20_000_000)), max_size=80),
)  # fmt: skip
def test_a_queue_keeps_count_of_each_frame(text, moves):
    qdisc = parse(text)
    qdisc.begin("q", 1, 14, lambda *event: None)
    now, given_, sent, size = 0, 0, 0, 0
    for enqueue, frame, passed in moves:
        now += passed
        if enqueue:
            qdisc.enqueue(frame, now)
            given_ += 1
        elif (out := qdisc.dequeue(now)) is not None:
            sent += 1
            size += len(out)
        assert given_ == sent + qdisc.dropped + qdisc.qlen and qdisc.qlen >= 0 and qdisc.backlog >= 0
        assert (qdisc.sent_packets, qdisc.sent_bytes) == (sent, size)
        assert qdisc.ready(now) is None if qdisc.qlen == 0 else qdisc.ready(now) >= now
        assert qdisc.qlen <= 8 or qdisc.backlog <= 2000
    for _ in range(1000):
        at = qdisc.ready(now)
        if at is None:
            break
        now = max(at, now + 1)
        qdisc.dequeue(now)
    # Whatever waits is sent, or dropped by CoDel, in the end.
    assert qdisc.qlen == 0 and qdisc.backlog == 0 and qdisc.show()


def test_each_discipline_is_in_the_fuzzers_list():
    assert sorted(KINDS) == ["bfifo", "codel", "fq_codel", "pfifo", "red", "tbf"]
