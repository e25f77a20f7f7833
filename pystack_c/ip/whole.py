"""IPv4 packets whose header the application wrote (IP_HDRINCL, raw(7))."""

import errno

import pystack_c.const as C
from pystack_c.base.address import from_bytes
from pystack_c.core import Core
from pystack_c.filter.hooks import ACCEPT, DROP
from pystack_c.ip import output as ip_output
from pystack_c.link import neighbor
from pystack_c.route import Dst
from pystack_c.wire import ipv4 as wire


def send(core: Core, dst: Dst, packet: bytes) -> int:
    """Send a packet with its own header along the route `dst`. Returns 0 or an errno.

    The stack fills in the total length and the checksum, and the source and the ID if they are zero.
    """
    hlen = (packet[0] & 15) * 4 if len(packet) >= 20 else 0
    if hlen < 20 or hlen > len(packet) or packet[0] >> 4 != 4:
        return errno.EINVAL
    if len(packet) > dst.mtu:
        return errno.EMSGSIZE
    src = from_bytes(packet[12:16])
    if src == 0:
        src = dst.src
    daddr = from_bytes(packet[16:20])
    ident = int.from_bytes(packet[4:6], "big")
    if ident == 0:
        ident = ip_output.new_ident(dst, 1)
    frag = int.from_bytes(packet[6:8], "big")
    start = C.L4_OFF - hlen
    core.scratch[start + 20 : C.L4_OFF] = packet[20:hlen]
    core.counters.IpOutRequests += 1
    wire.write(core.scratch, start, hlen, packet[1], len(packet), ident, frag, packet[8], packet[9], src, daddr)
    out = core.out
    out.begin(dst, src, daddr, packet[9])
    out.ttl = packet[8]
    out.tos = packet[1]
    out.payload = packet[hlen:]
    out.mf = (frag & 0x2000) != 0
    out.frag_off = (frag & 0x1FFF) * 8
    if core.hooks is not None:
        verdict = ip_output.ask_hooks(core, out)
        if verdict != ACCEPT:
            out.payload = None
            return errno.EPERM if verdict == DROP else 0
        # A hook may have translated the addresses.
        wire.write(core.scratch, start, hlen, out.tos, len(packet), ident, frag, out.ttl, packet[9], out.src, out.daddr)
    neighbor.output(core, out, start, C.L4_OFF)
    out.payload = None
    return 0
