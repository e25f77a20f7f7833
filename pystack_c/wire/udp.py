"""UDP headers (RFC 768): source port, destination port, length, checksum."""

from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack_c.wire.checksum import pseudo_sum, sum_any, sum_bytes

if TYPE_CHECKING:
    from pystack_c.packet import Packet


def parse(pkt: "Packet") -> int:
    """Check and read the datagram in [l4_off, l4_end), and cut l4_end to the UDP length.

    Returns 0, -1 (truncated), -2 (length field below 8 or beyond the packet) or -3 (wrong checksum).
    """
    off = pkt.l4_off
    room = pkt.l4_end - off
    if room < 8:
        return -1
    p = pkt.frame
    length = (p[off + 4] << 8) | p[off + 5]
    if length < 8 or length > room:
        return -2
    # RFC 768: an all zero checksum means that the sender computed
    # none. RFC 1122 4.1.3.4: otherwise a host MUST check it.
    if (p[off + 6] | p[off + 7]) != 0 and (pkt.flags & C.RX_CSUM_OK) == 0:
        if sum_bytes(pkt.frame, off, off + length, pseudo_sum(pkt.src, pkt.dst, C.IPPROTO_UDP, length)) != 0xFFFF:
            return -3
    pkt.sport = (p[off] << 8) | p[off + 1]
    pkt.dport = (p[off + 2] << 8) | p[off + 3]
    pkt.data_off = off + 8
    pkt.l4_end = off + length
    return 0


def write(p: bytearray, off: int, pseudo: int, sport: int, dport: int, payload: Any, csum: bool, partial: bool) -> None:
    """Write the 8 header bytes into `p` at `off`. `pseudo` is the sum of the pseudo-header (route.transport_sum).

    With `csum` False the checksum stays zero (SO_NO_CHECK). With `partial` the field gets only the pseudo-header's sum,
    and the device finishes it.
    """
    length = 8 + len(payload)
    s = 0
    if csum:
        s = pseudo
        if not partial:
            s += sport + dport + length
            s = (s & 0xFFFF) + (s >> 16)
            s = sum_any(payload, (s & 0xFFFF) + (s >> 16)) ^ 0xFFFF
            # RFC 768: a computed checksum of zero is transmitted as all ones.
            if s == 0:
                s = 0xFFFF
    q = p
    q[off] = (sport >> 8) & 0xFF
    q[off + 1] = sport & 0xFF
    q[off + 2] = (dport >> 8) & 0xFF
    q[off + 3] = dport & 0xFF
    q[off + 4] = (length >> 8) & 0xFF
    q[off + 5] = length & 0xFF
    q[off + 6] = (s >> 8) & 0xFF
    q[off + 7] = s & 0xFF
