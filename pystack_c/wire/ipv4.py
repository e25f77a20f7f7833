"""IPv4 headers (RFC 791 section 3.1).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-------+-------+---------------+-------------------------------+
|Version|  IHL  |Type of Service|          Total Length         |
+-------+-------+---------------+-----+-------------------------+
|         Identification        |Flags|      Fragment Offset    |
+---------------+---------------+-----+-------------------------+
|  Time to Live |    Protocol   |         Header Checksum       |
+---------------+---------------+-------------------------------+
|                       Source Address                          |
+---------------------------------------------------------------+
|                    Destination Address                        |
+-----------------------------------------------+---------------+
|                    Options                    |    Padding    |
+-----------------------------------------------+---------------+
"""

from typing import TYPE_CHECKING, Any

from pystack_c.base.address import v4, v4_bits
from pystack_c.wire.checksum import sum_bytes, sum_scratch

if TYPE_CHECKING:
    from pystack_c.packet import Packet


# The meaning of the negative results of `parse`: (drop, why, rule), at index -code.
ERRORS = (
    ("", "", ""),
    ("ip-truncated", "the packet is shorter than an IPv4 header", "RFC 791 3.1"),
    ("ip-bad-version", "the version field is not 4", "RFC 1122 3.2.1.1"),
    ("ip-bad-ihl", "the header length is below 5 words or beyond the end of the packet", "RFC 791 3.1"),
    ("ip-bad-checksum", "the header checksum is wrong", "RFC 1122 3.2.1.2"),
    ("ip-bad-length", "the total length is less than the header length", "RFC 791 3.1"),
    ("ip-bad-length", "the total length is beyond the end of the frame", "RFC 791 3.1"),
)

# Options (RFC 791 section 3.1)
IPOPT_END = 0
IPOPT_NOP = 1
IPOPT_RR = 7
IPOPT_TS = 68
IPOPT_LSRR = 131
IPOPT_SSRR = 137


def parse(pkt: "Packet") -> int:
    """Check and read the header at pkt.ip_off, and set l4_off and l4_end.

    Returns 0, or a code whose negative indexes ERRORS.
    """
    off = pkt.ip_off
    room = pkt.end - off
    if room < 20:
        return -1
    p = pkt.frame
    if p[off] >> 4 != 4:
        return -2
    hlen = (p[off] & 15) * 4
    if hlen < 20 or hlen > room:
        return -3
    # RFC 1122 3.2.1.2: a host MUST verify the IP header checksum on every received datagram.
    if sum_bytes(pkt.frame, off, off + hlen, 0) != 0xFFFF:
        return -4
    total = (p[off + 2] << 8) | p[off + 3]
    if total < hlen:
        return -5
    if total > room:
        return -6
    pkt.ip_hlen = hlen
    pkt.ip_options = hlen - 20
    pkt.total_len = total
    pkt.tos = p[off + 1]
    pkt.ident = (p[off + 4] << 8) | p[off + 5]
    frag = (p[off + 6] << 8) | p[off + 7]
    pkt.df = (frag & 0x4000) != 0
    pkt.mf = (frag & 0x2000) != 0
    pkt.frag_off = (frag & 0x1FFF) * 8
    pkt.ttl = p[off + 8]
    pkt.proto = p[off + 9]
    bits = (p[off + 12] << 24) | (p[off + 13] << 16) | (p[off + 14] << 8) | p[off + 15]
    pkt.src = v4(bits)
    bits = (p[off + 16] << 24) | (p[off + 17] << 16) | (p[off + 18] << 8) | p[off + 19]
    pkt.dst = v4(bits)
    pkt.l4_off = off + hlen
    pkt.l4_end = off + total
    return 0


def write(
    p: bytearray,
    off: int,
    hlen: int,
    tos: int,
    total: int,
    ident: int,
    frag: int,
    ttl: int,
    proto: int,
    src: int,
    dst: int,
) -> None:
    """Write a header into `p` at `off`. If hlen > 20, the options are already there, and the checksum covers them."""
    q = p
    q[off] = 0x40 | (hlen >> 2)
    q[off + 1] = tos
    q[off + 2] = (total >> 8) & 0xFF
    q[off + 3] = total & 0xFF
    q[off + 4] = (ident >> 8) & 0xFF
    q[off + 5] = ident & 0xFF
    q[off + 6] = (frag >> 8) & 0xFF
    q[off + 7] = frag & 0xFF
    q[off + 8] = ttl
    q[off + 9] = proto
    q[off + 10] = 0
    q[off + 11] = 0
    bits = v4_bits(src)
    s = (bits >> 16) + (bits & 0xFFFF)
    q[off + 12] = (bits >> 24) & 0xFF
    q[off + 13] = (bits >> 16) & 0xFF
    q[off + 14] = (bits >> 8) & 0xFF
    q[off + 15] = bits & 0xFF
    bits = v4_bits(dst)
    s += (bits >> 16) + (bits & 0xFFFF)
    q[off + 16] = (bits >> 24) & 0xFF
    q[off + 17] = (bits >> 16) & 0xFF
    q[off + 18] = (bits >> 8) & 0xFF
    q[off + 19] = bits & 0xFF
    if hlen == 20:
        # The words of the header, as they were just written: most packets have no options.
        s += 0x4500 + tos + (total & 0xFFFF) + (ident & 0xFFFF) + (frag & 0xFFFF) + (ttl << 8) + proto
        s = (s & 0xFFFF) + (s >> 16)
        s = (s & 0xFFFF) + (s >> 16)
    else:
        s = sum_scratch(p, off, off + hlen, 0)
    s ^= 0xFFFF
    q[off + 10] = (s >> 8) & 0xFF
    q[off + 11] = s & 0xFF


def check_options(options: bytes) -> int:
    """Return -1 if the options are well formed, otherwise the offset of the wrong byte in them (RFC 1122 3.2.1.8).

    Each option except END and NOP has a length octet that is at least 2 and stays inside the header. The pointer of a
    route option is at least 4, and that of a timestamp option at least 5.
    """
    i = 0
    n = len(options)
    while i < n:
        kind = options[i]
        if kind == IPOPT_END:
            return -1
        if kind == IPOPT_NOP:
            i += 1
            continue
        if i + 1 >= n:
            return i
        length = options[i + 1]
        if length < 2 or i + length > n:
            return i + 1
        if kind in (IPOPT_RR, IPOPT_LSRR, IPOPT_SSRR) and (length < 3 or options[i + 2] < 4):
            return i + 1 if length < 3 else i + 2
        if kind == IPOPT_TS and (length < 4 or options[i + 2] < 5):
            return i + 1 if length < 4 else i + 2
        i += length
    return -1


def options_list(options: bytes) -> list[Any]:
    """Return the options as (kind, bytes) pairs. Call `check_options` first."""
    found = []
    i = 0
    while i < len(options):
        kind = options[i]
        if kind == IPOPT_END:
            break
        length = 1 if kind == IPOPT_NOP else options[i + 1]
        found.append((kind, options[i : i + length]))
        i += length
    return found


def copied_options(options: bytes) -> bytes:
    """Return the options of every fragment: those with the copied flag, padded to words (RFC 791 section 3.1)."""
    kept = b"".join([raw for kind, raw in options_list(options) if kind & 0x80])
    return kept + bytes((4 - (len(kept) & 3)) & 3)
