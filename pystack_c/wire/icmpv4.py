"""ICMP messages (RFC 792): type, code, checksum, 32 bits that depend on the type, and the rest.

0       1       2               4                               8
+-------+-------+---------------+-------------------------------+----------
| type  | code  |   checksum    | identifier+sequence, MTU, ... | data
+-------+-------+---------------+-------------------------------+----------
"""

from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack_c.wire.checksum import sum_any, sum_bytes

if TYPE_CHECKING:
    from pystack_c.packet import Packet


def parse(pkt: "Packet") -> int:
    """Check and read the message in [l4_off, l4_end). Returns 0, -1 (truncated) or -2 (wrong checksum)."""
    off = pkt.l4_off
    if pkt.l4_end - off < 8:
        return -1
    if sum_bytes(pkt.frame, off, pkt.l4_end, 0) != 0xFFFF:
        return -2
    p = pkt.frame
    pkt.icmp_type = p[off]
    pkt.icmp_code = p[off + 1]
    pkt.icmp_rest = (p[off + 4] << 24) | (p[off + 5] << 16) | (p[off + 6] << 8) | p[off + 7]
    pkt.data_off = off + 8
    return 0


def write(p: bytearray, off: int, icmp_type: int, code: int, rest: int, payload: Any) -> None:
    """Write the 8 header bytes into `p` at `off`, with the checksum over them and `payload`."""
    s = (icmp_type << 8) + code + (rest >> 16) + (rest & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    s = sum_any(payload, (s & 0xFFFF) + (s >> 16)) ^ 0xFFFF
    q = p
    q[off] = icmp_type
    q[off + 1] = code
    q[off + 2] = (s >> 8) & 0xFF
    q[off + 3] = s & 0xFF
    q[off + 4] = (rest >> 24) & 0xFF
    q[off + 5] = (rest >> 16) & 0xFF
    q[off + 6] = (rest >> 8) & 0xFF
    q[off + 7] = rest & 0xFF


def quoted(quote: bytes) -> bytes:
    """Return the transport header, and what follows it, of the packet that an error quotes, without the UDP header of a tunnel."""
    at = (quote[0] & 15) * 4
    if quote[9] == C.IPPROTO_UDP:
        at += C.UDP_HLEN
    return quote[at:]
