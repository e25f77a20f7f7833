"""The codecs against headers declared with construct, and against frames built by hand."""

import construct as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack_c.packet import Packet
from pystack_c.wire import arp, checksum, ethernet, icmpv4, ipv4, udp
from tests import frames as f

u8, u16, u32, mac = (st.integers(0, (1 << n) - 1) for n in (8, 16, 32, 48))

Ethernet = c.Struct("dst" / c.BytesInteger(6), "src" / c.BytesInteger(6), "type" / c.Int16ub)
Arp = c.Struct(
    "hrd" / c.Const(1, c.Int16ub), "pro" / c.Const(0x0800, c.Int16ub), "hln" / c.Const(6, c.Int8ub),
    "pln" / c.Const(4, c.Int8ub), "op" / c.Int16ub, "sha" / c.BytesInteger(6), "spa" / c.Int32ub,
    "tha" / c.BytesInteger(6), "tpa" / c.Int32ub,
)  # fmt: skip
IPv4 = c.Struct(
    "bits" / c.BitStruct("version" / c.Const(4, c.Nibble), "ihl" / c.Nibble), "tos" / c.Int8ub, "total" / c.Int16ub,
    "ident" / c.Int16ub,
    "frag" / c.BitStruct("zero" / c.Flag, "df" / c.Flag, "mf" / c.Flag, "offset" / c.BitsInteger(13)),
    "ttl" / c.Int8ub, "proto" / c.Int8ub, "checksum" / c.Int16ub, "src" / c.Int32ub, "dst" / c.Int32ub,
    "options" / c.Bytes(lambda this: this.bits.ihl * 4 - 20),
)  # fmt: skip
Udp = c.Struct("sport" / c.Int16ub, "dport" / c.Int16ub, "length" / c.Int16ub, "checksum" / c.Int16ub)
Icmp = c.Struct("type" / c.Int8ub, "code" / c.Int8ub, "checksum" / c.Int16ub, "rest" / c.Int32ub)


def packet(data: bytes, off: int = 0) -> Packet:
    """A Packet over these bytes, every layer at `off`."""
    pkt = Packet()
    pkt.frame = data
    pkt.end = len(data)
    pkt.l2_off = pkt.ip_off = pkt.l4_off = off
    pkt.l4_end = len(data)
    return pkt


@given(mac, mac, st.integers(0x600, 0xFFFF), st.binary(max_size=9), st.binary(max_size=9))
def test_ethernet(dst, src, ethertype, before, after):
    header = ethernet.header(dst, src, ethertype)
    assert header == Ethernet.build({"dst": dst, "src": src, "type": ethertype})
    pkt = packet(before + header + after, len(before))
    assert ethernet.parse(pkt) == 0
    assert (pkt.eth_dst, pkt.eth_src, pkt.eth_type) == (dst, src, ethertype)
    assert pkt.l2_group == bool(dst >> 40 & 1)
    assert pkt.ip_off == len(before) + 14


@given(st.sampled_from([1, 2]), mac, u32, mac, u32, mac, st.binary(max_size=20))
def test_arp(op, sha, spa, tha, tpa, eth_dst, padding):
    frame = arp.frame(eth_dst, op, sha, f.core(spa), tha, f.core(tpa))
    assert frame[14:] == Arp.build({"op": op, "sha": sha, "spa": spa, "tha": tha, "tpa": tpa})
    pkt = packet(frame[14:] + padding)
    assert arp.parse(pkt) == 0
    assert (pkt.arp_op, pkt.arp_sha, pkt.arp_spa, pkt.arp_tha, pkt.arp_tpa) == (op, sha, f.core(spa), tha, f.core(tpa))


@given(
    u8, u16, st.integers(0, 3), st.integers(0, 0x1FFF), u8, u8, u32, u32,
    st.integers(0, 10).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)), st.binary(max_size=40),
)  # fmt: skip
def test_ipv4(tos, ident, flags, offset, ttl, proto, src, dst, options, payload):
    hlen = 20 + len(options)
    total = hlen + len(payload)
    scratch = bytearray(5 + 20) + options
    ipv4.write(scratch, 5, hlen, tos, total, ident, flags << 13 | offset, ttl, proto, f.core(src), f.core(dst))
    seen = IPv4.parse(bytes(scratch[5:]))
    assert (seen.bits.ihl * 4, seen.tos, seen.total, seen.ident) == (hlen, tos, total, ident)
    assert (seen.frag.mf, seen.frag.df, seen.frag.offset) == (bool(flags & 1), bool(flags & 2), offset)
    assert (seen.ttl, seen.proto, seen.src, seen.dst, seen.options) == (ttl, proto, src, dst, options)
    assert f.ones(bytes(scratch[5:])) == 0xFFFF
    pkt = packet(bytes(scratch) + payload, 5)
    assert ipv4.parse(pkt) == 0
    assert (pkt.tos, pkt.ident, pkt.mf, pkt.df, pkt.frag_off) == (tos, ident, seen.frag.mf, seen.frag.df, offset * 8)
    assert (pkt.ttl, pkt.proto, pkt.src, pkt.dst) == (ttl, proto, f.core(src), f.core(dst))
    assert pkt.frame[pkt.l4_off : pkt.l4_end] == payload


@given(u32, u32, u16, u16, st.binary(max_size=50))
def test_udp(src, dst, sport, dport, payload):
    scratch = bytearray(8)
    base = checksum.pseudo_sum(f.core(src), f.core(dst), 17, 8 + len(payload))
    udp.write(scratch, 0, base, sport, dport, payload, True, False)
    seen = Udp.parse(bytes(scratch))
    assert (seen.sport, seen.dport, seen.length) == (sport, dport, 8 + len(payload))
    pseudo = src.to_bytes(4, "big") + dst.to_bytes(4, "big") + bytes((0, 17)) + seen.length.to_bytes(2, "big")
    assert seen.checksum != 0 and f.ones(pseudo + bytes(scratch) + payload) == 0xFFFF
    pkt = packet(bytes(scratch) + payload + b"padding")
    pkt.src, pkt.dst = f.core(src), f.core(dst)
    assert udp.parse(pkt) == 0
    assert (pkt.sport, pkt.dport, pkt.frame[pkt.data_off : pkt.l4_end]) == (sport, dport, payload)


@given(u32, u32, u16, u16, st.binary(max_size=20))
def test_udp_partial_checksum_is_what_a_device_completes(src, dst, sport, dport, payload):
    """Summing from the UDP header on, over the pseudo-header's sum in the field, gives the whole sum (virtio-net)."""
    whole, partial = bytearray(8), bytearray(8)
    base = checksum.pseudo_sum(f.core(src), f.core(dst), 17, 8 + len(payload))
    udp.write(whole, 0, base, sport, dport, payload, True, False)
    udp.write(partial, 0, base, sport, dport, payload, True, True)
    done = (f.ones(bytes(partial) + payload) ^ 0xFFFF) or 0xFFFF
    assert done == int.from_bytes(whole[6:8], "big")


@given(u8, u8, u32, st.binary(max_size=50))
def test_icmp(kind, code, rest, payload):
    scratch = bytearray(8)
    icmpv4.write(scratch, 0, kind, code, rest, payload)
    seen = Icmp.parse(bytes(scratch))
    assert (seen.type, seen.code, seen.rest) == (kind, code, rest)
    assert bytes(scratch) + payload == f.icmp(kind, code, rest.to_bytes(4, "big"), payload) or seen.checksum in (
        0,
        0xFFFF,
    )
    pkt = packet(bytes(scratch) + payload)
    assert icmpv4.parse(pkt) == 0
    assert (pkt.icmp_type, pkt.icmp_code, pkt.icmp_rest) == (kind, code, rest)


@given(st.binary(max_size=70), st.integers(0, 10))
def test_parsers_answer_codes_for_any_bytes(data, off):
    """Nothing raises, and what a parser accepts lies inside the frame."""
    off = min(off, len(data))
    for parser in (ethernet.parse, arp.parse, ipv4.parse, icmpv4.parse, udp.parse):
        pkt = packet(data, off)
        code = parser(pkt)
        assert code <= 0
        if code == 0:
            assert off <= pkt.l4_off <= pkt.l4_end <= len(data)


@given(st.binary(max_size=40))
def test_options_checked_are_options_that_can_be_walked(options):
    wrong = ipv4.check_options(options)
    if wrong >= 0:
        assert wrong < max(1, len(options))
        return
    walked = ipv4.options_list(options)
    assert b"".join(raw for _, raw in walked) == options[: sum(len(raw) for _, raw in walked)]
    assert len(ipv4.copied_options(options)) % 4 == 0


def test_options_copied_into_fragments():
    """RFC 791 3.1: the copied flag is the top bit; record route (7) stays in the first fragment."""
    record_route = bytes((7, 7, 4, 0, 0, 0, 0))
    stream_id = bytes((136, 4, 1, 2))
    assert ipv4.copied_options(record_route + b"\1" + stream_id) == stream_id


@pytest.mark.parametrize("length", range(2, 12))
def test_copied_options_are_padded_to_words(length):
    """Of any length: compiled, the remainder of a negative number has another sign."""
    option = bytes((136, length)) + b"x" * (length - 2)
    assert ipv4.copied_options(option) == option + bytes((4 - length % 4) % 4)


def test_zero_checksum_is_sent_as_ones():
    """RFC 768: a computed zero goes out as 0xFFFF. Found by search: a payload whose sum makes it zero."""
    src, dst = f.addr("10.0.0.1"), f.addr("10.0.0.2")
    scratch = bytearray(8)
    base = checksum.pseudo_sum(src, dst, 17, 10)
    udp.write(scratch, 0, base, 1, 2, b"\0\0", True, False)
    payload = scratch[6:8]  # adding the checksum itself makes the sum all ones
    udp.write(scratch, 0, base, 1, 2, bytes(payload), True, False)
    assert scratch[6:8] == b"\xff\xff"
    assert checksum.sum_any(payload, 0) != 0
