"""TCP header and options: bytes to fields and back (RFC 9293 section 3.1 and 3.2)."""

from typing import TYPE_CHECKING, Any

import pystack_c.const as C

if TYPE_CHECKING:
    from pystack_c.packet import Packet


# Results of parse_tcp.
OK = 0
TRUNCATED = -1
BAD_OFFSET = -2


def parse_tcp(pkt: "Packet") -> int:
    """Parse the TCP header at pkt.l4_off into pkt's fields. Returns OK, TRUNCATED or BAD_OFFSET."""
    p = pkt.frame
    o = pkt.l4_off
    if pkt.l4_end - o < 20:
        return TRUNCATED
    hlen = (p[o + 12] >> 4) * 4
    if hlen < 20 or o + hlen > pkt.l4_end:
        return BAD_OFFSET
    pkt.sport = (p[o] << 8) | p[o + 1]
    pkt.dport = (p[o + 2] << 8) | p[o + 3]
    pkt.seq = (p[o + 4] << 24) | (p[o + 5] << 16) | (p[o + 6] << 8) | p[o + 7]
    pkt.ack = (p[o + 8] << 24) | (p[o + 9] << 16) | (p[o + 10] << 8) | p[o + 11]
    pkt.tcp_flags = p[o + 13] | ((p[o + 12] & 1) << 8)
    pkt.window = (p[o + 14] << 8) | p[o + 15]
    pkt.urg = (p[o + 18] << 8) | p[o + 19]
    pkt.data_off = o + hlen
    pkt.opt_mss = -1
    pkt.opt_wscale = -1
    pkt.opt_sack_ok = False
    pkt.opt_ts = False
    pkt.sack = None
    pkt.opt_fastopen = None
    pkt.acc_order = -1
    if hlen == 20:
        return OK
    # Nearly all data segments have this layout: NOP, NOP, Timestamps (RFC 7323 appendix A).
    if hlen == 32 and p[o + 20] == 1 and p[o + 21] == 1 and p[o + 22] == 8 and p[o + 23] == 10:
        _timestamps(pkt, o + 24)
        return OK
    _options(pkt, o + 20, o + hlen)
    return OK


def _timestamps(pkt: "Packet", i: int) -> None:
    p = pkt.frame
    pkt.opt_ts = True
    pkt.tsval = (p[i] << 24) | (p[i + 1] << 16) | (p[i + 2] << 8) | p[i + 3]
    pkt.tsecr = (p[i + 4] << 24) | (p[i + 5] << 16) | (p[i + 6] << 8) | p[i + 7]


def _options(pkt: "Packet", i: int, end: int) -> None:
    """Read the options of any segment at any alignment (RFC 9293 3.2, MUST-5, 6, 7, 64).

    An impossible length ends the list.
    """
    p = pkt.frame
    while i < end:
        kind = p[i]
        if kind == C.TCPOPT_EOL:
            return
        if kind == C.TCPOPT_NOP:
            i += 1
            continue
        if i + 1 >= end:
            return
        length = p[i + 1]
        if length < 2 or i + length > end:
            return
        if kind == C.TCPOPT_MSS and length == 4:
            pkt.opt_mss = (p[i + 2] << 8) | p[i + 3]
        elif kind == C.TCPOPT_WSCALE and length == 3:
            pkt.opt_wscale = p[i + 2]
        elif kind == C.TCPOPT_SACK_OK and length == 2:
            pkt.opt_sack_ok = True
        elif kind == C.TCPOPT_SACK and length >= 10 and (length - 2) % 8 == 0:
            _sack_blocks(pkt, i + 2, i + length)
        elif kind == C.TCPOPT_TS and length == 10:
            _timestamps(pkt, i + 2)
        elif kind == C.TCPOPT_FASTOPEN:
            pkt.opt_fastopen = pkt.frame[i + 2 : i + length]
            pkt.opt_fastopen_exp = False
        elif kind == C.TCPOPT_ACCECN0 or kind == C.TCPOPT_ACCECN1:
            _accecn(pkt, i + 2, length - 2, 0 if kind == C.TCPOPT_ACCECN0 else 1)
        elif kind == C.TCPOPT_EXP and length >= 4 and p[i + 2] == 0xF9 and p[i + 3] == 0x89:
            # the experimental kind (RFC 6994) with the number that Fast Open used before RFC 7413
            pkt.opt_fastopen = pkt.frame[i + 4 : i + length]
            pkt.opt_fastopen_exp = True
        i += length


def _accecn(pkt: "Packet", i: int, n: int, order: int) -> None:
    """Read the whole fields that fit (RFC 9768 3.2.3). The remaining bytes are padding."""
    p = pkt.frame
    pkt.acc_order = order
    pkt.acc_count = 3 if n >= 9 else n // 3
    if n >= 3:
        pkt.acc_first = (p[i] << 16) | (p[i + 1] << 8) | p[i + 2]
    if n >= 6:
        pkt.acc_ceb = (p[i + 3] << 16) | (p[i + 4] << 8) | p[i + 5]
    if n >= 9:
        pkt.acc_last = (p[i + 6] << 16) | (p[i + 7] << 8) | p[i + 8]


def _sack_blocks(pkt: "Packet", i: int, end: int) -> None:
    p = pkt.frame
    blocks = []
    while i + 8 <= end:
        left = (p[i] << 24) | (p[i + 1] << 16) | (p[i + 2] << 8) | p[i + 3]
        right = (p[i + 4] << 24) | (p[i + 5] << 16) | (p[i + 6] << 8) | p[i + 7]
        blocks.append((left, right))
        i += 8
    pkt.sack = blocks


def write_tcp(
    buf: bytearray, o: int, sport: int, dport: int, seq: int, ack: int, hlen: int, flags: int, window: int, urg: int
) -> None:
    """Write the 20 fixed bytes at buf[o:], with checksum zero.

    `hlen` is the header's length in bytes with its options.
    """
    b = buf
    b[o] = (sport >> 8) & 0xFF
    b[o + 1] = sport & 0xFF
    b[o + 2] = (dport >> 8) & 0xFF
    b[o + 3] = dport & 0xFF
    put32(buf, o + 4, seq)
    put32(buf, o + 8, ack)
    b[o + 12] = ((hlen >> 2) << 4) | ((flags >> 8) & 1)
    b[o + 13] = flags & 0xFF
    b[o + 14] = (window >> 8) & 0xFF
    b[o + 15] = window & 0xFF
    b[o + 16] = 0
    b[o + 17] = 0
    b[o + 18] = (urg >> 8) & 0xFF
    b[o + 19] = urg & 0xFF


def put32(buf: bytearray, o: int, value: int) -> None:
    """Write 32 bits in network order."""
    b = buf
    b[o] = (value >> 24) & 0xFF
    b[o + 1] = (value >> 16) & 0xFF
    b[o + 2] = (value >> 8) & 0xFF
    b[o + 3] = value & 0xFF


def write_timestamps(buf: bytearray, o: int, tsval: int, tsecr: int) -> int:
    """Write NOP, NOP, Timestamps at buf[o:] (RFC 7323 appendix A). Returns the bytes written, 12."""
    b = buf
    b[o] = 1
    b[o + 1] = 1
    b[o + 2] = 8
    b[o + 3] = 10
    put32(buf, o + 4, tsval)
    put32(buf, o + 8, tsecr)
    return 12


def write_sack(buf: bytearray, o: int, blocks: list[Any], count: int) -> int:
    """Write NOP, NOP, SACK with the first `count` blocks at buf[o:] (RFC 2018 section 3). Returns the bytes written."""
    b = buf
    b[o] = 1
    b[o + 1] = 1
    b[o + 2] = 5
    b[o + 3] = (2 + 8 * count) & 0xFF
    i = o + 4
    for left, right in blocks[:count]:
        put32(buf, i, left)
        put32(buf, i + 4, right)
        i += 8
    return i - o


def write_syn_options(
    buf: bytearray, o: int, mss: int, wscale: int, sack_ok: bool, ts_ok: bool, tsval: int, tsecr: int
) -> int:
    """Write the options of a SYN in Linux's order: MSS, SACK-permitted, Timestamps, window scale.

    Returns the bytes written.

    A `wscale` of -1 leaves the window scale option out.
    """
    b = buf
    i = o
    b[i] = C.TCPOPT_MSS
    b[i + 1] = 4
    b[i + 2] = (mss >> 8) & 0xFF
    b[i + 3] = mss & 0xFF
    i += 4
    if ts_ok:
        b[i] = C.TCPOPT_SACK_OK if sack_ok else 1
        b[i + 1] = 2 if sack_ok else 1
        b[i + 2] = C.TCPOPT_TS
        b[i + 3] = 10
        put32(buf, i + 4, tsval)
        put32(buf, i + 8, tsecr)
        i += 12
    elif sack_ok:
        b[i] = 1
        b[i + 1] = 1
        b[i + 2] = C.TCPOPT_SACK_OK
        b[i + 3] = 2
        i += 4
    if wscale >= 0:
        b[i] = 1
        b[i + 1] = C.TCPOPT_WSCALE
        b[i + 2] = 3
        b[i + 3] = wscale & 0xFF
        i += 4
    return i - o


def write_fastopen(buf: bytearray, o: int, cookie: bytes, exp: bool) -> int:
    """Write the Fast Open option (RFC 7413 4.1.1, or experimental), padded with NOPs. Returns the bytes written."""
    b = buf
    n = len(cookie)
    if exp:
        b[o] = C.TCPOPT_EXP
        b[o + 1] = (n + 4) & 0xFF
        b[o + 2] = 0xF9
        b[o + 3] = 0x89
        buf[o + 4 : o + 4 + n] = cookie
        i = o + 4 + n
    else:
        b[o] = C.TCPOPT_FASTOPEN
        b[o + 1] = (n + 2) & 0xFF
        buf[o + 2 : o + 2 + n] = cookie
        i = o + 2 + n
    while (i - o) & 3:
        b[i] = C.TCPOPT_NOP
        i += 1
    return i - o


def write_accecn(buf: bytearray, o: int, order: int, count: int, first: int, ceb: int, last: int) -> int:
    """Write the AccECN option (RFC 9768 3.2.3) with `count` fields, padded with NOPs. Returns the bytes written."""
    b = buf
    b[o] = C.TCPOPT_ACCECN0 if order == 0 else C.TCPOPT_ACCECN1
    b[o + 1] = 2 + 3 * count
    i = o + 2
    n = 0
    while n < count:
        value = first if n == 0 else ceb if n == 1 else last
        b[i] = (value >> 16) & 0xFF
        b[i + 1] = (value >> 8) & 0xFF
        b[i + 2] = value & 0xFF
        i += 3
        n += 1
    while (i - o) & 3:
        b[i] = C.TCPOPT_NOP
        i += 1
    return i - o


def segment_len(pkt: "Packet") -> int:
    """Return SEG.LEN: the payload length, plus one each for SYN and FIN."""
    n = pkt.l4_end - pkt.data_off
    if pkt.tcp_flags & C.SYN:
        n += 1
    if pkt.tcp_flags & C.FIN:
        n += 1
    return n
