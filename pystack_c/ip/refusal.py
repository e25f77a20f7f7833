"""The answers of the packet filter's `reject`: TCP resets and ICMP errors (Linux nf_reject_ipv4)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import is_broadcast, is_multicast
from pystack_c.base.seqnum import seq_add
from pystack_c.filter.nft.view import View
from pystack_c.ip import icmpv4
from pystack_c.ip import output as ip_output
from pystack_c.ip.policy import select
from pystack_c.ip.routing import find_route
from pystack_c.packet import Packet
from pystack_c.wire import checksum
from pystack_c.wire import ipv4 as wire

_LINUX = "Linux nf_reject"
#: protocols with a checksum that does not cover the whole payload, or none: AH, ESP, SCTP, UDP-Lite, DCCP
_UNCHECKED = (51, 50, 132, 136, 33)

#: the ICMP messages that Linux answers with errors: queries and their answers
_QUERIES = (0, 8, 13, 14, 15, 16, 17, 18)


class Refusal:
    """Sends the answers of one stack, and finds routes for its rules."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self.spare = Packet()

    def route(self, addr: int, src: int, iif: Any, mark: int) -> Any:
        """Return the route to an address by the rules of the host, or None: for `fib`. It changes no cache."""
        core = self.core
        if core.policy is None:
            return core.routes.lookup(addr)
        before = core.route_error
        flow = core.policy.flow
        # A compiled function takes no None from here.
        flow.dst, flow.src, flow.iif, flow.oif, flow.mark = addr, src, iif, None, mark
        flow.proto = flow.sport = flow.dport = 0
        found = select(core, flow, False)
        core.route_error = before
        return found

    def unreachable(self, view: View, code: int) -> bool:
        """Send destination unreachable to the sender of the packet. Returns False if nothing may be sent about it."""
        pkt = self._packet(view)
        if pkt is None or pkt.frag_off != 0 or not _valid(view, pkt):
            return False
        core = self.core
        iface = view.iif if view.arrived else core.lo
        why = "a rule rejects the packet"
        if not icmpv4.may_send_error(core, pkt, iface):
            return False
        if pkt.proto == C.IPPROTO_ICMP and pkt.frame[pkt.l4_off] not in _QUERIES:
            return False
        if not icmpv4.may_send_now(core, pkt.src, iface, C.ICMP_UNREACHABLE, code):
            return False
        # Before routing, the router does not know that it is the receiver.
        local = view.place != C.HOOK_PREROUTING and core.local_addr(pkt.dst) is not None
        src = pkt.dst if local else 0
        return icmpv4.send_quote(core, src, pkt, C.ICMP_UNREACHABLE, code, 0, why, _LINUX) == 0

    def _packet(self, view: View) -> Any:
        """Return the packet as its receiver would see it: the TTL of a forwarded packet is decremented already."""
        pkt: Packet = view.packet
        if not view.arrived:
            return self._own(view)
        pkt.dst_kind = C.DST_OTHER
        if is_broadcast(pkt.dst):
            pkt.dst_kind = C.DST_BROADCAST
        elif is_multicast(pkt.dst):
            pkt.dst_kind = C.DST_MULTICAST
        elif self.core.local_addr(pkt.dst) is not None:
            pkt.dst_kind = C.DST_UNICAST
        if view.place == C.HOOK_FORWARD:
            head = bytearray(pkt.frame[pkt.ip_off : pkt.ip_off + pkt.ip_hlen])
            old = head[8] << 8 | head[9]
            csum = checksum.update(head[10] << 8 | head[11], old, old - 0x100)
            head[8] -= 1
            head[10:12] = csum.to_bytes(2, "big")
            pkt.frame = pkt.frame[: pkt.ip_off] + bytes(head) + pkt.frame[pkt.ip_off + pkt.ip_hlen :]
        return pkt

    def _own(self, view: View) -> Any:
        """Return a packet of our own, as it would have left."""
        out = view.out
        data = view.header() + bytes(self.core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        if out.payload is not None:
            data += bytes(out.payload)
        pkt = self.spare
        pkt.frame = data
        pkt.end = len(data)
        pkt.ip_off = 0
        pkt.l2_group = False
        pkt.flags = C.RX_CSUM_OK
        pkt.gso_size = 0
        if wire.parse(pkt) != 0:
            return None
        pkt.dst_kind = C.DST_OTHER
        return pkt

    def reset(self, view: View) -> bool:
        """Answer a TCP segment with a RST in the name of its receiver (RFC 9293 3.5.2). Returns False if it gets none."""
        core = self.core
        pkt = self._packet(view)
        if pkt is None or pkt.frag_off != 0 or pkt.l4_end - pkt.l4_off < 20 or not _valid(view, pkt):
            return False
        p = pkt.frame
        at = pkt.l4_off
        flags = p[at + 13]
        if flags & C.RST or pkt.dst_kind in (C.DST_BROADCAST, C.DST_MULTICAST):
            return False
        dst = find_route(core, pkt.src)
        if dst is None:
            return False
        seq, ack = int.from_bytes(p[at + 4 : at + 8], "big"), int.from_bytes(p[at + 8 : at + 12], "big")
        reply = bytearray(20)
        reply[0:4] = p[at + 2 : at + 4] + p[at : at + 2]
        reply[12] = 0x50
        if flags & C.ACK:
            reply[4:8] = ack.to_bytes(4, "big")
            reply[13] = C.RST
        else:
            size = pkt.l4_end - at - (p[at + 12] >> 4) * 4 + bool(flags & C.SYN) + bool(flags & C.FIN)
            reply[8:12] = int(seq_add(seq, size)).to_bytes(4, "big")
            reply[13] = C.RST | C.ACK
        csum = checksum.sum_any(reply, checksum.pseudo_sum(pkt.dst, pkt.src, C.IPPROTO_TCP, 20)) ^ 0xFFFF
        reply[16:18] = csum.to_bytes(2, "big")
        core.scratch[C.L4_OFF : C.L4_OFF + 20] = reply
        if core.probe is not None:
            fields = {"seq": seq, "ack": ack, "flags": reply[13], "length": 0, "window": 0}
            sport = int.from_bytes(p[at + 2 : at + 4], "big")
            core.emit("tcp.out", f"tcp port {sport}", 0, "a rule rejects the segment", _LINUX, fields)
        out = core.out
        out.begin(dst, pkt.dst, pkt.src, C.IPPROTO_TCP)
        out.ttl = core.config.ip_default_ttl
        out.df = C.DONT_FRAGMENT
        out.l4_len = 20
        if core.conntrack is not None and not view.blind:
            core.conntrack.attach = True
        # Linux gives the reset no identification. It is never cut, so any will do (RFC 6864 4.1).
        ident = dst.ident
        dst.ident = 0
        ip_output.output(core, out)
        dst.ident = ident
        if core.conntrack is not None:
            # A rule may have dropped the reset before connection tracking saw it.
            core.conntrack.attach = False
        return True


def _valid(view: View, pkt: Packet) -> bool:
    """Return False if the checksum of the transport is wrong (Linux nf_reject_verify_csum)."""
    if pkt.flags & C.RX_CSUM_OK or pkt.proto in _UNCHECKED:
        return True
    p, at, end = pkt.frame, pkt.l4_off, pkt.l4_end
    if pkt.proto == C.IPPROTO_UDP and end - at >= 8 and p[at + 6] | p[at + 7] == 0:
        return True
    acc = 0
    if pkt.proto == C.IPPROTO_TCP or pkt.proto == C.IPPROTO_UDP:
        acc = checksum.pseudo_sum(pkt.src, pkt.dst, pkt.proto, end - at)
    return checksum.sum_bytes(p, at, end, acc) == 0xFFFF
