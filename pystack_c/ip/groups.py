"""Groups of TCP segments that a device joined (GSO), on their way through a router, and the options that a router signs.

A router passes a group on as one if the next device takes it. Otherwise it cuts the group as the sender's device would have.
"""

from struct import pack
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.base.seqnum import seq_add
from pystack_c.core import Core
from pystack_c.filter.hooks import POSTROUTING, verdict_of
from pystack_c.ip import options as ip_options
from pystack_c.link import neighbor
from pystack_c.packet import Packet
from pystack_c.route import Dst
from pystack_c.wire import checksum
from pystack_c.wire import ipv4 as wire


def sign(core: Core, dst: Dst, pkt: Packet) -> bool:
    """Update record route and timestamps in the outgoing header, which is in core.scratch. Returns False if the packet was dropped."""
    start = C.L4_OFF - pkt.ip_hlen
    if not ip_options.sign_forwarded(core, core.scratch, start, C.L4_OFF, dst.src):
        core.counters.IpInHdrErrors += 1
        core.drop(
            "forward-bad-timestamp",
            "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst),
            "the timestamp option has overflowed",
            "RFC 791 3.1",
        )
        return False
    core.scratch[start + 10 : start + 12] = b"\0\0"
    csum = checksum.sum_scratch(core.scratch, start, C.L4_OFF, 0) ^ 0xFFFF
    core.scratch[start + 10 : start + 12] = pack(">H", csum & 0xFFFF)
    return True


def final_of(pkt: Packet) -> int:
    """Return the destination in the pseudo-header: the end of a source route if there is one (RFC 9293 3.1)."""
    if pkt.ip_hlen == 20:
        return pkt.dst
    return ip_options.final_destination(pkt.frame[pkt.ip_off : pkt.ip_off + pkt.ip_hlen])


def fits(dst: Dst, pkt: Packet) -> bool:
    """Return True if the next device takes the group as one packet, and completes its checksums."""
    iface = dst.iface
    return iface.tx_csum and pkt.total_len <= iface.gso_max  # type: ignore[no-any-return]


def send_whole(core: Core, dst: Dst, pkt: Packet) -> None:
    """Send a group as one packet with the TTL decremented. The device cuts it, and makes each segment's checksum."""
    group = _begin(core, dst, pkt)
    if group is None:
        return
    out = core.out
    src = out.src
    hlen = (pkt.frame[pkt.l4_off + 12] >> 4) * 4
    core.scratch[C.L4_OFF : C.L4_OFF + hlen] = group[:hlen]
    acc = checksum.pseudo_sum(src, final_of(pkt), pkt.proto, pkt.l4_end - pkt.l4_off)
    core.scratch[C.L4_OFF + 16 : C.L4_OFF + 18] = pack(">H", acc)
    start = C.L4_OFF - pkt.ip_hlen
    frag = 0x4000 if pkt.df else 0
    wire.write(
        core.scratch, start, pkt.ip_hlen, out.tos, pkt.total_len, pkt.ident, frag, out.ttl, pkt.proto, src, out.daddr
    )
    out.payload = group[hlen:]
    out.gso_size = pkt.gso_size
    out.csum_offset = 16
    neighbor.output(core, out, start, C.L4_OFF + hlen)
    out.payload = None


def wire_size(pkt: Packet) -> int:
    """Return the bytes of the largest packet of an offloaded group on a wire, or -1 if it is not TCP."""
    if pkt.proto != C.IPPROTO_TCP or pkt.mf or pkt.frag_off != 0 or pkt.l4_end - pkt.l4_off < 20:
        return -1
    p = pkt.frame
    hlen = (p[pkt.l4_off + 12] >> 4) * 4
    if hlen < 20 or hlen > pkt.l4_end - pkt.l4_off:
        return -1
    size = pkt.ip_hlen + hlen + pkt.gso_size
    return size if size < pkt.total_len else pkt.total_len


def send_segments(core: Core, dst: Dst, pkt: Packet) -> None:
    """Cut an offloaded group of TCP segments as the sender's device would have cut it, so that offload changes nothing.

    Sequence numbers and IP IDs count on. The last segment keeps FIN and PSH, and the first keeps CWR (RFC 3168 6.1.2).
    """
    group = _begin(core, dst, pkt)
    if group is None:
        return
    out = core.out
    src = out.src
    start = C.L4_OFF - pkt.ip_hlen
    hlen = (pkt.frame[pkt.l4_off + 12] >> 4) * 4
    head = bytearray(group[:hlen])
    data = group[hlen:]
    final = final_of(pkt)
    seq = int.from_bytes(head[4:8], "big")
    flags = head[13]
    count = max(1, (len(data) + pkt.gso_size - 1) // pkt.gso_size)
    for i in range(count):
        piece = data[i * pkt.gso_size : (i + 1) * pkt.gso_size]
        keep = flags if i == count - 1 else flags & ~(C.FIN | C.PSH)
        head[13] = keep if i == 0 else keep & ~C.CWR
        head[4:8] = pack(">I", seq_add(seq, i * pkt.gso_size))
        head[16:18] = b"\0\0"
        acc = checksum.sum_any(head, checksum.pseudo_sum(src, final, pkt.proto, hlen + len(piece)))
        head[16:18] = pack(">H", checksum.sum_any(piece, acc) ^ 0xFFFF)
        core.scratch[C.L4_OFF : C.L4_OFF + hlen] = head
        frag = 0x4000 if pkt.df else 0
        total = pkt.ip_hlen + hlen + len(piece)
        ident = (pkt.ident + i) & 0xFFFF
        wire.write(core.scratch, start, pkt.ip_hlen, out.tos, total, ident, frag, out.ttl, pkt.proto, src, out.daddr)
        out.payload = piece
        neighbor.output(core, out, start, C.L4_OFF + hlen)
    out.payload = None


def _begin(core: Core, dst: Dst, pkt: Packet) -> Any:
    """Put the IP header of a group into core.scratch, and describe the group in core.out with the TTL decremented.

    The hooks at POSTROUTING run for the group as a whole, before it is cut, as on Linux. Returns the TCP header with the data, as
    the hooks left it, or None if the group goes no further. The header's checksum may be unfinished.
    """
    start = C.L4_OFF - pkt.ip_hlen
    core.scratch[start : C.L4_OFF] = pkt.frame[pkt.ip_off : pkt.ip_off + pkt.ip_hlen]
    if pkt.ip_hlen > 20 and not sign(core, dst, pkt):
        return None
    out = core.out
    out.begin(dst, pkt.src, pkt.dst, pkt.proto)
    out.ttl = pkt.ttl - 1
    out.tos = pkt.tos
    group: Any = memoryview(pkt.frame)[pkt.l4_off : pkt.l4_end]
    if core.hooks is None:
        return group
    out.gso_size = pkt.gso_size
    out.payload = group
    group = None
    if verdict_of(core, POSTROUTING, dst.iface, out) == C.NF_ACCEPT:
        # A hook may have put another one in its place.
        group = memoryview(out.payload)
    # Each segment is a packet of its own from here on.
    out.gso_size = 0
    out.payload = None
    return group
