"""Every parser of the wire codecs against any bytes: an answer, never an exception, and never a look beyond the end.

The independent codecs that say what the answer should be are in tests/pystack_c/test_codecs.py; here the bytes are hostile.
Each is parsed twice, between different bytes: what lies around a packet must not change what is read from it, on the compiled
core (where nothing checks an index) as on the other.
"""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pystack_c.packet import Packet
from pystack_c.wire import arp, checksum, ethernet, icmpv4, ipv4, tcp, udp
from tests.support import build

SRC, DST = 0x0A000001, 0x0A000002
FIELDS = (
    "eth_dst eth_src eth_type l2_group src dst proto ttl tos ident df mf frag_off total_len ip_hlen sport dport seq ack "
    "tcp_flags window urg opt_mss opt_wscale opt_sack_ok opt_ts tsval tsecr sack opt_fastopen icmp_type icmp_code icmp_rest "
    "acc_order acc_count acc_first acc_ceb acc_last "
    "arp_op arp_sha arp_spa arp_tha arp_tpa"
).split()
OFFSETS = ("ip_off", "l4_off", "l4_end", "data_off")


def parsed(parse, data: bytes, before: bytes = b"", after: bytes = b"") -> tuple:
    """The code, and every field with offsets counted from the packet's start."""
    pkt = Packet()
    at = len(before)
    pkt.frame = before + data + after
    pkt.end = pkt.l4_end = at + len(data)
    pkt.l2_off = pkt.ip_off = pkt.l4_off = pkt.data_off = at
    pkt.src, pkt.dst = SRC, DST
    code = parse(pkt)
    if code == 0 and parse not in (arp.parse, ethernet.parse):
        assert at <= pkt.l4_off <= pkt.l4_end <= at + len(data)
        if parse is not ipv4.parse:
            assert pkt.l4_off + 8 <= pkt.data_off <= pkt.l4_end
    places = tuple(getattr(pkt, name) - at for name in OFFSETS if code == 0)
    return (code, places, *(getattr(pkt, name) for name in FIELDS))


u8, u16, u32 = (st.integers(0, (1 << n) - 1) for n in (8, 16, 32))
tcp_options = st.lists(
    st.one_of(
        st.just(b"\1"), st.just(b"\0"), st.just(b"\2\0"), st.just(b"\5"), st.just(b"\x08\x0a"),
        st.builds(build.opt_mss, u16), st.builds(build.opt_wscale, u8), st.just(build.OPT_SACK_OK),
        st.builds(build.opt_ts, u32, u32), st.lists(st.tuples(u32, u32), max_size=4).map(lambda b: build.opt_sack(*b)),
        st.builds(lambda kind, length, body: bytes((kind, length)) + body, u8, u8, st.binary(max_size=20)),
        st.builds(lambda kind, body: bytes((kind, 2 + len(body))) + body, st.sampled_from((172, 174)), st.binary(max_size=12)),
    ),
    max_size=6,
).map(lambda parts: b"".join(parts)[:40])  # fmt: skip
ip_options = st.one_of(
    st.binary(max_size=40),
    st.lists(st.builds(lambda kind, length, body: bytes((kind, length)) + body, u8, u8, st.binary(max_size=9)), max_size=4)
    .map(lambda parts: b"".join(parts)[:40]),
)  # fmt: skip
lies = st.one_of(st.none(), u16)
segments = st.builds(
    build.tcp, st.just(SRC), u16, st.just(DST), u16, st.integers(0, 511), u32, u32, st.binary(max_size=20), tcp_options, u16, u16,
    st.one_of(st.none(), st.integers(0, 15)),
)  # fmt: skip
packets = st.builds(
    build.ipv4, u32, u32, u8, st.binary(max_size=40), u16, u16, u8, u8, ip_options, st.one_of(st.none(), st.integers(0, 15)), lies,
    st.one_of(st.just(4), st.integers(0, 15)), st.one_of(st.none(), st.none(), u16),
)  # fmt: skip
datagrams = st.builds(build.udp, st.just(SRC), u16, st.just(DST), u16, st.binary(max_size=20), lies, lies)
messages = st.builds(build.icmp, u8, u8, u32, st.binary(max_size=20), lies)
arps = st.builds(
    lambda head, rest: struct.pack(">HHBBH", *head) + rest,
    st.one_of(st.tuples(st.just(1), st.just(0x0800), st.just(6), st.just(4), u16), st.tuples(u16, u16, u8, u8, u16)),
    st.binary(min_size=20, max_size=24),
)

CODECS = {
    "ethernet": (ethernet.parse, (0, -1, -2), st.binary(max_size=40)),
    "arp": (arp.parse, (0, -1, -2, -3), arps),
    "ipv4": (ipv4.parse, (0, -1, -2, -3, -4, -5, -6), packets),
    "icmpv4": (icmpv4.parse, (0, -1, -2), messages),
    "udp": (udp.parse, (0, -1, -2, -3), datagrams),
    "tcp": (tcp.parse_tcp, (0, -1, -2), segments),
}


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data(), junk=st.binary(min_size=3, max_size=30))
@settings(max_examples=150)
def test_any_bytes_give_an_answer_that_depends_on_nothing_around_them(name, data, junk):
    parse, codes, strategy = CODECS[name]
    packet = data.draw(st.one_of(strategy, st.binary(max_size=80)))
    if packet and data.draw(st.booleans()):
        packet = packet[: data.draw(st.integers(0, len(packet)))]
    answer = parsed(parse, packet)
    assert answer[0] in codes
    assert parsed(parse, packet, junk, junk) == answer
    assert parsed(parse, packet, b"", bytes(b ^ 0xFF for b in junk)) == answer


@pytest.mark.parametrize("name", CODECS)
def test_every_truncation_of_a_good_one_is_refused(name):
    """Control: the whole parses."""
    good = {
        "ethernet": build.ether(b""),
        "arp": build.arp(1, 2, SRC, 3, DST)[14:],
        "ipv4": build.ipv4(SRC, DST, 17, b"payload", options=b"\x07\x07\x04\0\0\0\0"),
        "icmpv4": build.icmp(8, 0, 1, b"\1payload"),
        "udp": build.udp(SRC, 1, DST, 2, b"payload"),
        "tcp": build.tcp(SRC, 1, DST, 2, 2, 3, 4, b"", build.opt_mss(1460)),
    }[name]
    parse = CODECS[name][0]
    assert parsed(parse, good)[0] == 0
    for n in range(len(good)):
        assert parsed(parse, good[:n], b"", good[n:])[0] < 0, n


@given(ip_options)
@example(b"\x07\0")
@example(b"\x44\x04\x05")
@settings(max_examples=300)
def test_ip_options_are_walked_to_the_end_or_to_what_is_wrong(options):
    wrong = ipv4.check_options(options)
    assert -1 <= wrong < len(options)
    if wrong < 0:
        kept = ipv4.options_list(options)
        assert b"".join(raw for _, raw in kept) == options[: sum(len(raw) for _, raw in kept)]
        assert len(ipv4.copied_options(options)) % 4 == 0


@given(st.binary(max_size=70), st.integers(0, 0xFFFF), st.integers(0, 70), st.integers(0, 70))
@settings(max_examples=200)
def test_checksum_of_any_part(data, acc, a, b):
    low, high = sorted((min(a, len(data)), min(b, len(data))))
    assert checksum.sum_bytes(data, low, high, acc) % 0xFFFF == build.fold(data[low:high], acc) % 0xFFFF
